//! Kernels for Cortex-M cores with the DSP extension: M4, M7, M33 and later ones.
//!
//! Single DSP instructions ([`dsp`]) where the compiler schedules well around them, written-out loops where it does not.
//! [`norm`] and [`image`] need the FPU, the others go without. What an operator's record does not allow to be done fast is
//! [`Portable`]'s: each function checks that once, at its start.
//!
//! # Cost
//! Each file has a table. Instructions a multiply-accumulate, padding included, counted in QEMU by `firmware-demo/run.sh bench
//! m4` (Cortex-M4, `-C target-cpu=cortex-m4`, opt-level 3, fat LTO), weights in either layout; an M33 (`bench m33`, `-C
//! target-cpu=cortex-m33`) takes as many. They are not cycles: a load of several words is one instruction and takes a cycle a
//! word.
//!
//! | layer | portable | here |
//! |---|---|---|
//! | conv 3x3 64x64 16->16 | 5.34 | 1.17 |
//! | conv 3x3 64x64 8->8 | 6.95 | 1.77 |
//! | conv 3x3 32x32 32->32 | 4.78 | 0.98 |
//! | conv 3x3 16x16 64->64 | 4.54 | 0.91 |
//! | conv 3x3 64x64 1->16 | 18.7 | 3.50 |
//! | conv 1x1 32x32 32->64 | 7.18 | 1.30 |
//! | conv 3x3 stride 2, 32x32 32->32 | 4.78 | 0.99 |
//! | depthwise 3x3 32x32 x32 | 17.0 | 2.48 |
//! | depthwise 3x3 16x16 x64 | 16.5 | 2.74 |
//! | conv 3x3 stride 2, 128x128 1->8 | 20.6 | 4.29 |
//! | conv 3x3 128x128 4->4 | 10.8 | 3.59 |
//! | conv 1x1 128x128 4->4 | 46.0 | 13.3 |
//! | linear 131->128 | 9.44 | 2.73 |

// Pointers into slices whose lengths have been checked, and `asm!`; each block says why.
#![allow(unsafe_code)]

mod blocks;
mod channels;
mod columns;
mod conv;
mod depthwise;
mod dsp;
#[cfg(target_abi = "eabihf")]
mod image;
#[cfg(target_abi = "eabihf")]
mod norm;
mod pointwise;
mod single;
mod window;

use super::{
    Add, Concat, Conv2d, ConvTranspose2x2, ImageKernels, Int8Kernels, LayerNorm, MaxPool, Shift, Table, Upsample2x,
};
#[cfg(target_abi = "eabihf")]
use crate::Complex32;

/// The kernel set for Cortex-M4, M7 and M33: equal to [`Reference`](super::Reference) to the bit.
#[derive(Clone, Copy, Debug, Default)]
pub struct CortexM4;

impl Int8Kernels for CortexM4 {
    fn name(&self) -> &'static str {
        "cortex-m4"
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        conv::conv2d(op, input, output, scratch);
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        depthwise::depthwise(op, input, output, scratch);
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        conv::conv_transpose2x2(op, input, output, scratch);
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        window::max_pool(op, input, output);
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        pointwise::add(op, a, b, output);
    }

    fn add_in_place(&self, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
        pointwise::add_in_place(op, a, b, values);
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        pointwise::concat(op, a, b, output);
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        window::upsample2x(op, input, output);
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        #[cfg(target_abi = "eabihf")]
        norm::layer_norm(op, input, output);
        #[cfg(not(target_abi = "eabihf"))]
        super::Portable.layer_norm(op, input, output);
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        pointwise::table(op, input, output);
    }

    fn table_in_place(&self, op: &Table<'_>, values: &mut [i8]) {
        pointwise::table_in_place(op, values);
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        window::shift(op, input, output);
    }
}

/// Without an FPU there is nothing to gain.
#[cfg(not(target_abi = "eabihf"))]
impl ImageKernels for CortexM4 {}

#[cfg(target_abi = "eabihf")]
impl ImageKernels for CortexM4 {
    fn accumulate(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        image::accumulate(image, profile, ramp);
    }

    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        image::energy(image, width)
    }

    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        image::homodyne(image, paired, weight, out);
    }

    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        image::quantise(image, gain, out);
    }

    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        image::classify(logits, classes, out);
    }
}
