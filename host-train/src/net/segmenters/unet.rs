//! The U-Net of Ronneberger et al., MICCAI 2015, as the project Pytorch-UNet has made it common: padded convolutions, batch
//! norm, and doubling by transposed convolution or by bilinear interpolation.
//!
//! Written from the paper and from the names, shapes and outputs of published checkpoints.

use burn::module::Module;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor};
use kscout_core::kernels::Corners;

use super::network::{Architecture, Description, Dimensions, PublishedWeights, SegmentationNetwork, Shapes};
use crate::net::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use crate::net::layers::{conv1x1, conv3x3_config, first_conv, pad_to, up_conv};
use crate::net::lower::{self, fold, one_channel};
use crate::ops::{self, batch_norm, pool2, upsample2};

/// With transposed convolutions.
pub const TRANSPOSED: Architecture<UNet> = Architecture {
    description: description("unet", |shapes| is_unet(shapes) && shapes(DOUBLING).is_some()),
    build: |size, device| UNet::new(size, false, device),
};

/// With bilinear doubling.
pub const BILINEAR: Architecture<UNet> = Architecture {
    description: description("unet-bilinear", |shapes| is_unet(shapes) && shapes(DOUBLING).is_none()),
    build: |size, device| UNet::new(size, true, device),
};

const FIRST_LAYER: &str = "inc.double_conv.0.weight";

/// The first transposed convolution.
const DOUBLING: &str = "up1.up.weight";

fn is_unet(shapes: &Shapes<'_>) -> bool {
    shapes(FIRST_LAYER).is_some()
}

const fn description(name: &'static str, are_these: fn(&Shapes<'_>) -> bool) -> Description {
    Description {
        name,
        width: 64,
        channels: 1,
        least_side: 16,
        needs_multiples: false,
        levels: 1,
        weights: PublishedWeights {
            first_layer: FIRST_LAYER,
            last_layer: "outc.conv.weight",
            are_these,
            mistaken_for: None,
            name: pytorch_name,
            // Older checkpoints have them.
            folded_biases: &[
                ("double_conv.0.bias", "double_conv.1.running_mean"),
                ("double_conv.3.bias", "double_conv.4.running_mean"),
            ],
        },
        licence: "Pytorch-UNet, weights published with it included, is under GPL-3.0; weights that you trained are yours",
    }
}

/// Two times 3x3 convolution, batch norm, ReLU.
#[derive(Module, Debug)]
#[allow(missing_docs)] // the fields are parameter names
pub struct DoubleConv {
    pub conv1: Conv2d,
    pub bn1: BatchNorm,
    pub conv2: Conv2d,
    pub bn2: BatchNorm,
}

/// A step of the decoder: twice the size, the encoder's tensor beside it, two convolutions.
#[derive(Module, Debug)]
pub struct Up {
    /// Transposed convolution to half the channels; without it the doubling is bilinear, corners aligned.
    pub up: Option<ConvTranspose2d>,
    /// Convolutions over both tensors.
    pub conv: DoubleConv,
}

/// U-Net for images `[B, channels, H, W]` (or `[B, 1, H, W]`): logits `[B, classes, H, W]`.
#[derive(Module, Debug)]
#[allow(missing_docs)] // the fields are parameter names
pub struct UNet {
    pub inc: DoubleConv,
    pub down1: DoubleConv,
    pub down2: DoubleConv,
    pub down3: DoubleConv,
    pub down4: DoubleConv,
    pub up1: Up,
    pub up2: Up,
    pub up3: Up,
    pub up4: Up,
    pub outc: Conv2d,
}

impl DoubleConv {
    fn new(from: usize, between: usize, to: usize, device: &Device) -> Self {
        // Batch norm takes the mean off, and a bias with it.
        let conv = |from, to| conv3x3_config(from, to).with_bias(false).init(device);
        let bn = |width| BatchNormConfig::new(width).init(device);
        Self { conv1: conv(from, between), bn1: bn(between), conv2: conv(between, to), bn2: bn(to) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = batch_norm(&self.bn1, first_conv(&self.conv1, x), true);
        batch_norm(&self.bn2, ops::conv2d(&self.conv2, x), true)
    }
}

impl Up {
    fn new(from: usize, to: usize, bilinear: bool, device: &Device) -> Self {
        if bilinear {
            Self { up: None, conv: DoubleConv::new(from, from / 2, to, device) }
        } else {
            Self { up: Some(up_conv(from, from / 2, device)), conv: DoubleConv::new(from, to, to, device) }
        }
    }

