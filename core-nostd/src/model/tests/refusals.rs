//! One thing wrong at a time: the error says what and where.

use std::string::ToString;

use super::*;

/// What the checker says of a policy with one change.
fn policy_with(change: impl FnOnce(&mut Draft)) -> BlobError {
    let mut draft = policy();
    change(&mut draft);
    Model::new_checked(&emit(&[&draft])).unwrap_err()
}

fn at_node(node: usize, problem: Problem) -> BlobError {
    BlobError { location: Location::Node { graph: GraphKind::Policy, node }, problem }
}

fn at_tensor(tensor: usize, problem: Problem) -> BlobError {
    BlobError { location: Location::Tensor { graph: GraphKind::Policy, tensor }, problem }
}

/// What the checker says of a good blob with these bytes written over it, its checksum repaired.
fn patched(at: usize, new: &[u8]) -> BlobError {
    let mut bytes = emit(&[&segmenter(), &policy()]);
    bytes[at..at + new.len()].copy_from_slice(new);
    repair(&mut bytes);
    Model::new_checked(&bytes).unwrap_err()
}

#[test]
fn header_fields() {
    let header = |problem| BlobError { location: Location::Header, problem };
    assert!(matches!(patched(0, b"PNG").problem, Problem::Magic { .. }));
    let version = Problem::Mismatch { field: "version", got: 2, expected: 1 };
    assert_eq!(patched(8, &[2]), header(version));
    let features = patched(9, &[0b1010_0001]);
    assert_eq!(features, header(Problem::Features { unknown: 0b1010_0001 }));
    let words = "needs what this version does not have: required feature 0 5 7. A newer version reads it";
    assert_eq!(features.to_string(), std::format!("blob refused: header: {words}"));
    let graphs = Problem::OutOfRange { field: "number of graphs", got: 0, min: 1, max: 3 };
    assert_eq!(patched(10, &[0]), header(graphs));
    let height = Problem::Mismatch { field: "height", got: 48, expected: 64 };
    assert_eq!(patched(20, &[48]), header(height));
    let width = Problem::OutOfRange { field: "width", got: 16, min: 32, max: 512 };
    assert_eq!(patched(22, &[16]), header(width));
    let levels = Problem::BadFloat { field: "image levels per rms", got: 47.0, expected: "48" };
    assert_eq!(patched(28, &47f32.to_le_bytes()), header(levels));
    let reconstruction = Problem::UnknownCode { field: "reconstruction", got: 3 };
    assert_eq!(patched(40, &[3]), header(reconstruction));
    let axes = |got| header(Problem::UnknownCode { field: "axis directions", got });
    // Left twice; a fourth axis; superior alone.
    for code in [0b110_001_001, 0b1_110_011_001, 0b110] {
        assert_eq!(patched(42, &u16::to_le_bytes(code)), axes(code.into()));
    }
    // No slice policy is there that weights could have gone into.
    let field = "hash of the weights of a graph that is not there";
    assert_eq!(patched(60, &[7]), header(Problem::Mismatch { field, got: 7, expected: 0 }));
}

