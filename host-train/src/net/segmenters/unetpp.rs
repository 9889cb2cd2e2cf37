//! U-Net++: a U-Net whose skip connections are filled with nodes, so that it holds U-Nets of every depth.
//!
//! Source: Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018, and its
//! successor in IEEE TMI 39(6), 2020. Written from the papers: widths 32 to
//! 512, no norm, doubling by transposed convolution. Public ports to PyTorch differ (batch norm, bilinear doubling).
//!
//! Node `x(i, j)` is i halvings down and j nodes along its row. It reads all nodes before it in its row and, doubled, the
//! node below, `x(i+1, j-1)`. A head on each node `x(0, j)` of the first row gives logits; with deep supervision all of
//! them learn. Whoever keeps head L needs only the nodes with `i + j <= L`: the network pruned to level L.

use burn::module::Module;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::tensor::{Device, Tensor};

use super::network::{Architecture, Description, Dimensions, PublishedWeights, SegmentationNetwork};
use crate::net::graph::{FloatConv, FloatGraph, FloatOp, TensorIndex};
use crate::net::layers::{conv1x1, conv3x3, first_conv, pad_to, up_conv};
use crate::net::lower::{self, one_channel};
use crate::ops::{self, pool2, relu};

/// Halvings of the whole network, and so the number of its heads.
const LEVELS: usize = 4;

const FIRST_LAYER: &str = "x0_0.conv1.weight";

/// As published.
pub const PUBLISHED: Architecture<UnetPp> = Architecture {
    description: Description {
        name: "unetpp",
        width: 32,
        channels: 1,
        least_side: 16,
        needs_multiples: false,
        levels: LEVELS,
        weights: PublishedWeights {
            first_layer: FIRST_LAYER,
            last_layer: "head1.weight",
            are_these: |shapes| shapes(FIRST_LAYER).is_some(),
            mistaken_for: Some((
                "conv0_0.conv1.weight",
                "they are of a port with batch norm and bilinear doubling, another network than the paper's U-Net++",
            )),
            name: pytorch_name,
            folded_biases: &[],
        },
        licence: "UNet++'s authors allow academic and other non-commercial use only, of what derives from their work too; \
                  ask them before any other use of their weights",
    },
    build: UnetPp::new,
};

/// Two times 3x3 convolution and ReLU.
#[derive(Module, Debug)]
#[allow(missing_docs)] // the fields are parameter names
pub struct Node {
    pub conv1: Conv2d,
    pub conv2: Conv2d,
}

/// A column of nodes `x(0, j)`, `x(1, j)`, ..., for a fixed j of 1 or more.
#[derive(Module, Debug)]
pub struct Column {
    /// Doubles `x(i + 1, j - 1)` for node i.
    pub up: Vec<ConvTranspose2d>,
    /// The nodes, from the largest image to the smallest.
    pub node: Vec<Node>,
    /// Logits of `x(0, j)`.
    pub head: Conv2d,
}

/// U-Net++ for images `[B, channels, H, W]` (or `[B, 1, H, W]`): logits `[B, classes, H, W]`.
#[derive(Module, Debug)]
pub struct UnetPp {
    /// `x(0, 0)` to `x(levels, 0)`.
    pub encoder: Vec<Node>,
    /// The columns j = 1 to levels.
    pub column: Vec<Column>,
}

impl Node {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        Self { conv1: conv3x3(from, to, 1, device), conv2: conv3x3(to, to, 1, device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(ops::conv2d(&self.conv2, relu(first_conv(&self.conv1, x))))
    }
}

impl UnetPp {
    /// U-Net++ with random weights; `width` channels in the first row, twice as many in each further one.
    fn new(Dimensions { channels, classes, width }: Dimensions, device: &Device) -> Self {
        let w = |i: usize| width << i;
        let column = |j: usize| Column {
            up: (0..=LEVELS - j).map(|i| up_conv(w(i + 1), w(i), device)).collect(),
            node: (0..=LEVELS - j).map(|i| Node::new((j + 1) * w(i), w(i), device)).collect(),
            head: conv1x1(width, classes, device),
        };
        let from = |i: usize| if i == 0 { channels } else { w(i - 1) };
        Self {
            encoder: (0..=LEVELS).map(|i| Node::new(from(i), w(i), device)).collect(),
            column: (1..=LEVELS).map(column).collect(),
        }
    }

