//! Small blobs made by hand, record by record, without an exporter.

mod refusals;
mod running;
mod tampering;

use std::vec;
use std::vec::Vec;

use super::blob::{self, CHECKSUM_FIELD, GRAPH_BYTES, GraphRepr, HEADER_BYTES, HeaderRepr};
use super::record::{NODE_BYTES, TENSOR_BYTES};
use super::*;
use crate::contract::IMAGE_LEVELS_PER_RMS;
use crate::kernels::{Axis, Channel, Corners, Int8Kernels, Layout, Reference, Shape};
use crate::kspace::Reconstruction;
use crate::quant::Requant;

const SIZE: usize = 32;
const FULL: (i8, i8) = (-128, 127);

/// Numbers that look random and never change.
pub(super) struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    fn values(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.next() as i8).collect()
    }
}

/// A graph whose every tensor and scratch memory has a place of its own, one after another.
#[derive(Clone)]
pub(super) struct Draft {
    kind: GraphKind,
    inputs: usize,
    tensors: Vec<TensorRepr>,
    nodes: Vec<NodeRepr<Vec<u8>>>,
    arena: usize,
}

impl Draft {
    fn new(kind: GraphKind) -> Self {
        let image = TensorRepr {
            shape: Shape::new(SIZE, SIZE, 1),
            scale: 1.0 / IMAGE_LEVELS_PER_RMS,
            zero_point: -128,
            place: Place::Input(0),
        };
        let state =
            TensorRepr { shape: Shape::new(1, 1, SIZE + 3), scale: 1.0 / 127.0, zero_point: 0, place: Place::Input(1) };
        let tensors = if kind == GraphKind::Policy { vec![image, state] } else { vec![image] };
        Self { kind, inputs: tensors.len(), tensors, nodes: Vec::new(), arena: 0 }
    }

    fn reserve(&mut self, bytes: usize) -> usize {
        let at = self.arena;
        self.arena += bytes.next_multiple_of(16);
        at
    }

    fn push(&mut self, op: OperatorRepr<Vec<u8>>, inputs: &[usize], shape: Shape) -> usize {
        let scratch_bytes = op.scratch_bytes(self.tensors[inputs[0]].shape);
        let place = Place::Arena(self.reserve(shape.len()));
        let scratch_offset = self.reserve(scratch_bytes);
        let zero_point = self.tensors[inputs[0]].zero_point;
        let scale = self.tensors[inputs[0]].scale;
        self.tensors.push(TensorRepr { shape, scale, zero_point, place });
        let inputs = (inputs[0], inputs.get(1).copied());
        self.nodes.push(NodeRepr { op, inputs, scratch_offset, scratch_bytes });
        self.tensors.len() - 1
    }
}

fn requant() -> Requant {
    Requant { multiplier: 1_518_500_250, shift: -9 }
}

fn conv(noise: &mut Noise, kernel: usize, stride: usize, pad: usize, weights: usize, out: usize) -> ConvRepr<Vec<u8>> {
    let channel = |bias: u32| Channel { bias: bias as i32 % 5000, requant: requant() }.to_bytes();
    ConvRepr {
        kernel: (kernel, kernel),
        stride,
        pad,
        dilation: 1,
        clamp: FULL,
        weights: noise.bytes(weights),
        params: (0..out).flat_map(|_| channel(noise.next())).collect(),
    }
}

fn upsample(corners: Corners, total_weight: usize) -> OperatorRepr<Vec<u8>> {
    let requant = Requant::from_real(1.0 / total_weight as f64).unwrap();
    OperatorRepr::Upsample2x { corners, requant, clamp: (-128, 100) }
}

/// Two convolutions around an interpolation.
pub(super) fn segmenter() -> Draft {
    let mut noise = Noise(1);
    let mut draft = Draft::new(GraphKind::Segmenter);
    let down = OperatorRepr::Conv2d(conv(&mut noise, 3, 2, 1, 27, 3));
    let half = draft.push(down, &[0], Shape::new(16, 16, 3));
    let full = draft.push(upsample(Corners::HalfPixel, 16), &[half], Shape::new(SIZE, SIZE, 3));
    let head = OperatorRepr::Conv2d(conv(&mut noise, 1, 1, 0, 12, 4));
    draft.push(head, &[full], Shape::new(SIZE, SIZE, 4));
    draft
}

