//! `kscout sampler`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::data::{Dataset, Split};
use crate::eval::csv::Csv;
use crate::eval::table::{Align, Table};
use crate::io::lock::Locks;
use crate::rl::sampler::{WeightedSampler, class_set};

/// `kscout sampler`.
#[derive(Args)]
pub struct SamplerArgs {
    /// Data set folder.
    #[arg(long)]
    data: PathBuf,
    /// Which part of the data set.
    #[arg(long, default_value = "train")]
    split: Split,
    /// CSV file to write each slice's weight to.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl SamplerArgs {
    /// Prints the sets of classes and writes the weights.
    pub fn run(self) -> Result<(), Failure> {
        let _locks = Locks::of(self.out.as_deref())?;
        let data = Dataset::open(&self.data)?;
        data.expect_masks("a sampler by sets of classes")?;
        let slices = data.slices(self.split);
        if slices.is_empty() {
            return Err(format!(
                "{}: no slices in split `{}`; `kscout data info` lists the splits, --split names another",
                self.data.display(),
                self.split
            )
            .into());
        }
        let sampler = WeightedSampler::new(&slices);
        let columns = [("classes", Align::Left), ("slices", Align::Right), ("weight of each", Align::Right)];
        let mut table = Table::new(columns);
        for (set, &count) in &sampler.counts {
            let weight = 1.0 / (count * sampler.counts.len()) as f64;
            table.push([set.clone(), count.to_string(), format!("{weight:.6}")]);
        }
        print!("{}", table.to_text());
        if let Some(path) = self.out {
            let mut csv = Csv::new();
            for (slice, &weight) in slices.iter().zip(&sampler.weights) {
                let id = slice.id.to_string();
                csv.push([
                    ("slice", id.as_str().into()),
                    ("classes", class_set(slice).into()),
                    ("weight", weight.into()),
                ])?;
            }
            csv.write(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{}: {} weights", path.display(), slices.len());
        }
        Ok(())
    }
}
