//! Training and evaluation on a GPU beside the CPU, on small phantoms: any GPU with a Vulkan driver, or Mesa's program in its place.
//!
//! Run by `./test.sh --gpu`; `KSCOUT_GPU` names another device than `webgpu`.

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use kscout::device::DeviceChoice;
use kscout::net::{Arch, Segmenter, SegmenterSpec};
use kscout::ops;
use kscout::train::SegmenterConfig;
use kscout::train::precision::narrowed;
use kscout_tests::job::Job;
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 32;
/// Largest relative difference to the CPU.
const TOLERANCE: f64 = 1e-3;

fn name() -> String {
    std::env::var("KSCOUT_GPU").unwrap_or_else(|_| "webgpu".into())
}

fn device() -> Device {
    let device = name().parse::<DeviceChoice>().unwrap().open().unwrap_or_else(|error| panic!("{error}"));
    assert!(!ops::is_cpu(&device));
    device
}

/// A small network of each kind, and the largest width that leaves it small.
fn specs() -> impl Iterator<Item = SegmenterSpec> {
    Arch::ALL.into_iter().map(|arch| SegmenterSpec { width: 8, ..SegmenterSpec::published(arch, 4) })
}

fn wave(dims: [usize; 4], device: &Device) -> Tensor<4> {
    let values = (0..dims.iter().product()).map(|i| ((i * 37 % 101) as f32 * 0.7).sin()).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// A truth of four classes in stripes and blocks.
fn truth(batch: usize, device: &Device) -> Tensor<4> {
    let class = |i: usize| (i / 7 + i / (SIDE * 5)) % 4;
    let plane = SIDE * SIDE;
    let values = (0..batch * 4 * plane).map(|i| f32::from(u8::from(class(i % plane) == i / plane % 4)));
    Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), [batch, 4, SIDE, SIDE]), device)
}

/// A network of random weights on the CPU.
fn network(spec: &SegmenterSpec) -> Segmenter {
    let cpu = Device::flex().autodiff();
    cpu.seed(7);
    let network = Segmenter::new(spec, &cpu);
    // Weights are drawn where they are first looked at.
    network.forward(wave([1, 1, SIDE, SIDE], &cpu));
    network
}

/// The loss and all gradients of `network` on `device`.
fn first_step(network: &Segmenter, device: &Device, narrow: Option<FloatDType>) -> (f64, Vec<f32>) {
    let device = device.clone().autodiff();
    let network = network.valid().train().fork(&device);
    let network = narrow.map_or(network.clone(), |dtype| narrowed(&network, dtype));
    let images = wave([2, 1, SIDE, SIDE], &device);
    let heads = network.heads(narrow.map_or(images.clone(), |dtype| images.cast(dtype)));
    let heads = heads.into_iter().map(|logits| logits.cast(FloatDType::F32)).collect();
    let loss = SegmenterConfig::default().loss().of_heads(heads, &truth(2, &device));
    let value = f64::from(loss.clone().inner().into_scalar::<f32>());
    let mut all = Collected { gradients: GradientsParams::from_grads(loss.backward(), &network), values: Vec::new() };
    network.visit(&mut all);
    (value, all.values)
}

struct Collected {
    gradients: GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for Collected {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.values.extend(gradient.cast(FloatDType::F32).into_data().try_into_vec::<f32>().unwrap());
        }
    }
}

/// The length of the difference over the length of `b`.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = length(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / length(&mut b.iter().map(|&b| f64::from(b)))
}

