//! Naive kernels: each output is computed on its own, straight from the operator's definition. Slow; the oracle of
//! every other kernel set, itself held against vectors from CMSIS-NN.

use super::ops::saturate;
use super::{
    Add, Axis, Concat, Conv2d, ConvTranspose2x2, Corners, ImageKernels, Int8Kernels, LayerNorm, MaxPool, Shape, Shift,
    Table, Upsample2x, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};
use crate::Complex32;

/// The naive kernel set. It needs no scratch, but refuses one that is too small as every other set does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// Element (y, x, c) of an HWC tensor; `None` outside.
fn at(data: &[i8], shape: Shape, y: i32, x: i32, c: usize) -> Option<i32> {
    let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
    if y >= shape.h || x >= shape.w || c >= shape.c {
        return None;
    }
    data.get((y * shape.w + x) * shape.c + c).map(|&q| i32::from(q))
}

/// Sets every element of an HWC tensor to `f(y, x, c)`.
fn fill(data: &mut [i8], shape: Shape, mut f: impl FnMut(i32, i32, usize) -> i8) {
    let mut elements = data.iter_mut();
    for y in 0..shape.h as i32 {
        for x in 0..shape.w as i32 {
            for c in 0..shape.c {
                if let Some(element) = elements.next() {
                    *element = f(y, x, c);
                }
            }
        }
    }
}

/// Sum over the taps of the window at (y, x): `f(tap's index, input row, input column)`.
fn sum_taps(op: &Conv2d<'_>, y: i32, x: i32, mut f: impl FnMut(usize, i32, i32) -> i32) -> i32 {
    let mut sum = 0i32;
    for ky in 0..op.kernel.0 {
        for kx in 0..op.kernel.1 {
            let in_y = y * op.stride as i32 + (ky * op.dilation) as i32 - op.pad as i32;
            let in_x = x * op.stride as i32 + (kx * op.dilation) as i32 - op.pad as i32;
            sum = sum.wrapping_add(f(ky * op.kernel.1 + kx, in_y, in_x));
        }
    }
    sum
}

/// The inputs around output `o` of an interpolation along an axis of `n` inputs, each with its weight. One of the two may
/// lie outside, with weight 0 or, at an edge that is repeated, as the other one once more.
fn interpolation(corners: Corners, o: i32, n: i32) -> [(i32, i32); 2] {
    match corners {
        // A quarter before o / 2 for even o, a quarter after for odd.
        Corners::HalfPixel => [(o / 2, 3), ((o / 2 + (o % 2) * 2 - 1).max(0).min(n - 1), 1)],
        Corners::Aligned => {
            // In units of 1 / (2 n - 1) of an input's distance: an input counts for less the further it is away.
            let unit = 2 * n - 1;
            let place = o * (n - 1);
            let first = place.checked_div(unit).unwrap_or(0);
            [first, first + 1].map(|i| (i, (unit - (place - i * unit).abs()).max(0)))
        }
    }
}

