//! UNeXt: convolutions where the image is large, shifted token MLPs where it is small.
//!
//! Source: Valanarasu and Patel, "UNeXt: MLP-based Rapid Medical Image Segmentation Network", MICCAI 2022. Parameter
//! names follow the published checkpoints, so that those can be loaded by name.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use kscout_core::kernels::{Axis, Corners};

use super::network::{Architecture, Description, Dimensions, PublishedWeights, SegmentationNetwork, Shapes};
use crate::net::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use crate::net::layers::{conv1x1, conv3x3, conv3x3_config, first_conv};
use crate::net::lower::{self, fold, norm, one_channel};
use crate::ops::{self, batch_norm, channel_norm, gelu, pool2, shift, upsample2};

/// As published.
pub const PUBLISHED: Architecture<UNext> = Architecture {
    description: description("unext", 16, |shapes| has_stages(shapes, STAGES)),
    build: |size, device| UNext::new(size, STAGES, device),
};

/// UNeXt-S.
pub const SMALL: Architecture<UNext> = Architecture {
    description: description("unext-s", 8, |shapes| has_stages(shapes, SMALL_STAGES)),
    build: |size, device| UNext::new(size, SMALL_STAGES, device),
};

/// Widths of the five stages, in units of the first one's.
const STAGES: [usize; 5] = [1, 2, 8, 10, 16];

/// Those of UNeXt-S.
const SMALL_STAGES: [usize; 5] = [1, 2, 4, 8, 16];

const FIRST_LAYER: &str = "encoder1.weight";

/// Whether the third stage is as many times as wide as the first as `stages` says.
fn has_stages(shapes: &Shapes<'_>, stages: [usize; 5]) -> bool {
    let width = |layer: &str| shapes(layer).and_then(|shape| shape.first().copied());
    let (first, third) = (width(FIRST_LAYER), width("encoder3.weight"));
    width("patch_embed3.proj.weight").is_some()
        && first.zip(third).is_some_and(|(first, third)| first.checked_mul(stages[2]) == Some(third))
}

const fn description(name: &'static str, width: usize, are_these: fn(&Shapes<'_>) -> bool) -> Description {
    Description {
        name,
        width,
        channels: 3,
        // Tokens cannot be padded as the U-Nets' images can.
        least_side: 32,
        needs_multiples: true,
        levels: 1,
        weights: PublishedWeights {
            first_layer: FIRST_LAYER,
            last_layer: "final.weight",
            are_these,
            mistaken_for: None,
            name: str::to_owned,
            folded_biases: &[],
        },
        licence: "UNeXt-pytorch is under the MIT licence; keep its notice with its weights",
    }
}

/// Channel groups of the shift, and so the reach of it: group g moves by g - 2 pixels.
const SHIFT_GROUPS: usize = 5;

/// 3x3 depthwise convolution, in the nesting of the published checkpoints.
#[derive(Module, Debug)]
pub struct DepthwiseConv {
    /// Weights `[C, 1, 3, 3]`.
    pub dwconv: Conv2d,
}

/// The shifted MLP: shift along y, mix channels, 3x3 depthwise, GELU, shift along x, mix channels.
#[derive(Module, Debug)]
pub struct ShiftedMlp {
    /// First channel mixing.
    pub fc1: Linear,
    /// Spatial mixing.
    pub dwconv: DepthwiseConv,
    /// Second channel mixing.
    pub fc2: Linear,
}

/// Residual block around the shifted MLP, layer norm first.
#[derive(Module, Debug)]
pub struct ShiftedBlock {
    /// Norm over channels, per pixel.
    pub norm2: LayerNorm,
    /// The residual branch.
    pub mlp: ShiftedMlp,
}

/// Overlapping patch embedding: 3x3 convolution with stride 2, then layer norm.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The projection.
    pub proj: Conv2d,
    /// Norm over channels, per pixel.
    pub norm: LayerNorm,
}

