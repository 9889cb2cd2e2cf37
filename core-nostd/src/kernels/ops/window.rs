//! Operators that look at neighbours.

use super::{MAX_INPUT, Shape, conv_extent, is_zero_point};
use crate::quant::Requant;

/// Extent of a pooling's output along an axis of `input` positions: a convolution's without padding.
pub const fn pool_extent(input: usize, kernel: usize, stride: usize) -> Option<usize> {
    conv_extent(input, kernel, stride, 0, 1)
}

/// Maximum over square windows, without padding.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    /// Shape of the input.
    pub input: Shape,
    /// Window height and width.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Smallest and largest output.
    pub clamp: (i8, i8),
}

impl MaxPool {
    /// Shape of the output; `None` where the record is not valid.
    pub fn output(&self) -> Option<Shape> {
        let h = pool_extent(self.input.h, self.kernel, self.stride)?;
        let w = pool_extent(self.input.w, self.kernel, self.stride)?;
        (self.input.is_valid() && self.clamp.0 <= self.clamp.1).then_some(Shape::new(h, w, self.input.c))
    }

    /// Whether any kernel set can run this record.
    pub fn is_valid(&self) -> bool {
        self.output().is_some()
    }

    /// Whether the record is valid and the slices have its lengths.
    pub fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        let expected = self.output();
        input.len() == self.input.len() && expected.is_some_and(|shape| shape.len() == output.len())
    }
}

/// Where the outputs of an interpolation to twice the size lie among its n inputs, along either axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corners {
    /// Output o lies at input `(o + 1/2) / 2 - 1/2`, and the edges are repeated: half-pixel centres, PyTorch's
    /// `align_corners=False`. Weights are quarters, 3 for the nearest input and 1 for the next.
    HalfPixel,
    /// Output o lies at input `o (n - 1) / (2 n - 1)`, so that first and last ones coincide: PyTorch's
    /// `align_corners=True`. Weights are whole numbers over `2 n - 1`.
    Aligned,
}

impl Corners {
    /// What the weights of one output sum to for an input of this shape: 16, or `(2 h - 1) (2 w - 1)`.
    pub const fn total_weight(self, input: Shape) -> usize {
        match self {
            Self::HalfPixel => 16,
            Self::Aligned => aligned_weight(input.h).saturating_mul(aligned_weight(input.w)),
        }
    }
}

/// What the weights of one output sum to along an axis of `n` inputs with corners aligned: `2 n - 1`.
pub(crate) const fn aligned_weight(n: usize) -> usize {
    n.saturating_mul(2).saturating_sub(1)
}

/// Bilinear interpolation to twice the size: `out = requant(sum of weight (q - in_zero))` over the up to four inputs
/// around the output's place, with the weights of [`Corners`].
#[derive(Clone, Copy, Debug)]
pub struct Upsample2x {
    /// Shape of the input.
    pub input: Shape,
    /// Where outputs lie among inputs.
    pub corners: Corners,
    /// Zero point of the input.
    pub in_zero: i32,
    /// `s_in / (W s_out)`, W being the [total weight](Corners::total_weight).
    pub requant: Requant,
    /// Zero point of the output.
    pub out_zero: i32,
    /// Smallest and largest output; a ReLU is a low end at `out_zero`.
    pub clamp: (i8, i8),
}

impl Upsample2x {
    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        Shape::new(self.input.h.saturating_mul(2), self.input.w.saturating_mul(2), self.input.c)
    }

    /// Largest magnitude of the weighted sum.
    pub(crate) const fn largest_sum(&self) -> i64 {
        (self.corners.total_weight(self.input) as i64).saturating_mul(MAX_INPUT)
    }

    /// Whether any kernel set can run this record: among it all, the weighted sum fits an `i32`.
    pub const fn is_valid(&self) -> bool {
        self.input.is_valid()
            && self.output().is_valid()
            && self.largest_sum() <= i32::MAX as i64
            && is_zero_point(self.in_zero)
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.input.len() && output.len() == self.output().len()
    }
}

/// Direction of a [`Shift`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Along rows' index, i.e. up and down.
    Y,
    /// Along columns' index, i.e. left and right.
    X,
}

/// Groups of channels moved along one axis (UNeXt, arXiv 2203.04967): channels are split in five groups of `ceil(c
/// / 5)`, the last ones smaller or empty; group g moves by `g - 2`.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// Shape of input and output.
    pub shape: Shape,
    /// Direction of the move.
    pub axis: Axis,
    /// What enters at the border: the input's zero point.
    pub zero: i8,
}

impl Shift {
    /// Channels of a group.
    pub const fn group(&self) -> usize {
        self.shape.c.div_ceil(5)
    }

    /// Whether any kernel set can run this record.
    pub const fn is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.shape.len() && output.len() == self.shape.len()
    }
}
