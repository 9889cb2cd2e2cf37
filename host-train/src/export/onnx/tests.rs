//! The file as a reader finds it. What runtimes make of it is for `tests/peers`.

use std::collections::{HashMap, HashSet};

use kscout_core::kernels::{Axis, Corners};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::OperatorRepr;
use kscout_core::quant::Requant;

use super::*;
use crate::export::blob_writer::{GraphSpec, HeaderSpec, Origin, write_blob};
use crate::export::calibrate::Range;
use crate::export::quantise::quantise;
use crate::mri::random::Stream;
use crate::net::FloatGraph;
use crate::net::graph::{FloatConv, FloatOp, GraphInput};

const SIDE: usize = 32;

fn weights(random: &mut Stream, kernel: usize, count: usize, out: usize) -> FloatConv {
    FloatConv {
        weights: (0..count).map(|_| random.range(-1.0, 1.0)).collect(),
        bias: (0..out).map(|_| random.range(-0.5, 0.5)).collect(),
        kernel: (kernel, kernel),
        stride: 1,
        pad: kernel / 2,
    }
}

fn conv(random: &mut Stream, kernel: usize, input: usize, out: usize) -> FloatConv {
    weights(random, kernel, kernel * kernel * input * out, out)
}

/// Every operator once at least, from one image to four classes.
fn network() -> FloatGraph {
    let random = &mut Stream::new(7);
    let mut graph = FloatGraph::default();
    let image = graph.input(GraphInput::image(SIDE, SIDE));
    let wide = graph.push(FloatOp::Conv(conv(random, 3, 1, 6)), true, &[image]);
    let down = graph.push(FloatOp::MaxPool2, false, &[wide]);
    let deep = graph.push(FloatOp::Depthwise(weights(random, 3, 9 * 6, 6)), false, &[down]);
    let (gamma, beta) = (vec![1.0, 2.0, 0.5, 1.0, 1.0, 1.0], vec![0.25; 6]);
    let norm = graph.push(FloatOp::LayerNorm { gamma, beta, epsilon: 1e-5 }, false, &[deep]);
    let moved = graph.push(FloatOp::Shift(Axis::Y), false, &[norm]);
    let moved = graph.push(FloatOp::Shift(Axis::X), false, &[moved]);
    let bent = graph.push(FloatOp::Gelu, false, &[moved]);
    let sum = graph.push(FloatOp::Add, false, &[bent, deep]);
    let paint = FloatConv { stride: 2, pad: 0, ..weights(random, 2, 4 * 6 * 5, 5) };
    let painted = graph.push(FloatOp::ConvTranspose2x2(paint), false, &[sum]);
    let smooth = graph.push(FloatOp::Upsample2x(Corners::HalfPixel), true, &[sum]);
    let even = graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[deep]);
    let joined = graph.push(FloatOp::Concat, false, &[painted, smooth]);
    let joined = graph.push(FloatOp::Concat, false, &[joined, even]);
    graph.push(FloatOp::Conv(conv(random, 1, 17, 4)), false, &[joined]);
    graph
}

/// The network in int8, each tensor over another range; what ReLU leaves starts at 0.
fn spec() -> GraphSpec {
    let graph = network();
    let range = |(number, relu): (usize, bool)| Range {
        low: if relu { 0.0 } else { -1.0 - number as f32 / 3.0 },
        high: 2.0 + number as f32 / 2.0,
    };
    let ranges: Vec<Range> = graph.nodes.iter().map(|node| node.relu).enumerate().map(range).collect();
    quantise(&graph, &ranges).unwrap()
}

fn blob(segmenter: &GraphSpec) -> Vec<u8> {
    let header = HeaderSpec {
        height: SIDE,
        width: SIDE,
        classes: 4,
        layout: kscout_core::kernels::Layout::Portable,
        reconstruction: Reconstruction::ZeroFilled,
        origin: Origin::default(),
        provenance: "a test".into(),
    };
    write_blob(&header, Some(segmenter), None).unwrap()
}

