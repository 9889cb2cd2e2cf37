//! The segmenter's score during training: mean 3-D Dice over the validation volumes, in the order of lines that is usual for its
//! reconstruction.

use burn::tensor::Device;
use kscout_core::kspace::Reconstruction;
use rayon::prelude::*;

use crate::data::{Dataset, Slice, Split};
use crate::inference::numbers::NoNumbers;
use crate::inference::segment::classify;
use crate::metrics::dice::{MeanDice, Occurring, overlaps};
use crate::mri::observation::{levels_to_real, observed_levels, pattern_mask};
use crate::mri::reconstruction::usual_pattern;
use crate::mri::{Acquisition, KSpace, acquire, seed_for};
use crate::net::Segmenter;

const BATCH: usize = 16;

/// The validation volumes, measured once: the same phase and noise at every validation.
pub struct Validation<'a> {
    volumes: Vec<Vec<(&'a Slice, KSpace)>>,
    reconstruction: Reconstruction,
}

impl<'a> Validation<'a> {
    /// Measures every validation slice of `data`; says on standard error which structures their truth lacks.
    pub fn new(data: &'a Dataset, acquisition: Acquisition, seed: u64) -> Self {
        let measure = |slice: &'a Slice| {
            let seed = seed_for(&slice.id.patient, slice.id.n, seed);
            (slice, acquire(&slice.image, slice.height, slice.width, &acquisition.protocol, seed))
        };
        let volumes = data.volumes(Split::Val);
        let truth = volumes.iter().flat_map(|volume| &volume.slices).flat_map(|slice| &slice.label);
        if let Some(note) = Occurring::in_labels(truth).note().filter(|_| !volumes.is_empty()) {
            eprintln!("note: validation: {note}");
        }
        let volumes = volumes.into_iter();
        Self {
            volumes: volumes.map(|v| v.slices.into_par_iter().map(measure).collect()).collect(),
            reconstruction: acquisition.reconstruction,
        }
    }

    /// Whether there is nothing to validate on.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }

    /// Mean Dice of RV, MYO and LV over the volumes at `budget` lines.
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    pub fn dice(&self, network: &Segmenter, budget: usize, device: &Device) -> Result<MeanDice, NoNumbers> {
        let mut mean = MeanDice::default();
        for volume in &self.volumes {
            let (mut predicted, mut truth) = (Vec::new(), Vec::new());
            for part in volume.chunks(BATCH) {
                let mask = pattern_mask(usual_pattern(self.reconstruction), part[0].0.width, budget, 0);
                let seen = |(_, kspace): &(&Slice, KSpace)| {
                    levels_to_real(&observed_levels(kspace, &mask, self.reconstruction)).collect::<Vec<_>>()
                };
                let images: Vec<f32> = part.par_iter().flat_map_iter(seen).collect();
                predicted.extend(classify(network, images, [part[0].0.height, part[0].0.width], device)?);
                part.iter().for_each(|(slice, _)| truth.extend_from_slice(&slice.label));
            }
            let overlaps = overlaps(&predicted, &truth).expect("labels of one size");
            mean.add_overlaps(&overlaps);
        }
        Ok(mean)
    }
}
