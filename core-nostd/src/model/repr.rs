//! The records of a blob as plain values: what a graph is made of. [`super::record`] reads and writes them.
//!
//! Zero points are not repeated in operators: they are those of the tensors an operator reads and writes.

use super::kinds::OperatorKind;
use crate::kernels::{Axis, Corners, Shape, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes};
use crate::quant::Requant;

/// Where a tensor's values lie while its graph runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The caller's input of this number.
    Input(usize),
    /// In the arena, at this byte offset (a multiple of 16).
    Arena(usize),
}

/// A tensor of a graph: `real = scale * (q - zero_point)`, HWC, i8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorRepr {
    /// Rows, columns, channels.
    pub shape: Shape,
    /// Size of one quantisation step; positive and finite.
    pub scale: f32,
    /// The value that stands for 0.0; in -128..=127.
    pub zero_point: i32,
    /// Where its values lie.
    pub place: Place,
}

/// Attributes of a convolution, ordinary or depthwise. `D` is where its constants are: a [`Span`](super::Span) in a blob, owned
/// bytes in an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvRepr<D> {
    /// Kernel height and width, 1..=255 each.
    pub kernel: (usize, usize),
    /// Step of the window along both axes, 1..=255.
    pub stride: usize,
    /// Rows and columns of zero point added on every side, 0..=255.
    pub pad: usize,
    /// Distance between taps, 1..=255.
    pub dilation: usize,
    /// Smallest and largest output value; a ReLU is a clamp at the output's zero point.
    pub clamp: (i8, i8),
    /// i8 weights: `[out][kh][kw][in]`; `[kh][kw][c]` where depthwise.
    pub weights: D,
    /// One record of 12 bytes an output channel: bias, multiplier, shift (i32 each).
    pub params: D,
}

/// An operator and its constants. `D` is where the constants are: a [`Span`](super::Span) in a blob, owned bytes in an exporter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OperatorRepr<D> {
    /// Convolution; a linear layer is a 1x1 convolution.
    Conv2d(ConvRepr<D>),
    /// Convolution of every channel with its own kernel.
    Depthwise(ConvRepr<D>),
    /// Largest value of a window, without padding. Output scale and zero point are the input's.
    MaxPool {
        /// Window height and width, 1..=255.
        kernel: usize,
        /// Step of the window along both axes, 1..=255.
        stride: usize,
        /// Smallest and largest output value.
        clamp: (i8, i8),
    },
    /// Sum of two tensors of one shape, with TFLite's three scales.
    Add {
        /// Scale of the first input.
        a: Requant,
        /// Scale of the second input.
        b: Requant,
        /// Bits both inputs are shifted up before scaling; TFLite's value is 20.
        left_shift: u32,
        /// Scale of the sum.
        out: Requant,
        /// Smallest and largest output value.
        clamp: (i8, i8),
    },
    /// Bilinear interpolation to twice the height and width.
    Upsample2x {
        /// Where outputs lie among inputs.
        corners: Corners,
        /// Scale of the weighted sum: `s_in / (W s_out)`, W being the [total weight](Corners::total_weight).
        requant: Requant,
        /// Smallest and largest output value.
        clamp: (i8, i8),
    },
    /// Layer norm over the channels of every pixel.
    LayerNorm {
        /// The usual epsilon divided by the square of the input scale; positive and finite.
        eps_q: f32,
        /// Smallest and largest output value.
        clamp: (i8, i8),
        /// f32 little-endian, one a channel, already divided by the output scale.
        gamma: D,
        /// f32 little-endian, one a channel, already divided by the output scale.
        beta: D,
    },
    /// Any function of one value: `out = table[q + 128]`.
    Table {
        /// 256 i8 values.
        table: D,
    },
    /// UNeXt's token shift: five groups of channels move by -2..=2 positions along one axis.
    Shift {
        /// The axis along which positions move.
        axis: Axis,
    },
    /// Two tensors of one height and width, joined along the channels, the first one's first.
    Concat {
        /// Scale of the first input over the output's.
        a: Requant,
        /// Scale of the second input over the output's.
        b: Requant,
        /// Smallest and largest output value.
        clamp: (i8, i8),
    },
    /// Transposed convolution with a 2x2 kernel and stride 2, without padding.
    ConvTranspose2x2 {
        /// Smallest and largest output value.
        clamp: (i8, i8),
        /// i8 weights: `[out][ky][kx][in]`.
        weights: D,
        /// One record of 12 bytes an output channel: bias, multiplier, shift (i32 each).
        params: D,
    },
}

