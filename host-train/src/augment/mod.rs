//! Variation of training slices: in the image, before it is measured, and in its k-space, after.
//!
//! | where | what | file |
//! |---|---|---|
//! | image and classes | flip, rotation, scale, shift | [`affine`] |
//! | image and classes | elastic deformation | [`elastic`] |
//! | image | gamma | [`gamma`] |
//! | image | bias field of a receive coil | [`bias`] |
//! | k-space | smooth phase beyond the protocol's | [`phase`] |
//! | k-space | ghosts of periodic motion | [`ghost`] |
//! | k-space | noise beyond the protocol's | [`noise`] |
//! | k-space | spikes | [`spike`] |
//!
//! They act in this order, those that move pixels in one interpolation. Each has its own probability, and draws from a
//! stream of its own, made of the sample's seed and its name: the same seed gives the same sample, and what one of them
//! does, the protocol's phase and noise included, does not change when another is turned on, off or up.

pub mod affine;
pub mod bias;
pub mod elastic;
pub mod gamma;
pub mod ghost;
mod masks;
pub mod noise;
pub mod phase;
pub mod smooth;
pub mod spike;
mod warp;

pub use masks::{MaskConfig, random_mask};
use serde::{Deserialize, Serialize};

use crate::config::Key;
pub(crate) use crate::config::Refusal;
use crate::data::Slice;
use crate::mri::random::{Stream, fnv1a, mix};
use crate::mri::{KSpace, Protocol, acquire};

/// How training slices are varied. The defaults move the slice and vary its contrast; everything else is off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Mirror images.
    pub flip: affine::Flip,
    /// Rotation about the centre.
    pub rotate: affine::Rotate,
    /// Magnification about the centre.
    pub scale: affine::Scale,
    /// Displacement as a whole.
    pub shift: affine::Shift,
    /// Smooth random deformation.
    pub elastic: elastic::Elastic,
    /// Contrast.
    pub gamma: gamma::Gamma,
    /// Smooth shading.
    pub bias: bias::Bias,
    /// Smooth phase.
    pub phase: phase::Phase,
    /// Periodic motion while lines are measured.
    pub ghost: ghost::Ghost,
    /// Complex noise.
    pub noise: noise::Noise,
    /// Samples struck by interference.
    pub spike: spike::Spike,
}

impl AugmentConfig {
    /// What the numbers of the section `augment` may be.
    pub fn keys() -> Vec<Key> {
        let moves = [affine::Flip::KEYS, affine::Rotate::KEYS, affine::Scale::KEYS, affine::Shift::KEYS];
        let image = [elastic::Elastic::KEYS, gamma::Gamma::KEYS, bias::Bias::KEYS];
        let kspace = [phase::Phase::KEYS, ghost::Ghost::KEYS, noise::Noise::KEYS, spike::Spike::KEYS];
        [&moves[..], &image, &kspace].concat().concat()
    }

    /// Refuses values that do not go together, by the key's whole name.
    pub fn check_together(&self) -> Result<(), Refusal> {
        self.elastic.check_together()?;
        self.ghost.check_together()
    }

    /// The same strengths, with every probability at `probability`.
    pub fn with_probability(mut self, probability: f32) -> Self {
        self.flip.probability = probability;
        self.rotate.probability = probability;
        self.scale.probability = probability;
        self.shift.probability = probability;
        self.elastic.probability = probability;
        self.gamma.probability = probability;
        self.bias.probability = probability;
        self.phase.probability = probability;
        self.ghost.probability = probability;
        self.noise.probability = probability;
        self.spike.probability = probability;
        self
    }
}

/// The stream of one kind of variation in the sample of `seed`.
fn stream(seed: u64, name: &str) -> Stream {
    Stream::new(mix(seed) ^ fnv1a(name.bytes()))
}

/// A slice, varied and measured.
pub struct Augmented {
    /// Classes, row-major, where the varied image has them.
    pub label: Vec<u8>,
    /// What the scanner measures of the varied image, with what goes wrong in it.
    pub kspace: KSpace,
}

/// `slice`, varied and measured under `protocol`: the same for the same `seed`.
pub fn augment(slice: &Slice, protocol: &Protocol, config: &AugmentConfig, seed: u64) -> Augmented {
    let size = [slice.height, slice.width];
    let (image, label) = vary_image(&slice.image, &slice.label, size, config, seed);
    let measurement = stream(seed, "acquire").bits();
    let mut kspace = acquire(&image, slice.height, slice.width, protocol, measurement);
    vary_kspace(&mut kspace, &image, config, seed);
    Augmented { label, kspace }
}

/// An image (`height * width`, row-major, values 0 to 1) and its classes, varied.
pub fn vary_image(
    image: &[f32],
    label: &[u8],
    size: [usize; 2],
    config: &AugmentConfig,
    seed: u64,
) -> (Vec<f32>, Vec<u8>) {
    let map = affine::Map::draw(config, size, seed);
    let displacement = config.elastic.draw(size, &mut stream(seed, "elastic"));
    let (mut image, label) = match (map, displacement) {
        (None, None) => (image.to_vec(), label.to_vec()),
        (Some(map), None) => warp::warp(image, label, size, |y, x, _| map.source(y, x)),
        (None, Some([dy, dx])) => warp::warp(image, label, size, |y, x, i| [y + dy[i], x + dx[i]]),
        (Some(map), Some([dy, dx])) => warp::warp(image, label, size, |y, x, i| map.source(y + dy[i], x + dx[i])),
    };
    config.gamma.apply(&mut image, &mut stream(seed, "gamma"));
    config.bias.apply(&mut image, size, &mut stream(seed, "bias"));
    (image, label)
}

/// Varies the k-space that was measured of `image`.
pub fn vary_kspace(kspace: &mut KSpace, image: &[f32], config: &AugmentConfig, seed: u64) {
    config.phase.apply(kspace, &mut stream(seed, "phase"));
    config.ghost.apply(kspace, &mut stream(seed, "ghost"));
    config.noise.apply(kspace, image, &mut stream(seed, "noise"));
    config.spike.apply(kspace, image, &mut stream(seed, "spike"));
}

#[cfg(test)]
mod tests;
