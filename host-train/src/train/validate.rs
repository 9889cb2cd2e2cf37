//! The segmenter's score during training: mean 3-D Dice over the validation volumes, centre-out.

use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::kspace::Pattern;
use rayon::prelude::*;

use crate::data::{CLASSES, Dataset, Slice, Split};
use crate::eval::metrics::overlaps;
use crate::mri::observation::{levels_to_real, observed_levels, pattern_mask};
use crate::mri::{KSpace, Protocol, acquire, seed_for};
use crate::net::UNext;

const BATCH: usize = 16;

/// The validation volumes, measured once: the same phase and noise at every validation.
pub struct Validation<'a> {
    volumes: Vec<Vec<(&'a Slice, KSpace)>>,
}

impl<'a> Validation<'a> {
    /// Measures every validation slice of `data`.
    pub fn new(data: &'a Dataset, protocol: &Protocol, seed: u64) -> Self {
        let measure = |slice: &'a Slice| {
            let seed = seed_for(&slice.id.patient, slice.id.n, seed);
            (slice, acquire(&slice.image, slice.height, slice.width, protocol, seed))
        };
        let volumes = data.volumes(Split::Val).into_iter();
        Self { volumes: volumes.map(|v| v.slices.into_par_iter().map(measure).collect()).collect() }
    }

    /// Whether there is nothing to validate on.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }

    /// Mean Dice of RV, MYO and LV over the volumes at `budget` centre lines.
    pub fn dice(&self, network: &UNext, budget: usize, device: &Device) -> [f64; 3] {
        let (mut sums, mut counts) = ([0.0; 3], [0usize; 3]);
        for volume in &self.volumes {
            let (mut predicted, mut truth) = (Vec::new(), Vec::new());
            for part in volume.chunks(BATCH) {
                let mask = pattern_mask(Pattern::CentreOut, part[0].0.width, budget, 0);
                let images: Vec<f32> = part
                    .par_iter()
                    .flat_map_iter(|(_, kspace)| levels_to_real(&observed_levels(kspace, &mask)).collect::<Vec<_>>())
                    .collect();
                predicted.extend(classify(network, images, [part[0].0.height, part[0].0.width], device));
                part.iter().for_each(|(slice, _)| truth.extend_from_slice(&slice.label));
            }
            let overlaps = overlaps(&predicted, &truth).expect("labels of one size");
            for (class, overlap) in overlaps.iter().enumerate() {
                if let Some(dice) = overlap.dice() {
                    sums[class] += dice;
                    counts[class] += 1;
                }
            }
        }
        std::array::from_fn(|class| sums[class] / counts[class].max(1) as f64)
    }
}

/// The classes of a batch of images (`height * width` values each).
pub fn classify(network: &UNext, images: Vec<f32>, [height, width]: [usize; 2], device: &Device) -> Vec<u8> {
    let batch = images.len() / (height * width);
    let input = Tensor::<4>::from_data(TensorData::new(images, [batch, 1, height, width]), device);
    let logits = network.forward(input).into_data().try_into_vec::<f32>().expect("logits are f32");
    let plane = height * width;
    let class = |image: usize, pixel: usize| {
        let at = |class: usize| logits[(image * CLASSES + class) * plane + pixel];
        (1..CLASSES).fold(0, |best, class| if at(class) > at(best) { class } else { best }) as u8
    };
    (0..batch).flat_map(|image| (0..plane).map(move |pixel| (image, pixel))).map(|(i, p)| class(i, p)).collect()
}
