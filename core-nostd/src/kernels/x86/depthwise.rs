//! Depthwise convolution: sixteen channels side by side, P positions at a time, over the padded copy of the input, so that
//! every tap of every window is there.
//!
//! # Cost
//! Picoseconds a multiply-accumulate, padding included, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without
//! flags, opt-level 3: the best times of four runs of `tests/targets/run.sh bench x86-64`:
//!
//! | layer | portable kernels | AVX2 | AVX-VNNI | AVX-512 |
//! |---|---|---|---|---|
//! | 3x3 32x32 x32 | 487 | 61.8 | 60.1 | 26.5 |
//! | 3x3 16x16 x64 | 468 | 62.1 | 61.2 | 27.0 |
#![allow(unsafe_code)]

use super::band::Geometry;
use super::cursor::Cursor;
use super::lanes::Lanes;
use super::pack::{Channels, GROUP};
use super::sink::Limits;
use crate::kernels::Conv2d;

/// Scratch bytes of a valid depthwise convolution.
pub(super) fn scratch_bytes(op: &Conv2d<'_>) -> usize {
    let geometry = Geometry::of(op);
    geometry.band_bytes(op.rows.1 - op.rows.0)
}

/// Runs a valid `op` whose channels are whole groups of sixteen, on slices that fit it. `None` if the scratch is too small
/// or channels are left over; then the output is as it was.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn depthwise<L: Lanes, const P: usize>(
    op: &Conv2d<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u8],
) -> Option<()> {
    let geometry = Geometry::of(op);
    let rows = op.rows;
    let copy = scratch.get_mut(..geometry.band_bytes(rows.1 - rows.0))?;
    if !op.input.c.is_multiple_of(GROUP) {
        return None;
    }
    let step = geometry.band_rows(rows.1 - rows.0);
    let bands = (rows.0..rows.1).step_by(step);
    for (first, output) in bands.zip(output.chunks_mut((step * op.output.w * op.output.c).max(1))) {
        let end = (first + step).min(rows.1);
        geometry.fill(input, first, end, copy)?;
        for channel in (0..op.output.c).step_by(GROUP) {
            // SAFETY: as the caller; sixteen channels begin at `channel`, and the copy holds the windows of the band.
            unsafe { group::<L, P>(op, &geometry, channel, end - first, copy, output) };
        }
    }
    Some(())
}

/// Sixteen channels of `rows` rows.
///
/// # Safety
/// The CPU has the features of `L`; sixteen channels begin at `channel`, and copy and output hold `rows` rows of windows.
#[inline(always)]
unsafe fn group<L: Lanes, const P: usize>(
    op: &Conv2d<'_>,
    geometry: &Geometry,
    channel: usize,
    rows: usize,
    copy: &[u8],
    output: &mut [i8],
) {
    let channels = op.input.c;
    let weights = op.weights.as_ptr().wrapping_add(channel);
    let mut sums = [0; GROUP];
    // SAFETY: each tap has weights of all channels.
    let (record, limits) = unsafe {
        let mut sum = L::splat(0);
        for tap in 0..op.kernel.0 * op.kernel.1 {
            sum = L::add(sum, L::widen(weights.add(tap * channels)));
        }
        L::store(sums.as_mut_ptr(), sum);
        let record = Channels::new(&op.params, |lane| channel + lane, &sums, op.in_zero + 128);
        (record, Limits::<L>::new(op.out_zero, op.clamp))
    };
    // SAFETY: the cursor walks over the positions of copy and output, all of whose taps lie in the copy.
    unsafe {
        let (bias, factors) = (record.bias::<L>(), record.factors::<L>());
        let start = copy.as_ptr().add(channel);
        let mut cursor = Cursor::new(geometry, start, output.as_mut_ptr().add(channel), (channels, 0));
        let total = rows * geometry.out_w;
        let mut done = 0;
        while done < total {
            let valid = (total - done).min(P);
            let (x, out) = cursor.next::<P>(valid);
            let mut acc = [bias; P];
            for ky in 0..op.kernel.0 {
                for kx in 0..op.kernel.1 {
                    let at = ky * op.dilation * geometry.row_len + kx * op.dilation * channels;
                    let w = L::widen(weights.add((ky * op.kernel.1 + kx) * channels));
                    for (acc, x) in acc.iter_mut().zip(x) {
                        *acc = L::mul_add_small(*acc, L::widen_unsigned(x.add(at)), w);
                    }
                }
            }
            for (&acc, out) in acc.iter().zip(out).take(valid) {
                L::store_part(out, limits.bytes(&factors, acc), GROUP);
            }
            done += valid;
        }
    }
}
