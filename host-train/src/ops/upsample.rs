//! Bilinear interpolation to twice the size, with the ReLU that may follow it.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};

use super::activation::{rectify, through_relu};
use super::kernels::bilinear::{self, Bilinear};
use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor, zeros};

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
    // Burn's own has no gradient on GPUs.
    let y = doubled(doubled(x, 3, align_corners), 2, align_corners);
    if rectified { relu(y) } else { y }
}

/// `x` with twice the rows (axis 2) or columns (axis 3): sums of neighbours, as [`bilinear`] says.
fn doubled(x: Tensor<4>, axis: usize, align_corners: bool) -> Tensor<4> {
    let (mut dims, device) = (x.dims(), x.device());
    let size = dims[axis];
    if size == 1 {
        return x.repeat_dim(axis, 2);
    }
    let mut shape = [1; 4];
    shape[axis] = size;
    let weights = bilinear::weights(size, align_corners)
        .map(|weights| Tensor::<4>::from_data(TensorData::new(weights, shape), &device).cast(x.dtype()));
    let [even, odd] = weights;
    let (first, last) = (x.clone().narrow(axis, 0, 1), x.clone().narrow(axis, size - 1, 1));
    let before = Tensor::cat(vec![first, x.clone().narrow(axis, 0, size - 1)], axis);
    let after = Tensor::cat(vec![x.clone().narrow(axis, 1, size - 1), last], axis);
    let even = before.clone() + (x.clone() - before) * even;
    let odd = x.clone() + (after - x) * odd;
    dims[axis] *= 2;
    Tensor::stack::<5>(vec![even, odd], axis + 1).reshape(dims)
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
        let mut y = zeros(sizes.output_len());
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
        let mut dx = zeros(sizes.input_len());
        let gradient = match kept.first() {
            Some(y) => through_relu(y, gradient),
            None => gradient,
        };
        bilinear::backward(&sizes, slice(&gradient), &mut dx);
        [Some(tensor(dx, small))]
    }
}
