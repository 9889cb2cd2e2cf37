//! `kscout train reward`: a segmenter that knows every stage of a scan.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use indicatif::ProgressBar;
use kscout_core::kspace::fft::is_fft_length;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::AugmentConfig;
use super::checkpoint::{self, CheckpointError, Meta};
use super::loss::cross_entropy_and_dice;
use super::sample::{MaskConfig, training_sample};
use super::schedule::{Clock, cosine};
use super::validate::Validation;
use crate::data::{CLASSES, Dataset, Split};
use crate::mri::Protocol;
use crate::net::{Arch, Segmenter, SegmenterSpec};
use crate::progress;

/// The configuration of a reward-model training.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardConfig {
    /// The segmenter: `unet`, `unet-bilinear`, `unetpp`, `unext` or `unext-s`.
    pub network: Arch,
    /// Channels of its first stage, the others following; 0: as published.
    pub network_width: usize,
    /// How slices are measured: `scanner` (phase and noise) or `igs` (magnitude only).
    pub protocol: String,
    /// Training steps.
    pub steps: usize,
    /// Slices a step.
    pub batch: usize,
    /// The peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Steps of linear warm-up; a cosine to zero follows.
    pub warmup: usize,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Weight of the Dice term beside the cross-entropy.
    pub dice_weight: f64,
    /// Seed of weights, order, augmentation, masks, phase and noise.
    pub seed: u64,
    /// End the run after this many minutes over all its sessions, with the schedule squeezed to fit; 0: no limit.
    pub max_minutes: f64,
    /// End the session at this step, to go on later with `--resume`; 0: at the last one.
    pub stop_at: usize,
    /// Steps between validations (and checkpoints).
    pub validate_every: usize,
    /// Numbers of centre lines at which validation scores; the mean over them picks the best checkpoint.
    pub validate_lines: Vec<usize>,
    /// Random masks.
    pub masks: MaskConfig,
    /// Augmentation.
    pub augment: AugmentConfig,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            network: Arch::UnextS,
            network_width: 0,
            protocol: "scanner".into(),
            steps: 12_000,
            batch: 16,
            learning_rate: 2e-3,
            warmup: 300,
            weight_decay: 0.01,
            dice_weight: 1.0,
            seed: 1,
            max_minutes: 0.0,
            stop_at: 0,
            validate_every: 1000,
            validate_lines: vec![128, 16, 8],
            masks: MaskConfig::default(),
            augment: AugmentConfig::default(),
        }
    }
}

/// The segmenter in the checkpoint that `path` names; with `prune`, only what that head of a U-Net++ needs.
pub fn load_segmenter(
    path: &Path,
    prune: Option<usize>,
    device: &Device,
) -> Result<(Segmenter, Meta), CheckpointError> {
    let (dir, meta) = checkpoint::read_meta(path)?;
    let spec = meta.segmenter(&dir)?;
    if spec.classes != CLASSES {
        return Err(CheckpointError::Classes { path: dir, classes: spec.classes });
    }
    let network = checkpoint::load_weights(&dir, Segmenter::new(&spec, device))?;
    let Some(level) = prune else { return Ok((network, meta)) };
    let levels = spec.arch.levels();
    if levels == 1 || !(1..=levels).contains(&level) {
        return Err(CheckpointError::Prune { path: dir, network: meta.network, level, levels });
    }
    Ok((network.pruned(level), meta))
}

