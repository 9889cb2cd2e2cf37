//! Operator records: what a kernel needs to know besides its data.
//!
//! Here: shapes, limits and channel records. [`conv`]: convolutions and their scratch. [`pointwise`]: operators that
//! look at one position. [`window`]: those that look at its neighbours.

mod conv;
mod pointwise;
mod window;

use crate::quant::Requant;

pub(crate) use conv::{CONV_COLUMNS, CONV_FILTERS, filter_len};
pub use conv::{
    Conv2d, ConvTranspose2x2, conv_extent, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};
pub use pointwise::{Add, Concat, ConcatInput, LayerNorm, Table};
pub(crate) use window::aligned_weight;
pub use window::{Axis, Corners, MaxPool, Shift, Upsample2x, pool_extent};

/// Largest height or width of a tensor.
pub const MAX_EXTENT: usize = 1 << 14;
/// Largest channel count of a tensor, so that sums over channels stay exact.
pub const MAX_CHANNELS: usize = 2048;
/// Largest kernel extent, stride, padding or dilation.
pub const MAX_STEP: usize = 255;

/// Height, width and channels of an HWC tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// A shape of `h` rows, `w` columns and `c` channels.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c }
    }

    /// Number of elements (saturating, so that an absurd shape matches no slice).
    pub const fn len(&self) -> usize {
        self.h.saturating_mul(self.w).saturating_mul(self.c)
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every extent lies in `1 ..=` [`MAX_EXTENT`], or [`MAX_CHANNELS`] for channels.
    pub const fn is_valid(&self) -> bool {
        1 <= self.h
            && self.h <= MAX_EXTENT
            && 1 <= self.w
            && self.w <= MAX_EXTENT
            && 1 <= self.c
            && self.c <= MAX_CHANNELS
    }
}

/// Bias and scale of one output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Added to the accumulator, in units of `s_in * s_weight`.
    pub bias: i32,
    /// `s_in * s_weight / s_out`.
    pub requant: Requant,
}

impl Channel {
    /// Bytes of one record: bias, multiplier, shift, each an `i32` in little-endian order.
    pub const BYTES: usize = 12;

    /// The record as it lies in a blob.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.bias.to_le_bytes();
        let [e, f, g, h] = self.requant.multiplier.to_le_bytes();
        let [i, j, k, l] = self.requant.shift.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Reads what [`Channel::to_bytes`] wrote.
    #[inline(always)]
    pub const fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        let multiplier = i32::from_le_bytes([e, f, g, h]);
        let shift = i32::from_le_bytes([i, j, k, l]);
        Self { bias: i32::from_le_bytes([a, b, c, d]), requant: Requant { multiplier, shift } }
    }

    /// An accumulator (without bias) as an output activation.
    #[inline(always)]
    pub const fn finish(self, accumulator: i32, out_zero: i32, clamp: (i8, i8)) -> i8 {
        saturate(self.requant.apply(accumulator.wrapping_add(self.bias)), out_zero, clamp)
    }
}

/// `value + zero`, limited to `clamp`.
#[inline(always)]
pub(crate) const fn saturate(value: i32, zero: i32, clamp: (i8, i8)) -> i8 {
    let (low, high) = (clamp.0 as i32, clamp.1 as i32);
    let value = value.wrapping_add(zero);
    // Not `Ord::clamp`, which panics where low > high.
    let value = if value < low { low } else { value };
    (if value > high { high } else { value }) as i8
}

/// The [`Channel`] records of a layer, read in place.
#[derive(Clone, Copy, Debug)]
pub struct ChannelParams<'a>(&'a [[u8; Channel::BYTES]]);

impl<'a> ChannelParams<'a> {
    /// A view of `bytes`; `None` unless they are whole records.
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes.as_chunks() {
            (records, []) => Some(Self(records)),
            _ => None,
        }
    }

    /// Number of channels.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no channel.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record of channel `index`.
    pub fn get(&self, index: usize) -> Option<Channel> {
        self.0.get(index).map(Channel::from_bytes)
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Channel> + Clone + 'a {
        self.0.iter().map(Channel::from_bytes)
    }

    /// The records as they lie.
    #[inline(always)]
    pub(crate) const fn records(&self) -> &'a [[u8; Channel::BYTES]] {
        self.0
    }
}

/// Largest `|q - zero point|`.
pub(crate) const MAX_INPUT: i64 = 255;

const fn is_zero_point(zero: i32) -> bool {
    -128 <= zero && zero <= 127
}
