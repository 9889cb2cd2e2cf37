//! Blobs of two networks of one layer each, whose answers can be worked out by hand.

use std::vec;
use std::vec::Vec;

use crate::contract::FEATURES;
use crate::kernels::{Layout, Shape, conv_scratch_bytes};
use crate::kspace::Reconstruction;
use crate::model::blob::{GRAPH_BYTES, GraphRepr, HEADER_BYTES, HeaderRepr, checksum};
use crate::model::record::{NODE_BYTES, TENSOR_BYTES};
use crate::model::{ConvRepr, GraphKind, NodeRepr, OperatorRepr, Place, Span, TensorRepr};

pub(crate) const HEIGHT: usize = 64;
pub(crate) const WIDTH: usize = 32;
pub(crate) const CLASSES: usize = 4;

/// A 1x1 convolution with multiplier 1: `out = clamp(weights * (in - in_zero) + bias)`.
pub(crate) struct Linear {
    kind: GraphKind,
    inputs: Vec<TensorRepr>,
    output: Shape,
    weights: Vec<i8>,
    biases: Vec<i32>,
}

fn tensor(shape: Shape, scale: f32, zero_point: i32, place: Place) -> TensorRepr {
    TensorRepr { shape, scale, zero_point, place }
}

fn image_tensor() -> TensorRepr {
    tensor(Shape::new(HEIGHT, WIDTH, 1), 1.0 / 48.0, -128, Place::Input(0))
}

/// Logits 40, u, 2u - 60 and 3u - 200 for a pixel of level u.
pub(crate) fn segmenter() -> Linear {
    Linear {
        kind: GraphKind::Segmenter,
        inputs: vec![image_tensor()],
        output: Shape::new(HEIGHT, WIDTH, CLASSES),
        weights: vec![0, 1, 2, 3],
        biases: vec![40, 0, -60, -200],
    }
}

/// Prefers lines near DC, and above all the line that follows a measured one.
pub(crate) fn policy() -> Linear {
    let state = tensor(Shape::new(1, 1, WIDTH + 3), 1.0 / 127.0, 0, Place::Input(1));
    let mut weights = vec![0; WIDTH * (WIDTH + 3)];
    (1..WIDTH).for_each(|line| weights[line * (WIDTH + 3) + line - 1] = 1);
    Linear {
        kind: GraphKind::Policy,
        inputs: vec![image_tensor(), state],
        output: Shape::new(1, 1, WIDTH),
        weights,
        biases: (0..WIDTH).map(|line| 20 - line.abs_diff(WIDTH / 2) as i32).collect(),
    }
}

/// The more LV is seen of a slice and the fewer lines it has, the more it expects.
pub(crate) fn slice_policy() -> Linear {
    let view = tensor(Shape::new(1, 1, FEATURES), 1.0 / 127.0, 0, Place::Input(0));
    let mut weights = vec![0; FEATURES];
    (weights[FEATURE_LINES], weights[FEATURE_LV_AREA]) = (-2, 1);
    Linear { kind: GraphKind::SlicePolicy, inputs: vec![view], output: Shape::new(1, 1, 1), weights, biases: vec![0] }
}

/// Places in a view.
pub(crate) const FEATURE_LINES: usize = 0;
pub(crate) const FEATURE_LV_AREA: usize = 8;

/// Appends `section` at the next multiple of 16.
fn append(blob: &mut Vec<u8>, section: &[u8]) -> Span {
    blob.resize(blob.len().next_multiple_of(16), 0);
    let span = Span { offset: blob.len() as u32, length: section.len() as u32 };
    blob.extend_from_slice(section);
    span
}

fn append_graph(blob: &mut Vec<u8>, linear: &Linear) -> GraphRepr {
    let channels = linear.inputs.last().unwrap().shape.c;
    let weights: Vec<u8> = linear.weights.iter().map(|&weight| weight as u8).collect();
    let weights = append(blob, &weights);
    let params = linear.biases.iter().flat_map(|&bias| [bias, 1 << 30, 1]).flat_map(i32::to_le_bytes);
    let params = append(blob, &params.collect::<Vec<u8>>());
    let constants = Span { offset: weights.offset, length: blob.len() as u32 - weights.offset };

    let output = tensor(linear.output, 1.0, 0, Place::Arena(0));
    let mut tensors = vec![0; (linear.inputs.len() + 1) * TENSOR_BYTES];
    for (record, repr) in tensors.chunks_exact_mut(TENSOR_BYTES).zip(linear.inputs.iter().chain([&output])) {
        repr.emit(record).unwrap();
    }
    let scratch_bytes = conv_scratch_bytes((1, 1), channels);
    let scratch_offset = output.shape.len().next_multiple_of(16);
    let conv = ConvRepr { kernel: (1, 1), stride: 1, pad: 0, dilation: 1, clamp: (-128, 127), weights, params };
    let inputs = (linear.inputs.len() - 1, None);
    let node = NodeRepr { op: OperatorRepr::Conv2d(conv), inputs, scratch_offset, scratch_bytes };
    let mut nodes = vec![0; NODE_BYTES];
    node.emit(&mut nodes).unwrap();
    GraphRepr {
        kind: linear.kind,
        inputs: linear.inputs.len(),
        arena_bytes: (scratch_offset + scratch_bytes).next_multiple_of(16),
        scratch_bytes,
        macs: (output.shape.len() * channels) as u64,
        tensors: append(blob, &tensors),
        nodes: append(blob, &nodes),
        constants,
    }
}

pub(crate) fn blob(graphs: &[Linear], reconstruction: Reconstruction) -> Vec<u8> {
    ordered_blob(graphs, reconstruction, &[])
}

/// A blob that orders the lines of a slice.
pub(crate) fn ordered_blob(graphs: &[Linear], reconstruction: Reconstruction, lines: &[u16]) -> Vec<u8> {
    let mut blob = vec![0; HEADER_BYTES + graphs.len() * GRAPH_BYTES];
    let reprs: Vec<GraphRepr> = graphs.iter().map(|linear| append_graph(&mut blob, linear)).collect();
    for (record, repr) in blob[HEADER_BYTES..].chunks_exact_mut(GRAPH_BYTES).zip(&reprs) {
        repr.emit(record).unwrap();
    }
    let lines: Vec<u8> = lines.iter().flat_map(|line| line.to_le_bytes()).collect();
    let line_order = if lines.is_empty() { Span::default() } else { append(&mut blob, &lines) };
    let mut header = HeaderRepr {
        features: 0,
        graphs: graphs.len(),
        length: blob.len(),
        checksum: 0,
        height: HEIGHT,
        width: WIDTH,
        classes: CLASSES,
        layout: Layout::Portable,
        image_levels_per_rms: 48.0,
        provenance: Span { offset: HEADER_BYTES as u32, length: 0 },
        reconstruction,
        axes: None,
        line_order,
        weights: [0; 3],
    };
    header.emit(&mut blob[..HEADER_BYTES]).unwrap();
    header.checksum = checksum(&blob);
    header.emit(&mut blob[..HEADER_BYTES]).unwrap();
    blob
}
