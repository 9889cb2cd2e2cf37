//! Times the segmenter of a blob operator by operator, in one thread, with every kernel set that this machine has, and checks
//! that they agree.
//!
//! `cargo run --release -p kscout-core --example kernels -- FILE.kscout [REPETITIONS] [SET]`
//!
//! Times are medians in microseconds, multiply-accumulates in 10^9 a second. Activations are what a noise image makes of the
//! network.

use std::time::Instant;

use kscout_core::Complex32;
use kscout_core::kernels::{Kernels, Portable};
use kscout_core::model::{Graph, Model, Node, Operator};

/// What a node reads and writes.
struct Data<'a> {
    first: &'a [i8],
    second: &'a [i8],
    output: &'a mut [i8],
    scratch: &'a mut [u8],
}

fn run(op: &Operator<'_>, kernels: &dyn Kernels, data: &mut Data<'_>) {
    let Data { first, second, output, scratch } = data;
    match op {
        Operator::Conv2d(op) => kernels.conv2d(op, first, output, scratch),
        Operator::Depthwise(op) => kernels.depthwise(op, first, output, scratch),
        Operator::ConvTranspose2x2(op) => kernels.conv_transpose2x2(op, first, output, scratch),
        Operator::MaxPool(op) => kernels.max_pool(op, first, output),
        Operator::Upsample2x(op) => kernels.upsample2x(op, first, output),
        Operator::LayerNorm(op) => kernels.layer_norm(op, first, output),
        Operator::Shift(op) => kernels.shift(op, first, output),
        Operator::Table(op) => kernels.table(op, first, output),
        Operator::Add(op) => kernels.add(op, first, second, output),
        Operator::Concat(op) => kernels.concat(op, first, second, output),
    }
}

fn scratch_bytes(op: &Operator<'_>, kernels: &dyn Kernels) -> usize {
    match op {
        Operator::Conv2d(op) => kernels.conv_scratch_bytes(op),
        Operator::Depthwise(op) => kernels.depthwise_scratch_bytes(op),
        Operator::ConvTranspose2x2(op) => kernels.conv_transpose_scratch_bytes(op),
        _ => 0,
    }
}

/// A kernel set and its name.
type Set = (&'static str, Box<dyn Kernels>);

fn sets() -> Vec<Set> {
    #[allow(unused_mut, reason = "on other targets there is one set")]
    let mut sets: Vec<Set> = vec![("portable", Box::new(Portable))];
    #[cfg(target_arch = "x86_64")]
    for set in kscout_core::kernels::Level::ALL.into_iter().filter_map(kscout_core::kernels::X86::with_level) {
        sets.push((set.level().name(), Box::new(set)));
    }
    sets
}

fn noise(len: usize) -> Vec<i8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 57) as i8
    };
    (0..len).map(|_| next()).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: kernels FILE.kscout [REPETITIONS] [SET]");
    let repetitions: usize = arguments.next().map_or(21, |n| n.parse().expect("a number of repetitions"));
    let mut sets = sets();
    if let Some(only) = arguments.next() {
        sets.retain(|(name, _)| *name == only);
    }
    let bytes = std::fs::read(path).expect("a file that can be read");
    // A blob is aligned to 16 bytes.
    let mut memory = vec![0u128; bytes.len().div_ceil(16)];
    let blob = &mut bytemuck::cast_slice_mut(&mut memory)[..bytes.len()];
    blob.copy_from_slice(&bytes);
    let model = Model::new_checked(blob).expect("a blob");
    time(&model.segmenter().expect("a blob with a segmenter"), &sets, repetitions);
    time_image(model.height(), model.width(), &sets, repetitions);
}

