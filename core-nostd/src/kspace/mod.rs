//! From measured lines to an image: masks, sampling patterns, the Fourier transform, and the image that lines add up to.
//!
//! * [`mask`]: which lines have been measured.
//! * [`pattern`]: orders of lines that do not look at the data: what a policy is compared against.
//! * [`fft`]: the centred orthonormal transform of one line.
//! * [`reconstructor`]: the image of the lines measured so far.
//! * [`reconstruction`]: the kinds of reconstruction that there are.
//! * [`recon`]: what all of them start from, the zero-filled image, and the quantised magnitude.
//! * [`homodyne`]: what conjugate symmetry adds to it.
//! * [`samples`]: which samples a line may have.
//!
//! All of it works in the caller's memory, and gives the same bytes on every target.

mod arrival;
pub mod error;
pub mod fft;
pub mod homodyne;
pub mod mask;
pub mod pattern;
pub mod recon;
pub mod reconstruction;
pub mod reconstructor;
pub mod samples;

pub use error::{LineError, ReconError, SetupError};
pub use fft::{FftError, fft_centred, ifft_centred};
pub use homodyne::mirror_line;
pub use mask::{LineMask, LineSet, MAX_LINES, MaskError};
pub use pattern::{LineList, Pattern, PatternError};
pub use recon::{quantise_magnitude, quantise_magnitude_with};
pub use reconstruction::{Reconstruction, UnknownReconstruction};
pub use reconstructor::{Plan, Reconstructor};
pub use samples::{FAINTEST_LINE, LARGEST_SAMPLE};

/// The same cases in every run of the property tests.
#[cfg(test)]
pub(crate) fn fixed_cases(cases: u32) -> proptest::prelude::ProptestConfig {
    use proptest::test_runner::{Config, RngSeed};
    Config { cases, rng_seed: RngSeed::Fixed(20_240_607), failure_persistence: None, ..Config::default() }
}
