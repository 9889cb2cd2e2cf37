//! int8 operators, and those of the image that the networks see.
//!
//! [`Kernels`] is the set of operators a graph needs; a kernel set is a type that implements it. [`Reference`] is
//! naive and obviously right, [`Portable`] is fast in plain Rust; every set agrees with [`Reference`] to the bit,
//! whatever the data, so that a result never depends on the machine.
//!
//! # Layout
//! Activations are HWC, batch 1. `real = scale * (q - zero_point)`; zero points lie in `-128 ..= 127`. Convolution
//! weights are symmetric, `[out][kernel y][kernel x][in]` (transposed convolutions too) unless [`Layout`] says
//! otherwise, depthwise ones `[kernel y][kernel x][channel]`.
//! Positions outside the input count as its zero point, i.e. as real zero. A linear layer is a 1x1 convolution,
//! over one position or over many tokens. Accumulators are `i32` and wrap; sums that a real network makes stay far
//! from that.
//!
//! # Lengths
//! An operator is a plain record and may be made from untrusted bytes. Every method of [`Kernels`] first checks the
//! record (its `is_valid`) and the slices (its `fits`), and **returns early, leaving the output as it was**, if
//! they are not right or the scratch is too small. None panics. A checker calls `is_valid` on each record
//! beforehand, so that in a checked model the early return is never taken.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod aarch64;
#[cfg(any(test, feature = "agreement"))]
pub mod agreement;
#[cfg(kscout_dsp)]
mod cortex_m4;
#[cfg(kscout_helium)]
mod cortex_m55;
#[cfg(any(test, feature = "agreement"))]
pub mod cost;
mod forward;
mod image;
mod in_place;
mod layout;
mod ops;
mod portable;
mod reference;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub use aarch64::Neon;
#[cfg(kscout_dsp)]
pub use cortex_m4::CortexM4;
#[cfg(kscout_helium)]
pub use cortex_m55::CortexM55;
pub use layout::{Filters, Layout, Packing, UnknownLayout};
pub(crate) use ops::MAX_INPUT;
pub use ops::{
    Add, Axis, Channel, ChannelParams, Concat, ConcatInput, Conv2d, ConvTranspose2x2, Corners, LayerNorm, MAX_CHANNELS,
    MAX_EXTENT, MAX_STEP, MaxPool, Shape, Shift, Table, Upsample2x, conv_extent, conv_scratch_bytes,
    conv_transpose_scratch_bytes, depthwise_scratch_bytes, pool_extent,
};
pub use portable::Portable;
pub use reference::Reference;
#[cfg(target_arch = "x86_64")]
pub use x86::{Level, X86};

use crate::Complex32;

/// The best set of those that are known to run where this is built: `CortexM55` with Helium, `CortexM4` with the DSP
/// extension, `Neon` on 64-bit Arm, else [`Portable`].
#[cfg(kscout_helium)]
pub type Native = CortexM55;
/// The best set of those that are known to run where this is built: `CortexM55` with Helium, `CortexM4` with the DSP
/// extension, `Neon` on 64-bit Arm, else [`Portable`].
#[cfg(all(kscout_dsp, not(kscout_helium)))]
pub type Native = CortexM4;
/// The best set of those that are known to run where this is built: `CortexM55` with Helium, `CortexM4` with the DSP
/// extension, `Neon` on 64-bit Arm, else [`Portable`].
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub type Native = Neon;
/// The best set of those that are known to run where this is built: `CortexM55` with Helium, `CortexM4` with the DSP
/// extension, `Neon` on 64-bit Arm, else [`Portable`].
#[cfg(not(any(kscout_dsp, all(target_arch = "aarch64", target_endian = "little"))))]
pub type Native = Portable;

/// A set of int8 operators. See the module's page for layout, padding and what happens when lengths disagree.
pub trait Kernels {
    /// The set's name, as reports and tests print it.
    fn name(&self) -> &'static str;

