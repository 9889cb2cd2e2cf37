//! Normalisation with learned scale and offset.

pub mod layer;

/// What normalised values are multiplied with, and what is added then; each `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Scale.
    pub gamma: &'a [f32],
    /// Offset.
    pub beta: &'a [f32],
}

/// What the values of each pixel were normalised by, `[N, pixels]`.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// Mean.
    pub mean: &'a [f32],
    /// Mean square of the differences from the mean.
    pub variance: &'a [f32],
}

/// Where a way back writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of the input, `[N, C, pixels]`.
    pub x: &'a mut [f32],
    /// Gradient of the scale, `[C]`.
    pub gamma: &'a mut [f32],
    /// Gradient of the offset, `[C]`.
    pub beta: &'a mut [f32],
}
