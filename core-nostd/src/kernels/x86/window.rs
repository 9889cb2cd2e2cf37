//! Operators that look at neighbours: interpolation with half-pixel centres, maximum pooling, shift.
//!
//! # Cost
//! Picoseconds an element of the output, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without flags, opt-level
//! 3: the best times of four runs of `tests/targets/run.sh bench x86-64`; interpolation with corners aligned is
//! [`Portable`](super::Portable)'s:
//!
//! | operator | portable kernels | AVX2 | AVX-VNNI | AVX-512 |
//! |---|---|---|---|---|
//! | maximum of 2x2, 64x64x16 | 1088 | 63.5 | 64.1 | 64.8 |
//! | interpolation, half-pixel centres, 32x32x16 | 1155 | 316 | 319 | 138 |
//! | shift along y, 16x16x128 | 85.6 | 85.3 | 87.7 | 35.1 |
//! | shift along x, 16x16x128 | 80.4 | 81.9 | 84.0 | 27.8 |
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::lanes::{Factors, Lanes};
use super::sink::Limits;
use crate::kernels::{Axis, Corners, MaxPool, Shape, Shift, Upsample2x};

/// Runs a valid `op` with half-pixel centres, on slices that fit it, whose channels are whole groups of sixteen, or eight
/// at an even width. `None` with other records.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn upsample2x<L: Lanes>(op: &Upsample2x, input: &[i8], output: &mut [i8]) -> Option<()> {
    let pairs = op.input.c == 8 && op.input.w.is_multiple_of(2);
    if op.corners != Corners::HalfPixel || !(pairs || op.input.c.is_multiple_of(16)) {
        return None;
    }
    let row_len = op.input.w * op.input.c;
    let last = op.input.h - 1;
    for (y, out) in output.chunks_exact_mut((2 * row_len).max(1)).enumerate() {
        let near = y / 2;
        let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(last) };
        let row = |y: usize| input.get(y * row_len..)?.get(..row_len);
        let (near, far) = (row(near)?, row(far)?);
        // SAFETY: as the caller; rows have the length of the record, which is made of whole vectors.
        unsafe {
            if pairs {
                upsample_pairs::<L>(op, near, far, out);
            } else {
                for c in (0..op.input.c).step_by(16) {
                    upsample_group::<L>(op, c, near, far, out);
                }
            }
        }
    }
    Some(())
}

/// What an interpolated row needs besides its rows.
struct Blend<L: Lanes> {
    zero: L::V,
    factors: Factors<L>,
    limits: Limits<L>,
}

impl<L: Lanes> Blend<L> {
    #[inline(always)]
    unsafe fn new(op: &Upsample2x) -> Self {
        // SAFETY: as the caller.
        unsafe {
            Self {
                zero: L::splat(16 * op.in_zero),
                factors: Factors::splat(op.requant),
                limits: Limits::new(op.out_zero, op.clamp),
            }
        }
    }

    /// Three parts of the nearer row, one of the other.
    #[inline(always)]
    unsafe fn column(near: *const i8, far: *const i8) -> L::V {
        // SAFETY: as the caller.
        unsafe {
            let near = L::widen(near);
            L::add(L::add(near, near), L::add(near, L::widen(far)))
        }
    }

    /// Outputs to the left and to the right of `column`.
    #[inline(always)]
    unsafe fn outputs(&self, before: L::V, column: L::V, after: L::V) -> (__m128i, __m128i) {
        // SAFETY: as the caller.
        unsafe {
            let own = L::sub(L::add(L::add(column, column), column), self.zero);
            let left = self.limits.bytes(&self.factors, L::add(own, before));
            (left, self.limits.bytes(&self.factors, L::add(own, after)))
        }
    }
}

/// Sixteen channels from `channel` on of one output row.
///
/// # Safety
/// The CPU has the features of `L`; the rows are those of the record, which has these channels.
#[inline(always)]
unsafe fn upsample_group<L: Lanes>(op: &Upsample2x, channel: usize, near: &[i8], far: &[i8], out: &mut [i8]) {
    let (w, c) = (op.input.w, op.input.c);
    // SAFETY: as the caller.
    unsafe {
        let blend = Blend::<L>::new(op);
        let (near, far) = (near.as_ptr().add(channel), far.as_ptr().add(channel));
        let out = out.as_mut_ptr().add(channel);
        let mut column = Blend::<L>::column(near, far);
        let mut before = column;
        for x in 0..w {
            let next = (x + 1).min(w - 1) * c;
            let after = Blend::<L>::column(near.add(next), far.add(next));
            let (left, right) = blend.outputs(before, column, after);
            _mm_storeu_si128(out.add(2 * x * c).cast(), left);
            _mm_storeu_si128(out.add((2 * x + 1) * c).cast(), right);
            (before, column) = (column, after);
        }
    }
}

/// One output row of eight channels: vectors hold two positions.
///
/// # Safety
/// As [`upsample_group`], with eight channels and an even width.
#[inline(always)]
unsafe fn upsample_pairs<L: Lanes>(op: &Upsample2x, near: &[i8], far: &[i8], out: &mut [i8]) {
    // SAFETY: as the caller.
    unsafe {
        let blend = Blend::<L>::new(op);
        let (near, far, out) = (near.as_ptr(), far.as_ptr(), out.as_mut_ptr());
        let mut pair = Blend::<L>::column(near, far);
        // The position before the pair, in the first eight lanes.
        let mut before = pair;
        for x in (0..op.input.w).step_by(2) {
            let second = L::upper8(pair);
            let after = if x + 2 < op.input.w {
                Blend::<L>::column(near.add((x + 2) * 8), far.add((x + 2) * 8))
            } else {
                second
            };
            let (left, right) = blend.outputs(L::join8(before, pair), pair, L::join8(second, after));
            _mm_storeu_si128(out.add(16 * x).cast(), _mm_unpacklo_epi64(left, right));
            _mm_storeu_si128(out.add(16 * (x + 1)).cast(), _mm_unpackhi_epi64(left, right));
            (before, pair) = (second, after);
        }
    }
}

