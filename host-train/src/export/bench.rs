//! How long a blob's networks take on this machine: a decision, a segmentation, and each operator, with the kernels of the
//! caller's choice and beside them the portable ones.

use std::time::Instant;

use kscout_core::Complex32;
use kscout_core::kernels::{Kernels, Portable};
use kscout_core::model::{Graph, Model, RunError, run_with};
use kscout_core::scan::{Scan, ScanError, arena_bytes_with};
use serde::Serialize;

use crate::mri::random::Stream;
use crate::runtime::HeapArena;

/// Lines of the scan whose decisions are timed.
const LINES: usize = 24;

/// A time with the chosen kernels and with the portable ones, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Median over the runs.
    pub median_ms: f64,
    /// Fastest run.
    pub least_ms: f64,
    /// Median with the portable kernels.
    pub portable_ms: f64,
}

/// The time of one operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorTime {
    /// Its place in the graph.
    pub index: usize,
    /// Its kind.
    pub operator: String,
    /// Rows, columns and channels of what it reads first and of what it writes.
    pub shapes: [[usize; 3]; 2],
    /// Multiply-accumulates.
    pub macs: u64,
    /// Multiply-accumulates a second in its median time.
    pub macs_per_s: f64,
    /// How long it takes.
    #[serde(flatten)]
    pub time: Time,
}

/// The time of one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphTime {
    /// `segmenter`, `policy` or `slice policy`.
    pub graph: String,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Multiply-accumulates a second in its median time.
    pub macs_per_s: f64,
    /// A whole run.
    #[serde(flatten)]
    pub time: Time,
    /// Its operators.
    pub operators: Vec<OperatorTime>,
}

/// What [`bench()`] measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bench {
    /// Name of the kernel set.
    pub kernels: String,
    /// The layout of the blob's weights.
    pub layout: String,
    /// Runs of which medians were taken.
    pub runs: usize,
    /// A line taken in, the image grown and quantised, the next line chosen; without a policy not measured.
    pub decision: Option<Time>,
    /// The image quantised and segmented, a class for each pixel; without a segmenter not measured.
    pub segmentation: Option<Time>,
    /// The networks, operator by operator.
    pub graphs: Vec<GraphTime>,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A network does not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A scan does not run.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Times a scan with `model` and each of its networks over `runs` runs, after one that is not counted, with `kernels` and in
/// turn with the portable ones. What kernels do does not depend on the values, so the scan is one of noise.
///
/// # Errors
/// Those of a scan; none with a model that was checked.
pub fn bench(model: &Model<'_>, kernels: &dyn Kernels, runs: usize) -> Result<Bench, BenchError> {
    let runs = runs.max(1);
    let sets: [&dyn Kernels; 2] = [kernels, &Portable];
    let mut scans = [Steps::default(), Steps::default()];
    for run in 0..=runs {
        for (kernels, steps) in sets.iter().zip(&mut scans) {
            let mut once = Steps::default();
            scan(model, *kernels, &mut once)?;
            if run > 0 {
                steps.decisions.append(&mut once.decisions);
                steps.segmentations.append(&mut once.segmentations);
            }
        }
    }
    let [ours, portable] = scans;
    let graphs = model.graphs().map(|graph| graph_time(&graph, sets, runs));
    Ok(Bench {
        kernels: kernels.name().to_owned(),
        layout: model.layout().to_string(),
        runs,
        decision: time(ours.decisions, portable.decisions),
        segmentation: time(ours.segmentations, portable.segmentations),
        graphs: graphs.collect::<Result<_, RunError>>()?,
    })
}

/// Milliseconds of a scan's steps.
#[derive(Default)]
struct Steps {
    decisions: Vec<f64>,
    segmentations: Vec<f64>,
}

fn scan(model: &Model<'_>, kernels: &dyn Kernels, steps: &mut Steps) -> Result<(), ScanError> {
    let mut arena = HeapArena::new(arena_bytes_with(model, kernels));
    let mut scan = Scan::with_kernels(model, arena.bytes(), kernels)?;
    let lines = LINES.min(model.width());
    scan.start(lines)?;
    let mut noise = Stream::new(1);
    let mut samples = vec![Complex32::new(0.0, 0.0); model.height()];
    let mut next = Some(model.width() / 2);
    while let Some(line) = next {
        samples.iter_mut().for_each(|sample| *sample = Complex32::new(noise.normal(), noise.normal()));
        let start = Instant::now();
        scan.push_line(line, &samples)?;
        // Without a policy one line is all there is to segment.
        next = if model.policy().is_some() { scan.propose()? } else { None };
        if next.is_some() {
            steps.decisions.push(milliseconds(start));
        }
    }
    if model.segmenter().is_some() {
        let start = Instant::now();
        scan.segment()?;
        steps.segmentations.push(milliseconds(start));
    }
    Ok(())
}

fn graph_time(graph: &Graph<'_>, sets: [&dyn Kernels; 2], runs: usize) -> Result<GraphTime, RunError> {
    let inputs: Vec<Vec<i8>> = (0..graph.inputs())
        .map(|i| (0..graph.input(i).map_or(0, |input| input.shape.len())).map(|i| (i * 31 % 255) as u8 as i8).collect())
        .collect();
    let inputs: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    // For each set the times of whole runs, then of each node.
    let mut times = [vec![Vec::new(); graph.len() + 1], vec![Vec::new(); graph.len() + 1]];
    let mut arena = HeapArena::new(sets.iter().map(|set| graph.arena_bytes_with(*set)).max().unwrap_or(0));
    for run in 0..=runs {
        for (set, times) in sets.iter().zip(&mut times) {
            let mut ends = Vec::with_capacity(graph.len());
            let start = Instant::now();
            run_with(graph, *set, &inputs, arena.bytes(), |_, _| ends.push(milliseconds(start)))?;
            if run > 0 {
                times[0].push(milliseconds(start));
                let mut before = 0.0;
                for (node, end) in ends.into_iter().enumerate() {
                    times[node + 1].push(end - before);
                    before = end;
                }
            }
        }
    }
    let [ours, portable] = times;
    let mut each = ours.into_iter().zip(portable).filter_map(|(ours, portable)| time(ours, portable));
    let whole = each.next().unwrap_or(Time { median_ms: 0.0, least_ms: 0.0, portable_ms: 0.0 });
    let extents = |shape: kscout_core::kernels::Shape| [shape.h, shape.w, shape.c];
    let operators = graph.nodes().zip(each).map(|(node, time)| OperatorTime {
        index: node.index,
        operator: node.kind().to_string(),
        shapes: [extents(node.input.shape), extents(node.output.shape)],
        macs: node.macs(),
        macs_per_s: rate(node.macs(), &time),
        time,
    });
    Ok(GraphTime {
        graph: graph.kind().to_string(),
        macs: graph.macs(),
        macs_per_s: rate(graph.macs(), &whole),
        time: whole,
        operators: operators.collect(),
    })
}

/// Multiply-accumulates a second; 0 where no time was measured.
fn rate(macs: u64, time: &Time) -> f64 {
    if time.median_ms > 0.0 { macs as f64 / time.median_ms * 1e3 } else { 0.0 }
}

fn time(ours: Vec<f64>, portable: Vec<f64>) -> Option<Time> {
    let least_ms = ours.iter().copied().min_by(f64::total_cmp)?;
    Some(Time { median_ms: median(ours)?, least_ms, portable_ms: median(portable)? })
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_unstable_by(f64::total_cmp);
    let (low, high) = (times.get(times.len().checked_sub(1)? / 2)?, times.get(times.len() / 2)?);
    Some((low + high) / 2.0)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
