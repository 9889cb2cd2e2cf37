//! Layers that several networks share.

use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::tensor::{Device, Tensor};

use crate::ops;

/// 3x3 convolution that keeps the size at stride 1.
pub(super) fn conv3x3(from: usize, to: usize, stride: usize, device: &Device) -> Conv2d {
    conv3x3_config(from, to).with_stride([stride, stride]).init(device)
}

/// [`conv3x3`] before it has weights.
pub(super) fn conv3x3_config(from: usize, to: usize) -> Conv2dConfig {
    Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
}

/// 1x1 convolution.
pub(super) fn conv1x1(from: usize, to: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [1, 1]).init(device)
}

/// 2x2 transposed convolution with step 2: twice the size.
pub(super) fn up_conv(from: usize, to: usize, device: &Device) -> ConvTranspose2d {
    ConvTranspose2dConfig::new([from, to], [2, 2]).with_stride([2, 2]).init(device)
}

/// A network's first layer, 3x3, on an image of one channel or of as many as the layer has.
///
/// Repeating one channel over the layer's inputs is the same as summing the weights over them, at a fraction of the work.
pub(super) fn first_conv(layer: &Conv2d, image: Tensor<4>) -> Tensor<4> {
    if image.dims()[1] == layer.weight.val().dims()[1] {
        return ops::conv2d(layer, image);
    }
    let weight = layer.weight.val().sum_dim(1);
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    ops::conv3x3(image, weight, bias)
}

/// `x` with zeros around it, as many on both sides as can be, so that it has the size of `like`: what halving and doubling
/// an odd size leaves short.
pub(super) fn pad_to(x: Tensor<4>, like: &Tensor<4>) -> Tensor<4> {
    let ([.., h, w], [.., height, width]) = (x.dims(), like.dims());
    let (dy, dx) = (height.saturating_sub(h), width.saturating_sub(w));
    if dy == 0 && dx == 0 {
        return x;
    }
    x.pad((dx / 2, dx - dx / 2, dy / 2, dy - dy / 2), 0.0)
}
