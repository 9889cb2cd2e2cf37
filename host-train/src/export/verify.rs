//! What int8 costs: a blob against the networks it was made of, over whole scans.
//!
//! The scans are the blob's own. Wherever they lead, the real-valued networks look at the same quantised images, so that
//! what differs is the arithmetic alone.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::kernels::Reference;
use kscout_core::kspace::Pattern;
use kscout_core::model::{Graph, Model, RunError, run_with};
use kscout_core::scan::{ScanError, Segmentation};
use rayon::prelude::*;
use serde::Serialize;

use super::observe::CalibrationSample;
use crate::data::{CLASSES, Dataset, Slice, Split, Volume, largest_class};
use crate::inference::numbers::{NoNumbers, numbers};
use crate::inference::rollout::rollout;
use crate::inference::segment::pixel_logits;
use crate::metrics::dice::{MeanDice, Occurring, SliceDice, overlaps};
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::mri::{KSpace, Protocol, acquire, seed_for};
use crate::net::{LinePolicy, Segmenter};
use crate::progress;
use crate::runtime::{HeapArena, fastest, scan as host_scan, scan_arena};

/// Images that the device evaluates at once.
const BATCH: usize = 16;
/// Slices on which the naive kernels are run against the fast ones.
const KERNEL_SLICES: usize = 3;

/// What is compared.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The part of the data set.
    pub split: Split,
    /// Lines a scan may measure; all are run.
    pub budgets: Vec<usize>,
    /// Stop after the volume with which this many slices are reached.
    pub limit: Option<usize>,
    /// How slices are measured.
    pub protocol: Protocol,
    /// Seed of phase and noise.
    pub seed: u64,
}

/// The networks that the blob was made of.
pub struct Originals<'a> {
    /// The segmenter.
    pub segmenter: &'a Segmenter,
    /// The policy, to compare decisions with.
    pub policy: Option<&'a LinePolicy>,
    /// Where both live.
    pub device: &'a Device,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The blob holds only a policy.
    #[error("the blob has no segmenter to compare; export one with --segmenter")]
    NoSegmenter,
    /// A policy was given, but the blob holds none.
    #[error(
        "--line-policy was given, but the blob has no line policy; export it with --line-policy, or leave the option out here"
    )]
    NoPolicy,
    /// The blob was made of another segmenter.
    #[error(
        "--segmenter is a segmenter of {got} multiply-accumulates, the blob's has {expected}; give the checkpoint that it was exported from, with the same --prune"
    )]
    OtherSegmenter {
        /// Multiply-accumulates of the given one.
        got: u64,
        /// Those of the blob's.
        expected: u64,
    },
    /// The blob and the data set differ in size.
    #[error("{}: slices of {}x{}, but the blob is for {}x{}", dir.display(), found[0], found[1], expected[0], expected[1])]
    Size {
        /// The data set.
        dir: PathBuf,
        /// Its rows and columns.
        found: [usize; 2],
        /// The blob's.
        expected: [usize; 2],
    },
    /// Nothing to run on.
    #[error("{}: no slices in split {split}; `kscout data info` lists the splits, --split names another", dir.display())]
    NoSlices {
        /// The data set.
        dir: PathBuf,
        /// The part that was asked for.
        split: Split,
    },
    /// The truth has no structure, so that there is no Dice.
    #[error("{}: no structure occurs in the truth of split {split}, so that there is no Dice to compare", dir.display())]
    NoStructure {
        /// The data set.
        dir: PathBuf,
        /// The part that was asked for.
        split: Split,
    },
    /// A budget that no scan can have.
    #[error("--budgets {budget}: a scan has 1 to {width} lines")]
    Budget {
        /// The budget.
        budget: usize,
        /// Lines there are.
        width: usize,
    },
    /// A scan broke off.
    #[error("slice {slice}: {source}")]
    Scan {
        /// The slice.
        slice: String,
        /// Why.
        source: ScanError,
    },
    /// The original gives no numbers.
    #[error(transparent)]
    NoNumbers(#[from] NoNumbers),
    /// A network broke off.
    #[error("slice {slice}: {source}")]
    Run {
        /// The slice.
        slice: String,
        /// Why.
        source: RunError,
    },
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Slices scanned at each budget.
    pub slices: usize,
    /// How int8 compares at each budget.
    pub budgets: Vec<BudgetReport>,
    /// Slices on which the kernels were compared.
    pub kernel_slices: usize,
    /// The first operator on which the naive and the fast kernels disagree, in words; none is as it should be.
    pub kernel_difference: Option<String>,
    /// The first slice's scan at the first budget, for comparison with other machines.
    pub digest: ScanDigest,
}

/// What identifies a scan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScanDigest {
    /// The slice.
    pub slice: String,
    /// Lines it could measure.
    pub budget: usize,
    /// The digest, in hexadecimal.
    pub digest: String,
}

