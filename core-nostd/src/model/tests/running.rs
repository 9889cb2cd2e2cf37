//! What a checked blob says of itself, and what it computes.

use std::string::ToString;

use super::*;
use crate::kernels::{Add, Conv2d, Int8Kernels, Portable, Table};

#[test]
fn a_blob_says_what_is_in_it() {
    let bytes = emit(&[&segmenter(), &policy()]);
    let model = Model::new_checked(&bytes).unwrap();
    assert_eq!((model.height(), model.width(), model.classes()), (SIZE, SIZE, 4));
    assert_eq!(model.provenance(), "hand-made, trained on nothing");
    let segmenter = model.segmenter().unwrap();
    assert_eq!(segmenter.inputs(), 1);
    assert_eq!(segmenter.output().shape, Shape::new(SIZE, SIZE, 4));
    assert_eq!(segmenter.macs(), 16 * 16 * 3 * 9 + 32 * 32 * 4 * 3);
    let policy = model.policy().unwrap();
    assert_eq!(policy.inputs(), 2);
    assert_eq!(policy.input(1).unwrap().shape, Shape::new(1, 1, SIZE + 3));
    assert_eq!(policy.input(2), None);
    assert_eq!(policy.output().shape, Shape::new(1, 1, SIZE));
    let kinds: Vec<_> = policy.nodes().map(|n| n.kind().to_string()).collect();
    let expected = ["Conv2d", "Depthwise", "LayerNorm", "Shift", "Table", "MaxPool", "Conv2d", "Conv2d", "Add"];
    assert_eq!(kinds, expected);
    let constants: Vec<_> = policy.nodes().map(|n| n.constant_bytes()).take(6).collect();
    assert_eq!(constants, [96 + 72, 54 + 72, 48, 0, 256, 0]);
    assert_eq!(policy.nodes().map(|n| n.macs()).sum::<u64>(), policy.macs());
}

#[test]
fn a_decoder_says_what_is_in_it() {
    let bytes = emit(&[&decoder()]);
    let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
    let kinds: Vec<_> = graph.nodes().map(|n| n.kind().to_string()).collect();
    let expected = ["Conv2d", "Conv2d", "Upsample2x", "ConvTranspose2x2", "Concat", "Concat", "ConvTranspose2x2"];
    assert_eq!(kinds, expected);
    let macs: Vec<_> = graph.nodes().map(|n| n.macs()).collect();
    assert_eq!(macs[2..], [0, 16 * 16 * 3 * 2, 0, 0, 32 * 32 * 4 * 7]);
    let constants: Vec<_> = graph.nodes().map(|n| n.constant_bytes()).collect();
    assert_eq!(constants[2..], [0, 4 * 2 * 3 + 3 * 12, 0, 0, 4 * 7 * 4 + 4 * 12]);
}

#[test]
fn one_graph_is_enough() {
    let bytes = emit(&[&segmenter()]);
    let model = Model::new_checked(&bytes).unwrap();
    assert!(model.segmenter().is_some() && model.policy().is_none());
    let bytes = emit(&[&policy()]);
    let model = Model::new_checked(&bytes).unwrap();
    assert!(model.segmenter().is_none() && model.policy().is_some());
}

#[test]
fn a_run_is_its_nodes_called_by_hand() {
    for bytes in [emit(&[&segmenter(), &policy()]), emit(&[&decoder()])] {
        let model = Model::new_checked(&bytes).unwrap();
        for graph in model.graphs() {
            let expected = by_hand(&graph);
            assert_eq!(result(&graph), *expected.last().unwrap());
            let varied = |values: &[i8]| values.iter().any(|v| *v != values[0]);
            assert!(expected.iter().all(|t| varied(t)), "a constant tensor tests nothing");
        }
    }
}

#[test]
fn what_no_convolution_computes_is_counted_by_comparisons_and_values_written() {
    let bytes = emit(&[&segmenter(), &policy()]);
    let model = Model::new_checked(&bytes).unwrap();
    let of = |graph: Option<Graph<'_>>| graph.unwrap().other_operations();
    assert_eq!(of(model.segmenter()), 32 * 32 * 3);
    let values = 8 * 8 * 6;
    let compared = 2 * 2 * 4 * 4 * 6;
    assert_eq!(of(model.policy()), 3 * values + compared + 32);
}

