//! The scanner on the host: from a magnitude image to the complex, noisy k-space that a scan samples.
//!
//! * `random`: a small random stream whose numbers never change between versions.
//! * [`fourier`]: the centred, orthonormal two-dimensional transform, k-space line by line.
//! * [`acquire`](mod@acquire): phase, noise and the k-space of a slice.
//! * [`Acquisition`]: protocol and reconstruction together. [`Measuring`]: protocol and seed, as keys. `reconstruction`: the image that lines make. [`observation`]: what the networks are shown of it.

pub mod acquire;
mod acquisition;
pub mod fourier;
mod measuring;
pub mod observation;
pub(crate) mod random;
pub mod reconstruction;

pub use acquire::{KSpace, Protocol, acquire, seed_for};
pub use acquisition::Acquisition;
pub use measuring::Measuring;