/// Output, gradient of the input and gradients of the weights of `f` on `device`, the gradient of the output being a fixed wave.
fn pass<M: Module>(
    module: &M,
    dims: [usize; 4],
    device: &Device,
    f: &dyn Fn(&M, Tensor<4>) -> Tensor<4>,
) -> [Vec<f32>; 3] {
    let device = device.clone().autodiff();
    let module = module.clone().fork(&device);
    let x = wave(dims, &device).require_grad();
    let y = f(&module, x.clone());
    // Another wave: what runs along with x has no gradient through a norm.
    let slope = wave(y.dims(), &device).add_scalar(0.4).square();
    let gradients = ops::sum(y.clone() * slope).backward();
    let of_x = x.grad(&gradients).expect("a gradient").into_data().try_into_vec::<f32>().unwrap();
    let mut of_weights = Collected { gradients: GradientsParams::from_grads(gradients, &module), values: Vec::new() };
    module.visit(&mut of_weights);
    [y.inner().into_data().try_into_vec::<f32>().unwrap(), of_x, of_weights.values]
}

/// The names of operators whose output or gradients are not the CPU's.
struct Apart<'a>(&'a Device, Vec<String>);

impl Apart<'_> {
    fn expect<M: Module>(&mut self, name: &str, module: M, dims: [usize; 4], f: impl Fn(&M, Tensor<4>) -> Tensor<4>) {
        let [gpu, cpu] = [self.0, &Device::flex()].map(|device| pass(&module, dims, device, &f));
        let distances = [0, 1, 2].map(|part| if cpu[part].is_empty() { 0.0 } else { apart(&gpu[part], &cpu[part]) });
        println!("{name}: {} apart", distances.map(|d| format!("{d:.0e}")).join(", "));
        if !distances.iter().all(|&distance| distance < TOLERANCE) {
            self.1.push(format!("{name} {distances:?}"));
        }
    }
}

#[test]
fn every_operator_gives_what_it_gives_on_the_cpu() {
    let (gpu, cpu) = (device(), Device::flex().autodiff());
    cpu.seed(3);
    let mut apart = Apart(&gpu, Vec::new());
    let conv = |from, to, kernel: usize, stride, groups| {
        let pad = kernel / 2;
        let config = Conv2dConfig::new([from, to], [kernel, kernel]).with_stride([stride, stride]).with_groups(groups);
        config.with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad)).init(&cpu)
    };
    let norm: BatchNorm = BatchNormConfig::new(8).init(&cpu);
    let image = [2, 8, 16, 16];
    apart.expect("conv 3x3", conv(8, 16, 3, 1, 1), image, |layer, x| ops::conv2d(layer, x));
    apart.expect("conv 3x3 of one channel", conv(1, 8, 3, 1, 1), [2, 1, 32, 32], |layer, x| ops::conv2d(layer, x));
    apart.expect("conv 3x3 at 2x2", conv(64, 128, 3, 1, 1), [2, 64, 2, 2], |layer, x| ops::conv2d(layer, x));
    apart.expect("conv 3x3, stride 2", conv(8, 16, 3, 2, 1), image, |layer, x| ops::conv2d(layer, x));
    apart.expect("conv 1x1", conv(8, 4, 1, 1, 1), image, |layer, x| ops::conv2d(layer, x));
    apart.expect("depthwise", conv(8, 8, 3, 1, 8), image, |layer, x| ops::conv2d(layer, x));
    let up = ConvTranspose2dConfig::new([8, 4], [2, 2]).with_stride([2, 2]).init(&cpu);
    apart.expect("transposed", up, image, |layer, x| ops::up_conv(layer, x));
    apart.expect("linear", LinearConfig::new(8, 12).init(&cpu), image, |layer, x| ops::linear(layer, x));
    apart.expect("layer norm", LayerNormConfig::new(8).init(&cpu), image, |layer, x| ops::channel_norm(layer, x));
    apart.expect("batch norm", norm.clone().train(), image, |layer, x| ops::batch_norm(layer, x, false));
    apart.expect("batch norm, ReLU", norm.train(), image, |layer, x| ops::batch_norm(layer, x, true));
    let nothing = || Vec::<Linear>::new();
    apart.expect("halving", nothing(), image, |_, x| ops::pool2(x));
    apart.expect("doubling", nothing(), image, |_, x| ops::upsample2(x, false, true));
    apart.expect("doubling, corners", nothing(), image, |_, x| ops::upsample2(x, true, false));
    apart.expect("GELU", nothing(), image, |_, x| ops::gelu(x));
    apart.expect("ReLU", nothing(), image, |_, x| ops::relu(x));
    for axis in [ops::Axis::Rows, ops::Axis::Columns] {
        let by = vec![-2, -2, -1, 0, 0, 1, 1, 2];
        for side in [16, 2, 1] {
            apart.expect("shift", nothing(), [2, 8, side, side], |_, x| ops::shift(x, axis, by.clone()));
        }
    }
    for side in [1, 2] {
        let small = [2, 8, side, side];
        apart.expect("doubling", nothing(), small, |_, x| ops::upsample2(x, false, true));
        apart.expect("doubling, corners", nothing(), small, |_, x| ops::upsample2(x, true, false));
        apart.expect("depthwise", conv(8, 8, 3, 1, 8), small, |layer, x| ops::conv2d(layer, x));
        apart.expect("conv 3x3", conv(8, 16, 3, 1, 1), small, |layer, x| ops::conv2d(layer, x));
        apart.expect("conv 3x3, stride 2", conv(8, 16, 3, 2, 1), small, |layer, x| ops::conv2d(layer, x));
        apart.expect("layer norm", LayerNormConfig::new(8).init(&cpu), small, |layer, x| ops::channel_norm(layer, x));
        apart.expect("linear", LinearConfig::new(8, 12).init(&cpu), small, |layer, x| ops::linear(layer, x));
        let norm: BatchNorm = BatchNormConfig::new(8).init(&cpu);
        apart.expect("batch norm", norm.train(), small, |layer, x| ops::batch_norm(layer, x, false));
    }
    assert_eq!(apart.1, Vec::<String>::new());
}

