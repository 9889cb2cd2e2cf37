//! What a blob holds, as plain values that serialise.

use std::cmp::Reverse;
use std::fmt;

use kscout_core::kernels::{Axis, Channel, Corners, Portable, Shape};
use kscout_core::model::{Graph, Model, Node, Operator, OperatorRepr, TensorInfo};
use kscout_core::scan::arena_bytes_with;
use serde::Serialize;

use crate::net::FixedOrder;

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
    /// The lines in order, of a policy that measures the same ones in every scan.
    pub fixed_order: Option<Vec<u16>>,
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
        scan_arena_bytes: arena_bytes_with(model, &Portable),
        height: model.height(),
        width: model.width(),
        classes: model.classes(),
        reconstruction: model.reconstruction().name(),
        axes: model.axes().map(|axes| axes.to_string()),
        provenance: model.provenance().to_owned(),
        fixed_order: fixed_order(model).map(|order| order.lines),
        graphs: model.graphs().map(|graph| graph_contents(model, &graph)).collect(),
    }
}

/// The order in which the model's policy measures lines if it looks at nothing: its last layer has no weights.
///
/// Nothing is run for it, so that it takes no longer than reading the file, whatever a run costs.
pub fn fixed_order(model: &Model<'_>) -> Option<FixedOrder> {
    let last = model.policy()?.nodes().last()?;
    let Operator::Conv2d(last) = last.operator()? else { return None };
    if last.weights.iter().any(|&weight| weight != 0) {
        return None;
    }
    // Of sums that are zero the biases are left, scaled as the layer scales them.
    let (low, high) = last.clamp;
    let logit = |channel: Channel| {
        channel.requant.apply(channel.bias).saturating_add(last.out_zero).clamp(low.into(), high.into())
    };
    let logits: Vec<i32> = last.params.iter().map(logit).collect();
    let mut lines: Vec<u16> = (0..model.width() as u16).collect();
    lines.sort_by_key(|&line| Reverse(logits.get(usize::from(line)).copied()));
    Some(FixedOrder { name: "fixed-order".into(), lines })
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kscout_core::contract::STATE_EXTRAS;
    use kscout_core::kernels::Layout;
    use kscout_core::kspace::Reconstruction;
    use kscout_core::model::run;
    use kscout_core::scan::{best_line, write_state};

    use super::*;
    use crate::export::blob_writer::Origin;
    use crate::export::{CalibrationSample, HeaderSpec, pack};
    use crate::net::{FloatGraph, Scout};
    use crate::runtime::HeapArena;
    use crate::runtime::fastest;

    fn blob(policy: &FloatGraph, side: usize, layout: Layout) -> Vec<u8> {
        let seen =
            |level| CalibrationSample { levels: vec![level; side * side], state: vec![127; side + STATE_EXTRAS] };
        let header = HeaderSpec {
            height: side,
            width: side,
            classes: 4,
            layout,
            reconstruction: Reconstruction::ZeroFilled,
            origin: Origin::default(),
            provenance: String::new(),
        };
        pack(None, Some(policy), &[seen(0), seen(9)], &header).unwrap()
    }

    /// Every line that the graph chooses, one after the other, with the whole budget and any image.
    fn chosen(model: &Model<'_>) -> Vec<u16> {
        let (graph, width) = (model.policy().unwrap(), model.width());
        let mut arena = HeapArena::new(graph.arena_bytes_with(&fastest()));
        let image: Vec<i8> = (0..model.height() * width).map(|i| (i * 37 % 251) as u8 as i8).collect();
        let (mut mask, mut state) = (kscout_core::kspace::LineSet::new(width).unwrap(), vec![0; width + STATE_EXTRAS]);
        let mut lines = Vec::new();
        while lines.len() < width {
            write_state(&mask, width, &mut state).unwrap();
            let logits = run(&graph, &fastest(), &[&image, &state], arena.bytes()).unwrap();
            let line = best_line(logits, &mask).unwrap();
            mask.insert(line).unwrap();
            lines.push(line as u16);
        }
        lines
    }

    #[test]
    fn a_fixed_order_in_int8_is_followed_to_the_last_line_and_read_back() {
        for side in [32, 128, 256, 512] {
            let mixed: Vec<u16> = (0..side as u16).map(|i| (i * 7 + 3) % side as u16).take(side / 4).collect();
            for first in [&[][..], &mixed] {
                let order = FixedOrder::beginning_with("learned-mask", first, side);
                for layout in Layout::ALL {
                    let blob = blob(&order.graph(side), side, layout);
                    let model = Model::new_checked(&blob).unwrap();
                    assert_eq!(chosen(&model), order.lines, "{side} {layout}");
                    assert_eq!(fixed_order(&model).unwrap().lines, order.lines, "{side} {layout}");
                    assert!(model.policy().unwrap().macs() < 2000, "a decision costs next to nothing");
                }
            }
        }
    }

    #[test]
    fn a_policy_begins_in_int8_as_the_order_up_to_its_largest_budget() {
        let (device, side) = (Device::flex(), 128);
        let order = FixedOrder::beginning_with("learned-mask", &[3, 120, 64, 66, 61], side);
        for (slope, budget) in [(0.01, 24), (0.25, 24), (10.0, 24), (0.25, 128)] {
            let scout = Scout::new(side, side, &device).beginning_with(order.slope(slope, budget, &device), &device);
            let blob = blob(&scout.graph(side, side), side, Layout::Portable);
            let model = Model::new_checked(&blob).unwrap();
            assert_eq!(chosen(&model)[..budget], order.lines[..budget], "{slope} {budget}");
        }
    }

    #[test]
    fn a_policy_that_has_weights_has_no_fixed_order() {
        let device = Device::flex();
        let mut graph = Scout::new(32, 32, &device).graph(32, 32);
        assert!(fixed_order(&Model::new_checked(&blob(&graph, 32, Layout::Portable)).unwrap()).is_some());
        let crate::net::graph::FloatOp::Conv(last) = &mut graph.nodes.last_mut().unwrap().op else { panic!() };
        last.weights[7] = 0.5;
        assert!(fixed_order(&Model::new_checked(&blob(&graph, 32, Layout::Portable)).unwrap()).is_none());
    }
}