/// Runs a valid `op` on slices that fit it, whose channels are whole groups of sixteen, or eight with windows of 2x2 side by
/// side. `None` with other records.
#[target_feature(enable = "sse4.1")]
pub(super) fn max_pool(op: &MaxPool, input: &[i8], output: &mut [i8]) -> Option<()> {
    let shape = op.output()?;
    let (c, row_len) = (op.input.c, op.input.w * op.input.c);
    let pairs = c == 8 && op.kernel == 2 && op.stride == 2 && shape.w.is_multiple_of(2);
    if !(pairs || c.is_multiple_of(16)) {
        return None;
    }
    for (y, out) in output.chunks_exact_mut((shape.w * c).max(1)).enumerate() {
        let rows = input.get(y * op.stride * row_len..)?.get(..op.kernel * row_len)?;
        // SAFETY: the rows are those of the windows of this output row.
        unsafe {
            if pairs {
                pool_pairs(op, rows, out);
            } else if op.kernel == 2 {
                pool_row(&MaxPool { kernel: 2, ..*op }, rows, shape.w, out);
            } else {
                pool_row(op, rows, shape.w, out);
            }
        }
    }
    Some(())
}

/// # Safety
/// `rows` are `op.kernel` rows of input, `out` the row of `width` windows in them; channels are whole groups of sixteen.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn pool_row(op: &MaxPool, rows: &[i8], width: usize, out: &mut [i8]) {
    let (c, row_len) = (op.input.c, op.input.w * op.input.c);
    let (low, high) = (_mm_set1_epi8(op.clamp.0), _mm_set1_epi8(op.clamp.1));
    for x in 0..width {
        for channel in (0..c).step_by(16) {
            let mut max = low;
            for ky in 0..op.kernel {
                for kx in 0..op.kernel {
                    let at = ky * row_len + (x * op.stride + kx) * c + channel;
                    // SAFETY: the window lies in the rows.
                    max = _mm_max_epi8(max, unsafe { _mm_loadu_si128(rows.as_ptr().add(at).cast()) });
                }
            }
            // SAFETY: so does the result in its row.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().add(x * c + channel).cast(), _mm_min_epi8(max, high)) };
        }
    }
}

/// # Safety
/// As [`pool_row`] with eight channels, 2x2 windows side by side, and an even number of them.
#[target_feature(enable = "sse4.1")]
unsafe fn pool_pairs(op: &MaxPool, rows: &[i8], out: &mut [i8]) {
    let row_len = op.input.w * op.input.c;
    let (low, high) = (_mm_set1_epi8(op.clamp.0), _mm_set1_epi8(op.clamp.1));
    let (out, _) = out.as_chunks_mut::<16>();
    for (pair, out) in out.iter_mut().enumerate() {
        // Two positions in each of four vectors.
        let load = |at: usize| {
            // SAFETY: a pair of windows is 32 bytes in each of the two rows.
            unsafe { _mm_loadu_si128(rows.as_ptr().add(32 * pair + at).cast()) }
        };
        let first = _mm_max_epi8(load(0), load(row_len));
        let second = _mm_max_epi8(load(16), load(row_len + 16));
        let max = _mm_max_epi8(_mm_unpacklo_epi64(first, second), _mm_unpackhi_epi64(first, second));
        let max = _mm_min_epi8(_mm_max_epi8(max, low), high);
        // SAFETY: sixteen bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), max) };
    }
}

/// Runs a valid `op` on slices that fit it: for each 64 channels of a position, a masked load for each group of channels that
/// is among them.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn shift(op: &Shift, input: &[i8], output: &mut [i8]) {
    let Shape { h, w, c } = op.shape;
    for first in (0..c).step_by(64) {
        let masks = [0, 1, 2, 3, 4].map(|group| group_mask(op, group, first));
        let all = masks.into_iter().fold(0, |all, mask| all | mask);
        for y in 0..h {
            for x in 0..w {
                let mut values = _mm512_set1_epi8(op.zero);
                for (group, &mask) in masks.iter().enumerate() {
                    // Moved by group - 2: it comes from 2 - group further on. Wrapping below zero ends outside as well.
                    let (from_y, from_x) = match op.axis {
                        Axis::Y => ((y + 2).wrapping_sub(group), x),
                        Axis::X => (y, (x + 2).wrapping_sub(group)),
                    };
                    if from_y < h && from_x < w {
                        let from = input.as_ptr().wrapping_add((from_y * w + from_x) * c + first);
                        // SAFETY: the position lies in the input, and the mask leaves out what is none of its channels.
                        values = unsafe { _mm512_mask_loadu_epi8(values, mask, from) };
                    }
                }
                // SAFETY: as above.
                unsafe {
                    _mm512_mask_storeu_epi8(output.as_mut_ptr().wrapping_add((y * w + x) * c + first), all, values)
                };
            }
        }
    }
}

/// Which of the 64 channels from `first` on are of this group.
fn group_mask(op: &Shift, group: usize, first: usize) -> u64 {
    let below = |channel: usize| match channel.min(op.shape.c).saturating_sub(first) {
        count @ 0..64 => (1 << count) - 1,
        _ => u64::MAX,
    };
    below((group + 1) * op.group()) & !below(group * op.group())
}
