//! What must hold for a blob's header, and for a graph before it may run.

use super::blob::{HeaderRepr, checksum};
use super::bytes::ALIGN;
use super::error::{BlobError, Location, Problem};
use super::fields::{aligned, equal, extent, float, range, shape, within};
use super::graph::{Graph, MAX_ARENA_BYTES, MAX_TENSOR_BYTES, Node, Operator};
use super::kinds::GraphKind;
use super::repr::{OperatorRepr, Place, TensorRepr};
use crate::contract::{
    FEATURES, IMAGE_LEVELS_PER_RMS, IMAGE_ZERO_POINT, MAX_ENSEMBLE_OUTPUTS, SHARE_LEVELS, STATE_EXTRAS,
};
use crate::kernels::{
    Add, Channel, ChannelParams, Concat, Conv2d, ConvTranspose2x2, Filters, LayerNorm, Layout, MAX_CHANNELS,
    MAX_EXTENT, MAX_INPUT, MAX_STEP, Shape, Upsample2x, conv_extent,
};
use crate::quant::Requant;

/// Largest magnitude of a real-valued layer-norm constant: the sum stays far inside an i32.
const MAX_NORM_CONSTANT: f32 = 1_048_576.0;
/// Largest `|weight|`.
const MAX_WEIGHT: i64 = 128;
/// What a scaled accumulator may reach: the zero point must still fit on top.
const MAX_SCALED: i64 = i32::MAX as i64 - 256;

/// Checks what the header says of the blob as a whole.
pub(super) fn header(header: &HeaderRepr, blob: &[u8]) -> Result<(), Problem> {
    equal("length", blob.len() as i64, header.length as i64)?;
    let got = checksum(blob);
    if got != header.checksum {
        return Err(Problem::Checksum { got, expected: header.checksum });
    }
    within("number of graphs", header.graphs, 1, 3)?;
    extent("height", header.height)?;
    extent("width", header.width)?;
    within("classes", header.classes, 2, 16)?;
    // Another constant would ask for other image bytes than the core makes.
    float("image levels per rms", header.image_levels_per_rms, IMAGE_LEVELS_PER_RMS, "48")
}

/// Checks tensors, nodes, memory and signature of a graph whose tables have been found.
pub(super) fn graph(graph: &Graph<'_>, header: &HeaderRepr) -> Result<(), BlobError> {
    let kind = graph.kind();
    arena(graph).map_err(|p| p.at(Location::Graph(kind)))?;
    for id in 0..graph.inputs().saturating_add(graph.len()) {
        let checked = graph.tensor(id).and_then(|t| tensor(graph, id, &t));
        checked.map_err(|p| p.at(Location::Tensor { graph: kind, tensor: id }))?;
    }
    let mut macs = 0u64;
    let mut scratch = 0;
    for index in 0..graph.len() {
        let at = |p: Problem| p.at(Location::Node { graph: kind, node: index });
        reads(graph, index).map_err(at)?;
        let node = graph.node(index).map_err(at)?;
        operator(&node).and_then(|()| memory(graph, &node)).map_err(at)?;
        macs = macs.saturating_add(node.macs());
        scratch = scratch.max(node.scratch.len());
    }
    for writer in 0..graph.len() {
        kept(graph, writer)?;
    }
    equal("multiply-accumulates", graph.macs() as i64, macs as i64)
        .and_then(|()| equal("scratch bytes", graph.scratch_bytes() as i64, scratch as i64))
        .and_then(|()| signature(graph, header))
        .map_err(|p| p.at(Location::Graph(kind)))
}

fn arena(graph: &Graph<'_>) -> Result<(), Problem> {
    within("arena bytes", graph.arena_bytes(), ALIGN as usize, MAX_ARENA_BYTES)?;
    aligned("arena bytes", graph.arena_bytes())
}

fn tensor(graph: &Graph<'_>, id: usize, tensor: &TensorRepr) -> Result<(), Problem> {
    let Shape { h, w, c } = tensor.shape;
    within("height", h, 1, MAX_EXTENT)?;
    within("width", w, 1, MAX_EXTENT)?;
    within("channels", c, 1, MAX_CHANNELS)?;
    within("bytes", tensor.shape.len(), 1, MAX_TENSOR_BYTES)?;
    if !(tensor.scale.is_normal() && tensor.scale > 0.0) {
        return Err(Problem::BadFloat { field: "scale", got: tensor.scale, expected: "a positive finite number" });
    }
    range("zero point", tensor.zero_point.into(), -128, 127)?;
    match (tensor.place, id < graph.inputs()) {
        (Place::Input(index), true) => equal("number of the input", index as i64, id as i64),
        (Place::Arena(offset), false) => {
            aligned("arena offset", offset)?;
            within("end in the arena", offset.saturating_add(tensor.shape.len()), 1, graph.arena_bytes())
        }
        (_, input) => equal("place", (!matches!(tensor.place, Place::Input(_))).into(), (!input).into()),
    }
}

