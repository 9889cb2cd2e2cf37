//! From measured lines to an image: masks, sampling patterns, the Fourier transform, and the image that grows.
//!
//! * [`mask`]: which lines have been measured.
//! * [`pattern`]: orders of lines that do not look at the data: what a policy is compared against.
//! * [`rng`]: the small generator behind the random patterns.
//! * [`fft`]: the centred orthonormal transform of one line.
//! * [`recon`]: the zero-filled image, grown one line at a time, and its quantised magnitude.
//! * [`homodyne`]: what conjugate symmetry adds to it.
//!
//! All of it works in the caller's memory, and gives the same bytes on every target.

pub mod fft;
pub mod homodyne;
pub mod mask;
pub mod pattern;
pub mod recon;
pub mod rng;

pub use fft::{FftError, fft_centred, ifft_centred};
pub use homodyne::{Homodyne, Reconstruction, UnknownReconstruction, mirror_line};
pub use mask::{LineMask, LineSet, MAX_LINES, MaskError};
pub use pattern::{Pattern, PatternError};
pub use recon::{
    IMAGE_LEVELS_PER_RMS, ReconError, Twiddles, grow_image, grow_image_with, quantise_magnitude,
    quantise_magnitude_with,
};
pub use rng::SplitMix64;

/// The same cases in every run of the property tests.
#[cfg(test)]
pub(crate) fn fixed_cases(cases: u32) -> proptest::prelude::ProptestConfig {
    use proptest::test_runner::{Config, RngSeed};
    Config { cases, rng_seed: RngSeed::Fixed(20_240_607), failure_persistence: None, ..Config::default() }
}
