//! Convolutions: ordinary, depthwise and transposed, and the scratch they need.

use super::{ChannelParams, MAX_EXTENT, MAX_STEP, Shape, is_zero_point};
use crate::kernels::layout::{Filters, Layout};

/// Columns of 16-bit inputs that a convolution may hold at once.
pub(crate) const CONV_COLUMNS: usize = 4;
/// Filters widened to 16 bits that a convolution may hold at once.
pub(crate) const CONV_FILTERS: usize = 1;

/// A convolution, or (with weights `[kernel y][kernel x][channel]`) a depthwise one; all of it, or a band of its output's
/// rows.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the whole output.
    pub output: Shape,
    /// Output rows to compute, from the first to before the second: `(0, output.h)` for all. The input is the whole one, the
    /// output slice holds these rows alone.
    pub rows: (usize, usize),
    /// Kernel height and width.
    pub kernel: (usize, usize),
    /// Step between windows, both ways.
    pub stride: usize,
    /// Rows and columns of zero points before the input (after it, as many as the output needs).
    pub pad: usize,
    /// Step between a window's taps, both ways.
    pub dilation: usize,
    /// Zero point of the input.
    pub in_zero: i32,
    /// Zero point of the output.
    pub out_zero: i32,
    /// Smallest and largest output.
    pub clamp: (i8, i8),
    /// Weights `[out][kernel y][kernel x][in]`, packed as `layout` says, or `[kernel y][kernel x][channel]`.
    pub weights: &'a [i8],
    /// How the weights lie; depthwise ones always lie as above, whatever this says.
    pub layout: Layout,
    /// One record for each output channel.
    pub params: ChannelParams<'a>,
}

impl Conv2d<'_> {
    /// Whether the record is that of a convolution which any kernel set can run.
    pub fn is_valid(&self) -> bool {
        self.has_valid_geometry() && self.layout.packing().bytes(self.filters()) == self.weights.len()
    }

    /// The filters of a convolution that is not depthwise.
    pub const fn filters(&self) -> Filters {
        Filters { count: self.output.c, rows: self.kernel.0, row_len: self.kernel.1.saturating_mul(self.input.c) }
    }

    /// Weight `k` of row `row` of filter `filter`, wherever the layout has put it.
    #[inline]
    pub fn weight(&self, filter: usize, row: usize, k: usize) -> i8 {
        self.layout.packing().weight(self.weights, self.filters(), filter, row, k)
    }

    /// The operator's rows from `first` to before `end`, counted in the whole output.
    pub const fn band(self, first: usize, end: usize) -> Self {
        Self { rows: (first, end), ..self }
    }

    /// Shape of the rows that are computed.
    pub const fn band_shape(&self) -> Shape {
        Shape { h: self.rows.1.saturating_sub(self.rows.0), ..self.output }
    }

    /// Whether the record is that of a depthwise convolution which any kernel set can run.
    pub fn is_valid_depthwise(&self) -> bool {
        self.has_valid_geometry()
            && self.input.c == self.output.c
            && filter_len(self.kernel, self.input.c) == self.weights.len()
    }

    fn has_valid_geometry(&self) -> bool {
        let rows = conv_extent(self.input.h, self.kernel.0, self.stride, self.pad, self.dilation);
        let columns = conv_extent(self.input.w, self.kernel.1, self.stride, self.pad, self.dilation);
        self.input.is_valid()
            && self.output.is_valid()
            && rows == Some(self.output.h)
            && columns == Some(self.output.w)
            && self.rows.0 <= self.rows.1
            && self.rows.1 <= self.output.h
            && is_zero_point(self.in_zero)
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
            && self.params.len() == self.output.c
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.input.len() && output.len() == self.band_shape().len()
    }
}

