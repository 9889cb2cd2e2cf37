//! From a calibrated graph to int8, as TFLite does it: per-channel symmetric weights, per-tensor asymmetric activations,
//! i32 bias at the accumulator's scale (Jacob et al., "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference", CVPR 2018).

use kscout_core::kernels::Channel;
use kscout_core::quant::Requant;

use super::blob_writer::{ConvRepr, GraphSpec, OperatorRepr, TensorId, TensorSpec, f32_bytes, i8_bytes, param_bytes};
use super::calibrate::Range;
use crate::net::FloatGraph;
use crate::net::graph::{FloatConv, FloatNode, FloatOp, gelu};

/// TFLite's headroom for the inputs of an addition.
const ADD_LEFT_SHIFT: u32 = 20;

/// Why a graph could not be quantised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("node {node} ({op}): {message}; the weights or the calibration data are broken")]
pub struct QuantiseError {
    /// The node's number.
    pub node: usize,
    /// Its operator.
    pub op: &'static str,
    /// What is wrong.
    pub message: String,
}

/// The int8 graph of `graph`, whose nodes take values in `ranges`.
pub fn quantise(graph: &FloatGraph, ranges: &[Range]) -> Result<GraphSpec, QuantiseError> {
    let mut spec = GraphSpec::default();
    for input in &graph.inputs {
        spec.input(TensorSpec { shape: input.shape, scale: input.scale, zero_point: input.zero_point });
    }
    let ranges = handed_on(graph, ranges);
    for (number, (node, range)) in graph.nodes.iter().zip(&ranges).enumerate() {
        let inputs: Vec<TensorId> = node.inputs.iter().map(|&tensor| TensorId(tensor)).collect();
        let read: Vec<TensorSpec> =
            inputs.iter().map(|&id| *spec.tensor(id).expect("nodes read what was written before")).collect();
        let error = |message| QuantiseError { node: number, op: name(&node.op), message };
        let output = output_tensor(node, *range, &read[0]).map_err(error)?;
        let op = operator(node, &read, &output).map_err(error)?;
        spec.push(op, &inputs, output);
    }
    Ok(spec)
}

/// The ranges to quantise with: a concatenation that only another one reads takes that one's, so that its values are
/// rounded once, and handed on as they are by all the others of a chain.
fn handed_on(graph: &FloatGraph, ranges: &[Range]) -> Vec<Range> {
    let joins = |node: usize| matches!(graph.nodes[node].op, FloatOp::Concat);
    let mut ranges = ranges.to_vec();
    for node in (0..graph.nodes.len()).rev().filter(|&node| joins(node)) {
        let tensor = graph.inputs.len() + node;
        let mut readers = (0..graph.nodes.len()).filter(|&reader| graph.nodes[reader].inputs.contains(&tensor));
        if let (Some(reader), None) = (readers.next(), readers.next())
            && joins(reader)
        {
            ranges[node] = ranges[reader];
        }
    }
    ranges
}

/// What an operator is called.
pub(super) fn name(op: &FloatOp) -> &'static str {
    match op {
        FloatOp::Conv(_) => "convolution",
        FloatOp::Depthwise(_) => "depthwise convolution",
        FloatOp::MaxPool2 => "max pooling",
        FloatOp::Add => "addition",
        FloatOp::Concat => "concatenation",
        FloatOp::ConvTranspose2x2(_) => "transposed convolution",
        FloatOp::Upsample2x(_) => "interpolation",
        FloatOp::LayerNorm { .. } => "layer norm",
        FloatOp::Gelu => "GELU",
        FloatOp::Shift(_) => "shift",
    }
}

/// Scale and zero point of a node's result. Operators that only move values keep their input's.
fn output_tensor(node: &FloatNode, range: Range, input: &TensorSpec) -> Result<TensorSpec, String> {
    let (scale, zero_point) = match node.op {
        FloatOp::MaxPool2 | FloatOp::Shift(_) => (input.scale, input.zero_point),
        _ => scale_of(range)?,
    };
    Ok(TensorSpec { shape: node.shape, scale, zero_point })
}

/// The scale and zero point that spread -128..=127 over `range`, with 0.0 on a step.
pub(super) fn scale_of(range: Range) -> Result<(f32, i32), String> {
    let span = range.high - range.low;
    if !span.is_finite() {
        return Err(format!("values from {} to {} are not finite", range.low, range.high));
    }
    // A tensor that is always zero has any scale.
    let scale = if span > 0.0 { span / 255.0 } else { 1.0 };
    let zero_point = (-128.0 - range.low / scale).round().clamp(-128.0, 127.0) as i32;
    Ok((scale, zero_point))
}

/// What int8 makes of `values` in a tensor that takes values in `range`.
pub(super) fn in_steps(mut values: Vec<f32>, range: Range) -> Vec<f32> {
    if let Ok((scale, zero_point)) = scale_of(range) {
        let (low, high) = ((-128 - zero_point) as f32, (127 - zero_point) as f32);
        values.iter_mut().for_each(|x| *x = (*x / scale).round().clamp(low, high) * scale);
    }
    values
}