#[test]
fn the_first_gradients_of_every_segmenter_are_those_of_the_cpu() {
    let (gpu, mut all) = (device(), Vec::new());
    for spec in specs() {
        let network = network(&spec);
        let (loss, gradients) = first_step(&network, &gpu, None);
        let (expected, on_cpu) = first_step(&network, &Device::flex(), None);
        assert!(on_cpu.iter().any(|&gradient| gradient != 0.0), "{}", spec.arch);
        let (of_loss, of_gradients) = ((loss - expected).abs() / expected, apart(&gradients, &on_cpu));
        println!("{}: loss {of_loss:.1e}, gradients {of_gradients:.1e} apart", spec.arch);
        all.extend([of_loss, of_gradients]);
    }
    assert!(all.iter().all(|&apart| apart < TOLERANCE), "{all:?}");
}

#[test]
fn the_first_gradients_in_mixed_precision_are_near_those_in_f32() {
    let gpu = device();
    let narrow = [FloatDType::BF16, FloatDType::F16].into_iter().filter(|&dtype| gpu.supports_dtype(dtype));
    let mut tried = 0;
    for dtype in narrow {
        let network = network(&SegmenterSpec { width: 8, ..SegmenterSpec::published(Arch::Unet, 4) });
        let (_, gradients) = first_step(&network, &gpu, Some(dtype));
        let (_, wide) = first_step(&network, &gpu, None);
        let apart = apart(&gradients, &wide);
        println!("{dtype:?}: {apart:.2} apart");
        assert!((1e-6..0.3).contains(&apart), "{dtype:?}: {apart}");
        tried += 1;
    }
    println!("{tried} narrow types on this device; bf16 and f16 that it lacks are not tried");
}

/// A job with a segmenter of one step on the CPU, which all go on from.
fn job() -> Job {
    Job::new(EXE, 5, 3, SIDE)
}

/// A run that succeeded, and computed where it was to.
fn expect_on(device: &str, ran: Ran) {
    let on_cpu = ran.stderr.contains("note: computes on the CPU");
    assert!(ran.stderr.contains("note: computes on ") && on_cpu == (device == "cpu"), "{device}: {}", ran.stderr);
    ran.succeeded();
}