fn written(spec: &GraphSpec, rounding: Rounding) -> Result<proto::Model, OnnxError> {
    let bytes = onnx(&kscout_core::model::Model::new_checked(&blob(spec)).unwrap(), rounding)?;
    Ok(proto::Model::decode(bytes.as_slice()).expect("what was encoded"))
}

struct File(proto::Graph);

impl File {
    fn of(spec: &GraphSpec, rounding: Rounding) -> Self {
        Self(written(spec, rounding).unwrap().graph.unwrap())
    }

    /// The node that writes `output`.
    fn writer(&self, output: &str) -> &proto::Node {
        self.0.node.iter().find(|node| node.output == [output]).unwrap_or_else(|| panic!("nobody writes {output}"))
    }

    fn kinds(&self) -> HashMap<&str, usize> {
        self.0.node.iter().fold(HashMap::new(), |mut kinds, node| {
            *kinds.entry(node.op_type.as_str()).or_default() += 1;
            kinds
        })
    }

    fn constant(&self, name: &str) -> (&[i64], &[u8]) {
        let tensor = self.0.initializer.iter().find(|tensor| tensor.name == name);
        let tensor = tensor.unwrap_or_else(|| panic!("no constant {name}"));
        (&tensor.dims, tensor.raw_data.as_deref().unwrap())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.constant(name).1.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
    }

    fn int64s(&self, name: &str) -> Vec<i64> {
        self.constant(name).1.as_chunks().0.iter().map(|&value| i64::from_le_bytes(value)).collect()
    }
}

#[test]
fn the_file_says_what_it_is_and_what_goes_in_and_out() {
    let spec = spec();
    let model = written(&spec, Rounding::Twice).unwrap();
    assert_eq!((model.ir_version, model.producer_name.as_str()), (Some(8), "kscout"));
    assert_eq!(model.opset_import, [OperatorSet { domain: String::new(), version: Some(17) }]);
    let value = |key: &str| model.metadata_props.iter().find(|e| e.key == key).unwrap().value.clone();
    assert_eq!(value("provenance"), "a test");
    let output = spec.nodes.last().unwrap().output;
    assert_eq!(value("output_scale").parse(), Ok(output.scale));
    assert_eq!(value("output_zero_point").parse(), Ok(output.zero_point));
    assert_eq!(value("input_scale").parse(), Ok(spec.inputs[0].scale));
    assert_eq!(value("input_zero_point"), "-128");
    let graph = model.graph.unwrap();
    let ends = [(&graph.input, "image", [1, 1, 32, 32]), (&graph.output, "logits", [1, 4, 32, 32])];
    for (found, name, extents) in ends {
        let [info] = found.as_slice() else { panic!("{found:?}") };
        let tensor = info.r#type.clone().unwrap().tensor_type.unwrap();
        let found: Vec<i64> = tensor.shape.unwrap().dim.iter().filter_map(|dim| dim.dim_value).collect();
        assert_eq!((info.name.as_str(), tensor.elem_type, found), (name, Some(data_type::FLOAT), extents.to_vec()));
    }
}

#[test]
fn nodes_read_what_is_there_before_them_and_constants_have_all_their_bytes() {
    for rounding in [Rounding::Once, Rounding::Twice] {
        let File(graph) = File::of(&spec(), rounding);
        let mut there: HashSet<&str> = HashSet::from(["", "image"]);
        for tensor in &graph.initializer {
            let size = match tensor.data_type.unwrap() {
                data_type::INT8 => 1,
                data_type::FLOAT | data_type::INT32 => 4,
                _ => 8,
            };
            let bytes = tensor.dims.iter().product::<i64>() * size;
            assert_eq!(tensor.raw_data.as_ref().unwrap().len() as i64, bytes, "{}", tensor.name);
            assert!(there.insert(&tensor.name), "{} twice", tensor.name);
        }
        let mut names = HashSet::new();
        for node in &graph.node {
            assert!(names.insert(&node.name), "{} twice", node.name);
            node.input.iter().for_each(|name| assert!(there.contains(name.as_str()), "{}: {name}", node.name));
            node.output.iter().for_each(|name| assert!(there.insert(name), "{name} twice"));
        }
        assert!(there.contains("logits"));
    }
}

