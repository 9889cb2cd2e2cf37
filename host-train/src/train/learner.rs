//! A segmenter that learns: its weights, their average, loss and optimizer, and what becomes of them in a step.

use std::path::Path;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::data::CLASSES;
use crate::net::{Segmenter, SegmenterSpec, drawn};
use crate::ops::with_precision;
use crate::train::checkpoint::{self, CheckpointError, Input, Meta};
use crate::train::config::SegmenterConfig;
use crate::train::ema::Ema;
use crate::train::error::TrainError;
use crate::train::folder::State;
use crate::train::gradients;
use crate::train::loss::Loss;
use crate::train::precision::{Precision, narrowed, take_statistics};
use crate::train::sample::Sample;
use crate::train::schedule::{Schedule, ScheduleName};
use crate::train::start::Run;

/// Steps in a row that f16 may leave out before the run ends.
const MOST_OVERFLOWS: usize = 20;

/// A segmenter under way.
pub(super) struct Learner<'a> {
    config: &'a SegmenterConfig,
    loss: Loss,
    schedule: Schedule,
    device: Device,
    network: Segmenter,
    ema: Option<Ema<Segmenter>>,
    optimizer: ModuleOptimizer,
}

/// The weights of another run, to begin with.
pub(super) struct Init {
    network: Segmenter,
    /// What kind of segmenter it is.
    pub(super) spec: SegmenterSpec,
    /// What a run is recorded to have begun with.
    pub(super) input: Option<Input>,
}

impl Init {
    /// The segmenter in the checkpoint that `path` names, if its weights are those of `expected` but for the image's channels, and know
    /// none of the patients `left_out`.
    pub(super) fn load(
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

impl<'a> Learner<'a> {
    /// A segmenter that learns on `device`, with gradients; it begins as `run` does, or else with the weights of `init`.
    pub(super) fn new(
        config: &'a SegmenterConfig,
        device: Device,
        run: &mut Run<'_>,
        init: Option<Init>,
    ) -> Result<Self, TrainError> {
        let spec = run.meta.segmenter(run.out())?.spec;
        let random = drawn(config.measuring.seed, &device, |device| Segmenter::new(&spec, device));
        let start = run.start(init.map(|init| init.network));
        let (network, optimizer) = start.networks(random, config.optimizer().init())?;
        let mut ema = (config.ema_decay > 0.0).then(|| Ema::new(&network, config.ema_decay));
        match (&mut ema, run.from()) {
            (Some(ema), Some(dir)) => ema.restore(|average| checkpoint::load_weights(dir, average))?,
            (Some(_), None) => {}
            (None, _) => run.meta.progress.averaged = 0,
        }
        let (loss, schedule) = (config.loss(), config.schedule());
        Ok(Self { config, loss, schedule, device, network, ema, optimizer })
    }

    /// Makes the step after those that `meta` counts: learns from `samples`, with the learning rate of step `position` of the
    /// schedule. Returns the loss.
    pub(super) fn step(&mut self, samples: Vec<Sample>, position: usize, meta: &mut Meta) -> Result<f64, TrainError> {
        let (loss, gradients) = self.gradients(&samples, [meta.height, meta.width]);
        // A loss that is no number ends the run, whatever its gradients are.
        if loss.is_finite()
            && let Some(gradients) = self.limited(gradients, meta)?
        {
            let rate = self.schedule.rate(position, &meta.progress.plateau);
            self.network = self.optimizer.step(rate, self.network.clone(), gradients);
            if let Some(ema) = &mut self.ema {
                ema.update(&self.network, meta.progress.averaged);
                meta.progress.averaged += 1;
            }
        }
        Ok(loss)
    }

    /// Loss and gradients of `samples` of images of `size`, the means over the parts of the batch.
    fn gradients(&mut self, samples: &[Sample], size: [usize; 2]) -> (f64, GradientsParams) {
        let (precision, parts) = (self.config.precision, self.config.accumulate);
        let narrow = precision.narrow(&self.device);
        let copy = narrow.map(|dtype| narrowed(&self.network, dtype));
        let network = copy.as_ref().unwrap_or(&self.network);
        let scale = if precision == Precision::F16 { self.config.loss_scale } else { 1.0 };
        let mut accumulator = GradientsAccumulator::new();
        let mut losses: Vec<Tensor<1>> = Vec::with_capacity(parts);
        for part in samples.chunks(samples.len() / parts) {
            let (images, targets) = self.tensors(part, size);
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
    fn tensors(&self, samples: &[Sample], size: [usize; 2]) -> (Tensor<4>, Tensor<4>) {
        let crop = Some(self.config.crop).filter(|&side| side > 0);
        let [height, width] = crop.map_or(size, |side| [side; 2]);
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
    fn limited(&self, mut gradients: GradientsParams, meta: &mut Meta) -> Result<Option<GradientsParams>, TrainError> {
        let (config, network) = (self.config, &self.network);
        if config.precision == Precision::F16 {
            if !gradients::norm(network, &gradients).is_finite() {
                meta.progress.overflows += 1;
                let (step, steps) = (meta.step + 1, meta.progress.overflows);
                return if steps < MOST_OVERFLOWS { Ok(None) } else { Err(TrainError::Overflow { step, steps }) };
            }
            meta.progress.overflows = 0;
        }
        if config.clip_value > 0.0 {
            gradients::clip_value(network, &mut gradients, config.clip_value);
        }
        if config.clip_norm > 0.0 {
            gradients::clip_norm(network, &mut gradients, config.clip_norm);
        }
        Ok(Some(gradients))
    }

    /// Where it is used, without gradients.
    pub(super) fn device(&self) -> Device {
        self.device.clone().inner()
    }

    /// The network, or its average, without gradients.
    pub(super) fn valid(&self) -> Segmenter {
        self.ema.as_ref().map_or_else(|| self.network.valid(), |ema| ema.network().clone())
    }

    /// Lets the schedule and early stopping see the `score` of a validation.
    pub(super) fn observe(&self, meta: &mut Meta, score: f64) {
        self.schedule.observe(&mut meta.progress.plateau, score);
        meta.progress.stopping.observe(score, self.config.min_delta);
    }

    /// The learning rate of the next step, under a schedule that changes it by what validations score.
    pub(super) fn rate_by_score(&self, meta: &Meta) -> Option<f64> {
        (self.schedule.name == ScheduleName::Plateau).then(|| self.schedule.rate(meta.step, &meta.progress.plateau))
    }

    /// What is saved.
    pub(super) fn state(&self) -> State<'_, Segmenter> {
        // Brings the running statistics of the last step in.
        let _ = self.network.valid();
        let (network, training) = match &self.ema {
            Some(ema) => (ema.network(), Some(&self.network)),
            None => (&self.network, None),
        };
        State { network, training, optimizer: &self.optimizer }
    }
}
