//! U-Net++ as a graph.

use super::{conv, one_channel, up_conv};
use crate::net::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use crate::net::unetpp::{Node, UnetPp};

impl UnetPp {
    /// Appends this network, reading the one-channel image `image`; returns the logits of the last head, the only one that
    /// is lowered.
    pub fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        let mut rows: Vec<Vec<TensorIndex>> = Vec::with_capacity(self.encoder.len());
        for encoder in &self.encoder {
            let x = match rows.last() {
                None => node(graph, image, encoder, one_channel(conv(&encoder.conv1))),
                Some(above) => {
                    let pooled = graph.push(FloatOp::MaxPool2, false, &[above[0]]);
                    node(graph, pooled, encoder, conv(&encoder.conv1))
                }
            };
            rows.push(vec![x]);
        }
        for (before, column) in self.column.iter().enumerate() {
            for (i, (up, inner)) in column.up.iter().zip(&column.node).enumerate() {
                let below = graph.push(FloatOp::ConvTranspose2x2(up_conv(up)), false, &[rows[i + 1][before]]);
                let read = rows[i].iter().fold(below, |read, &x| graph.push(FloatOp::Concat, false, &[read, x]));
                let x = node(graph, read, inner, conv(&inner.conv1));
                rows[i].push(x);
            }
        }
        let head = &self.column[self.levels() - 1].head;
        graph.push(FloatOp::Conv(conv(head)), false, &[rows[0][self.levels()]])
    }
}

/// Both convolutions of a node, the first one given.
fn node(graph: &mut FloatGraph, x: TensorIndex, node: &Node, first: FloatConv) -> TensorIndex {
    let x = graph.push(FloatOp::Conv(first), true, &[x]);
    graph.push(FloatOp::Conv(conv(&node.conv2)), true, &[x])
}
