//! Transposed convolution: the four outputs of an input position in one channel are four filters of a 1x1 convolution, whose
//! results are stored apart.
//!
//! # Cost
//! Instructions a multiply-accumulate, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C
//! target-feature=+mve,+lob`, opt-level 3, fat LTO):
//!
//! | layer | portable kernels | here | weights in the set's layout |
//! |---|---|---|---|
//! | 2x2 stride 2, 16x16 64->32 | 2.06 | 0.251 | 0.245 |

use super::block::{FILTERS, Filters, Outputs, RUN, Scales};
use super::pack::{PACKING, pack};
use super::windows::Strip;
use crate::kernels::{ConvTranspose2x2, Layout};

/// Runs a valid `op` on slices that fit it. `None` where it cannot, the output then being undefined.
pub(super) fn conv_transpose2x2(
    op: &ConvTranspose2x2<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [i8],
) -> Option<()> {
    let channels = op.input.c;
    let row_bytes = channels.next_multiple_of(RUN);
    let (packed, scratch) = match op.layout {
        Layout::CortexM55 => scratch.split_at_mut_checked(0)?,
        layout if layout.is_unpacked() => scratch.split_at_mut_checked(row_bytes * FILTERS)?,
        _ => return None,
    };
    let copy = scratch.get_mut(..row_bytes)?;
    let out_channels = op.params.len();
    let out_row = op.output().w * out_channels;
    for (o, record) in op.params.records().iter().enumerate() {
        let weights = match op.layout {
            layout if layout.is_unpacked() => {
                pack(op.weights, op.filters(), o * FILTERS, packed)?;
                &*packed
            }
            _ => op.weights.get(o * row_bytes * FILTERS..)?.get(..row_bytes * FILTERS)?,
        };
        if !PACKING.rows_end_in_zeros(weights, channels) {
            return None;
        }
        let places = [0, out_channels, out_row, out_row + out_channels].map(|place| place as u32);
        let scales = Scales::of(&[*record; FILTERS])?;
        let filters = Filters::new(weights, 1, scales, Outputs::Apart(places), op.out_zero, op.clamp);
        let mut filters = filters.part((0, 1), (0, row_bytes / RUN), op.in_zero)?;
        for y in 0..op.input.h {
            row(op, &mut filters, y, input, output.get_mut(2 * y * out_row + o..)?, copy)?;
        }
    }
    Some(())
}

/// One row of inputs, the outputs of the first of which are at the start of `out`.
fn row(
    op: &ConvTranspose2x2<'_>,
    filters: &mut Filters<'_>,
    y: usize,
    input: &[i8],
    out: &mut [i8],
    copy: &mut [i8],
) -> Option<()> {
    let channels = op.input.c;
    let out_step = 2 * op.params.len();
    let input = input.get(y * op.input.w * channels..)?;
    // Positions that can be read with what fills up their vectors.
    let readable = input.len().checked_sub(filters.row_bytes()).map_or(0, |room| room / channels.max(1) + 1);
    let whole = readable.min(op.input.w) & !1;
    if whole > 0 {
        let strip = Strip {
            x: [0, channels],
            x_pair: 2 * channels,
            out: [0, out_step],
            out_pair: 2 * out_step,
            pairs: whole / 2,
            ..Strip::default()
        };
        filters.run(&strip, input, out)?;
    }
    for x in whole..op.input.w {
        let position = input.get(x * channels..)?.get(..channels)?;
        copy.iter_mut().zip(position).for_each(|(to, &q)| *to = q);
        let strip = Strip { out: [x * out_step; 2], pairs: 1, ..Strip::default() };
        filters.run(&strip, copy, out)?;
    }
    Some(())
}
