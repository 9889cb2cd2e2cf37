//! Loops over planes of numbers, compiled for the widest vectors of the processor.

use super::kernels::lanes::{self, Moments};
use super::kernels::simd::widest;

/// Count, mean and squares of `x`.
pub(super) fn moments(x: &[f32]) -> Moments {
    widest!(Moments::of(x))
}

/// `scale x + shift`, of values x.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub scale: f32,
    pub shift: f32,
}

/// `y = scale x + shift`, and zero where that is below zero if `rectified`.
pub(super) fn affine(x: &[f32], y: &mut [f32], Line { scale, shift }: Line, rectified: bool) {
    // Written so that what is not a number stays so.
    let above = |y: f32| if y < 0.0 { 0.0 } else { y };
    widest!({
        if rectified {
            for (y, x) in y.iter_mut().zip(x) {
                *y = above(x * scale + shift);
            }
        } else {
            for (y, x) in y.iter_mut().zip(x) {
                *y = x * scale + shift;
            }
        }
    });
}

/// The sums of `g` and of `g (x - mean)`, g being 0 where `rectified` and `scale x + shift` is not above 0.
pub(super) fn gradient_sums(x: &[f32], g: &[f32], Line { scale, shift }: Line, mean: f32, rectified: bool) -> [f64; 2] {
    let through = |x: f32, g: f32| if x * scale + shift > 0.0 { g } else { 0.0 };
    if rectified {
        widest!(lanes::sums_of_two(x, g, |x, g| [through(x, g), through(x, g) * (x - mean)]))
    } else {
        widest!(lanes::sums_of_two(x, g, |x, g| [g, g * (x - mean)]))
    }
}

/// `out = a g + b x + c`, g being 0 where `rectified` and `scale x + shift` is not above 0.
pub(super) fn input_gradient(
    x: &[f32],
    g: &[f32],
    out: &mut [f32],
    Line { scale, shift }: Line,
    [a, b, c]: [f32; 3],
    rectified: bool,
) {
    widest!({
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
    widest!({
        for x in x.iter_mut() {
            *x = if *x < 0.0 { 0.0 } else { *x };
        }
    });
}
