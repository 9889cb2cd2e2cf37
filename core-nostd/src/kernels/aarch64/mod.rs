//! Kernels for 64-bit Arm: NEON, which is always there, and SDOT where the core has it.
//!
//! [`conv`] multiplies windows by blocks of 16 filters ([`product`]), [`depthwise`] and [`window`] run over channels,
//! [`pointwise`] over elements, [`image`] over pixels; [`scale`] requantises four lanes at a time. Whatever these do not take (a
//! dilated kernel, another core's layout, a multiplier of -2^31) goes to [`Portable`].
//!
//! # Cost
//! Each file has a table. Instructions, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64` (rustc 1.95 without
//! flags, opt-level 3), weights in the portable layout but for the last column; they are not cycles.
//!
//! | operator | portable kernels | NEON | SDOT | weights in the set's layout |
//! |---|---|---|---|---|
//! | conv 3x3 64x64 16->16 | 1.40 | 0.351 | 0.118 | 0.116 |
//! | conv 3x3 64x64 8->8 | 2.29 | 0.910 | 0.377 | 0.375 |
//! | conv 3x3 32x32 32->32 | 1.05 | 0.327 | 0.103 | 0.097 |
//! | conv 3x3 16x16 64->64 | 0.92 | 0.330 | 0.112 | 0.088 |
//! | conv 3x3 64x64 1->16 | 10.3 | 1.31 | 0.697 | 0.693 |
//! | conv 1x1 32x32 32->64 | 2.75 | 0.475 | 0.215 | 0.207 |
//! | conv 3x3 stride 2, 32x32 32->32 | 1.05 | 0.349 | 0.125 | 0.101 |
//!
//! Adding a line, energy, conjugate symmetry, quantisation, layer normalisation and shift are those of every target
//! ([`super::image`], [`super::portable`]), which the compiler turns into vectors.

#![allow(unsafe_code)]

mod conv;
mod depthwise;
mod image;
mod pointwise;
mod product;
mod scale;
mod window;

use super::{
    Add, Concat, Conv2d, ConvTranspose2x2, ImageKernels, Int8Kernels, LayerNorm, MaxPool, Portable, Shift, Table,
    Upsample2x,
};

/// The kernel set of 64-bit Arm.
#[derive(Clone, Copy, Debug)]
pub struct Neon {
    dot: bool,
}

impl Neon {
    /// Kernels that use what the target is compiled for: NEON, and SDOT with `-C target-feature=+dotprod`.
    pub const fn new() -> Self {
        Self { dot: cfg!(target_feature = "dotprod") }
    }

    /// Kernels that use SDOT.
    ///
    /// # Safety
    /// The core has the feature `dotprod`. With `std`, `is_aarch64_feature_detected!("dotprod")` tells.
    pub const unsafe fn with_dotprod() -> Self {
        Self { dot: true }
    }

    /// Kernels that do without SDOT, for comparison.
    pub const fn without_dotprod() -> Self {
        Self { dot: false }
    }
}

impl Default for Neon {
    fn default() -> Self {
        Self::new()
    }
}

impl Int8Kernels for Neon {
    fn name(&self) -> &'static str {
        if self.dot { "neon-dotprod" } else { "neon" }
    }

    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        Portable.conv_scratch_bytes(op).max(if op.is_valid() { conv::scratch_bytes(op) } else { 0 })
    }

    fn conv_transpose_scratch_bytes(&self, op: &ConvTranspose2x2<'_>) -> usize {
        Portable.conv_transpose_scratch_bytes(op).max(if op.is_valid() { conv::transpose_scratch_bytes(op) } else { 0 })
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let ours = op.is_valid() && op.fits(input, output) && scratch.len() >= self.conv_scratch_bytes(op);
        if !ours || !conv::conv2d(op, self.dot, input, output, scratch) {
            Portable.conv2d(op, input, output, scratch);
        }
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let ours =
            op.is_valid_depthwise() && op.fits(input, output) && scratch.len() >= self.depthwise_scratch_bytes(op);
        if !ours || !depthwise::depthwise(op, input, output) {
            Portable.depthwise(op, input, output, scratch);
        }
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let ours = op.is_valid() && op.fits(input, output) && scratch.len() >= self.conv_transpose_scratch_bytes(op);
        if !ours || !conv::conv_transpose2x2(op, self.dot, input, output, scratch) {
            Portable.conv_transpose2x2(op, input, output, scratch);
        }
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        if !op.fits(input, output) || !window::max_pool(op, input, output) {
            Portable.max_pool(op, input, output);
        }
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(a, b, output) || !pointwise::add(op, a, b, output) {
            Portable.add(op, a, b, output);
        }
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(a, b, output) {
            return;
        }
        pointwise::concat(op, a, b, output);
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(input, output) || !window::upsample2x(op, input, output) {
            Portable.upsample2x(op, input, output);
        }
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        Portable.layer_norm(op, input, output);
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        if input.len() == output.len() {
            pointwise::table(op.table, input, output);
        }
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        Portable.shift(op, input, output);
    }
}

impl ImageKernels for Neon {
    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        image::classify(logits, classes, out);
    }
}
