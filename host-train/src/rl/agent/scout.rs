//! `scout` and its critic: what a device sees, they see.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::Agent;
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::net::{Critic, FloatGraph, Scout};
use crate::play::Sight;
use crate::rl::config::PolicyNetwork;

/// What trains together.
#[derive(Module, Debug)]
pub struct ScoutActorCritic {
    /// Chooses lines.
    pub policy: Scout,
    /// Judges states.
    pub critic: Critic,
}

/// Images `[B, 1, H, W]` and states `[B, W + 3]`.
fn inputs(sights: &[&Sight], [height, width]: [usize; 2], device: &Device) -> (Tensor<4>, Tensor<2>) {
    let batch = sights.len();
    let entries = sights.first().map_or(0, |first| first.state.len());
    let images: Vec<f32> = sights.iter().flat_map(|sight| levels_to_real(&sight.levels)).collect();
    let states: Vec<f32> = sights.iter().flat_map(|sight| state_to_real(&sight.state)).collect();
    (
        Tensor::from_data(TensorData::new(images, [batch, 1, height, width]), device),
        Tensor::from_data(TensorData::new(states, [batch, entries]), device),
    )
}

impl Agent for ScoutActorCritic {
    const NETWORK: PolicyNetwork = PolicyNetwork::Scout;
    const SEES_PHASE: bool = false;

    fn new([height, width]: [usize; 2], device: &Device) -> Self {
        Self { policy: Scout::new(height, width, device), critic: Critic::new(height, width, device) }
    }

    fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self {
        Self { policy: self.policy.beginning_with(logits, device), ..self }
    }

    fn ready(self, _: Option<&[Sight]>, _: [usize; 2], _: &Device) -> Self {
        self
    }

    fn logits(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> Tensor<2> {
        let (images, states) = inputs(sights, size, device);
        self.policy.forward(images, states)
    }

    fn logits_and_values(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> (Tensor<2>, Tensor<1>) {
        let (images, states) = inputs(sights, size, device);
        let logits = self.policy.forward(images.clone(), states.clone());
        (logits, self.critic.forward(images, states).flatten::<1>(0, 1))
    }

    fn graph(&self, [height, width]: [usize; 2]) -> Option<FloatGraph> {
        Some(self.policy.graph(height, width))
    }
}