/// UNeXt for images `[B, channels, H, W]` (or `[B, 1, H, W]`): logits `[B, classes, H, W]`; H and W multiples of 32.
#[derive(Module, Debug)]
#[allow(missing_docs)] // the fields are the published parameter names
pub struct UNext {
    pub encoder1: Conv2d,
    pub encoder2: Conv2d,
    pub encoder3: Conv2d,
    pub ebn1: BatchNorm,
    pub ebn2: BatchNorm,
    pub ebn3: BatchNorm,
    pub norm3: LayerNorm,
    pub norm4: LayerNorm,
    pub dnorm3: LayerNorm,
    pub dnorm4: LayerNorm,
    pub block1: Vec<ShiftedBlock>,
    pub block2: Vec<ShiftedBlock>,
    pub dblock1: Vec<ShiftedBlock>,
    pub dblock2: Vec<ShiftedBlock>,
    pub patch_embed3: PatchEmbed,
    pub patch_embed4: PatchEmbed,
    pub decoder1: Conv2d,
    pub decoder2: Conv2d,
    pub decoder3: Conv2d,
    pub decoder4: Conv2d,
    pub decoder5: Conv2d,
    pub dbn1: BatchNorm,
    pub dbn2: BatchNorm,
    pub dbn3: BatchNorm,
    pub dbn4: BatchNorm,
    pub r#final: Conv2d,
}

impl ShiftedBlock {
    fn new(width: usize, device: &Device) -> Self {
        let depthwise = conv3x3_config(width, width).with_groups(width);
        Self {
            norm2: LayerNormConfig::new(width).init(device),
            mlp: ShiftedMlp {
                fc1: LinearConfig::new(width, width).init(device),
                dwconv: DepthwiseConv { dwconv: depthwise.init(device) },
                fc2: LinearConfig::new(width, width).init(device),
            },
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mlp = &self.mlp;
        let by = shifts(x.dims()[1]);
        let y = channel_norm(&self.norm2, x.clone());
        let y = ops::linear(&mlp.fc1, shift(y, ops::Axis::Rows, by.clone()));
        let y = gelu(ops::conv2d(&mlp.dwconv.dwconv, y));
        let y = ops::linear(&mlp.fc2, shift(y, ops::Axis::Columns, by));
        x + y
    }
}

impl PatchEmbed {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        Self { proj: conv3x3(from, to, 2, device), norm: LayerNormConfig::new(to).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        channel_norm(&self.norm, ops::conv2d(&self.proj, x))
    }
}

impl UNext {
    /// UNeXt with random weights.
    fn new(Dimensions { channels, classes, width }: Dimensions, stages: [usize; 5], device: &Device) -> Self {
        let [w1, w2, w3, w4, w5] = stages.map(|stage| stage * width);
        let bn = |width: usize| BatchNormConfig::new(width).init(device);
        let ln = |width: usize| LayerNormConfig::new(width).init(device);
        let block = |width: usize| vec![ShiftedBlock::new(width, device)];
        let conv = |from: usize, to: usize| conv3x3(from, to, 1, device);
        Self {
            encoder1: conv(channels, w1),
            encoder2: conv(w1, w2),
            encoder3: conv(w2, w3),
            ebn1: bn(w1),
            ebn2: bn(w2),
            ebn3: bn(w3),
            norm3: ln(w4),
            norm4: ln(w5),
            dnorm3: ln(w4),
            dnorm4: ln(w3),
            block1: block(w4),
            block2: block(w5),
            dblock1: block(w4),
            dblock2: block(w3),
            patch_embed3: PatchEmbed::new(w3, w4, device),
            patch_embed4: PatchEmbed::new(w4, w5, device),
            decoder1: conv(w5, w4),
            decoder2: conv(w4, w3),
            decoder3: conv(w3, w2),
            decoder4: conv(w2, w1),
            decoder5: conv(w1, w1),
            dbn1: bn(w4),
            dbn2: bn(w3),
            dbn3: bn(w2),
            dbn4: bn(w1),
            r#final: conv1x1(w1, classes, device),
        }
    }
}

impl SegmentationNetwork for UNext {
    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        // Halving takes the largest values, so ReLU may come before it: what stands first in the paper gives the same.
        let down = |x, bn: &BatchNorm| pool2(batch_norm(bn, x, true));
        let t1 = down(first_conv(&self.encoder1, image), &self.ebn1);
        let t2 = down(ops::conv2d(&self.encoder2, t1.clone()), &self.ebn2);
        let t3 = down(ops::conv2d(&self.encoder3, t2.clone()), &self.ebn3);

        let t4 = tokens(self.patch_embed3.forward(t3.clone()), &self.block1, &self.norm3);
        let x = tokens(self.patch_embed4.forward(t4.clone()), &self.block2, &self.norm4);

