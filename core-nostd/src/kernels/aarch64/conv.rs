//! Convolutions, ordinary and transposed: four (with SDOT) or two windows by 16 filters at once, no im2col.
//!
//! A window's row lies contiguous in the image, so it is read where it lies. Where there is padding, or a row is no whole number
//! of runs, the few image rows under the kernel are first copied side by side into scratch, with zero points around them. The
//! zero point is folded into the bias: `sum w (q - z) = sum w q - z sum w`, in wrapping arithmetic.
//!
//! [Unpacked](Layout::is_unpacked) weights are packed into scratch first, one move for each four weights.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64`
//! (rustc 1.95 without flags, opt-level 3); a few positions with portable weights are [`Portable`](super::Portable)'s:
//!
//! | layer | portable kernels | NEON | SDOT | SDOT, weights in the set's layout |
//! |---|---|---|---|---|
//! | 3x3 64x64 16->16 | 1.40 | 0.351 | 0.118 | 0.116 |
//! | 3x3 64x64 8->8 | 2.29 | 0.910 | 0.377 | 0.375 |
//! | 3x3 32x32 32->32 | 1.05 | 0.327 | 0.103 | 0.097 |
//! | 3x3 16x16 64->64 | 0.92 | 0.330 | 0.112 | 0.088 |
//! | 3x3 64x64 1->16 | 10.3 | 1.31 | 0.697 | 0.693 |
//! | 1x1 32x32 32->64 | 2.75 | 0.475 | 0.215 | 0.207 |
//! | 3x3 stride 2, 32x32 32->32 | 1.05 | 0.349 | 0.125 | 0.101 |
//! | 3x3 stride 2, 128x128 1->8 | 12.0 | 2.94 | 1.79 | 1.78 |
//! | 3x3 128x128 4->4 | 5.12 | 2.38 | 1.18 | 1.18 |
//! | 1x1 128x128 4->4 | 27.5 | 8.32 | 5.96 | 5.96 |
//! | linear 131->128 | 2.28 | 2.31 | 2.31 | 0.776 |
//! | transposed 2x2 stride 2, 16x16 64->32 | 1.79 | 0.492 | 0.259 | 0.233 |

#![allow(unsafe_code)]

use core::arch::aarch64::{int8x16_t, vdupq_n_s32, vld1q_u8, vmlsq_s32, vqtbl1q_s8, vst1q_s8};

use super::product::{Dot, FILTERS, Pairs, Products, RUN, RUN_BYTES, Windows, weight_sums};
use super::scale::{Lanes, Range};
use crate::kernels::{Channel, ChannelParams, Conv2d, ConvTranspose2x2, Filters, Layout};

/// Scales of one block of filters.
type BlockLanes = [Lanes; FILTERS / 4];
const ALIGN: usize = 16;

/// Scratch of a valid convolution that [`conv2d`] takes; 0 for others.
pub(super) fn scratch_bytes(op: &Conv2d<'_>) -> usize {
    if !is_fast(op) {
        return 0;
    }
    let rows = if is_direct(op) { 0 } else { copied_row(op).saturating_mul(op.kernel.0) };
    Parts::bytes(op.filters(), op.layout).saturating_add(rows)
}

/// As [`scratch_bytes`], of a transposed convolution.
pub(super) fn transpose_scratch_bytes(op: &ConvTranspose2x2<'_>) -> usize {
    if !is_known(op.layout) {
        return 0;
    }
    let row = if op.input.c.is_multiple_of(RUN) {
        0
    } else {
        round_up(op.input.w.saturating_mul(op.input.c).saturating_add(RUN))
    };
    Parts::bytes(op.filters(), op.layout).saturating_add(row)
}

fn is_known(layout: Layout) -> bool {
    layout.is_unpacked() || layout == Layout::Aarch64
}

fn is_fast(op: &Conv2d<'_>) -> bool {
    is_known(op.layout) && (op.dilation == 1 || op.kernel.1 == 1) && pays(op)
}

/// Packing weights costs about as much as four positions gain.
fn pays(op: &Conv2d<'_>) -> bool {
    op.layout == Layout::Aarch64 || op.band_shape().h.saturating_mul(op.output.w) >= 4
}

/// Windows can be read where they lie.
fn is_direct(op: &Conv2d<'_>) -> bool {
    op.pad == 0 && (op.kernel.1 * op.input.c).is_multiple_of(RUN)
}

/// Bytes of an image row copied into scratch: what all windows of an output row cover, and the rest of the last run.
fn copied_row(op: &Conv2d<'_>) -> usize {
    let columns = op.output.w.saturating_sub(1).saturating_mul(op.stride).saturating_add(op.kernel.1);
    round_up(columns.saturating_mul(op.input.c).saturating_add(RUN))
}

