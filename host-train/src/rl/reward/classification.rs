//! The classifier as reward model, as ASMR has it.
//!
//! Source: the code of Yen et al., ICML 2024 (arXiv 2406.04318). There, the steps up to `delay_step` (7) earn nothing;
//! every later one earns the mean over the labels of `h(log p(truth))` as it stands after the step, not what it gained,
//! with `h(z) = sign(z) (sqrt(|z| + 1) - 1) + 0.001 z`, which keeps the very unlikely from drowning the rest (Pohlen et
//! al., "Observe and Look Further", 2018).

use kscout_core::Complex32;

use super::{Glance, Measure, Pays, RewardModel, Scored};
use crate::data::{Diagnosis, Labels};
use crate::diagnose::{Diagnoser, DiagnosisScore, Opinion, Verdict, of_the_truth};
use crate::eval::run::{MeasuredVolume, RunError, Scanned};
use crate::eval::stats::{Sample, mean};
use crate::numbers::NoNumbers;

/// Mean over the known labels of the scaled log-probability of the truth.
pub struct ClassificationReward<'a> {
    /// Has the opinions.
    pub diagnoser: &'a Diagnoser,
    /// Know the truth.
    pub labels: &'a Labels,
}

impl RewardModel for ClassificationReward<'_> {
    fn worth(&self, scans: &[Glance<'_>]) -> Result<Vec<f64>, NoNumbers> {
        let images: Vec<&[Complex32]> = scans.iter().map(|scan| &*scan.image).collect();
        let opinions = self.diagnoser.opinions(&images)?;
        Ok(opinions.iter().zip(scans).map(|(opinion, scan)| worth(opinion, &scan.truth.diagnosis)).collect())
    }

    fn pays(&self) -> Pays {
        Pays::Level
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
            let known: Vec<f64> = of_the_truth(&verdict.opinion, &verdict.truth).collect();
            Some(Sample::new(verdict.case.0.to_owned(), mean(&known)?))
        };
        let samples = verdicts.iter().filter_map(sample).collect();
        Ok(Scored { measures: vec![score.mean_auc(), score.log_probability], samples })
    }
}

/// A slice of which nothing is known is worth nothing.
fn worth(opinion: &Opinion, truth: &Diagnosis) -> f64 {
    let known: Vec<f64> = of_the_truth(opinion, truth).map(scaled).collect();
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
        let opinion = vec![[-3.0, -1.0], [-8.0, -0.5], [-2.0, -15.0]];
        assert!(
            (worth(&opinion, &vec![Some(false), None, Some(true)]) - (scaled(-3.0) + scaled(-15.0)) / 2.0).abs()
                < 1e-12
        );
        assert_eq!(worth(&opinion, &vec![None; 3]), 0.0);
    }
}
