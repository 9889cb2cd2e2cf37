//! Operators that look at neighbours: maximum pooling, interpolation, shift.
//!
//! # Cost
//! Instructions an element of the output on emulated cores, picoseconds on x86-64; cores, clock and flags stand on the set's
//! page.
//!
//! | operator | M4 | M55 | 64-bit Arm | x86-64, ps |
//! |---|---|---|---|---|
//! | maximum of 2x2, 64x64x16 | 42.5 | 17.7 | 13.3 | 1088 |
//! | interpolation, half-pixel centres, 32x32x16 | 48.0 | 37.8 | 8.31 | 1155 |
//! | interpolation, corners aligned, 32x32x16 | 55.3 | 47.2 | 11.4 | 1628 |
//! | shift along y, 16x16x128 | 4.81 | 4.62 | 2.12 | 85.6 |
//! | shift along x, 16x16x128 | 4.61 | 4.45 | 1.93 | 80.4 |

use crate::kernels::ops::{aligned_weight, saturate};
use crate::kernels::{Axis, Corners, MaxPool, Shape, Shift, Upsample2x};

/// Channels that are taken side by side.
const BLOCK: usize = 8;

/// The channels of position (y, x); `None` outside.
#[inline(always)]
fn position(data: &[i8], shape: Shape, y: usize, x: usize) -> Option<&[i8]> {
    if y >= shape.h || x >= shape.w {
        return None;
    }
    data.get((y * shape.w + x) * shape.c..)?.get(..shape.c)
}

/// Runs a valid `op` on slices that fit it.
pub(super) fn max_pool(op: &MaxPool, input: &[i8], output: &mut [i8]) {
    let Some(shape) = op.output() else {
        return;
    };
    for (y, row) in output.chunks_exact_mut((shape.w * shape.c).max(1)).enumerate() {
        for (x, out) in row.chunks_exact_mut(shape.c.max(1)).enumerate() {
            out.fill(op.clamp.0);
            for ky in 0..op.kernel {
                for kx in 0..op.kernel {
                    let tap = position(input, op.input, y * op.stride + ky, x * op.stride + kx);
                    raise(out, tap.unwrap_or_default());
                }
            }
        }
    }
    if op.clamp.1 < i8::MAX {
        for out in output {
            *out = (*out).min(op.clamp.1);
        }
    }
}

/// Element-wise maximum into `out`.
#[inline(always)]
fn raise(out: &mut [i8], tap: &[i8]) {
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    let (tap_blocks, tap_rest) = tap.as_chunks::<BLOCK>();
    for (out, tap) in blocks.iter_mut().zip(tap_blocks) {
        for (out, &q) in out.iter_mut().zip(tap) {
            *out = (*out).max(q);
        }
    }
    for (out, &q) in rest.iter_mut().zip(tap_rest) {
        *out = (*out).max(q);
    }
}

/// Runs a valid `op` on slices that fit it.
pub(super) fn upsample2x(op: &Upsample2x, input: &[i8], output: &mut [i8]) {
    let row_len = op.input.w * op.input.c;
    let row = |y: usize| input.get(y * row_len..)?.get(..row_len);
    let last = op.input.h.saturating_sub(1);
    for (y, out) in output.chunks_exact_mut((2 * row_len).max(1)).enumerate() {
        match op.corners {
            Corners::HalfPixel => {
                let near = y / 2;
                // The other row lies above an even output row and below an odd one.
                let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(last) };
                if let (Some(near), Some(far)) = (row(near), row(far)) {
                    upsample_row(op, near, far, out);
                }
            }
            Corners::Aligned => {
                let place = Place::of(y, op.input.h);
                if let (Some(first), Some(second)) = (row(place.first), row(place.second)) {
                    upsample_row_aligned(op, first, second, place.weights, out);
                }
            }
        }
    }
}

/// Where an output lies along an axis with corners aligned: the two inputs around it and their weights.
struct Place {
    first: usize,
    second: usize,
    weights: [i32; 2],
}

