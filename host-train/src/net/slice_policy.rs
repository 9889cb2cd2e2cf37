//! The slice policy: which slice of a volume the next line is worth most to.
//!
//! Two layers look at what a slice's segmentation says of it, of its neighbours and of the volume ([`write_view`]); one
//! number comes out, the logarithm of the gain to expect of another line. All slices share the weights, so a volume may
//! have any number of them, and only slices whose view has changed need another look.
//!
//! [`write_view`]: kscout_core::volume::write_view

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use kscout_core::kernels::Shape;
use kscout_core::volume::VIEW;

use super::graph::{FloatGraph, FloatOp, GraphInput};
use super::lower;

const WIDTHS: [usize; 2] = [48, 32];
/// Networks that a slice policy is made of.
pub const MEMBERS: usize = 4;

/// Two layers over a view.
#[derive(Module, Debug)]
struct Trunk {
    first: Linear,
    second: Linear,
}

impl Trunk {
    fn new(device: &Device) -> Self {
        let [w1, w2] = WIDTHS;
        Self { first: LinearConfig::new(VIEW, w1).init(device), second: LinearConfig::new(w1, w2).init(device) }
    }

    /// `[N, VIEW]` to `[N, 32]`.
    fn forward(&self, views: Tensor<2>) -> Tensor<2> {
        relu(self.second.forward(relu(self.first.forward(views))))
    }
}

/// One opinion of what a line gains.
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

    /// Logits `[N]` of the slices with views `[N, VIEW]`: the logarithm of what a line is expected to gain.
    pub fn forward(&self, views: Tensor<2>) -> Tensor<1> {
        self.opinions(views).mean_dim(1).flatten::<1>(0, 1)
    }

    /// What each member says, `[N, members]`.
    pub fn opinions(&self, views: Tensor<2>) -> Tensor<2> {
        let opinion = |member: &Member| member.gain.forward(member.trunk.forward(views.clone()));
        Tensor::cat(self.members.iter().map(opinion).collect(), 1)
    }

    /// The members' opinions of one slice, a graph each; their mean is the logit.
    pub fn graphs(&self) -> Vec<FloatGraph> {
        self.members.iter().map(Member::graph).collect()
    }
}

impl Member {
    fn graph(&self) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let view = graph.input(GraphInput { shape: Shape { h: 1, w: 1, c: VIEW }, scale: 1.0 / 127.0, zero_point: 0 });
        let x = graph.push(FloatOp::Conv(lower::linear(&self.trunk.first)), true, &[view]);
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

    /// Values `[B]` of volumes with views `[B, S, VIEW]`; `shares` `[B, S]` weighs slices and is 0 where a volume has none.
    pub fn forward(&self, views: Tensor<3>, shares: Tensor<2>) -> Tensor<1> {
        let [batch, slices, _] = views.dims();
        let each = self.value.forward(self.trunk.forward(views.reshape([batch * slices, VIEW])));
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
        let views: Vec<f32> = (0..2 * VIEW).map(|i| (i * 37 % 101) as f32 / 60.0 - 0.5).collect();
        let expected = policy.forward(Tensor::from_data(TensorData::new(views.clone(), [2, VIEW]), &device));
        let expected = expected.into_data().try_into_vec::<f32>().unwrap();
        for (view, expected) in views.chunks_exact(VIEW).zip(expected) {
            let opinions: Vec<f32> = policy.graphs().iter().flat_map(|graph| graph.run(&[view]).remove(2)).collect();
            let got = opinions.iter().sum::<f32>() / opinions.len() as f32;
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
    }

    #[test]
    fn absent_slices_do_not_count_for_the_critic() {
        let device = Device::flex();
        let critic = VolumeCritic::new(&device);
        let value = |fill: f32| {
            let mut views = vec![0.25; VIEW];
            views.extend(vec![fill; VIEW]);
            let views = Tensor::from_data(TensorData::new(views, [1, 2, VIEW]), &device);
            let shares = Tensor::from_data(TensorData::new(vec![1.0f32, 0.0], [1, 2]), &device);
            critic.forward(views, shares).into_scalar::<f32>()
        };
        assert_eq!(value(0.0), value(1.0));
    }
}
