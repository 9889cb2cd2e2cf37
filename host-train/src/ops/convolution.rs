//! Convolutions: of all channels with each other, of each by itself, and transposed to twice the size.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;

use super::kernels::conv::{self, Conv};
use super::kernels::depthwise::{self, Depthwise};
use super::kernels::transposed::{self, Transposed};
use super::operator::{self, Operator};
use super::precision::{Precision, precision};
use super::values::{contiguous, dims, per_pixel, runs_here, slice, tensor, zeros};

/// A convolution whose kernels are here. Weights `[out, in, k, k]`, of `Each` `[C, 1, 3, 3]`, of `Doubling` `[in, out, 2, 2]`.
#[derive(Debug)]
struct Convolution {
    kind: Kind,
    precision: Precision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All channels with each other, the padding half the kernel.
    All { stride: usize },
    /// 3x3, each channel by itself.
    Each,
    /// 2x2, transposed, stride 2.
    Doubling,
}

/// `layer` on `x`, `[B, C, H, W]`.
pub fn conv2d(layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    match kind(layer).filter(|_| runs_here(&x)) {
        Some(kind) => run(kind, x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val())),
        None => layer.forward(x),
    }
}

/// 3x3 convolution with stride 1 that keeps the size, by these weights.
pub fn conv3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    if runs_here(&x) {
        return run(Kind::All { stride: 1 }, x, weight, bias);
    }
    burn_conv2d(x, weight, bias, ConvOptions::new([1, 1], [1, 1], [1, 1], 1))
}

/// `layer` on the channels of each pixel of `x`, `[B, C, H, W]`.
pub fn linear(layer: &Linear, x: Tensor<4>) -> Tensor<4> {
    if !runs_here(&x) {
        return per_pixel(x, |pixels| layer.forward(pixels));
    }
    let [from, to] = layer.weight.dims();
    let weight = layer.weight.val().transpose().reshape([to, from, 1, 1]);
    run(Kind::All { stride: 1 }, x, weight, layer.bias.as_ref().map(|bias| bias.val()))
}

/// `layer`, 2x2 with stride 2, on `x`.
pub fn up_conv(layer: &ConvTranspose2d, x: Tensor<4>) -> Tensor<4> {
    let doubles = layer.kernel_size == [2, 2] && layer.stride == [2, 2] && layer.dilation == [1, 1];
    let plain = layer.groups == 1 && layer.padding == [0, 0] && layer.padding_out == [0, 0];
    if doubles && plain && runs_here(&x) {
        return run(Kind::Doubling, x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()));
    }
    layer.forward(x)
}

/// Which of the kernels here does what `layer` does.
fn kind(layer: &Conv2d) -> Option<Kind> {
    let ([k, _], [stride, _]) = (layer.kernel_size, layer.stride);
    let square = layer.kernel_size == [k, k] && layer.stride == [stride, stride] && layer.dilation == [1, 1];
    let padding = match layer.padding {
        PaddingConfig2d::Valid => 0,
        PaddingConfig2d::Explicit(top, left, bottom, right) if [top, left, bottom] == [right; 3] => top,
        _ => return None,
    };
    let [channels, ..] = layer.weight.dims();
    match (k, stride, layer.groups) {
        _ if !square || padding != k / 2 => None,
        (1 | 3, 1 | 2, 1) => Some(Kind::All { stride }),
        (3, 1, groups) if groups == channels && layer.weight.dims()[1] == 1 => Some(Kind::Each),
        _ => None,
    }
}

fn run(kind: Kind, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let operator = Arc::new(Convolution { kind, precision: precision() });
    match bias {
        Some(bias) => operator::ternary(operator, x, weight, bias),
        None => operator::binary(operator, x, weight),
    }
}

/// The sizes of a convolution, as its kernels take them.
enum Sizes {
    All(Conv),
    Each(Depthwise),
    Doubling(Transposed),
}