/// How int8 compares at one budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BudgetReport {
    /// Lines of a scan.
    pub budget: usize,
    /// Largest difference of a logit.
    pub logits_largest: f64,
    /// Mean difference of a logit.
    pub logits_mean: f64,
    /// Share of pixels with the same class.
    pub classes_equal: f64,
    /// Mean 3-D Dice of RV, MYO and LV in real numbers; none where no volume has the structure.
    pub dice_float: [Option<f64>; 3],
    /// The same in int8.
    pub dice_int8: [Option<f64>; 3],
    /// Lines that the policy chose, where it was compared.
    pub decisions: usize,
    /// Those that the real-valued policy would have chosen too.
    pub decisions_equal: usize,
    /// These, and those whose line the real-valued policy rates less than a step of the int8 ratings below its own: where it is
    /// indifferent, int8 cannot tell the two apart.
    pub decisions_alike: usize,
    /// How far below its own choice the real-valued policy rated a chosen line at most.
    pub decisions_below: f64,
}

impl BudgetReport {
    /// Mean Dice in real numbers.
    pub fn mean_float(&self) -> f64 {
        SliceDice(self.dice_float).mean().unwrap_or(0.0)
    }

    /// Mean Dice in int8.
    pub fn mean_int8(&self) -> f64 {
        SliceDice(self.dice_int8).mean().unwrap_or(0.0)
    }

    /// Mean Dice lost to int8; negative where int8 happens to be better.
    pub fn loss(&self) -> f64 {
        self.mean_float() - self.mean_int8()
    }
}

/// Compares the blob with `originals` on the slices of `data`.
///
/// # Errors
/// [`VerifyError`] says why there is nothing to compare. A bad result is no error but part of the report.
pub fn verify(
    model: &Model<'_>,
    originals: &Originals<'_>,
    data: &Dataset,
    options: &VerifyOptions,
) -> Result<VerifyReport, VerifyError> {
    check(model, originals, data, options)?;
    let volumes: Vec<_> = limited(data, options).into_iter().map(|volume| volume.slices).collect();
    let mut sums: Vec<Sums> = options.budgets.iter().map(|_| Sums::default()).collect();
    let mut digest = None;
    let mut samples = Vec::new();
    let sample_every = volumes.len().div_ceil(KERNEL_SLICES);
    let bar = progress::bar(volumes.len() as u64, 0, "volumes");
    for (number, volume) in volumes.iter().enumerate() {
        let kspaces: Vec<KSpace> = volume.par_iter().map(|slice| measure(slice, options)).collect();
        for (sums, &budget) in sums.iter_mut().zip(&options.budgets) {
            let mut scans = scan_all(model, volume, &kspaces, budget, model.policy().is_some())?;
            digest.get_or_insert_with(|| ScanDigest {
                slice: volume[0].id.to_string(),
                budget,
                digest: format!("{:016x}", scans[0].digest),
            });
            sums.add(model, originals, volume, &scans)?;
            if number.is_multiple_of(sample_every) && samples.len() <= number / sample_every {
                let middle = scans.len() / 2;
                samples.push((volume[middle], scans.swap_remove(middle)));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let difference = samples.par_iter().find_map_first(|(slice, record)| {
        kernel_difference(model, record).map_err(|source| run_error(slice, source)).transpose()
    });
    Ok(VerifyReport {
        slices: volumes.iter().map(Vec::len).sum(),
        budgets: sums.iter().zip(&options.budgets).map(|(sums, &budget)| sums.report(budget)).collect(),
        kernel_slices: samples.len(),
        kernel_difference: difference.transpose()?,
        digest: digest.expect("at least one volume and one budget"),
    })
}

fn check(
    model: &Model<'_>,
    originals: &Originals<'_>,
    data: &Dataset,
    options: &VerifyOptions,
) -> Result<(), VerifyError> {
    let dir = data.dir().to_owned();
    let Some(segmenter) = model.segmenter() else {
        return Err(VerifyError::NoSegmenter);
    };
    let (got, expected) = (originals.segmenter.graph(model.height(), model.width()).macs(), segmenter.macs());
    if got != expected {
        return Err(VerifyError::OtherSegmenter { got, expected });
    }
    if originals.policy.is_some() && model.policy().is_none() {
        return Err(VerifyError::NoPolicy);
    }
    let (found, expected) = ([data.height(), data.width()], [model.height(), model.width()]);
    if found != expected {
        return Err(VerifyError::Size { dir, found, expected });
    }
    if data.slices(options.split).is_empty() {
        return Err(VerifyError::NoSlices { dir, split: options.split });
    }
    let width = model.width();
    let truth = limited(data, options).into_iter().flat_map(|volume| volume.slices).flat_map(|slice| &slice.label);
    if Occurring::in_labels(truth) == Occurring::default() {
        return Err(VerifyError::NoStructure { dir, split: options.split });
    }
    match options.budgets.iter().find(|&&budget| budget == 0 || budget > width) {
        Some(&budget) => Err(VerifyError::Budget { budget, width }),
        None if options.budgets.is_empty() => Err(VerifyError::Budget { budget: 0, width }),
        None => Ok(()),
    }
}

/// The volumes that are compared. Whole ones, for Dice is that of a volume.
pub fn limited<'d>(data: &'d Dataset, options: &VerifyOptions) -> Vec<Volume<'d>> {
    let mut slices = 0;
    let enough = |volume: &Volume<'_>| {
        let before = slices;
        slices += volume.slices.len();
        options.limit.is_none_or(|limit| before < limit.max(1))
    };
    data.volumes(options.split).into_iter().take_while(enough).collect()
}

