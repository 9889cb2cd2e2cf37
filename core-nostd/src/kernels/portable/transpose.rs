//! Transposed convolution, 2x2 with stride 2: four dot products for each input position and output channel, one for each
//! position of its window of the output.
//!
//! # Cost
//! Instructions a multiply-accumulate on emulated cores, picoseconds on x86-64; cores, clock and flags stand on the set's page.
//!
//! | layer | M4 | M55 | 64-bit Arm | x86-64, ps |
//! |---|---|---|---|---|
//! | 2x2 stride 2, 16x16 64->32 | 5.69 | 2.06 | 1.79 | 75.0 |

use super::conv::widen;
use super::dot::{BLOCK, product};
use crate::kernels::ops::{CONV_COLUMNS, CONV_FILTERS};
use crate::kernels::{ConvTranspose2x2, Layout};

/// Runs a valid `op` on slices that fit it.
pub(super) fn conv_transpose2x2(op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [i16]) {
    let channels = op.input.c;
    // What slots hold beyond the channels is zero and stays so: columns and filters are whole blocks.
    scratch.fill(0);
    let slot = (scratch.len() / (CONV_COLUMNS + CONV_FILTERS)).max(1);
    let Some((columns, filter)) = scratch.split_at_mut_checked(slot * CONV_COLUMNS) else {
        return;
    };
    let out_row = op.output().w * op.params.len();
    let rows = input.chunks_exact((op.input.w * channels).max(1));
    for (row, pair) in rows.zip(output.chunks_exact_mut((2 * out_row).max(1))) {
        let Some((upper, lower)) = pair.split_at_mut_checked(out_row) else {
            return;
        };
        let block = (2 * CONV_COLUMNS * op.params.len()).max(1);
        let blocks = upper.chunks_mut(block).zip(lower.chunks_mut(block));
        for (block, (upper, lower)) in row.chunks((CONV_COLUMNS * channels).max(1)).zip(blocks) {
            for (column, position) in columns.chunks_exact_mut(slot).zip(block.chunks_exact(channels.max(1))) {
                widen(position, op.in_zero as i16, column);
            }
            four_positions(op, columns.chunks_exact(slot), filter, [upper, lower]);
        }
    }
}

/// All windows of up to four input positions that follow each other in a row. Each filter is widened once for the four.
fn four_positions<'c>(
    op: &ConvTranspose2x2<'_>,
    columns: impl Iterator<Item = &'c [i16]> + Clone,
    filter: &mut [i16],
    [upper, lower]: [&mut [i8]; 2],
) {
    let channels = op.input.c.max(1);
    let whole = channels.next_multiple_of(BLOCK);
    let Some(filter) = filter.get_mut(..whole) else {
        return;
    };
    let outputs = op.params.len();
    for (o, channel) in op.params.iter().enumerate() {
        for tap in 0..4 {
            widen_filter(op, 4 * o + tap, channels, filter);
            let row = if tap < 2 { &mut *upper } else { &mut *lower };
            let at = (tap % 2) * outputs + o;
            let positions = row.chunks_exact_mut((2 * outputs).max(1));
            for (position, column) in positions.zip(columns.clone()) {
                if let (Some(out), Some(column)) = (position.get_mut(at), column.get(..whole)) {
                    *out = channel.finish(product(column, filter), op.out_zero, op.clamp);
                }
            }
        }
    }
}

/// Filter `number` in 16 bits, wherever its layout has put it.
#[inline(always)]
fn widen_filter(op: &ConvTranspose2x2<'_>, number: usize, channels: usize, filter: &mut [i16]) {
    if op.layout == Layout::Portable {
        let start = number.saturating_mul(channels);
        return widen(op.weights.get(start..start.saturating_add(channels)).unwrap_or_default(), 0, filter);
    }
    for (k, to) in filter.iter_mut().take(channels).enumerate() {
        *to = i16::from(op.weight(number, k));
    }
}
