//! Loops over planes of numbers, compiled for the widest vectors of the processor.
//!
//! Sums run in [`LANES`] parts, added up at the end in order.

use super::kernels::lanes;
use super::kernels::simd::widest;

/// Partial sums of a sum: as many as the widest registers hold.
const LANES: usize = 16;

/// The sum of `f` over pairs of `a` and `b`.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f32 = rest.map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += f(a[i], b[i]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Mean of `x`, and the sum of squared distances from it.
pub(super) fn mean_and_squares(x: &[f32]) -> (f64, f64) {
    widest(|| lanes::mean_and_squares(x))
}

/// `y = scale x + shift`, and zero where that is below zero if `rectified`.
pub(super) fn affine(x: &[f32], y: &mut [f32], (scale, shift): (f32, f32), rectified: bool) {
    widest(|| {
        if rectified {
            // Written so that what is not a number stays so.
            let above = |y: f32| if y < 0.0 { 0.0 } else { y };
            y.iter_mut().zip(x).for_each(|(y, x)| *y = above(x * scale + shift));
        } else {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale + shift);
        }
    });
}

/// The sums of `g` and of `g (x - mean)`, g being 0 where `rectified` and `scale x + shift` is not above 0.
pub(super) fn gradient_sums(
    (x, g): (&[f32], &[f32]),
    (scale, shift): (f32, f32),
    mean: f32,
    rectified: bool,
) -> (f32, f32) {
    widest(|| {
        if rectified {
            let through = |x: f32, g: f32| if x * scale + shift > 0.0 { g } else { 0.0 };
            (sum_of(x, g, through), sum_of(x, g, |x, g| through(x, g) * (x - mean)))
        } else {
            (sum_of(x, g, |_, g| g), sum_of(x, g, |x, g| g * (x - mean)))
        }
    })
}

/// `out = a g + b x + c`, g being 0 where `rectified` and `scale x + shift` is not above 0.
pub(super) fn input_gradient(
    (x, g): (&[f32], &[f32]),
    out: &mut [f32],
    (scale, shift): (f32, f32),
    [a, b, c]: [f32; 3],
    rectified: bool,
) {
    widest(|| {
        let inputs = x.iter().zip(g);
        if rectified {
            for (out, (x, g)) in out.iter_mut().zip(inputs) {
                let g = if x * scale + shift > 0.0 { *g } else { 0.0 };
                *out = a * g + b * x + c;
            }
        } else {
            for (out, (x, g)) in out.iter_mut().zip(inputs) {
                *out = a * g + b * x + c;
            }
        }
    });
}

/// Puts zero in the place of what is below it.
pub(super) fn rectify(x: &mut [f32]) {
    // Written so that what is not a number stays so.
    widest(|| x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }));
}