    fn forward(&self, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
        let x = match &self.up {
            Some(up) => ops::up_conv(up, x),
            None => upsample2(x, true, false),
        };
        let x = pad_to(x, &skip);
        self.conv.forward(Tensor::cat(vec![skip, x], 1))
    }
}

impl UNet {
    /// U-Net with random weights; `width` channels in the first stage, twice as many in each further one.
    fn new(Dimensions { channels, classes, width }: Dimensions, bilinear: bool, device: &Device) -> Self {
        let w = [1, 2, 4, 8].map(|factor| factor * width);
        // Without a transposed convolution to halve the channels, the convolutions have to.
        let halved = if bilinear { 2 } else { 1 };
        let deepest = 2 * w[3] / halved;
        let double = |from, to| DoubleConv::new(from, to, to, device);
        let up = |from: usize, to: usize| Up::new(from, to / halved, bilinear, device);
        Self {
            inc: double(channels, w[0]),
            down1: double(w[0], w[1]),
            down2: double(w[1], w[2]),
            down3: double(w[2], w[3]),
            down4: double(w[3], deepest),
            up1: up(2 * w[3], w[3]),
            up2: up(2 * w[2], w[2]),
            up3: up(2 * w[1], w[1]),
            up4: Up::new(2 * w[0], w[0], bilinear, device),
            outc: conv1x1(w[0], classes, device),
        }
    }
}

impl SegmentationNetwork for UNet {
    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let x1 = self.inc.forward(image);
        let x2 = self.down1.forward(pool2(x1.clone()));
        let x3 = self.down2.forward(pool2(x2.clone()));
        let x4 = self.down3.forward(pool2(x3.clone()));
        let x = self.down4.forward(pool2(x4.clone()));
        let x = self.up1.forward(x, x4);
        let x = self.up2.forward(x, x3);
        let x = self.up3.forward(x, x2);
        ops::conv2d(&self.outc, self.up4.forward(x, x1))
    }

    fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        let x1 = double(graph, image, &self.inc, one_channel(lower::conv(&self.inc.conv1)));
        let mut down = |x, block: &DoubleConv| {
            let x = graph.push(FloatOp::MaxPool2, false, &[x]);
            double(graph, x, block, lower::conv(&block.conv1))
        };
        let x2 = down(x1, &self.down1);
        let x3 = down(x2, &self.down2);
        let x4 = down(x3, &self.down3);
        let x = down(x4, &self.down4);
        let mut up = |x, skip, step: &Up| {
            let x = match &step.up {
                Some(layer) => graph.push(FloatOp::ConvTranspose2x2(lower::up_conv(layer)), false, &[x]),
                None => graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[x]),
            };
            let x = graph.push(FloatOp::Concat, false, &[skip, x]);
            double(graph, x, &step.conv, lower::conv(&step.conv.conv1))
        };
        let x = up(x, x4, &self.up1);
        let x = up(x, x3, &self.up2);
        let x = up(x, x2, &self.up3);
        let x = up(x, x1, &self.up4);
        graph.push(FloatOp::Conv(lower::conv(&self.outc)), false, &[x])
    }
}

/// Both convolutions of a block, the first one given.
fn double(graph: &mut FloatGraph, x: TensorIndex, block: &DoubleConv, first: FloatConv) -> TensorIndex {
    let x = graph.push(FloatOp::Conv(fold(first, &block.bn1)), true, &[x]);
    graph.push(FloatOp::Conv(fold(lower::conv(&block.conv2), &block.bn2)), true, &[x])
}

/// What Pytorch-UNet calls a parameter. `down1.bn2.weight` is the fifth of a block's layers, which lies behind the pooling.
fn pytorch_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        ["outc", leaf] => format!("outc.conv.{leaf}"),
        [block, layer, leaf] if block.starts_with("down") => {
            format!("{block}.maxpool_conv.1.double_conv.{}.{leaf}", place_in_block(layer))
        }
        ["inc", layer, leaf] => format!("inc.double_conv.{}.{leaf}", place_in_block(layer)),
        [block, "conv", layer, leaf] => format!("{block}.conv.double_conv.{}.{leaf}", place_in_block(layer)),
        _ => path.to_owned(),
    }
}

/// A block is convolution, norm, ReLU, and the same again.
fn place_in_block(layer: &str) -> &str {
    match layer {
        "conv1" => "0",
        "bn1" => "1",
        "conv2" => "3",
        "bn2" => "4",
        other => other,
    }
}
