//! Fast kernels in safe Rust, for every target.
//!
//! One file a family: [`conv`] gathers windows into 16-bit columns and multiplies ([`dot`]), as does [`transpose`];
//! [`depthwise`] and [`window`] run over blocks of channels, [`pointwise`] over elements and positions. Slices are cut by
//! iterators and fixed-size chunks, so that no bounds check, hence no panic, is left and the inner loops vectorise.
//!
//! # Cost
//! Each file has a table. Of the Cortex-M4 (`-C target-cpu=cortex-m4`) and M55 (`-C target-feature=+mve,+lob`), both fat LTO,
//! it has instructions, counted in QEMU by `firmware-demo/run.sh bench m4|m55`; of 64-bit Arm (no flags) instructions, counted
//! under qemu-aarch64 by `tests/targets/run.sh bench aarch64`; of x86-64 (no flags) picoseconds on one core of an AMD EPYC (Zen
//! 5) at about 4.4 GHz, the best times of four runs of `tests/targets/run.sh bench x86-64`. All are rustc 1.95, opt-level 3,
//! weights in the portable layout.

mod conv;
mod depthwise;
mod dot;
mod pointwise;
mod transpose;
mod window;

use super::{
    Add, Concat, Conv2d, ConvTranspose2x2, ImageKernels, Int8Kernels, LayerNorm, Layout, MaxPool, Shift, Table,
    Upsample2x, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};

/// The portable kernel set: equal to [`Reference`](super::Reference) to the bit, and fast wherever LLVM finds
/// vectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

/// The first `bytes` bytes of `scratch` in 16 bits; `None` if it is too short or lies at an odd address.
fn halves(scratch: &mut [u8], bytes: usize) -> Option<&mut [i16]> {
    bytemuck::try_cast_slice_mut(scratch.get_mut(..bytes)?).ok()
}

/// The portable layout for any whose weights lie the same way: the loops ask for that one alone.
fn known(layout: Layout) -> Layout {
    if layout.is_unpacked() { Layout::Portable } else { layout }
}

impl Int8Kernels for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        if let Some(scratch) = halves(scratch, conv_scratch_bytes(op.kernel, op.input.c)) {
            conv::conv2d(&Conv2d { layout: known(op.layout), ..*op }, input, output, scratch);
        }
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid_depthwise() || !op.fits(input, output) {
            return;
        }
        if let Some(scratch) = halves(scratch, depthwise_scratch_bytes(op.kernel, op.input.c)) {
            depthwise::depthwise(op, input, output, scratch);
        }
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        if let Some(scratch) = halves(scratch, conv_transpose_scratch_bytes(op.input.c)) {
            let op = ConvTranspose2x2 { layout: known(op.layout), ..*op };
            transpose::conv_transpose2x2(&op, input, output, scratch);
        }
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        if op.fits(input, output) {
            window::max_pool(op, input, output);
        }
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(a, b, output) {
            pointwise::add(op, a, b, output);
        }
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(a, b, output) {
            pointwise::concat(op, a, b, output);
        }
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(input, output) {
            window::upsample2x(op, input, output);
        }
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(input, output) {
            pointwise::layer_norm(op, input, output);
        }
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        if input.len() == output.len() {
            pointwise::table(op, input, output);
        }
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(input, output) {
            window::shift(op, input, output);
        }
    }
}

impl ImageKernels for Portable {}
