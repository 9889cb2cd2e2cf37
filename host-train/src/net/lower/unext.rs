//! UNeXt as a graph.

use burn::nn::LayerNorm;
use kscout_core::kernels::{Axis, Corners};

use super::{conv, depthwise, fold, linear, norm, one_channel};
use crate::net::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use crate::net::unext::{PatchEmbed, ShiftedBlock, UNext};

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

        let mut embed = |x, patch: &PatchEmbed, blocks: &[ShiftedBlock], last: &LayerNorm| {
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
