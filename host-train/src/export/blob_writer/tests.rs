use kscout_core::kernels::{Axis, Corners, Int8Kernels, Kernels, Portable, Reference};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::{Graph, Operator, run};
use kscout_core::quant::Requant;

use super::*;
use crate::runtime::fastest;

const SIZE: usize = 32;
const FULL: (i8, i8) = (-128, 127);

struct Noise(u32);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit
    }

    fn values(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.below(256) as u8 as i8).collect()
    }
}

fn header() -> HeaderSpec {
    HeaderSpec {
        height: SIZE,
        width: SIZE,
        classes: 4,
        layout: Layout::Portable,
        reconstruction: Reconstruction::ZeroFilled,
        origin: Origin::default(),
        provenance: "a test, trained on nothing".into(),
    }
}

fn tensor(h: usize, w: usize, c: usize) -> TensorSpec {
    TensorSpec { shape: Shape::new(h, w, c), scale: 0.05, zero_point: -128 }
}

fn segmenter() -> (GraphSpec, TensorId) {
    let mut graph = GraphSpec::default();
    let image = graph.input(TensorSpec { scale: 1.0 / IMAGE_LEVELS_PER_RMS, ..tensor(SIZE, SIZE, 1) });
    (graph, image)
}

/// A convolution that keeps height and width (stride 1) or halves them (stride 2).
fn conv(noise: &mut Noise, graph: &mut GraphSpec, x: TensorId, out: usize, stride: usize) -> TensorId {
    let shape = graph.tensor(x).unwrap().shape;
    let scale = Requant { multiplier: (1 << 30) + noise.below(1 << 24) as i32, shift: -8 };
    let params: Vec<Channel> =
        (0..out).map(|_| Channel { bias: noise.below(9000) as i32 - 4500, requant: scale }).collect();
    let op = OperatorRepr::Conv2d(ConvRepr {
        kernel: (3, 3),
        stride,
        pad: 1,
        dilation: 1,
        clamp: FULL,
        weights: i8_bytes(&noise.values(9 * shape.c * out)),
        params: param_bytes(&params),
    });
    graph.push(op, &[x], tensor(shape.h.div_ceil(stride), shape.w.div_ceil(stride), out))
}

fn add() -> OperatorRepr<Vec<u8>> {
    let half = Requant { multiplier: 1 << 30, shift: 0 };
    let out = Requant { multiplier: 1 << 30, shift: -18 };
    OperatorRepr::Add { a: half, b: half, left_shift: 20, out, clamp: FULL }
}

fn upsample(corners: Corners, shape: Shape) -> OperatorRepr<Vec<u8>> {
    let requant = Requant::from_real(2.0 / corners.total_weight(shape) as f64).unwrap();
    OperatorRepr::Upsample2x { corners, requant, clamp: FULL }
}

fn concat() -> OperatorRepr<Vec<u8>> {
    let [a, b] = [1.0, 0.7].map(|real| Requant::from_real(real).unwrap());
    OperatorRepr::Concat { a, b, clamp: FULL }
}

