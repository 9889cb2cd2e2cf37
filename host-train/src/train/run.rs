//! A training under way: its steps, its validations, its checkpoints.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use indicatif::ProgressBar;

use crate::data::{CLASSES, Dataset};
use crate::net::{Segmenter, SegmenterSpec, drawn};
use crate::ops::with_precision;
use crate::train::checkpoint::{self, CheckpointError, Input, Kind, Meta, Scoring, SegmenterRecord};
use crate::train::config::SegmenterConfig;
use crate::train::ema::Ema;
use crate::train::error::TrainError;
use crate::train::folder::{RunFolder, State};
use crate::train::gradients;
use crate::train::loss::Loss;
use crate::train::precision::{Precision, narrowed, take_statistics};
use crate::train::recorded::RecordedMasks;
use crate::train::sample::Sample;
use crate::train::schedule::{Schedule, ScheduleName};
use crate::train::validate::Validation;

/// Steps in a row that f16 may leave out before the run ends.
const MOST_OVERFLOWS: usize = 20;

/// A training under way.
pub(super) struct Run<'a> {
    config: &'a SegmenterConfig,
    loss: Loss,
    schedule: Schedule,
    device: Device,
    network: Segmenter,
    ema: Option<Ema<Segmenter>>,
    optimizer: ModuleOptimizer,
    /// What the checkpoints say of it.
    pub(super) meta: Meta,
}

/// What weights begin as.
struct Init {
    network: Segmenter,
    spec: SegmenterSpec,
    input: Option<Input>,
}

impl Init {
    /// The segmenter in the checkpoint that `path` names, if its weights are those of `expected` but for the image's channels, and know
    /// none of the patients `left_out`.
    fn load(
        path: &Path,
        expected: SegmenterSpec,
        left_out: &[String],
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let (dir, mut meta) = checkpoint::read_meta(path)?;
        let spec = meta.segmenter(&dir)?.spec;
        spec.expect_same(expected, &dir)?;
        meta.expect_unseen(&dir, left_out)?;
        let network = checkpoint::load_noted(&dir, Segmenter::new(&spec, device), &mut meta)?;
        Ok(Self { network, spec, input: meta.weights_hash.map(|weights| Input::init(path, weights)) })
    }
}

/// The columns of the log; `validated` where there are validation slices.
pub(super) fn columns(config: &SegmenterConfig, validated: bool) -> String {
    let scored = config.validate_lines.iter().filter(|_| validated);
    let dice = scored.map(|lines| format!(",dice_rv_{lines},dice_myo_{lines},dice_lv_{lines}"));
    String::from("step,seconds,loss") + &dice.collect::<String>()
}

impl<'a> Run<'a> {
    /// A run without the patients `left_out`, that goes on from `found`, or begins with the weights of the checkpoint `init`, or
    /// with random ones.
    pub(super) fn new(
        data: &Dataset,
        config: &'a SegmenterConfig,
        device: &Device,
        (found, init): (Option<(PathBuf, Meta)>, Option<&Path>),
        (given, left_out): (&RecordedMasks, Vec<String>),
    ) -> Result<Self, TrainError> {
        let training = device.clone().autodiff();
        // Of a run that goes on too, which is to be told what it began as.
        let init = init.map(|path| Init::load(path, config.spec(), &left_out, &training)).transpose()?;
        let from_found = found.as_ref().and_then(|(dir, meta)| Some(meta.segmenter(dir).ok()?.spec));
        let channels =
            from_found.or(init.as_ref().map(|init| init.spec)).map_or(config.spec().channels, |s| s.channels);
        let spec = SegmenterSpec { channels, ..config.spec() };
        let mut network = drawn(config.measuring.seed, &training, |device| Segmenter::new(&spec, device));
        let inputs = init.as_ref().and_then(|init| init.input.clone()).into_iter().chain(given.files().iter().cloned());
        let trained_heads = SegmenterRecord::heads_that_learn(spec, config.deep_supervision, &config.head_weights);
        let kind = Kind::Segmenter(SegmenterRecord { spec, trained_heads, left_out });
        let scoring = Scoring::new(&config.measuring, &config.validate_lines);
        let begun = Meta::begun(kind, data, config, scoring).with(inputs);
        if let Some(init) = init {
            network = init.network;
        }
        let mut optimizer = config.optimizer().init();
        let mut meta = Meta { reconstruction: config.reconstruction, ..begun };
        let mut from = None;
        if let Some((dir, found)) = found {
            meta = found.resume(&dir, meta)?;
            network = checkpoint::load_training_weights(&dir, network)?;
            optimizer = checkpoint::load_optimizer(&dir, optimizer)?;
            from = Some(dir);
        }
        let mut ema = (config.ema_decay > 0.0).then(|| Ema::new(&network, config.ema_decay));
        match (&mut ema, from) {
            (Some(ema), Some(dir)) => ema.restore(|average| checkpoint::load_weights(&dir, average))?,
            (Some(_), None) => {}
            (None, _) => meta.progress.averaged = 0,
        }
        let (loss, schedule) = (config.loss(), config.schedule());
        Ok(Self { config, loss, schedule, device: training, network, ema, optimizer, meta })
    }

