//! GELU: `x * F(x)` with F the normal distribution function, `F(x) = (1 + erf(x / sqrt(2))) / 2`.
//!
//! Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016; the exact form.

use rayon::prelude::*;

use super::elementary::{exp, upper_tail};
use super::simd::widest;

/// Values in a piece of work for one thread.
const PIECE: usize = 8 * 1024;

/// `out` = the activations of `x`.
pub fn forward(x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many results as values");
    out.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(out, x)| {
        widest!({
            for (out, &x) in out.iter_mut().zip(x) {
                *out = x * distribution(x);
            }
        });
    });
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn backward(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(x.len() == dx.len() && dy.len() == dx.len(), "as many gradients as values");
    dx.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE).zip(dy.par_chunks(PIECE))).for_each(|(dx, (x, dy))| {
        widest!({
            for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = dy * (distribution(x) + x * density(x));
            }
        });
    });
}

#[inline(always)]
fn distribution(x: f32) -> f32 {
    let tail = upper_tail(x.abs());
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[inline(always)]
fn density(x: f32) -> f32 {
    exp(-0.5 * x * x) * 0.398_942_3
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{Random, assert_near, assert_same_on_any_threads};
    use super::*;

    fn exact(x: f64) -> f64 {
        0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    }

    fn values() -> (Vec<f32>, Vec<f32>) {
        let mut random = Random::new(1);
        let x = random.values(3 * PIECE + 5).iter().map(|x| 8.0 * x).collect();
        (x, random.values(3 * PIECE + 5))
    }

    #[test]
    fn values_and_slopes_are_those_of_the_error_function() {
        let (x, dy) = values();
        let (mut out, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        forward(&x, &mut out);
        backward(&x, &dy, &mut dx);
        let slope = |x: f64| (exact(x + 1e-5) - exact(x - 1e-5)) / 2e-5;
        let expected: Vec<f64> = x.iter().map(|&x| exact(f64::from(x))).collect();
        assert_near(&out, &expected, 1e-6, "values");
        let expected: Vec<f64> = x.iter().zip(&dy).map(|(&x, &dy)| slope(f64::from(x)) * f64::from(dy)).collect();
        assert_near(&dx, &expected, 1e-6, "slopes");
    }

    #[test]
    fn far_out_it_is_the_identity_or_zero() {
        let mut out = [f32::NAN; 4];
        forward(&[30.0, -30.0, 0.0, 1e30], &mut out);
        assert_eq!(out, [30.0, 0.0, 0.0, 1e30]);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let (x, dy) = values();
        assert_same_on_any_threads(|| {
            let mut dx = vec![0.0; x.len()];
            backward(&x, &dy, &mut dx);
            dx
        });
    }
}