    /// Scratch bytes that the set would have for a convolution: at least [`conv_scratch_bytes`], which is what a blob plans
    /// and every set does with. With less than it would have it may be slow.
    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        conv_scratch_bytes(op.kernel, op.input.c)
    }

    /// As [`Kernels::conv_scratch_bytes`], of a depthwise convolution.
    fn depthwise_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        depthwise_scratch_bytes(op.kernel, op.input.c)
    }

    /// As [`Kernels::conv_scratch_bytes`], of a transposed convolution.
    fn conv_transpose_scratch_bytes(&self, op: &ConvTranspose2x2<'_>) -> usize {
        conv_transpose_scratch_bytes(op.input.c)
    }

    /// Convolution of `input` (`op.input`) into `output` (`op.output`). `scratch` is 16-aligned and holds at least
    /// [`conv_scratch_bytes`] bytes; what it holds before and after does not matter.
    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]);

    /// Depthwise convolution, one filter a channel (multiplier 1). `scratch` as in [`Kernels::conv2d`], with
    /// [`depthwise_scratch_bytes`].
    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]);

    /// Transposed convolution, 2x2 with stride 2; `output` has shape `op.output()`. `scratch` as in [`Kernels::conv2d`],
    /// with [`conv_transpose_scratch_bytes`].
    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]);

    /// Maximum over square windows without padding; `output` has shape `op.output()`.
    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]);

    /// Sum of two tensors of `op.len` elements.
    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]);

    /// [`Kernels::add`] where the sum takes the place of an input, or of both: `None` stands for what `values` holds.
    fn add_in_place(&self, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
        in_place::add(self, op, a, b, values);
    }

    /// Two tensors joined along the channels; `output` has shape `op.output()`.
    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]);

    /// Bilinear interpolation to twice the height and width; `output` has shape `op.output()`.
    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]);

    /// Normalisation over the channels of each position; `output` has the shape of `input`.
    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]);

    /// `output[i] = table[input[i] + 128]`, for any length that both share.
    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]);

    /// [`Kernels::table`] where the results take the place of the values.
    fn table_in_place(&self, op: &Table<'_>, values: &mut [i8]) {
        in_place::table(self, op, values);
    }

    /// Five groups of channels moved by -2 .. 2 along one axis (UNeXt); `output` has the shape of `input`.
    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]);

    /// Adds one line to a complex image, `image[y][x] += profile[y] * ramp[x]`, `[y][x]` with rows as long as `ramp`, as many
    /// rows as both `image` and `profile` have:
    ///
    /// `re = (re + p.re * r.re) - p.im * r.im`, `im = (im + p.re * r.im) + p.im * r.re`, each operation rounded.
    fn grow(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        image::grow(image, profile, ramp);
    }

    /// Sum of `re * re + im * im` over an image of rows of `width`; 0 for a width of 0, and without a last row that is not
    /// whole.
    ///
    /// Column x of a row adds to sum `x % 8`, in rising order; the row's energy is `((s0 + s4) + (s2 + s6)) + ((s1 + s5) +
    /// (s3 + s7))`; rows add to 0 in rising order.
    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        image::energy(image, width)
    }

    /// An image filled in by conjugate symmetry, pixel by pixel, for as many as the three slices hold. `paired` is the part of
    /// `image` whose lines have measured mirror images; `weight`, 0 to 1, is what the lines count that symmetry tells.
    ///
    /// With `s` of `paired` and `size = sqrt(s.re * s.re + s.im * s.im)`, `re = (z.re * s.re + z.im * s.im) / size` and `im =
    /// (z.im * s.re - z.re * s.im) / size` are the pixel `z` of `image` less the phase of `s`; out comes `re + weight * (re -
    /// size)` and `im - weight * im`, each operation rounded. A pixel whose `size` is not above 0 comes out as it is.
    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        image::homodyne(image, paired, weight, out);
    }

    /// Levels of an image's magnitude: `floor(sqrt(re * re + im * im) * gain + 0.5)`, each operation rounded, limited to 0 ..=
    /// 255 (0 for what is no number) and less 128, for as many pixels as both slices hold.
    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        image::quantise(image, gain, out);
    }

    /// Class of each pixel: the first of its largest logits, of more than 256 classes among the first 256. `logits` is
    /// `[y][x][class]`; as many pixels are written as both slices hold, none for no classes.
    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        image::classify(logits, classes, out);
    }
}
