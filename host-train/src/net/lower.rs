//! From burn modules to [`FloatGraph`]: layouts turned to HWC, batch norms folded, input channels summed.

use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, LayerNorm, Linear};
use burn::tensor::Tensor;

use super::graph::{FloatConv, FloatOp};

/// A tensor's values in row-major order.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec::<f32>().expect("converted to f32")
}

/// `[out][in][kh][kw]` (burn) to `[out][kh][kw][in]`.
pub(super) fn conv(conv: &Conv2d) -> FloatConv {
    let [out, input, kh, kw] = conv.weight.val().dims();
    let source = values(conv.weight.val());
    let mut weights = Vec::with_capacity(source.len());
    for o in 0..out {
        for tap in 0..kh * kw {
            weights.extend((0..input).map(|i| source[(o * input + i) * kh * kw + tap]));
        }
    }
    let bias = conv.bias.as_ref().map_or(vec![0.0; out], |bias| values(bias.val()));
    let pad = match &conv.padding {
        burn::nn::PaddingConfig2d::Explicit(top, ..) => *top,
        _ => 0,
    };
    FloatConv { weights, bias, kernel: (kh, kw), stride: conv.stride[0], pad }
}

/// `[c][1][kh][kw]` (burn) to `[kh][kw][c]`.
pub(super) fn depthwise(layer: &Conv2d) -> FloatConv {
    let plain = conv(layer);
    let (channels, taps) = (plain.bias.len(), plain.kernel.0 * plain.kernel.1);
    let weights = (0..taps).flat_map(|t| (0..channels).map(move |c| c * taps + t)).map(|i| plain.weights[i]);
    FloatConv { weights: weights.collect(), ..plain }
}

/// `[in][out][2][2]` (burn) to `[out][2][2][in]`.
pub(super) fn up_conv(layer: &ConvTranspose2d) -> FloatConv {
    let [input, out, kh, kw] = layer.weight.val().dims();
    let source = values(layer.weight.val());
    let mut weights = Vec::with_capacity(source.len());
    for o in 0..out {
        for tap in 0..kh * kw {
            weights.extend((0..input).map(|i| source[(i * out + o) * kh * kw + tap]));
        }
    }
    let bias = layer.bias.as_ref().map_or(vec![0.0; out], |bias| values(bias.val()));
    FloatConv { weights, bias, kernel: (kh, kw), stride: layer.stride[0], pad: 0 }
}

/// A linear layer (`[in][out]` in burn) as a 1x1 convolution.
pub(super) fn linear(layer: &Linear) -> FloatConv {
    let [input, out] = layer.weight.val().dims();
    let source = values(layer.weight.val());
    let weights = (0..out).flat_map(|o| (0..input).map(move |i| i * out + o)).map(|i| source[i]).collect();
    let bias = layer.bias.as_ref().map_or(vec![0.0; out], |bias| values(bias.val()));
    FloatConv { weights, bias, kernel: (1, 1), stride: 1, pad: 0 }
}

/// Folds the batch norm that follows a convolution into it.
pub(super) fn fold(mut conv: FloatConv, bn: &BatchNorm) -> FloatConv {
    let (gamma, beta) = (values(bn.gamma.val()), values(bn.beta.val()));
    let (mean, variance) = (values(bn.running_mean.value()), values(bn.running_var.value()));
    let per_channel = conv.weights.len() / conv.bias.len();
    for (c, weights) in conv.weights.chunks_exact_mut(per_channel).enumerate() {
        let scale = gamma[c] / (variance[c] + bn.epsilon as f32).sqrt();
        weights.iter_mut().for_each(|w| *w *= scale);
        conv.bias[c] = (conv.bias[c] - mean[c]) * scale + beta[c];
    }
    conv
}

/// Sums the weights over the input channels: the image is one channel, repeated.
pub(super) fn one_channel(conv: FloatConv) -> FloatConv {
    let inputs = conv.weights.len() / (conv.bias.len() * conv.kernel.0 * conv.kernel.1);
    let weights = conv.weights.chunks_exact(inputs).map(|taps| taps.iter().sum()).collect();
    FloatConv { weights, ..conv }
}

pub(super) fn norm(layer: &LayerNorm) -> FloatOp {
    FloatOp::LayerNorm {
        gamma: values(layer.gamma.val()),
        beta: layer.beta.as_ref().map_or_else(|| vec![0.0; layer.gamma.val().dims()[0]], |b| values(b.val())),
        epsilon: LAYER_NORM_EPSILON,
    }
}

/// burn's default, which the networks here do not change.
const LAYER_NORM_EPSILON: f32 = 1e-5;
