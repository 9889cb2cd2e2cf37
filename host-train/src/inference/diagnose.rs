//! Diagnosing complex images with a trained classifier, and scoring what it says.

use std::collections::BTreeMap;

use burn::tensor::Device;
use burn::tensor::activation::log_softmax;
use kscout_core::Complex32;
use rayon::prelude::*;

use super::rollout::Scanned;
use crate::data::measured::MeasuredVolume;
use crate::data::{Diagnosis, Labels, SliceId};
use crate::inference::numbers::{NoNumbers, numbers};
use crate::metrics::auc::roc_auc;
use crate::metrics::stats::mean;
use crate::mri::KSpace;
use crate::net::asmr::{KspaceClassifier, complex_planes};

/// Images that the device evaluates at once.
const BATCH: usize = 16;

/// Images that are held at once.
const HELD: usize = 64;

/// A classifier, without gradients, ready to be asked.
pub struct Diagnoser {
    /// The network.
    pub network: KspaceClassifier,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Where it runs.
    pub device: Device,
}

/// Log-probabilities of no and of yes, for each label.
pub type LogProbabilities = Vec<[f64; 2]>;

impl Diagnoser {
    /// What it thinks of each complex image (row-major).
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    pub fn predictions(&self, images: &[&[Complex32]]) -> Result<Vec<LogProbabilities>, NoNumbers> {
        let mut all = Vec::with_capacity(images.len());
        for batch in images.chunks(BATCH) {
            all.extend(self.batch(batch)?);
        }
        Ok(all)
    }

    /// Scores what it thinks of finished scans of `volumes`.
    ///
    /// # Errors
    /// Those of [`predictions`](Self::predictions).
    pub fn score_volumes(
        &self,
        labels: &Labels,
        volumes: &[MeasuredVolume<'_>],
        scans: &[Vec<Scanned>],
    ) -> Result<DiagnosisScore, NoNumbers> {
        Ok(DiagnosisScore::of(&self.verdicts_of_volumes(labels, volumes, scans)?))
    }

    /// What it thinks of finished scans of `volumes`, slice by slice, beside what is true.
    pub fn verdicts_of_volumes<'a>(
        &self,
        labels: &Labels,
        volumes: &'a [MeasuredVolume<'_>],
        scans: &'a [Vec<Scanned>],
    ) -> Result<Vec<Verdict<'a>>, NoNumbers> {
        let slices = volumes.iter().flat_map(|volume| &volume.slices).zip(scans.iter().flatten());
        self.verdicts(labels, slices.map(|(measured, scan)| (&measured.slice.id, &measured.kspace, &scan.lines[..])))
    }

    /// Scores what it thinks of scans: slices and their measured lines. Those of which `labels` know nothing are left out.
    ///
    /// # Errors
    /// Those of [`predictions`](Self::predictions).
    pub fn score<'a>(
        &self,
        labels: &Labels,
        scans: impl Iterator<Item = (&'a SliceId, &'a KSpace, &'a [u16])>,
    ) -> Result<DiagnosisScore, NoNumbers> {
        Ok(DiagnosisScore::of(&self.verdicts(labels, scans)?))
    }

    fn verdicts<'a>(
        &self,
        labels: &Labels,
        scans: impl Iterator<Item = (&'a SliceId, &'a KSpace, &'a [u16])>,
    ) -> Result<Vec<Verdict<'a>>, NoNumbers> {
        let known: Vec<_> = scans.filter(|(id, ..)| labels.know(id)).collect();
        let mut verdicts = Vec::with_capacity(known.len());
        for part in known.chunks(HELD) {
            let image = |(_, kspace, lines): &(&SliceId, &KSpace, &[u16])| {
                kspace.zero_filled(|line| lines.iter().any(|&other| usize::from(other) == line))
            };
            let images: Vec<Vec<Complex32>> = part.par_iter().map(image).collect();
            let images: Vec<&[Complex32]> = images.iter().map(Vec::as_slice).collect();
            for (&(id, ..), prediction) in part.iter().zip(self.predictions(&images)?) {
                verdicts.push(Verdict { case: labels.case(id), prediction, truth: labels.of(id) });
            }
        }
        Ok(verdicts)
    }

    fn batch(&self, images: &[&[Complex32]]) -> Result<Vec<LogProbabilities>, NoNumbers> {
        let logits = self.network.forward(complex_planes(images, self.size, &self.device));
        let log_p = numbers(log_softmax(logits, 2), "classifier")?;
        let pair = |pair: &[f32]| [f64::from(pair[0]), f64::from(pair[1])];
        let image = |image: &[f32]| image.chunks_exact(2).map(pair).collect();
        Ok(log_p.chunks_exact(2 * self.labels.len()).map(image).collect())
    }
}