/// Why a training could not run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A configuration value out of range.
    #[error("config key `{key}`: {message}")]
    Config {
        /// The key.
        key: &'static str,
        /// What was expected.
        message: String,
    },
    /// The data set has no slices to train on.
    #[error("{0}: no training slices; import with --split auto or --split train")]
    NoSlices(PathBuf),
    /// The images do not suit the network.
    #[error(
        "{path}: images of {height}x{width}; {network} and the core take sides of 32, 64, 128, 256 or 512 (import with --size 128)"
    )]
    Size {
        /// The data set.
        path: PathBuf,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The network.
        network: String,
    },
    /// A run is there already.
    #[error("{0}: holds a run already; add --resume to go on with it, or choose another --out")]
    Exists(PathBuf),
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loss is not a number any more.
    #[error("step {step}: the loss is not finite; lower `learning_rate` and start again from the last checkpoint")]
    Diverged {
        /// The step.
        step: usize,
    },
    /// A file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl RewardConfig {
    /// The network that is trained.
    pub fn spec(&self) -> SegmenterSpec {
        let published = SegmenterSpec::published(self.network, CLASSES);
        if self.network_width == 0 { published } else { SegmenterSpec { width: self.network_width, ..published } }
    }

    /// Refuses values that cannot work.
    pub fn check(&self, data: &Dataset) -> Result<Protocol, TrainError> {
        let error = |key, message: String| Err(TrainError::Config { key, message });
        if self.steps == 0 || self.batch == 0 || self.validate_every == 0 {
            return error("steps, batch, validate_every", "must be at least 1".into());
        }
        if let Some(lines) = self.validate_lines.iter().find(|&&lines| lines == 0 || lines > data.width()) {
            return error("validate_lines", format!("{lines} is not within 1 to {} lines", data.width()));
        }
        if !(self.masks.min_fraction > 0.0 && self.masks.min_fraction <= 1.0) {
            return error("masks.min_fraction", "must be above 0 and at most 1".into());
        }
        self.augment.check().map_err(|(key, message)| TrainError::Config { key, message })?;
        let fits = |side: usize| side >= 32 && is_fft_length(side);
        if !fits(data.height()) || !fits(data.width()) {
            return Err(TrainError::Size {
                path: data.dir().to_owned(),
                height: data.height(),
                width: data.width(),
                network: self.network.to_string(),
            });
        }
        self.protocol.parse().map_err(|message| TrainError::Config { key: "protocol", message })
    }
}

/// Trains a segmenter on `data` and leaves the checkpoints `last` and `best` and `log.csv` in `out`.
///
/// `resume` goes on from `out/last` where there is one.
pub fn train_reward(
    data: &Dataset,
    out: &Path,
    config: &RewardConfig,
    device: &Device,
    resume: bool,
) -> Result<Meta, TrainError> {
    let protocol = config.check(data)?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()));
    }
    let found = checkpoint::find_run(out)?;
    if !resume && found.is_some() {
        return Err(TrainError::Exists(out.to_owned()));
    }
    fs::create_dir_all(out).map_err(|source| TrainError::Io { path: out.to_owned(), source })?;
    let mut run = Run::new(data, out, config, device, found)?;
    let validation = Validation::new(data, &protocol, config.seed);
    let clock = Clock::new(run.meta.seconds, config.max_minutes);
    let bar = progress::bar(config.steps as u64, run.meta.step as u64, "training");
    let end = if config.stop_at > 0 { config.stop_at.min(config.steps) } else { config.steps };
    let mut losses = Vec::new();
    while run.meta.step < end && !clock.is_over() {
        let step = run.meta.step;
        let rate = cosine(clock.position(step, config.steps), config.steps, config.warmup, config.learning_rate);
        let samples = batch_indices(slices.len(), step, config)
            .into_par_iter()
            .map(|(index, seed)| training_sample(slices[index], seed, &config.augment, &config.masks, &protocol));
        let loss = run.step(samples.collect(), rate)?;
        losses.push(loss);
        bar.set_position(run.meta.step as u64);
        bar.set_message(format!("loss {loss:.3}"));
        run.meta.seconds = clock.seconds();
        if run.meta.step.is_multiple_of(config.validate_every) || run.meta.step == end || clock.is_over() {
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            run.validate_and_save(&validation, mean, &bar)?;
            losses.clear();
        }
    }
    bar.finish_and_clear();
    Ok(run.meta)
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

/// A training under way.
struct Run<'a> {
    out: &'a Path,
    config: &'a RewardConfig,
    device: Device,
    network: Segmenter,
    optimizer: ModuleOptimizer,
    meta: Meta,
}

