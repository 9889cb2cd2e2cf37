//! Scans of many slices, by a policy or a pattern, and the scores of their volumes.

use kscout_core::kspace::{Pattern, Plan};
use kscout_core::model::Model;
use kscout_core::scan::ScanError;
use rayon::prelude::*;

use crate::inference::numbers::NoNumbers;
use crate::inference::partial_scan::PartialScan;
use crate::inference::rollout::{Chooser, RolloutError, chosen_lines, float_choice, rollout};
use crate::inference::segment::Segment;
use crate::metrics::dice::{LabelVolume, MeanDice, MetricError};
use crate::metrics::reference::Reference;
use crate::metrics::scores::{VolumeScores, score_volume};
use crate::mri::KSpace;
use crate::net::FloatGraph;
use crate::runtime::{HostReconstructor, reconstructed, scan as host_scan, scan_arena};
use crate::samplers::{LineOrder, MethodName, OrderError};

pub(crate) use crate::data::measured::{Measured, MeasuredVolume, measure};
pub(crate) use crate::inference::rollout::Scanned;

/// How lines are chosen.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// The int8 policy of a model that holds one.
    Policy(&'a Model<'a>),
    /// A policy in real numbers.
    FloatPolicy(&'a FloatGraph),
    /// A policy in real numbers that is asked about many scans at once.
    Chooser(&'a dyn Chooser),
    /// Lines that are chosen without running a policy: a learned mask, an oracle.
    Order(&'a dyn LineOrder),
    /// The order that most share.
    Pattern(Pattern),
}

impl Method<'_> {
    /// The name in tables.
    pub fn name(&self) -> MethodName {
        match self {
            Self::Policy(_) | Self::FloatPolicy(_) | Self::Chooser(_) => MethodName::Policy,
            Self::Order(order) => order.name().into(),
            Self::Pattern(pattern) => pattern.name().into(),
        }
    }
}

/// Why scans could not be run or scored.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The core refused a step.
    #[error("slice {slice}: {source}")]
    Scan {
        /// The slice.
        slice: String,
        /// Why.
        source: ScanError,
    },
    /// The core refused a step of scans side by side.
    #[error("scans side by side: {0}")]
    SideBySide(#[from] ScanError),
    /// A network gives no numbers.
    #[error(transparent)]
    NoNumbers(#[from] NoNumbers),
    /// An order cannot give that many lines, or not of these slices.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Images or labels do not fit together.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl From<RolloutError> for RunError {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Scan(error) => Self::SideBySide(error),
            RolloutError::NoNumbers(error) => Self::NoNumbers(error),
        }
    }
}

