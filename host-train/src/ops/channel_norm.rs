//! Layer norm over the channels of each pixel.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use super::kernels::norm::layer;
use super::kernels::norm::{Affine, Gradients, Statistics};
use super::operator::{self, Operator};
use super::values::{contiguous, dims, per_pixel, runs_here, slice, tensor, zeros};

/// What burn adds to the variance, unless told otherwise; a layer does not tell.
const EPSILON: f32 = 1e-5;

#[derive(Debug)]
struct ChannelNorm;

/// `layer` over the channels of `x`, `[B, C, H, W]`.
pub fn channel_norm(layer: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    if !runs_here(&x) {
        return per_pixel(x, |pixels| layer.forward(pixels));
    }
    let gamma = layer.gamma.val();
    let beta = layer.beta.as_ref().map_or_else(|| gamma.zeros_like(), |beta| beta.val());
    operator::ternary(Arc::new(ChannelNorm), x, gamma, beta)
}

fn sizes(x: &FlexTensor) -> layer::LayerNorm {
    let [batch, channels, height, width] = dims(x);
    layer::LayerNorm { batch, channels, pixels: height * width, epsilon: EPSILON }
}

impl Operator<3> for ChannelNorm {
    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, Vec<FlexTensor>) {
        let [x, gamma, beta] = inputs.map(contiguous);
        let sizes = sizes(&x);
        let mut y = zeros(sizes.values());
        let [mut mean, mut variance] = [(); 2].map(|()| vec![0f32; sizes.statistics_len()]);
        let affine = Affine { gamma: slice(&gamma), beta: slice(&beta) };
        layer::forward(&sizes, slice(&x), affine, &mut y, &mut mean, &mut variance);
        let statistics = [mean, variance].map(|values| tensor(values, [sizes.statistics_len()]));
        let y = tensor(y, dims::<4>(&x));
        (y, [x, gamma].into_iter().chain(statistics).collect())
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, gamma, mean, variance] = [&kept[0], &kept[1], &kept[2], &kept[3]];
        let sizes = sizes(x);
        let mut dx = zeros(sizes.values());
        let [mut of_gamma, mut of_beta] = [(); 2].map(|()| vec![0f32; sizes.channels]);
        let statistics = Statistics { mean: slice(mean), variance: slice(variance) };
        let gradients = Gradients { x: &mut dx, gamma: &mut of_gamma, beta: &mut of_beta };
        layer::backward(&sizes, slice(x), slice(&contiguous(gradient)), slice(gamma), statistics, gradients);
        let channels = [sizes.channels];
        [Some(tensor(dx, dims::<4>(x))), Some(tensor(of_gamma, channels)), Some(tensor(of_beta, channels))]
    }
}