impl Int8Kernels for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid() || !op.fits(input, output) || scratch.len() < conv_scratch_bytes(op.kernel, op.input.c) {
            return;
        }
        let (kernel_w, channels) = (op.kernel.1.max(1), op.input.c);
        fill(output, op.band_shape(), |y, x, c| {
            let y = y + op.rows.0 as i32;
            let sum = sum_taps(op, y, x, |tap, in_y, in_x| {
                let mut sum = 0i32;
                for i in 0..op.input.c {
                    let q = at(input, op.input, in_y, in_x, i).unwrap_or(op.in_zero);
                    let weight = op.weight(c, tap / kernel_w, tap % kernel_w * channels + i);
                    sum = sum.wrapping_add((q - op.in_zero) * i32::from(weight));
                }
                sum
            });
            op.params.get(c).map_or(0, |channel| channel.finish(sum, op.out_zero, op.clamp))
        });
    }

    fn depthwise(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid_depthwise()
            || !op.fits(input, output)
            || scratch.len() < depthwise_scratch_bytes(op.kernel, op.input.c)
        {
            return;
        }
        fill(output, op.band_shape(), |y, x, c| {
            let y = y + op.rows.0 as i32;
            let sum = sum_taps(op, y, x, |tap, in_y, in_x| {
                let q = at(input, op.input, in_y, in_x, c).unwrap_or(op.in_zero);
                let weight = op.weights.get(tap * op.input.c + c);
                (q - op.in_zero) * i32::from(weight.copied().unwrap_or(0))
            });
            op.params.get(c).map_or(0, |channel| channel.finish(sum, op.out_zero, op.clamp))
        });
    }

    fn conv_transpose2x2(&self, op: &ConvTranspose2x2<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        if !op.is_valid() || !op.fits(input, output) || scratch.len() < conv_transpose_scratch_bytes(op.input.c) {
            return;
        }
        fill(output, op.output(), |y, x, o| {
            let tap = (y % 2 * 2 + x % 2) as usize;
            let mut sum = 0i32;
            for i in 0..op.input.c {
                let q = at(input, op.input, y / 2, x / 2, i).unwrap_or(op.in_zero);
                sum = sum.wrapping_add((q - op.in_zero) * i32::from(op.weight(o * 4 + tap, i)));
            }
            op.params.get(o).map_or(0, |channel| channel.finish(sum, op.out_zero, op.clamp))
        });
    }

    fn max_pool(&self, op: &MaxPool, input: &[i8], output: &mut [i8]) {
        let Some(shape) = op.output().filter(|_| op.fits(input, output)) else {
            return;
        };
        fill(output, shape, |y, x, c| {
            let mut max = i32::from(i8::MIN);
            for ky in 0..op.kernel {
                for kx in 0..op.kernel {
                    let (in_y, in_x) = (y as usize * op.stride + ky, x as usize * op.stride + kx);
                    let q = at(input, op.input, in_y as i32, in_x as i32, c);
                    max = max.max(q.unwrap_or(max));
                }
            }
            saturate(max, 0, op.clamp)
        });
    }

    fn add(&self, op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(a, b, output) {
            return;
        }
        for ((out, &a), &b) in output.iter_mut().zip(a).zip(b) {
            let a = op.a.apply((i32::from(a) - op.a_zero) << op.left_shift);
            let b = op.b.apply((i32::from(b) - op.b_zero) << op.left_shift);
            *out = saturate(op.out.apply(a.wrapping_add(b)), op.out_zero, op.clamp);
        }
    }

    fn concat(&self, op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(a, b, output) {
            return;
        }
        let first = op.a.shape.c;
        fill(output, op.output(), |y, x, c| {
            let (part, q) = match c.checked_sub(first) {
                None => (op.a, at(a, op.a.shape, y, x, c)),
                Some(c) => (op.b, at(b, op.b.shape, y, x, c)),
            };
            let q = q.unwrap_or(part.zero);
            saturate(part.requant.apply(q - part.zero), op.out_zero, op.clamp)
        });
    }

    fn upsample2x(&self, op: &Upsample2x, input: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        fill(output, op.output(), |y, x, c| {
            let mut sum = 0i32;
            for (in_y, weight_y) in interpolation(op.corners, y, op.input.h as i32) {
                for (in_x, weight_x) in interpolation(op.corners, x, op.input.w as i32) {
                    let q = at(input, op.input, in_y, in_x, c).unwrap_or(op.in_zero);
                    sum += weight_y * weight_x * (q - op.in_zero);
                }
            }
            saturate(op.requant.apply(sum), op.out_zero, op.clamp)
        });
    }

    fn layer_norm(&self, op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        let (gamma, _) = op.gamma.as_chunks::<4>();
        let (beta, _) = op.beta.as_chunks::<4>();
        let positions = input.chunks_exact(op.shape.c).zip(output.chunks_exact_mut(op.shape.c));
        for (input, output) in positions {
            let (mut sum, mut squares) = (0i32, 0i32);
            for &q in input {
                sum += i32::from(q);
                squares += i32::from(q) * i32::from(q);
            }
            let n = op.shape.c as f32;
            let mean = sum as f32 / n;
            // Exact before it becomes a float: E[x^2] - E[x]^2 in f32 would lose small variances.
            let spread = i64::from(squares) * input.len() as i64 - i64::from(sum) * i64::from(sum);
            let variance = spread as f32 / (n * n);
            let inverse = 1.0 / libm::sqrtf(variance + op.eps_q);
            let channels = gamma.iter().zip(beta);
            for ((out, &q), (&gamma, &beta)) in output.iter_mut().zip(input).zip(channels) {
                let y = ((f32::from(q) - mean) * inverse) * f32::from_le_bytes(gamma) + f32::from_le_bytes(beta);
                // Far beyond any output; a cast saturates, and a zero point on top of that would wrap.
                let whole = (libm::roundf(y) as i32).clamp(-1024, 1024);
                *out = saturate(whole, op.out_zero, op.clamp);
            }
        }
    }

    fn table(&self, op: &Table<'_>, input: &[i8], output: &mut [i8]) {
        if input.len() != output.len() {
            return;
        }
        for (out, &q) in output.iter_mut().zip(input) {
            let entry = op.table.get((i32::from(q) + 128) as usize);
            *out = entry.copied().unwrap_or(0);
        }
    }

    fn shift(&self, op: &Shift, input: &[i8], output: &mut [i8]) {
        if !op.is_valid() || !op.fits(input, output) {
            return;
        }
        fill(output, op.shape, |y, x, c| {
            let by = c.checked_div(op.group()).unwrap_or(0) as i32 - 2;
            let from = match op.axis {
                Axis::Y => at(input, op.shape, y - by, x, c),
                Axis::X => at(input, op.shape, y, x - by, c),
            };
            from.map_or(op.zero, |q| q as i8)
        });
    }
}