#[test]
fn axes_and_hashes_of_weights_are_read_back_and_zeros_are_not_known() {
    let mut bytes = emit(&[&segmenter(), &policy()]);
    let old = Model::new_checked(&bytes).unwrap();
    let kinds = [GraphKind::Segmenter, GraphKind::Policy, GraphKind::SlicePolicy];
    assert_eq!((old.axes(), kinds.map(|kind| old.weights_hash(kind))), (None, [None; 3]));
    let mut header = HeaderRepr::parse(&bytes).unwrap();
    header.axes = "LPS".parse().ok();
    header.weights = [0x1234_5678, 0xffff_ffff, 0];
    header.emit(&mut bytes[..HEADER_BYTES]).unwrap();
    // At the places that the table of the header names.
    assert_eq!(bytes[42..44], [0b1001_1001, 0b1]);
    assert_eq!(bytes[52..64], [0x78, 0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    repair(&mut bytes);
    let new = Model::new_checked(&bytes).unwrap();
    assert_eq!(new.axes(), "LPS".parse().ok());
    let hashes = kinds.map(|kind| new.weights_hash(kind).map(u32::from));
    assert_eq!(hashes, [Some(0x1234_5678), Some(u32::MAX), None]);
}

#[test]
fn values_without_a_meaning_show_what_is_not_zero() {
    let bytes = emit(&[&policy()]);
    let nodes = GraphRepr::parse(&bytes[HEADER_BYTES..]).unwrap().nodes.offset as usize;
    let with = |node: usize, at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[nodes + NODE_BYTES * node + at] = value;
        repair(&mut bytes);
        Model::new_checked(&bytes).unwrap_err()
    };
    let unused = |got| Problem::Mismatch { field: "unused constants", got, expected: 0 };
    // The pooling has no constants, the table one: offsets 20 and 28, lengths 24 and 32.
    for (node, at) in [(5, 20), (5, 24), (5, 28), (5, 32), (4, 28), (4, 32)] {
        assert_eq!(with(node, at, 16), at_node(node, unused(16)), "node {node}, byte {at}");
    }
    let reserved = |got| Problem::Mismatch { field: "reserved bytes", got, expected: 0 };
    // The table has no clamp.
    assert_eq!(with(4, 36, 3), at_node(4, reserved(3)));
    assert_eq!(with(4, 37, 0xfe), at_node(4, reserved(-2)));
    assert_eq!(with(2, 39, 1), at_node(2, reserved(256)));
    assert_eq!(with(0, 3, 1), at_node(0, reserved(256)));
    assert_eq!(with(0, 63, 9), at_node(0, reserved(9)));
}

#[test]
fn the_words_for_what_the_kernels_alone_refuse() {
    // No record is known that the checker lets through and the kernels do not.
    let error = at_node(2, Problem::Unfit { operator: OperatorKind::LayerNorm });
    assert_eq!(error.to_string(), "blob refused: policy, node 2: LayerNorm: not a record that the kernels can run");
}

#[test]
fn provenance_text() {
    let at = |problem| BlobError { location: Location::Provenance, problem };
    let misaligned = Problem::Misaligned { field: "provenance", got: 8, align: 16 };
    assert_eq!(patched(32, &[8, 0, 0, 0]), at(misaligned));
    let long = Problem::OutOfRange { field: "provenance length", got: 1025, min: 0, max: 1024 };
    assert_eq!(patched(36, &1025u32.to_le_bytes()), at(long));
    assert_eq!(patched(HEADER_BYTES + 2 * GRAPH_BYTES + 4, &[0xff]), at(Problem::NotUtf8 { valid: 4 }));
    assert!(matches!(patched(36, &[0xff; 4]).problem, Problem::OutOfRange { field: "provenance", .. }));
}

#[test]
fn graph_records() {
    let twice = Problem::OutOfRange { field: "kind", got: 1, min: 2, max: 3 };
    let second = HEADER_BYTES + GRAPH_BYTES;
    assert_eq!(patched(second, &[1]), BlobError { location: Location::GraphRecord(1), problem: twice });
    let unknown = Problem::UnknownCode { field: "kind", got: 4 };
    assert_eq!(patched(second, &[4]), BlobError { location: Location::GraphRecord(1), problem: unknown });
    let here = |problem| BlobError { location: Location::Graph(GraphKind::Policy), problem };
    let macs = patched(second + 16, &[1, 0, 0, 0]);
    assert!(matches!(macs.problem, Problem::Mismatch { field: "multiply-accumulates", got: 1, .. }), "{macs}");
    let scratch = patched(second + 12, &[0, 0, 0, 0]);
    assert!(matches!(scratch.problem, Problem::Mismatch { field: "scratch bytes", .. }), "{scratch}");
    let nodes = Problem::OutOfRange { field: "nodes", got: 0, min: 1, max: 1024 };
    assert_eq!(patched(second + 36, &[0; 4]), here(nodes));
    let table = patched(second + 24, &0xffff_fff0u32.to_le_bytes());
    assert!(matches!(table.problem, Problem::OutOfRange { field: "tensor table", .. }), "{table}");
}

#[test]
fn a_tensor_read_before_it_is_written() {
    let error = policy_with(|d| d.nodes[3].inputs.0 = 5);
    assert_eq!(error, at_node(3, Problem::OutOfRange { field: "first input", got: 5, min: 0, max: 4 }));
    assert_eq!(error.to_string(), "blob refused: policy, node 3: first input: 5, expected 0..=4");
}

#[test]
fn too_many_inputs() {
    let error = policy_with(|d| d.nodes[3].inputs.1 = Some(0));
    assert_eq!(error, at_node(3, Problem::Mismatch { field: "number of inputs", got: 2, expected: 1 }));
}

#[test]
fn an_output_over_a_tensor_still_to_be_read() {
    // The state's logits (tensor 9) over the image's (tensor 8), both read by the sum.
    let error = policy_with(|d| d.tensors[9].place = d.tensors[8].place);
    assert_eq!(error, at_node(7, Problem::Overlap { field: "output", tensor: 8 }));
    // One row of overlap is as bad.
    let Place::Arena(first) = policy().tensors[8].place else { panic!() };
    let error = policy_with(|d| d.tensors[9].place = Place::Arena(first + 16));
    assert_eq!(error, at_node(7, Problem::Overlap { field: "output", tensor: 8 }));
}

#[test]
fn in_place_where_the_operator_cannot() {
    let error = policy_with(|d| d.tensors[3].place = d.tensors[2].place);
    assert_eq!(error, at_node(1, Problem::Overlap { field: "output", tensor: 2 }));
}

#[test]
fn in_place_over_a_tensor_read_again_later() {
    let error = policy_with(|d| {
        // The pooling reads what the table read, after the table has worked in place.
        d.tensors[6].place = d.tensors[5].place;
        d.nodes[5].inputs.0 = 5;
    });
    assert_eq!(error, at_node(4, Problem::Overlap { field: "output", tensor: 5 }));
}

#[test]
fn scratch_over_a_tensor_or_outside_the_arena() {
    let error = policy_with(|d| {
        let Place::Arena(at) = d.tensors[3].place else { panic!() };
        d.nodes[1].scratch_offset = at;
    });
    assert_eq!(error, at_node(1, Problem::Overlap { field: "scratch", tensor: 3 }));
    let error = policy_with(|d| {
        let Place::Arena(at) = d.tensors[8].place else { panic!() };
        d.nodes[7].scratch_offset = at;
    });
    assert_eq!(error, at_node(7, Problem::Overlap { field: "scratch", tensor: 8 }));
    let error = policy_with(|d| d.nodes[1].scratch_offset = d.arena);
    assert!(matches!(error.problem, Problem::OutOfRange { field: "end of scratch in the arena", .. }));
    let error = policy_with(|d| d.nodes[1].scratch_bytes -= 16);
    assert!(matches!(error.problem, Problem::Mismatch { field: "scratch bytes", .. }));
    let error = policy_with(|d| d.nodes[1].scratch_offset += 4);
    assert!(matches!(error.problem, Problem::Misaligned { field: "scratch offset", .. }));
}

#[test]
fn tensors_out_of_the_arena_or_off_its_grid() {
    let end = policy().arena;
    let error = policy_with(|d| d.tensors[3].place = Place::Arena(end));
    let problem = Problem::OutOfRange { field: "end in the arena", got: end as i64 + 384, min: 1, max: end as i64 };
    assert_eq!(error, at_tensor(3, problem));
    let error = policy_with(|d| d.tensors[3].place = Place::Arena(8));
    assert_eq!(error, at_tensor(3, Problem::Misaligned { field: "arena offset", got: 8, align: 16 }));
    let error = policy_with(|d| d.tensors[1].place = Place::Input(0));
    assert_eq!(error, at_tensor(1, Problem::Mismatch { field: "number of the input", got: 0, expected: 1 }));
    let error = policy_with(|d| d.tensors[3].place = Place::Input(0));
    assert_eq!(error, at_tensor(3, Problem::Mismatch { field: "place", got: 0, expected: 1 }));
}

#[test]
fn scales_and_zero_points() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
        let error = policy_with(|d| d.tensors[3].scale = scale);
        assert!(matches!(error.problem, Problem::BadFloat { field: "scale", .. }), "{error}");
    }
    let error = policy_with(|d| d.tensors[3].zero_point = 128);
    assert_eq!(error, at_tensor(3, Problem::OutOfRange { field: "zero point", got: 128, min: -128, max: 127 }));
    let error = policy_with(|d| d.tensors[7].zero_point = 0);
    let problem = Problem::Mismatch { field: "output's zero point", got: 0, expected: -128 };
    assert_eq!(error, at_node(5, problem));
    let error = policy_with(|d| d.tensors[0].zero_point = 0);
    let problem = Problem::Mismatch { field: "image's zero point", got: 0, expected: -128 };
    assert_eq!(error, BlobError { location: Location::Graph(GraphKind::Policy), problem });
}

