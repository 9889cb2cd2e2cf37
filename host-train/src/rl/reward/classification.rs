//! The classifier as reward model, as ASMR has it.
//!
//! Source: the code of Yen et al., ICML 2024 (arXiv 2406.04318). There, the steps up to `delay_step` (7) earn nothing;
//! every later one earns the mean over the labels of `h(log p(truth))` as it stands after the step, not what it gained,
//! with `h(z) = sign(z) (sqrt(|z| + 1) - 1) + 0.001 z`, which keeps the very unlikely from drowning the rest (Pohlen et
//! al., "Observe and Look Further", 2018).

use kscout_core::Complex32;

use super::{
    Measure, RewardInput, RewardKind, RewardMode, RewardModel, RewardRequest, RewardSource, Scene, Scored,
    TrainingSlice, fits, training_slices,
};
use crate::data::{Dataset, Diagnosis, Labels, Split};
use crate::eval::run::{MeasuredVolume, RunError, Scanned};
use crate::inference::diagnose::{Diagnoser, DiagnosisScore, LogProbabilities, Verdict, of_the_truth};
use crate::inference::numbers::NoNumbers;
use crate::metrics::stats::{Sample, mean};
use crate::rl::config::PolicyConfig;
use crate::rl::error::PolicyError;
use crate::train::TrainError;
use crate::train::checkpoint::Input;
use crate::train::classifier::{is_classifier, load_classifier};

/// A classifier's checkpoint.
pub(super) const KIND: RewardKind = RewardKind { is_meant: is_classifier, load };

fn load(request: &RewardRequest<'_>) -> Result<Box<dyn RewardSource>, PolicyError> {
    let &RewardRequest { checkpoint, labels, data, config, device } = request;
    let labels = labels.ok_or_else(|| PolicyError::NeedsLabels(checkpoint.to_owned()))?;
    check(config)?;
    let (diagnoser, meta) = load_classifier(checkpoint, device)?;
    fits(&meta, data, checkpoint, &config.measuring.protocol.to_string())?;
    let labels = labels.only(&diagnoser.labels)?;
    let weights = meta.weights_hash.map(|weights| Input::reward(checkpoint, weights));
    let inputs = weights.into_iter().chain([Input::labels(&labels)]).collect();
    Ok(Box::new(ClassifierCheckpoint { name: checkpoint.display().to_string(), diagnoser, labels, inputs }))
}

/// Refuses what a classifier would never pay.
fn check(config: &PolicyConfig) -> Result<(), TrainError> {
    let (delay, most) = (config.reward.delay_step, config.max_budget);
    if delay < most {
        return Ok(());
    }
    let message = format!("{delay}, but no scan has more than max_budget = {most} lines: nothing would be paid");
    Err(TrainError::Config { key: "reward.delay_step", message })
}

struct ClassifierCheckpoint {
    name: String,
    diagnoser: Diagnoser,
    labels: Labels,
    inputs: Vec<Input>,
}

impl RewardSource for ClassifierCheckpoint {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn slices<'d>(&self, data: &'d Dataset) -> Result<Vec<TrainingSlice<'d>>, PolicyError> {
        let slices = training_slices(data)?.into_iter();
        self.labels.expect_some(data, Split::Train)?;
        let known = slices.filter(|slice| self.labels.know(&slice.id));
        Ok(known.map(|slice| TrainingSlice { slice, diagnosis: self.labels.of(&slice.id) }).collect())
    }

    fn inputs(&self) -> Vec<Input> {
        self.inputs.clone()
    }

    fn labels(&self) -> &[String] {
        self.labels.names()
    }

    fn model<'r>(&'r self, _: &Scene<'r>) -> Box<dyn RewardModel + 'r> {
        Box::new(ClassificationReward { diagnoser: &self.diagnoser, labels: &self.labels })
    }
}

/// Mean over the known labels of the scaled log-probability of the truth.
pub struct ClassificationReward<'a> {
    /// Has the predictions.
    pub diagnoser: &'a Diagnoser,
    /// Know the truth.
    pub labels: &'a Labels,
}

impl RewardModel for ClassificationReward<'_> {
    fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers> {
        let images: Vec<&[Complex32]> = scans.iter().map(|scan| &*scan.image).collect();
        let predictions = self.diagnoser.predictions(&images)?;
        Ok(predictions
            .iter()
            .zip(scans)
            .map(|(prediction, scan)| objective(prediction, &scan.truth.diagnosis))
            .collect())
    }

    fn mode(&self) -> RewardMode {
        RewardMode::Level
    }

    fn measures(&self) -> &'static [Measure] {
        &[Measure { column: "auc", title: "AUC" }, Measure { column: "log_p", title: "log p" }]
    }

    fn compares(&self) -> &'static str {
        "log p"
    }

    fn can_score(&self, volume: &MeasuredVolume<'_>) -> bool {
        volume.slices.iter().any(|measured| self.labels.know(&measured.slice.id))
    }

    /// The areas under the curves are of all patients together, so patients are compared by log-probability.
    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Scored, RunError> {
        let verdicts = self.diagnoser.verdicts_of_volumes(self.labels, volumes, &scans)?;
        let score = DiagnosisScore::of(&verdicts);
        let sample = |verdict: &Verdict<'_>| {
            let known: Vec<f64> = of_the_truth(&verdict.prediction, &verdict.truth).collect();
            Some(Sample::new(verdict.case.0.to_owned(), mean(&known)?))
        };
        let samples = verdicts.iter().filter_map(sample).collect();
        Ok(Scored { measures: vec![score.mean_auc(), score.log_probability], samples })
    }
}

/// The objective of a slice of which nothing is known is 0.
fn objective(prediction: &LogProbabilities, truth: &Diagnosis) -> f64 {
    let known: Vec<f64> = of_the_truth(prediction, truth).map(scaled).collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

/// `h(z) = sign(z) (sqrt(|z| + 1) - 1) + 0.001 z`.
fn scaled(z: f64) -> f64 {
    z.signum() * ((z.abs() + 1.0).sqrt() - 1.0) + 0.001 * z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_scaled_as_asmr_does_it() {
        assert_eq!(scaled(0.0), 0.0);
        assert!((scaled(-3.0) - (-1.0 - 0.003)).abs() < 1e-12);
        assert!((scaled(-99.0) - (-9.0 - 0.099)).abs() < 1e-12);
    }

    #[test]
    fn only_known_labels_count() {
        let prediction = vec![[-3.0, -1.0], [-8.0, -0.5], [-2.0, -15.0]];
        assert!(
            (objective(&prediction, &vec![Some(false), None, Some(true)]) - (scaled(-3.0) + scaled(-15.0)) / 2.0).abs()
                < 1e-12
        );
        assert_eq!(objective(&prediction, &vec![None; 3]), 0.0);
    }
}
