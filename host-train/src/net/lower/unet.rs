//! The U-Nets as graphs.

use kscout_core::kernels::Corners;

use super::{conv, fold, one_channel, up_conv};
use crate::net::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use crate::net::unet::{DoubleConv, UNet, Up};

impl UNet {
    /// Appends this network, reading the one-channel image `image`; returns the logits.
    pub fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        let x1 = double(graph, image, &self.inc, one_channel(conv(&self.inc.conv1)));
        let mut down = |x, block: &DoubleConv| {
            let x = graph.push(FloatOp::MaxPool2, false, &[x]);
            double(graph, x, block, conv(&block.conv1))
        };
        let x2 = down(x1, &self.down1);
        let x3 = down(x2, &self.down2);
        let x4 = down(x3, &self.down3);
        let x = down(x4, &self.down4);
        let mut up = |x, skip, step: &Up| {
            let x = match &step.up {
                Some(layer) => graph.push(FloatOp::ConvTranspose2x2(up_conv(layer)), false, &[x]),
                None => graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[x]),
            };
            let x = graph.push(FloatOp::Concat, false, &[skip, x]);
            double(graph, x, &step.conv, conv(&step.conv.conv1))
        };
        let x = up(x, x4, &self.up1);
        let x = up(x, x3, &self.up2);
        let x = up(x, x2, &self.up3);
        let x = up(x, x1, &self.up4);
        graph.push(FloatOp::Conv(conv(&self.outc)), false, &[x])
    }
}

/// Both convolutions of a block, the first one given.
fn double(graph: &mut FloatGraph, x: TensorIndex, block: &DoubleConv, first: FloatConv) -> TensorIndex {
    let x = graph.push(FloatOp::Conv(fold(first, &block.bn1)), true, &[x]);
    graph.push(FloatOp::Conv(fold(conv(&block.conv2), &block.bn2)), true, &[x])
}