        let up = |x, conv: &Conv2d, bn: &BatchNorm| upsample2(batch_norm(bn, ops::conv2d(conv, x), false), false, true);
        let x = up(x, &self.decoder1, &self.dbn1) + t4;
        let x = tokens(x, &self.dblock1, &self.dnorm3);
        let x = up(x, &self.decoder2, &self.dbn2) + t3;
        let x = tokens(x, &self.dblock2, &self.dnorm4);
        let x = up(x, &self.decoder3, &self.dbn3) + t2;
        let x = up(x, &self.decoder4, &self.dbn4) + t1;
        let x = upsample2(ops::conv2d(&self.decoder5, x), false, true);
        ops::conv2d(&self.r#final, x)
    }

    fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        // The ReLU moves before the pooling: both keep order, so the result is the same and its range is all positive.
        let mut down = |x, layer: FloatConv, bn| {
            let y = graph.push(FloatOp::Conv(fold(layer, bn)), true, &[x]);
            graph.push(FloatOp::MaxPool2, false, &[y])
        };
        let t1 = down(image, one_channel(lower::conv(&self.encoder1)), &self.ebn1);
        let t2 = down(t1, lower::conv(&self.encoder2), &self.ebn2);
        let t3 = down(t2, lower::conv(&self.encoder3), &self.ebn3);

        let mut embed = |x, patch: &PatchEmbed, blocks: &[ShiftedBlock], last: &LayerNorm| {
            let y = graph.push(FloatOp::Conv(lower::conv(&patch.proj)), false, &[x]);
            let y = graph.push(norm(&patch.norm), false, &[y]);
            lower_tokens(graph, y, blocks, last)
        };
        let t4 = embed(t3, &self.patch_embed3, &self.block1, &self.norm3);
        let x = embed(t4, &self.patch_embed4, &self.block2, &self.norm4);

        let up = |graph: &mut FloatGraph, x, layer: FloatConv, skip| {
            let y = graph.push(FloatOp::Conv(layer), false, &[x]);
            let y = graph.push(FloatOp::Upsample2x(Corners::HalfPixel), true, &[y]);
            graph.push(FloatOp::Add, false, &[y, skip])
        };
        let x = up(graph, x, fold(lower::conv(&self.decoder1), &self.dbn1), t4);
        let x = lower_tokens(graph, x, &self.dblock1, &self.dnorm3);
        let x = up(graph, x, fold(lower::conv(&self.decoder2), &self.dbn2), t3);
        let x = lower_tokens(graph, x, &self.dblock2, &self.dnorm4);
        let x = up(graph, x, fold(lower::conv(&self.decoder3), &self.dbn3), t2);
        let x = up(graph, x, fold(lower::conv(&self.decoder4), &self.dbn4), t1);
        let x = graph.push(FloatOp::Conv(lower::conv(&self.decoder5)), false, &[x]);
        let x = graph.push(FloatOp::Upsample2x(Corners::HalfPixel), true, &[x]);
        graph.push(FloatOp::Conv(lower::conv(&self.r#final)), false, &[x])
    }
}

fn tokens(x: Tensor<4>, blocks: &[ShiftedBlock], norm: &LayerNorm) -> Tensor<4> {
    let x = blocks.iter().fold(x, |x, block| block.forward(x));
    channel_norm(norm, x)
}

/// Pixels that each of `channels` moves by: five groups by -2 to 2, the last ones smaller or not there.
fn shifts(channels: usize) -> Vec<isize> {
    let size = channels.div_ceil(SHIFT_GROUPS);
    (0..channels).map(|channel| (channel / size) as isize - 2).collect()
}

/// [`tokens`] as operators.
fn lower_tokens(graph: &mut FloatGraph, x: TensorIndex, blocks: &[ShiftedBlock], last: &LayerNorm) -> TensorIndex {
    let x = blocks.iter().fold(x, |x, block| {
        let mlp = &block.mlp;
        let y = graph.push(norm(&block.norm2), false, &[x]);
        let y = graph.push(FloatOp::Shift(Axis::Y), false, &[y]);
        let y = graph.push(FloatOp::Conv(lower::linear(&mlp.fc1)), false, &[y]);
        let y = graph.push(FloatOp::Depthwise(lower::depthwise(&mlp.dwconv.dwconv)), false, &[y]);
        let y = graph.push(FloatOp::Gelu, false, &[y]);
        let y = graph.push(FloatOp::Shift(Axis::X), false, &[y]);
        let y = graph.push(FloatOp::Conv(lower::linear(&mlp.fc2)), false, &[y]);
        graph.push(FloatOp::Add, false, &[x, y])
    });
    graph.push(norm(last), false, &[x])
}
