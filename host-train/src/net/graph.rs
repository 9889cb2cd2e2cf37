//! A network as a list of operators with real-valued weights: what the exporter quantises, and a plain interpreter of it.
//!
//! Batch norms are folded into the convolutions before them and linear layers are 1x1 convolutions, so the operators are
//! the core's, one for one. Tensors are HWC, one image at a time.

use kscout_core::kernels::{Axis, Shape};

/// A tensor's number: inputs first, then one a node.
pub type TensorIndex = usize;

/// An input with its fixed quantisation, `real = scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GraphInput {
    /// Rows, columns, channels.
    pub shape: Shape,
    /// Size of one step.
    pub scale: f32,
    /// The value that stands for zero.
    pub zero_point: i32,
}

/// A convolution's weights and geometry. Ordinary: `[out][kh][kw][in]`; depthwise: `[kh][kw][c]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatConv {
    /// The weights.
    pub weights: Vec<f32>,
    /// One value an output channel.
    pub bias: Vec<f32>,
    /// Kernel height and width.
    pub kernel: (usize, usize),
    /// Step along both axes.
    pub stride: usize,
    /// Zeros added on every side.
    pub pad: usize,
}

/// An operator, without its ReLU.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatOp {
    /// Convolution.
    Conv(FloatConv),
    /// Convolution of every channel with its own kernel.
    Depthwise(FloatConv),
    /// Largest value of 2x2 windows, step 2.
    MaxPool2,
    /// Sum of two tensors.
    Add,
    /// Bilinear interpolation to twice the size, half-pixel centres.
    Upsample2x,
    /// Norm over the channels of a pixel.
    LayerNorm {
        /// Scale, one a channel.
        gamma: Vec<f32>,
        /// Offset, one a channel.
        beta: Vec<f32>,
        /// Added to the variance.
        epsilon: f32,
    },
    /// Gaussian error linear unit.
    Gelu,
    /// UNeXt's token shift.
    Shift(Axis),
}

/// An operator in its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNode {
    /// What is computed.
    pub op: FloatOp,
    /// Whether negative results become zero.
    pub relu: bool,
    /// The tensors read.
    pub inputs: Vec<TensorIndex>,
    /// Shape of the result.
    pub shape: Shape,
}

/// A network. The last node writes the output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatGraph {
    /// The caller's tensors.
    pub inputs: Vec<GraphInput>,
    /// Nodes in the order they run.
    pub nodes: Vec<FloatNode>,
}

impl FloatGraph {
    /// Adds an input; inputs come before nodes.
    pub fn input(&mut self, input: GraphInput) -> TensorIndex {
        self.inputs.push(input);
        self.inputs.len() - 1
    }

    /// Adds a node that reads `inputs`; returns its tensor.
    pub fn push(&mut self, op: FloatOp, relu: bool, inputs: &[TensorIndex]) -> TensorIndex {
        let shape = output_shape(&op, self.shape(inputs[0]));
        self.nodes.push(FloatNode { op, relu, inputs: inputs.to_vec(), shape });
        self.inputs.len() + self.nodes.len() - 1
    }

    /// The shape of a tensor.
    pub fn shape(&self, tensor: TensorIndex) -> Shape {
        match tensor.checked_sub(self.inputs.len()) {
            None => self.inputs[tensor].shape,
            Some(node) => self.nodes[node].shape,
        }
    }

    /// Multiply-accumulates of one run: those of the convolutions.
    pub fn macs(&self) -> u64 {
        let of = |node: &FloatNode| match &node.op {
            FloatOp::Conv(conv) => node.shape.h * node.shape.w * conv.weights.len(),
            FloatOp::Depthwise(conv) => node.shape.len() * conv.kernel.0 * conv.kernel.1,
            _ => 0,
        };
        self.nodes.iter().map(|node| of(node) as u64).sum()
    }

    /// Every node's result for the real-valued `inputs`.
    pub fn run(&self, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut results: Vec<Vec<f32>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let read = |i: usize| match node.inputs[i].checked_sub(self.inputs.len()) {
                None => inputs[node.inputs[i]],
                Some(node) => &results[node],
            };
            let shape = self.shape(node.inputs[0]);
            let mut result = match &node.op {
                FloatOp::Conv(conv) => convolve(conv, read(0), shape, node.shape),
                FloatOp::Depthwise(conv) => depthwise(conv, read(0), shape, node.shape),
                FloatOp::MaxPool2 => max_pool2(read(0), shape),
                FloatOp::Add => read(0).iter().zip(read(1)).map(|(a, b)| a + b).collect(),
                FloatOp::Upsample2x => upsample2x(read(0), shape),
                FloatOp::LayerNorm { gamma, beta, epsilon } => layer_norm(read(0), gamma, beta, *epsilon),
                FloatOp::Gelu => read(0).iter().map(|&x| gelu(x)).collect(),
                FloatOp::Shift(axis) => shift(read(0), shape, *axis),
            };
            if node.relu {
                result.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            results.push(result);
        }
        results
    }
}

/// The exact GELU, `x Phi(x)`.
pub fn gelu(x: f32) -> f32 {
    let x = f64::from(x);
    (0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))) as f32
}