#[test]
fn every_tensor_is_quantised_and_every_operator_has_its_counterpart() {
    let file = File::of(&spec(), Rounding::Once);
    let kinds = file.kinds();
    let expected = [
        ("QuantizeLinear", 15),
        // Those, and weights and bias of four convolutions.
        ("DequantizeLinear", 15 + 2 * 4),
        ("Conv", 3),
        ("ConvTranspose", 1),
        ("MaxPool", 1),
        // One of its own, one in the GELU.
        ("Add", 2),
        // Two of its own, two behind the shifts.
        ("Concat", 4),
        ("Resize", 2),
        ("LayerNormalization", 1),
        ("Transpose", 2),
        ("Erf", 1),
        ("Div", 1),
        ("Mul", 2),
        ("Pad", 2),
        // Six channels are three groups of two.
        ("Slice", 6),
        // Behind the first convolution and the interpolation.
        ("Relu", 2),
    ];
    assert_eq!(kinds, HashMap::from(expected));
}

#[test]
fn weights_change_their_order_and_biases_have_the_accumulators_scale() {
    let spec = spec();
    let file = File::of(&spec, Rounding::Once);
    let weight = |node: usize| match &spec.nodes[node].op {
        OperatorRepr::Conv2d(conv) | OperatorRepr::Depthwise(conv) => conv.weights.clone(),
        OperatorRepr::ConvTranspose2x2 { weights, .. } => weights.clone(),
        other => panic!("{other:?}"),
    };
    // [out][y][x][in] to [out][in][y][x], [y][x][c] to [c][1][y][x], [out][y][x][in] to [in][out][y][x].
    let (dims, bytes) = file.constant("node13.weight.int8");
    assert_eq!((dims, bytes[17 + 3]), (&[4, 17, 1, 1][..], weight(13)[17 + 3]));
    let (dims, bytes) = file.constant("node2.weight.int8");
    assert_eq!((dims, bytes[4 * 9 + 5]), (&[6, 1, 3, 3][..], weight(2)[5 * 6 + 4]));
    let (dims, bytes) = file.constant("node8.weight.int8");
    assert_eq!((dims, bytes[(3 * 5 + 1) * 4 + 2]), (&[6, 5, 2, 2][..], weight(8)[(4 + 2) * 6 + 3]));

    let (weights, biases) = (file.floats("node2.weight.scale"), file.floats("node2.bias.scale"));
    let input = spec.nodes[1].output.scale;
    assert_eq!(biases, weights.iter().map(|scale| scale * input).collect::<Vec<f32>>());
    let OperatorRepr::Depthwise(conv) = &spec.nodes[2].op else { panic!() };
    let biases: Vec<&[u8]> = conv.params.chunks_exact(12).map(|record| &record[..4]).collect();
    assert_eq!(file.constant("node2.bias.int32"), (&[6][..], &biases.concat()[..]));
}

#[test]
fn groups_of_channels_are_cut_where_they_have_moved_from() {
    let file = File::of(&spec(), Rounding::Once);
    assert_eq!(file.int64s("two_rows"), [0, 0, 2, 0, 0, 0, 2, 0]);
    let cuts: Vec<[Vec<i64>; 2]> =
        (0..3).map(|g| [format!("node4.start{g}"), format!("node4.end{g}")].map(|name| file.int64s(&name))).collect();
    // The first group moves by -2, the third not at all.
    assert_eq!(cuts, [[[0, 4], [2, 20]], [[2, 3], [4, 19]], [[4, 2], [6, 18]]].map(|cut| cut.map(Vec::from)));
}