fn measure(slice: &Slice, options: &VerifyOptions) -> KSpace {
    let seed = seed_for(&slice.id.patient, slice.id.n, options.seed);
    acquire(&slice.image, slice.height, slice.width, &options.protocol, seed)
}

/// A scan that has been record.
struct ScanRecord {
    levels: Vec<i8>,
    logits: Vec<i8>,
    classes: Vec<u8>,
    digest: u64,
    steps: Vec<Step>,
}

/// A decision of the file's policy.
struct Step {
    seen: CalibrationSample,
    /// The line that it took.
    line: usize,
}

/// Scans every slice, with the blob's policy or else centre-out. `keep_steps`: with what the policy saw.
fn scan_all(
    model: &Model<'_>,
    slices: &[&Slice],
    kspaces: &[KSpace],
    budget: usize,
    keep_steps: bool,
) -> Result<Vec<ScanRecord>, VerifyError> {
    let centre_out = Pattern::CentreOut.lines(model.width(), budget, 0).expect("a budget that was checked");
    let order = model.policy().is_none().then_some(&*centre_out);
    let one = |arena: &mut HeapArena, (slice, kspace): (&&Slice, &KSpace)| {
        scan_one(model, arena, kspace, budget, order, keep_steps)
            .map_err(|source| VerifyError::Scan { slice: slice.id.to_string(), source })
    };
    slices.par_iter().zip(kspaces).map_init(|| scan_arena(model), one).collect()
}

fn scan_one(
    model: &Model<'_>,
    arena: &mut HeapArena,
    kspace: &KSpace,
    budget: usize,
    order: Option<&[u16]>,
    keep_steps: bool,
) -> Result<ScanRecord, ScanError> {
    let mut scan = host_scan(model, arena)?;
    let mut steps = Vec::new();
    let mut order = order.map(|order| order.iter().map(|&line| usize::from(line)));
    rollout(&mut scan, kspace, budget, |scan| {
        let line = match &mut order {
            Some(order) => order.next(),
            None => scan.propose()?,
        };
        if let (true, Some(line)) = (keep_steps, line) {
            let seen = CalibrationSample { levels: scan.image().to_vec(), state: scan.state().to_vec() };
            steps.push(Step { seen, line });
        }
        Ok(line)
    })?;
    let digest = scan.digest()?;
    let Segmentation { classes, logits, image, .. } = scan.segment()?;
    Ok(ScanRecord { levels: image.to_vec(), logits: logits.to_vec(), classes: classes.to_vec(), digest, steps })
}

/// Running totals at one budget.
#[derive(Default)]
struct Sums {
    largest: f64,
    difference: f64,
    logits: usize,
    pixels: usize,
    pixels_equal: usize,
    float: MeanDice,
    int8: MeanDice,
    decisions: usize,
    decisions_equal: usize,
    decisions_alike: usize,
    decisions_below: f64,
}