#[test]
fn an_observer_sees_every_node_once() {
    let bytes = emit(&[&policy()]);
    let graph = Model::new_checked(&bytes).unwrap().policy().unwrap();
    let expected = by_hand(&graph);
    let mut arena = Arena::new(graph.arena_bytes());
    let inputs = inputs(&graph);
    let views: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    let mut seen = 0;
    run_with(&graph, &Reference, &views, arena.bytes(), |node, values| {
        assert_eq!(node, seen);
        assert_eq!(values, expected[2 + node]);
        seen += 1;
    })
    .unwrap();
    assert_eq!(seen, graph.len());
}

#[test]
fn working_in_place_changes_no_result() {
    let bytes = emit(&[&policy()]);
    let expected = result(&Model::new_checked(&bytes).unwrap().policy().unwrap());
    for replaced in [7, 8] {
        let mut draft = policy();
        // The table's output over its input, the sum over its first or its second input.
        draft.tensors[2 + 4].place = draft.tensors[2 + 3].place;
        draft.tensors[2 + 8].place = draft.tensors[2 + replaced - 1].place;
        let bytes = emit(&[&draft]);
        let graph = Model::new_checked(&bytes).unwrap().policy().unwrap();
        assert_eq!(result(&graph), expected);
    }
}

#[test]
fn a_tensor_may_be_added_to_itself_in_place() {
    let mut draft = policy();
    let last = draft.nodes.len() - 1;
    draft.nodes[last].inputs.1 = Some(draft.nodes[last].inputs.0);
    let apart = emit(&[&draft]);
    draft.tensors[2 + last].place = draft.tensors[draft.nodes[last].inputs.0].place;
    let together = emit(&[&draft]);
    let result = |bytes: &[u8]| result(&Model::new_checked(bytes).unwrap().policy().unwrap());
    assert_eq!(result(&apart), result(&together));
}

#[test]
fn a_tensor_may_be_joined_to_itself() {
    let mut draft = decoder();
    draft.nodes[4].inputs = (3, Some(3));
    draft.tensors[5].shape.c = 4;
    draft.tensors[6].shape.c = 6;
    let OperatorRepr::ConvTranspose2x2 { weights, .. } = &mut draft.nodes[6].op else { panic!() };
    weights.truncate(4 * 6 * 4);
    let bytes = emit(&[&draft]);
    let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
    assert_eq!(Some(&result(&graph)), by_hand(&graph).last());
}

#[test]
fn the_callers_image_may_be_joined_to_itself() {
    let mut draft = Draft::new(GraphKind::Segmenter);
    let [one, other] = [1.0, 0.75].map(|real| Requant::from_real(real).unwrap());
    draft.push(OperatorRepr::Concat { a: one, b: other, clamp: FULL }, &[0, 0], Shape::new(SIZE, SIZE, 2));
    draft.push(OperatorRepr::Concat { a: one, b: one, clamp: FULL }, &[1, 1], Shape::new(SIZE, SIZE, 4));
    let bytes = emit(&[&draft]);
    let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
    assert_eq!(Some(&result(&graph)), by_hand(&graph).last());
}

#[test]
fn inputs_and_arenas_that_do_not_fit_are_named() {
    let bytes = emit(&[&segmenter()]);
    let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
    let mut arena = Arena::new(graph.arena_bytes() + 16);
    let image = vec![0i8; SIZE * SIZE];
    let need = graph.arena_bytes();
    let mut run = |inputs: &[&[i8]], range: core::ops::Range<usize>| {
        run(&graph, &Reference, inputs, &mut arena.bytes()[range]).map(<[i8]>::len)
    };
    assert_eq!(run(&[], 0..need), Err(RunError::Inputs { got: 0, expected: 1 }));
    let short = RunError::Input { index: 0, got: 5, expected: 1024 };
    assert_eq!(run(&[&image[..5]], 0..need), Err(short));
    let small = RunError::ArenaTooSmall { got: need - 1, expected: need };
    assert_eq!(run(&[&image], 0..need - 1), Err(small));
    assert_eq!(run(&[&image], 1..need + 1), Err(RunError::ArenaMisaligned));
    assert_eq!(run(&[&image], 16..need + 16), Ok(SIZE * SIZE * 4));
}