fn time(graph: &Graph<'_>, sets: &[Set], repetitions: usize) {
    let names: Vec<_> = sets.iter().map(|(name, _)| format!("{name:>18}")).collect();
    println!("{:44} {}", "operator", names.concat());
    let mut totals = vec![0.0; sets.len()];
    let mut tensors = vec![noise(graph.input(0).expect("an input").shape.len())];
    for node in graph.nodes() {
        let op = node.operator().expect("a checked operator");
        let mut line = label(&node);
        let mut expected: Option<Vec<i8>> = None;
        for ((name, kernels), total) in sets.iter().zip(&mut totals) {
            let mut output = vec![0x55; node.output.shape.len()];
            let mut scratch = vec![0u128; scratch_bytes(&op, &**kernels).div_ceil(16)];
            let mut data = Data {
                first: &tensors[node.inputs.0],
                second: node.inputs.1.map_or(&[], |index| &tensors[index]),
                output: &mut output,
                scratch: bytemuck::cast_slice_mut(&mut scratch),
            };
            let median = median(repetitions, || run(&op, &**kernels, &mut data));
            *total += median;
            let rate =
                if node.macs() > 0 { format!("{:.1}", node.macs() as f64 / median / 1e3) } else { String::new() };
            line += &format!("{median:11.1}{rate:>7}");
            assert!(expected.get_or_insert_with(|| output.clone()) == &output, "{name} differs");
        }
        println!("{line}");
        tensors.push(expected.unwrap_or_default());
    }
    let totals: Vec<_> = totals.iter().map(|total| format!("{total:11.1}       ")).collect();
    println!("{:45}{}", "all", totals.concat());
    let whole = sets.iter().map(|(_, kernels)| time_whole(graph, &**kernels, &tensors[0], repetitions));
    let whole: Vec<_> = whole.map(|median| format!("{median:11.1}       ")).collect();
    println!("{:45}{}", "a run, in an arena of the set's size", whole.concat());
}

/// One run of the graph, memory apart.
fn time_whole(graph: &Graph<'_>, kernels: &dyn Kernels, input: &[i8], repetitions: usize) -> f64 {
    let mut arena = vec![0u128; graph.arena_bytes_with(kernels).div_ceil(16)];
    let arena: &mut [u8] = bytemuck::cast_slice_mut(&mut arena);
    median(repetitions, || {
        kscout_core::model::run(graph, kernels, &[input], arena).expect("an input and an arena that fit");
    })
}

/// What runs at every line of a scan, on an image of this size.
fn time_image(height: usize, width: usize, sets: &[Set], repetitions: usize) {
    let numbers = |len: usize| -> Vec<Complex32> {
        noise(2 * len).chunks_exact(2).map(|pair| Complex32::new(f32::from(pair[0]), f32::from(pair[1]))).collect()
    };
    let (mut image, profile, ramp) = (numbers(height * width), numbers(height), numbers(width));
    let (mut levels, mut classes) = (vec![0; image.len()], vec![0; image.len()]);
    let logits = noise(4 * image.len());
    for (name, kernels) in sets {
        let accumulate = median(repetitions, || kernels.accumulate(&mut image, &profile, &ramp));
        let energy = median(repetitions, || {
            std::hint::black_box(kernels.energy(&image, width));
        });
        let quantise = median(repetitions, || kernels.quantise(&image, 0.01, &mut levels));
        let classify = median(repetitions, || kernels.classify(&logits, 4, &mut classes));
        println!(
            "{name:12} accumulate {accumulate:.1}, energy {energy:.1}, quantise {quantise:.1}, classify {classify:.1}"
        );
    }
}

/// Median of so many times, in microseconds.
fn median(repetitions: usize, mut run: impl FnMut()) -> f64 {
    let mut one = || {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..repetitions).map(|_| one()).collect();
    times.sort_by(f64::total_cmp);
    times[repetitions / 2]
}

fn label(node: &Node<'_>) -> String {
    let (input, output) = (node.input.shape, node.output.shape);
    let shapes = format!("{}x{}x{} {}x{}x{}", input.h, input.w, input.c, output.h, output.w, output.c);
    format!("{:3} {:16} {shapes:25}", node.index, node.kind())
}
