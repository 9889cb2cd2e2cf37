//! Operators on single elements or single positions: addition, joining, tables, layer normalisation.
//!
//! # Cost
//! Instructions an element of the output on emulated cores, picoseconds on x86-64; cores, clock and flags stand on the set's
//! page.
//!
//! | operator | M4 | M55 | 64-bit Arm | x86-64, ps |
//! |---|---|---|---|---|
//! | addition, 32x32x32 | 79.0 | 66.0 | 11.8 | 2948 |
//! | joining, 32x32x32 twice | 6.70 | 5.22 | 5.65 | 223 |
//! | table, 32x32x32 | 5.75 | 4.25 | 5.00 | 211 |
//! | layer normalisation, 16x16x128 | 45.6 | 38.1 | 7.35 | 2306 |

use crate::kernels::ops::saturate;
use crate::kernels::{Add, Concat, LayerNorm, Table};

/// Runs a valid `op` on slices that fit it.
pub(super) fn add(op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
    for ((out, &a), &b) in output.iter_mut().zip(a).zip(b) {
        *out = op.sum(a, b);
    }
}

/// Runs a valid `op` on slices that fit it: what becomes of each of the 256 values is worked out once.
pub(super) fn concat(op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
    let [first, second] = op.values();
    let look_up = |values, from: &[i8], to: &mut [i8]| table(&Table { table: values }, from, to);
    op.join(a, b, output, |from, to| look_up(&first, from, to), |from, to| look_up(&second, from, to));
}

/// Runs `op` on slices of one length.
pub(super) fn table(op: &Table<'_>, input: &[i8], output: &mut [i8]) {
    for (out, &q) in output.iter_mut().zip(input) {
        *out = op.look_up(q);
    }
}

/// Runs a valid `op` on slices that fit it.
pub(super) fn layer_norm(op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
    let channels = op.shape.c.max(1);
    let positions = input.chunks_exact(channels).zip(output.chunks_exact_mut(channels));
    for (input, output) in positions {
        let (mean, inverse) = moments(input, op.eps_q);
        let factors = op.gamma.as_chunks().0.iter().zip(op.beta.as_chunks().0);
        for ((out, &q), (&gamma, &beta)) in output.iter_mut().zip(input).zip(factors) {
            let normal = (f32::from(q) - mean) * inverse;
            let y = normal * f32::from_le_bytes(gamma) + f32::from_le_bytes(beta);
            *out = saturate(round(y), op.out_zero, op.clamp);
        }
    }
}

/// Mean, and one over the standard deviation.
#[inline(always)]
fn moments(input: &[i8], eps_q: f32) -> (f32, f32) {
    let (mut sum, mut squares) = (0i32, 0i32);
    for &q in input {
        let q = i32::from(q);
        sum = sum.wrapping_add(q);
        squares = squares.wrapping_add(q * q);
    }
    let n = input.len() as f32;
    let mean = sum as f32 / n;
    // Exact before it becomes a float: E[x^2] - E[x]^2 in f32 would lose small variances.
    let spread =
        i64::from(squares).wrapping_mul(input.len() as i64).wrapping_sub(i64::from(sum).wrapping_mul(i64::from(sum)));
    let variance = spread as f32 / (n * n);
    (mean, 1.0 / libm::sqrtf(variance + eps_q))
}

/// Nearest integer, halves away from zero, for values that matter: beyond 1024 any result saturates alike.
#[inline(always)]
fn round(y: f32) -> i32 {
    // Not `f32::clamp`, which panics on bad bounds; NaN passes through and becomes 0, as in a cast.
    let y = if y < -1024.0 { -1024.0 } else { y };
    let y = if y > 1024.0 { 1024.0 } else { y };
    let whole = y as i32;
    let rest = y - whole as f32;
    whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)
}