impl Convolution {
    fn sizes(&self, x: &FlexTensor, weight: &FlexTensor) -> Sizes {
        let ([batch, in_channels, height, width], [first, second, kernel, _]) = (dims(x), dims(weight));
        match self.kind {
            Kind::All { stride } => {
                assert_eq!(in_channels, second, "channels of the input and of the weights");
                Sizes::All(Conv { batch, in_channels, out_channels: first, height, width, kernel, stride })
            }
            Kind::Each => {
                assert_eq!(in_channels, first, "channels of the input and of the weights");
                Sizes::Each(Depthwise { batch, channels: in_channels, height, width })
            }
            Kind::Doubling => {
                assert_eq!(in_channels, first, "channels of the input and of the weights");
                Sizes::Doubling(Transposed { batch, in_channels, out_channels: second, height, width })
            }
        }
    }

    fn output(&self, x: FlexTensor, w: FlexTensor, bias: Option<FlexTensor>) -> (FlexTensor, Vec<FlexTensor>) {
        let (x, w, bias) = (contiguous(x), contiguous(w), bias.map(contiguous));
        let (input, weights, b) = (slice(&x), slice(&w), bias.as_ref().map(slice));
        let [batch, ..]: [usize; 4] = dims(&x);
        let y = match self.sizes(&x, &w) {
            Sizes::All(sizes) => {
                let mut y = zeros(sizes.output_len());
                conv::forward(&sizes, input, weights, b, &mut y, self.precision);
                tensor(y, [batch, sizes.out_channels, sizes.out_height(), sizes.out_width()])
            }
            Sizes::Each(sizes) => {
                let mut y = zeros(input.len());
                depthwise::forward(&sizes, input, weights, b, &mut y);
                tensor(y, [batch, sizes.channels, sizes.height, sizes.width])
            }
            Sizes::Doubling(sizes) => {
                let mut y = zeros(sizes.output_len());
                transposed::forward(&sizes, input, weights, b, &mut y, self.precision);
                tensor(y, [batch, sizes.out_channels, 2 * sizes.height, 2 * sizes.width])
            }
        };
        (y, vec![x, w])
    }

    fn gradients(&self, kept: &[FlexTensor], gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let (x, w, gradient) = (&kept[0], &kept[1], contiguous(gradient));
        let (input, weights, g) = (slice(x), slice(w), slice(&gradient));
        let [of_input, of_weights, of_bias] = wanted;
        let mut dx = of_input.then(|| zeros(input.len()));
        let mut dw = (of_weights || of_bias).then(|| vec![0f32; weights.len()]);
        let mut db = of_bias.then(|| vec![0f32; dims::<4>(&gradient)[1]]);
        let how = self.precision;
        match self.sizes(x, w) {
            Sizes::All(sizes) => {
                if let Some(dx) = &mut dx {
                    conv::input_gradient(&sizes, g, weights, dx, how);
                }
                if let Some(dw) = &mut dw {
                    conv::weight_gradient(&sizes, input, g, dw, db.as_deref_mut(), how);
                }
            }
            Sizes::Each(sizes) => {
                if let Some(dx) = &mut dx {
                    depthwise::input_gradient(&sizes, g, weights, dx);
                }
                if let Some(dw) = &mut dw {
                    depthwise::weight_gradient(&sizes, input, g, dw, db.as_deref_mut());
                }
            }
            Sizes::Doubling(sizes) => {
                if let Some(dx) = &mut dx {
                    transposed::input_gradient(&sizes, g, weights, dx, how);
                }
                if let Some(dw) = &mut dw {
                    transposed::weight_gradient(&sizes, input, g, dw, db.as_deref_mut(), how);
                }
            }
        }
        let channels = db.as_ref().map_or(0, Vec::len);
        [
            dx.map(|dx| tensor(dx, dims::<4>(x))),
            dw.filter(|_| of_weights).map(|dw| tensor(dw, dims::<4>(w))),
            db.map(|db| tensor(db, [channels])),
        ]
    }
}

impl Operator<2> for Convolution {
    fn forward(&self, [x, w]: [FlexTensor; 2]) -> (FlexTensor, Vec<FlexTensor>) {
        self.output(x, w, None)
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, [x, w]: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [x, w, _] = self.gradients(&kept, gradient, [x, w, false]);
        [x, w]
    }
}

impl Operator<3> for Convolution {
    fn forward(&self, [x, w, bias]: [FlexTensor; 3]) -> (FlexTensor, Vec<FlexTensor>) {
        self.output(x, w, Some(bias))
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        self.gradients(&kept, gradient, wanted)
    }
}