fn round_up(bytes: usize) -> usize {
    bytes.saturating_add(ALIGN - 1) & !(ALIGN - 1)
}

/// Every scale is one that [`Lanes`] can hold.
pub(super) fn scales_fit(params: &ChannelParams<'_>) -> bool {
    params.iter().all(|channel| Lanes::can_hold(channel.requant))
}

/// Whether a window's last run meets nothing but weights and zeros.
fn rows_end_well(layout: Layout, weights: &[i8], filters: Filters) -> bool {
    layout.is_unpacked() || Layout::Aarch64.packing().rows_end_in_zeros(weights, filters.row_len)
}

/// Runs a valid `op` on slices that fit it, if it is one for these kernels; false if it is not, or the scratch is too small.
pub(super) fn conv2d(op: &Conv2d<'_>, dot: bool, input: &[i8], output: &mut [i8], scratch: &mut [u8]) -> bool {
    if !is_fast(op) || !scales_fit(&op.params) || !rows_end_well(op.layout, op.weights, op.filters()) {
        return false;
    }
    let Some((parts, rest)) = Parts::new(op.filters(), op.layout, op.weights, scratch) else {
        return false;
    };
    if !is_direct(op) && rest.len() < copied_row(op) * op.kernel.0 {
        return false;
    }
    // SAFETY: the weights are those of the filters.
    unsafe { parts.prepare(op.in_zero, |filter| op.params.records().get(filter)) };
    match dot {
        true => rows::<Dot, 4>(op, &parts, input, output, rest),
        false => rows::<Pairs, 2>(op, &parts, input, output, rest),
    }
    true
}

/// All rows of a valid `op`, whose slices fit and whose scratch suffices.
fn rows<D: Products, const P: usize>(
    op: &Conv2d<'_>,
    parts: &Parts,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u8],
) {
    let (input_row, output_row) = (op.input.w * op.input.c, op.output.w * op.output.c);
    let range = Range::new(op.out_zero, op.clamp);
    let step = op.stride * op.input.c;
    let runs = (op.kernel.1 * op.input.c).div_ceil(RUN);
    let channels = op.output.c;
    let direct = is_direct(op);
    if direct && op.kernel == (1, 1) && op.stride == 1 {
        // One long row.
        let windows = Windows { rows: 1, runs, row_step: 0, step };
        let from = input.get(op.rows.0 * input_row..).unwrap_or_default();
        let count = (op.rows.1 - op.rows.0) * op.output.w;
        let to = output.as_mut_ptr();
        parts.each::<D, P>(windows, from, count, |x, block, sums: BlockSums| {
            // SAFETY: `output` holds `count` positions of `channels`.
            unsafe { put(to.add(x * channels), channels, block, range.activations(sums)) };
        });
        return;
    }
    let copied = if direct { 0 } else { copied_row(op) };
    for (y, out) in (op.rows.0..op.rows.1).zip(output.chunks_exact_mut(output_row)) {
        let top = y * op.stride;
        let (row_step, from) = if direct {
            (op.dilation * input_row, input.get(top * input_row..).unwrap_or_default())
        } else {
            copy_rows(op, input, top, scratch, copied);
            (copied, bytemuck::cast_slice(&*scratch))
        };
        let windows = Windows { rows: op.kernel.0, runs, row_step, step };
        let to = out.as_mut_ptr();
        parts.each::<D, P>(windows, from, op.output.w, |x, block, sums: BlockSums| {
            // SAFETY: `out` holds `output.w` positions of `channels`.
            unsafe { put(to.add(x * channels), channels, block, range.activations(sums)) };
        });
    }
}

type BlockSums = [core::arch::aarch64::int32x4_t; 4];

/// Writes what there is of a block's 16 channels to a position that has `channels`.
///
/// # Safety
/// `position` can be written for `channels` bytes, and the block begins among them.
#[inline(always)]
unsafe fn put(position: *mut i8, channels: usize, block: usize, bytes: int8x16_t) {
    let first = block * FILTERS;
    // SAFETY: no more than the channels from `first` on.
    unsafe {
        if channels - first >= FILTERS {
            vst1q_s8(position.add(first), bytes);
        } else {
            let mut some = [0; FILTERS];
            vst1q_s8(some.as_mut_ptr(), bytes);
            position.add(first).copy_from_nonoverlapping(some.as_ptr(), channels - first);
        }
    }
}

