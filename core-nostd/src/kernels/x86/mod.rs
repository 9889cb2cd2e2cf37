//! Kernels for x86-64 with AVX2, AVX-VNNI or AVX-512 VNNI, chosen at run time.
//!
//! One file a family, as in [`portable`](super::portable), written once in vectors of sixteen 32-bit lanes ([`lanes`]); a
//! level gives them its instructions ([`avx2`], [`avx512`]). What makes a convolution fast:
//!
//! * The input is copied, a band of rows at a time, with its borders and 128 added ([`band`]): a row of a window is then
//!   contiguous, and four bytes of it are one operand of VPDPBUSD. The zero point and the 128 are taken off by the bias, with
//!   the sum of each filter's weights. No windows are gathered.
//! * Weights lie as [`Layout::X86_64`] has them, sixteen filters side by side, or are packed so on each call, two such
//!   groups at a time ([`pack`]).
//! * Eight positions by 32 filters (AVX-512; 6 or 4 by 16 with AVX2) stay in registers over the whole window.
//! * Results are scaled sixteen at a time by the same two roundings as [`Requant::apply`](crate::quant::Requant::apply), for
//!   any multiplier and shift. Maps of four or eight channels share a vector between positions.
//!
//! What no path is made for goes to [`Portable`]: dilated convolutions, depthwise ones, normalisations, poolings and
//! interpolations whose channels are no multiple of 16 (the usual cases of the last two with 8 have a path), interpolation with
//! aligned corners, shifts below AVX-512.
//!
//! # Cost
//! Each file has a table of small layers; here are those of networks.
//!
//! One thread of an AMD EPYC of the Zen 5 generation at about 4.3 GHz, `--release` without any flag, medians of `cargo run
//! --release -p kscout-core --example kernels -- FILE.kscout 101`; the packing of weights is in it. Convolutions in 10^9
//! multiply-accumulates a second; VPDPBUSD's own limit is 550 with AVX-512, half of that with AVX-VNNI.
//!
//! | operator | portable | AVX2 | AVX-VNNI | AVX-512 |
//! |---|---|---|---|---|
//! | conv 3x3 128x128 1->8 | 1.2 | 20 | 26 | 51 |
//! | conv 3x3 64x64 8->16 | 8.3 | 66 | 126 | 262 |
//! | conv 3x3 32x32 16->32 | 13 | 76 | 168 | 344 |
//! | conv 3x3 32x32 32->128 | 18 | 84 | 208 | 425 |
//! | conv 3x3 8x8 160->128 | 26 | 82 | 193 | 320 |
//! | conv 3x3 4x4 256->160 | 25 | 62 | 113 | 151 |
//! | conv 3x3 32x32 512->512 | 25 | 91 | 251 | 486 |
//! | conv 3x3 256x256 64->64 | 22 | 87 | 231 | 445 |
//! | conv 3x3 stride 2 16x16 128->160 | 25 | 81 | 188 | 307 |
//! | conv 1x1 128x128 8->4 | 1.3 | 14 | 20 | 33 |
//! | conv 1x1 16x16 128->128 | 17 | 72 | 145 | 279 |
//! | transposed 64x64 256->128 | 20 | 81 | 190 | 380 |
//! | depthwise 3x3 16x16x128 | 2.2 | 16 | 16 | 36 |
//!
//! The others in nanoseconds an element of output, or a pixel:
//!
//! | operator | portable | AVX2, AVX-VNNI | AVX-512 |
//! |---|---|---|---|
//! | add | 2.8 | 0.9 | 0.35 |
//! | upsample2x, half-pixel centres, 8 channels | 3.0 | 0.31 | 0.14 |
//! | layer_norm, 128 channels | 2.3 | 0.43 | 0.30 |
//! | max_pool 2x2, 16 channels | 1.1 | 0.07 | 0.07 |
//! | table (AVX-512 with VBMI) | 0.2 | 0.2 | 0.02 |
//! | shift, 64 channels | 0.18 | 0.18 | 0.03 |
//! | accumulate | 0.3 | 0.1 | 0.1 |
//! | energy | 0.13 | 0.08 | 0.08 |
//! | quantise | 1.1 | 0.21 | 0.21 |
//! | classify, 4 classes | 4.7 | 0.16 | 0.16 |
//!
//! # Memory
//! A convolution takes a copy of at most about 384 KiB (more only where one row of windows is larger) and the weights of 32
//! filters. With no more scratch than a blob plans it is left to [`Portable`]: lend [`Graph::arena_bytes_with`] bytes.
//!
//! [`Graph::arena_bytes_with`]: crate::model::Graph::arena_bytes_with
mod avx2;
mod avx512;
mod band;
mod conv;
mod cursor;
mod depthwise;
mod detect;
mod detected;
mod image;
mod lanes;
mod pack;
mod pointwise;
mod sink;
mod table;
#[cfg(test)]
mod tests;
mod window;

use crate::Complex32;

use super::{
    Add, Concat, Conv2d, ConvTranspose2x2, Filters, ImageKernels, Int8Kernels, LayerNorm, Layout, MaxPool, Portable,
    Shift, Table, Upsample2x, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};