/// Log-probabilities of what is true, for the labels that are known.
pub fn of_the_truth<'a>(prediction: &'a LogProbabilities, truth: &'a Diagnosis) -> impl Iterator<Item = f64> + 'a {
    prediction.iter().zip(truth).filter_map(|(log_p, truth)| truth.map(|yes| log_p[usize::from(yes)]))
}

/// One image's prediction beside what is true of it.
pub struct Verdict<'a> {
    /// Whom the labels are about: images of one case are averaged.
    pub case: (&'a str, Option<u32>),
    /// What the classifier says.
    pub prediction: LogProbabilities,
    /// What is true.
    pub truth: Diagnosis,
}

/// How good predictions were.
#[derive(Clone, Debug, PartialEq)]
pub struct DiagnosisScore {
    /// Area under the ROC curve of each label, over cases; `None` where not both answers occur.
    pub auc: Vec<Option<f64>>,
    /// Mean log-probability of the truth, over images and their known labels; `None` where nothing is
    /// known.
    pub log_probability: Option<f64>,
}

impl DiagnosisScore {
    /// Scores the verdicts. The probabilities of a case's images are averaged before cases are ranked.
    pub fn of(verdicts: &[Verdict<'_>]) -> Self {
        let labels = verdicts.first().map_or(0, |verdict| verdict.truth.len());
        let auc = (0..labels).map(|label| roc_auc(&cases(verdicts, label))).collect();
        let known: Vec<f64> = verdicts.iter().flat_map(|v| of_the_truth(&v.prediction, &v.truth)).collect();
        Self { auc, log_probability: mean(&known) }
    }

    /// Mean over the labels that have an AUC; `None` where none has.
    pub fn mean_auc(&self) -> Option<f64> {
        mean(&self.auc.iter().copied().flatten().collect::<Vec<_>>())
    }
}

/// Mean probability of a label and its truth, for each case in which it is known.
fn cases(verdicts: &[Verdict<'_>], label: usize) -> Vec<(f64, bool)> {
    let mut cases: BTreeMap<(&str, Option<u32>), (f64, usize, bool)> = BTreeMap::new();
    for verdict in verdicts {
        let Some(truth) = verdict.truth[label] else { continue };
        let case = cases.entry(verdict.case).or_insert((0.0, 0, truth));
        case.0 += verdict.prediction[label][1].exp();
        case.1 += 1;
    }
    cases.into_values().map(|(sum, count, truth)| (sum / count as f64, truth)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(case: &str, yes: f64, truth: Option<bool>) -> Verdict<'_> {
        Verdict { case: (case, None), prediction: vec![[(1.0 - yes).ln(), yes.ln()]], truth: vec![truth] }
    }

    #[test]
    fn the_images_of_a_case_are_averaged_before_cases_are_ranked() {
        // Slice by slice, 0.9 of the healthy one ranks first; patient by patient, 0.5 against 0.6 does not.
        let verdicts = [
            verdict("healthy", 0.9, Some(false)),
            verdict("healthy", 0.1, Some(false)),
            verdict("ill", 0.6, Some(true)),
            verdict("unknown", 0.99, None),
        ];
        let score = DiagnosisScore::of(&verdicts);
        assert_eq!(score.auc, [Some(1.0)]);
        let expected = (0.1f64.ln() + 0.9f64.ln() + 0.6f64.ln()) / 3.0;
        assert!((score.log_probability.unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn without_both_answers_there_is_no_auc_and_without_any_no_score() {
        let score = DiagnosisScore::of(&[verdict("ill", 0.6, Some(true))]);
        assert_eq!((score.auc.clone(), score.mean_auc()), (vec![None], None));
        assert!(score.log_probability.is_some());
        let nothing = DiagnosisScore::of(&[verdict("unknown", 0.6, None)]);
        assert_eq!((nothing.mean_auc(), nothing.log_probability), (None, None));
        assert_eq!(DiagnosisScore::of(&[]).log_probability, None);
    }
}