#[test]
fn shapes_that_do_not_follow() {
    let error = policy_with(|d| d.tensors[3].shape.h = 7);
    let problem = Problem::Shape { field: "output", got: [7, 8, 6], expected: [8, 8, 6] };
    assert_eq!(error, at_node(1, problem));
    let mut draft = segmenter();
    draft.tensors.truncate(3);
    draft.nodes.truncate(2);
    let error = Model::new_checked(&emit(&[&draft])).unwrap_err();
    let problem = Problem::Shape { field: "output", got: [32, 32, 3], expected: [32, 32, 4] };
    assert_eq!(error, BlobError { location: Location::Graph(GraphKind::Segmenter), problem });
}

fn conv_of(draft: &mut Draft, node: usize) -> &mut ConvRepr<Vec<u8>> {
    match &mut draft.nodes[node].op {
        OperatorRepr::Conv2d(c) | OperatorRepr::Depthwise(c) => c,
        other => panic!("{other:?}"),
    }
}

#[test]
fn constants_of_a_wrong_length() {
    let error = policy_with(|d| conv_of(d, 1).weights.truncate(53));
    assert_eq!(error, at_node(1, Problem::Mismatch { field: "weights", got: 53, expected: 54 }));
    let error = policy_with(|d| conv_of(d, 1).params.truncate(60));
    assert_eq!(error, at_node(1, Problem::Mismatch { field: "channel parameters", got: 5, expected: 6 }));
    let error = policy_with(|d| conv_of(d, 1).params.truncate(61));
    assert!(matches!(error.problem, Problem::Misaligned { got: 61, align: 12, .. }));
    let error = policy_with(|d| match &mut d.nodes[4].op {
        OperatorRepr::Table { table } => table.truncate(255),
        other => panic!("{other:?}"),
    });
    assert_eq!(error, at_node(4, Problem::Mismatch { field: "bytes of the table", got: 255, expected: 256 }));
    let error = policy_with(|d| match &mut d.nodes[2].op {
        OperatorRepr::LayerNorm { beta, .. } => beta.truncate(20),
        other => panic!("{other:?}"),
    });
    assert_eq!(error, at_node(2, Problem::Mismatch { field: "beta", got: 20, expected: 24 }));
}