use avx2::{Avx2, AvxVnni};
use avx512::Avx512;
use detect::Features;
pub use detected::Detected;

/// Which instructions a set uses, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// AVX2.
    Avx2,
    /// AVX2 and VNNI in its VEX encoding.
    AvxVnni,
    /// AVX-512 (F, BW, DQ, VL) with VNNI.
    Avx512Vnni,
}

impl Level {
    /// Every level, the best one last.
    pub const ALL: [Self; 3] = [Self::Avx2, Self::AvxVnni, Self::Avx512Vnni];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
        }
    }
}

/// The kernel set; that there is a value shows that the machine has its instructions.
#[derive(Clone, Copy, Debug)]
pub struct X86 {
    level: Level,
    /// Whether there are permutations of bytes for tables.
    vbmi: bool,
}

impl X86 {
    /// The best level this machine has; `None` without AVX2.
    pub fn detect() -> Option<Self> {
        Level::ALL.into_iter().rev().find_map(Self::with_level)
    }

    /// The set at this level; `None` if the machine does not have it.
    pub fn with_level(level: Level) -> Option<Self> {
        let features = Features::detect();
        features.has(level).then_some(Self { level, vbmi: features.vbmi && level == Level::Avx512Vnni })
    }

    /// The set's level.
    pub const fn level(&self) -> Level {
        self.level
    }
}

/// One function a level for each operator, all with the operator's body.
macro_rules! levels {
    ($($vis:vis fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? { $avx2:expr; $vnni:expr; $avx512:expr })*) => {
        $($vis fn $name(set: &X86, $($arg: $type),*) $(-> $result)? {
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $type),*) $(-> $result)? {
                // SAFETY: the function has the level's features.
                unsafe { $avx2 }
            }
            #[target_feature(enable = "avx2,avxvnni")]
            fn vnni($($arg: $type),*) $(-> $result)? {
                // SAFETY: as above.
                unsafe { $vnni }
            }
            #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
            fn avx512($($arg: $type),*) $(-> $result)? {
                // SAFETY: as above.
                unsafe { $avx512 }
            }
            // SAFETY: a set of a level exists only where the machine has its features.
            unsafe {
                match set.level {
                    Level::Avx2 => avx2($($arg),*),
                    Level::AvxVnni => vnni($($arg),*),
                    Level::Avx512Vnni => avx512($($arg),*),
                }
            }
        })*
    };
}

mod dispatch {
    #![allow(unsafe_code)]
    use super::*;
    levels! {
        pub(super) fn conv2d(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) -> Option<()> {
            conv::conv2d::<Avx2, 4, 1, 4>(op, input, output, scratch);
            conv::conv2d::<AvxVnni, 6, 1, 4>(op, input, output, scratch);
            conv::conv2d::<Avx512, 8, 2, 8>(op, input, output, scratch)
        }
        pub(super) fn transpose(
            op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]
        ) -> Option<()> {
            conv::conv_transpose2x2::<Avx2, 4, 1, 4>(op, input, output, scratch);
            conv::conv_transpose2x2::<AvxVnni, 6, 1, 4>(op, input, output, scratch);
            conv::conv_transpose2x2::<Avx512, 8, 2, 8>(op, input, output, scratch)
        }
        pub(super) fn depthwise(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) -> Option<()> {
            depthwise::depthwise::<Avx2, 4>(op, input, output, scratch);
            depthwise::depthwise::<AvxVnni, 4>(op, input, output, scratch);
            depthwise::depthwise::<Avx512, 8>(op, input, output, scratch)
        }
        pub(super) fn add(op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
            pointwise::add::<Avx2>(op, a, b, values);
            pointwise::add::<AvxVnni>(op, a, b, values);
            pointwise::add::<Avx512>(op, a, b, values)
        }
        pub(super) fn layer_norm(op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) -> Option<()> {
            pointwise::layer_norm::<Avx2>(op, input, output);
            pointwise::layer_norm::<AvxVnni>(op, input, output);
            pointwise::layer_norm::<Avx512>(op, input, output)
        }
        pub(super) fn upsample2x(op: &Upsample2x, input: &[i8], output: &mut [i8]) -> Option<()> {
            window::upsample2x::<Avx2>(op, input, output);
            window::upsample2x::<AvxVnni>(op, input, output);
            window::upsample2x::<Avx512>(op, input, output)
        }
    }

    pub(super) fn accumulate(image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        // SAFETY: every level has AVX2; so below.
        unsafe { image::accumulate(image, profile, ramp) }
    }

    pub(super) fn energy(image: &[Complex32], width: usize) -> f32 {
        // SAFETY: as above.
        unsafe { image::energy(image, width) }
    }

    pub(super) fn homodyne(image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        // SAFETY: as above.
        unsafe { image::homodyne(image, paired, weight, out) }
    }

    pub(super) fn quantise(image: &[Complex32], gain: f32, out: &mut [i8]) {
        // SAFETY: as above.
        unsafe { image::quantise(image, gain, out) }
    }

    pub(super) fn classify(logits: &[i8], classes: usize, out: &mut [u8]) {
        // SAFETY: as above.
        unsafe { image::classify(logits, classes, out) }
    }

    pub(super) fn max_pool(op: &MaxPool, input: &[i8], output: &mut [i8]) -> Option<()> {
        // SAFETY: every level has SSE4.1.
        unsafe { window::max_pool(op, input, output) }
    }

    pub(super) fn shift(op: &Shift, input: &[i8], output: &mut [i8]) {
        // SAFETY: the caller knows that the level is AVX-512's.
        unsafe { window::shift(op, input, output) }
    }

    pub(super) fn table(table: &[i8; 256], input: &[i8], output: &mut [i8]) {
        // SAFETY: the caller knows that the CPU has VBMI.
        unsafe { table::look_up(table, input, output) }
    }

    pub(super) fn table_in_place(table: &[i8; 256], values: &mut [i8]) {
        // SAFETY: as above.
        unsafe { table::look_up_in_place(table, values) }
    }
}

