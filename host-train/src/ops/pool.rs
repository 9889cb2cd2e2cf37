//! Largest values of 2x2 windows.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use rayon::prelude::*;

use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor};
use super::vectors;

#[derive(Debug)]
struct Pool;

/// The largest value of each 2x2 window: `[B, C, H, W]` to `[B, C, H / 2, W / 2]`; an odd last row or column is left out.
/// The gradient goes to the first of equal values.
pub fn pool2(x: Tensor<4>) -> Tensor<4> {
    if runs_here(&x) {
        return operator::unary(Arc::new(Pool), x);
    }
    max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
}

impl Operator<1> for Pool {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let [batch, channels, height, width] = dims(&x);
        let (h, w) = (height / 2, width / 2);
        let mut y = vec![0f32; batch * channels * h * w];
        if !y.is_empty() {
            let planes = y.par_chunks_exact_mut(h * w).zip(slice(&x).par_chunks_exact(height * width));
            planes.for_each(|(y, x)| vectors::pool_plane(x, y, width));
        }
        (tensor(y, [batch, channels, h, w]), vec![x])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (x, gradient) = (&kept[0], contiguous(gradient));
        let shape: [usize; 4] = dims(x);
        let [_, _, height, width] = shape;
        let mut out = vec![0f32; shape.iter().product()];
        let pooled = (height / 2) * (width / 2);
        if pooled > 0 && !out.is_empty() {
            let planes = slice(x).par_chunks_exact(height * width).zip(slice(&gradient).par_chunks_exact(pooled));
            out.par_chunks_exact_mut(height * width)
                .zip(planes)
                .for_each(|(out, (x, g))| vectors::unpool_plane(x, g, out, width));
        }
        [Some(tensor(out, shape))]
    }
}