    /// Whether early stopping has ended the run.
    pub(super) fn is_stopped(&self) -> bool {
        self.meta.progress.stopping.is_over(self.config.stop_patience)
    }

    /// Learns from `samples`, with the learning rate of step `position` of the schedule; returns the loss.
    pub(super) fn step(&mut self, samples: Vec<Sample>, position: usize) -> Result<f64, TrainError> {
        let (loss, gradients) = self.gradients(&samples);
        self.meta.step += 1;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: self.meta.step });
        }
        if let Some(gradients) = self.limited(gradients)? {
            let rate = self.schedule.rate(position, &self.meta.progress.plateau);
            self.network = self.optimizer.step(rate, self.network.clone(), gradients);
            if let Some(ema) = &mut self.ema {
                ema.update(&self.network, self.meta.progress.averaged);
                self.meta.progress.averaged += 1;
            }
        }
        Ok(loss)
    }

    /// Loss and gradients of `samples`, the means over the parts of the batch.
    fn gradients(&mut self, samples: &[Sample]) -> (f64, GradientsParams) {
        let (precision, parts) = (self.config.precision, self.config.accumulate);
        let narrow = precision.narrow(&self.device);
        let copy = narrow.map(|dtype| narrowed(&self.network, dtype));
        let network = copy.as_ref().unwrap_or(&self.network);
        let scale = if precision == Precision::F16 { self.config.loss_scale } else { 1.0 };
        let mut accumulator = GradientsAccumulator::new();
        let mut losses: Vec<Tensor<1>> = Vec::with_capacity(parts);
        for part in samples.chunks(samples.len() / parts) {
            let (images, targets) = self.tensors(part);
            let images = match narrow {
                Some(dtype) => images.cast(dtype),
                None => images,
            };
            let heads = with_precision(precision.of_products(), || network.heads(images));
            let heads = heads.into_iter().map(|logits| logits.cast(FloatDType::F32));
            let loss = self.loss.of_heads(heads.collect(), &targets);
            losses.push(loss.clone().inner());
            let factor = scale / parts as f64;
            let scaled = if factor == 1.0 { loss } else { loss.mul_scalar(factor) };
            let mut gradients = GradientsParams::from_grads(scaled.backward(), network);
            if narrow.is_some() {
                gradients::widen(network, &mut gradients, 1.0 / scale);
            }
            accumulator.accumulate(network, gradients);
        }
        if let Some(copy) = copy {
            self.network = take_statistics(self.network.clone(), &copy, parts);
        }
        let loss = losses.into_iter().map(|loss| f64::from(loss.into_scalar::<f32>())).sum::<f64>() / parts as f64;
        (loss, accumulator.grads())
    }

    /// Images `[B, 1, H, W]` and one-hot truths `[B, CLASSES, H, W]`.
    fn tensors(&self, samples: &[Sample]) -> (Tensor<4>, Tensor<4>) {
        let crop = Some(self.config.crop).filter(|&side| side > 0);
        let (height, width) = (crop.unwrap_or(self.meta.height), crop.unwrap_or(self.meta.width));
        let batch = samples.len();
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
        (Tensor::from_data(images, &self.device), Tensor::from_data(targets, &self.device))
    }

    /// The gradients within the limits that are set; `None` for a step that f16 has to leave out.
    fn limited(&mut self, mut gradients: GradientsParams) -> Result<Option<GradientsParams>, TrainError> {
        let (config, network) = (self.config, &self.network);
        if config.precision == Precision::F16 {
            if !gradients::norm(network, &gradients).is_finite() {
                self.meta.progress.overflows += 1;
                let (step, steps) = (self.meta.step, self.meta.progress.overflows);
                return if steps < MOST_OVERFLOWS { Ok(None) } else { Err(TrainError::Overflow { step, steps }) };
            }
            self.meta.progress.overflows = 0;
        }
        if config.clip_value > 0.0 {
            gradients::clip_value(network, &mut gradients, config.clip_value);
        }
        if config.clip_norm > 0.0 {
            gradients::clip_norm(network, &mut gradients, config.clip_norm);
        }
        Ok(Some(gradients))
    }

    /// Scores the network, or its average, writes the checkpoints and the log, with the mean loss since the last time.
    pub(super) fn validate_and_save(
        &mut self,
        (validation, folder): (&Validation<'_>, &RunFolder),
        bar: &ProgressBar,
    ) -> Result<(), TrainError> {
        let [loss] = self.meta.since.take();
        let (step, seconds) = (self.meta.step, self.meta.seconds);
        // Also brings the running statistics of the last step in, before anything is saved.
        let raw = self.network.valid();
        let network = self.ema.as_ref().map_or(&raw, Ema::network);
        let mut row = format!("{step},{seconds:.0},{loss:.4}");
        let mut line = format!("step {step}: loss {loss:.4}");
        if !validation.is_empty() {
            let device = self.device.clone().inner();
            let mut scores = Vec::new();
            for &lines in &self.config.validate_lines {
                let dice = validation.dice(network, lines, &device)?;
                // A structure that no truth has leaves its cell empty.
                let cell = |dice: Option<f64>| dice.map_or(String::new(), |dice| format!("{dice:.4}"));
                row += &dice.means().map(|dice| format!(",{}", cell(dice))).concat();
                if let Some(mean) = dice.mean() {
                    scores.push(mean);
                    line += &format!(", Dice at {lines} lines {mean:.4}");
                }
            }
            self.meta.score = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
        }
        self.observe();
        if self.schedule.name == ScheduleName::Plateau {
            line += &format!(", learning rate {:.1e}", self.schedule.rate(step, &self.meta.progress.plateau));
        }
        let (state, meta) = self.parts();
        folder.validated(&state, meta, row)?;
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        Ok(())
    }

    /// Lets the schedule and early stopping see the score: only at the validations that every run has, not at one that a
    /// session's end has brought, so that a run in parts is the same run.
    fn observe(&mut self) {
        let Some(score) = self.meta.score else { return };
        if self.meta.step.is_multiple_of(self.config.validate_every) {
            self.schedule.observe(&mut self.meta.progress.plateau, score);
            self.meta.progress.stopping.observe(score, self.config.min_delta);
        }
    }

    /// Saves between validations.
    pub(super) fn save(&mut self, folder: &RunFolder) -> Result<(), TrainError> {
        // Brings the running statistics of the last step in.
        let _ = self.network.valid();
        let (state, meta) = self.parts();
        folder.save(&state, meta)
    }

    /// What is saved, and the description.
    fn parts(&mut self) -> (State<'_, Segmenter>, &mut Meta) {
        let Self { network, ema, optimizer, meta, .. } = self;
        let (network, training) = match ema {
            Some(ema) => (ema.network(), Some(&*network)),
            None => (&*network, None),
        };
        (State { network, training, optimizer }, meta)
    }
}
