//! Operators on single elements or single positions, sixteen at a time.
//!
//! # Cost
//! Picoseconds an element, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without flags, opt-level 3: the best
//! times of four runs of `tests/targets/run.sh bench x86-64`:
//!
//! | operator | portable kernels | AVX2 | AVX-VNNI | AVX-512 |
//! |---|---|---|---|---|
//! | addition, 32x32x32 | 2948 | 936 | 922 | 363 |
//! | layer normalisation, 16x16x128 | 2306 | 426 | 434 | 303 |
#![allow(unsafe_code)]

use super::lanes::{Factors, Lanes};
use super::sink::Limits;
use crate::kernels::{Add, LayerNorm};

/// Runs a valid `op` on slices that fit it; `None` stands for what `values` holds, which the sum replaces.
///
/// # Safety
/// The CPU has the features of `L`. The slices have the record's length.
#[inline(always)]
pub(super) unsafe fn add<L: Lanes>(op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
    let out = values.as_mut_ptr();
    let (a, b) = (a.map_or(out.cast_const(), <[i8]>::as_ptr), b.map_or(out.cast_const(), <[i8]>::as_ptr));
    let whole = op.len - op.len % 16;
    // SAFETY: sixteen values, or one, are read before they are replaced, all of them before `op.len`.
    unsafe {
        let limits = Limits::<L>::new(op.out_zero, op.clamp);
        let shift = L::splat(op.left_shift as i32);
        let (a_zero, b_zero) = (L::splat(op.a_zero), L::splat(op.b_zero));
        let (a_scale, b_scale) = (Factors::<L>::splat(op.a), Factors::<L>::splat(op.b));
        let out_scale = Factors::<L>::splat(op.out);
        for at in (0..whole).step_by(16) {
            let a = a_scale.apply(L::shl(L::sub(L::widen(a.add(at)), a_zero), shift));
            let b = b_scale.apply(L::shl(L::sub(L::widen(b.add(at)), b_zero), shift));
            L::store_part(out.add(at), limits.bytes(&out_scale, L::add(a, b)), 16);
        }
        for at in whole..op.len {
            out.add(at).write(op.sum(a.add(at).read(), b.add(at).read()));
        }
    }
}

/// Runs a valid `op` whose channels are whole groups of sixteen, on slices that fit it. `None` if channels are left over.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn layer_norm<L: Lanes>(op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) -> Option<()> {
    let channels = op.shape.c;
    if !channels.is_multiple_of(16) || channels == 0 {
        return None;
    }
    // SAFETY: positions, gamma and beta are whole groups of sixteen channels.
    unsafe {
        let limits = Limits::<L>::new(op.out_zero, op.clamp);
        let (gamma, beta) = (op.gamma.as_ptr().cast::<f32>(), op.beta.as_ptr().cast::<f32>());
        for (input, output) in input.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
            let (from, to) = (input.as_ptr(), output.as_mut_ptr());
            let (mut sum, mut squares) = (L::splat(0), L::splat(0));
            for c in (0..channels).step_by(16) {
                let q = L::widen(from.add(c));
                sum = L::add(sum, q);
                squares = L::add(squares, L::mul(q, q));
            }
            let (mean, inverse) = moments(L::sum(sum), L::sum(squares), channels, op.eps_q);
            let (mean, inverse) = (L::splat_f(mean), L::splat_f(inverse));
            for c in (0..channels).step_by(16) {
                let normal = L::mul_f(L::sub_f(L::to_f(L::widen(from.add(c))), mean), inverse);
                let y = L::add_f(L::mul_f(normal, L::load_f(gamma.add(c))), L::load_f(beta.add(c)));
                L::store_part(to.add(c), limits.clamped(L::round(y)), 16);
            }
        }
    }
    Some(())
}

/// Mean, and one over the standard deviation, in the order of operations that every set keeps.
#[inline(always)]
fn moments(sum: i32, squares: i32, channels: usize, eps_q: f32) -> (f32, f32) {
    let n = channels as f32;
    let mean = sum as f32 / n;
    let spread = i64::from(squares) * channels as i64 - i64::from(sum) * i64::from(sum);
    let variance = spread as f32 / (n * n);
    (mean, 1.0 / libm::sqrtf(variance + eps_q))
}