/// A segmenter with both ways up of a U-Net, joined one after the other to what was on the way down: tensors 1 and 2 lead
/// down, 3 and 4 up, 5 joins these, 6 joins tensor 1, 7 is the result.
pub(super) fn decoder() -> Draft {
    let mut noise = Noise(3);
    let mut draft = Draft::new(GraphKind::Segmenter);
    let half = draft.push(OperatorRepr::Conv2d(conv(&mut noise, 3, 2, 1, 18, 2)), &[0], Shape::new(16, 16, 2));
    let low = draft.push(OperatorRepr::Conv2d(conv(&mut noise, 3, 2, 1, 36, 2)), &[half], Shape::new(8, 8, 2));
    let smooth = draft.push(upsample(Corners::Aligned, 15 * 15), &[low], Shape::new(16, 16, 2));
    let painted = draft.push(transposed(&mut noise, 2, 3), &[low], Shape::new(16, 16, 3));
    let [one, other] = [1.0, 0.75].map(|real| Requant::from_real(real).unwrap());
    let join = OperatorRepr::Concat { a: one, b: other, clamp: FULL };
    let both = draft.push(join.clone(), &[smooth, painted], Shape::new(16, 16, 5));
    let all = draft.push(join, &[half, both], Shape::new(16, 16, 7));
    draft.push(transposed(&mut noise, 7, 4), &[all], Shape::new(SIZE, SIZE, 4));
    draft
}

fn transposed(noise: &mut Noise, input: usize, out: usize) -> OperatorRepr<Vec<u8>> {
    let ConvRepr { weights, params, .. } = conv(noise, 2, 2, 0, 4 * input * out, out);
    OperatorRepr::ConvTranspose2x2 { clamp: FULL, weights, params }
}

/// The rest of the operators.
pub(super) fn policy() -> Draft {
    let mut noise = Noise(2);
    let mut draft = Draft::new(GraphKind::Policy);
    let shape = Shape::new(8, 8, 6);
    let x = draft.push(OperatorRepr::Conv2d(conv(&mut noise, 4, 4, 0, 96, 6)), &[0], shape);
    let x = draft.push(OperatorRepr::Depthwise(conv(&mut noise, 3, 1, 1, 54, 6)), &[x], shape);
    let gains = |noise: &mut Noise| (0..6).flat_map(|_| (noise.next() as f32 / 1e6).to_le_bytes()).collect();
    let (gamma, beta) = (gains(&mut noise), gains(&mut noise));
    let x = draft.push(OperatorRepr::LayerNorm { eps_q: 0.5, clamp: FULL, gamma, beta }, &[x], shape);
    let x = draft.push(OperatorRepr::Shift { axis: Axis::X }, &[x], shape);
    let x = draft.push(OperatorRepr::Table { table: noise.bytes(256) }, &[x], shape);
    let pooled = Shape::new(4, 4, 6);
    let x = draft.push(OperatorRepr::MaxPool { kernel: 2, stride: 2, clamp: FULL }, &[x], pooled);
    let logits = Shape::new(1, 1, SIZE);
    let x = draft.push(OperatorRepr::Conv2d(conv(&mut noise, 4, 1, 0, 96 * SIZE, SIZE)), &[x], logits);
    let s = draft.push(OperatorRepr::Conv2d(conv(&mut noise, 1, 1, 0, (SIZE + 3) * SIZE, SIZE)), &[1], logits);
    let half = Requant { multiplier: 1 << 30, shift: 0 };
    let out = Requant { multiplier: 1 << 30, shift: -18 };
    draft.push(OperatorRepr::Add { a: half, b: half, left_shift: 20, out, clamp: FULL }, &[x, s], logits);
    draft
}

/// The blob of some drafts, with whatever is wrong in them.
pub(super) fn emit(drafts: &[&Draft]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + GRAPH_BYTES * drafts.len()];
    let provenance = append(&mut bytes, b"hand-made, trained on nothing");
    for (index, draft) in drafts.iter().enumerate() {
        let record = emit_graph(&mut bytes, draft);
        record.emit(&mut bytes[HEADER_BYTES + GRAPH_BYTES * index..][..GRAPH_BYTES]).unwrap();
    }
    let header = HeaderRepr {
        features: 0,
        graphs: drafts.len(),
        length: bytes.len(),
        checksum: 0,
        height: SIZE,
        width: SIZE,
        classes: 4,
        layout: Layout::Portable,
        image_levels_per_rms: IMAGE_LEVELS_PER_RMS,
        provenance,
        reconstruction: Reconstruction::ZeroFilled,
        axes: None,
        line_order: Span::default(),
        weights: [0; 3],
    };
    header.emit(&mut bytes[..HEADER_BYTES]).unwrap();
    repair(&mut bytes);
    bytes
}

