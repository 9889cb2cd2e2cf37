//! One training sample of the classifier, and which slices a step takes.

use kscout_core::Complex32;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ClassifierConfig;
use crate::augment::augment;
use crate::augment::random_mask;
use crate::data::{Diagnosis, Labels, Slice};
use crate::mri::Protocol;

/// The network's input and target for one slice.
pub struct KspaceSample {
    /// The complex zero-filled image of a random mask, row-major.
    pub image: Vec<Complex32>,
    /// What is known of the slice.
    pub diagnosis: Diagnosis,
}

/// The slices that something is known of, by patient.
pub struct LabelledSlices<'a> {
    patients: Vec<Vec<(&'a Slice, Diagnosis)>>,
}

impl<'a> LabelledSlices<'a> {
    /// Those of `slices`, which are sorted by patient, at least one.
    pub fn new(slices: &[&'a Slice], labels: &Labels) -> Self {
        let labelled = |slice: &&'a Slice| (*slice, labels.of(&slice.id));
        let known: Vec<_> = slices.iter().filter(|slice| labels.know(&slice.id)).map(labelled).collect();
        let patients = known.chunk_by(|a, b| a.0.id.patient == b.0.id.patient).map(<[_]>::to_vec).collect();
        Self { patients }
    }

    /// Sample `number` of the run: a patient, all being equally likely however many slices they have, and one of its
    /// slices, varied and measured through a random mask. The same for the same number.
    pub fn sample(&self, number: u64, config: &ClassifierConfig, protocol: &Protocol) -> KspaceSample {
        let mut rng = ChaCha8Rng::seed_from_u64(config.measuring.seed);
        rng.set_stream(number + 1);
        let patient = &self.patients[rng.random_range(0..self.patients.len())];
        let (slice, diagnosis) = &patient[rng.random_range(0..patient.len())];
        let varied = augment(slice, protocol, &config.augment, rng.random());
        let mask = random_mask(slice.width, &config.masks, &mut rng);
        let image = varied.kspace.zero_filled(|line| mask.contains(line));
        KspaceSample { image, diagnosis: diagnosis.clone() }
    }
}