/// A transposed convolution with a 2x2 kernel and stride 2, without padding: windows of the output do not overlap, so
/// that `out[2 y + ky][2 x + kx][o] = bias[o] + sum over i of weight[o][ky][kx][i] (in[y][x][i] - in_zero)`, scaled as a
/// convolution's.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose2x2<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Zero point of the input.
    pub in_zero: i32,
    /// Zero point of the output.
    pub out_zero: i32,
    /// Smallest and largest output.
    pub clamp: (i8, i8),
    /// Weights `[out][kernel y][kernel x][in]`, packed as `layout` says: four filters of a 1x1 convolution for each output
    /// channel.
    pub weights: &'a [i8],
    /// How the weights lie.
    pub layout: Layout,
    /// One record for each output channel.
    pub params: ChannelParams<'a>,
}

impl ConvTranspose2x2<'_> {
    /// The filters: number `4 o + 2 ky + kx` for output channel o.
    pub const fn filters(&self) -> Filters {
        Filters { count: self.params.len().saturating_mul(4), rows: 1, row_len: self.input.c }
    }

    /// Weight of input channel `k` of filter `filter`, wherever the layout has put it.
    #[inline]
    pub fn weight(&self, filter: usize, k: usize) -> i8 {
        self.layout.packing().weight(self.weights, self.filters(), filter, 0, k)
    }

    /// Shape of the output.
    pub const fn output(&self) -> Shape {
        Shape::new(self.input.h.saturating_mul(2), self.input.w.saturating_mul(2), self.params.len())
    }

    /// Whether any kernel set can run this record.
    pub fn is_valid(&self) -> bool {
        self.input.is_valid()
            && self.output().is_valid()
            && is_zero_point(self.in_zero)
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
            && self.layout.packing().bytes(self.filters()) == self.weights.len()
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.input.len() && output.len() == self.output().len()
    }
}

/// Extent of a convolution's output along an axis of `input` positions, with `window = dilation (kernel - 1) + 1`:
/// `floor((input + 2 pad - window) / stride)` and one more. `None` where an argument other than `pad` is zero, where one
/// is above its limit, or where the window is larger than the padded input.
pub const fn conv_extent(input: usize, kernel: usize, stride: usize, pad: usize, dilation: usize) -> Option<usize> {
    let positive = input >= 1 && kernel >= 1 && stride >= 1 && dilation >= 1;
    let small = kernel <= MAX_STEP && stride <= MAX_STEP && pad <= MAX_STEP && dilation <= MAX_STEP;
    if !positive || !small || input > MAX_EXTENT {
        return None;
    }
    match (input + 2 * pad).checked_sub(dilation * (kernel - 1) + 1) {
        Some(span) => match span.checked_div(stride) {
            Some(steps) => Some(steps + 1),
            None => None,
        },
        None => None,
    }
}

/// Scratch of a convolution in bytes, a multiple of 64: [`Int8Kernels::conv2d`](crate::kernels::Int8Kernels::conv2d) needs it,
/// exporter and checker count on it. It holds, in 16 bits, the windows of four output positions and the filter of
/// one output channel.
pub const fn conv_scratch_bytes(kernel: (usize, usize), in_channels: usize) -> usize {
    let weights = filter_len(kernel, in_channels);
    round_up_64(weights.saturating_mul(2)).saturating_mul(CONV_COLUMNS + CONV_FILTERS)
}

/// Scratch of a depthwise convolution in bytes, a multiple of 64: its weights in 16 bits.
pub const fn depthwise_scratch_bytes(kernel: (usize, usize), channels: usize) -> usize {
    round_up_64(filter_len(kernel, channels).saturating_mul(2))
}

/// Scratch of a transposed convolution in bytes, a multiple of 64: that of a 1x1 convolution, because each of the four
/// outputs of an input position is one.
pub const fn conv_transpose_scratch_bytes(in_channels: usize) -> usize {
    conv_scratch_bytes((1, 1), in_channels)
}

/// Weights of one filter over `channels` channels.
pub(crate) const fn filter_len(kernel: (usize, usize), channels: usize) -> usize {
    kernel.0.saturating_mul(kernel.1).saturating_mul(channels)
}

const fn round_up_64(bytes: usize) -> usize {
    bytes.saturating_add(63) & !63
}
