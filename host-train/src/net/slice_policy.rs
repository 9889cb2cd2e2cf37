//! The slice policy: which slice of a volume gains most by the next line.
//!
//! Two layers look at what a slice's segmentation says of it, of its neighbours and of the volume ([`write_features`]); one
//! number comes out, the logarithm of the gain to expect of another line. All slices share the weights, so a volume may
//! have any number of them, and only slices whose features has changed need another look.
//!
//! [`write_features`]: kscout_core::volume::write_features

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use kscout_core::contract::FEATURES;
use kscout_core::kernels::Shape;

use super::graph::{FloatGraph, FloatOp, GraphInput};
use super::lower;

const WIDTHS: [usize; 2] = [48, 32];
/// Networks that a slice policy is made of.
pub const MEMBERS: usize = 4;

/// Two layers over a features.
#[derive(Module, Debug)]
struct Trunk {
    first: Linear,
    second: Linear,
}

impl Trunk {
    fn new(device: &Device) -> Self {
        let [w1, w2] = WIDTHS;
        Self { first: LinearConfig::new(FEATURES, w1).init(device), second: LinearConfig::new(w1, w2).init(device) }
    }

    /// `[N, FEATURES]` to `[N, 32]`.
    fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        relu(self.second.forward(relu(self.first.forward(features))))
    }
}

/// One output of what a line gains.
#[derive(Module, Debug)]
struct Member {
    trunk: Trunk,
    gain: Linear,
}

/// The policy: a logit for each slice, the mean of what several small networks say. They learn from the same examples but begin
/// with weights of their own, so what only one of them has learned counts little.
#[derive(Module, Debug)]
pub struct SlicePolicy {
    members: Vec<Member>,
}

/// The critic: the sum of rewards to expect of a volume. It is not exported.
#[derive(Module, Debug)]
pub struct VolumeCritic {
    trunk: Trunk,
    value: Linear,
}

impl SlicePolicy {
    /// A policy with random weights.
    pub fn new(device: &Device) -> Self {
        let member = |_| Member { trunk: Trunk::new(device), gain: LinearConfig::new(WIDTHS[1], 1).init(device) };
        Self { members: (0..MEMBERS).map(member).collect() }
    }

    /// Logits `[N]` of the slices with features `[N, FEATURES]`: the logarithm of what a line is expected to gain.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<1> {
        self.ensemble_outputs(features).mean_dim(1).flatten::<1>(0, 1)
    }

    /// What each member says, `[N, members]`.
    pub fn ensemble_outputs(&self, features: Tensor<2>) -> Tensor<2> {
        let output = |member: &Member| member.gain.forward(member.trunk.forward(features.clone()));
        Tensor::cat(self.members.iter().map(output).collect(), 1)
    }

    /// The members' ensemble_outputs of one slice, a graph each; their mean is the logit.
    pub fn graphs(&self) -> Vec<FloatGraph> {
        self.members.iter().map(Member::graph).collect()
    }
}

impl Member {
    fn graph(&self) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let features =
            graph.input(GraphInput { shape: Shape { h: 1, w: 1, c: FEATURES }, scale: 1.0 / 127.0, zero_point: 0 });
        let x = graph.push(FloatOp::Conv(lower::linear(&self.trunk.first)), true, &[features]);
        let x = graph.push(FloatOp::Conv(lower::linear(&self.trunk.second)), true, &[x]);
        graph.push(FloatOp::Conv(lower::linear(&self.gain)), false, &[x]);
        graph
    }
}

impl VolumeCritic {
    /// A critic with random weights.
    pub fn new(device: &Device) -> Self {
        Self { trunk: Trunk::new(device), value: LinearConfig::new(WIDTHS[1], 1).init(device) }
    }

    /// Values `[B]` of volumes with features `[B, S, FEATURES]`; `shares` `[B, S]` weighs slices and is 0 where a volume has none.
    pub fn forward(&self, features: Tensor<3>, shares: Tensor<2>) -> Tensor<1> {
        let [batch, slices, _] = features.dims();
        let each = self.value.forward(self.trunk.forward(features.reshape([batch * slices, FEATURES])));
        (each.reshape([batch, slices]) * shares).sum_dim(1).flatten::<1>(0, 1)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn the_graphs_compute_what_the_module_does() {
        let device = Device::flex();
        let policy = SlicePolicy::new(&device);
        let features: Vec<f32> = (0..2 * FEATURES).map(|i| (i * 37 % 101) as f32 / 60.0 - 0.5).collect();
        let expected = policy.forward(Tensor::from_data(TensorData::new(features.clone(), [2, FEATURES]), &device));
        let expected = expected.into_data().try_into_vec::<f32>().unwrap();
        for (features, expected) in features.chunks_exact(FEATURES).zip(expected) {
            let ensemble_outputs: Vec<f32> =
                policy.graphs().iter().flat_map(|graph| graph.run(&[features]).remove(2)).collect();
            let got = ensemble_outputs.iter().sum::<f32>() / ensemble_outputs.len() as f32;
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
    }

    #[test]
    fn absent_slices_do_not_count_for_the_critic() {
        let device = Device::flex();
        let critic = VolumeCritic::new(&device);
        let value = |fill: f32| {
            let mut features = vec![0.25; FEATURES];
            features.extend(vec![fill; FEATURES]);
            let features = Tensor::from_data(TensorData::new(features, [1, 2, FEATURES]), &device);
            let shares = Tensor::from_data(TensorData::new(vec![1.0f32, 0.0], [1, 2]), &device);
            critic.forward(features, shares).into_scalar::<f32>()
        };
        assert_eq!(value(0.0), value(1.0));
    }
}