fn emit_graph(bytes: &mut Vec<u8>, draft: &Draft) -> GraphRepr {
    let start = append(bytes, &[]).offset;
    let place = |bytes: &mut Vec<u8>, node: &NodeRepr<Vec<u8>>| NodeRepr {
        op: node.op.try_map(|constant| Ok::<_, ()>(append(bytes, constant))).unwrap(),
        inputs: node.inputs,
        scratch_offset: node.scratch_offset,
        scratch_bytes: node.scratch_bytes,
    };
    let nodes: Vec<NodeRepr<Span>> = draft.nodes.iter().map(|node| place(bytes, node)).collect();
    let constants = Span { offset: start, length: bytes.len() as u32 - start };
    let mut table = vec![0; TENSOR_BYTES * draft.tensors.len()];
    for (tensor, record) in draft.tensors.iter().zip(table.chunks_mut(TENSOR_BYTES)) {
        tensor.emit(record).unwrap();
    }
    let tensors = append(bytes, &table);
    let mut table = vec![0; NODE_BYTES * nodes.len()];
    for (node, record) in nodes.iter().zip(table.chunks_mut(NODE_BYTES)) {
        node.emit(record).unwrap();
    }
    let macs = |(n, node): (usize, &NodeRepr<Span>)| {
        let input = draft.tensors.get(node.inputs.0).map_or(Shape::new(0, 0, 0), |t| t.shape);
        node.op.macs(input, draft.tensors[draft.inputs + n].shape)
    };
    GraphRepr {
        kind: draft.kind,
        inputs: draft.inputs,
        arena_bytes: draft.arena,
        scratch_bytes: draft.nodes.iter().map(|n| n.scratch_bytes).max().unwrap_or(0),
        macs: nodes.iter().enumerate().map(macs).sum(),
        tensors,
        nodes: append(bytes, &table),
        constants,
    }
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Span {
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    let span = Span { offset: bytes.len() as u32, length: part.len() as u32 };
    bytes.extend_from_slice(part);
    span
}

/// Makes the checksum that of the contents.
pub(super) fn repair(bytes: &mut [u8]) {
    let checksum = blob::checksum(bytes);
    bytes[CHECKSUM_FIELD].copy_from_slice(&checksum.to_le_bytes());
}

/// Memory that starts at a multiple of 16.
pub(super) struct Arena(Vec<u128>);

impl Arena {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(16)])
    }

    fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// Inputs of a graph, the same every time.
pub(super) fn inputs(graph: &Graph<'_>) -> Vec<Vec<i8>> {
    let mut noise = Noise(7);
    (0..graph.inputs()).map(|i| noise.values(graph.input(i).unwrap().shape.len())).collect()
}

/// Runs a graph with the naive kernels.
pub(super) fn result(graph: &Graph<'_>) -> Vec<i8> {
    let mut arena = Arena::new(graph.arena_bytes());
    let inputs = inputs(graph);
    let views: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    run(graph, &Reference, &views, arena.bytes()).unwrap().to_vec()
}

/// The graph's nodes by direct calls, each tensor in a vector of its own.
pub(super) fn by_hand(graph: &Graph<'_>) -> Vec<Vec<i8>> {
    let mut tensors = inputs(graph);
    for node in graph.nodes() {
        let a = &tensors[node.inputs.0];
        let mut out = vec![0; node.output.shape.len()];
        let mut scratch = Arena::new(node.scratch.len());
        match node.operator().unwrap() {
            Operator::Conv2d(op) => Reference.conv2d(&op, a, &mut out, scratch.bytes()),
            Operator::Depthwise(op) => Reference.depthwise(&op, a, &mut out, scratch.bytes()),
            Operator::MaxPool(op) => Reference.max_pool(&op, a, &mut out),
            Operator::Add(op) => Reference.add(&op, a, &tensors[node.inputs.1.unwrap()], &mut out),
            Operator::Upsample2x(op) => Reference.upsample2x(&op, a, &mut out),
            Operator::LayerNorm(op) => Reference.layer_norm(&op, a, &mut out),
            Operator::Table(op) => Reference.table(&op, a, &mut out),
            Operator::Shift(op) => Reference.shift(&op, a, &mut out),
            Operator::Concat(op) => Reference.concat(&op, a, &tensors[node.inputs.1.unwrap()], &mut out),
            Operator::ConvTranspose2x2(op) => Reference.conv_transpose2x2(&op, a, &mut out, scratch.bytes()),
        }
        tensors.push(out);
    }
    tensors
}