fn operator(node: &FloatNode, read: &[TensorSpec], output: &TensorSpec) -> Result<OperatorRepr<Vec<u8>>, String> {
    let input = &read[0];
    let clamp = (if node.relu { output.zero_point as i8 } else { -128 }, 127);
    Ok(match &node.op {
        FloatOp::Conv(conv) => {
            let (weights, params) = conv_constants(conv, &by_output(conv), input, output)?;
            OperatorRepr::Conv2d(conv_repr(conv, clamp, weights.concat(), params))
        }
        FloatOp::Depthwise(conv) => {
            let n = conv.bias.len();
            let channels: Vec<Vec<f32>> =
                (0..n).map(|c| conv.weights[c..].iter().step_by(n).copied().collect()).collect();
            let (weights, params) = conv_constants(conv, &channels, input, output)?;
            let taps = conv.weights.len() / n;
            let weights = (0..taps).flat_map(|t| weights.iter().map(move |channel| channel[t])).collect();
            OperatorRepr::Depthwise(conv_repr(conv, clamp, weights, params))
        }
        FloatOp::MaxPool2 => OperatorRepr::MaxPool { kernel: 2, stride: 2, clamp },
        FloatOp::Add => {
            let widest = 2.0 * f64::from(read[0].scale.max(read[1].scale));
            OperatorRepr::Add {
                a: factor(f64::from(read[0].scale) / widest)?,
                b: factor(f64::from(read[1].scale) / widest)?,
                left_shift: ADD_LEFT_SHIFT,
                out: factor(widest / (f64::from(1u32 << ADD_LEFT_SHIFT) * f64::from(output.scale)))?,
                clamp,
            }
        }
        FloatOp::Concat => OperatorRepr::Concat {
            a: factor(f64::from(read[0].scale) / f64::from(output.scale))?,
            b: factor(f64::from(read[1].scale) / f64::from(output.scale))?,
            clamp,
        },
        FloatOp::ConvTranspose2x2(conv) => {
            let (weights, params) = conv_constants(conv, &by_output(conv), input, output)?;
            OperatorRepr::ConvTranspose2x2 { clamp, weights: i8_bytes(&weights.concat()), params }
        }
        FloatOp::Upsample2x(corners) => {
            let total = corners.total_weight(input.shape) as f64;
            let requant = factor(f64::from(input.scale) / (total * f64::from(output.scale)))?;
            OperatorRepr::Upsample2x { corners: *corners, requant, clamp }
        }
        FloatOp::LayerNorm { gamma, beta, epsilon } => {
            finite(gamma)?;
            finite(beta)?;
            let divided = |values: &[f32]| values.iter().map(|v| v / output.scale).collect::<Vec<_>>();
            OperatorRepr::LayerNorm {
                eps_q: epsilon / (input.scale * input.scale),
                clamp,
                gamma: f32_bytes(&divided(gamma)),
                beta: f32_bytes(&divided(beta)),
            }
        }
        FloatOp::Gelu => OperatorRepr::Table { table: i8_bytes(&table(input, output, gelu)) },
        FloatOp::Shift(axis) => OperatorRepr::Shift { axis: *axis },
    })
}

/// The weights of each output channel, where these lie together.
fn by_output(conv: &FloatConv) -> Vec<Vec<f32>> {
    conv.weights.chunks_exact(conv.weights.len() / conv.bias.len()).map(<[f32]>::to_vec).collect()
}

/// Comparisons ignore what is not a number, so weights are looked at one by one.
fn finite(weights: &[f32]) -> Result<(), String> {
    match weights.iter().find(|weight| !weight.is_finite()) {
        Some(weight) => Err(format!("a weight is {weight}")),
        None => Ok(()),
    }
}

fn conv_repr(conv: &FloatConv, clamp: (i8, i8), weights: Vec<i8>, params: Vec<u8>) -> ConvRepr<Vec<u8>> {
    ConvRepr {
        kernel: conv.kernel,
        stride: conv.stride,
        pad: conv.pad,
        dilation: 1,
        clamp,
        weights: i8_bytes(&weights),
        params,
    }
}

/// Quantised weights, channel by channel, and the channels' records.
fn conv_constants(
    conv: &FloatConv,
    channels: &[Vec<f32>],
    input: &TensorSpec,
    output: &TensorSpec,
) -> Result<(Vec<Vec<i8>>, Vec<u8>), String> {
    let mut records = Vec::with_capacity(channels.len());
    let mut quantised = Vec::with_capacity(channels.len());
    for (weights, &bias) in channels.iter().zip(&conv.bias) {
        finite(weights)?;
        finite(&[bias])?;
        let largest = weights.iter().fold(0f32, |largest, w| largest.max(w.abs()));
        // The bias must fit i32 at the accumulator's scale, so weights next to nothing get a coarser one.
        let input_scale = f64::from(input.scale);
        let least = f64::from(bias.abs()) / (f64::from(1 << 29) * input_scale);
        let scale = (f64::from(largest) / 127.0).max(least).max(f64::from(output.scale) / input_scale * 2f64.powi(-30));
        quantised.push(weights.iter().map(|&w| (f64::from(w) / scale).round().clamp(-127.0, 127.0) as i8).collect());
        let requant = factor(input_scale * scale / f64::from(output.scale))?;
        let bias = (f64::from(bias) / (input_scale * scale)).round() as i32;
        records.push(Channel { bias, requant });
    }
    Ok((quantised, param_bytes(&records)))
}

