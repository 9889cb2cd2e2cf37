//! int8 operators against vectors computed by CMSIS-NN (plain C build), to the bit.
//!
//! The vectors lie in `golden/int8/layers.jsonl`; `KSCOUT_GOLDEN` names another folder laid out as `golden`.

use kscout_core::kernels::{
    Add, Channel, ChannelParams, Conv2d, Kernels, Layout, MaxPool, Portable, Reference, Shape, conv_scratch_bytes,
    depthwise_scratch_bytes,
};
use kscout_core::quant::Requant;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Conv {
    in_hwc: [usize; 3],
    out_hwc: [usize; 3],
    kernel: [usize; 2],
    stride: usize,
    pad: usize,
    dilation: usize,
    in_zero: i32,
    out_zero: i32,
    clamp: (i8, i8),
    input: Vec<i8>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<i32>,
    shift: Vec<i32>,
    output: Vec<i8>,
}

#[derive(Deserialize)]
struct Linear {
    r#in: usize,
    out: usize,
    in_zero: i32,
    out_zero: i32,
    clamp: (i8, i8),
    multiplier: i32,
    shift: i32,
    input: Vec<i8>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    output: Vec<i8>,
}

#[derive(Deserialize)]
struct Pool {
    in_hwc: [usize; 3],
    kernel: [usize; 2],
    stride: usize,
    input: Vec<i8>,
    output: Vec<i8>,
}

#[derive(Deserialize)]
struct Sum {
    len: usize,
    in1_zero: i32,
    in1_multiplier: i32,
    in1_shift: i32,
    in2_zero: i32,
    in2_multiplier: i32,
    in2_shift: i32,
    left_shift: u32,
    out_zero: i32,
    out_multiplier: i32,
    out_shift: i32,
    input1: Vec<i8>,
    input2: Vec<i8>,
    output: Vec<i8>,
}

fn shape([h, w, c]: [usize; 3]) -> Shape {
    Shape { h, w, c }
}

/// A linear layer is a 1x1 convolution over one position, with one scale for all channels.
fn linear_as_conv(layer: Linear) -> Conv {
    Conv {
        in_hwc: [1, 1, layer.r#in],
        out_hwc: [1, 1, layer.out],
        kernel: [1, 1],
        stride: 1,
        pad: 0,
        dilation: 1,
        in_zero: layer.in_zero,
        out_zero: layer.out_zero,
        clamp: layer.clamp,
        input: layer.input,
        weights: layer.weights,
        bias: layer.bias,
        multiplier: vec![layer.multiplier; layer.out],
        shift: vec![layer.shift; layer.out],
        output: layer.output,
    }
}

fn run_conv(kernels: &impl Kernels, layer: &Conv, depthwise: bool) -> Vec<i8> {
    let scales = layer.multiplier.iter().zip(&layer.shift);
    let params: Vec<u8> = layer
        .bias
        .iter()
        .zip(scales)
        .flat_map(|(&bias, (&multiplier, &shift))| {
            let requant = Requant { multiplier, shift };
            Channel { bias, requant }.to_bytes()
        })
        .collect();
    let op = Conv2d {
        input: shape(layer.in_hwc),
        output: shape(layer.out_hwc),
        kernel: layer.kernel.into(),
        stride: layer.stride,
        pad: layer.pad,
        dilation: layer.dilation,
        in_zero: layer.in_zero,
        out_zero: layer.out_zero,
        clamp: layer.clamp,
        weights: &layer.weights,
        layout: Layout::Portable,
        rows: (0, layer.out_hwc[0]),
        params: ChannelParams::new(&params).expect("whole records"),
    };
    let mut output = vec![0; op.output.len()];
    let bytes = if depthwise { depthwise_scratch_bytes } else { conv_scratch_bytes };
    // Room to start at an address that is a multiple of 16, as an arena does.
    let mut scratch = vec![0u8; bytes(op.kernel, op.input.c) + 16];
    let start = scratch.as_ptr().align_offset(16);
    if depthwise {
        kernels.depthwise(&op, &layer.input, &mut output, &mut scratch[start..]);
    } else {
        kernels.conv2d(&op, &layer.input, &mut output, &mut scratch[start..]);
    }
    output
}

fn run_pool(kernels: &impl Kernels, layer: &Pool) -> Vec<i8> {
    assert_eq!(layer.kernel[0], layer.kernel[1]);
    let op = MaxPool { input: shape(layer.in_hwc), kernel: layer.kernel[0], stride: layer.stride, clamp: (-128, 127) };
    let mut output = vec![0; layer.output.len()];
    kernels.max_pool(&op, &layer.input, &mut output);
    output
}

fn run_sum(kernels: &impl Kernels, layer: &Sum) -> Vec<i8> {
    let op = Add {
        len: layer.len,
        a_zero: layer.in1_zero,
        a: Requant { multiplier: layer.in1_multiplier, shift: layer.in1_shift },
        b_zero: layer.in2_zero,
        b: Requant { multiplier: layer.in2_multiplier, shift: layer.in2_shift },
        left_shift: layer.left_shift,
        out: Requant { multiplier: layer.out_multiplier, shift: layer.out_shift },
        out_zero: layer.out_zero,
        clamp: (-128, 127),
    };
    let mut output = vec![0; layer.len];
    kernels.add(&op, &layer.input1, &layer.input2, &mut output);
    output
}

fn run(kernels: &impl Kernels, op: &str, layer: Value) -> (Vec<i8>, Vec<i8>) {
    const FORM: &str = "a layer has the keys of its kind";
    match op {
        "conv" | "depthwise" => {
            let layer: Conv = serde_json::from_value(layer).expect(FORM);
            (run_conv(kernels, &layer, op == "depthwise"), layer.output)
        }
        "linear" => {
            let layer = linear_as_conv(serde_json::from_value(layer).expect(FORM));
            (run_conv(kernels, &layer, false), layer.output)
        }
        "maxpool" => {
            let layer: Pool = serde_json::from_value(layer).expect(FORM);
            (run_pool(kernels, &layer), layer.output)
        }
        "add" => {
            let layer: Sum = serde_json::from_value(layer).expect(FORM);
            (run_sum(kernels, &layer), layer.output)
        }
        other => panic!("layers.jsonl holds an operator this test does not know: {other}"),
    }
}

fn every_layer_agrees(kernels: &impl Kernels) {
    let path = kscout_tests::golden_dir().join("int8/layers.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut layers = 0;
    for line in text.lines() {
        let layer: Value = serde_json::from_str(line).expect("one JSON object a line");
        let name = layer["name"].as_str().expect("a layer has a name").to_owned();
        let op = layer["op"].as_str().expect("a layer names its operator").to_owned();
        let (ours, theirs) = run(kernels, &op, layer);
        assert_eq!(ours, theirs, "{name}");
        layers += 1;
    }
    assert!(layers >= 16, "{}: {layers} layers, 16 expected", path.display());
}

#[test]
fn reference_kernels_equal_cmsis_nn_to_the_bit() {
    every_layer_agrees(&Reference);
}

#[test]
fn portable_kernels_equal_cmsis_nn_to_the_bit() {
    every_layer_agrees(&Portable);
}
