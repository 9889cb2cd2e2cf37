//! Depthwise convolution: eight channels side by side, four output columns at once where the window lies inside the image, so
//! that a weight is widened once for the four.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64`
//! (rustc 1.95 without flags, opt-level 3):
//!
//! | layer | portable kernels | here |
//! |---|---|---|
//! | 3x3 32x32 x32 | 7.63 | 1.47 |
//! | 3x3 16x16 x64 | 7.44 | 1.63 |

#![allow(unsafe_code)]

use core::arch::aarch64::{
    int8x8_t, int32x4_t, vdup_n_s8, vdupq_n_s32, vget_low_s16, vld1_s8, vmlal_high_s16, vmlal_s16, vmovl_s8, vst1_s8,
    vsubl_s8,
};
use core::ops::Range as Taps;

use super::conv::scales_fit;
use super::scale::{Lanes, Range};
use crate::kernels::Conv2d;

/// Channels side by side.
const BLOCK: usize = 8;
/// Output columns at once.
const COLUMNS: usize = 4;

/// Runs a valid `op` on slices that fit it, if it is one for these kernels; false if it is not.
pub(super) fn depthwise(op: &Conv2d<'_>, input: &[i8], output: &mut [i8]) -> bool {
    if op.input.c < BLOCK || !scales_fit(&op.params) {
        return false;
    }
    let inside = inside(op);
    let range = Range::new(op.out_zero, op.clamp);
    let channels = op.output.c;
    for (y, out) in (op.rows.0..op.rows.1).zip(output.chunks_exact_mut(op.output.w * channels)) {
        let rows = taps(y * op.stride, op, op.kernel.0, op.input.h);
        for block in (0..channels).step_by(BLOCK) {
            // The last block reaches back, over channels that come out the same once more.
            let first = block.min(channels - BLOCK);
            let Some((low, high)) = op
                .params
                .records()
                .get(first..)
                .and_then(|records| Some((records.first_chunk()?, records.get(4..)?.first_chunk()?)))
            else {
                return false;
            };
            let part = Part { op, input, first, lanes: [Lanes::load(low), Lanes::load(high)], range };
            part.row(y, rows.clone(), inside.clone(), out);
        }
    }
    true
}

/// The taps along an axis that lie inside an image of `extent`, for a window that begins at `start - pad`.
fn taps(start: usize, op: &Conv2d<'_>, kernel: usize, extent: usize) -> Taps<usize> {
    let first = op.pad.saturating_sub(start).div_ceil(op.dilation).min(kernel);
    let end = (extent + op.pad).saturating_sub(start).div_ceil(op.dilation).min(kernel);
    first..end.max(first)
}

/// The output columns whose whole window lies inside the image.
fn inside(op: &Conv2d<'_>) -> Taps<usize> {
    let first = op.pad.div_ceil(op.stride).min(op.output.w);
    let reach = op.dilation * (op.kernel.1 - 1);
    let end = match (op.input.w + op.pad).checked_sub(reach + 1) {
        Some(last) => (last / op.stride + 1).min(op.output.w),
        None => 0,
    };
    first..end.max(first)
}

/// Eight channels of an operator.
struct Part<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
    /// The first of the channels.
    first: usize,
    lanes: [Lanes; 2],
    range: Range,
}

impl Part<'_> {
    /// One output row, `out`, of which the windows in `inside` are whole from left to right.
    fn row(&self, y: usize, rows: Taps<usize>, inside: Taps<usize>, out: &mut [i8]) {
        let op = self.op;
        let mut x = 0;
        while x < op.output.w {
            if inside.contains(&x) && inside.end - x >= COLUMNS {
                // SAFETY: these columns' windows lie inside.
                unsafe { self.columns::<COLUMNS>(y, x, rows.clone(), 0..op.kernel.1, out) };
                x += COLUMNS;
            } else {
                let columns = taps(x * op.stride, op, op.kernel.1, op.input.w);
                // SAFETY: only taps inside.
                unsafe { self.columns::<1>(y, x, rows.clone(), columns, out) };
                x += 1;
            }
        }
    }

    /// `N` output columns from `x` on.
    ///
    /// # Safety
    /// The taps lie inside the image, for all of the columns.
    #[inline(always)]
    unsafe fn columns<const N: usize>(
        &self,
        y: usize,
        x: usize,
        rows: Taps<usize>,
        columns: Taps<usize>,
        out: &mut [i8],
    ) {
        let op = self.op;
        let channels = op.input.c;
        let mut sums = [[zero(); 2]; N];
        for ky in rows {
            let row = (y * op.stride + ky * op.dilation - op.pad) * op.input.w;
            for kx in columns.clone() {
                let column = x * op.stride + kx * op.dilation - op.pad;
                // SAFETY: row and column lie inside for each of the N columns, and eight channels begin at `first`.
                unsafe {
                    let weights = vld1_s8(op.weights.as_ptr().add((ky * op.kernel.1 + kx) * channels + self.first));
                    let at = self.input.as_ptr().add((row + column) * channels + self.first);
                    for (n, sums) in sums.iter_mut().enumerate() {
                        *sums = self.add(*sums, weights, vld1_s8(at.add(n * op.stride * channels)));
                    }
                }
            }
        }
        for (n, [low, high]) in sums.into_iter().enumerate() {
            let bytes = self.range.eight([self.lanes[0].apply(low), self.lanes[1].apply(high)]);
            // SAFETY: `out` is an output row, of which N columns begin at `x`.
            unsafe { vst1_s8(out.as_mut_ptr().add((x + n) * channels + self.first), bytes) };
        }
    }

    #[inline(always)]
    fn add(&self, [low, high]: [int32x4_t; 2], weights: int8x8_t, tap: int8x8_t) -> [int32x4_t; 2] {
        // SAFETY: NEON is always there.
        unsafe {
            let weights = vmovl_s8(weights);
            let tap = vsubl_s8(tap, vdup_n_s8(self.op.in_zero as i8));
            let low = vmlal_s16(low, vget_low_s16(tap), vget_low_s16(weights));
            [low, vmlal_high_s16(high, tap, weights)]
        }
    }
}

#[inline(always)]
fn zero() -> int32x4_t {
    // SAFETY: NEON is always there.
    unsafe { vdupq_n_s32(0) }
}
