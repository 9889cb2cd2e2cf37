//! Scans of many slices, by a policy or a pattern, and the scores of their volumes.

use kscout_core::kspace::recon::magnitude;
use kscout_core::kspace::{Pattern, PatternError};
use kscout_core::model::Model;
use kscout_core::scan::ScanError;
use rayon::prelude::*;

use super::metrics::{LabelVolume, MeanDice, MetricError};
use super::quality::{nmse, psnr, ssim};
use super::scores::{VolumeScores, score_volume};
use crate::data::{Dataset, Slice, Split};
use crate::kernels::{HostScan, scan as host_scan, scan_arena};
use crate::mri::{KSpace, Protocol, acquire, seed_for};
use crate::net::FloatGraph;
use crate::play::{Chooser, chosen_lines, float_choice, play};
use crate::segment::{HeapArena, Segment};

/// How lines are chosen.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// The int8 policy of the model.
    Policy,
    /// A policy in real numbers.
    FloatPolicy(&'a FloatGraph),
    /// A policy in real numbers that is asked about many scans at once.
    Chooser(&'a dyn Chooser),
    /// A fixed order.
    Pattern(Pattern),
}

impl Method<'_> {
    /// The name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Policy | Self::FloatPolicy(_) | Self::Chooser(_) => "policy",
            Self::Pattern(pattern) => pattern.name(),
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
    /// A pattern cannot give that many lines.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Images or labels do not fit together.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// A slice and what the scanner would measure of it.
pub struct Measured<'a> {
    /// The slice.
    pub slice: &'a Slice,
    /// Its k-space.
    pub kspace: KSpace,
    /// The seed of its phase and noise, and of the random patterns.
    pub seed: u64,
}

/// One volume, measured.
pub struct MeasuredVolume<'a> {
    /// The patient.
    pub patient: &'a str,
    /// The phase of the cycle: `ED` or `ES`.
    pub phase: String,
    /// Distance of neighbouring voxels along z, y and x in mm.
    pub spacing_mm: [f64; 3],
    /// Its slices, from base to apex.
    pub slices: Vec<Measured<'a>>,
}

/// Measures the volumes of a split. Phase and noise depend on the slice and `seed` alone.
pub fn measure<'a>(data: &'a Dataset, split: Split, protocol: &Protocol, seed: u64) -> Vec<MeasuredVolume<'a>> {
    let slice = |slice: &'a Slice| {
        let seed = seed_for(&slice.id.patient, slice.id.n, seed);
        let kspace = acquire(&slice.image, slice.height, slice.width, protocol, seed);
        Measured { slice, kspace, seed }
    };
    data.volumes(split)
        .into_iter()
        .map(|volume| MeasuredVolume {
            patient: volume.patient,
            phase: volume.phase.to_string(),
            spacing_mm: [2, 1, 0].map(|axis| f64::from(volume.spacing_mm[axis])),
            slices: volume.slices.into_par_iter().map(slice).collect(),
        })
        .collect()
}

/// What a scan of one slice ended with.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The lines, in the order they were measured.
    pub lines: Vec<u16>,
    /// The quantised image.
    pub levels: Vec<i8>,
    /// The classes.
    pub classes: Vec<u8>,
    /// Quality of the zero-filled image against the fully sampled one.
    pub quality: Quality,
}

/// Image quality against the fully sampled magnitude image, whose largest value is the data range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    /// Structural similarity.
    pub ssim: f64,
    /// Peak signal to noise in dB; infinite for equal images.
    pub psnr_db: f64,
    /// Normalised mean squared error.
    pub nmse: f64,
}

