//! Largest values of 2x2 windows.

use std::sync::Arc;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Bytes, DType, Shape, Tensor};

use super::kernels::pool::{self, MaxPool};
use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor, zeros};

/// Of what the sizes were.
#[derive(Debug)]
struct Pool {
    height: usize,
    width: usize,
}

/// The largest value of each 2x2 window: `[B, C, H, W]` to `[B, C, H / 2, W / 2]`; an odd last row or column is left out.
/// The gradient goes to the first of equal values.
pub fn pool2(x: Tensor<4>) -> Tensor<4> {
    if runs_here(&x) {
        let [_, _, height, width] = x.dims();
        return operator::unary(Arc::new(Pool { height, width }), x);
    }
    max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
}

impl Operator<1> for Pool {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        let x = contiguous(x);
        let [batch, channels, height, width] = dims(&x);
        let sizes = MaxPool { planes: batch * channels, height, width };
        let mut y = zeros(sizes.output_len());
        let mut index = vec![0u8; sizes.output_len()];
        pool::forward(&sizes, slice(&x), &mut y, &mut index);
        let halved = [batch, channels, height / 2, width / 2];
        let index = FlexTensor::new(Bytes::from_elems(index), Layout::contiguous(Shape::from(halved)), DType::U8);
        (tensor(y, halved), vec![index])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [batch, channels, ..]: [usize; 4] = dims(&gradient);
        let sizes = MaxPool { planes: batch * channels, height: self.height, width: self.width };
        let mut dx = zeros(sizes.input_len());
        let index = kept[0].as_slice::<u8>().expect("what forward has kept");
        pool::backward(&sizes, slice(&gradient), index, &mut dx);
        [Some(tensor(dx, [batch, channels, self.height, self.width]))]
    }
}
