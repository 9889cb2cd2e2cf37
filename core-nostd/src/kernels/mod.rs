//! int8 operators, and those of the image that the networks see.
//!
//! A kernel set is a type with the operators that a scan needs: [`Int8Kernels`] run its networks, [`ImageKernels`] make the image
//! and the classes; [`Kernels`] are both. Anybody may bring a set. [`Reference`] is naive and obviously right, [`Portable`] is fast in plain Rust; every set agrees with [`Reference`] to the bit,
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
//! An operator is a plain record and may be made from untrusted bytes. Every method of [`Int8Kernels`] first checks the
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
mod int8;
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
pub use image::ImageKernels;
pub use int8::Int8Kernels;
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
pub use x86::{Detected, Level, X86};

/// The best set for the machine: `CortexM55` with Helium, `CortexM4` with the DSP extension and `Neon` on 64-bit Arm, as it is
/// compiled; on x86-64 `Detected`, which asks the CPU when it is made; else [`Portable`].
pub type Native = native::Set;

mod native {
    #[cfg(kscout_helium)]
    pub type Set = super::CortexM55;
    #[cfg(all(kscout_dsp, not(kscout_helium)))]
    pub type Set = super::CortexM4;
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    pub type Set = super::Neon;
    #[cfg(target_arch = "x86_64")]
    pub type Set = super::Detected;
    #[cfg(not(any(kscout_dsp, target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
    pub type Set = super::Portable;
}

/// A whole kernel set: what a scan runs with. Whatever is both [`Int8Kernels`] and [`ImageKernels`] is one.
pub trait Kernels: Int8Kernels + ImageKernels {}

impl<K: Int8Kernels + ImageKernels + ?Sized> Kernels for K {}
