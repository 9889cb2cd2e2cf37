//! Bilinear interpolation to twice the size, with the ReLU that may follow it.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use super::activation::{rectify, through_relu};
use super::kernels::bilinear::{self, Bilinear};
use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor};

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

impl Upsample {
    fn sizes(&self, [batch, channels, height, width]: [usize; 4]) -> Bilinear {
        Bilinear { planes: batch * channels, height, width, align_corners: self.align_corners }
    }
}

impl Operator<1> for Upsample {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let [batch, channels, height, width] = dims(&x);
        let sizes = self.sizes(dims(&x));
        let mut y = vec![0f32; sizes.output_len()];
        bilinear::forward(&sizes, slice(&x), &mut y);
        if self.rectified {
            rectify(&mut y);
        }
        let y = tensor(y, [batch, channels, 2 * height, 2 * width]);
        let kept = if self.rectified { vec![y.clone()] } else { Vec::new() };
        (y, kept)
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [batch, channels, height, width] = dims(&gradient);
        let small = [batch, channels, height / 2, width / 2];
        let sizes = self.sizes(small);
        let mut dx = vec![0f32; sizes.input_len()];
        let gradient = match kept.first() {
            Some(y) => through_relu(y, gradient),
            None => gradient,
        };
        bilinear::backward(&sizes, slice(&gradient), &mut dx);
        [Some(tensor(dx, small))]
    }
}
