//! The classifier's score during training: ROC-AUC over validation patients, centre-out.

use kscout_core::kspace::Pattern;
use rayon::prelude::*;

use crate::data::{Dataset, Labels, Slice, Split};
use crate::inference::diagnose::{Diagnoser, DiagnosisScore};
use crate::inference::numbers::NoNumbers;
use crate::mri::{KSpace, Protocol, acquire, seed_for};

/// The labelled validation slices, measured once: the same phase and noise at every validation.
pub struct Validation<'a> {
    slices: Vec<(&'a Slice, KSpace)>,
    labels: &'a Labels,
}

impl<'a> Validation<'a> {
    /// Measures the validation slices of `data` of which something is known.
    pub fn new(data: &'a Dataset, labels: &'a Labels, protocol: &Protocol, seed: u64) -> Self {
        let measure = |slice: &'a Slice| {
            let seed = seed_for(&slice.id.patient, slice.id.n, seed);
            (slice, acquire(&slice.image, slice.height, slice.width, protocol, seed))
        };
        let known = data.slices(Split::Val).into_par_iter().filter(|slice| labels.know(&slice.id));
        Self { slices: known.map(measure).collect(), labels }
    }

    /// Whether there is nothing to validate on.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The score at `budget` centre lines, 1 to all.
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    pub fn score(&self, diagnoser: &Diagnoser, budget: usize) -> Result<DiagnosisScore, NoNumbers> {
        let lines = Pattern::CentreOut.lines(diagnoser.size[1], budget, 0).expect("a budget of 1 to all lines");
        diagnoser.score(self.labels, self.slices.iter().map(|(slice, kspace)| (&slice.id, kspace, &lines[..])))
    }
}
