//! For Cortex-M cores with the vector extension of Armv8.1-M (Helium, MVE): M55, M85.
//!
//! Compiled where the flags say so: `-C target-feature=+mve,+lob` for thumbv8m.main-none-eabihf (`build.rs` sets
//! `kscout_helium`). One file a concern: [`block`] and [`channels`] hold the inner loops of ordinary and depthwise
//! convolutions; [`conv`], [`columns`] (few weights), [`transpose`] and [`depthwise`] lay [`windows`] out for them, [`pack`]
//! brings portable weights into the order they read; [`pointwise`], [`neighbours`] and [`copy`] are the rest. What is in floating
//! point is [`CortexM4`]'s. Every inner loop is reached through a safe function that checks how far it will read
//! and write.
//!
//! Only integers are vectors here: Helium's floating point flushes subnormal numbers to zero, which no other target does.
//!
//! # Cost
//! Each file has a table. Instructions a multiply-accumulate, padding included, counted in QEMU by `firmware-demo/run.sh bench
//! m55` (QEMU counts every instruction once; Cortex-M55, rustc 1.95, `-C target-feature=+mve,+lob`, opt-level 3, fat LTO),
//! weights in the set's own layout, beside CMSIS-NN's, counted alike:
//!
//! | int8 layer | here | CMSIS-NN |
//! |---|---|---|
//! | conv 3x3 64x64 16->16 | 0.169 | 0.388 |
//! | conv 3x3 64x64 8->8 | 0.320 | 0.86 |
//! | conv 3x3 32x32 32->32 | 0.145 | 0.253 |
//! | conv 3x3 16x16 64->64 | 0.137 | 0.206 |
//! | conv 3x3 64x64 1->16 | 1.29 | 3.76 |
//! | conv 1x1 32x32 32->64 | 0.291 | 0.61 |
//! | conv 3x3 stride 2, 32x32 32->32 | 0.167 | 0.253 |
//! | depthwise 3x3 32x32 x32 | 1.39 | 2.69 |
//! | depthwise 3x3 16x16 x64 | 1.67 | 2.30 |
//!
//! The inner loop of a convolution takes 14 instructions for 128 products, 0.109 each; scaling, storing and going on to the
//! next pair of windows about 40 for 8 outputs. On hardware most vector instructions take two cycles.

mod block;
mod channels;
mod columns;
mod conv;
mod copy;
mod depthwise;
mod neighbours;
mod pack;
mod pointwise;
mod transpose;
mod windows;

use super::{
    Add, Concat, Conv2d, ConvTranspose2x2, CortexM4, ImageKernels, Int8Kernels, LayerNorm, MaxPool, Portable, Shift,
    Table, Upsample2x, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};
use crate::Complex32;

/// The kernel set for Helium: equal to [`Reference`](super::Reference) to the bit. It reads weights in
/// [`Layout::CortexM55`](super::Layout::CortexM55) fastest and packs unpacked ones as it goes, four filters at a time; other
/// layouts it hands to [`Portable`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CortexM55;

/// The first `bytes` bytes of `scratch`; `None` if it is too short.
fn signed(scratch: &mut [u8], bytes: usize) -> Option<&mut [i8]> {
    bytemuck::try_cast_slice_mut(scratch.get_mut(..bytes)?).ok()
}

impl Int8Kernels for CortexM55 {
    fn name(&self) -> &'static str {
        "cortex-m55"
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        let Some(room) = signed(scratch, conv_scratch_bytes(op.kernel, op.input.c)) else {
            return;
        };
        // For a single position packing costs more than it gains.
        if op.layout.is_unpacked() && output.len() == op.output.c {
            return CortexM4.conv2d(op, input, output, scratch);
        }
        if conv::conv2d(op, input, output, room).is_none() {
            Portable.conv2d(op, input, output, scratch);
        }
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid_depthwise() || !op.fits(input, output) {
            return;
        }
        let Some(room) = scratch.get_mut(..depthwise_scratch_bytes(op.kernel, op.input.c)) else {
            return;
        };
        let done =
            bytemuck::try_cast_slice_mut(room).ok().and_then(|room| depthwise::depthwise(op, input, output, room));
        if done.is_none() {
            Portable.depthwise(op, input, output, scratch);
        }
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        let Some(room) = signed(scratch, conv_transpose_scratch_bytes(op.input.c)) else {
            return;
        };
        if transpose::conv_transpose2x2(op, input, output, room).is_none() {
            Portable.conv_transpose2x2(op, input, output, scratch);
        }
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        if op.fits(input, output) && neighbours::max_pool(op, input, output).is_none() {
            Portable.max_pool(op, input, output);
        }
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(a, b, output) && pointwise::add(op, a, b, output).is_none() {
            Portable.add(op, a, b, output);
        }
    }

    fn add_in_place(&self, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
        let valid = op.is_valid() && values.len() == op.len;
        if valid && pointwise::add_in_place(op, a, b, values).is_none() {
            Portable.add_in_place(op, a, b, values);
        }
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(a, b, output) {
            pointwise::concat(op, a, b, output);
        }
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(input, output) && neighbours::upsample2x(op, input, output).is_none() {
            Portable.upsample2x(op, input, output);
        }
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        CortexM4.layer_norm(op, input, output);
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        if input.len() == output.len() {
            pointwise::table(op, input, output);
        }
    }

    fn table_in_place(&self, op: &Table<'_>, values: &mut [i8]) {
        pointwise::table_in_place(op, values);
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(input, output) && neighbours::shift(op, input, output).is_none() {
            Portable.shift(op, input, output);
        }
    }
}

impl ImageKernels for CortexM55 {
    fn accumulate(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        CortexM4.accumulate(image, profile, ramp);
    }

    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        CortexM4.energy(image, width)
    }

    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        CortexM4.homodyne(image, paired, weight, out);
    }

    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        CortexM4.quantise(image, gain, out);
    }

    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        if pointwise::classify(logits, classes, out).is_none() {
            Portable.classify(logits, classes, out);
        }
    }
}
