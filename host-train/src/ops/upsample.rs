//! Bilinear interpolation to twice the size, with the ReLU that may follow it.
//!
//! Pixel i of the result lies at `(i + 1/2) / 2 - 1/2` of the input, or, with corners aligned, at `i (n - 1) / (2 n - 1)`, and is
//! the mean of the two nearest, weighted by distance: along y and along x. Outside the image its edge counts on.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use rayon::prelude::*;

use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor};
use super::vectors;

#[derive(Debug)]
struct Upsample {
    align_corners: bool,
    rectified: bool,
}

/// `x`, `[B, C, H, W]`, at twice the size, then ReLU where `rectified`.
pub fn upsample2(x: Tensor<4>, align_corners: bool, rectified: bool) -> Tensor<4> {
    if runs_here(&x) {
        return operator::unary(Arc::new(Upsample { align_corners, rectified }), x);
    }
    let options = InterpolateOptions::new(InterpolateMode::Bilinear)
        .with_align_corners(align_corners)
        .with_scale_factor([2.0, 2.0]);
    let y = interpolate(x, options);
    if rectified { relu(y) } else { y }
}

/// For each pixel of the doubled side, the nearest before it, the nearest after it, and the weight of the latter.
fn places(size: usize, align_corners: bool) -> Vec<(usize, usize, f32)> {
    (0..2 * size)
        .map(|i| {
            let at = match align_corners {
                true => i as f64 * (size - 1) as f64 / (2 * size - 1) as f64,
                false => ((i as f64 + 0.5) / 2.0 - 0.5).max(0.0),
            };
            let before = (at as usize).min(size - 1);
            (before, (before + 1).min(size - 1), (at - before as f64) as f32)
        })
        .collect()
}

impl Operator<1> for Upsample {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let [batch, channels, height, width] = dims(&x);
        let mut y = vec![0f32; 4 * batch * channels * height * width];
        if !y.is_empty() {
            let (rows, columns) = (places(height, self.align_corners), places(width, self.align_corners));
            let planes = y.par_chunks_exact_mut(4 * height * width).zip(slice(&x).par_chunks_exact(height * width));
            planes.for_each_init(
                || vec![0f32; width],
                |row, (y, x)| {
                    for (y, &(before, after, weight)) in y.chunks_exact_mut(2 * width).zip(&rows) {
                        let (a, b) = (&x[before * width..][..width], &x[after * width..][..width]);
                        vectors::blend(a, b, weight, row);
                        for (y, &(before, after, weight)) in y.iter_mut().zip(&columns) {
                            *y = row[before] + weight * (row[after] - row[before]);
                        }
                        if self.rectified {
                            // Written so that what is not a number stays so.
                            y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
                        }
                    }
                },
            );
        }
        let y = tensor(y, [batch, channels, 2 * height, 2 * width]);
        let kept = if self.rectified { vec![y.clone()] } else { Vec::new() };
        (y, kept)
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [batch, channels, doubled_height, doubled_width] = dims(&gradient);
        let (height, width) = (doubled_height / 2, doubled_width / 2);
        let mut out = vec![0f32; batch * channels * height * width];
        if !out.is_empty() {
            let (rows, columns) = (places(height, self.align_corners), places(width, self.align_corners));
            let gradients = slice(&gradient);
            let outputs = kept.first().map_or(gradients, slice);
            let planes =
                gradients.par_chunks_exact(4 * height * width).zip(outputs.par_chunks_exact(4 * height * width));
            out.par_chunks_exact_mut(height * width).zip(planes).for_each_init(
                || vec![0f32; width],
                |row, (out, (g, y))| {
                    let lines = g.chunks_exact(2 * width).zip(y.chunks_exact(2 * width));
                    for ((g, y), &(before, after, weight)) in lines.zip(&rows) {
                        row.fill(0.0);
                        for ((&g, &y), &(before, after, weight)) in g.iter().zip(y).zip(&columns) {
                            let g = if self.rectified && y <= 0.0 { 0.0 } else { g };
                            row[before] += (1.0 - weight) * g;
                            row[after] += weight * g;
                        }
                        vectors::add_scaled(row, 1.0 - weight, &mut out[before * width..][..width]);
                        vectors::add_scaled(row, weight, &mut out[after * width..][..width]);
                    }
                },
            );
        }
        [Some(tensor(out, [batch, channels, height, width]))]
    }
}