#[test]
fn attributes_out_of_range() {
    let error = policy_with(|d| conv_of(d, 1).stride = 0);
    assert_eq!(error, at_node(1, Problem::OutOfRange { field: "stride", got: 0, min: 1, max: 255 }));
    let error = policy_with(|d| conv_of(d, 1).dilation = 200);
    assert_eq!(error, at_node(1, Problem::OutOfRange { field: "kernel height", got: 401, min: 1, max: 10 }));
    let error = policy_with(|d| conv_of(d, 1).clamp = (3, -3));
    assert_eq!(error, at_node(1, Problem::OutOfRange { field: "upper clamp", got: -3, min: 3, max: 127 }));
    for eps in [0.0, f32::NAN, f32::INFINITY] {
        let error = policy_with(|d| match &mut d.nodes[2].op {
            OperatorRepr::LayerNorm { eps_q, .. } => *eps_q = eps,
            other => panic!("{other:?}"),
        });
        assert!(matches!(error.problem, Problem::BadFloat { field: "epsilon", .. }));
    }
    let error = policy_with(|d| match &mut d.nodes[2].op {
        OperatorRepr::LayerNorm { gamma, .. } => gamma[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
        other => panic!("{other:?}"),
    });
    assert!(matches!(error.problem, Problem::BadFloat { field: "gamma", .. }));
}

#[test]
fn sums_that_could_overflow() {
    let channel = |bias, multiplier, shift| Channel { bias, requant: Requant { multiplier, shift } }.to_bytes();
    let with = |bytes: [u8; 12]| policy_with(|d| conv_of(d, 1).params[..12].copy_from_slice(&bytes)).problem;
    let bias = with(channel(i32::MIN, 1 << 30, 0));
    assert!(matches!(bias, Problem::OutOfRange { field: "largest accumulator", .. }), "{bias}");
    let multiplier = with(channel(0, -1, 0));
    assert!(matches!(multiplier, Problem::OutOfRange { field: "channel scale", got: -1, .. }));
    let shift = with(channel(0, 1 << 30, 31));
    assert!(matches!(shift, Problem::OutOfRange { field: "channel scale", got: 31, .. }));
    let left = with(channel(0, 1 << 30, 13));
    assert!(matches!(left, Problem::OutOfRange { field: "channel scale", .. }), "{left}");
    let error = policy_with(|d| match &mut d.nodes[8].op {
        OperatorRepr::Add { left_shift, .. } => *left_shift = 23,
        other => panic!("{other:?}"),
    });
    assert_eq!(error, at_node(8, Problem::OutOfRange { field: "left shift", got: 23, min: 0, max: 22 }));
}

/// What the checker says of a decoder with one change, at this node.
fn decoder_with(node: usize, change: impl FnOnce(&mut Draft)) -> Problem {
    let mut draft = decoder();
    change(&mut draft);
    let error = Model::new_checked(&emit(&[&draft])).unwrap_err();
    assert_eq!(error.location, Location::Node { graph: GraphKind::Segmenter, node });
    error.problem
}

#[test]
fn tensors_that_cannot_be_joined() {
    let alone = decoder_with(4, |d| d.nodes[4].inputs.1 = None);
    assert_eq!(alone, Problem::Mismatch { field: "number of inputs", got: 1, expected: 2 });
    let late = decoder_with(4, |d| d.nodes[4].inputs.1 = Some(5));
    assert_eq!(late, Problem::OutOfRange { field: "second input", got: 5, min: 0, max: 4 });
    let small = decoder_with(4, |d| d.nodes[4].inputs.1 = Some(2));
    assert_eq!(small, Problem::Shape { field: "second input", got: [8, 8, 2], expected: [16, 16, 2] });
    let narrow = decoder_with(4, |d| d.tensors[5].shape.c = 4);
    assert_eq!(narrow, Problem::Shape { field: "output", got: [16, 16, 4], expected: [16, 16, 5] });
    for (scale, field) in ["first scale", "second scale"].into_iter().enumerate() {
        let change = |d: &mut Draft| match &mut d.nodes[5].op {
            OperatorRepr::Concat { a, b, .. } => [a, b][scale].shift = 24,
            other => panic!("{other:?}"),
        };
        let large = decoder_with(5, change);
        assert!(matches!(large, Problem::OutOfRange { field: f, .. } if f == field), "{large}");
    }
}

#[test]
fn joining_is_never_in_place() {
    let problem = decoder_with(5, |d| d.tensors[6].place = d.tensors[5].place);
    assert_eq!(problem, Problem::Overlap { field: "output", tensor: 5 });
}

#[test]
fn transposed_convolutions_that_do_not_follow() {
    fn constants(d: &mut Draft) -> (&mut Vec<u8>, &mut Vec<u8>) {
        match &mut d.nodes[3].op {
            OperatorRepr::ConvTranspose2x2 { weights, params, .. } => (weights, params),
            other => panic!("{other:?}"),
        }
    }
    let weights = decoder_with(3, |d| constants(d).0.truncate(23));
    assert_eq!(weights, Problem::Mismatch { field: "weights", got: 23, expected: 24 });
    let params = decoder_with(3, |d| constants(d).1.truncate(24));
    assert_eq!(params, Problem::Mismatch { field: "channel parameters", got: 2, expected: 3 });
    let bytes = decoder_with(3, |d| constants(d).1.truncate(25));
    assert!(matches!(bytes, Problem::Misaligned { got: 25, align: 12, .. }), "{bytes}");
    let size = decoder_with(3, |d| d.tensors[4].shape.h = 15);
    assert_eq!(size, Problem::Shape { field: "output", got: [15, 16, 3], expected: [16, 16, 3] });
    let scratch = decoder_with(3, |d| d.nodes[3].scratch_bytes -= 16);
    assert!(matches!(scratch, Problem::Mismatch { field: "scratch bytes", .. }), "{scratch}");
    let bias = Channel { bias: i32::MIN, requant: requant() }.to_bytes();
    let bias = decoder_with(3, |d| constants(d).1[..12].copy_from_slice(&bias));
    assert!(matches!(bias, Problem::OutOfRange { field: "largest accumulator", .. }), "{bias}");
}

#[test]
fn aligned_interpolations_whose_sum_leaves_the_accumulator() {
    let change = |d: &mut Draft| match &mut d.nodes[2].op {
        OperatorRepr::Upsample2x { requant, .. } => requant.shift = 16,
        other => panic!("{other:?}"),
    };
    let scale = decoder_with(2, change);
    assert!(matches!(scale, Problem::OutOfRange { field: "scale", .. }), "{scale}");
    let mut draft = Draft::new(GraphKind::Segmenter);
    let mut side = SIZE;
    while side < 2048 {
        side *= 2;
        let last = draft.tensors.len() - 1;
        draft.push(upsample(Corners::HalfPixel, 16), &[last], Shape::new(side, side, 1));
    }
    let last = draft.tensors.len() - 1;
    draft.push(upsample(Corners::Aligned, 4095 * 4095), &[last], Shape::new(4096, 4096, 1));
    let problem = Model::new_checked(&emit(&[&draft])).unwrap_err().problem;
    let (got, max) = (255 * 4095 * 4095, i64::from(i32::MAX) - 256);
    assert_eq!(problem, Problem::OutOfRange { field: "largest sum", got, min: 0, max });
}

#[test]
fn corners_of_an_unknown_kind() {
    let mut bytes = emit(&[&decoder()]);
    let nodes = GraphRepr::parse(&bytes[HEADER_BYTES..]).unwrap().nodes.offset as usize;
    bytes[nodes + NODE_BYTES * 2 + 38] = 2;
    repair(&mut bytes);
    let problem = Model::new_checked(&bytes).unwrap_err().problem;
    assert_eq!(problem, Problem::UnknownCode { field: "corners", got: 2 });
}