impl Place {
    /// Of output `o`, along an axis of `n` inputs.
    #[inline(always)]
    fn of(o: usize, n: usize) -> Self {
        let unit = aligned_weight(n).max(1);
        let last = n.saturating_sub(1);
        let (first, beyond) = (o * last / unit, o * last % unit);
        Self { first, second: (first + 1).min(last), weights: [(unit - beyond) as i32, beyond as i32] }
    }
}

/// One output row from the input rows around it, corners aligned.
fn upsample_row_aligned(op: &Upsample2x, first: &[i8], second: &[i8], [upper, lower]: [i32; 2], out: &mut [i8]) {
    let shape = Shape { h: 1, ..op.input };
    for (x, out) in out.chunks_exact_mut(op.input.c.max(1)).enumerate() {
        let Place { first: x0, second: x1, weights: [left, right] } = Place::of(x, op.input.w);
        let (Some(a), Some(b)) = (position(first, shape, 0, x0), position(first, shape, 0, x1)) else {
            return;
        };
        let (Some(c), Some(d)) = (position(second, shape, 0, x0), position(second, shape, 0, x1)) else {
            return;
        };
        blend(op, [a, b, c, d], [upper * left, upper * right, lower * left, lower * right], out);
    }
}

/// One output row from the nearer and the farther input row.
fn upsample_row(op: &Upsample2x, near: &[i8], far: &[i8], out: &mut [i8]) {
    let channels = op.input.c;
    let last = op.input.w.saturating_sub(1);
    let shape = Shape { h: 1, ..op.input };
    for (x, pair) in out.chunks_exact_mut((2 * channels).max(1)).enumerate() {
        let Some((left, right)) = pair.split_at_mut_checked(channels) else {
            return;
        };
        let sides = [(x.saturating_sub(1), left), ((x + 1).min(last), right)];
        for (side, out) in sides {
            let (Some(a), Some(b)) = (position(near, shape, 0, x), position(near, shape, 0, side)) else {
                return;
            };
            let (Some(c), Some(d)) = (position(far, shape, 0, x), position(far, shape, 0, side)) else {
                return;
            };
            blend(op, [a, b, c, d], HALF_PIXEL, out);
        }
    }
}

/// Weights with half-pixel centres: of the nearest input, its neighbours along either axis, and the one across.
const HALF_PIXEL: [i32; 4] = [9, 3, 3, 1];

/// `requant(weighted sum of the taps, zero point taken off)` for each channel.
#[inline(always)]
fn blend(op: &Upsample2x, [a, b, c, d]: [&[i8]; 4], weights: [i32; 4], out: &mut [i8]) {
    let [wa, wb, wc, wd] = weights;
    let zero = (wa + wb + wc + wd) * op.in_zero;
    let taps = a.iter().zip(b).zip(c.iter().zip(d));
    for (out, ((&a, &b), (&c, &d))) in out.iter_mut().zip(taps) {
        let [a, b, c, d] = [a, b, c, d].map(i32::from);
        let sum = wa * a + wb * b + wc * c + wd * d - zero;
        *out = saturate(op.requant.apply(sum), op.out_zero, op.clamp);
    }
}

/// Runs a valid `op` on slices that fit it.
pub(super) fn shift(op: &Shift, input: &[i8], output: &mut [i8]) {
    let Shape { w, c, .. } = op.shape;
    let group = op.group().max(1);
    for (y, row) in output.chunks_exact_mut((w * c).max(1)).enumerate() {
        for (x, out) in row.chunks_exact_mut(c.max(1)).enumerate() {
            for (g, out) in out.chunks_mut(group).enumerate() {
                // Moved by g - 2: it comes from 2 - g further on. Wrapping below zero ends outside as well.
                let (from_y, from_x) = match op.axis {
                    Axis::Y => ((y + 2).wrapping_sub(g), x),
                    Axis::X => (y, (x + 2).wrapping_sub(g)),
                };
                let from = position(input, op.shape, from_y, from_x);
                match from.and_then(|from| from.chunks(group).nth(g)) {
                    Some(from) => out.iter_mut().zip(from).for_each(|(out, &q)| *out = q),
                    None => out.fill(op.zero),
                }
            }
        }
    }
}
