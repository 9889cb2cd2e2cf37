//! GELU and ReLU.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use rayon::prelude::*;

use super::kernels::gelu as gelu_kernel;
use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor, zeros};
use super::vectors::{self, Line};

/// Values that are worked on together.
const PIECE: usize = 1 << 14;

#[derive(Debug)]
struct Gelu;

#[derive(Debug)]
struct Relu;

/// GELU of each value.
pub fn gelu(x: Tensor<4>) -> Tensor<4> {
    if runs_here(&x) { operator::unary(Arc::new(Gelu), x) } else { activation::gelu(x) }
}

/// What is above zero of each value.
pub fn relu(x: Tensor<4>) -> Tensor<4> {
    if runs_here(&x) { operator::unary(Arc::new(Relu), x) } else { activation::relu(x) }
}

/// The gradient of what a ReLU has made `y` of, from that of `y`.
pub(super) fn through_relu(y: &FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let gradient = contiguous(gradient);
    let mut out = zeros(slice(y).len());
    let inputs = slice(y).par_chunks(PIECE).zip(slice(&gradient).par_chunks(PIECE));
    out.par_chunks_mut(PIECE).zip(inputs).for_each(|(out, (y, g))| {
        vectors::input_gradient(y, g, out, Line { scale: 1.0, shift: 0.0 }, [1.0, 0.0, 0.0], true);
    });
    tensor(out, dims::<4>(y))
}

/// Puts zero in the place of what is below it.
pub(super) fn rectify(values: &mut [f32]) {
    values.par_chunks_mut(PIECE).for_each(vectors::rectify);
}

impl Operator<1> for Gelu {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let mut y = zeros(slice(&x).len());
        gelu_kernel::forward(slice(&x), &mut y);
        (tensor(y, dims::<4>(&x)), vec![x])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let x = &kept[0];
        let mut dx = zeros(slice(x).len());
        gelu_kernel::backward(slice(x), slice(&contiguous(gradient)), &mut dx);
        [Some(tensor(dx, dims::<4>(x)))]
    }
}

impl Operator<1> for Relu {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let mut y = slice(&x).to_vec();
        rectify(&mut y);
        let y = tensor(y, dims::<4>(&x));
        (y.clone(), vec![y])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(through_relu(&kept[0], gradient))]
    }
}