fn factor(real: f64) -> Result<Requant, String> {
    Requant::from_real(real).ok_or_else(|| format!("the scale {real:e} has no fixed-point form"))
}

/// The 256 values of a function from one tensor's scale to another's.
fn table(input: &TensorSpec, output: &TensorSpec, f: impl Fn(f32) -> f32) -> [i8; 256] {
    std::array::from_fn(|i| {
        let x = (i as i32 - 128 - input.zero_point) as f32 * input.scale;
        let y = (f(x) / output.scale).round() + output.zero_point as f32;
        y.clamp(-128.0, 127.0) as i8
    })
}

#[cfg(test)]
mod tests {
    use kscout_core::kernels::{Corners, Shape};

    use super::*;
    use crate::net::graph::GraphInput;

    #[test]
    fn zero_is_exact_in_every_range() {
        for (low, high) in [(-1.0, 3.0), (0.0, 6.0), (-2.5, 0.0), (0.0, 0.0)] {
            let (scale, zero_point) = scale_of(Range { low, high }).unwrap();
            assert!(scale > 0.0 && (-128..=127).contains(&zero_point), "{low} {high}");
            assert!((zero_point as f32 + high / scale) <= 127.6, "{low} {high}");
        }
    }

    /// Three inputs of the scales 1/2, 1/4 and 2, joined as `reads` says and then read by a GELU.
    fn joined(reads: &[[usize; 2]], ranges: &[f32]) -> GraphSpec {
        let mut graph = FloatGraph::default();
        for scale in [0.5, 0.25, 2.0] {
            graph.input(GraphInput { shape: Shape::new(2, 2, 1), scale, zero_point: 3 });
        }
        let last = reads.iter().fold(0, |_, read| graph.push(FloatOp::Concat, false, read));
        graph.push(FloatOp::Gelu, false, &[last]);
        let ranges: Vec<Range> = ranges.iter().copied().map(up_to).collect();
        quantise(&graph, &ranges).unwrap()
    }

    fn up_to(high: f32) -> Range {
        Range { low: -1.0, high }
    }

    fn factors(spec: &GraphSpec, node: usize) -> [f64; 2] {
        match spec.nodes[node].op {
            OperatorRepr::Concat { a, b, .. } => [a.to_real(), b.to_real()],
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn concatenations_in_a_chain_share_the_last_ones_scale_and_round_once() {
        let spec = joined(&[[0, 1], [3, 2], [2, 4]], &[1.0, 2.0, 254.0, 9.0]);
        let outputs: Vec<(f32, i32)> = spec.nodes.iter().map(|n| (n.output.scale, n.output.zero_point)).collect();
        assert_eq!(outputs[..3], [(1.0, -127); 3]);
        assert_ne!(outputs[3].0, 1.0);
        assert_eq!([0, 1, 2].map(|node| factors(&spec, node)), [[0.5, 0.25], [1.0, 2.0], [2.0, 1.0]]);
    }

    #[test]
    fn a_concatenation_that_two_nodes_read_keeps_its_own_scale() {
        // Node 0 is read by node 1 and by node 2.
        let spec = joined(&[[0, 1], [3, 2], [4, 3]], &[126.5, 509.0, 254.0, 9.0]);
        let scales: Vec<f32> = spec.nodes.iter().map(|n| n.output.scale).collect();
        assert_eq!(scales[..3], [0.5, 1.0, 1.0]);
        assert_eq!([0, 1, 2].map(|node| factors(&spec, node)), [[1.0, 0.5], [0.5, 2.0], [1.0, 0.5]]);
    }

    #[test]
    fn an_aligned_interpolation_divides_by_all_of_its_weight() {
        let mut graph = FloatGraph::default();
        let image = graph.input(GraphInput { shape: Shape::new(3, 5, 1), scale: 0.5, zero_point: 0 });
        graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[image]);
        let spec = quantise(&graph, &[up_to(254.0)]).unwrap();
        let OperatorRepr::Upsample2x { corners: Corners::Aligned, requant, .. } = spec.nodes[0].op else { panic!() };
        assert!((requant.to_real() * 5.0 * 9.0 / 0.5 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn values_go_to_the_nearest_step_and_not_beyond_the_range() {
        let range = Range { low: -1.0, high: 254.0 };
        assert_eq!(in_steps(vec![-3.0, -0.4, 0.6, 7.2, 300.0], range), [-1.0, 0.0, 1.0, 7.0, 254.0]);
    }

    #[test]
    fn a_range_that_is_not_finite_is_refused() {
        assert!(scale_of(Range { low: 0.0, high: f32::INFINITY }).is_err());
    }
}