#[test]
fn kernels_are_called_through_a_trait_object_too() {
    /// Counts the calls of two operators.
    struct Counting(core::cell::Cell<usize>);
    impl Int8Kernels for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn conv2d(&self, _: &crate::kernels::Conv2d<'_>, _: &[i8], _: &mut [i8], _: &mut [u8]) {}
        fn depthwise(&self, _: &crate::kernels::Conv2d<'_>, _: &[i8], _: &mut [i8], _: &mut [u8]) {}
        fn conv_transpose2x2(&self, _: &crate::kernels::ConvTranspose2x2<'_>, _: &[i8], _: &mut [i8], _: &mut [u8]) {}
        fn concat(&self, _: &crate::kernels::Concat, _: &[i8], _: &[i8], _: &mut [i8]) {}
        fn max_pool(&self, _: &crate::kernels::MaxPool, _: &[i8], _: &mut [i8]) {}
        fn add(&self, _: &Add, _: &[i8], _: &[i8], _: &mut [i8]) {
            self.0.set(self.0.get() + 1);
        }
        fn upsample2x(&self, _: &crate::kernels::Upsample2x, _: &[i8], _: &mut [i8]) {}
        fn layer_norm(&self, _: &crate::kernels::LayerNorm<'_>, _: &[i8], _: &mut [i8]) {}
        fn table(&self, _: &Table<'_>, _: &[i8], _: &mut [i8]) {
            self.0.set(self.0.get() + 1);
        }
        fn shift(&self, _: &crate::kernels::Shift, _: &[i8], _: &mut [i8]) {}
    }
    let bytes = emit(&[&policy()]);
    let graph = Model::new_checked(&bytes).unwrap().policy().unwrap();
    let mut arena = Arena::new(graph.arena_bytes());
    let inputs = inputs(&graph);
    let views: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    let counting = Counting(0.into());
    run(&graph, &counting as &dyn Int8Kernels, &views, arena.bytes()).unwrap();
    assert_eq!(counting.0.get(), 2);
}

/// Portable kernels that would have more scratch than a blob plans, and make use of it.
struct Greedy;

impl Greedy {
    const MORE: usize = 5000;
}

impl Int8Kernels for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn conv_scratch_bytes(&self, op: &Conv2d<'_>) -> usize {
        Portable.conv_scratch_bytes(op) + Self::MORE
    }

    fn conv2d(&self, op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
        // With the scratch it asked for it says so, in its output.
        match scratch.len() >= self.conv_scratch_bytes(op) {
            true => output.fill(42),
            false => Portable.conv2d(op, input, output, scratch),
        }
        scratch.fill(0xa5);
    }

    crate::forward_kernels!(self => Portable; depthwise conv_transpose2x2 operators);
}

#[test]
fn a_set_that_would_have_more_scratch_gets_it_behind_the_arena() {
    let bytes = emit(&[&decoder()]);
    let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
    assert_eq!(graph.arena_bytes_with(&Portable), graph.arena_bytes());
    let most = graph.arena_bytes_with(&Greedy);
    assert!(most >= graph.arena_bytes() + Greedy::MORE && most.is_multiple_of(16), "{most}");
    let inputs = inputs(&graph);
    let views: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    let first = |bytes: usize| {
        let mut first = None;
        let observe = |_, values: &[i8]| {
            first.get_or_insert_with(|| values.to_vec());
        };
        run_with(&graph, &Greedy, &views, Arena::new(bytes).bytes(), observe).unwrap();
        first.unwrap()
    };
    // The first node is a convolution.
    assert_eq!(first(graph.arena_bytes()), by_hand(&graph)[1]);
    assert!(first(most).iter().all(|&value| value == 42));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_sets_of_x86_64_run_a_graph_with_either_arena() {
    use crate::kernels::{Level, X86};
    for bytes in [emit(&[&segmenter(), &policy()]), emit(&[&decoder()])] {
        let model = Model::new_checked(&bytes).unwrap();
        for graph in model.graphs() {
            let inputs = inputs(&graph);
            let views: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
            for set in Level::ALL.into_iter().filter_map(X86::with_level) {
                for bytes in [graph.arena_bytes(), graph.arena_bytes_with(&set)] {
                    let mut arena = Arena::new(bytes);
                    assert_eq!(run(&graph, &set, &views, arena.bytes()).unwrap(), result(&graph), "{set:?}");
                }
            }
        }
    }
}
