//! `scout`: a policy small enough for a microcontroller, and the critic that trains beside it.
//!
//! Five convolutions look at the zero-filled image, one layer at the lines measured so far and what is left of the budget.
//! Their sum chooses among the lines. The last bias starts as a gentle slope along a fixed order of lines: without any training
//! the policy measures in that order, and learning only has to correct that.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use kscout_core::contract::STATE_EXTRAS;
use kscout_core::kernels::Shape;

use super::fixed_order::FixedOrder;
use super::graph::{FloatGraph, FloatOp, GraphInput, TensorIndex};
use super::lower;

/// Fall of an untrained policy's logits from one line to the next in centre-out order.
const CENTRE_SLOPE: f32 = 0.25;

/// The largest budget that an untrained policy is made for.
const BUDGET: usize = 24;

const WIDTHS: [usize; 4] = [8, 16, 24, 24];
const HIDDEN: usize = 48;

/// What both policy and critic see, boiled down to a few numbers.
#[derive(Module, Debug)]
pub struct Trunk {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    conv4: Conv2d,
    conv5: Conv2d,
    state: Linear,
}

/// The policy: a logit for each line.
#[derive(Module, Debug)]
pub struct Scout {
    trunk: Trunk,
    lines: Linear,
}

/// The critic: the expected sum of rewards to come. It is not exported.
#[derive(Module, Debug)]
pub struct Critic {
    trunk: Trunk,
    value: Linear,
}

impl Trunk {
    fn new(height: usize, width: usize, device: &Device) -> Self {
        let [w1, w2, w3, w4] = WIDTHS;
        let halving = |from: usize, to: usize| {
            Conv2dConfig::new([from, to], [3, 3])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            conv1: Conv2dConfig::new([1, w1], [4, 4]).with_stride([4, 4]).init(device),
            conv2: halving(w1, w2),
            conv3: halving(w2, w3),
            conv4: halving(w3, w4),
            conv5: Conv2dConfig::new([w4, HIDDEN], [height / 32, width / 32]).init(device),
            state: LinearConfig::new(width + STATE_EXTRAS, HIDDEN).init(device),
        }
    }

    /// `image` is `[B, 1, H, W]`, `state` `[B, W + 3]`.
    fn forward(&self, image: Tensor<4>, state: Tensor<2>) -> Tensor<2> {
        let x = relu(self.conv1.forward(image));
        let x = relu(self.conv2.forward(x));
        let x = relu(self.conv3.forward(x));
        let x = relu(self.conv4.forward(x));
        let seen = self.conv5.forward(x).flatten::<2>(1, 3);
        relu(seen + self.state.forward(state))
    }

    fn lower(&self, graph: &mut FloatGraph, image: TensorIndex, state: TensorIndex) -> TensorIndex {
        let layers = [&self.conv1, &self.conv2, &self.conv3, &self.conv4];
        let x = layers.into_iter().fold(image, |x, layer| graph.push(FloatOp::Conv(lower::conv(layer)), true, &[x]));
        let seen = graph.push(FloatOp::Conv(lower::conv(&self.conv5)), false, &[x]);
        let known = graph.push(FloatOp::Conv(lower::linear(&self.state)), false, &[state]);
        graph.push(FloatOp::Add, true, &[seen, known])
    }
}

impl Scout {
    /// A policy for images of `height` by `width` pixels, multiples of 32, that starts out as centre-out.
    pub fn new(height: usize, width: usize, device: &Device) -> Self {
        let lines = blind_layer(HIDDEN, centre_slope(width, device), device);
        Self { trunk: Trunk::new(height, width, device), lines }
    }

    /// The policy with a last layer that gives `logits`, `[W]`, whatever the network sees, until it has learned.
    #[must_use]
    pub fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self {
        Self { lines: blind_layer(HIDDEN, logits, device), ..self }
    }

    /// Logits `[B, W]`, measured lines not yet excluded.
    pub fn forward(&self, image: Tensor<4>, state: Tensor<2>) -> Tensor<2> {
        self.lines.forward(self.trunk.forward(image, state))
    }

