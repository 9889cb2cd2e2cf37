//! Depthwise convolution: eight channels side by side over pairs of windows. Taps outside the image are left out, and so are
//! their weights from what the input's zero point is multiplied with. Outputs whose windows lose the same taps go together:
//! those at the left or right border by columns, all others by rows.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C
//! target-feature=+mve,+lob`, opt-level 3, fat LTO):
//!
//! | layer | portable kernels | here |
//! |---|---|---|
//! | 3x3 32x32 x32 | 11.7 | 1.39 |
//! | 3x3 16x16 x64 | 11.5 | 1.67 |

use super::channels::{CHANNELS, Taps};
use super::windows::{Axis, Same};
use crate::kernels::Conv2d;

/// Runs a valid `op` on slices that fit it; `scratch` holds 16 bits for each weight. `None` where it cannot, the output then
/// being undefined.
pub(super) fn depthwise(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [i16]) -> Option<()> {
    let channels = op.output.c;
    let weights = scratch.as_chunks_mut::<CHANNELS>().0.get_mut(..op.kernel.0 * op.kernel.1)?;
    for first in (0..channels).step_by(CHANNELS) {
        // The last block overlaps the one before it.
        let first = first.min(channels.checked_sub(CHANNELS)?);
        for (to, from) in weights.iter_mut().zip(op.weights.chunks_exact(channels.max(1))) {
            let from = from.get(first..)?.first_chunk::<CHANNELS>()?;
            *to = from.map(i16::from);
        }
        let records = op.params.records().get(first..)?.first_chunk()?;
        let taps = Taps::of(op, weights, records)?;
        channels_from(op, &taps, input.get(first..)?, output.get_mut(first..).unwrap_or_default())?;
    }
    Some(())
}

/// Eight channels, the first of which is the first element of `input` and `output`.
fn channels_from(op: &Conv2d<'_>, taps: &Taps<'_>, input: &[i8], output: &mut [i8]) -> Option<()> {
    let (rows, columns) = (Axis::rows(op), Axis::columns(op));
    for ys in rows.parts(op.rows) {
        let (ky, ky_end) = rows.taps(ys.0)?;
        for xs in columns.parts((0, op.output.w)) {
            let (kx, kx_end) = columns.taps(xs.0)?;
            let mut part = taps.part((ky, ky_end), (kx, kx_end), op.in_zero)?;
            Same { op, taps: (ky, kx) }.strips(ys, xs, |strip| part.run(strip, input, output))?;
        }
    }
    Some(())
}
