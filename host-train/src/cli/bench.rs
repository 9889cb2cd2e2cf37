//! `kscout bench`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::eval::table::{Align, Table};
use crate::export::BlobFile;
use crate::export::bench::{GraphTime, bench};

/// `kscout bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// A file that `kscout export` wrote
    #[arg(value_name = "FILE.kscout")]
    file: PathBuf,
    /// Runs of each network; the table gives their median
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print the outcome as JSON, for programs
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Times.
    pub fn run(self) -> Result<(), Failure> {
        let file = BlobFile::read(&self.file)?;
        let times = bench(&file.model()?, self.runs.into())?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&times)?);
        } else {
            print!("{}", table(&times).to_text());
        }
        Ok(())
    }
}

fn table(times: &[GraphTime]) -> Table {
    let left = [("graph", Align::Left)];
    let right = ["MACs", "median ms", "least ms", "GMAC/s"].map(|title| (title, Align::Right));
    let mut table = Table::new(left.into_iter().chain(right));
    for time in times {
        table.push([
            time.graph.clone(),
            time.macs.to_string(),
            format!("{:.3}", time.median_ms),
            format!("{:.3}", time.least_ms),
            format!("{:.2}", time.giga_macs_per_second()),
        ]);
    }
    table
}
