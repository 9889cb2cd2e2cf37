//! Operators on single elements or single positions.

use super::{Shape, is_zero_point, saturate};
use crate::quant::Requant;

/// Element-wise sum: `out = out_requant(a_requant((a - a_zero) << left_shift) + b_requant((b - b_zero) <<
/// left_shift))`.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// Number of elements.
    pub len: usize,
    /// Zero point of the first input.
    pub a_zero: i32,
    /// Scale of the first input, `s_a / (2 max(s_a, s_b))`.
    pub a: Requant,
    /// Zero point of the second input.
    pub b_zero: i32,
    /// Scale of the second input, `s_b / (2 max(s_a, s_b))`.
    pub b: Requant,
    /// Bits of headroom given to both, 20 in TFLite; at most 22.
    pub left_shift: u32,
    /// Scale of the sum, `2 max(s_a, s_b) / (2^left_shift s_out)`.
    pub out: Requant,
    /// Zero point of the output.
    pub out_zero: i32,
    /// Smallest and largest output.
    pub clamp: (i8, i8),
}

impl Add {
    /// Whether any kernel set can run this record.
    pub const fn is_valid(&self) -> bool {
        is_zero_point(self.a_zero)
            && is_zero_point(self.b_zero)
            && is_zero_point(self.out_zero)
            && self.left_shift <= 22
            && self.clamp.0 <= self.clamp.1
    }

    /// Whether the slices have the record's length.
    pub const fn fits(&self, a: &[i8], b: &[i8], output: &[i8]) -> bool {
        a.len() == self.len && b.len() == self.len && output.len() == self.len
    }

    /// One sum.
    #[inline(always)]
    pub(crate) const fn sum(&self, a: i8, b: i8) -> i8 {
        let a = self.a.apply((a as i32).wrapping_sub(self.a_zero).wrapping_shl(self.left_shift));
        let b = self.b.apply((b as i32).wrapping_sub(self.b_zero).wrapping_shl(self.left_shift));
        saturate(self.out.apply(a.wrapping_add(b)), self.out_zero, self.clamp)
    }
}

/// One of the two tensors that a [`Concat`] joins.
#[derive(Clone, Copy, Debug)]
pub struct ConcatInput {
    /// Its shape.
    pub shape: Shape,
    /// Its zero point.
    pub zero: i32,
    /// Its scale over the output's, `s / s_out`. A factor of one hands values on as they are, but for the zero point.
    pub requant: Requant,
}

/// Two tensors of one height and width, joined along the channels: the first one's come first. `out = requant(q - zero) +
/// out_zero`, with scale and zero point of the tensor that q comes from.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    /// The first tensor.
    pub a: ConcatInput,
    /// The second tensor.
    pub b: ConcatInput,
    /// Zero point of the output.
    pub out_zero: i32,
    /// Smallest and largest output.
    pub clamp: (i8, i8),
}

impl Concat {
    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        Shape { c: self.a.shape.c.saturating_add(self.b.shape.c), ..self.a.shape }
    }

    /// Whether any kernel set can run this record.
    pub const fn is_valid(&self) -> bool {
        self.a.shape.is_valid()
            && self.b.shape.is_valid()
            && self.output().is_valid()
            && self.a.shape.h == self.b.shape.h
            && self.a.shape.w == self.b.shape.w
            && is_zero_point(self.a.zero)
            && is_zero_point(self.b.zero)
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, a: &[i8], b: &[i8], output: &[i8]) -> bool {
        a.len() == self.a.shape.len() && b.len() == self.b.shape.len() && output.len() == self.output().len()
    }

    /// What becomes of `q` from `input`.
    #[inline(always)]
    pub(crate) const fn value(&self, input: &ConcatInput, q: i8) -> i8 {
        saturate(input.requant.apply((q as i32).wrapping_sub(input.zero)), self.out_zero, self.clamp)
    }

    /// What -128, -127 .. 127 from either input become: worked out once, so that joining is looking up.
    pub(crate) fn values(&self) -> [[i8; 256]; 2] {
        [&self.a, &self.b].map(|input| {
            let mut values = [0; 256];
            for (value, q) in values.iter_mut().zip(i8::MIN..=i8::MAX) {
                *value = self.value(input, q);
            }
            values
        })
    }

    /// Fills the output of slices that fit, position by position: `left` with the channels of `a`, `right` with those of `b`.
    #[inline(always)]
    pub(crate) fn join(
        &self,
        a: &[i8],
        b: &[i8],
        output: &mut [i8],
        left: impl Fn(&[i8], &mut [i8]),
        right: impl Fn(&[i8], &mut [i8]),
    ) {
        let positions = a.chunks_exact(self.a.shape.c.max(1)).zip(b.chunks_exact(self.b.shape.c.max(1)));
        for (out, (a, b)) in output.chunks_exact_mut(self.output().c.max(1)).zip(positions) {
            if let Some((first, second)) = out.split_at_mut_checked(a.len()) {
                left(a, first);
                right(b, second);
            }
        }
    }
}

/// Normalisation of each position over its channels.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// Shape of input and output.
    pub shape: Shape,
    /// Added to the variance of the raw values: the layer's epsilon over the square of the input's scale.
    pub eps_q: f32,
    /// Factor of each channel over the output's scale, `f32` in little-endian order.
    pub gamma: &'a [u8],
    /// Offset of each channel over the output's scale, `f32` in little-endian order.
    pub beta: &'a [u8],
    /// Zero point of the output.
    pub out_zero: i32,
    /// Smallest and largest output.
    pub clamp: (i8, i8),
}

impl LayerNorm<'_> {
    /// Whether any kernel set can run this record.
    pub const fn is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.gamma.len() == 4 * self.shape.c
            && self.beta.len() == 4 * self.shape.c
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.shape.len() && output.len() == self.shape.len()
    }
}

/// A function of one `i8`, tabulated.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The result for -128, -127 .. 127.
    pub table: &'a [i8; 256],
}

impl Table<'_> {
    /// The table's entry for `q`.
    #[inline(always)]
    pub(crate) const fn look_up(&self, q: i8) -> i8 {
        // Flipping the sign bit adds 128.
        self.table[(q as u8 ^ 0x80) as usize]
    }
}