/// Whether the set reads these weights itself: they lie as they come or as it wants them, with nothing in between.
fn reads(layout: Layout, weights: &[i8], filters: Filters) -> bool {
    match layout {
        Layout::X86_64 => layout.packing().rows_end_in_zeros(weights, filters.row_len),
        _ => layout.is_unpacked(),
    }
}

impl Int8Kernels for X86 {
    fn name(&self) -> &'static str {
        self.level.name()
    }

    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        Portable.conv_scratch_bytes(op).max(if op.is_valid() { conv::conv_scratch_bytes(op) } else { 0 })
    }

    fn depthwise_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        Portable.depthwise_scratch_bytes(op).max(if op.is_valid_depthwise() { depthwise::scratch_bytes(op) } else { 0 })
    }

    fn conv_transpose_scratch_bytes(&self, op: &ConvTranspose2x2<'_>) -> usize {
        Portable.conv_transpose_scratch_bytes(op).max(if op.is_valid() { conv::transpose_scratch_bytes(op) } else { 0 })
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let fast = op.is_valid()
            && op.fits(input, output)
            && op.dilation == 1
            && reads(op.layout, op.weights, op.filters())
            && scratch.len() >= conv_scratch_bytes(op.kernel, op.input.c);
        if !fast || dispatch::conv2d(self, op, input, output, scratch).is_none() {
            Portable.conv2d(op, input, output, scratch);
        }
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let fast = op.is_valid_depthwise()
            && op.fits(input, output)
            && scratch.len() >= depthwise_scratch_bytes(op.kernel, op.input.c);
        if !fast || dispatch::depthwise(self, op, input, output, scratch).is_none() {
            Portable.depthwise(op, input, output, scratch);
        }
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        let fast = op.is_valid()
            && op.fits(input, output)
            && reads(op.layout, op.weights, op.filters())
            && scratch.len() >= conv_transpose_scratch_bytes(op.input.c);
        if !fast || dispatch::transpose(self, op, input, output, scratch).is_none() {
            Portable.conv_transpose2x2(op, input, output, scratch);
        }
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        if !op.fits(input, output) || dispatch::max_pool(op, input, output).is_none() {
            Portable.max_pool(op, input, output);
        }
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(a, b, output) {
            dispatch::add(self, op, Some(a), Some(b), output);
        }
    }

    fn add_in_place(&self, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
        let fits = |part: Option<&[i8]>| part.is_none_or(|part| part.len() == op.len);
        if op.is_valid() && values.len() == op.len && fits(a) && fits(b) {
            dispatch::add(self, op, a, b, values);
        }
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        if op.is_valid() && op.fits(a, b, output) {
            table::concat(op, a, b, output, self.vbmi);
        }
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        let fast = op.is_valid() && op.fits(input, output);
        if !fast || dispatch::upsample2x(self, op, input, output).is_none() {
            Portable.upsample2x(op, input, output);
        }
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        let fast = op.is_valid() && op.fits(input, output);
        if !fast || dispatch::layer_norm(self, op, input, output).is_none() {
            Portable.layer_norm(op, input, output);
        }
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        if self.vbmi && input.len() == output.len() {
            dispatch::table(op.table, input, output);
        } else {
            Portable.table(op, input, output);
        }
    }

    fn table_in_place(&self, op: &Table<'_>, values: &mut [i8]) {
        if self.vbmi {
            dispatch::table_in_place(op.table, values);
        } else {
            Portable.table_in_place(op, values);
        }
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        if self.level == Level::Avx512Vnni && op.is_valid() && op.fits(input, output) {
            dispatch::shift(op, input, output);
        } else {
            Portable.shift(op, input, output);
        }
    }
}

impl ImageKernels for X86 {
    fn accumulate(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        dispatch::accumulate(image, profile, ramp);
    }

    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        dispatch::energy(image, width)
    }

    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        dispatch::homodyne(image, paired, weight, out);
    }

    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        dispatch::quantise(image, gain, out);
    }

    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        dispatch::classify(logits, classes, out);
    }
}
