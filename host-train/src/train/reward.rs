//! `kscout train reward`: a segmenter that knows every stage of a scan.

use std::path::Path;

use burn::tensor::Device;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Trained;
use super::checkpoint::{self, CheckpointError, Meta};
use super::config::RewardConfig;
use super::error::TrainError;
use super::folder::{self, RunFolder};
use super::folds;
use super::given::GivenMasks;
use super::run::{Run, columns};
use super::sample::training_sample;
use super::schedule::Clock;
use super::validate::Validation;
use crate::data::{CLASSES, Dataset, Split};
use crate::io::moment::moment;
use crate::io::stop;
use crate::net::Segmenter;
use crate::progress;

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
    let mut run = Run::new(data, config, device, (found, init), left_out)?;
    let how = (&protocol, config.reconstruction);
    let validation = Validation::new(data, how, config.seed);
    let columns = columns(config, !validation.is_empty());
    let folder = RunFolder::open(out, columns, last.as_deref(), &mut run.meta)?;
    let clock = Clock::new(run.meta.seconds, config.max_minutes);
    let bar = progress::bar(config.steps as u64, run.meta.step as u64, "training");
    let end = if config.stop_at > 0 { config.stop_at.min(config.steps) } else { config.steps };
    let _graceful = stop::Graceful::begin();
    let (mut stopped, mut over) = (false, clock.is_over());
    while !stopped && run.meta.step < end && !over && !run.is_stopped() {
        let step = run.meta.step;
        let samples = batch_indices(slices.len(), step, config)
            .into_par_iter()
            .map(|(index, seed)| (slices[index], seed))
            .map(|(slice, seed)| {
                let masks = (&config.masks, given.of(&slice.id));
                let sample = training_sample(slice, seed, &config.augment, masks, how);
                if config.crop > 0 { sample.cropped(config.crop, seed) } else { sample }
            });
        let loss = run.step(samples.collect(), clock.position(step, config.steps))?;
        run.meta.since.add([loss]);
        moment();
        bar.set_position(run.meta.step as u64);
        bar.set_message(format!("loss {loss:.3}"));
        run.meta.seconds = clock.seconds();
        // Only a step that was saved ends the run, and time is read once a step, so that nothing goes between two looks.
        over = clock.is_over();
        let due = run.meta.step.is_multiple_of(config.validate_every) || run.meta.step == end || over;
        let saved = due || stop::asked();
        if due {
            run.validate_and_save((&validation, &folder), &bar)?;
        } else if saved {
            run.save(&folder)?;
        }
        stopped = saved && stop::asked() && run.meta.step < end && !over && !run.is_stopped();
    }
    bar.finish_and_clear();
    if let Some(cut) = clock.cut_short(run.meta.step, end) {
        println!("{cut}");
    }
    if run.is_stopped() {
        let (step, waited) = (run.meta.step, config.stop_patience);
        println!("ended at step {step}: no better score in {waited} validations (stop_patience)");
    }
    Ok(Trained { meta: run.meta, stopped })
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
