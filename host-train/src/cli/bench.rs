//! `kscout bench`.

use std::path::PathBuf;

use clap::Args;
use kscout_core::kernels::Kernels;

use super::cost::{CostArgs, cost};
use super::{Failure, number};
use crate::eval::table::{Align, Table};
use crate::export::bench::{Bench, Time, bench};
use crate::runtime::{Threaded, fastest};

/// `kscout bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// A file that `kscout export` wrote
    #[arg(value_name = "FILE.kscout")]
    file: PathBuf,
    /// Runs of each network; the tables give their median
    #[arg(long, default_value_t = 21, value_parser = number::whole::<u16>(1..=10_000))]
    runs: u16,
    /// Threads to spread large convolutions over
    #[arg(long, default_value_t = 1, value_parser = number::whole::<u16>(1..=256))]
    threads: u16,
    #[command(flatten)]
    cost: CostArgs,
    /// Print the outcome as JSON, for programs
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Times.
    pub fn run(self) -> Result<(), Failure> {
        let file = self.cost.read(&self.file)?;
        let model = file.model()?;
        if !self.json {
            println!("{}: {}", self.file.display(), cost(&file)?);
        }
        let bench = match self.threads {
            1 => bench(&model, &fastest(), self.runs.into())?,
            threads => {
                let kernels: Box<dyn Kernels> = Box::new(Threaded::new(fastest(), threads.into())?);
                bench(&model, &*kernels, self.runs.into())?
            }
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&bench)?);
        } else {
            print(&bench, self.threads);
        }
        Ok(())
    }
}

fn print(bench: &Bench, threads: u16) {
    let Bench { kernels, layout, runs, .. } = bench;
    let plural = if threads == 1 { "" } else { "s" };
    println!("kernels {kernels}, {threads} thread{plural}; weights laid out for {layout}; medians of {runs} runs\n");
    let mut table = Table::new(columns(&["", "MACs"]));
    for (name, time) in [("decision", &bench.decision), ("segmentation", &bench.segmentation)] {
        if let Some(time) = time {
            table.push(row([name.to_owned(), String::new()], time, 0));
        }
    }
    for graph in &bench.graphs {
        table.push(row([graph.graph.clone(), graph.macs.to_string()], &graph.time, graph.macs));
    }
    print!("{}", table.to_text());
    for graph in &bench.graphs {
        println!("\n{}, operator by operator", graph.graph);
        let mut table = Table::new(columns(&["", "operator", "input", "output", "MACs"]));
        for operator in &graph.operators {
            let [input, output] = operator.shapes.map(|[h, w, c]| format!("{h}x{w}x{c}"));
            let cells =
                [operator.index.to_string(), operator.operator.clone(), input, output, operator.macs.to_string()];
            table.push(row(cells, &operator.time, operator.macs));
        }
        print!("{}", table.to_text());
    }
}

fn columns(names: &[&str]) -> Vec<(String, Align)> {
    let left = names.iter().map(|&name| {
        let align = if name == "MACs" { Align::Right } else { Align::Left };
        (name.to_owned(), align)
    });
    let right = ["ms", "least ms", "GMAC/s", "portable ms", "ratio"].map(|name| (name.to_owned(), Align::Right));
    left.chain(right).collect()
}

fn row<const N: usize>(cells: [String; N], time: &Time, macs: u64) -> Vec<String> {
    let rate = if macs == 0 { String::new() } else { format!("{:.1}", macs as f64 / (time.median_ms * 1e6)) };
    let times = [time.median_ms, time.least_ms].map(|ms| format!("{ms:.4}"));
    let [median, least] = times;
    let portable = [format!("{:.4}", time.portable_ms), format!("{:.1}", time.portable_ms / time.median_ms)];
    cells.into_iter().chain([median, least, rate]).chain(portable).collect()
}