fn output_shape(op: &FloatOp, input: Shape) -> Shape {
    let slid = |conv: &FloatConv, c| Shape {
        h: (input.h + 2 * conv.pad - conv.kernel.0) / conv.stride + 1,
        w: (input.w + 2 * conv.pad - conv.kernel.1) / conv.stride + 1,
        c,
    };
    match op {
        FloatOp::Conv(conv) | FloatOp::Depthwise(conv) => slid(conv, conv.bias.len()),
        FloatOp::MaxPool2 => Shape { h: input.h / 2, w: input.w / 2, c: input.c },
        FloatOp::Upsample2x => Shape { h: input.h * 2, w: input.w * 2, c: input.c },
        _ => input,
    }
}

/// Calls `f(output pixel, tap, input pixel)` for every tap that lies inside the image.
fn for_taps(conv: &FloatConv, input: Shape, output: Shape, mut f: impl FnMut(usize, usize, usize)) {
    for oy in 0..output.h {
        for ox in 0..output.w {
            for ky in 0..conv.kernel.0 {
                for kx in 0..conv.kernel.1 {
                    let y = (oy * conv.stride + ky).wrapping_sub(conv.pad);
                    let x = (ox * conv.stride + kx).wrapping_sub(conv.pad);
                    if y < input.h && x < input.w {
                        f(oy * output.w + ox, ky * conv.kernel.1 + kx, y * input.w + x);
                    }
                }
            }
        }
    }
}

fn convolve(conv: &FloatConv, input: &[f32], from: Shape, to: Shape) -> Vec<f32> {
    let taps = conv.kernel.0 * conv.kernel.1;
    // [tap][in][out], so that the innermost loop runs over neighbours in memory.
    let mut weights = vec![0.0; conv.weights.len()];
    for out in 0..to.c {
        for i in 0..taps * from.c {
            weights[i * to.c + out] = conv.weights[out * taps * from.c + i];
        }
    }
    let mut result = conv.bias.repeat(to.h * to.w);
    for_taps(conv, from, to, |pixel, tap, source| {
        let sums = &mut result[pixel * to.c..(pixel + 1) * to.c];
        for channel in 0..from.c {
            let value = input[source * from.c + channel];
            let row = &weights[(tap * from.c + channel) * to.c..][..to.c];
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
        }
    });
    result
}

fn depthwise(conv: &FloatConv, input: &[f32], from: Shape, to: Shape) -> Vec<f32> {
    let mut result = conv.bias.repeat(to.h * to.w);
    for_taps(conv, from, to, |pixel, tap, source| {
        let values = input[source * from.c..][..from.c].iter().zip(&conv.weights[tap * from.c..]);
        let sums = result[pixel * to.c..].iter_mut();
        sums.zip(values).for_each(|(sum, (value, weight))| *sum += value * weight);
    });
    result
}

fn max_pool2(input: &[f32], from: Shape) -> Vec<f32> {
    let at = |y: usize, x: usize, c: usize| input[(y * from.w + x) * from.c + c];
    map_pixels(from.h / 2, from.w / 2, from.c, |y, x, c| {
        at(2 * y, 2 * x, c).max(at(2 * y, 2 * x + 1, c)).max(at(2 * y + 1, 2 * x, c)).max(at(2 * y + 1, 2 * x + 1, c))
    })
}

fn upsample2x(input: &[f32], from: Shape) -> Vec<f32> {
    let at = |y: usize, x: usize, c: usize| input[(y * from.w + x) * from.c + c];
    let near_far = |o: usize, n: usize| {
        let near = o / 2;
        let far = if o.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(n - 1) };
        (near, far)
    };
    map_pixels(from.h * 2, from.w * 2, from.c, |oy, ox, c| {
        let ((y, fy), (x, fx)) = (near_far(oy, from.h), near_far(ox, from.w));
        (9.0 * at(y, x, c) + 3.0 * at(y, fx, c) + 3.0 * at(fy, x, c) + at(fy, fx, c)) / 16.0
    })
}

fn layer_norm(input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let n = gamma.len() as f32;
    input
        .chunks_exact(gamma.len())
        .flat_map(|pixel| {
            let mean = pixel.iter().sum::<f32>() / n;
            let variance = pixel.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            pixel.iter().zip(gamma).zip(beta).map(move |((x, g), b)| (x - mean) * inverse * g + b)
        })
        .collect()
}

fn shift(input: &[f32], from: Shape, axis: Axis) -> Vec<f32> {
    let size = from.c.div_ceil(5);
    map_pixels(from.h, from.w, from.c, |y, x, c| {
        let by = (c / size) as isize - 2;
        let (y, x) = match axis {
            Axis::Y => (y.wrapping_add_signed(-by), x),
            Axis::X => (y, x.wrapping_add_signed(-by)),
        };
        if y < from.h && x < from.w { input[(y * from.w + x) * from.c + c] } else { 0.0 }
    })
}

fn map_pixels(h: usize, w: usize, c: usize, f: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let f = &f;
    (0..h).flat_map(move |y| (0..w).flat_map(move |x| (0..c).map(move |c| f(y, x, c)))).collect()
}