/// One more node of a random kind, from tensors of the graph's own choice.
fn grow(noise: &mut Noise, graph: &mut GraphSpec, pool: &mut Vec<TensorId>) {
    let x = pool[noise.below(pool.len())];
    let TensorSpec { shape, .. } = *graph.tensor(x).unwrap();
    let same = tensor(shape.h, shape.w, shape.c);
    let made = match noise.below(10) {
        0 | 1 => {
            let (out, stride) = (1 + noise.below(6), 1 + noise.below(2));
            conv(noise, graph, x, out, stride)
        }
        2 => {
            let params = vec![Channel { bias: 77, requant: Requant { multiplier: 1 << 30, shift: -6 } }; shape.c];
            let op = ConvRepr {
                kernel: (3, 3),
                stride: 1,
                pad: 2,
                dilation: 2,
                clamp: FULL,
                weights: i8_bytes(&noise.values(9 * shape.c)),
                params: param_bytes(&params),
            };
            graph.push(OperatorRepr::Depthwise(op), &[x], same)
        }
        3 if shape.h > 1 => {
            let pool = OperatorRepr::MaxPool { kernel: 2, stride: 2, clamp: FULL };
            let output =
                TensorSpec { shape: Shape::new(shape.h / 2, shape.w / 2, shape.c), ..*graph.tensor(x).unwrap() };
            graph.push(pool, &[x], output)
        }
        4 if shape.h < SIZE => {
            let corners = [Corners::HalfPixel, Corners::Aligned][noise.below(2)];
            graph.push(upsample(corners, shape), &[x], tensor(2 * shape.h, 2 * shape.w, shape.c))
        }
        5 => {
            let gains: Vec<f32> = (0..shape.c).map(|_| noise.below(100) as f32 / 3.0).collect();
            let (gamma, beta) = (f32_bytes(&gains), f32_bytes(&gains));
            graph.push(OperatorRepr::LayerNorm { eps_q: 1e-3, clamp: FULL, gamma, beta }, &[x], same)
        }
        6 => {
            let output = *graph.tensor(x).unwrap();
            graph.push(OperatorRepr::Shift { axis: [Axis::Y, Axis::X][noise.below(2)] }, &[x], output)
        }
        7 => {
            let partners = pool.iter().copied().filter(|&id| graph.tensor(id).unwrap().shape == shape);
            let partners: Vec<TensorId> = partners.collect();
            graph.push(add(), &[x, partners[noise.below(partners.len())]], same)
        }
        8 if shape.c < 8 => {
            let of_size = |&id: &TensorId| {
                let other = graph.tensor(id).unwrap().shape;
                (other.h, other.w) == (shape.h, shape.w)
            };
            let partners: Vec<TensorId> = pool.iter().copied().filter(of_size).collect();
            let partner = partners[noise.below(partners.len())];
            let channels = shape.c + graph.tensor(partner).unwrap().shape.c;
            graph.push(concat(), &[x, partner], tensor(shape.h, shape.w, channels))
        }
        9 if shape.h < SIZE => {
            let out = 1 + noise.below(6);
            let params = vec![Channel { bias: -50, requant: Requant { multiplier: 1 << 30, shift: -6 } }; out];
            let op = OperatorRepr::ConvTranspose2x2 {
                clamp: FULL,
                weights: i8_bytes(&noise.values(4 * shape.c * out)),
                params: param_bytes(&params),
            };
            graph.push(op, &[x], tensor(2 * shape.h, 2 * shape.w, out))
        }
        _ => graph.push(OperatorRepr::Table { table: i8_bytes(&noise.values(256)) }, &[x], same),
    };
    pool.push(made);
}

fn random_segmenter(seed: u32) -> GraphSpec {
    let mut noise = Noise(seed);
    let (mut graph, image) = segmenter();
    let mut pool = vec![image];
    for _ in 0..3 + noise.below(20) {
        grow(&mut noise, &mut graph, &mut pool);
        // Forgetting some keeps lifetimes short here and long there.
        if pool.len() > 4 {
            pool.remove(noise.below(4));
        }
    }
    // Whatever came last, grown or shrunk to the size of the image.
    let mut x = *pool.last().unwrap();
    while graph.tensor(x).unwrap().shape.h < SIZE {
        let shape = graph.tensor(x).unwrap().shape;
        x = graph.push(upsample(Corners::HalfPixel, shape), &[x], tensor(2 * shape.h, 2 * shape.w, shape.c));
    }
    conv(&mut noise, &mut graph, x, 4, 1);
    graph
}

