//! The arithmetic of training on a CPU: functions over slices of f32, forward and backward.
//!
//! Nothing here knows of tensors or of automatic differentiation. Tensors are contiguous slices: images `[N, C, H, W]`
//! with the column running fastest, weights of convolutions `[out, in, ky, kx]`. The caller owns every slice, results
//! included; what a kernel needs besides is kept by each thread for the next call.
//!
//! | module | operator |
//! |---|---|
//! | [`conv`] | 2-D convolution of odd kernels, in f32 or with factors rounded to bf16 |
//! | [`transposed`] | 2x2 transposed convolution with step 2 |
//! | [`depthwise`] | 3x3 convolution of each channel by itself |
//! | [`norm`] | layer norm over channels |
//! | [`pool`], [`bilinear`] | halving and doubling |
//! | [`gelu`] | the activation of token MLPs |
//! | [`loss`] | softmax, cross-entropy and Dice with their gradient |
//! | [`adamw`] | a step of the optimizer |
//!
//! **Threads.** All kernels share their work out over rayon's current pool, in pieces that depend on the shapes alone; sums
//! over pieces are taken in the order of the pieces. So results have the same bytes with any number of threads. They may
//! differ in the last digits between processors, which have vectors of different lengths.
//!
//! **Lengths.** A slice whose length is not what the shape says is a fault of the caller, and panics.

pub mod adamw;
pub mod bilinear;
pub mod conv;
pub mod depthwise;
mod elementary;
pub mod gelu;
pub(super) mod lanes;
pub mod loss;
pub mod norm;
pub mod pool;
pub(super) mod simd;
pub mod transposed;

#[cfg(test)]
mod oracle;

/// How the factors of a product are read; sums are in f32 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    F32,
    /// Rounded to the nearest bf16, ties to even, where the processor multiplies those; as they are elsewhere.
    Bf16,
}
