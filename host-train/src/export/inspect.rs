//! What a blob holds, as plain values that serialise.

use std::fmt;

use kscout_core::kernels::{Axis, Corners, Shape};
use kscout_core::model::{Graph, Model, Node, OperatorRepr, TensorInfo};
use kscout_core::scan::arena_bytes;
use serde::Serialize;

/// A blob.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contents {
    /// Size of the file, which is what it takes of a device's flash.
    pub flash_bytes: usize,
    /// Memory that a whole scan takes, the networks' arena in it.
    pub scan_arena_bytes: usize,
    /// Rows of the images.
    pub height: usize,
    /// Columns of the images, and lines of k-space.
    pub width: usize,
    /// Classes the segmenter tells apart, background in it.
    pub classes: usize,
    /// How the image is made that the networks see.
    pub reconstruction: &'static str,
    /// Which way the axes of the training data ran through the body, columns, rows and slices, as three letters; none: not known.
    pub axes: Option<String>,
    /// Where the networks come from.
    pub provenance: String,
    /// The networks.
    pub graphs: Vec<GraphContents>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphContents {
    /// `segmenter`, `policy` or `slice policy`.
    pub kind: String,
    /// Hash of the weights that it was made from, as 8 hexadecimal digits: that of the checkpoint; none: not known.
    pub weights_hash: Option<String>,
    /// Tensors, inputs in it.
    pub tensors: usize,
    /// What the caller gives.
    pub inputs: Vec<TensorContents>,
    /// What a run returns.
    pub output: TensorContents,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Constants that its operators read, each operator's counted by itself.
    pub weight_bytes: usize,
    /// Memory of a run, scratch memory in it.
    pub arena_bytes: usize,
    /// Scratch memory of the operator that needs most.
    pub scratch_bytes: usize,
    /// Operators in the order they run.
    pub operators: Vec<OperatorContents>,
}

/// A tensor: `real = scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TensorContents {
    /// Rows, columns, channels.
    pub shape: [usize; 3],
    /// Size of a step.
    pub scale: f32,
    /// The value that stands for zero.
    pub zero_point: i32,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorContents {
    /// Its number in the order they run.
    pub index: usize,
    /// Which operator.
    pub kind: String,
    /// Its attributes, in words.
    pub detail: String,
    /// The tensors it reads, by number.
    pub reads: Vec<usize>,
    /// The first tensor it reads.
    pub input: TensorContents,
    /// The tensor it writes.
    pub output: TensorContents,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of its constants.
    pub weight_bytes: usize,
}

/// What `model` holds.
pub fn inspect(model: &Model<'_>) -> Contents {
    Contents {
        flash_bytes: model.bytes().len(),
        scan_arena_bytes: arena_bytes(model),
        height: model.height(),
        width: model.width(),
        classes: model.classes(),
        reconstruction: model.reconstruction().name(),
        axes: model.axes().map(|axes| axes.to_string()),
        provenance: model.provenance().to_owned(),
        graphs: model.graphs().map(|graph| graph_contents(model, &graph)).collect(),
    }
}

fn graph_contents(model: &Model<'_>, graph: &Graph<'_>) -> GraphContents {
    let operators: Vec<OperatorContents> = graph.nodes().map(|node| operator_contents(&node)).collect();
    GraphContents {
        kind: graph.kind().to_string(),
        weights_hash: model.weights_hash(graph.kind()).map(|hash| format!("{hash:08x}")),
        tensors: graph.inputs() + graph.len(),
        inputs: (0..graph.inputs()).filter_map(|i| graph.input(i)).map(TensorContents::from).collect(),
        output: graph.output().into(),
        macs: graph.macs(),
        weight_bytes: operators.iter().map(|operator| operator.weight_bytes).sum(),
        arena_bytes: graph.arena_bytes(),
        scratch_bytes: graph.scratch_bytes(),
        operators,
    }
}

fn operator_contents(node: &Node<'_>) -> OperatorContents {
    OperatorContents {
        index: node.index,
        kind: node.kind().to_string(),
        detail: detail(&node.op),
        reads: std::iter::once(node.inputs.0).chain(node.inputs.1).collect(),
        input: TensorInfo::from(node.input).into(),
        output: TensorInfo::from(node.output).into(),
        macs: node.macs(),
        weight_bytes: node.constant_bytes(),
    }
}

fn detail(op: &OperatorRepr<&[u8]>) -> String {
    match op {
        OperatorRepr::Conv2d(conv) | OperatorRepr::Depthwise(conv) => {
            let (h, w) = conv.kernel;
            let dilation = if conv.dilation > 1 { format!(", dilation {}", conv.dilation) } else { String::new() };
            format!("{h}x{w}, stride {}, pad {}{dilation}", conv.stride, conv.pad)
        }
        OperatorRepr::MaxPool { kernel, stride, .. } => format!("{kernel}x{kernel}, stride {stride}"),
        OperatorRepr::LayerNorm { eps_q, .. } => format!("epsilon {eps_q:.2e} of a step squared"),
        OperatorRepr::Shift { axis: Axis::Y } => "along y".into(),
        OperatorRepr::Shift { axis: Axis::X } => "along x".into(),
        OperatorRepr::Upsample2x { corners: Corners::HalfPixel, .. } => String::new(),
        OperatorRepr::Upsample2x { corners: Corners::Aligned, .. } => "corners aligned".into(),
        OperatorRepr::ConvTranspose2x2 { .. } => "2x2, stride 2".into(),
        OperatorRepr::Add { .. } | OperatorRepr::Concat { .. } | OperatorRepr::Table { .. } => String::new(),
    }
}

impl From<TensorInfo> for TensorContents {
    fn from(tensor: TensorInfo) -> Self {
        let Shape { h, w, c } = tensor.shape;
        Self { shape: [h, w, c], scale: tensor.scale, zero_point: tensor.zero_point }
    }
}

impl fmt::Display for TensorContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [h, w, c] = self.shape;
        f.pad(&format!("{h}x{w}x{c}"))
    }
}