impl ImageKernels for Reference {
    fn accumulate(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        let width = ramp.len();
        for (y, p) in profile.iter().enumerate() {
            for (x, r) in ramp.iter().enumerate() {
                let whole_row = (y + 1) * width <= image.len();
                if let Some(pixel) = image.get_mut(y * width + x).filter(|_| whole_row) {
                    pixel.re = (pixel.re + p.re * r.re) - p.im * r.im;
                    pixel.im = (pixel.im + p.re * r.im) + p.im * r.re;
                }
            }
        }
    }

    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        let rows = image.len().checked_div(width).unwrap_or(0);
        let mut total = 0.0;
        for y in 0..rows {
            let column = |first: usize| {
                let values = (first..width).step_by(8).filter_map(|x| image.get(y * width + x));
                values.fold(0.0f32, |sum, v| sum + (v.re * v.re + v.im * v.im))
            };
            let even = (column(0) + column(4)) + (column(2) + column(6));
            total += even + ((column(1) + column(5)) + (column(3) + column(7)));
        }
        total
    }

    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        for ((pixel, z), s) in out.iter_mut().zip(image).zip(paired) {
            let size = libm::sqrtf(s.re * s.re + s.im * s.im);
            let re = (z.re * s.re + z.im * s.im) / size;
            let im = (z.im * s.re - z.re * s.im) / size;
            let filled = Complex32::new(re + weight * (re - size), im - weight * im);
            *pixel = if size > 0.0 { filled } else { *z };
        }
    }

    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        for (q, v) in out.iter_mut().zip(image) {
            let level = libm::floorf(libm::sqrtf(v.re * v.re + v.im * v.im) * gain + 0.5);
            // No number becomes 0.
            *q = ((level as i32).clamp(0, 255) - 128) as i8;
        }
    }

    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        for (pixel, class) in out.iter_mut().enumerate() {
            let Some(scores) = logits.get(pixel * classes..(pixel + 1) * classes).filter(|_| classes > 0) else {
                return;
            };
            // A class is a byte.
            let scores = scores.get(..256).unwrap_or(scores);
            let largest = scores.iter().max();
            let first = scores.iter().position(|score| Some(score) == largest);
            *class = first.unwrap_or(0) as u8;
        }
    }
}