/// Scans every slice of every volume, in parallel, and segments them.
pub fn scan_volumes(
    plan: Plan,
    segmenter: &dyn Segment,
    volumes: &[MeasuredVolume<'_>],
    method: Method<'_>,
    budget: usize,
) -> Result<Vec<Vec<Scanned>>, RunError> {
    Ok(segmented(segmenter, scan_slices(plan, volumes, method, budget)?)?)
}

/// Scans every slice of every volume, in parallel; no classes yet.
pub fn scan_slices(
    plan: Plan,
    volumes: &[MeasuredVolume<'_>],
    method: Method<'_>,
    budget: usize,
) -> Result<Vec<Vec<Scanned>>, RunError> {
    let slices: Vec<&Measured<'_>> = volumes.iter().flat_map(|volume| &volume.slices).collect();
    let chosen = match method {
        Method::Chooser(chooser) => {
            let kspaces: Vec<&KSpace> = slices.iter().map(|measured| &measured.kspace).collect();
            chosen_lines(plan, &kspaces, chooser, budget)?
        }
        Method::Order(order) => ordered_lines(order, volumes, budget)?,
        Method::Pattern(pattern) => ordered_lines(&pattern, volumes, budget)?,
        Method::Policy(_) | Method::FloatPolicy(_) => vec![Vec::new(); slices.len()],
    };
    let mut scans = (slices.par_iter().zip(&chosen))
        .map(|(slice, chosen)| scan_slice(plan, slice, method, chosen, budget))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    Ok(volumes.iter().map(|volume| scans.by_ref().take(volume.slices.len()).collect()).collect())
}

/// The lines of each slice of the volumes.
fn ordered_lines(
    order: &dyn LineOrder,
    volumes: &[MeasuredVolume<'_>],
    budget: usize,
) -> Result<Vec<Vec<u16>>, OrderError> {
    let of_volumes = volumes.par_iter().map(|volume| order.orders(volume, budget));
    Ok(of_volumes.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The scans with their classes.
///
/// # Errors
/// [`NoNumbers`] where the segmenter does not give any.
pub fn segmented(segmenter: &dyn Segment, mut scans: Vec<Vec<Scanned>>) -> Result<Vec<Vec<Scanned>>, NoNumbers> {
    let images: Vec<&[i8]> = scans.iter().flatten().map(|scan| scan.levels.as_slice()).collect();
    let classes = segmenter.segment(&images)?;
    scans.iter_mut().flatten().zip(classes).for_each(|(scan, classes)| scan.classes = classes);
    Ok(scans)
}

/// The lines and the image of one scan; no classes yet. `chosen` are its lines where no policy is asked line by line.
fn scan_slice(
    plan: Plan,
    measured: &Measured<'_>,
    method: Method<'_>,
    chosen: &[u16],
    budget: usize,
) -> Result<Scanned, RunError> {
    let refused = |source: ScanError| RunError::Scan { slice: measured.slice.id.to_string(), source };
    let kspace = &measured.kspace;
    if let Method::Policy(model) = method {
        let mut arena = scan_arena(model);
        let mut scan = host_scan(model, &mut arena).map_err(|error| refused(error.into()))?;
        rollout(&mut scan, kspace, budget, |scan| Ok(scan.propose()?)).map_err(refused)?;
        let (lines, levels) = (scan.lines().to_vec(), scan.image().to_vec());
        return scanned(kspace, lines, levels, scan.reconstructor());
    }
    let mut scan = PartialScan::new(plan).map_err(|error| refused(error.into()))?;
    // Where slices share a budget, each has its own number of lines.
    let lines = if chosen.is_empty() { budget } else { chosen.len() };
    scan.start(lines).map_err(|error| refused(error.into()))?;
    let mut chosen = chosen.iter().map(|&line| usize::from(line));
    while scan.remaining() > 0 {
        let next = match method {
            Method::FloatPolicy(graph) => float_choice(graph, &mut scan)?,
            Method::Policy(_) | Method::Chooser(_) | Method::Order(_) | Method::Pattern(_) => chosen.next(),
        };
        let Some(line) = next else { break };
        scan.push_line(line, kspace.line(line)).map_err(|error| refused(error.into()))?;
    }
    let (lines, levels) = (scan.lines().to_vec(), scan.image().to_vec());
    scanned(kspace, lines, levels, scan.reconstructor())
}

fn scanned(
    kspace: &KSpace,
    lines: Vec<u16>,
    levels: Vec<i8>,
    image: &HostReconstructor<'_>,
) -> Result<Scanned, RunError> {
    let quality = Reference::new(kspace).quality(&reconstructed(image))?;
    Ok(Scanned { lines, levels, classes: Vec::new(), quality })
}

/// The scores of each volume.
pub fn score(volumes: &[MeasuredVolume<'_>], scans: &[Vec<Scanned>]) -> Result<Vec<VolumeScores>, RunError> {
    let one = |(volume, scans): (&MeasuredVolume<'_>, &Vec<Scanned>)| {
        let first = &volume.slices[0].slice;
        let shape = [scans.len(), first.height, first.width];
        let predicted: Vec<u8> = scans.iter().flat_map(|scan| scan.classes.iter().copied()).collect();
        let truth: Vec<u8> = volume.slices.iter().flat_map(|m| m.slice.label.iter().copied()).collect();
        let predicted = LabelVolume::new(&predicted, shape, volume.spacing_mm)?;
        let truth = LabelVolume::new(&truth, shape, volume.spacing_mm)?;
        Ok(score_volume(&predicted, &truth)?)
    };
    volumes.par_iter().zip(scans.par_iter()).map(one).collect()
}

/// Mean over the volumes of RV, MYO and LV Dice.
pub fn mean_dice(scores: &[VolumeScores]) -> MeanDice {
    let mut mean = MeanDice::default();
    scores.iter().for_each(|volume| mean.add(volume.0.map(|structure| structure.dice), volume.truth_has()));
    mean
}