/// Nodes read what has been written: tensors before their own, as many as the operator takes.
fn reads(graph: &Graph<'_>, index: usize) -> Result<(), Problem> {
    let node = graph.node_repr(index)?;
    let written = graph.inputs().saturating_add(index);
    within("first input", node.inputs.0, 0, written.saturating_sub(1))?;
    let given = 1 + usize::from(node.inputs.1.is_some());
    equal("number of inputs", given as i64, node.op.kind().arity() as i64)?;
    match node.inputs.1 {
        Some(id) => within("second input", id, 0, written.saturating_sub(1)),
        None => Ok(()),
    }
}

fn operator(node: &Node<'_>) -> Result<(), Problem> {
    constants(node)?;
    let Some(operator) = node.operator() else {
        return Err(Problem::UnknownCode { field: "operator", got: node.kind() as u32 });
    };
    let (x, y) = (&node.input, &node.output);
    match operator {
        Operator::Conv2d(c) => {
            let taps = c.kernel.0 * c.kernel.1 * c.input.c;
            packed(c.layout, c.weights, c.filters())?;
            convolution(&c, taps, c.output.c)
        }
        Operator::Depthwise(c) => {
            equal("output channels", c.output.c as i64, c.input.c as i64)?;
            let taps = c.kernel.0 * c.kernel.1;
            equal("weights", c.weights.len() as i64, (taps as i64).saturating_mul(c.input.c as i64))?;
            convolution(&c, taps, c.input.c)
        }
        Operator::MaxPool(p) => {
            clamp(p.clamp)?;
            let h = window("kernel", x.shape.h, p.kernel, p.stride, 0, 1)?;
            let w = window("kernel", x.shape.w, p.kernel, p.stride, 0, 1)?;
            shape("output", y.shape, Shape::new(h, w, x.shape.c))?;
            same_quantisation(x, y)
        }
        Operator::Add(a) => {
            let b = node.second.as_ref().unwrap_or(x);
            shape("second input", b.shape, x.shape)?;
            shape("output", y.shape, x.shape)?;
            addition(&a)
        }
        Operator::Upsample2x(u) => {
            shape("output", y.shape, u.output())?;
            interpolation(&u)
        }
        Operator::LayerNorm(n) => {
            shape("output", y.shape, x.shape)?;
            layer_norm(&n)
        }
        Operator::Table(_) => shape("output", y.shape, x.shape),
        Operator::Shift(_) => {
            shape("output", y.shape, x.shape)?;
            same_quantisation(x, y)
        }
        Operator::Concat(c) => {
            shape("second input", c.b.shape, Shape { c: c.b.shape.c, ..x.shape })?;
            shape("output", y.shape, c.output())?;
            joining(&c)
        }
        Operator::ConvTranspose2x2(c) => {
            shape("output", y.shape, Shape { c: y.shape.c, ..c.output() })?;
            transposed(&c, y.shape.c)
        }
    }?;
    // The checks above name what is wrong; the kernels have the last word.
    if operator.is_valid() { Ok(()) } else { Err(Problem::Unfit { operator: node.kind() }) }
}

/// Constants are whole records, so that the operator can be put together.
fn constants(node: &Node<'_>) -> Result<(), Problem> {
    match &node.op {
        OperatorRepr::Conv2d(c) | OperatorRepr::Depthwise(c) => whole_channels(c.params),
        OperatorRepr::ConvTranspose2x2 { params, .. } => whole_channels(params),
        OperatorRepr::Table { table } => equal("bytes of the table", table.len() as i64, 256),
        _ => Ok(()),
    }
}

fn whole_channels(params: &[u8]) -> Result<(), Problem> {
    if params.len().is_multiple_of(Channel::BYTES) {
        return Ok(());
    }
    let (got, align) = (params.len() as u32, Channel::BYTES as u32);
    Err(Problem::Misaligned { field: "bytes of the channel parameters", got, align })
}

/// `taps` is the number of weights an output value sums over, `filters` how many sets of them there are.
fn convolution(c: &Conv2d<'_>, taps: usize, filters: usize) -> Result<(), Problem> {
    clamp(c.clamp)?;
    let h = window("kernel height", c.input.h, c.kernel.0, c.stride, c.pad, c.dilation)?;
    let w = window("kernel width", c.input.w, c.kernel.1, c.stride, c.pad, c.dilation)?;
    shape("output", c.output, Shape::new(h, w, c.output.c))?;
    equal("channel parameters", c.params.len() as i64, filters as i64)?;
    channels(c.params, taps as i64 * MAX_INPUT * MAX_WEIGHT)
}

