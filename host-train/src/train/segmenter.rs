//! `kscout train segmenter`: a segmenter that knows every stage of a scan.

use std::path::Path;

use burn::tensor::Device;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::data::{CLASSES, Dataset, Slice, Split};
use crate::metrics::dice::MeanDice;
use crate::metrics::stats::mean;
use crate::mri::Acquisition;
use crate::net::Segmenter;
use crate::train::ahead::Ahead;
use crate::train::checkpoint::{self, CheckpointError, Kind, Meta, Scoring, SegmenterRecord};
use crate::train::columns::{Column, Columns, Quantity};
use crate::train::config::SegmenterConfig;
use crate::train::drive::{Span, Task, Validated};
use crate::train::error::TrainError;
use crate::train::folder::{Best, State};
use crate::train::folds::{self, Parted};
use crate::train::learner::{Init, Learner};
use crate::train::recorded::RecordedMasks;
use crate::train::sample::{Sample, SampleMasks, training_sample};
use crate::train::schedule::Clock;
use crate::train::start::Opening;
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
    options: RunOptions<'_>,
) -> Result<Trained, TrainError> {
    data.expect_masks("the training of a segmenter")?;
    let config = &config.fitted(data.width());
    let acquisition = Acquisition { protocol: config.check(data)?, reconstruction: config.reconstruction };
    config.precision.check(options.device).map_err(|message| TrainError::Config { key: "precision", message })?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()));
    }
    let Parted { kept: slices, left_out } = folds::part(slices, |slice| &slice.id.patient, config.folds, config.fold)?;
    let opening = Opening::find(options)?;
    let device = options.device.clone().autodiff();
    // Of a run that goes on too, which is to be told what it began as.
    let init = inputs.init.map(|path| Init::load(path, config.spec(), &left_out, &device)).transpose()?;
    let mut run = opening.describe(described(data, config, init.as_ref(), inputs.masks, left_out))?;
    let learner = Learner::new(config, device, &mut run, init)?;
    let validation = Validation::new(data, acquisition, config.measuring.seed);
    let span = Span { name: "training", unit: "step", steps: config.steps, pace: config.pace };
    let session = run.open(span, columns(config, !validation.is_empty()))?;
    let source = Source { config, acquisition, slices, recorded: inputs.masks };
    session.drive(SegmenterTask { learner, source, ahead: Ahead::new(), validation })
}

/// A run that has not made a step yet, of a segmenter that begins as `init`, if there is one.
fn described(
    data: &Dataset,
    config: &SegmenterConfig,
    init: Option<&Init>,
    recorded: &RecordedMasks,
    left_out: Vec<String>,
) -> Meta {
    let spec = init.map_or_else(|| config.spec(), |init| init.spec);
    let inputs = init.and_then(|init| init.input.clone()).into_iter().chain(recorded.files().iter().cloned());
    let trained_heads = SegmenterRecord::heads_that_learn(spec, config.deep_supervision, &config.head_weights);
    let kind = Kind::Segmenter(SegmenterRecord { spec, trained_heads, left_out });
    let begun = Meta::begun(kind, data, config, Scoring::new(&config.measuring, &config.validate_lines));
    Meta { reconstruction: config.reconstruction, ..begun.with(inputs) }
}

/// The columns of the log, of which validation fills those at each of `validate_lines`, where there is something to validate on.
fn columns(config: &SegmenterConfig, validates: bool) -> Columns<1, Vec<MeanDice>> {
    let at = |(i, lines): (usize, &usize)| {
        let column = |(class, name)| {
            // A structure that no truth has leaves its cell empty.
            Column::number(format!("dice_{name}_{lines}"), 4, move |found: &Vec<MeanDice>| found.get(i)?.means()[class])
        };
        ["rv", "myo", "lv"].into_iter().enumerate().map(column).collect::<Vec<_>>()
    };
    let validation = config.validate_lines.iter().enumerate().filter(|_| validates).flat_map(at).collect();
    Columns { steps: [Quantity { name: "loss", digits: 4 }], validation }
}

/// What a run learns from.
struct Source<'a> {
    config: &'a SegmenterConfig,
    acquisition: Acquisition,
    slices: Vec<&'a Slice>,
    recorded: &'a RecordedMasks,
}

impl Source<'_> {
    /// The samples of a step.
    fn samples(&self, step: usize) -> Vec<Sample> {
        let config = self.config;
        let sample = |(index, seed): (usize, u64)| {
            let slice = self.slices[index];
            let masks = SampleMasks { random: &config.masks, recorded: self.recorded.of(&slice.id) };
            let sample = training_sample(slice, seed, &config.augment, masks, self.acquisition);
            if config.crop > 0 { sample.cropped(config.crop, seed) } else { sample }
        };
        batch_indices(self.slices.len(), step, config).into_par_iter().map(sample).collect()
    }
}

/// The training of a segmenter.
struct SegmenterTask<'a> {
    learner: Learner<'a>,
    source: Source<'a>,
    ahead: Ahead<Vec<Sample>>,
    validation: Validation<'a>,
}

impl Task<1> for SegmenterTask<'_> {
    type Network = Segmenter;
    type Findings = Vec<MeanDice>;
    type Error = TrainError;

    fn step(&mut self, meta: &mut Meta, clock: &Clock) -> Result<[f64; 1], TrainError> {
        let Self { learner, source, ahead, .. } = self;
        let (step, steps) = (meta.step, source.config.steps);
        let position = clock.position(step, steps);
        let learn = |samples| learner.step(samples, position, meta);
        Ok([ahead.step(step, steps, |step| source.samples(step), learn)?])
    }

    fn brief([loss]: [f64; 1]) -> String {
        format!("loss {loss:.3}")
    }

    fn validate(&mut self, meta: &mut Meta, [loss]: [f64; 1]) -> Result<Validated<Vec<MeanDice>>, TrainError> {
        let Self { learner, source: Source { config, .. }, validation, .. } = self;
        let lines = if validation.is_empty() { &[][..] } else { &config.validate_lines };
        let (network, device) = (learner.valid(), learner.device());
        let dice = |&lines: &usize| validation.dice(&network, lines, &device);
        let found: Vec<MeanDice> = lines.iter().map(dice).collect::<Result<_, _>>()?;
        let mut said = format!("loss {loss:.4}");
        let scored = lines.iter().zip(&found).filter_map(|(lines, dice)| Some((lines, dice.mean()?)));
        let scores: Vec<f64> = scored
            .map(|(lines, mean)| {
                said += &format!(", Dice at {lines} lines {mean:.4}");
                mean
            })
            .collect();
        let score = mean(&scores);
        // Only at the validations that every run has, not at one that a session's end has brought, so that a run in parts is the same run.
        if let Some(score) = score.filter(|_| meta.step.is_multiple_of(config.pace.validate_every)) {
            learner.observe(meta, score);
        }
        if let Some(rate) = learner.rate_by_score(meta) {
            said += &format!(", learning rate {rate:.1e}");
        }
        Ok(Validated { found, said, score, best: Best::ByScore })
    }

    fn state(&self) -> State<'_, Segmenter> {
        self.learner.state()
    }

    fn ended(&self, meta: &Meta) -> Option<String> {
        let (step, waited) = (meta.step, self.source.config.stop_patience);
        let words = || format!("ended at step {step}: no better score in {waited} validations (stop_patience)");
        meta.progress.stopping.is_over(waited).then(words)
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