#[test]
fn a_table_that_is_no_gelu_is_looked_up() {
    let mut spec = spec();
    let gelu = File::of(&spec, Rounding::Once);
    assert_eq!(gelu.writer("node6.int8").op_type, "QuantizeLinear");
    let OperatorRepr::Table { table } = &mut spec.nodes[6].op else { panic!() };
    // One step more, where the function is nowhere near a half.
    table[200] = table[200].wrapping_add(1);
    let table = table.clone();
    let file = File::of(&spec, Rounding::Once);
    assert_eq!(file.writer("node6.int8").op_type, "Gather");
    assert_eq!(file.constant("node6.table"), (&[256][..], &table[..]));
}

#[test]
fn rounding_twice_adds_to_the_size_of_what_a_small_factor_gives() {
    let spec = spec();
    let once = File::of(&spec, Rounding::Once);
    assert!(!once.kinds().contains_key("Sign"));
    let file = File::of(&spec, Rounding::Twice);
    // Where a ReLU follows, only what is above zero counts.
    assert_eq!(file.writer("node0.relu").input, ["node0.rounding"]);
    assert_eq!(file.writer("node0.rounding").input, ["node0.sum", "node0.rounding.offset"]);
    assert_eq!(file.writer("node2.rounding").input, ["node2.sum", "node2.rounding.signed"]);
    let OperatorRepr::Depthwise(conv) = &spec.nodes[2].op else { panic!() };
    let shifts = conv.params.chunks_exact(12).map(|r| i32::from_le_bytes([r[8], r[9], r[10], r[11]]));
    let scale = spec.nodes[2].output.scale;
    let offsets: Vec<f32> = shifts.map(|shift| 2f32.powi(shift - 1) * scale).collect();
    assert_eq!(file.floats("node2.rounding.offset"), offsets);
    assert_eq!(file.constant("node2.rounding.offset").0, [6, 1, 1]);
}

#[test]
fn the_offset_makes_up_for_the_cores_first_rounding() {
    let mut random = Stream::new(11);
    for _ in 0..200_000 {
        let shift = -(1 + random.below(14) as i32);
        let factor = Requant { multiplier: (1 << 30) + random.below(1 << 30) as i32, shift };
        let sum = random.below(1 << 22) as i32 - (1 << 21);
        let value = f64::from(sum) * factor.to_real();
        let moved = value + value.signum() * f64::from(Rounding::Twice.offset(shift));
        // Ties of either rounding apart, which a runtime may take the other way.
        let from_tie = ((moved - moved.floor()) - 0.5).abs();
        if from_tie > 1e-9 {
            assert_eq!(moved.round() as i32, factor.apply(sum), "{sum} times {factor:?}");
        }
    }
}

#[test]
fn a_factor_that_is_not_the_scales_is_refused() {
    let mut spec = spec();
    let OperatorRepr::Concat { b, .. } = &mut spec.nodes[11].op else { panic!() };
    b.multiplier ^= 1 << 25;
    let error = written(&spec, Rounding::Once).unwrap_err();
    assert!(matches!(error, OnnxError::Factor { node: 11, read: 1, .. }), "{error}");
    assert!(error.to_string().starts_with("node 11 (Concat)"), "{error}");
}

#[test]
fn a_blob_without_a_segmenter_is_refused() {
    let policy = crate::net::Scout::new(SIDE, SIDE, &burn::tensor::Device::flex()).graph(SIDE, SIDE);
    let ranges = vec![Range { low: -1.0, high: 1.0 }; policy.nodes.len()];
    let header = HeaderSpec {
        height: SIDE,
        width: SIDE,
        classes: 4,
        layout: kscout_core::kernels::Layout::Portable,
        reconstruction: Reconstruction::ZeroFilled,
        origin: Origin::default(),
        provenance: String::new(),
    };
    let blob = write_blob(&header, None, Some(&quantise(&policy, &ranges).unwrap())).unwrap();
    let model = kscout_core::model::Model::new_checked(&blob).unwrap();
    assert_eq!(onnx(&model, Rounding::Once), Err(OnnxError::NoSegmenter));
}
