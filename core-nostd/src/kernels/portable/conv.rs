//! Convolution: each window is gathered into a column of 16-bit inputs, zero point taken off, so that padding is
//! zero and a filter's sum is one dot product.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, on emulated cores, picoseconds on x86-64; cores, clock and flags stand
//! on the set's page.
//!
//! | layer | M4 | M55 | 64-bit Arm | x86-64, ps |
//! |---|---|---|---|---|
//! | 3x3 64x64 16->16 | 5.34 | 1.59 | 1.40 | 56.1 |
//! | 3x3 64x64 8->8 | 6.95 | 2.52 | 2.29 | 101 |
//! | 3x3 32x32 32->32 | 4.78 | 1.22 | 1.05 | 47.3 |
//! | 3x3 16x16 64->64 | 4.54 | 1.08 | 0.92 | 44.6 |
//! | 3x3 64x64 1->16 | 18.7 | 11.5 | 10.3 | 543 |
//! | 1x1 32x32 32->64 | 7.18 | 3.18 | 2.75 | 124 |
//! | 3x3 stride 2, 32x32 32->32 | 4.78 | 1.22 | 1.05 | 46.9 |
//! | 3x3 stride 2, 128x128 1->8 | 20.6 | 13.0 | 12.0 | 591 |
//! | 3x3 128x128 4->4 | 10.8 | 4.98 | 5.12 | 200 |
//! | 1x1 128x128 4->4 | 46.0 | 29.9 | 27.5 | 1242 |
//! | linear 131->128 | 9.44 | 2.59 | 2.28 | 120 |

use super::dot::{BLOCK, product};
use crate::kernels::ops::{CONV_COLUMNS, CONV_FILTERS, filter_len};
use crate::kernels::{Conv2d, Layout};

/// Runs a valid `op` on slices that fit it.
pub(super) fn conv2d(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [i16]) {
    let weights = filter_len(op.kernel, op.input.c);
    // What slots hold beyond a window is zero and stays so: columns and filters are whole blocks.
    scratch.fill(0);
    let slot = (scratch.len() / (CONV_COLUMNS + CONV_FILTERS)).max(1);
    let Some((columns, filter)) = scratch.split_at_mut_checked(slot * CONV_COLUMNS) else {
        return;
    };
    let mut windows = Windows::new(op, input);
    for block in output.chunks_mut((CONV_COLUMNS * op.output.c).max(1)) {
        for column in columns.chunks_exact_mut(slot) {
            if let Some(window) = column.get_mut(..weights) {
                windows.gather(window);
            }
        }
        four_positions(op, columns.chunks_exact(slot), filter, block);
    }
}

/// All channels of up to four output positions that follow each other. Each filter is widened once for the four.
fn four_positions<'c>(
    op: &Conv2d<'_>,
    columns: impl Iterator<Item = &'c [i16]> + Clone,
    filter: &mut [i16],
    block: &mut [i8],
) {
    let weights = filter_len(op.kernel, op.input.c).max(1);
    let whole = weights.next_multiple_of(BLOCK);
    let Some(filter) = filter.get_mut(..whole) else {
        return;
    };
    for (c, channel) in op.params.iter().enumerate() {
        widen_filter(op, c, weights, filter);
        let positions = block.chunks_exact_mut(op.output.c.max(1));
        for (position, column) in positions.zip(columns.clone()) {
            if let (Some(out), Some(column)) = (position.get_mut(c), column.get(..whole)) {
                *out = channel.finish(product(column, filter), op.out_zero, op.clamp);
            }
        }
    }
}

/// Filter `c` of `weights` weights in 16 bits, wherever its layout has put them.
#[inline(always)]
fn widen_filter(op: &Conv2d<'_>, c: usize, weights: usize, filter: &mut [i16]) {
    if op.layout == Layout::Portable {
        let start = c.saturating_mul(weights);
        return widen(op.weights.get(start..start.saturating_add(weights)).unwrap_or_default(), 0, filter);
    }
    let row_len = op.filters().row_len.max(1);
    for (row, to) in filter.chunks_mut(row_len).take(op.kernel.0).enumerate() {
        for (k, to) in to.iter_mut().enumerate() {
            *to = i16::from(op.weight(c, row, k));
        }
    }
}

/// The windows of an operator in the order of its output positions.
struct Windows<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
    y: usize,
    x: usize,
}

impl<'a> Windows<'a> {
    fn new(op: &'a Conv2d<'a>, input: &'a [i8]) -> Self {
        Self { op, input, y: op.rows.0, x: 0 }
    }

    /// Writes the next window, `[kernel y][kernel x][in]`, zero point taken off; after the last one, nothing.
    fn gather(&mut self, column: &mut [i16]) {
        let op = self.op;
        if self.y == op.rows.1 {
            return;
        }
        let top = self.y * op.stride;
        let left = self.x * op.stride;
        self.x += 1;
        if self.x == op.output.w {
            self.x = 0;
            self.y += 1;
        }
        let row_len = op.input.w * op.input.c;
        for (ky, taps) in column.chunks_exact_mut((op.kernel.1 * op.input.c).max(1)).enumerate() {
            let y = (top + ky * op.dilation).checked_sub(op.pad).filter(|&y| y < op.input.h);
            match y.and_then(|y| self.input.get(y * row_len..)?.get(..row_len)) {
                Some(row) => self.gather_row(row, left, taps),
                None => taps.fill(0),
            }
        }
    }

    #[inline(always)]
    fn gather_row(&self, row: &[i8], left: usize, taps: &mut [i16]) {
        let op = self.op;
        let zero = op.in_zero as i16;
        let channels = op.input.c;
        if op.dilation == 1 && left >= op.pad {
            let start = (left - op.pad) * channels;
            if let Some(inside) = row.get(start..start + taps.len()) {
                return widen(inside, zero, taps);
            }
        }
        for (kx, tap) in taps.chunks_exact_mut(channels.max(1)).enumerate() {
            let x = (left + kx * op.dilation).checked_sub(op.pad).filter(|&x| x < op.input.w);
            match x.and_then(|x| row.get(x * channels..)?.get(..channels)) {
                Some(inside) => widen(inside, zero, tap),
                None => tap.fill(0),
            }
        }
    }
}

/// `to = from - zero` in 16 bits; `to` may be longer.
// Not inlined: where the zero point is known to be 0, LLVM's cost model gives the vectors up.
#[inline(never)]
pub(super) fn widen(from: &[i8], zero: i16, to: &mut [i16]) {
    for (to, &q) in to.iter_mut().zip(from) {
        *to = i16::from(q).wrapping_sub(zero);
    }
}