impl<'a> Run<'a> {
    fn new(
        data: &Dataset,
        out: &'a Path,
        config: &'a RewardConfig,
        device: &Device,
        found: Option<(PathBuf, Meta)>,
    ) -> Result<Self, TrainError> {
        let training = device.clone().autodiff();
        training.seed(config.seed);
        let spec = config.spec();
        let mut network = Segmenter::new(&spec, &training);
        let mut optimizer = AdamWConfig::new().with_weight_decay(config.weight_decay as f32).with_epsilon(1e-8).init();
        let mut meta = Meta {
            network: config.network.to_string(),
            segmenter: Some(spec),
            height: data.height(),
            width: data.width(),
            step: 0,
            seconds: 0.0,
            score: None,
            best: None,
            data: data.manifest().source.clone(),
            config: serde_json::to_value(config).expect("a configuration serialises"),
        };
        if let Some((dir, found)) = found {
            meta = found.resume(&dir, meta)?;
            network = checkpoint::load_weights(&dir, network)?;
            optimizer = checkpoint::load_optimizer(&dir, optimizer)?;
        }
        Ok(Self { out, config, device: training, network, optimizer, meta })
    }

    fn step(&mut self, samples: Vec<super::sample::Sample>, rate: f64) -> Result<f64, TrainError> {
        let (batch, height, width) = (samples.len(), self.meta.height, self.meta.width);
        let plane = height * width;
        let mut images = Vec::with_capacity(batch * plane);
        let mut targets = vec![0f32; batch * CLASSES * plane];
        for (sample, target) in samples.iter().zip(targets.chunks_exact_mut(CLASSES * plane)) {
            images.extend_from_slice(&sample.image);
            for (pixel, &class) in sample.label.iter().enumerate() {
                target[usize::from(class) * plane + pixel] = 1.0;
            }
        }
        let images = TensorData::new(images, [batch, 1, height, width]);
        let targets = TensorData::new(targets, [batch, CLASSES, height, width]);
        let logits = self.network.forward(Tensor::<4>::from_data(images, &self.device));
        let targets = Tensor::<4>::from_data(targets, &self.device);
        let loss = cross_entropy_and_dice(logits, targets, self.config.dice_weight);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.meta.step += 1;
        let loss = f64::from(loss.into_scalar::<f32>());
        if loss.is_finite() { Ok(loss) } else { Err(TrainError::Diverged { step: self.meta.step }) }
    }

    fn validate_and_save(
        &mut self,
        validation: &Validation<'_>,
        loss: f64,
        bar: &ProgressBar,
    ) -> Result<(), TrainError> {
        let (step, seconds) = (self.meta.step, self.meta.seconds);
        let mut row = format!("{step},{seconds:.0},{loss:.4}");
        let mut header = String::from("step,seconds,loss");
        let mut line = format!("step {step}: loss {loss:.4}");
        if !validation.is_empty() {
            let network = self.network.valid();
            let device = self.device.clone().inner();
            let mut scores = Vec::new();
            for &lines in &self.config.validate_lines {
                let dice = validation.dice(&network, lines, &device);
                let mean = dice.iter().sum::<f64>() / 3.0;
                scores.push(mean);
                header += &format!(",dice_rv_{lines},dice_myo_{lines},dice_lv_{lines}");
                row += &format!(",{:.4},{:.4},{:.4}", dice[0], dice[1], dice[2]);
                line += &format!(", Dice at {lines} lines {mean:.4}");
            }
            self.meta.score = Some(scores.iter().sum::<f64>() / scores.len().max(1) as f64);
        }
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        append(&self.out.join("log.csv"), &header, &row)?;
        let improved = self.meta.score > self.meta.best;
        if improved {
            self.meta.best = self.meta.score;
            checkpoint::save(&self.out.join("best"), &self.network, None, &self.meta)?;
        }
        Ok(checkpoint::save(&self.out.join("last"), &self.network, Some(&self.optimizer), &self.meta)?)
    }
}

/// Appends a row to a CSV file, with its header first where the file is new.
pub fn append(path: &Path, header: &str, row: &str) -> Result<(), TrainError> {
    let io = |source| TrainError::Io { path: path.to_owned(), source };
    let new = !path.exists();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    let text = if new { format!("{header}\n{row}\n") } else { format!("{row}\n") };
    file.write_all(text.as_bytes()).map_err(io)
}