    /// The policy as a graph for images of `height` by `width`.
    pub fn graph(&self, height: usize, width: usize) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let image = graph.input(GraphInput::image(height, width));
        let state = graph.input(GraphInput {
            shape: Shape { h: 1, w: 1, c: width + STATE_EXTRAS },
            scale: 1.0 / 127.0,
            zero_point: 0,
        });
        let hidden = self.trunk.lower(&mut graph, image, state);
        graph.push(FloatOp::Conv(lower::linear(&self.lines)), false, &[hidden]);
        graph
    }
}

impl Critic {
    /// A critic for the images of [`Scout::new`].
    pub fn new(height: usize, width: usize, device: &Device) -> Self {
        Self { trunk: Trunk::new(height, width, device), value: LinearConfig::new(HIDDEN, 1).init(device) }
    }

    /// Values `[B, 1]`.
    pub fn forward(&self, image: Tensor<4>, state: Tensor<2>) -> Tensor<2> {
        self.value.forward(self.trunk.forward(image, state))
    }
}

/// Logits `[W]` that fall gently away from the centre: a bias with which a policy starts out as centre-out.
pub fn centre_slope(width: usize, device: &Device) -> Tensor<1> {
    FixedOrder::centre_out(width).slope(CENTRE_SLOPE, BUDGET, device)
}

/// A layer of `inputs` inputs without weights yet, so that its bias alone counts.
pub fn blind_layer(inputs: usize, bias: Tensor<1>, device: &Device) -> Linear {
    let [outputs] = bias.dims();
    let mut layer = LinearConfig::new(inputs, outputs).with_initializer(Initializer::Zeros).init(device);
    layer.bias = Some(Param::from_tensor(bias));
    layer
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn stays_within_its_limits_at_128() {
        let graph = Scout::new(128, 128, &Device::flex()).graph(128, 128);
        assert!(graph.macs() <= 1_500_000, "{} multiply-accumulates", graph.macs());
        let bytes: usize = graph
            .nodes
            .iter()
            .map(|node| match &node.op {
                FloatOp::Conv(conv) => conv.weights.len() + 12 * conv.bias.len(),
                _ => 0,
            })
            .sum();
        assert!(bytes <= 64 * 1024, "{bytes} bytes of weights");
    }

    #[test]
    fn an_untrained_policy_prefers_the_centre() {
        let device = Device::flex();
        let scout = Scout::new(64, 64, &device);
        let logits = scout.forward(Tensor::zeros([1, 1, 64, 64], &device), Tensor::zeros([1, 67], &device));
        let logits = lower::values(logits);
        let best = (0..64).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        assert_eq!(best, Some(32));
    }

    #[test]
    fn a_policy_begins_with_any_order() {
        let device = Device::flex();
        let order = FixedOrder::beginning_with("learned-mask", &[3, 60, 31], 64);
        let scout = Scout::new(32, 64, &device).beginning_with(order.slope(0.1, 8, &device), &device);
        let [image, state] = [32 * 64, 67].map(|n| (0..n).map(|i| (i * 37 % 101) as f32 / 50.0).collect::<Vec<_>>());
        let logits = scout.graph(32, 64).run(&[&image, &state]).pop().unwrap();
        let mut lines: Vec<u16> = (0..64).collect();
        lines.sort_by(|&a, &b| logits[usize::from(b)].total_cmp(&logits[usize::from(a)]));
        assert_eq!(lines[..8], order.lines[..8]);
    }

    #[test]
    fn the_graph_computes_what_the_module_does() {
        let device = Device::flex();
        let mut scout = Scout::new(64, 96, &device);
        // An untrained policy's last layer has none.
        scout.lines = LinearConfig::new(HIDDEN, 96).init(&device);
        let image: Vec<f32> = (0..64 * 96).map(|i| (i * 37 % 101) as f32 / 50.0).collect();
        let state: Vec<f32> = (0..99).map(|i| (i % 3 == 0) as u8 as f32).collect();
        let expected = lower::values(scout.forward(
            Tensor::from_data(TensorData::new(image.clone(), [1, 1, 64, 96]), &device),
            Tensor::from_data(TensorData::new(state.clone(), [1, 99]), &device),
        ));
        let graph = scout.graph(64, 96);
        let got = graph.run(&[&image, &state]).pop().unwrap();
        for (a, b) in expected.iter().zip(&got) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }
}
