//! `kscout train classifier`: ASMR's classifier of undersampled k-space.
//!
//! Each label has two logits, trained by cross-entropy over the slices where it is known, through random masks as the
//! segmenter's (Yen et al., ICML 2024, arXiv 2406.04318, whose masks have 5 % of the lines up to all of them).

mod config;
mod sample;
mod validate;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use indicatif::ProgressBar;
use kscout_core::Complex32;
use rayon::prelude::*;

pub use config::ClassifierConfig;

use self::sample::{KspaceSample, LabelledSlices};
use self::validate::Validation;
use super::ahead::Ahead;
use super::checkpoint::{self, CheckpointError, ClassifierRecord, Input, Kind, Meta, Scoring};
use super::drive::{Span, Training, drive};
use super::error::TrainError;
use super::folder::{self, RunFolder, State};
use super::schedule::{Clock, cosine};
use super::{RunOptions, Trained};
use crate::data::{Dataset, Labels, LabelsError, Split};
use crate::inference::diagnose::Diagnoser;
use crate::metrics::stats::mean;
use crate::mri::Protocol;
use crate::mri::random::mix;
use crate::net::asmr::{KspaceClassifier, complex_planes};
use crate::net::drawn;
use crate::ops;

/// Why a classifier could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// What any training can fail with.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
}

/// The classifier in the checkpoint that `path` names.
pub fn load_classifier(path: &Path, device: &Device) -> Result<(Diagnoser, Meta), CheckpointError> {
    let (dir, mut meta) = checkpoint::read_meta(path)?;
    let ClassifierRecord { network: depth, labels } = meta.classifier(&dir)?.clone();
    let network = KspaceClassifier::new(depth, labels.len(), 0.0, device);
    let network = checkpoint::load_noted(&dir, network, &mut meta)?;
    let size = [meta.height, meta.width];
    Ok((Diagnoser { network, labels, size, device: device.clone() }, meta))
}

/// Whether the checkpoint that `path` names is a classifier.
pub fn is_classifier(path: &Path) -> Result<bool, CheckpointError> {
    Ok(matches!(checkpoint::read_meta(path)?.1.kind, Kind::Classifier(_)))
}

/// Trains a classifier of `labels` on `data` and leaves the checkpoints `last` and `best` and `log.csv` in the run's folder.
///
/// # Errors
/// [`ClassifierError`] says what does not fit, and where.
pub fn train_classifier(
    data: &Dataset,
    labels: &Labels,
    config: &ClassifierConfig,
    run: RunOptions<'_>,
) -> Result<Trained, ClassifierError> {
    let RunOptions { out, resume, device } = run;
    let config = &config.fitted(data.width());
    let protocol = config.check().map_err(TrainError::from)?;
    let labels = labels.only(&config.labels)?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()).into());
    }
    labels.expect_some(data, Split::Train)?;
    let slices = LabelledSlices::new(&slices, &labels);
    let found = folder::find(out, resume)?;
    let last = found.as_ref().map(|(dir, _)| dir.clone());
    let mut run = Run::new(data, &labels, config, device, found)?;
    let validation = Validation::new(data, &labels, &protocol, config.measuring.seed);
    let columns = columns(config, &labels, !validation.is_empty());
    let folder = RunFolder::open(out, columns, last.as_deref(), &mut run.meta)?;
    let span = Span {
        name: "training",
        steps: config.steps,
        stop_at: config.stop_at,
        validate_every: config.validate_every,
        max_minutes: config.max_minutes,
    };
    let mut session = Session { run, slices, protocol, ahead: Ahead::new(), validation, folder };
    // From first to last on one thread of those that compute: burn keeps the running statistics of each thread apart.
    Ok(rayon::scope(|_| drive(&mut session, span))?)
}

/// A run and what it learns from.
struct Session<'a> {
    run: Run<'a>,
    slices: LabelledSlices<'a>,
    protocol: Protocol,
    ahead: Ahead<Vec<KspaceSample>>,
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
        let Self { run, slices, protocol, ahead, .. } = self;
        let (step, config) = (run.meta.step, run.config);
        let rate = cosine(clock.position(step, config.steps), config.steps, config.warmup, config.learning_rate);
        let samples = |step: usize| -> Vec<KspaceSample> {
            let first = (step * config.batch) as u64;
            let numbers = (first..first + config.batch as u64).into_par_iter();
            numbers.map(|number| slices.sample(number, config, protocol)).collect()
        };
        let loss = ahead.step((step, config.steps), samples, |samples| run.step(&samples, rate))?;
        run.meta.since.add([loss]);
        Ok(format!("loss {loss:.3}"))
    }

    fn validate_and_save(&mut self, bar: &ProgressBar) -> Result<(), TrainError> {
        self.run.validate_and_save((&self.validation, &self.folder), bar)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.run.save(&self.folder)
    }
}

/// The columns of the log; `validated` where there are validation slices.
fn columns(config: &ClassifierConfig, labels: &Labels, validated: bool) -> String {
    let scored = config.validate_lines.iter().filter(|_| validated);
    let of = |lines: &usize| {
        let auc: String = labels.names().iter().map(|name| format!(",auc_{name}_{lines}")).collect();
        format!("{auc},log_p_{lines}")
    };
    String::from("step,seconds,loss") + &scored.map(of).collect::<String>()
}

/// A training under way.
struct Run<'a> {
    config: &'a ClassifierConfig,
    labels: Vec<String>,
    device: Device,
    network: KspaceClassifier,
    optimizer: ModuleOptimizer,
    meta: Meta,
}

