//! From burn modules to [`FloatGraph`]: layouts turned to HWC, batch norms folded, input channels summed.

use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, LayerNorm, Linear};
use burn::tensor::Tensor;
use kscout_core::kernels::{Axis, Corners};

use super::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use super::unext::{ShiftedBlock, UNext};

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
fn depthwise(layer: &Conv2d) -> FloatConv {
    let plain = conv(layer);
    let (channels, taps) = (plain.bias.len(), plain.kernel.0 * plain.kernel.1);
    let weights = (0..taps).flat_map(|t| (0..channels).map(move |c| c * taps + t)).map(|i| plain.weights[i]);
    FloatConv { weights: weights.collect(), ..plain }
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
fn fold(mut conv: FloatConv, bn: &BatchNorm) -> FloatConv {
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
fn one_channel(conv: FloatConv) -> FloatConv {
    let inputs = conv.weights.len() / (conv.bias.len() * conv.kernel.0 * conv.kernel.1);
    let weights = conv.weights.chunks_exact(inputs).map(|taps| taps.iter().sum()).collect();
    FloatConv { weights, ..conv }
}

fn norm(layer: &LayerNorm) -> FloatOp {
    FloatOp::LayerNorm {
        gamma: values(layer.gamma.val()),
        beta: layer.beta.as_ref().map_or_else(|| vec![0.0; layer.gamma.val().dims()[0]], |b| values(b.val())),
        epsilon: LAYER_NORM_EPSILON,
    }
}

/// burn's default, which the networks here do not change.
const LAYER_NORM_EPSILON: f32 = 1e-5;

impl UNext {
    /// Appends this network, reading the one-channel image `image`; returns the logits.
    pub fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        // The ReLU moves before the pooling: both keep order, so the result is the same and its range is all positive.
        let mut down = |x, layer: FloatConv, bn| {
            let y = graph.push(FloatOp::Conv(fold(layer, bn)), true, &[x]);
            graph.push(FloatOp::MaxPool2, false, &[y])
        };
        let t1 = down(image, one_channel(conv(&self.encoder1)), &self.ebn1);
        let t2 = down(t1, conv(&self.encoder2), &self.ebn2);
        let t3 = down(t2, conv(&self.encoder3), &self.ebn3);

        let mut embed = |x, patch: &super::unext::PatchEmbed, blocks: &[ShiftedBlock], last: &LayerNorm| {
            let y = graph.push(FloatOp::Conv(conv(&patch.proj)), false, &[x]);
            let y = graph.push(norm(&patch.norm), false, &[y]);
            tokens(graph, y, blocks, last)
        };
        let t4 = embed(t3, &self.patch_embed3, &self.block1, &self.norm3);
        let x = embed(t4, &self.patch_embed4, &self.block2, &self.norm4);

        let up = |graph: &mut FloatGraph, x, layer: FloatConv, skip| {
            let y = graph.push(FloatOp::Conv(layer), false, &[x]);
            let y = graph.push(FloatOp::Upsample2x(Corners::HalfPixel), true, &[y]);
            graph.push(FloatOp::Add, false, &[y, skip])
        };
        let x = up(graph, x, fold(conv(&self.decoder1), &self.dbn1), t4);
        let x = tokens(graph, x, &self.dblock1, &self.dnorm3);
        let x = up(graph, x, fold(conv(&self.decoder2), &self.dbn2), t3);
        let x = tokens(graph, x, &self.dblock2, &self.dnorm4);
        let x = up(graph, x, fold(conv(&self.decoder3), &self.dbn3), t2);
        let x = up(graph, x, fold(conv(&self.decoder4), &self.dbn4), t1);
        let x = graph.push(FloatOp::Conv(conv(&self.decoder5)), false, &[x]);
        let x = graph.push(FloatOp::Upsample2x(Corners::HalfPixel), true, &[x]);
        graph.push(FloatOp::Conv(conv(&self.r#final)), false, &[x])
    }
}

fn tokens(graph: &mut FloatGraph, x: TensorIndex, blocks: &[ShiftedBlock], last: &LayerNorm) -> TensorIndex {
    let x = blocks.iter().fold(x, |x, block| {
        let mlp = &block.mlp;
        let y = graph.push(norm(&block.norm2), false, &[x]);
        let y = graph.push(FloatOp::Shift(Axis::Y), false, &[y]);
        let y = graph.push(FloatOp::Conv(linear(&mlp.fc1)), false, &[y]);
        let y = graph.push(FloatOp::Depthwise(depthwise(&mlp.dwconv.dwconv)), false, &[y]);
        let y = graph.push(FloatOp::Gelu, false, &[y]);
        let y = graph.push(FloatOp::Shift(Axis::X), false, &[y]);
        let y = graph.push(FloatOp::Conv(linear(&mlp.fc2)), false, &[y]);
        graph.push(FloatOp::Add, false, &[x, y])
    });
    graph.push(norm(last), false, &[x])
}
