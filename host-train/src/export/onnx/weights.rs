//! Weights and biases of convolutions: ONNX's order of axes, and the scales that a blob holds only as products.
//!
//! A blob has `s_in * s_weight / s_out` of each channel, in fixed point; with the scales of the tensors that gives `s_weight`. The
//! bias is the accumulator's, in units of `s_in * s_weight`.

use kscout_core::kernels::{ChannelParams, Conv2d, ConvTranspose2x2};
use kscout_core::model::TensorInfo;

use super::builder::Builder;
use super::proto::Attribute;

/// Weights as they lie in an ONNX tensor.
pub(super) struct Filters {
    /// Extents, outermost first.
    pub dims: [usize; 4],
    /// The axis of the output channels.
    pub axis: usize,
    /// The weights, the last index running fastest.
    pub values: Vec<i8>,
}

impl Filters {
    /// `[out][in][kernel y][kernel x]`
    pub fn of_convolution(op: &Conv2d<'_>) -> Self {
        let ((kh, kw), channels) = (op.kernel, op.input.c);
        let dims = [op.output.c, channels, kh, kw];
        Self::gather(dims, 0, |[o, i, y, x]| op.weight(o, y, x * channels + i))
    }

    /// `[channel][1][kernel y][kernel x]`
    pub fn of_depthwise(op: &Conv2d<'_>) -> Self {
        let ((kh, kw), channels) = (op.kernel, op.input.c);
        Self::gather([channels, 1, kh, kw], 0, |[c, _, y, x]| op.weights[(y * kw + x) * channels + c])
    }

    /// `[in][out][kernel y][kernel x]`
    pub fn of_transposed(op: &ConvTranspose2x2<'_>) -> Self {
        let dims = [op.input.c, op.params.len(), 2, 2];
        Self::gather(dims, 1, |[i, o, y, x]| op.weight((o * 2 + y) * 2 + x, i))
    }

    fn gather(dims: [usize; 4], axis: usize, weight: impl Fn([usize; 4]) -> i8) -> Self {
        let [_, b, c, d] = dims;
        let place = |i: usize| [i / (b * c * d), i / (c * d) % b, i / d % c, i % d];
        let values = (0..dims.iter().product()).map(|i| weight(place(i))).collect();
        Self { dims, axis, values }
    }
}

/// Adds weights and bias of a convolution in int8 and their way to real numbers; returns the names of those.
pub(super) fn write(
    builder: &mut Builder,
    name: &str,
    filters: &Filters,
    params: ChannelParams<'_>,
    [input, output]: [&TensorInfo; 2],
) -> [String; 2] {
    let channels = params.len();
    let ratio = f64::from(output.scale) / f64::from(input.scale);
    let scales: Vec<f32> = params.iter().map(|channel| (channel.requant.to_real() * ratio) as f32).collect();
    let products: Vec<f32> = scales.iter().map(|scale| input.scale * scale).collect();
    let biases: Vec<i32> = params.iter().map(|channel| channel.bias).collect();

    let weight = format!("{name}.weight");
    let int8 = builder.int8s(&format!("{weight}.int8"), &filters.dims, &filters.values);
    let scale = builder.floats(&format!("{weight}.scale"), &[channels], &scales);
    let zero = builder.int8s(&format!("{weight}.zero_point"), &[channels], &vec![0; channels]);
    let axis = vec![Attribute::int("axis", filters.axis as i64)];
    let weight = builder.node("DequantizeLinear", &[&int8, &scale, &zero], &weight, axis);

    let bias = format!("{name}.bias");
    let int32 = builder.int32s(&format!("{bias}.int32"), &[channels], &biases);
    let scale = builder.floats(&format!("{bias}.scale"), &[channels], &products);
    let zero = builder.int32s(&format!("{bias}.zero_point"), &[channels], &vec![0; channels]);
    let axis = vec![Attribute::int("axis", 0)];
    let bias = builder.node("DequantizeLinear", &[&int32, &scale, &zero], &bias, axis);
    [weight, bias]
}