/// Scans every slice of every volume, in parallel, and segments them.
pub fn scan_volumes(
    model: &Model<'_>,
    segmenter: &dyn Segment,
    volumes: &[MeasuredVolume<'_>],
    method: Method<'_>,
    budget: usize,
) -> Result<Vec<Vec<Scanned>>, RunError> {
    Ok(segmented(segmenter, scan_slices(model, volumes, method, budget)?))
}

/// Scans every slice of every volume, in parallel; no classes yet.
pub fn scan_slices(
    model: &Model<'_>,
    volumes: &[MeasuredVolume<'_>],
    method: Method<'_>,
    budget: usize,
) -> Result<Vec<Vec<Scanned>>, RunError> {
    let slices: Vec<&Measured<'_>> = volumes.iter().flat_map(|volume| &volume.slices).collect();
    let chosen = match method {
        Method::Chooser(chooser) => {
            let kspaces: Vec<&KSpace> = slices.iter().map(|measured| &measured.kspace).collect();
            chosen_lines(model, &kspaces, chooser, budget)?
        }
        _ => vec![Vec::new(); slices.len()],
    };
    let arena = || scan_arena(model);
    let mut scans = (slices.par_iter().zip(chosen))
        .map_init(arena, |arena, (slice, chosen)| scan_slice(model, arena, slice, (method, chosen), budget))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    Ok(volumes.iter().map(|volume| scans.by_ref().take(volume.slices.len()).collect()).collect())
}

/// The scans with their classes.
pub fn segmented(segmenter: &dyn Segment, mut scans: Vec<Vec<Scanned>>) -> Vec<Vec<Scanned>> {
    let images: Vec<&[i8]> = scans.iter().flatten().map(|scan| scan.levels.as_slice()).collect();
    let classes = segmenter.segment(&images);
    scans.iter_mut().flatten().zip(classes).for_each(|(scan, classes)| scan.classes = classes);
    scans
}

/// The lines and the image of one scan; no classes yet. `chosen` are the lines of a [`Method::Chooser`].
fn scan_slice(
    model: &Model<'_>,
    arena: &mut HeapArena,
    measured: &Measured<'_>,
    (method, chosen): (Method<'_>, Vec<u16>),
    budget: usize,
) -> Result<Scanned, RunError> {
    let refused = |source| RunError::Scan { slice: measured.slice.id.to_string(), source };
    let mut scan = host_scan(model, arena).map_err(refused)?;
    let order = match method {
        Method::Pattern(pattern) => pattern.lines(measured.slice.width, budget, measured.seed)?.to_vec(),
        _ => chosen,
    };
    let mut order = order.iter().map(|&line| usize::from(line));
    let choose = |scan: &mut HostScan<'_, '_>| match method {
        Method::Pattern(_) | Method::Chooser(_) => Ok(order.next()),
        Method::FloatPolicy(graph) => Ok(float_choice(graph, scan)),
        Method::Policy => scan.propose(),
    };
    play(&mut scan, &measured.kspace, budget, choose).map_err(refused)?;
    let mut image = vec![0.0; measured.slice.image.len()];
    magnitude(scan.complex_image(), &mut image).expect("images of one size");
    let quality = quality(&measured.kspace, &image)?;
    Ok(Scanned { lines: scan.lines().to_vec(), levels: scan.image().to_vec(), classes: Vec::new(), quality })
}

fn quality(kspace: &KSpace, image: &[f32]) -> Result<Quality, MetricError> {
    let reference: Vec<f32> = kspace.image().iter().map(|value| value.norm()).collect();
    let range = f64::from(reference.iter().fold(0f32, |a, &b| a.max(b)));
    if range <= 0.0 {
        return Ok(Quality { ssim: 1.0, psnr_db: f64::INFINITY, nmse: 0.0 });
    }
    Ok(Quality {
        ssim: ssim(&reference, image, kspace.height, kspace.width, range)?,
        psnr_db: psnr(&reference, image, range)?,
        nmse: nmse(&reference, image)?.unwrap_or(0.0),
    })
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

/// Mean over the volumes of RV, MYO and LV Dice; volumes in which a class is absent are left out of that class.
pub fn mean_dice(scores: &[VolumeScores]) -> [f64; 3] {
    let mut mean = MeanDice::default();
    scores.iter().for_each(|volume| mean.add(volume.0.map(|structure| structure.dice)));
    mean.means().map(|dice| dice.unwrap_or(0.0))
}