/// Every tensor in a vector of its own.
fn by_hand(graph: &Graph<'_>, image: &[i8]) -> Vec<Vec<i8>> {
    let mut tensors = vec![image.to_vec()];
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

/// Memory that starts at a multiple of 16.
struct Arena(Vec<u8>, usize);

impl Arena {
    fn new(bytes: usize) -> Self {
        Self(vec![0x55; bytes + 16], bytes)
    }

    fn bytes(&mut self) -> &mut [u8] {
        let start = self.0.as_ptr().align_offset(16);
        &mut self.0[start..start + self.1]
    }
}

#[test]
fn random_graphs_run_in_their_planned_arena_as_with_memory_without_end() {
    let (mut planned, mut least) = (0, 0);
    for seed in 0..150 {
        let spec = random_segmenter(seed);
        let bytes = write_blob(&header(), Some(&spec), None).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
        assert_eq!(graph.len(), spec.nodes.len());
        let image = Noise(seed).values(SIZE * SIZE);
        let mut arena = Arena::new(graph.arena_bytes());
        let output = run(&graph, &Reference, &[&image], arena.bytes()).unwrap();
        assert_eq!(Some(output), by_hand(&graph, &image).last().map(Vec::as_slice), "seed {seed}");
        let memory = plan_memory(&spec);
        assert_eq!(memory.bytes, graph.arena_bytes());
        planned += memory.bytes;
        least += memory.lower_bound;
    }
    assert!(planned * 100 <= least * 103, "{planned} bytes planned, {least} would be the least");
}

#[test]
fn a_sum_and_a_table_take_over_memory_nobody_needs_any_more() {
    let mut noise = Noise(3);
    let (mut graph, image) = segmenter();
    let a = conv(&mut noise, &mut graph, image, 4, 1);
    let b = conv(&mut noise, &mut graph, image, 4, 1);
    let sum = graph.push(add(), &[a, b], tensor(SIZE, SIZE, 4));
    graph.push(OperatorRepr::Table { table: i8_bytes(&noise.values(256)) }, &[sum], tensor(SIZE, SIZE, 4));
    let memory = plan_memory(&graph);
    assert_eq!(memory.tensors[2], memory.tensors[0]);
    assert_eq!(memory.tensors[3], memory.tensors[0]);
    // The two convolutions' results and the second one's scratch.
    let scratch = graph.nodes[1].op.scratch_bytes(Shape::new(SIZE, SIZE, 1));
    assert_eq!(memory.bytes, 2 * SIZE * SIZE * 4 + scratch);
    assert!(write_blob(&header(), Some(&graph), None).is_ok());
}

#[test]
fn an_input_of_the_caller_is_never_written_to() {
    let (mut graph, image) = segmenter();
    let mut noise = Noise(4);
    let table =
        graph.push(OperatorRepr::Table { table: i8_bytes(&noise.values(256)) }, &[image], tensor(SIZE, SIZE, 1));
    conv(&mut noise, &mut graph, table, 4, 1);
    let bytes = write_blob(&header(), Some(&graph), None).unwrap();
    let graph = Model::new_checked(&bytes).unwrap().segmenter().unwrap();
    assert!(graph.node(0).unwrap().output.range().is_some());
}

#[test]
fn equal_constants_are_stored_once() {
    let table = OperatorRepr::Table { table: i8_bytes(&Noise(5).values(256)) };
    let blob = |tables: usize| {
        let (mut graph, mut x) = segmenter();
        for _ in 0..tables {
            x = graph.push(table.clone(), &[x], tensor(SIZE, SIZE, 1));
        }
        conv(&mut Noise(6), &mut graph, x, 4, 1);
        write_blob(&header(), Some(&graph), None).unwrap().len()
    };
    // One node and one tensor record more, padded, but no second table.
    assert!(blob(2) - blob(1) < 256);
}

#[test]
fn the_same_graphs_make_the_same_bytes() {
    let graph = random_segmenter(11);
    assert_eq!(write_blob(&header(), Some(&graph), None), write_blob(&header(), Some(&graph), None));
}

#[test]
fn what_cannot_be_written_is_named() {
    assert_eq!(write_blob(&header(), None, None), Err(WriteError::NoGraph));
    let (empty, image) = segmenter();
    let no_nodes = WriteError::NoNodes { graph: GraphKind::Segmenter };
    assert_eq!(write_blob(&header(), Some(&empty), None), Err(no_nodes));

    let mut graph = empty.clone();
    graph.push(add(), &[image], tensor(SIZE, SIZE, 1));
    let error = write_blob(&header(), Some(&graph), None).unwrap_err();
    assert_eq!(error.to_string(), "segmenter, node 0: reads 1 tensors, its operator takes 2");

    let mut graph = empty.clone();
    graph.push(add(), &[image, TensorId(1)], tensor(SIZE, SIZE, 1));
    let error = write_blob(&header(), Some(&graph), None).unwrap_err();
    let words = "segmenter, node 0: reads tensor 1, but only tensors 0..1 are written before it runs";
    assert_eq!(error.to_string(), words);

    let mut graph = empty.clone();
    graph.push(add(), &[image, image], tensor(1 << 14, 1 << 14, 1));
    let error = write_blob(&header(), Some(&graph), None).unwrap_err();
    assert!(matches!(error, WriteError::NodeTooLarge { what: "output", .. }), "{error}");

    let mut graph = empty;
    conv(&mut Noise(8), &mut graph, image, 3, 1);
    let error = write_blob(&header(), Some(&graph), None).unwrap_err();
    assert_eq!(error.to_string(), "blob refused: segmenter: output: 32x32x3, expected 32x32x4");

    let long = HeaderSpec { provenance: "x".repeat(1025), ..header() };
    let error = write_blob(&long, Some(&random_segmenter(1)), None).unwrap_err();
    assert!(matches!(error, WriteError::Refused(_)), "{error}");
}

#[test]
fn every_layout_gives_the_same_result_on_every_kernel_set() {
    for seed in 0..20 {
        let spec = random_segmenter(seed);
        let image = Noise(seed).values(SIZE * SIZE);
        let plain = write_blob(&header(), Some(&spec), None).unwrap();
        let run_with = |bytes: &[u8], kernels: &dyn Kernels| {
            let model = Model::new_checked(bytes).unwrap();
            let graph = model.segmenter().unwrap();
            let mut arena = Arena::new(graph.arena_bytes_with(kernels));
            run(&graph, kernels, &[&image], arena.bytes()).unwrap().to_vec()
        };
        let expected = run_with(&plain, &Reference);
        for layout in Layout::ALL {
            let bytes = write_blob(&HeaderSpec { layout, ..header() }, Some(&spec), None).unwrap();
            assert_eq!(Model::new_checked(&bytes).unwrap().layout(), layout);
            for kernels in [&Reference as &dyn Kernels, &Portable, &fastest()] {
                assert!(run_with(&bytes, kernels) == expected, "seed {seed}, {layout}, {}", kernels.name());
            }
        }
    }
}

/// A blob for x86-64 of one convolution of one channel to three: three of four weights of a run, three of sixteen filters.
fn packed_blob() -> Vec<u8> {
    let (mut graph, image) = segmenter();
    conv(&mut Noise(1), &mut graph, image, 3, 1);
    conv(&mut Noise(2), &mut graph, TensorId(1), 4, 1);
    write_blob(&HeaderSpec { layout: Layout::X86_64, ..header() }, Some(&graph), None).unwrap()
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = blob::checksum(&bytes);
    bytes[blob::CHECKSUM_FIELD].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn weights_beyond_the_filters_are_refused() {
    let good = packed_blob();
    let at = {
        let graph = Model::new_checked(&good).unwrap().segmenter().unwrap();
        let Some(OperatorRepr::Conv2d(c)) = graph.node(0).ok().map(|node| node.op) else { panic!("a convolution") };
        // The fourth place of the first run.
        c.weights.as_ptr().addr() - good.as_ptr().addr() + 3
    };
    let mut bad = good;
    assert_eq!(bad[at], 0);
    bad[at] = 7;
    let error = Model::new_checked(&with_checksum(bad)).unwrap_err().to_string();
    assert!(error.contains("weights beyond the filters"), "{error}");
}

#[test]
fn a_layout_without_a_meaning_is_refused() {
    let mut bytes = packed_blob();
    bytes[26] = 9;
    let error = Model::new_checked(&with_checksum(bytes)).unwrap_err().to_string();
    assert!(error.contains("layout") && error.contains('9'), "{error}");
}
