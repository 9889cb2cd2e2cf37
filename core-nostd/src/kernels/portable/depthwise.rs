//! Depthwise convolution: eight channels side by side, one accumulator each, over the taps that lie inside the input.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, on emulated cores, picoseconds on x86-64; cores, clock and flags stand
//! on the set's page.
//!
//! | layer | M4 | M55 | 64-bit Arm | x86-64, ps |
//! |---|---|---|---|---|
//! | 3x3 32x32 x32 | 17.0 | 11.7 | 7.63 | 487 |
//! | 3x3 16x16 x64 | 16.5 | 11.5 | 7.44 | 468 |

use crate::kernels::{Channel, Conv2d};

/// Channels that are summed side by side.
const BLOCK: usize = 8;

/// Runs a valid `op` on slices that fit it. `weights` is scratch for the weights in 16 bits.
pub(super) fn depthwise(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], weights: &mut [i16]) {
    for (to, &weight) in weights.iter_mut().zip(op.weights) {
        *to = i16::from(weight);
    }
    let channels = op.output.c;
    for (y, row) in output.chunks_exact_mut((op.output.w * channels).max(1)).enumerate() {
        for (x, position) in row.chunks_exact_mut(channels.max(1)).enumerate() {
            let taps = Taps { op, input, weights, top: (op.rows.0 + y) * op.stride, left: x * op.stride };
            taps.position(position);
        }
    }
}

/// One output position's window.
struct Taps<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
    weights: &'a [i16],
    /// First row and column of the window in the padded input.
    top: usize,
    left: usize,
}

impl Taps<'_> {
    #[inline(always)]
    fn position(&self, position: &mut [i8]) {
        let (records, rest_records) = self.op.params.records().as_chunks::<BLOCK>();
        let (blocks, rest) = position.as_chunks_mut::<BLOCK>();
        let mut first = 0;
        for (out, records) in blocks.iter_mut().zip(records) {
            let sums = self.sums::<BLOCK>(first);
            for ((out, record), sum) in out.iter_mut().zip(records).zip(sums) {
                *out = Channel::from_bytes(record).finish(sum, self.op.out_zero, self.op.clamp);
            }
            first += BLOCK;
        }
        for (out, record) in rest.iter_mut().zip(rest_records) {
            let [sum] = self.sums::<1>(first);
            *out = Channel::from_bytes(record).finish(sum, self.op.out_zero, self.op.clamp);
            first += 1;
        }
    }

    /// Sums of N channels from `first` on.
    #[inline(always)]
    fn sums<const N: usize>(&self, first: usize) -> [i32; N] {
        let op = self.op;
        let channels = op.input.c;
        let zero = op.in_zero as i16;
        let mut sums = [0i32; N];
        let rows = self.weights.chunks_exact((op.kernel.1 * channels).max(1)).take(op.kernel.0);
        for (ky, row) in rows.enumerate() {
            let y = (self.top + ky * op.dilation).checked_sub(op.pad);
            let Some(y) = y.filter(|&y| y < op.input.h) else {
                continue;
            };
            for (kx, weights) in row.chunks_exact(channels.max(1)).enumerate() {
                let x = (self.left + kx * op.dilation).checked_sub(op.pad);
                let Some(x) = x.filter(|&x| x < op.input.w) else {
                    continue;
                };
                let start = (y * op.input.w + x) * channels + first;
                let (Some(tap), Some(weights)) = (chunk::<N, _>(self.input, start), chunk::<N, _>(weights, first))
                else {
                    continue;
                };
                for ((sum, &q), &weight) in sums.iter_mut().zip(tap).zip(weights) {
                    let q = i16::from(q).wrapping_sub(zero);
                    *sum = sum.wrapping_add(i32::from(q) * i32::from(weight));
                }
            }
        }
        sums
    }
}

/// The N elements from `start` on.
#[inline(always)]
fn chunk<const N: usize, T>(from: &[T], start: usize) -> Option<&[T; N]> {
    from.get(start..)?.first_chunk()
}
