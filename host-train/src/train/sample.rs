//! One training sample: a slice, varied, measured through a random mask, as the network will see it on the device.

use kscout_core::kspace::LineSet;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::augment::{AugmentConfig, MaskConfig, augment, random_mask};
use crate::data::Slice;
use crate::mri::Acquisition;
use crate::mri::observation::{levels_to_real, observed_levels};

/// Random numbers of their own for the place of a crop, so that masks are the same with and without.
const CROP_STREAM: u64 = 1;

/// The network's input and target for one slice.
pub struct Sample {
    /// Columns of the image.
    pub width: usize,
    /// `height * width`, in units of the image's root mean square.
    pub image: Vec<f32>,
    /// `height * width` classes.
    pub label: Vec<u8>,
}

impl Sample {
    /// A square of `side` pixels at a place that `seed` tells, in the units of the whole image. `side` is at most the image's
    /// height and width.
    pub fn cropped(&self, side: usize, seed: u64) -> Self {
        let (width, height) = (self.width, self.label.len() / self.width);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(CROP_STREAM);
        let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
        fn cut<T: Copy>(
            values: &[T],
            width: usize,
            rows: std::ops::Range<usize>,
            columns: std::ops::Range<usize>,
        ) -> Vec<T> {
            rows.flat_map(|row| values[row * width..][columns.clone()].iter().copied()).collect()
        }
        let (rows, columns) = (top..top + side, left..left + side);
        let image = cut(&self.image, width, rows.clone(), columns.clone());
        Self { width: side, image, label: cut(&self.label, width, rows, columns) }
    }
}

/// The masks that a slice may be seen through.
#[derive(Clone, Copy)]
pub struct SampleMasks<'a> {
    /// How random ones are drawn, and what share the recorded ones have.
    pub random: &'a MaskConfig,
    /// Recorded ones of the slice.
    pub recorded: &'a [LineSet],
}

impl SampleMasks<'_> {
    fn draw(self, width: usize, rng: &mut ChaCha8Rng) -> LineSet {
        let random = random_mask(width, self.random, rng);
        match self.recorded.choose(rng) {
            Some(mask) if rng.random::<f32>() < self.random.recorded => mask.clone(),
            _ => random,
        }
    }
}

/// A training sample of `slice`: the same for the same `seed`. Its mask does not depend on how it is varied.
pub fn training_sample(
    slice: &Slice,
    seed: u64,
    augmentation: &AugmentConfig,
    masks: SampleMasks<'_>,
    acquisition: Acquisition,
) -> Sample {
    let varied = augment(slice, &acquisition.protocol, augmentation, seed);
    let mask = masks.draw(slice.width, &mut ChaCha8Rng::seed_from_u64(seed));
    let levels = observed_levels(&varied.kspace, &mask, acquisition.reconstruction);
    Sample { width: slice.width, image: levels_to_real(&levels).collect(), label: varied.label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::phantom::{PhantomOptions, patient};
    use crate::data::{Phase, SliceId, Split};
    use crate::mri::Protocol;
    use crate::mri::observation::pattern_mask;
    use kscout_core::kspace::{Pattern, Reconstruction};

    fn slice() -> Slice {
        let mut volume = patient(1, &PhantomOptions { size: 64, ..PhantomOptions::default() }).volumes.swap_remove(0);
        Slice {
            id: SliceId { patient: "patient001".into(), n: 1 },
            phase: Phase::Ed,
            z: 0,
            spacing_mm: volume.spacing_mm,
            group: String::new(),
            split: Split::Train,
            height: 64,
            width: 64,
            image: volume.images.swap_remove(4),
            label: volume.labels.swap_remove(4),
        }
    }

    fn sample(augmentation: &AugmentConfig, seed: u64) -> (Vec<f32>, Vec<u8>) {
        let masks = SampleMasks { random: &MaskConfig::default(), recorded: &[] };
        let acquisition = Acquisition { protocol: Protocol::scanner(), reconstruction: Reconstruction::HalfHomodyne };
        let sample = training_sample(&slice(), seed, augmentation, masks, acquisition);
        (sample.image, sample.label)
    }

    #[test]
    fn a_seed_gives_one_sample_and_another_seed_another() {
        let config = AugmentConfig::default().with_probability(1.0);
        assert_eq!(sample(&config, 1), sample(&config, 1));
        assert_ne!(sample(&config, 1), sample(&config, 2));
    }

    #[test]
    fn a_crop_is_a_part_of_the_sample_at_a_place_of_its_seed() {
        let image: Vec<f32> = (0..64 * 96).map(|pixel| pixel as f32).collect();
        let whole = Sample { width: 96, label: (0..64 * 96).map(|pixel| (pixel % 251) as u8).collect(), image };
        let mut places = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let part = whole.cropped(32, seed);
            assert_eq!((part.width, part.image.len()), (32, 32 * 32));
            let first = part.image[0] as usize;
            let expected = |i: usize| first + i / 32 * 96 + i % 32;
            assert!(part.image.iter().enumerate().all(|(i, &value)| value == expected(i) as f32));
            assert!(part.label.iter().enumerate().all(|(i, &class)| usize::from(class) == expected(i) % 251));
            places.insert((first / 96, first % 96));
        }
        assert!(places.len() > 35 && places.iter().all(|&(top, left)| top <= 32 && left <= 64), "{places:?}");
        assert_eq!(whole.cropped(32, 7).image, whole.cropped(32, 7).image);
    }

    #[test]
    fn a_share_of_samples_is_seen_through_recorded_masks() {
        let recorded = [pattern_mask(Pattern::Equispaced { centre_fraction: 0.0 }, 64, 4, 0)];
        let off = AugmentConfig::default().with_probability(0.0);
        let image = |share, recorded: &[LineSet], seed| {
            let masks = SampleMasks { random: &MaskConfig { recorded: share, ..MaskConfig::default() }, recorded };
            let acquisition = Acquisition { protocol: Protocol::igs(), reconstruction: Reconstruction::ZeroFilled };
            training_sample(&slice(), seed, &off, masks, acquisition).image
        };
        let through = |seed| image(1.0, &recorded, seed);
        assert_eq!(through(1), through(2), "always the one mask");
        assert_eq!(image(0.0, &recorded, 3), image(0.8, &[], 3), "never");
        let seen = (0..40).filter(|&seed| image(0.5, &recorded, seed) == through(seed)).count();
        assert!((10..=30).contains(&seen), "{seen} of 40");
    }

    #[test]
    fn phase_noise_and_mask_do_not_depend_on_what_is_varied() {
        let off = AugmentConfig::default().with_probability(0.0);
        let mut idle = off.clone().with_probability(1.0);
        (idle.flip.probability, idle.phase.probability) = (0.0, 0.0);
        (idle.rotate.degrees, idle.scale.amount, idle.shift.amount) = (0.0, 0.0, 0.0);
        (idle.elastic.amplitude, idle.gamma.amount, idle.bias.amount) = (0.0, 0.0, 0.0);
        (idle.ghost.amplitude, idle.noise.sigma, idle.spike.strength) = (0.0, 0.0, 0.0);
        for seed in 0..10 {
            assert_eq!(sample(&off, seed), sample(&idle, seed), "seed {seed}");
        }
    }
}
