//! One training sample: a slice, varied, measured through a random mask, as the network will see it on the device.

use kscout_core::kspace::{LineSet, Pattern};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::augment::{AugmentConfig, augment};
use crate::data::Slice;
use crate::mri::Protocol;
use crate::mri::observation::{levels_to_real, observed_levels, pattern_mask};

/// Which masks a segmenter is trained on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskConfig {
    /// The fewest lines of a mask, as a part of all lines. The number runs from here to all lines.
    pub min_fraction: f32,
    /// How much few lines are favoured: 1 draws their number log-uniformly, a larger power draws few lines more often.
    pub favour_few: f32,
    /// The part of samples that are fully sampled.
    pub full: f32,
    /// The part of samples whose lines are the centre ones alone; the others have variable density.
    pub centre: f32,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self { min_fraction: 0.05, favour_few: 1.5, full: 0.1, centre: 0.5 }
    }
}

/// The network's input and target for one slice.
pub struct Sample {
    /// `height * width`, in units of the image's root mean square.
    pub image: Vec<f32>,
    /// `height * width` classes.
    pub label: Vec<u8>,
}

/// A random mask of `width` lines.
pub fn random_mask(width: usize, config: &MaskConfig, rng: &mut impl Rng) -> LineSet {
    let kind: f32 = rng.random();
    let fewest = (config.min_fraction * width as f32).max(1.0);
    let lines = (fewest * (width as f32 / fewest).powf(rng.random::<f32>().powf(config.favour_few))).round() as usize;
    if kind < config.full {
        return pattern_mask(Pattern::CentreOut, width, width, 0);
    }
    let pattern = if kind < config.full + config.centre {
        Pattern::CentreOut
    } else {
        Pattern::VariableDensity { centre_fraction: rng.random_range(0.2..0.8), power: rng.random_range(1..=6) }
    };
    pattern_mask(pattern, width, lines.clamp(1, width), rng.random())
}

/// A training sample of `slice`: the same for the same `seed`. Its mask does not depend on how it is varied.
pub fn training_sample(
    slice: &Slice,
    seed: u64,
    augmentation: &AugmentConfig,
    masks: &MaskConfig,
    protocol: &Protocol,
) -> Sample {
    let varied = augment(slice, protocol, augmentation, seed);
    let mask = random_mask(slice.width, masks, &mut ChaCha8Rng::seed_from_u64(seed));
    let levels = observed_levels(&varied.kspace, &mask);
    Sample { image: levels_to_real(&levels).collect(), label: varied.label }
}
