//! Operators that look at neighbours: maximum pooling, and interpolation with half-pixel centres.
//!
//! # Cost
//! Instructions an element of the output, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64` (rustc 1.95
//! without flags, opt-level 3):
//!
//! | operator | portable kernels | here |
//! |---|---|---|
//! | maximum of 2x2, 64x64x16 | 13.3 | 1.84 |
//! | interpolation, half-pixel centres, 32x32x16 | 8.31 | 3.67 |

#![allow(unsafe_code)]

use core::arch::aarch64::{
    int16x8_t, vaddq_s16, vdup_n_s8, vdupq_n_s8, vdupq_n_s16, vget_low_s16, vld1_s8, vld1q_s8, vmax_s8, vmaxq_s8,
    vmin_s8, vminq_s8, vmlaq_n_s16, vmovl_high_s16, vmovl_s8, vmovl_s16, vst1_s8, vst1q_s8,
};

use super::scale::{Lanes, Range};
use crate::kernels::{Corners, MaxPool, Upsample2x};

/// Fewest channels of an operator for these kernels: a vector of eight bytes.
const BLOCK: usize = 8;

/// Runs `op` on slices that fit it; false, with nothing done, if it is not for these kernels.
pub(super) fn max_pool(op: &MaxPool, input: &[i8], output: &mut [i8]) -> bool {
    let Some(shape) = op.output().filter(|shape| shape.c >= BLOCK) else {
        return false;
    };
    let (row, step) = (op.input.w * shape.c, op.stride * shape.c);
    for (y, out) in output.chunks_exact_mut(shape.w * shape.c).enumerate() {
        for (x, out) in out.chunks_exact_mut(shape.c).enumerate() {
            let window = input.get(y * op.stride * row + x * step..).unwrap_or_default();
            // SAFETY: `fits` and `output` have checked that every window lies inside the input.
            unsafe {
                match op.kernel {
                    2 => largest(op, 2, row, window, out),
                    kernel => largest(op, kernel, row, window, out),
                }
            }
        }
    }
    true
}

/// The largest values of a window, at least [`BLOCK`] channels; the last block reaches back, over channels that come out the
/// same once more.
///
/// # Safety
/// `window` begins with `kernel` positions of as many channels as `out` has, and so does what lies `row` on, `kernel` times.
#[inline(always)]
unsafe fn largest(op: &MaxPool, kernel: usize, row: usize, window: &[i8], out: &mut [i8]) {
    let channels = out.len();
    let tap = |ky: usize, kx: usize, first: usize| window.as_ptr().wrapping_add(ky * row + kx * channels + first);
    let (low, high) = op.clamp;
    if channels < 2 * BLOCK {
        for first in [0, channels - BLOCK] {
            // SAFETY: eight channels from `first` on are in every tap and in `out`.
            unsafe {
                let mut max = vdup_n_s8(low);
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        max = vmax_s8(max, vld1_s8(tap(ky, kx, first)));
                    }
                }
                vst1_s8(out.as_mut_ptr().add(first), vmin_s8(max, vdup_n_s8(high)));
            }
        }
        return;
    }
    for block in (0..channels).step_by(2 * BLOCK) {
        let first = block.min(channels - 2 * BLOCK);
        // SAFETY: as above, of sixteen channels.
        unsafe {
            let mut max = vdupq_n_s8(low);
            for ky in 0..kernel {
                for kx in 0..kernel {
                    max = vmaxq_s8(max, vld1q_s8(tap(ky, kx, first)));
                }
            }
            vst1q_s8(out.as_mut_ptr().add(first), vminq_s8(max, vdupq_n_s8(high)));
        }
    }
}

/// Runs a valid `op` on slices that fit it; false, with nothing done, if it is not for these kernels.
pub(super) fn upsample2x(op: &Upsample2x, input: &[i8], output: &mut [i8]) -> bool {
    let channels = op.input.c;
    if op.corners != Corners::HalfPixel || channels < BLOCK || !Lanes::can_hold(op.requant) {
        return false;
    }
    let row_len = op.input.w * channels;
    let row = |y: usize| input.get(y * row_len..)?.get(..row_len);
    let last = op.input.h.saturating_sub(1);
    let scale = (Lanes::all(op.requant), Range::new(op.out_zero, op.clamp));
    for (y, out) in output.chunks_exact_mut(2 * row_len).enumerate() {
        let near = y / 2;
        // The other row lies above an even output row and below an odd one.
        let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(last) };
        let (Some(near), Some(far)) = (row(near), row(far)) else { continue };
        for block in (0..channels).step_by(BLOCK) {
            // The last block reaches back, over channels that come out the same once more.
            let first = block.min(channels - BLOCK);
            // SAFETY: both rows hold every position, `out` twice as many; a position has eight channels from `first` on.
            unsafe { upsample_block(op, &scale, near, far, out, first) }
        }
    }
    true
}

/// One output row in eight channels. Sums of 16 inputs fit 16 bits.
///
/// # Safety
/// `near` and `far` are rows of `op`'s input, `out` of its output, and there are eight channels from `first` on.
#[inline(always)]
unsafe fn upsample_block(
    op: &Upsample2x,
    (scale, range): &(Lanes, Range),
    near: &[i8],
    far: &[i8],
    out: &mut [i8],
    first: usize,
) {
    // SAFETY: every position is read once, and two are written for each; NEON is always there.
    unsafe {
        let zero = vdupq_n_s16(-4 * op.in_zero as i16);
        // Three parts of the nearer row, one of the other.
        let column = |x: usize| {
            let at = x * op.input.c + first;
            let (near, far) = (vmovl_s8(vld1_s8(near.as_ptr().add(at))), vmovl_s8(vld1_s8(far.as_ptr().add(at))));
            vmlaq_n_s16(vaddq_s16(far, zero), near, 3)
        };
        let mut put = |x: usize, nearer: int16x8_t, other: int16x8_t| {
            let sums = vmlaq_n_s16(other, nearer, 3);
            let sums = [vmovl_s16(vget_low_s16(sums)), vmovl_high_s16(sums)];
            let bytes = range.eight(sums.map(|sums| scale.apply(sums)));
            vst1_s8(out.as_mut_ptr().add(x * op.input.c + first), bytes);
        };
        let mut left = column(0);
        put(0, left, left);
        for x in 1..op.input.w {
            let right = column(x);
            put(2 * x - 1, left, right);
            put(2 * x, right, left);
            left = right;
        }
        put(2 * op.input.w - 1, left, left);
    }
}
