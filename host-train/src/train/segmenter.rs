//! `kscout train segmenter`: a segmenter that knows every stage of a scan.

use std::path::Path;

use burn::tensor::Device;
use indicatif::ProgressBar;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::data::{CLASSES, Dataset, Slice, Split};
use crate::mri::Acquisition;
use crate::net::Segmenter;
use crate::train::ahead::Ahead;
use crate::train::checkpoint::{self, CheckpointError, Meta, SegmenterRecord};
use crate::train::config::SegmenterConfig;
use crate::train::drive::{Span, Training, drive};
use crate::train::error::TrainError;
use crate::train::folder::{self, RunFolder};
use crate::train::folds;
use crate::train::recorded::RecordedMasks;
use crate::train::run::{Run, columns};
use crate::train::sample::{Sample, training_sample};
use crate::train::schedule::Clock;
use crate::train::validate::Validation;
use crate::train::{RunOptions, Trained};

/// The segmenter in the checkpoint that `path` names; with `prune`, only what that head of a U-Net++ needs.
pub fn load_segmenter(
    path: &Path,
    prune: Option<usize>,
    device: &Device,
) -> Result<(Segmenter, Meta), CheckpointError> {
    let (dir, mut meta) = checkpoint::read_meta(path)?;
    let SegmenterRecord { spec, trained_heads, .. } = meta.segmenter(&dir)?.clone();
    if spec.classes != CLASSES {
        return Err(CheckpointError::Classes { path: dir, classes: spec.classes });
    }
    let network = checkpoint::load_noted(&dir, Segmenter::new(&spec, device), &mut meta)?;
    let Some(level) = prune else { return Ok((network, meta)) };
    let levels = spec.arch.levels();
    if levels == 1 || !(1..=levels).contains(&level) {
        return Err(CheckpointError::Prune { path: dir, network: meta.network().to_owned(), level, levels });
    }
    if !trained_heads.contains(&level) {
        return Err(CheckpointError::Untrained { path: dir, level });
    }
    Ok((network.pruned(level), meta))
}

/// What a segmenter learns from beside its data.
#[derive(Clone, Copy)]
pub struct SegmenterInputs<'a> {
    /// The checkpoint whose weights it begins with; none: random ones.
    pub init: Option<&'a Path>,
    /// Masks that a share of the samples is seen through.
    pub masks: &'a RecordedMasks,
}

/// Trains a segmenter on `data` and leaves the checkpoints `last` and `best` and `log.csv` in the run's folder. The patients of
/// the configuration's fold are left out.
///
/// # Errors
/// [`TrainError`] says what does not fit, and where.
pub fn train_segmenter(
    data: &Dataset,
    inputs: SegmenterInputs<'_>,
    config: &SegmenterConfig,
    run: RunOptions<'_>,
) -> Result<Trained, TrainError> {
    let RunOptions { out, resume, device } = run;
    let SegmenterInputs { init, masks: given } = inputs;
    data.expect_masks("the training of a segmenter")?;
    let config = &config.fitted(data.width());
    let acquisition = Acquisition { protocol: config.check(data)?, reconstruction: config.reconstruction };
    config.precision.check(device).map_err(|message| TrainError::Config { key: "precision", message })?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()));
    }
    let (slices, left_out) = folds::part(slices, |slice| &slice.id.patient, (config.folds, config.fold))?;
    let found = folder::find(out, resume)?;
    let last = found.as_ref().map(|(dir, _)| dir.clone());
    let mut run = Run::new(data, config, device, (found, init), (given, left_out))?;
    let validation = Validation::new(data, acquisition, config.measuring.seed);
    let columns = columns(config, !validation.is_empty());
    let folder = RunFolder::open(out, columns, last.as_deref(), &mut run.meta)?;
    let span = Span {
        name: "training",
        steps: config.steps,
        stop_at: config.stop_at,
        validate_every: config.validate_every,
        max_minutes: config.max_minutes,
    };
    let source = Source { config, acquisition, slices, given };
    let mut session = Session { run, source, ahead: Ahead::new(), validation, folder };
    // From first to last on one thread of those that compute: burn keeps the running statistics of each thread apart.
    rayon::scope(|_| drive(&mut session, span))
}

/// What a run learns from.
struct Source<'a> {
    config: &'a SegmenterConfig,
    acquisition: Acquisition,
    slices: Vec<&'a Slice>,
    given: &'a RecordedMasks,
}

impl Source<'_> {
    /// The samples of a step.
    fn samples(&self, step: usize) -> Vec<Sample> {
        let config = self.config;
        let sample = |(index, seed): (usize, u64)| {
            let slice = self.slices[index];
            let masks = (&config.masks, self.given.of(&slice.id));
            let sample = training_sample(slice, seed, &config.augment, masks, self.acquisition);
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
fn batch_indices(slices: usize, step: usize, config: &SegmenterConfig) -> Vec<(usize, u64)> {
    let mut order: (usize, Vec<usize>) = (usize::MAX, Vec::new());
    (0..config.batch)
        .map(|i| {
            let drawn = step * config.batch + i;
            let epoch = drawn / slices;
            if order.0 != epoch {
                let mut rng = ChaCha8Rng::seed_from_u64(config.measuring.seed ^ ((epoch as u64) << 20));
                let mut shuffled: Vec<usize> = (0..slices).collect();
                shuffled.shuffle(&mut rng);
                order = (epoch, shuffled);
            }
            let mut rng = ChaCha8Rng::seed_from_u64(config.measuring.seed);
            rng.set_stream(drawn as u64 + 1);
            (order.1[drawn % slices], rng.random())
        })
        .collect()
}