impl Sums {
    fn add(
        &mut self,
        model: &Model<'_>,
        originals: &Originals<'_>,
        slices: &[&Slice],
        scans: &[ScanRecord],
    ) -> Result<(), NoNumbers> {
        let size = [model.height(), model.width()];
        let output = model.segmenter().expect("checked before").output();
        let truth: Vec<u8> = slices.iter().flat_map(|slice| slice.label.iter().copied()).collect();
        let mut float_classes = Vec::with_capacity(truth.len());
        for batch in scans.chunks(BATCH) {
            let images = batch.iter().flat_map(|record| levels_to_real(&record.levels)).collect();
            let real = pixel_logits(originals.segmenter, images, size, originals.device)?;
            let int8 = batch.iter().flat_map(|record| &record.logits);
            for (&real, &q) in real.iter().zip(int8) {
                let value = output.scale * (i32::from(q) - output.zero_point) as f32;
                let difference = f64::from((real - value).abs());
                self.largest = self.largest.max(difference);
                self.difference += difference;
            }
            self.logits += real.len();
            float_classes.extend(real.chunks_exact(CLASSES).map(largest_class));
        }
        let int8_classes: Vec<u8> = scans.iter().flat_map(|record| record.classes.iter().copied()).collect();
        self.pixels += truth.len();
        self.pixels_equal += int8_classes.iter().zip(&float_classes).filter(|(a, b)| a == b).count();
        let overlaps = |classes: &[u8]| overlaps(classes, &truth).expect("as many classes as labels");
        self.float.add_overlaps(&overlaps(&float_classes));
        self.int8.add_overlaps(&overlaps(&int8_classes));
        let steps: Vec<&Step> = scans.iter().flat_map(|record| &record.steps).collect();
        if let Some(policy) = originals.policy {
            self.decisions += steps.len();
            let int8_step = model.policy().map_or(0.0, |graph| graph.output().scale);
            for steps in steps.chunks(4 * BATCH) {
                for below in decisions_below(policy, steps, size, originals.device)? {
                    self.decisions_equal += usize::from(below == 0.0);
                    self.decisions_alike += usize::from(below == 0.0 || below < int8_step);
                    self.decisions_below = self.decisions_below.max(f64::from(below));
                }
            }
        }
        Ok(())
    }

    fn report(&self, budget: usize) -> BudgetReport {
        BudgetReport {
            budget,
            logits_largest: self.largest,
            logits_mean: self.difference / self.logits.max(1) as f64,
            classes_equal: self.pixels_equal as f64 / self.pixels.max(1) as f64,
            dice_float: self.float.means(),
            dice_int8: self.int8.means(),
            decisions: self.decisions,
            decisions_equal: self.decisions_equal,
            decisions_alike: self.decisions_alike,
            decisions_below: self.decisions_below,
        }
    }
}

/// For each step how far the line taken is below the real-valued policy's best, in its logits; 0 where it is the best.
fn decisions_below(
    policy: &LinePolicy,
    steps: &[&Step],
    [h, w]: [usize; 2],
    device: &Device,
) -> Result<Vec<f32>, NoNumbers> {
    let images: Vec<f32> = steps.iter().flat_map(|step| levels_to_real(&step.seen.levels)).collect();
    let states: Vec<f32> = steps.iter().flat_map(|step| state_to_real(&step.seen.state)).collect();
    let entries = states.len() / steps.len();
    let images = Tensor::<4>::from_data(TensorData::new(images, [steps.len(), 1, h, w]), device);
    let states = Tensor::<2>::from_data(TensorData::new(states, [steps.len(), entries]), device);
    let logits = numbers(policy.forward(images, states, device), "policy")?;
    let below = |(logits, Step { seen, line }): (&[f32], &&Step)| {
        let unmeasured = logits.iter().zip(&seen.state).filter(|(_, measured)| **measured == 0);
        unmeasured.fold(f32::NEG_INFINITY, |best, (&logit, _)| best.max(logit)) - logits[*line]
    };
    Ok(logits.chunks_exact(w).zip(steps).map(below).collect())
}

fn run_error(slice: &Slice, source: RunError) -> VerifyError {
    VerifyError::Run { slice: slice.id.to_string(), source }
}

/// The first operator whose result the naive and the fast kernels disagree on, over the networks' runs in one scan.
fn kernel_difference(model: &Model<'_>, record: &ScanRecord) -> Result<Option<String>, RunError> {
    if let Some(graph) = model.segmenter() {
        let difference = graph_difference(&graph, &[&record.levels])?;
        if difference.is_some() {
            return Ok(difference);
        }
    }
    let Some(graph) = model.policy() else { return Ok(None) };
    for Step { seen, .. } in record.steps.iter().take(KERNEL_SLICES) {
        if let Some(difference) = graph_difference(&graph, &[&seen.levels, &seen.state])? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

fn graph_difference(graph: &Graph<'_>, inputs: &[&[i8]]) -> Result<Option<String>, RunError> {
    let mut arena = HeapArena::new(graph.arena_bytes_with(&fastest()));
    let mut results = Vec::with_capacity(graph.len());
    run_with(graph, &Reference, inputs, arena.bytes(), |_, values| results.push(values.to_vec()))?;
    let mut first = None;
    run_with(graph, &fastest(), inputs, arena.bytes(), |index, values| {
        if first.is_none() && results.get(index).is_none_or(|expected| expected != values) {
            first = Some(index);
        }
    })?;
    let name = |index| graph.node(index).map_or_else(|_| String::new(), |node| format!(" ({})", node.kind()));
    Ok(first.map(|index| format!("{}, operator {index}{}", graph.kind(), name(index))))
}
