//! How long a blob's networks take on this machine.

use std::time::Instant;

use kscout_core::kernels::Portable;
use kscout_core::model::{Graph, Model, RunError, run};
use serde::Serialize;

use crate::segment::HeapArena;

/// The time of one network, on one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphTime {
    /// `segmenter` or `policy`.
    pub graph: String,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Median over the runs.
    pub median_ms: f64,
    /// Fastest run.
    pub least_ms: f64,
    /// Runs that were timed.
    pub runs: usize,
}

impl GraphTime {
    /// Multiply-accumulates a second at the median time, in units of 10^9.
    pub fn giga_macs_per_second(&self) -> f64 {
        self.macs as f64 / (self.median_ms * 1e6)
    }
}

/// Times each network of `model` over `runs` runs, after one that is not counted.
///
/// # Errors
/// Those of [`run`]; none with a model that was checked.
pub fn bench(model: &Model<'_>, runs: usize) -> Result<Vec<GraphTime>, RunError> {
    [model.segmenter(), model.policy()].into_iter().flatten().map(|graph| time(&graph, runs.max(1))).collect()
}

fn time(graph: &Graph<'_>, runs: usize) -> Result<GraphTime, RunError> {
    // What the kernels do does not depend on the values, so any input will do.
    let inputs: Vec<Vec<i8>> = (0..graph.inputs())
        .map(|i| (0..graph.input(i).map_or(0, |input| input.shape.len())).map(|i| (i * 31 % 255) as u8 as i8).collect())
        .collect();
    let inputs: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    let mut arena = HeapArena::new(graph.arena_bytes());
    let mut once = || {
        let start = Instant::now();
        run(graph, &Portable, &inputs, arena.bytes())?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    once()?;
    let mut times = (0..runs).map(|_| once()).collect::<Result<Vec<f64>, RunError>>()?;
    times.sort_unstable_by(f64::total_cmp);
    let median_ms = (times[(runs - 1) / 2] + times[runs / 2]) / 2.0;
    Ok(GraphTime { graph: graph.kind().to_string(), macs: graph.macs(), median_ms, least_ms: times[0], runs })
}