fn cell(job: &Job, out: &str, column: &str) -> Vec<f64> {
    let log = fs::read_to_string(Path::new(&job.path(out)).join("log.csv")).unwrap();
    let mut rows = log.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let place =
        rows.next().unwrap().iter().position(|name| *name == column).unwrap_or_else(|| panic!("{column}: {log}"));
    rows.map(|row| row[place].parse().unwrap_or_else(|_| panic!("{column}: {log}"))).collect()
}

fn expect_alike(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs() / expected.abs().max(1e-2);
        assert!(apart < tolerance, "{what}: {found} and {expected}");
    }
}

#[test]
fn five_losses_of_every_segmenter_are_those_of_the_cpu() {
    let (job, gpu) = (job(), name());
    for arch in Arch::ALL {
        let network = format!("network={arch}");
        let keys = [
            &network,
            "network_width=8",
            "steps=5",
            // Small steps: the signs of gradients next to zero are not the same on all devices, and AdamW follows signs.
            "learning_rate=0.0005",
            "batch=4",
            "warmup=1",
            "validate_every=1",
            "validate_lines=[32]",
        ];
        let out = |device: &str| format!("{arch}-{device}").replace(':', "-");
        let (begun, init) = (format!("{arch}"), job.path(&arch.to_string()));
        let one = [
            &network,
            "network_width=8",
            "steps=1",
            "batch=4",
            "warmup=1",
            "learning_rate=1e-9",
            "validate_lines=[32]",
        ];
        job.train_segmenter(&begun, &one, &["--device", "cpu"]).succeeded();
        for device in ["cpu", &gpu] {
            expect_on(device, job.train_segmenter(&out(device), &keys, &["--init", &init, "--device", device]));
        }
        let losses = |device: &str| cell(&job, &out(device), "loss");
        println!("{arch}: {:?} {:?}", losses(&gpu), losses("cpu"));
        assert_eq!(losses("cpu").len(), 5);
        expect_alike(&arch.to_string(), &losses(&gpu), &losses("cpu"), TOLERANCE);
    }
}

#[test]
fn evaluation_of_a_checkpoint_gives_the_cpus_dice() {
    let (job, gpu) = (job(), name());
    let keys = ["network_width=16", "steps=40", "batch=4", "warmup=1", "learning_rate=0.01", "validate_lines=[32]"];
    job.train_segmenter("reward", &keys, &["--device", "cpu"]).succeeded();
    let [data, reward] = ["data", "reward"].map(|name| job.path(name));
    for (device, out) in [("cpu", "eval-cpu"), (gpu.as_str(), "eval-gpu")] {
        let (out, budgets) = (job.path(out), "8,32");
        let from = ["eval", "--reward-model", &reward, "--data", &data, "--out", &out, "--budgets", budgets];
        expect_on(device, job.run(&[&from[..], &["--baselines", "centre-out", "--device", device]].concat()));
    }
    for budget in [8, 32] {
        let [cpu, gpu] = ["eval-cpu", "eval-gpu"].map(|out| job.mean_dice(out, "centre-out", budget));
        println!("{budget} lines: {cpu} on the CPU, {gpu} on the GPU");
        assert!(cpu > 0.2 && (cpu - gpu).abs() < TOLERANCE, "{budget}: {cpu} {gpu}");
    }
}

