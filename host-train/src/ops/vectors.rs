//! Loops over planes of numbers, compiled for the widest vectors of the processor.
//!
//! Sums run in [`LANES`] parts, added up at the end in order.

use super::kernels::elementary::{exp, ln};
use super::kernels::simd::widest;

/// Partial sums of a sum: as many as the widest registers hold.
pub(super) const LANES: usize = 16;

/// The sum of the lanes.
fn total(lanes: [f32; LANES]) -> f32 {
    lanes.iter().sum()
}

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
    total(lanes) + rest
}

/// Mean of `x`, and the sum of squared distances from it.
pub(super) fn mean_and_squares(x: &[f32]) -> (f32, f32) {
    widest(|| {
        let mean = sum_of(x, x, |x, _| x) / x.len() as f32;
        (mean, sum_of(x, x, |x, _| (x - mean) * (x - mean)))
    })
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

/// Largest values of the 2x2 windows of a plane `x`, rows of `width`.
pub(super) fn pool_plane(x: &[f32], y: &mut [f32], width: usize) {
    widest(|| {
        for (y, rows) in y.chunks_exact_mut(width / 2).zip(x.chunks_exact(2 * width)) {
            let (top, bottom) = rows.split_at(width);
            for (y, (top, bottom)) in y.iter_mut().zip(top.chunks_exact(2).zip(bottom.chunks_exact(2))) {
                // A value that is not a number stays one: what is not above it does not replace it.
                let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
                *y = larger(larger(top[0], top[1]), larger(bottom[0], bottom[1]));
            }
        }
    });
}

/// The gradient of [`pool_plane`]: `g` where a window's first largest value is, 0 elsewhere. `out` is zero before.
pub(super) fn unpool_plane(x: &[f32], g: &[f32], out: &mut [f32], width: usize) {
    widest(|| {
        let rows = out.chunks_exact_mut(2 * width).zip(x.chunks_exact(2 * width));
        for (g, (out, x)) in g.chunks_exact(width / 2).zip(rows) {
            let ((out_top, out_bottom), (top, bottom)) = (out.split_at_mut(width), x.split_at(width));
            let out = out_top.chunks_exact_mut(2).zip(out_bottom.chunks_exact_mut(2));
            for ((out, g), (top, bottom)) in out.zip(g).zip(top.chunks_exact(2).zip(bottom.chunks_exact(2))) {
                let [a, b, c, d] = [top[0], top[1], bottom[0], bottom[1]];
                let is_a = a >= b && a >= c && a >= d;
                let is_b = !is_a && b >= c && b >= d;
                let is_c = !is_a && !is_b && c >= d;
                let of = |is: bool| if is { *g } else { 0.0 };
                (out.0[0], out.0[1]) = (of(is_a), of(is_b));
                (out.1[0], out.1[1]) = (of(is_c), of(!is_a && !is_b && !is_c));
            }
        }
    });
}

/// `out = a + weight (b - a)`.
pub(super) fn blend(a: &[f32], b: &[f32], weight: f32, out: &mut [f32]) {
    widest(|| {
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a + weight * (b - a));
    });
}

/// Adds `factor x` to `out`.
pub(super) fn add_scaled(x: &[f32], factor: f32, out: &mut [f32]) {
    widest(|| {
        out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
    });
}

/// Pixels whose classes are worked on together.
pub(super) const PIXELS: usize = 64;

/// Softmax over the classes of up to [`PIXELS`] pixels: logits of class c in `z[c]`, at `at..at + count` of a plane of `plane`.
/// Writes the probabilities into `p`, a row of [`PIXELS`] a class, and returns minus the logarithms of those of the truth `t`,
/// weighted, and the weights.
pub(super) fn softmax(
    (z, t, plane): (&[f32], &[f32], usize),
    (at, count): (usize, usize),
    weights: &[f32],
    p: &mut [f32],
) -> (f32, f32) {
    widest(|| {
        let mut largest = [f32::MIN; PIXELS];
        for z in z.chunks_exact(plane) {
            for (largest, &z) in largest.iter_mut().zip(&z[at..at + count]) {
                *largest = if *largest < z || z.is_nan() { z } else { *largest };
            }
        }
        let mut total = [0f32; PIXELS];
        for (z, p) in z.chunks_exact(plane).zip(p.chunks_exact_mut(PIXELS)) {
            let pixels = p.iter_mut().zip(&mut total).zip(z[at..at + count].iter().zip(&largest));
            for ((p, total), (z, largest)) in pixels {
                *p = exp(z - largest);
                *total += *p;
            }
        }
        let (mut logarithm, mut share) = ([0f32; PIXELS], [0f32; PIXELS]);
        for i in 0..count {
            logarithm[i] = largest[i] + ln(total[i]);
            share[i] = 1.0 / total[i];
        }
        let (mut loss, mut weight_sum) = ([0f32; PIXELS], [0f32; PIXELS]);
        for (((z, t), weight), p) in
            z.chunks_exact(plane).zip(t.chunks_exact(plane)).zip(weights).zip(p.chunks_exact_mut(PIXELS))
        {
            let (z, t) = (&z[at..at + count], &t[at..at + count]);
            for i in 0..count {
                p[i] *= share[i];
                loss[i] += weight * t[i] * (logarithm[i] - z[i]);
                weight_sum[i] += weight * t[i];
            }
        }
        (loss[..count].iter().sum(), weight_sum[..count].iter().sum())
    })
}

/// The sums of `p t`, `p` and `t`.
pub(super) fn overlap(p: &[f32], t: &[f32]) -> [f32; 3] {
    widest(|| [sum_of(p, t, |p, t| p * t), sum_of(p, t, |p, _| p), sum_of(p, t, |_, t| t)])
}

/// The gradient of the logits of some pixels, from that of each probability, `a t + b`, and that of the cross-entropy, `w t` times
/// minus the logarithm; `factors` has a, b and w of each class.
pub(super) fn softmax_gradient(
    (p, t, plane): (&[f32], &[f32], usize),
    (at, count): (usize, usize),
    factors: &[[f32; 3]],
    out: &mut [f32],
) {
    widest(|| {
        let (mut mean, mut weight) = ([0f32; PIXELS], [0f32; PIXELS]);
        for ((p, t), &[a, b, w]) in p.chunks_exact(plane).zip(t.chunks_exact(plane)).zip(factors) {
            let pixels = mean.iter_mut().zip(&mut weight).zip(p[at..at + count].iter().zip(&t[at..at + count]));
            for ((mean, weight), (p, t)) in pixels {
                *mean += p * (a * t + b);
                *weight += w * t;
            }
        }
        let classes = p.chunks_exact(plane).zip(t.chunks_exact(plane)).zip(factors).zip(out.chunks_exact_mut(plane));
        for (((p, t), &[a, b, w]), out) in classes {
            let inputs = p[at..at + count].iter().zip(&t[at..at + count]).zip(mean.iter().zip(&weight));
            for (out, ((p, t), (mean, weight))) in out[at..at + count].iter_mut().zip(inputs) {
                *out = p * (a * t + b - mean) + p * weight - w * t;
            }
        }
    });
}
