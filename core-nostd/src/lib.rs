//! Adaptive k-space sampling and int8 cardiac segmentation, for the machine beside the scanner.
//!
//! `no_std`, no allocation: memory comes from the caller and weights stay where they are. From the bottom up, none using one that
//! is listed after it:
//!
//! * [`arena`]: the caller's memory, cut into aligned parts.
//! * [`contract`]: the numbers that networks, blobs and scans agree on.
//! * [`fnv`], [`rng`]: the hash of digests, and the generator that random patterns and tests draw from.
//! * [`quant`]: fixed-point scales, as TFLite and CMSIS-NN define them.
//! * [`kernels`]: int8 operators, each in a naive and a fast form that agree to the bit.
//! * [`kspace`]: line masks, sampling patterns, the Fourier transform, and the image that lines add up to.
//! * [`model`]: the `.kscout` file (a *blob*), its checked view, and a session that runs a graph in an arena.
//! * [`scan`]: the acquisition loop, from a budget to a segmentation.
//! * [`volume`]: slices that share a budget.
//! * [`capture`]: what was measured of a slice or a volume, stored with the digest that a scan of it must give.
//!
//! # Conventions
//! * Images are `[row y][column x]`, row-major. A *line* is one phase-encode column of k-space: `0..W`, DC at `W/2`;
//!   it holds H complex samples along ky, DC at `H/2`.
//! * Fourier transforms are centred and orthonormal: `fftshift(fft(ifftshift(x))) / sqrt(n)`.
//! * int8 activations are HWC; weights are `[out][kh][kw][in]`; `real = scale * (q - zero_point)`.
//! * Classes are 0 background, 1 right ventricle, 2 myocardium, 3 left ventricle.
//! * Every result is equal to the bit on every target: integers are exact, floating point keeps one order of operations
//!   and uses [`libm`], never a fused multiply-add.
//!
//! # Features
//! * `agreement`: [`kernels`] compared with the reference over random operators, and operators of fixed shapes to count or time.
//! * `defmt`: errors, line sets and what else firmware logs print through `defmt`.
#![no_std]
#![deny(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod arena;
pub mod capture;
pub mod contract;
mod crc32;
pub mod fnv;
pub mod kernels;
pub mod kspace;
mod length;
pub mod model;
pub mod quant;
pub mod rng;
pub mod scan;
pub mod volume;

pub use length::LengthError;
pub use num_complex::Complex32;
