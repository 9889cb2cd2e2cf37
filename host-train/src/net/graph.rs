//! A network as a list of operators with real-valued weights: what the exporter quantises, and a plain interpreter of it.
//!
//! Batch norms are folded into the convolutions before them and linear layers are 1x1 convolutions, so the operators are
//! the core's, one for one. Tensors are HWC, one image at a time.

use kscout_core::contract::IMAGE_LEVELS_PER_RMS;
use kscout_core::kernels::{Axis, Corners, Shape};

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

impl GraphInput {
    /// The quantised image of the lines measured so far.
    pub fn image(height: usize, width: usize) -> Self {
        Self { shape: Shape { h: height, w: width, c: 1 }, scale: 1.0 / IMAGE_LEVELS_PER_RMS, zero_point: -128 }
    }
}

/// A convolution's weights and geometry. Ordinary and transposed: `[out][kh][kw][in]`; depthwise: `[kh][kw][c]`.
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
    /// Two tensors of one height and width, joined along the channels.
    Concat,
    /// Transposed convolution: kernel 2x2, stride 2, no padding.
    ConvTranspose2x2(FloatConv),
    /// Bilinear interpolation to twice the size.
    Upsample2x(Corners),
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

impl FloatNode {
    /// Multiply-accumulates of one run.
    pub fn macs(&self) -> u64 {
        let macs = match &self.op {
            FloatOp::Conv(conv) => self.shape.h * self.shape.w * conv.weights.len(),
            FloatOp::Depthwise(conv) => self.shape.len() * conv.kernel.0 * conv.kernel.1,
            // Each output is a sum over the input channels alone.
            FloatOp::ConvTranspose2x2(conv) => self.shape.h * self.shape.w * conv.weights.len() / 4,
            _ => 0,
        };
        macs as u64
    }
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
        let read: Vec<Shape> = inputs.iter().map(|&tensor| self.shape(tensor)).collect();
        let shape = output_shape(&op, &read);
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
        self.nodes.iter().map(FloatNode::macs).sum()
    }

    /// Every node's result for the real-valued `inputs`.
    pub fn run(&self, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut results: Vec<Vec<f32>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            results.push(self.result(node, inputs, &results));
        }
        results
    }

    /// Shows `observe` every node's number and result for the real-valued `inputs`. A result is given up once the last
    /// node that reads it has run: a large network at full size has gigabytes of them.
    pub fn run_with(&self, inputs: &[&[f32]], mut observe: impl FnMut(usize, &[f32])) {
        let writer = |tensor: TensorIndex| tensor.checked_sub(self.inputs.len());
        let mut last_read: Vec<usize> = (0..self.nodes.len()).collect();
        for (number, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().filter_map(|&tensor| writer(tensor)).for_each(|read| last_read[read] = number);
        }
        let mut results: Vec<Vec<f32>> = Vec::with_capacity(self.nodes.len());
        for (number, node) in self.nodes.iter().enumerate() {
            results.push(self.result(node, inputs, &results));
            observe(number, &results[number]);
            for read in node.inputs.iter().filter_map(|&tensor| writer(tensor)).chain([number]) {
                if last_read[read] == number {
                    results[read] = Vec::new();
                }
            }
        }
    }

    /// What `node` makes of the graph's inputs and of what earlier nodes have written.
    fn result(&self, node: &FloatNode, inputs: &[&[f32]], results: &[Vec<f32>]) -> Vec<f32> {
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
            FloatOp::Concat => concat(read(0), shape.c, read(1), node.shape.c - shape.c),
            FloatOp::ConvTranspose2x2(conv) => conv_transpose2x2(conv, read(0), shape, node.shape),
            FloatOp::Upsample2x(corners) => upsample2x(*corners, read(0), shape),
            FloatOp::LayerNorm { gamma, beta, epsilon } => layer_norm(read(0), gamma, beta, *epsilon),
            FloatOp::Gelu => read(0).iter().map(|&x| gelu(x)).collect(),
            FloatOp::Shift(axis) => shift(read(0), shape, *axis),
        };
        if node.relu {
            result.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        result
    }
}

/// The exact GELU, `x Phi(x)`.
pub fn gelu(x: f32) -> f32 {
    let x = f64::from(x);
    (0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))) as f32
}