    /// Halvings, and so heads.
    pub fn levels(&self) -> usize {
        self.column.len()
    }
}

impl SegmentationNetwork for UnetPp {
    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        self.heads(image).pop().expect("at least one head")
    }

    fn heads(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        let mut rows: Vec<Vec<Tensor<4>>> = Vec::with_capacity(self.encoder.len());
        let mut x = image;
        for (i, node) in self.encoder.iter().enumerate() {
            x = node.forward(if i == 0 { x } else { pool2(x) });
            rows.push(vec![x.clone()]);
        }
        let mut heads = Vec::with_capacity(self.column.len());
        for (before, column) in self.column.iter().enumerate() {
            for (i, (up, node)) in column.up.iter().zip(&column.node).enumerate() {
                let below = pad_to(ops::up_conv(up, rows[i + 1][before].clone()), &rows[i][0]);
                let read = std::iter::once(below).chain(rows[i].iter().cloned()).collect();
                rows[i].push(node.forward(Tensor::cat(read, 1)));
            }
            heads.push(ops::conv2d(&column.head, rows[0][before + 1].clone()));
        }
        heads
    }

    /// With the heads before it.
    fn pruned(self, level: usize) -> Self {
        let Self { mut encoder, mut column } = self;
        let level = level.clamp(1, column.len());
        encoder.truncate(level + 1);
        column.truncate(level);
        for (j, column) in column.iter_mut().enumerate() {
            column.up.truncate(level - j);
            column.node.truncate(level - j);
        }
        Self { encoder, column }
    }

    fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        let mut rows: Vec<Vec<TensorIndex>> = Vec::with_capacity(self.encoder.len());
        for encoder in &self.encoder {
            let x = match rows.last() {
                None => node(graph, image, encoder, one_channel(lower::conv(&encoder.conv1))),
                Some(above) => {
                    let pooled = graph.push(FloatOp::MaxPool2, false, &[above[0]]);
                    node(graph, pooled, encoder, lower::conv(&encoder.conv1))
                }
            };
            rows.push(vec![x]);
        }
        for (before, column) in self.column.iter().enumerate() {
            for (i, (up, inner)) in column.up.iter().zip(&column.node).enumerate() {
                let below = graph.push(FloatOp::ConvTranspose2x2(lower::up_conv(up)), false, &[rows[i + 1][before]]);
                let read = rows[i].iter().fold(below, |read, &x| graph.push(FloatOp::Concat, false, &[read, x]));
                let x = node(graph, read, inner, lower::conv(&inner.conv1));
                rows[i].push(x);
            }
        }
        let head = &self.column[self.levels() - 1].head;
        graph.push(FloatOp::Conv(lower::conv(head)), false, &[rows[0][self.levels()]])
    }
}

/// Both convolutions of a node, the first one given.
fn node(graph: &mut FloatGraph, x: TensorIndex, node: &Node, first: FloatConv) -> TensorIndex {
    let x = graph.push(FloatOp::Conv(first), true, &[x]);
    graph.push(FloatOp::Conv(lower::conv(&node.conv2)), true, &[x])
}

/// The name of a parameter in the paper's terms. `column.0.node.2.conv1.weight`: node 2 of the column behind the encoder, `x2_1`.
fn pytorch_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let behind = |column: &str| column.parse::<usize>().map_or(0, |before| before + 1);
    match parts[..] {
        ["encoder", i, layer, leaf] => format!("x{i}_0.{layer}.{leaf}"),
        ["column", j, "node", i, layer, leaf] => format!("x{i}_{}.{layer}.{leaf}", behind(j)),
        ["column", j, "up", i, leaf] => format!("up{i}_{}.{leaf}", behind(j)),
        ["column", j, "head", leaf] => format!("head{}.{leaf}", behind(j)),
        _ => path.to_owned(),
    }
}
