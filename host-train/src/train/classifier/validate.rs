//! The classifier's score during training: ROC-AUC over validation patients, centre-out.

use kscout_core::Complex32;
use kscout_core::kspace::Pattern;
use rayon::prelude::*;

use crate::data::{Dataset, Diagnosis, Labels, Slice, Split};
use crate::diagnose::{Diagnoser, DiagnosisScore, Verdict};
use crate::mri::observation::pattern_mask;
use crate::mri::{KSpace, Protocol, acquire, seed_for};

/// Images that are held at once.
const BATCH: usize = 64;

/// The labelled validation slices, measured once: the same phase and noise at every validation.
pub struct Validation<'a> {
    slices: Vec<(&'a Slice, KSpace, Diagnosis)>,
    labels: &'a Labels,
}

impl<'a> Validation<'a> {
    /// Measures the validation slices of `data` of which something is known.
    pub fn new(data: &'a Dataset, labels: &'a Labels, protocol: &Protocol, seed: u64) -> Self {
        let measure = |slice: &'a Slice| {
            let diagnosis = labels.of(&slice.id);
            if diagnosis.iter().all(Option::is_none) {
                return None;
            }
            let seed = seed_for(&slice.id.patient, slice.id.n, seed);
            Some((slice, acquire(&slice.image, slice.height, slice.width, protocol, seed), diagnosis))
        };
        Self { slices: data.slices(Split::Val).into_par_iter().filter_map(measure).collect(), labels }
    }

    /// Whether there is nothing to validate on.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The score at `budget` centre lines.
    pub fn score(&self, diagnoser: &Diagnoser, budget: usize) -> DiagnosisScore {
        let mut verdicts = Vec::with_capacity(self.slices.len());
        for part in self.slices.chunks(BATCH) {
            let mask = pattern_mask(Pattern::CentreOut, part[0].0.width, budget, 0);
            let image = |(_, kspace, _): &(&Slice, KSpace, Diagnosis)| kspace.zero_filled(|line| mask.contains(line));
            let images: Vec<Vec<Complex32>> = part.par_iter().map(image).collect();
            let images: Vec<&[Complex32]> = images.iter().map(Vec::as_slice).collect();
            for ((slice, _, truth), opinion) in part.iter().zip(diagnoser.opinions(&images)) {
                verdicts.push(Verdict { case: self.labels.case(&slice.id), opinion, truth: truth.clone() });
            }
        }
        DiagnosisScore::of(&verdicts)
    }
}