/// The shape of what `op` makes of tensors of the shapes `read`.
fn output_shape(op: &FloatOp, read: &[Shape]) -> Shape {
    let input = read[0];
    let slid = |conv: &FloatConv, c| Shape {
        h: (input.h + 2 * conv.pad - conv.kernel.0) / conv.stride + 1,
        w: (input.w + 2 * conv.pad - conv.kernel.1) / conv.stride + 1,
        c,
    };
    match op {
        FloatOp::Conv(conv) | FloatOp::Depthwise(conv) => slid(conv, conv.bias.len()),
        FloatOp::MaxPool2 => Shape { h: input.h / 2, w: input.w / 2, c: input.c },
        FloatOp::Concat => Shape { c: input.c + read[1].c, ..input },
        FloatOp::ConvTranspose2x2(conv) => Shape { h: input.h * 2, w: input.w * 2, c: conv.bias.len() },
        FloatOp::Upsample2x(_) => Shape { h: input.h * 2, w: input.w * 2, c: input.c },
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
    let weights = by_tap(conv);
    let mut result = conv.bias.repeat(to.h * to.w);
    for_taps(conv, from, to, |pixel, tap, source| {
        let values = &input[source * from.c..][..from.c];
        add_products(&mut result[pixel * to.c..][..to.c], values, &weights[tap * from.c * to.c..]);
    });
    result
}

/// `[out][tap][in]` as `[tap][in][out]`, so that the innermost loop runs over neighbours in memory.
fn by_tap(conv: &FloatConv) -> Vec<f32> {
    let outputs = conv.bias.len();
    let filter = conv.weights.len() / outputs;
    (0..filter).flat_map(|i| (0..outputs).map(move |out| conv.weights[out * filter + i])).collect()
}

/// Adds to `sums` what `values`, one an input channel, make of `weights`, `[in][out]`.
fn add_products(sums: &mut [f32], values: &[f32], weights: &[f32]) {
    for (value, row) in values.iter().zip(weights.chunks_exact(sums.len())) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
    }
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

fn concat(a: &[f32], a_channels: usize, b: &[f32], b_channels: usize) -> Vec<f32> {
    a.chunks_exact(a_channels).zip(b.chunks_exact(b_channels)).flat_map(|(a, b)| a.iter().chain(b)).copied().collect()
}

fn conv_transpose2x2(conv: &FloatConv, input: &[f32], from: Shape, to: Shape) -> Vec<f32> {
    let weights = by_tap(conv);
    let mut result = conv.bias.repeat(to.h * to.w);
    for (pixel, sums) in result.chunks_exact_mut(to.c).enumerate() {
        let (y, x) = (pixel / to.w, pixel % to.w);
        let values = &input[(y / 2 * from.w + x / 2) * from.c..][..from.c];
        add_products(sums, values, &weights[(y % 2 * 2 + x % 2) * from.c * to.c..]);
    }
    result
}

fn upsample2x(corners: Corners, input: &[f32], from: Shape) -> Vec<f32> {
    let at = |y: usize, x: usize, c: usize| input[(y * from.w + x) * from.c + c];
    map_pixels(from.h * 2, from.w * 2, from.c, |oy, ox, c| {
        let (rows, columns) = (Between::of(corners, oy, from.h), Between::of(corners, ox, from.w));
        let row = |y| at(y, columns.first, c) * (1.0 - columns.along) + at(y, columns.second, c) * columns.along;
        row(rows.first) * (1.0 - rows.along) + row(rows.second) * rows.along
    })
}

/// The two inputs along an axis between which an output lies.
struct Between {
    first: usize,
    second: usize,
    /// How far it lies towards the second, from 0 to 1.
    along: f32,
}

impl Between {
    /// Those of output `o` among `n` inputs.
    fn of(corners: Corners, o: usize, n: usize) -> Self {
        let half = o / 2;
        match corners {
            Corners::HalfPixel if o.is_multiple_of(2) => {
                Self { first: half, second: half.saturating_sub(1), along: 0.25 }
            }
            Corners::HalfPixel => Self { first: half, second: (half + 1).min(n - 1), along: 0.25 },
            Corners::Aligned => {
                let (at, unit) = (o * (n - 1), 2 * n - 1);
                let first = at / unit;
                Self { first, second: (first + 1).min(n - 1), along: (at % unit) as f32 / unit as f32 }
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(shapes: &[Shape]) -> FloatGraph {
        let inputs = shapes.iter().map(|&shape| GraphInput { shape, scale: 1.0, zero_point: 0 });
        FloatGraph { inputs: inputs.collect(), nodes: Vec::new() }
    }

    #[test]
    fn a_concatenation_puts_the_first_tensors_channels_first() {
        let mut graph = graph(&[Shape::new(1, 2, 2), Shape::new(1, 2, 1)]);
        let joined = graph.push(FloatOp::Concat, false, &[0, 1]);
        assert_eq!(graph.shape(joined), Shape::new(1, 2, 3));
        let results = graph.run(&[&[1.0, 2.0, 3.0, 4.0], &[-5.0, 6.0]]);
        assert_eq!(results[0], [1.0, 2.0, -5.0, 3.0, 4.0, 6.0]);
    }

    #[test]
    fn a_transposed_convolution_paints_one_window_a_pixel() {
        let mut graph = graph(&[Shape::new(1, 2, 2)]);
        // Two outputs: the window's corners 1 2 3 4 times the inputs' sum, and their difference in the lower right alone.
        let weights = vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, -1.0];
        let conv = FloatConv { weights, bias: vec![0.5, -1.0], kernel: (2, 2), stride: 2, pad: 0 };
        let painted = graph.push(FloatOp::ConvTranspose2x2(conv), false, &[0]);
        assert_eq!(graph.shape(painted), Shape::new(2, 4, 2));
        assert_eq!(graph.macs(), 2 * 4 * 2 * 2);
        let results = graph.run(&[&[2.0, 3.0, 30.0, -10.0]]);
        let upper = [5.5, -1.0, 10.5, -1.0, 20.5, -1.0, 40.5, -1.0];
        let lower = [15.5, -1.0, 20.5, -2.0, 60.5, -1.0, 80.5, 39.0];
        assert_eq!(results[0], [upper, lower].concat());
    }

    #[test]
    fn interpolation_with_half_pixel_centres_repeats_the_edges_and_goes_in_quarters() {
        let mut graph = graph(&[Shape::new(1, 3, 1)]);
        graph.push(FloatOp::Upsample2x(Corners::HalfPixel), false, &[0]);
        let row = [0.0, 4.0, 12.0, 28.0, 52.0, 64.0];
        assert_eq!(graph.run(&[&[0.0, 16.0, 64.0]])[0], [row, row].concat());
    }

    #[test]
    fn interpolation_with_aligned_corners_spreads_evenly() {
        let mut graph = graph(&[Shape::new(2, 2, 1)]);
        graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[0]);
        let got = &graph.run(&[&[0.0, 3.0, 6.0, 9.0]])[0];
        for (i, got) in got.iter().enumerate() {
            let expected = (2 * (i / 4) + i % 4) as f32;
            assert!((got - expected).abs() < 1e-5, "pixel {i}: {got}, not {expected}");
        }
        let mut graph = self::graph(&[Shape::new(1, 1, 2)]);
        graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[0]);
        assert_eq!(graph.run(&[&[3.0, -4.0]])[0], [3.0, -4.0].repeat(4));
    }

    #[test]
    fn an_observer_sees_what_a_run_returns() {
        let mut graph = graph(&[Shape::new(2, 2, 1)]);
        let a = graph.push(FloatOp::Gelu, false, &[0]);
        let b = graph.push(FloatOp::Concat, false, &[a, 0]);
        graph.push(FloatOp::Gelu, false, &[b]);
        let c = graph.push(FloatOp::Concat, true, &[b, a]);
        graph.push(FloatOp::Upsample2x(Corners::HalfPixel), false, &[c]);
        let image: &[f32] = &[0.5, -1.5, 2.0, 0.0];
        let mut seen = Vec::new();
        graph.run_with(&[image], |number, values| {
            assert_eq!(number, seen.len());
            seen.push(values.to_vec());
        });
        assert_eq!(seen, graph.run(&[image]));
    }
}