/// A node of a graph: an operator, the tensors it reads, and the arena it may scribble on.
///
/// The tensor it writes needs no name: node `i` of a graph with `n` inputs writes tensor `n + i`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeRepr<D> {
    /// What is computed.
    pub op: OperatorRepr<D>,
    /// Tensors read; the second is there for `Add` and `Concat` only.
    pub inputs: (usize, Option<usize>),
    /// Arena offset of the scratch memory in bytes, a multiple of 16.
    pub scratch_offset: usize,
    /// Scratch bytes: what [`OperatorRepr::scratch_bytes`] says.
    pub scratch_bytes: usize,
}

impl<D> OperatorRepr<D> {
    /// Which operator it is.
    pub fn kind(&self) -> OperatorKind {
        match self {
            Self::Conv2d(_) => OperatorKind::Conv2d,
            Self::Depthwise(_) => OperatorKind::Depthwise,
            Self::MaxPool { .. } => OperatorKind::MaxPool,
            Self::Add { .. } => OperatorKind::Add,
            Self::Upsample2x { .. } => OperatorKind::Upsample2x,
            Self::LayerNorm { .. } => OperatorKind::LayerNorm,
            Self::Table { .. } => OperatorKind::Table,
            Self::Shift { .. } => OperatorKind::Shift,
            Self::Concat { .. } => OperatorKind::Concat,
            Self::ConvTranspose2x2 { .. } => OperatorKind::ConvTranspose2x2,
        }
    }

    /// Scratch bytes it needs for an input of this shape: what the exporter reserves, the checker expects and the kernels
    /// count on.
    pub fn scratch_bytes(&self, input: Shape) -> usize {
        match self {
            Self::Conv2d(c) => conv_scratch_bytes(c.kernel, input.c),
            Self::Depthwise(c) => depthwise_scratch_bytes(c.kernel, input.c),
            Self::ConvTranspose2x2 { .. } => conv_transpose_scratch_bytes(input.c),
            _ => 0,
        }
    }

    /// Multiply-accumulates of a convolution, padding included; 0 for other operators.
    pub fn macs(&self, input: Shape, output: Shape) -> u64 {
        let taps = match self {
            Self::Conv2d(c) => c.kernel.0.saturating_mul(c.kernel.1).saturating_mul(input.c),
            Self::Depthwise(c) => c.kernel.0.saturating_mul(c.kernel.1),
            Self::ConvTranspose2x2 { .. } => input.c,
            _ => 0,
        };
        (taps as u64).saturating_mul(output.len() as u64)
    }

    /// What is computed besides multiply-accumulates for an output of this shape: each value that a pooling compares counts one,
    /// and of the other operators each value that is written; 0 for convolutions.
    pub fn other_operations(&self, output: Shape) -> u64 {
        let each = match *self {
            Self::Conv2d(_) | Self::Depthwise(_) | Self::ConvTranspose2x2 { .. } => 0,
            Self::MaxPool { kernel, .. } => kernel.saturating_mul(kernel),
            _ => 1,
        };
        (each as u64).saturating_mul(output.len() as u64)
    }

    /// The same operator with its constants elsewhere: `place` is called for each of them in the record's order.
    ///
    /// # Errors
    /// The first error of `place`.
    pub fn try_map<'d, E, T>(&'d self, mut place: impl FnMut(&'d D) -> Result<T, E>) -> Result<OperatorRepr<T>, E> {
        Ok(match self {
            Self::Conv2d(c) => OperatorRepr::Conv2d(c.try_map(place)?),
            Self::Depthwise(c) => OperatorRepr::Depthwise(c.try_map(place)?),
            &Self::MaxPool { kernel, stride, clamp } => OperatorRepr::MaxPool { kernel, stride, clamp },
            &Self::Add { a, b, left_shift, out, clamp } => OperatorRepr::Add { a, b, left_shift, out, clamp },
            &Self::Upsample2x { corners, requant, clamp } => OperatorRepr::Upsample2x { corners, requant, clamp },
            Self::LayerNorm { eps_q, clamp, gamma, beta } => {
                OperatorRepr::LayerNorm { eps_q: *eps_q, clamp: *clamp, gamma: place(gamma)?, beta: place(beta)? }
            }
            Self::Table { table } => OperatorRepr::Table { table: place(table)? },
            &Self::Shift { axis } => OperatorRepr::Shift { axis },
            &Self::Concat { a, b, clamp } => OperatorRepr::Concat { a, b, clamp },
            Self::ConvTranspose2x2 { clamp, weights, params } => {
                OperatorRepr::ConvTranspose2x2 { clamp: *clamp, weights: place(weights)?, params: place(params)? }
            }
        })
    }
}

impl<D> ConvRepr<D> {
    fn try_map<'d, E, T>(&'d self, mut place: impl FnMut(&'d D) -> Result<T, E>) -> Result<ConvRepr<T>, E> {
        Ok(ConvRepr {
            kernel: self.kernel,
            stride: self.stride,
            pad: self.pad,
            dilation: self.dilation,
            clamp: self.clamp,
            weights: place(&self.weights)?,
            params: place(&self.params)?,
        })
    }
}