impl<'a> Run<'a> {
    fn new(
        data: &Dataset,
        labels: &Labels,
        config: &'a ClassifierConfig,
        device: &Device,
        found: Option<(PathBuf, Meta)>,
    ) -> Result<Self, ClassifierError> {
        let training = device.clone().autodiff();
        let names = labels.names().to_vec();
        let new = |device: &Device| KspaceClassifier::new(config.network, names.len(), config.dropout, device);
        let mut network = drawn(config.measuring.seed, &training, new);
        let mut optimizer = AdamWConfig::new().with_weight_decay(config.weight_decay as f32).with_epsilon(1e-8).init();
        let kind = Kind::Classifier(ClassifierRecord { network: config.network, labels: names.clone() });
        let scoring = Scoring::new(&config.measuring, &config.validate_lines);
        let mut meta = Meta::begun(kind, data, config, scoring).with([Input::labels(labels)]);
        if let Some((dir, found)) = found {
            meta = found.resume(&dir, meta)?;
            network = checkpoint::load_weights(&dir, network)?;
            optimizer = checkpoint::load_optimizer(&dir, optimizer)?;
        }
        Ok(Self { config, labels: names, device: training, network, optimizer, meta })
    }

    fn step(&mut self, samples: &[KspaceSample], rate: f64) -> Result<f64, TrainError> {
        // Dropout follows the step, not the session, so that a run that was stopped goes on as if it had not.
        self.device.seed(mix(self.config.measuring.seed) ^ self.meta.step as u64);
        let images: Vec<&[Complex32]> = samples.iter().map(|sample| sample.image.as_slice()).collect();
        let logits = self.network.forward(complex_planes(&images, [self.meta.height, self.meta.width], &self.device));
        let loss = cross_entropy(logits, samples, &self.device);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        self.meta.step += 1;
        let loss = f64::from(loss.into_scalar::<f32>());
        if loss.is_finite() { Ok(loss) } else { Err(TrainError::Diverged { step: self.meta.step }) }
    }

    fn validate_and_save(
        &mut self,
        (validation, folder): (&Validation<'_>, &RunFolder),
        bar: &ProgressBar,
    ) -> Result<(), TrainError> {
        let [loss] = self.meta.since.take();
        let (step, seconds) = (self.meta.step, self.meta.seconds);
        // Also brings the running statistics of the last step in, before anything is saved.
        let network = self.network.valid();
        let mut row = format!("{step},{seconds:.0},{loss:.4}");
        let mut line = format!("step {step}: loss {loss:.4}");
        if !validation.is_empty() {
            let diagnoser = Diagnoser {
                network,
                labels: self.labels.clone(),
                size: [self.meta.height, self.meta.width],
                device: self.device.clone().inner(),
            };
            let mut scores = Vec::new();
            for &lines in &self.config.validate_lines {
                let score = validation.score(&diagnoser, lines)?;
                for value in score.auc.iter().copied().chain([score.log_probability]) {
                    row += &value.map_or(",".into(), |value| format!(",{value:.4}"));
                }
                let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
                let (auc, log_p) = (score.mean_auc(), score.log_probability);
                line += &format!(", AUC at {lines} lines {} (log p {})", number(auc), number(log_p));
                scores.extend(auc);
            }
            self.meta.score = mean(&scores);
        }
        let Self { network, optimizer, meta, .. } = self;
        folder.validated(&State { network: &*network, training: None, optimizer }, meta, row)?;
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        Ok(())
    }

    /// Saves between validations.
    fn save(&self, folder: &RunFolder) -> Result<(), TrainError> {
        // Brings the running statistics of the last step in.
        let _ = self.network.valid();
        let Self { network, optimizer, meta, .. } = self;
        folder.save(&State { network, training: None, optimizer }, meta)
    }
}

/// Mean of `-log p(truth)` over the known labels; `logits` are `[B, labels, 2]`.
fn cross_entropy(logits: Tensor<3>, samples: &[KspaceSample], device: &Device) -> Tensor<1> {
    let shape = logits.dims();
    let mut truth = vec![0f32; shape.iter().product()];
    let mut known = 0;
    for (pair, diagnosis) in truth.chunks_exact_mut(2).zip(samples.iter().flat_map(|sample| &sample.diagnosis)) {
        if let Some(yes) = *diagnosis {
            pair[usize::from(yes)] = 1.0;
            known += 1;
        }
    }
    let truth = Tensor::<3>::from_data(TensorData::new(truth, shape), device);
    ops::sum(log_softmax(logits, 2) * truth).neg().div_scalar(f64::from(known.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_labels_teach_nothing() {
        let device = Device::flex().autodiff();
        let logits = [1.0f32, 2.0, 5.0, -5.0, 0.0, 0.0, 3.0, -1.0];
        let logits = Tensor::<3>::from_data(TensorData::new(logits.to_vec(), [2, 2, 2]), &device).require_grad();
        let sample = |diagnosis: [Option<bool>; 2]| KspaceSample { image: vec![], diagnosis: diagnosis.to_vec() };
        let samples = [sample([Some(true), None]), sample([None, Some(false)])];
        let loss = cross_entropy(logits.clone(), &samples, &device);
        let expected = ((1.0 + (-1.0f32).exp()).ln() + (1.0 + (-4.0f32).exp()).ln()) / 2.0;
        let gradient = logits.grad(&loss.backward()).expect("a gradient");
        let gradient = gradient.into_data().try_into_vec::<f32>().unwrap();
        assert!((loss.into_scalar::<f32>() - expected).abs() < 1e-6);
        assert_eq!(gradient[2..6], [0.0; 4], "of the unknown labels");
        assert!(gradient[0] > 0.0 && gradient[1] < 0.0 && gradient[6] < 0.0);
    }
}
