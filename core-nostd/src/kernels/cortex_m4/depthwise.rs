//! Depthwise convolution: four channels side by side, inputs and weights widened in pairs on the way.
//!
//! Channel counts that are no multiple of four are [`Portable`]'s.

use super::conv::Scale;
use super::dsp::{pair, sxtab16, sxtab16_odd, sxtb16, sxtb16_odd};
use crate::kernels::ops::depthwise_scratch_bytes;
use crate::kernels::{Channel, Conv2d, Kernels, Portable};

/// See [`Kernels::depthwise`].
pub(super) fn depthwise(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
    let roomy = scratch.len() >= depthwise_scratch_bytes(op.kernel, op.input.c);
    if !op.is_valid_depthwise() || !op.fits(input, output) || !roomy || !op.input.c.is_multiple_of(4) {
        return Portable.depthwise(op, input, output, scratch);
    }
    let channels = op.output.c;
    let scale = Scale::new(op.params, op.out_zero, op.clamp, op.kernel.0 * op.kernel.1);
    for (y, row) in output.chunks_exact_mut((op.output.w * channels).max(1)).enumerate() {
        let y = op.rows.0 + y;
        let rows = inside(y * op.stride, op.kernel.0, op.input.h, op);
        for (x, position) in row.chunks_exact_mut(channels.max(1)).enumerate() {
            let columns = inside(x * op.stride, op.kernel.1, op.input.w, op);
            let window = Window { op, input, top: y * op.stride, left: x * op.stride, rows, columns };
            let (records, _) = op.params.records().as_chunks::<4>();
            for (group, (out, records)) in position.as_chunks_mut::<4>().0.iter_mut().zip(records).enumerate() {
                let sums = window.sums(4 * group);
                for ((out, record), sum) in out.iter_mut().zip(records).zip(sums) {
                    *out = scale.finish(Channel::from_bytes(record), sum);
                }
            }
        }
    }
}

/// Taps, first and end, whose positions lie within `extent` for a window that begins at `start` of the padded input.
fn inside(start: usize, taps: usize, extent: usize, op: &Conv2d<'_>) -> (usize, usize) {
    let within = |&tap: &usize| (start + tap * op.dilation).wrapping_sub(op.pad) < extent;
    let first = (0..taps).find(within).unwrap_or(taps);
    (first, (first..taps).find(|tap| !within(tap)).unwrap_or(taps))
}

/// One output position's window.
struct Window<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
    top: usize,
    left: usize,
    /// Taps that lie inside the input, first and end.
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Window<'_> {
    /// Sums of four channels from `first` on, which is a multiple of four below the channels.
    #[inline(always)]
    fn sums(&self, first: usize) -> [i32; 4] {
        let op = self.op;
        let channels = op.input.c;
        let negative = pair(-op.in_zero);
        let step = op.dilation * channels;
        let mut sums = [0_i32; 4];
        for ky in self.rows.0..self.rows.1 {
            let y = self.top + ky * op.dilation - op.pad;
            let x = (self.left + self.columns.0 * op.dilation).wrapping_sub(op.pad);
            let mut input = self
                .input
                .as_ptr()
                .wrapping_add(y.wrapping_mul(op.input.w).wrapping_add(x).wrapping_mul(channels) + first);
            let mut weight = op.weights.as_ptr().wrapping_add((ky * op.kernel.1 + self.columns.0) * channels + first);
            for _ in self.columns.0..self.columns.1 {
                // SAFETY: tap (ky, kx) lies inside the input, whose length was checked, and is a tap of the weights;
                // four channels from `first` on exist.
                let (q, w) = unsafe { (input.cast::<u32>().read_unaligned(), weight.cast::<u32>().read_unaligned()) };
                let (even, odd) = (sxtab16(negative, q), sxtab16_odd(negative, q));
                let (w_even, w_odd) = (sxtb16(w), sxtb16_odd(w));
                let [a, b, c, d] = &mut sums;
                *a = a.wrapping_add(low(even) * low(w_even));
                *b = b.wrapping_add(low(odd) * low(w_odd));
                *c = c.wrapping_add(high(even) * high(w_even));
                *d = d.wrapping_add(high(odd) * high(w_odd));
                input = input.wrapping_add(step);
                weight = weight.wrapping_add(channels);
            }
        }
        sums
    }
}

#[inline(always)]
const fn low(pair: u32) -> i32 {
    pair as i16 as i32
}

#[inline(always)]
const fn high(pair: u32) -> i32 {
    pair as i32 >> 16
}