/// Packed weights have their layout's length, and what fills them up is zero.
fn packed(layout: Layout, weights: &[i8], filters: Filters) -> Result<(), Problem> {
    let packing = layout.packing();
    let expected = i64::try_from(packing.bytes(filters)).unwrap_or(i64::MAX);
    equal("weights", weights.len() as i64, expected)?;
    if packing.is_filled_up_with_zeros(weights, filters) {
        return Ok(());
    }
    Err(Problem::Mismatch { field: "weights beyond the filters", got: 1, expected: 0 })
}

fn transposed(c: &ConvTranspose2x2<'_>, out_channels: usize) -> Result<(), Problem> {
    clamp(c.clamp)?;
    packed(c.layout, c.weights, Filters { count: 4 * out_channels, ..c.filters() })?;
    equal("channel parameters", c.params.len() as i64, out_channels as i64)?;
    channels(c.params, c.input.c as i64 * MAX_INPUT * MAX_WEIGHT)
}

/// No sum leaves the i32 it is made in, whatever the activations.
fn channels(params: ChannelParams<'_>, largest_sum: i64) -> Result<(), Problem> {
    for channel in params.iter() {
        let largest = largest_sum.saturating_add(i64::from(channel.bias).abs());
        range("largest accumulator", largest, 0, MAX_SCALED)?;
        requant("channel scale", channel.requant, largest)?;
    }
    Ok(())
}

fn addition(a: &Add) -> Result<(), Problem> {
    clamp(a.clamp)?;
    range("left shift", a.left_shift.into(), 0, 22)?;
    let largest = MAX_INPUT << a.left_shift;
    let sum = requant("first scale", a.a, largest)?.saturating_add(requant("second scale", a.b, largest)?);
    range("largest sum", sum, 0, MAX_SCALED)?;
    requant("scale of the sum", a.out, sum).map(|_| ())
}

fn joining(c: &Concat) -> Result<(), Problem> {
    clamp(c.clamp)?;
    requant("first scale", c.a.requant, MAX_INPUT)?;
    requant("second scale", c.b.requant, MAX_INPUT).map(|_| ())
}

fn interpolation(u: &Upsample2x) -> Result<(), Problem> {
    clamp(u.clamp)?;
    range("largest sum", u.largest_sum(), 0, MAX_SCALED)?;
    requant("scale", u.requant, u.largest_sum()).map(|_| ())
}

fn layer_norm(n: &LayerNorm<'_>) -> Result<(), Problem> {
    clamp(n.clamp)?;
    if !(n.eps_q.is_normal() && n.eps_q > 0.0) {
        return Err(Problem::BadFloat { field: "epsilon", got: n.eps_q, expected: "a positive finite number" });
    }
    for (field, bytes) in [("gamma", n.gamma), ("beta", n.beta)] {
        equal(field, bytes.len() as i64, 4 * n.shape.c as i64)?;
        let (values, _) = bytes.as_chunks::<4>();
        let mut values = values.iter().map(|v| f32::from_le_bytes(*v));
        if let Some(got) = values.find(|v| v.is_nan() || v.abs() > MAX_NORM_CONSTANT) {
            return Err(Problem::BadFloat { field, got, expected: "a magnitude of at most 2^20" });
        }
    }
    Ok(())
}

/// Extent of a convolution's or pooling's output along one axis.
fn window(
    field: &'static str,
    input: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
) -> Result<usize, Problem> {
    within(field, kernel, 1, MAX_STEP)?;
    within("stride", stride, 1, MAX_STEP)?;
    within("dilation", dilation, 1, MAX_STEP)?;
    let dilated = (kernel - 1).saturating_mul(dilation).saturating_add(1);
    let padded = input.saturating_add(pad.saturating_mul(2));
    let extent = conv_extent(input, kernel, stride, pad, dilation);
    extent.ok_or(Problem::OutOfRange { field, got: dilated as i64, min: 1, max: padded as i64 })
}

/// Checks a fixed-point scale and returns the largest magnitude that `largest` may become.
fn requant(field: &'static str, r: Requant, largest: i64) -> Result<i64, Problem> {
    range(field, r.multiplier.into(), 0, i32::MAX.into())?;
    range(field, r.shift.into(), Requant::MIN_SHIFT.into(), Requant::MAX_SHIFT.into())?;
    let shifted = largest << r.shift.max(0);
    range(field, shifted, 0, MAX_SCALED)?;
    Ok(shifted)
}

