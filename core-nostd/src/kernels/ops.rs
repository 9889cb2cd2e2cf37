//! Operator records: what a kernel needs to know besides its data.

use crate::quant::Requant;

/// Largest height or width of a tensor.
pub const MAX_EXTENT: usize = 1 << 14;
/// Largest channel count of a tensor, so that sums over channels stay exact.
pub const MAX_CHANNELS: usize = 2048;
/// Largest kernel extent, stride, padding or dilation.
pub const MAX_STEP: usize = 255;

/// Columns of 16-bit inputs that a convolution may hold at once.
pub(crate) const CONV_COLUMNS: usize = 4;
/// Filters widened to 16 bits that a convolution may hold at once.
pub(crate) const CONV_FILTERS: usize = 1;

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
    pub(crate) const fn finish(self, accumulator: i32, out_zero: i32, clamp: (i8, i8)) -> i8 {
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

/// A convolution, or (with weights `[kernel y][kernel x][channel]`) a depthwise one.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
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
    /// Weights `[out][kernel y][kernel x][in]`, or `[kernel y][kernel x][channel]`.
    pub weights: &'a [i8],
    /// One record for each output channel.
    pub params: ChannelParams<'a>,
}

impl Conv2d<'_> {
    /// Whether the record is that of a convolution which any kernel set can run.
    pub fn is_valid(&self) -> bool {
        self.has_valid_geometry()
            && filter_len(self.kernel, self.input.c).checked_mul(self.output.c) == Some(self.weights.len())
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
            && is_zero_point(self.in_zero)
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
            && self.params.len() == self.output.c
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.input.len() && output.len() == self.output.len()
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

/// Extent of a pooling's output along an axis of `input` positions: a convolution's without padding.
pub const fn pool_extent(input: usize, kernel: usize, stride: usize) -> Option<usize> {
    conv_extent(input, kernel, stride, 0, 1)
}

/// Scratch of a convolution in bytes, a multiple of 64: [`Kernels::conv2d`](super::Kernels::conv2d) needs it,
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

/// Weights of one filter over `channels` channels.
pub(crate) const fn filter_len(kernel: (usize, usize), channels: usize) -> usize {
    kernel.0.saturating_mul(kernel.1).saturating_mul(channels)
}

const fn round_up_64(bytes: usize) -> usize {
    bytes.saturating_add(63) & !63
}

const fn is_zero_point(zero: i32) -> bool {
    -128 <= zero && zero <= 127
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

/// Bilinear interpolation to twice the size, corners not aligned: `out = requant(9 a + 3 b + 3 c + d - 16
/// in_zero)`, with `a` the nearest input, `b` and `c` its neighbours towards the output along either axis, `d` the
/// one across; at the edges the nearest row or column is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Upsample2x {
    /// Shape of the input.
    pub input: Shape,
    /// Zero point of the input.
    pub in_zero: i32,
    /// `s_in / (16 s_out)`.
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

    /// Whether any kernel set can run this record.
    pub const fn is_valid(&self) -> bool {
        self.input.is_valid()
            && self.output().is_valid()
            && is_zero_point(self.in_zero)
            && is_zero_point(self.out_zero)
            && self.clamp.0 <= self.clamp.1
    }

    /// Whether the slices have the record's lengths.
    pub const fn fits(&self, input: &[i8], output: &[i8]) -> bool {
        input.len() == self.input.len() && output.len() == self.output().len()
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