/// Copies the image rows that an output row looks at into `scratch`, `row_len` bytes each, with zero points where there is no
/// image. Their first column is `-pad`.
fn copy_rows(op: &Conv2d<'_>, input: &[i8], top: usize, scratch: &mut [u8], row_len: usize) {
    let channels = op.input.c;
    let image_row = op.input.w * channels;
    for (ky, to) in scratch.chunks_exact_mut(row_len).take(op.kernel.0).enumerate() {
        let y = (top + ky * op.dilation).checked_sub(op.pad).filter(|&y| y < op.input.h);
        let image = y.and_then(|y| input.get(y * image_row..)?.get(..image_row)).unwrap_or_default();
        let before = (op.pad * channels).min(to.len());
        let (left, rest) = to.split_at_mut(before);
        let (inside, right) = rest.split_at_mut(image.len().min(rest.len()));
        left.fill(op.in_zero as u8);
        inside.copy_from_slice(bytemuck::cast_slice(image.get(..inside.len()).unwrap_or_default()));
        right.fill(op.in_zero as u8);
    }
}

/// Runs a valid `op` on slices that fit it, if it is one for these kernels; false if it is not, or the scratch is too small.
pub(super) fn conv_transpose2x2(
    op: &ConvTranspose2x2<'_>,
    dot: bool,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u8],
) -> bool {
    if !is_known(op.layout) || !scales_fit(&op.params) || !rows_end_well(op.layout, op.weights, op.filters()) {
        return false;
    }
    let Some((parts, rest)) = Parts::new(op.filters(), op.layout, op.weights, scratch) else {
        return false;
    };
    let row_len = op.input.w * op.input.c;
    if !op.input.c.is_multiple_of(RUN) && rest.len() < row_len + RUN {
        return false;
    }
    // SAFETY: the weights are those of the filters. Four filters each make one channel.
    unsafe { parts.prepare(op.in_zero, |filter| op.params.records().get(filter / 4)) };
    let windows = Windows { rows: 1, runs: op.input.c.div_ceil(RUN), row_step: 0, step: op.input.c };
    let range = Range::new(op.out_zero, op.clamp);
    let pairs = output.chunks_exact_mut((4 * op.input.w * op.params.len()).max(1));
    for (image, out) in input.chunks_exact(row_len).zip(pairs) {
        let from = if op.input.c.is_multiple_of(RUN) {
            image
        } else {
            let (row, _) = rest.split_at_mut(row_len + RUN);
            row.fill(0);
            row[..row_len].copy_from_slice(bytemuck::cast_slice(image));
            bytemuck::cast_slice(&*row)
        };
        let paint = Paint { to: out.as_mut_ptr(), width: op.input.w, channels: op.params.len() };
        // SAFETY: `out` holds the two output rows of these windows.
        let each = |x, block, sums: BlockSums| unsafe { paint.window(x, block, range.activations(sums)) };
        match dot {
            true => parts.each::<Dot, 4>(windows, from, op.input.w, each),
            false => parts.each::<Pairs, 2>(windows, from, op.input.w, each),
        }
    }
    true
}

/// Two output rows of a transposed convolution.
struct Paint {
    to: *mut i8,
    /// Input columns.
    width: usize,
    channels: usize,
}

impl Paint {
    /// Writes the 2x2 outputs of input column `x`, four channels of each.
    ///
    /// # Safety
    /// `to` can be written for `4 * width * channels` bytes, `x` is a column, and the block begins among the channels.
    #[inline(always)]
    unsafe fn window(&self, x: usize, block: usize, bytes: int8x16_t) {
        /// From [channel][tap] to [tap][channel].
        const TAPS: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
        let first = 4 * block;
        let count = (self.channels - first).min(4);
        let mut taps = [0i8; 16];
        // SAFETY: the arrays have 16 bytes; positions (2 rows of 2 width) and channels are those there are.
        unsafe {
            vst1q_s8(taps.as_mut_ptr(), vqtbl1q_s8(bytes, vld1q_u8(TAPS.as_ptr())));
            for tap in 0..4 {
                let position = tap / 2 * 2 * self.width + 2 * x + tap % 2;
                let to = self.to.add(position * self.channels + first);
                to.copy_from_nonoverlapping(taps.as_ptr().add(4 * tap), count);
            }
        }
    }
}

/// Weights in blocks, and the scale of each block, prepared in scratch.
struct Parts {
    weights: *const i8,
    lanes: *mut BlockLanes,
    filters: Filters,
}

impl Parts {
    fn blocks(filters: Filters) -> usize {
        filters.count.div_ceil(FILTERS)
    }

    fn bytes(filters: Filters, layout: Layout) -> usize {
        let lanes = Self::blocks(filters).saturating_mul(size_of::<BlockLanes>());
        lanes.saturating_add(if layout.is_unpacked() { Self::weight_bytes(filters) } else { 0 })
    }

    fn weight_bytes(filters: Filters) -> usize {
        Self::blocks(filters).saturating_mul(Self::runs(filters)).saturating_mul(RUN_BYTES)
    }

