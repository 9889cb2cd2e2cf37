//! `kscout train reward`: a segmenter that knows every stage of a scan.

use std::path::Path;

use burn::tensor::Device;
use indicatif::ProgressBar;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Trained;
use super::ahead::Ahead;
use super::checkpoint::{self, CheckpointError, Meta};
use super::config::RewardConfig;
use super::drive::{Span, Training, drive};
use super::error::TrainError;
use super::folder::{self, RunFolder};
use super::folds;
use super::given::GivenMasks;
use super::run::{Run, columns};
use super::sample::{Sample, training_sample};
use super::schedule::Clock;
use super::validate::Validation;
use crate::data::{CLASSES, Dataset, Slice, Split};
use crate::mri::Protocol;
use crate::net::Segmenter;

/// The segmenter in the checkpoint that `path` names; with `prune`, only what that head of a U-Net++ needs.
pub fn load_segmenter(
    path: &Path,
    prune: Option<usize>,
    device: &Device,
) -> Result<(Segmenter, Meta), CheckpointError> {
    let (dir, mut meta) = checkpoint::read_meta(path)?;
    let spec = meta.segmenter(&dir)?;
    if spec.classes != CLASSES {
        return Err(CheckpointError::Classes { path: dir, classes: spec.classes });
    }
    let network = checkpoint::load_noted(&dir, Segmenter::new(&spec, device), &mut meta)?;
    let Some(level) = prune else { return Ok((network, meta)) };
    let levels = spec.arch.levels();
    if levels == 1 || !(1..=levels).contains(&level) {
        return Err(CheckpointError::Prune { path: dir, network: meta.network, level, levels });
    }
    if level < levels && !meta.has_trained_head(level) {
        return Err(CheckpointError::Untrained { path: dir, level });
    }
    Ok((network.pruned(level), meta))
}

/// Trains a segmenter on `data` and leaves the checkpoints `last` and `best` and `log.csv` in `out`.
///
/// `resume` goes on from `out/last` where there is one. Otherwise the weights begin as those of the checkpoint `init`, or at
/// random. A share of the samples is seen through masks of `given`. The patients of the configuration's fold are left out.
pub fn train_reward(
    data: &Dataset,
    out: &Path,
    config: &RewardConfig,
    device: &Device,
    (resume, init): (bool, Option<&Path>),
    given: &GivenMasks,
) -> Result<Trained, TrainError> {
    data.expect_masks("the training of a segmenter")?;
    let config = &config.fitted(data.width());
    let protocol = config.check(data)?;
    config.precision.check(device).map_err(|message| TrainError::Config { key: "precision", message })?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()));
    }
    let (slices, left_out) = folds::part(slices, |slice| &slice.id.patient, (config.folds, config.fold))?;
    let found = folder::find(out, resume)?;
    let last = found.as_ref().map(|(dir, _)| dir.clone());
    let mut run = Run::new(data, config, device, (found, init), (given, left_out))?;
    let validation = Validation::new(data, (&protocol, config.reconstruction), config.seed);
    let columns = columns(config, !validation.is_empty());
    let folder = RunFolder::open(out, columns, last.as_deref(), &mut run.meta)?;
    let span = Span {
        name: "training",
        steps: config.steps,
        stop_at: config.stop_at,
        validate_every: config.validate_every,
        max_minutes: config.max_minutes,
    };
    let source = Source { config, protocol, slices, given };
    let mut session = Session { run, source, ahead: Ahead::new(), validation, folder };
    // From first to last on one thread of those that compute: burn keeps the running statistics of each thread apart.
    rayon::scope(|_| drive(&mut session, span))
}

/// What a run learns from.
struct Source<'a> {
    config: &'a RewardConfig,
    protocol: Protocol,
    slices: Vec<&'a Slice>,
    given: &'a GivenMasks,
}

impl Source<'_> {
    /// The samples of a step.
    fn samples(&self, step: usize) -> Vec<Sample> {
        let (config, how) = (self.config, (&self.protocol, self.config.reconstruction));
        let sample = |(index, seed): (usize, u64)| {
            let slice = self.slices[index];
            let masks = (&config.masks, self.given.of(&slice.id));
            let sample = training_sample(slice, seed, &config.augment, masks, how);
            if config.crop > 0 { sample.cropped(config.crop, seed) } else { sample }
        };
        batch_indices(self.slices.len(), step, config).into_par_iter().map(sample).collect()
    }
}

/// A run and where it stands.
struct Session<'a> {
    run: Run<'a>,
    source: Source<'a>,
    ahead: Ahead<Vec<Sample>>,
    validation: Validation<'a>,
    folder: RunFolder,
}

impl Training for Session<'_> {
    type Error = TrainError;

    fn meta(&self) -> &Meta {
        &self.run.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.run.meta
    }

    fn step(&mut self, clock: &Clock) -> Result<String, TrainError> {
        let Self { run, source, ahead, .. } = self;
        let (step, steps) = (run.meta.step, source.config.steps);
        let position = clock.position(step, steps);
        let loss = ahead.step((step, steps), |step| source.samples(step), |samples| run.step(samples, position))?;
        run.meta.since.add([loss]);
        Ok(format!("loss {loss:.3}"))
    }

    fn validate_and_save(&mut self, bar: &ProgressBar) -> Result<(), TrainError> {
        self.run.validate_and_save((&self.validation, &self.folder), bar)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.run.save(&self.folder)
    }

    fn ended(&self) -> Option<String> {
        let (step, waited) = (self.run.meta.step, self.source.config.stop_patience);
        let words = || format!("ended at step {step}: no better score in {waited} validations (stop_patience)");
        self.run.is_stopped().then(words)
    }
}

/// The slices of a step and their seeds: every slice once an epoch, in an order of the epoch's own.
fn batch_indices(slices: usize, step: usize, config: &RewardConfig) -> Vec<(usize, u64)> {
    let mut order: (usize, Vec<usize>) = (usize::MAX, Vec::new());
    (0..config.batch)
        .map(|i| {
            let drawn = step * config.batch + i;
            let epoch = drawn / slices;
            if order.0 != epoch {
                let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ ((epoch as u64) << 20));
                let mut shuffled: Vec<usize> = (0..slices).collect();
                shuffled.shuffle(&mut rng);
                order = (epoch, shuffled);
            }
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(drawn as u64 + 1);
            (order.1[drawn % slices], rng.random())
        })
        .collect()
}
