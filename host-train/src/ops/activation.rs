//! GELU and ReLU.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use rayon::prelude::*;

use super::kernels::gelu as gelu_kernel;
use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor};
use super::vectors;

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

/// `f` of pieces of `x`.
fn mapped(x: &FlexTensor, f: impl Fn(&[f32], &mut [f32]) + Sync) -> FlexTensor {
    let mut y = vec![0f32; slice(x).len()];
    y.par_chunks_mut(PIECE).zip(slice(x).par_chunks(PIECE)).for_each(|(y, x)| f(x, y));
    tensor(y, dims::<4>(x))
}

/// `f` of pieces of `x` and `gradient`.
fn mapped_back(
    x: &FlexTensor,
    gradient: FlexTensor,
    f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> [Option<FlexTensor>; 1] {
    let gradient = contiguous(gradient);
    let mut out = vec![0f32; slice(x).len()];
    let inputs = slice(x).par_chunks(PIECE).zip(slice(&gradient).par_chunks(PIECE));
    out.par_chunks_mut(PIECE).zip(inputs).for_each(|(out, (x, g))| f(x, g, out));
    [Some(tensor(out, dims::<4>(x)))]
}

impl Operator<1> for Gelu {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let mut y = vec![0f32; slice(&x).len()];
        gelu_kernel::forward(slice(&x), &mut y);
        (tensor(y, dims::<4>(&x)), vec![x])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let x = &kept[0];
        let mut dx = vec![0f32; slice(x).len()];
        gelu_kernel::backward(slice(x), slice(&contiguous(gradient)), &mut dx);
        [Some(tensor(dx, dims::<4>(x)))]
    }
}

impl Operator<1> for Relu {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let y = mapped(&contiguous(x), |x, y| vectors::affine(x, y, (1.0, 0.0), true));
        (y.clone(), vec![y])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        mapped_back(&kept[0], gradient, |y, g, out| {
            vectors::input_gradient((y, g), out, (1.0, 0.0), [1.0, 0.0, 0.0], true);
        })
    }
}