    /// Runs of a whole filter.
    fn runs(filters: Filters) -> usize {
        filters.rows.saturating_mul(filters.row_len.div_ceil(RUN))
    }

    /// Finds room in `scratch`, packs the weights if they are not, and gives back what scratch is left.
    fn new<'s>(
        filters: Filters,
        layout: Layout,
        weights: &[i8],
        scratch: &'s mut [u8],
    ) -> Option<(Self, &'s mut [u8])> {
        let bytes = Self::bytes(filters, layout);
        if scratch.len() < bytes || !scratch.as_ptr().addr().is_multiple_of(ALIGN) {
            return None;
        }
        let (ours, rest) = scratch.split_at_mut(bytes);
        let (lanes, packed) = ours.split_at_mut(Self::blocks(filters) * size_of::<BlockLanes>());
        let weights = if layout.is_unpacked() {
            pack(weights, filters, packed);
            packed.as_ptr().cast()
        } else {
            weights.as_ptr()
        };
        Some((Self { weights, lanes: lanes.as_mut_ptr().cast(), filters }, rest))
    }

    /// Writes the scale of each block, with the zero point folded into the bias.
    ///
    /// # Safety
    /// `weights` are packed weights of `filters`.
    unsafe fn prepare<'r>(&self, zero: i32, record: impl Fn(usize) -> Option<&'r [u8; Channel::BYTES]>) {
        let runs = Self::runs(self.filters);
        for block in 0..Self::blocks(self.filters) {
            // SAFETY: each block has so many weights, and room for its scales was found.
            unsafe {
                let sums = weight_sums(self.weights.add(block * runs * RUN_BYTES), runs);
                let mut first = block * FILTERS;
                let lanes = sums.map(|sums| {
                    let records = core::array::from_fn(|filter| record(first + filter).copied().unwrap_or_default());
                    first += 4;
                    let lanes = Lanes::load(&records);
                    Lanes { bias: vmlsq_s32(lanes.bias, sums, vdupq_n_s32(zero)), ..lanes }
                });
                self.lanes.add(block).write(lanes);
            }
        }
    }

    /// Shows `take` the scaled sums of every block of filters in each of `count` windows of `input`: `take(window, block, sums)`.
    /// Some windows come twice.
    #[inline(always)]
    fn each<D: Products, const P: usize>(
        &self,
        windows: Windows,
        input: &[i8],
        count: usize,
        mut take: impl FnMut(usize, usize, BlockSums),
    ) {
        if count == 0 || input.len() < windows.extent(count) {
            return;
        }
        let block_bytes = windows.rows * windows.runs * RUN_BYTES;
        let input = input.as_ptr();
        for block in 0..Self::blocks(self.filters) {
            // SAFETY: the scales have been prepared, the input is as long as `count` windows, of which P begin at `x`, and each
            // block has the weights of a whole window.
            unsafe {
                let lanes = &*self.lanes.add(block);
                let weights = self.weights.add(block * block_bytes);
                let mut next = 0;
                while next < count {
                    if count >= P {
                        let x = next.min(count - P);
                        let sums = windows.sums::<D, P>(input.add(x * windows.step), weights);
                        for (p, sums) in sums.into_iter().enumerate() {
                            take(x + p, block, scaled(lanes, sums));
                        }
                        next = x + P;
                    } else {
                        let [sums] = windows.sums::<D, 1>(input.add(next * windows.step), weights);
                        take(next, block, scaled(lanes, sums));
                        next += 1;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn scaled(lanes: &BlockLanes, [a, b, c, d]: BlockSums) -> BlockSums {
    [lanes[0].apply(a), lanes[1].apply(b), lanes[2].apply(c), lanes[3].apply(d)]
}

/// Packs `[filter][row][k]` as [`Layout::Aarch64`] lies. `to` has the length of it.
fn pack(weights: &[i8], filters: Filters, to: &mut [u8]) {
    to.fill(0);
    let row_runs = filters.row_len.div_ceil(RUN);
    let mut rows = weights.chunks_exact(filters.row_len.max(1));
    for filter in 0..filters.count {
        let (block, lane) = (filter / FILTERS, filter % FILTERS);
        for row in 0..filters.rows {
            let start = (block * filters.rows + row) * row_runs * RUN_BYTES + lane * RUN;
            let places = to.get_mut(start..).unwrap_or_default().chunks_mut(RUN_BYTES);
            let runs = rows.next().unwrap_or_default().chunks(RUN);
            for (place, run) in places.zip(runs) {
                for (to, &weight) in place.iter_mut().zip(run) {
                    *to = weight as u8;
                }
            }
        }
    }
}
