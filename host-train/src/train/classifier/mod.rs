//! `kscout train classifier`: ASMR's classifier of undersampled k-space.
//!
//! Each label has two logits, trained by cross-entropy over the slices where it is known, through random masks as the
//! segmenter's (Yen et al., ICML 2024, arXiv 2406.04318, whose masks have 5 % of the lines up to all of them).

mod config;
mod sample;
mod validate;

use std::path::Path;

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::Complex32;
use rayon::prelude::*;

pub use config::ClassifierConfig;

use self::sample::{KspaceSample, LabelledSlices};
use self::validate::Validation;
use super::ahead::Ahead;
use super::checkpoint::{self, CheckpointError, ClassifierRecord, Input, Kind, Meta, Scoring};
use super::columns::{Column, Columns, Quantity};
use super::drive::{Span, Task, Validated};
use super::error::TrainError;
use super::folder::{Best, State};
use super::schedule::{Clock, cosine};
use super::start::Opening;
use super::{RunOptions, Trained};
use crate::data::{Dataset, Labels, LabelsError, Split};
use crate::inference::diagnose::{Diagnoser, DiagnosisScore};
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
    options: RunOptions<'_>,
) -> Result<Trained, ClassifierError> {
    let config = &config.fitted(data.width());
    let protocol = config.check().map_err(TrainError::from)?;
    let labels = labels.only(&config.labels)?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()).into());
    }
    labels.expect_some(data, Split::Train)?;
    let slices = LabelledSlices::new(&slices, &labels);
    let opening = Opening::find(options)?;
    let kind = Kind::Classifier(ClassifierRecord { network: config.network, labels: labels.names().to_vec() });
    let scoring = Scoring::new(&config.measuring, &config.validate_lines);
    let run = opening.describe(Meta::begun(kind, data, config, scoring).with([Input::labels(&labels)]))?;
    let device = options.device.clone().autodiff();
    let count = labels.names().len();
    let random = |device: &Device| KspaceClassifier::new(config.network, count, config.dropout, device);
    let random = drawn(config.measuring.seed, &device, random);
    let optimizer = AdamWConfig::new().with_weight_decay(config.weight_decay as f32).with_epsilon(1e-8).init();
    let (network, optimizer) = run.start(None).networks(random, optimizer)?;
    let validation = Validation::new(data, &labels, &protocol, config.measuring.seed);
    let span = Span { name: "training", unit: "step", steps: config.steps, pace: config.pace };
    let session = run.open(span, columns(config, &labels, !validation.is_empty()))?;
    let ahead = Ahead::new();
    let labels = labels.names();
    Ok(session.drive(ClassifierTask {
        config,
        device,
        network,
        optimizer,
        slices,
        protocol,
        ahead,
        validation,
        labels,
    })?)
}

/// The columns of the log, of which validation fills those at each of `validate_lines`, where there is something to validate on.
fn columns(config: &ClassifierConfig, labels: &Labels, validates: bool) -> Columns<1, Vec<DiagnosisScore>> {
    let at = |(i, lines): (usize, &usize)| {
        let auc = |(label, name): (usize, &String)| {
            let auc = move |found: &Vec<DiagnosisScore>| *found.get(i)?.auc.get(label)?;
            Column::number(format!("auc_{name}_{lines}"), 4, auc)
        };
        let log_p = move |found: &Vec<DiagnosisScore>| found.get(i)?.log_probability;
        let columns = labels.names().iter().enumerate().map(auc);
        columns.chain([Column::number(format!("log_p_{lines}"), 4, log_p)]).collect::<Vec<_>>()
    };
    let validation = config.validate_lines.iter().enumerate().filter(|_| validates).flat_map(at).collect();
    Columns { steps: [Quantity { name: "loss", digits: 4 }], validation }
}

/// The training of a classifier.
struct ClassifierTask<'a> {
    config: &'a ClassifierConfig,
    /// Where it learns, with gradients.
    device: Device,
    network: KspaceClassifier,
    optimizer: ModuleOptimizer,
    slices: LabelledSlices<'a>,
    protocol: Protocol,
    ahead: Ahead<Vec<KspaceSample>>,
    validation: Validation<'a>,
    /// The names of the labels.
    labels: &'a [String],
}

impl Task<1> for ClassifierTask<'_> {
    type Network = KspaceClassifier;
    type Findings = Vec<DiagnosisScore>;
    type Error = TrainError;

    fn step(&mut self, meta: &mut Meta, clock: &Clock) -> Result<[f64; 1], TrainError> {
        let Self { config, device, network, optimizer, slices, protocol, ahead, .. } = self;
        let (step, steps) = (meta.step, config.steps);
        let rate = cosine(clock.position(step, steps), steps, config.warmup, config.learning_rate);
        let samples = |step: usize| -> Vec<KspaceSample> {
            let first = (step * config.batch) as u64;
            let numbers = (first..first + config.batch as u64).into_par_iter();
            numbers.map(|number| slices.sample(number, config, protocol)).collect()
        };
        let learn = |samples: Vec<KspaceSample>| {
            // Dropout follows the step, not the session, so that a run that was stopped goes on as if it had not.
            device.seed(mix(config.measuring.seed) ^ step as u64);
            let images: Vec<&[Complex32]> = samples.iter().map(|sample| sample.image.as_slice()).collect();
            let logits = network.forward(complex_planes(&images, [meta.height, meta.width], device));
            let loss = cross_entropy(logits, &samples, device);
            let gradients = GradientsParams::from_grads(loss.backward(), &*network);
            *network = optimizer.step(rate, network.clone(), gradients);
            f64::from(loss.into_scalar::<f32>())
        };
        Ok([ahead.step(step, steps, samples, learn)])
    }

    fn brief([loss]: [f64; 1]) -> String {
        format!("loss {loss:.3}")
    }

    fn validate(&mut self, meta: &mut Meta, [loss]: [f64; 1]) -> Result<Validated<Vec<DiagnosisScore>>, TrainError> {
        let diagnoser = Diagnoser {
            network: self.network.valid(),
            labels: self.labels.to_vec(),
            size: [meta.height, meta.width],
            device: self.device.clone().inner(),
        };
        let lines = if self.validation.is_empty() { &[][..] } else { &self.config.validate_lines };
        let score = |&lines: &usize| self.validation.score(&diagnoser, lines);
        let found: Vec<DiagnosisScore> = lines.iter().map(score).collect::<Result<_, _>>()?;
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let one = |(lines, score): (&usize, &DiagnosisScore)| {
            let (auc, log_p) = (number(score.mean_auc()), number(score.log_probability));
            format!(", AUC at {lines} lines {auc} (log p {log_p})")
        };
        let said = format!("loss {loss:.4}") + &lines.iter().zip(&found).map(one).collect::<String>();
        let score = mean(&found.iter().filter_map(DiagnosisScore::mean_auc).collect::<Vec<_>>());
        Ok(Validated { found, said, score, best: Best::ByScore })
    }

    fn state(&self) -> State<'_, KspaceClassifier> {
        // Brings the running statistics of the last step in.
        let _ = self.network.valid();
        State { network: &self.network, training: None, optimizer: &self.optimizer }
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
