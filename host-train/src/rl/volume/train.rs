//! `kscout train slice-policy`: volumes followed line by line, and a policy that shares their budgets.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kscout_core::volume::MOST_SLICES;

use crate::data::{Dataset, Split};
use crate::eval::run::measure;
use crate::mri::random::mix;
use crate::progress;
use crate::rl::error::PolicyError;
use crate::rl::volume::config::VolumeConfig;
use crate::rl::volume::learner::VolumeActorCritic;
use crate::rl::volume::scorers::FoldSegmenters;
use crate::rl::volume::task::Trainer;
use crate::samplers::LearnedMask;
use crate::train::checkpoint::{self, Kind, Meta, Scoring, SlicePolicyRecord};
use crate::train::start::Opening;
use crate::train::{RunOptions, TrainError, Trained};
use crate::volume::VolumeTrajectories;
use crate::volume::trajectories::{Variation, centre_out, continued, follow};
use crate::volume::trajectory::Course;

/// What a slice policy is trained with beside its data.
#[derive(Clone, Copy)]
pub struct SlicePolicyInputs<'a> {
    /// The checkpoint of the segmenter that it is for.
    pub reward: &'a Path,
    /// Checkpoints of segmenters of which each training patient is new to one, which then follows the patient's volumes; none:
    /// `reward` follows all.
    pub held_out: &'a [PathBuf],
    /// The order of the first lines of a slice, the others from the centre out; none: centre-out.
    pub mask: Option<&'a LearnedMask>,
}

/// Trains a slice policy on `data` and leaves `last`, `best`, `log.csv` and `positions.json` (lines by position, the baseline) in
/// the run's folder.
///
/// # Errors
/// [`PolicyError`] says what does not fit, and where.
pub fn train_slice_policy(
    data: &Dataset,
    inputs: SlicePolicyInputs<'_>,
    config: &VolumeConfig,
    options: RunOptions<'_>,
) -> Result<Trained, PolicyError> {
    let config = &config.fitted(data.width());
    let protocol = config.check(data.width()).map_err(TrainError::from)?;
    let opening = Opening::find(options)?;
    expect_slices(data)?;
    let scorers = FoldSegmenters::load(data, inputs.reward, inputs.held_out, config, options.device)?;
    let mask = inputs.mask;
    let order = mask.map_or_else(|| centre_out(data.width()), |mask| continued(&mask.lines, data.width()));
    let line_order = if mask.is_some() { order.clone() } else { Vec::new() };
    let kind = Kind::SlicePolicy(SlicePolicyRecord { line_order: line_order.clone(), held_out: scorers.held_out() });
    let scoring = Scoring::weighing(&config.measuring, &config.validate_lines, config.weights());
    let begun = Meta::begun(kind, data, config, scoring).with(scorers.input.clone());
    // Before the volumes are followed, which takes long.
    let run = opening.describe(Meta { reconstruction: scorers.reconstruction, ..begun })?;
    let course = Course { order: &order, with_ssim: config.weights().need_ssim() };
    let training = followed(data, &scorers, config, course)?;
    let measured = measure(data, Split::Val, &protocol, config.measuring.seed);
    let validation = VolumeTrajectories::of_a_data_set(follow(&scorers.own()?, &measured, course)?);
    Trainer { config, line_order, training, validation, device: options.device }.run(run)
}

/// Refuses volumes that the core cannot scan.
fn expect_slices(data: &Dataset) -> Result<(), TrainError> {
    let volumes = [Split::Train, Split::Val].into_iter().flat_map(|split| data.volumes(split));
    let Some(large) = volumes.into_iter().find(|volume| volume.slices.len() > MOST_SLICES) else { return Ok(()) };
    Err(TrainError::Slices { path: data.dir().to_owned(), volume: large.name(), slices: large.slices.len() })
}

/// The training volumes, each varied `copies` times, followed line by line.
fn followed(
    data: &Dataset,
    scorers: &FoldSegmenters,
    config: &VolumeConfig,
    course: Course<'_>,
) -> Result<Vec<VolumeTrajectories>, PolicyError> {
    let volumes = data.volumes(Split::Train);
    if volumes.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()).into());
    }
    let models = scorers.of(&volumes)?;
    let VolumeConfig { copies, augment, measuring, .. } = config;
    let bar = progress::bar((volumes.len() * copies) as u64, 0, "volumes");
    let mut trajectories = Vec::with_capacity(volumes.len() * copies);
    for copy in 0..*copies {
        for (number, (volume, model)) in volumes.iter().zip(&models).enumerate() {
            let variation = Variation { model, protocol: &measuring.protocol, augment, course };
            let seed = mix(measuring.seed ^ ((copy << 32 | number) as u64 + 1));
            trajectories.push(variation.follow(volume, seed)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(VolumeTrajectories::of_a_data_set(trajectories))
}

/// The slice policy in the checkpoint that `path` names, and the folder it lies in.
///
/// # Errors
/// A checkpoint problem.
pub fn load_slice_policy(
    path: &Path,
    device: &Device,
) -> Result<(crate::net::SlicePolicy, Meta), checkpoint::CheckpointError> {
    let (dir, mut meta) = checkpoint::read_meta(path)?;
    meta.slice_policy(&dir)?;
    let agent: VolumeActorCritic = checkpoint::load_noted(&dir, VolumeActorCritic::new(device), &mut meta)?;
    Ok((agent.policy, meta))
}
