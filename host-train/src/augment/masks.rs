//! Random masks, so that a network knows every stage of a scan.

use kscout_core::kspace::{LineSet, Pattern};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::config::key::{Key, real, share};
use crate::mri::observation::pattern_mask;

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
    /// The part of samples whose lines are a block in the centre and then one side: for homodyne reconstruction.
    pub partial: f32,
    /// The part of samples whose mask is one of those that a file gives for the slice, where there is such a file.
    pub recorded: f32,
}

impl MaskConfig {
    /// What the numbers of the section `masks` may be.
    pub const KEYS: &[Key] = &[
        real("masks.min_fraction", 1e-4, 1.0),
        real("masks.favour_few", 0.01, 100.0),
        share("masks.full"),
        share("masks.centre"),
        share("masks.partial"),
        share("masks.recorded"),
    ];
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self { min_fraction: 0.05, favour_few: 1.5, full: 0.1, centre: 0.5, partial: 0.0, recorded: 0.8 }
    }
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
    } else if kind < config.full + config.centre + config.partial {
        Pattern::PartialFourier { centre_fraction: rng.random_range(0.3..0.9) }
    } else {
        Pattern::VariableDensity { centre_fraction: rng.random_range(0.2..0.8), power: rng.random_range(1..=6) }
    };
    pattern_mask(pattern, width, lines.clamp(1, width), rng.random())
}
