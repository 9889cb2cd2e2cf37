//! Convolution: four windows side by side in 16 bits, zero point taken off, and one filter at a time, whose bytes are
//! widened on the way.
//!
//! The windows lie interleaved in the scratch, in blocks of four weights: words `(0, 2)` of the four windows, then words
//! `(1, 3)`, which is how SXTB16 splits four bytes of a filter. A block of sixteen multiply-accumulates is 13
//! instructions: one LDR, two LDMIA, two SXTB16, eight SMLAD.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, counted in QEMU by `firmware-demo/run.sh bench m4` (Cortex-M4, `-C
//! target-cpu=cortex-m4`, opt-level 3, fat LTO); on an M33 they are as many. Limits narrower than eight bits, and scales that
//! do not fold, go without [`channels`](super::channels), as in a copy of the bench whose outputs are limited to 126:
//!
//! | layer | portable | here | without |
//! |---|---|---|---|
//! | 3x3 64x64 16->16 | 5.34 | 1.17 | 1.40 |
//! | 3x3 64x64 8->8 | 6.95 | 1.77 | 2.22 |
//! | 3x3 32x32 32->32 | 4.78 | 0.98 | 1.10 |
//! | 3x3 16x16 64->64 | 4.54 | 0.91 | 0.97 |
//! | 3x3 64x64 1->16 | 18.7 | 3.50 | 7.14 |
//! | 1x1 32x32 32->64 | 7.18 | 1.30 | 2.33 |
//! | 3x3 stride 2, 32x32 32->32 | 4.78 | 0.99 | 1.10 |
//! | 3x3 stride 2, 128x128 1->8 | 20.6 | 4.29 | 7.90 |
//! | 3x3 128x128 4->4 | 10.8 | 3.59 | 4.48 |
//! | 1x1 128x128 4->4 | 46.0 | 13.3 | 21.3 |
//! | transposed 2x2 stride 2, 16x16 64->32 | 5.69 | 1.66 | 1.66 |

use super::columns::{COLUMNS, Columns, Filters, Scale};
use super::{channels, single};
use crate::kernels::ops::{conv_scratch_bytes, conv_transpose_scratch_bytes, filter_len};
use crate::kernels::{Conv2d, ConvTranspose2x2, Int8Kernels, Layout, Portable};

/// See [`Int8Kernels::conv2d`].
pub(super) fn conv2d(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
    let fast = op.is_valid() && op.fits(input, output) && matches!(op.layout, Layout::Portable | Layout::CortexM4);
    if !fast || !is_roomy(scratch, conv_scratch_bytes(op.kernel, op.input.c)) {
        return Portable.conv2d(op, input, output, scratch);
    }
    if output.len() == op.output.c {
        return single::conv2d(op, input, output, scratch);
    }
    let len = filter_len(op.kernel, op.input.c);
    let Some((mut columns, room)) = Columns::new(scratch, len, op.in_zero) else { return };
    let scale = Scale::new(op.params, op.out_zero, op.clamp, len);
    let mut filters = Filters::new(op.weights, len, room);
    let (mut y, mut x) = (op.rows.0, 0);
    for block in output.chunks_mut((COLUMNS * op.output.c).max(1)) {
        for column in 0..COLUMNS {
            if y == op.rows.1 {
                break;
            }
            columns.gather(op, input, (y * op.stride, x * op.stride), column);
            x += 1;
            if x == op.output.w {
                (x, y) = (0, y + 1);
            }
        }
        let stride = op.output.c;
        let positions = block.len() / stride.max(1);
        if positions == COLUMNS && channels::all(op, &columns, &filters, &scale, block) {
            continue;
        }
        for (c, channel) in op.params.iter().enumerate() {
            // SAFETY: there are as many filters as channels.
            let sums = columns.product(unsafe { filters.get(c) });
            for (position, sum) in sums.into_iter().enumerate().take(positions) {
                let value = scale.finish(channel, sum);
                // SAFETY: `position < positions` and `c < stride`: inside `block`, which is `positions * stride` long.
                unsafe { *block.get_unchecked_mut(position * stride + c) = value };
            }
        }
    }
}

/// See [`Int8Kernels::conv_transpose2x2`].
pub(super) fn conv_transpose2x2(op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
    let channels = op.input.c;
    let fast = op.is_valid() && op.fits(input, output) && matches!(op.layout, Layout::Portable | Layout::CortexM4);
    if !fast || !is_roomy(scratch, conv_transpose_scratch_bytes(channels)) {
        return Portable.conv_transpose2x2(op, input, output, scratch);
    }
    let Some((mut columns, room)) = Columns::new(scratch, channels, op.in_zero) else { return };
    let mut filters = Filters::new(op.weights, channels, room);
    let scale = Scale::new(op.params, op.out_zero, op.clamp, channels);
    let outputs = op.params.len();
    let out_row = 2 * op.input.w * outputs;
    for (y, row) in input.chunks_exact((op.input.w * channels).max(1)).enumerate() {
        for (group, block) in row.chunks((COLUMNS * channels).max(1)).enumerate() {
            let positions = block.len() / channels.max(1);
            for (column, position) in block.chunks_exact(channels.max(1)).enumerate() {
                columns.run(position, 0, column);
            }
            for (o, channel) in op.params.iter().enumerate() {
                for tap in 0..4 {
                    // SAFETY: there are four filters for each channel.
                    let sums = columns.product(unsafe { filters.get(4 * o + tap) });
                    let at = (2 * y + tap / 2) * out_row + (2 * COLUMNS * group + tap % 2) * outputs + o;
                    for (position, sum) in sums.into_iter().enumerate().take(positions) {
                        if let Some(out) = output.get_mut(at + 2 * position * outputs) {
                            *out = scale.finish(channel, sum);
                        }
                    }
                }
            }
        }
    }
}

/// Whether the scratch is long enough and can be read in words.
fn is_roomy(scratch: &[u8], bytes: usize) -> bool {
    scratch.len() >= bytes && scratch.as_ptr().addr().is_multiple_of(4)
}