#[test]
fn a_policy_update_of_every_kind_is_that_of_the_cpu() {
    let (job, gpu) = (job(), name());
    job.train_segmenter(
        "reward",
        &["network_width=8", "steps=2", "batch=4", "validate_lines=[32]"],
        &["--device", "cpu"],
    )
    .succeeded();
    let line = ["updates=2", "episodes=4", "min_budget=3", "max_budget=4", "epochs=1", "validate_lines=[3]"];
    let volume = [
        "updates=2",
        "episodes=4",
        "copies=1",
        "warm_steps=2",
        "warm_batch=8",
        "min_budget=3",
        "max_budget=4",
        "validate_lines=[3]",
    ];
    let kinds: [(&str, &str, Vec<&str>); 3] = [
        ("line-policy", "scout", line.to_vec()),
        ("line-policy", "asmr", [&line[..], &["network=asmr"]].concat()),
        ("slice-policy", "slices", volume.to_vec()),
    ];
    let reward = job.path("reward");
    for (what, kind, keys) in kinds {
        let out = |device: &str| format!("{kind}-{device}").replace(':', "-");
        // The first update on the CPU, the second on both.
        let begin: Vec<&str> = keys.iter().map(|key| if *key == "updates=2" { "updates=1" } else { key }).collect();
        for device in ["cpu", &gpu] {
            let train = |keys: &[&str], options: &[&str]| {
                job.train(what, &out(device), keys, &[&["--reward-model", &reward], options].concat())
            };
            train(&begin, &["--device", "cpu"]).succeeded();
            expect_on(device, train(&keys, &["--device", device, "--resume"]));
        }
        let header = fs::read_to_string(Path::new(&job.path(&out("cpu"))).join("log.csv")).unwrap();
        let columns = header.lines().next().unwrap().split(',').map(str::to_owned).collect::<Vec<_>>();
        println!("{kind}: {header}");
        let losses: Vec<&String> = columns.iter().filter(|name| name.contains("loss") || *name == "entropy").collect();
        assert!(!losses.is_empty(), "{columns:?}");
        for column in losses {
            expect_alike(column, &cell(&job, &out(&gpu), column), &cell(&job, &out("cpu"), column), 0.02);
        }
    }
}

#[test]
fn a_classifier_learns_there() {
    let (job, gpu) = (job(), name());
    let (data, labels) = (job.path("data"), job.path("labels.csv"));
    job.run(&["data", "labels", &data, "--from", "group", "--out", &labels]).succeeded();
    let keys = ["steps=3", "batch=4", "warmup=1", "validate_every=3", "validate_lines=[32]", "dropout=0.0"];
    let out = |device: &str| format!("classifier-{device}").replace(':', "-");
    for device in ["cpu", &gpu] {
        let first = [&keys[..], &["stop_at=1"]].concat();
        job.train("classifier", &out(device), &first, &["--labels", &labels, "--device", "cpu"]).succeeded();
        let options = ["--labels", &labels, "--device", device, "--resume"];
        expect_on(device, job.train("classifier", &out(device), &keys, &options));
    }
    let losses = |device: &str| cell(&job, &out(device), "loss");
    expect_alike("classifier", &losses(&gpu), &losses("cpu"), 10.0 * TOLERANCE);
}

#[test]
fn devices_lists_it_and_what_is_not_there_is_refused_in_words() {
    let gpu = name();
    let said = run(EXE, ["devices"]).succeeded();
    let first = if gpu.contains(':') { gpu.clone() } else { format!("{gpu}:0") };
    let row = said.lines().find(|line| line.starts_with(&first)).unwrap_or_else(|| panic!("{said}"));
    assert!(!row.contains("does not compute"), "{row}");
    println!("{said}");
    let job = job();
    let kind = gpu.split(':').next().unwrap();
    let many = format!("{kind}:99");
    job.train_segmenter("none", &["steps=1"], &["--device", &many]).refused(&[
        &many,
        &format!("{kind}:0"),
        "kscout devices",
    ]);
    // A bundle that a GPU has trained goes on on the CPU, and the other way round.
    let keys = |steps| [steps, "network_width=8", "batch=4", "warmup=1", "validate_every=2", "validate_lines=[32]"];
    job.train_segmenter("there", &keys("steps=2"), &["--device", &gpu]).succeeded();
    job.train_segmenter("there", &keys("steps=4"), &["--device", "cpu", "--resume"]).succeeded();
    job.train_segmenter("there", &keys("steps=6"), &["--device", &gpu, "--resume"]).succeeded();
    assert_eq!(cell(&job, "there", "step"), [2.0, 4.0, 6.0]);
}