fn clamp((low, high): (i8, i8)) -> Result<(), Problem> {
    range("upper clamp", high.into(), low.into(), i8::MAX.into())
}

/// For operators that hand values on as they are.
fn same_quantisation(x: &TensorRepr, y: &TensorRepr) -> Result<(), Problem> {
    equal("output's zero point", y.zero_point.into(), x.zero_point.into())?;
    float("output's scale", y.scale, x.scale, "the input's scale")
}

/// The node's own memory lies in the arena, output and scratch apart.
fn memory(graph: &Graph<'_>, node: &Node<'_>) -> Result<(), Problem> {
    equal("scratch bytes", node.scratch.len() as i64, node.op.scratch_bytes(node.input.shape) as i64)?;
    aligned("scratch offset", node.scratch.start)?;
    within("end of scratch in the arena", node.scratch.end, 0, graph.arena_bytes())?;
    let tensor = graph.inputs().saturating_add(node.index);
    match node.output.range() {
        Some(output) if overlap(&output, &node.scratch) => Err(Problem::Overlap { field: "scratch", tensor }),
        _ => Ok(()),
    }
}

/// What node `writer` writes stays as it is until the last node that reads it has run.
fn kept(graph: &Graph<'_>, writer: usize) -> Result<(), BlobError> {
    let tensor = graph.inputs().saturating_add(writer);
    let at = |node: usize| move |p: Problem| p.at(Location::Node { graph: graph.kind(), node });
    let reads = |node: usize| graph.node_repr(node).is_ok_and(|n| n.inputs.0 == tensor || n.inputs.1 == Some(tensor));
    let Some(last) = (writer..graph.len()).rev().find(|&n| reads(n)) else { return Ok(()) };
    let Some(held) = graph.tensor(tensor).map_err(at(writer))?.range() else { return Ok(()) };
    for index in writer.saturating_add(1)..=last {
        let node = graph.node(index).map_err(at(index))?;
        if overlap(&held, &node.scratch) {
            return Err(at(index)(Problem::Overlap { field: "scratch", tensor }));
        }
        let Some(output) = node.output.range() else { continue };
        let in_place = index == last && node.kind().in_place() && output == held;
        if overlap(&held, &output) && !in_place {
            return Err(at(index)(Problem::Overlap { field: "output", tensor }));
        }
    }
    Ok(())
}

fn overlap(a: &core::ops::Range<usize>, b: &core::ops::Range<usize>) -> bool {
    !a.is_empty() && !b.is_empty() && a.start < b.end && b.start < a.end
}

/// Inputs and output are those the scan gives and takes.
fn signature(graph: &Graph<'_>, header: &HeaderRepr) -> Result<(), Problem> {
    let &HeaderRepr { height, width, classes, .. } = header;
    let first = graph.tensor(0)?;
    if graph.kind() != GraphKind::SlicePolicy {
        shape("image", first.shape, Shape::new(height, width, 1))?;
        float("image's scale", first.scale, 1.0 / header.image_levels_per_rms, "one over the levels per rms")?;
        equal("image's zero point", first.zero_point.into(), IMAGE_ZERO_POINT.into())?;
    }
    let output = graph.tensor(graph.inputs().saturating_add(graph.len()).saturating_sub(1))?;
    match graph.kind() {
        GraphKind::Segmenter => {
            equal("inputs", graph.inputs() as i64, 1)?;
            shape("output", output.shape, Shape::new(height, width, classes))
        }
        GraphKind::Policy => {
            equal("inputs", graph.inputs() as i64, 2)?;
            let state = graph.tensor(1)?;
            shape("state vector", state.shape, Shape::new(1, 1, width.saturating_add(STATE_EXTRAS)))?;
            float("state vector's scale", state.scale, 1.0 / SHARE_LEVELS, "1/127")?;
            equal("state vector's zero point", state.zero_point.into(), 0)?;
            shape("output", output.shape, Shape::new(1, 1, width))
        }
        GraphKind::SlicePolicy => {
            equal("inputs", graph.inputs() as i64, 1)?;
            shape("features", first.shape, Shape::new(1, 1, FEATURES))?;
            float("features' scale", first.scale, 1.0 / SHARE_LEVELS, "1/127")?;
            equal("features' zero point", first.zero_point.into(), 0)?;
            within("ensemble outputs", output.shape.c, 1, MAX_ENSEMBLE_OUTPUTS)?;
            shape("output", output.shape, Shape::new(1, 1, output.shape.c))
        }
    }
}
