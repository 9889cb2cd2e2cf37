//! `scout` and its critic: what a device sees, they see.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::Agent;
use crate::inference::rollout::Observation;
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::net::{Critic, DevicePolicy, Scout};

/// What trains together.
#[derive(Module, Debug)]
pub struct ScoutActorCritic {
    /// Chooses lines.
    pub policy: Scout,
    /// Values states.
    pub critic: Critic,
}

/// Images `[B, 1, H, W]` and states `[B, W + 3]`.
fn inputs(observations: &[&Observation], [height, width]: [usize; 2], device: &Device) -> (Tensor<4>, Tensor<2>) {
    let batch = observations.len();
    let entries = observations.first().map_or(0, |first| first.state.len());
    let images: Vec<f32> = observations.iter().flat_map(|observation| levels_to_real(&observation.levels)).collect();
    let states: Vec<f32> = observations.iter().flat_map(|observation| state_to_real(&observation.state)).collect();
    (
        Tensor::from_data(TensorData::new(images, [batch, 1, height, width]), device),
        Tensor::from_data(TensorData::new(states, [batch, entries]), device),
    )
}

impl Agent for ScoutActorCritic {
    const NAME: &'static str = "scout";
    const SEES_PHASE: bool = false;

    fn new([height, width]: [usize; 2], device: &Device) -> Self {
        Self { policy: Scout::new(height, width, device), critic: Critic::new(height, width, device) }
    }

    fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self {
        Self { policy: self.policy.beginning_with(logits, device), ..self }
    }

    fn ready(self, _: Option<&[Observation]>, _: [usize; 2], _: &Device) -> Self {
        self
    }

    fn logits(&self, observations: &[&Observation], size: [usize; 2], device: &Device) -> Tensor<2> {
        let (images, states) = inputs(observations, size, device);
        self.policy.forward(images, states)
    }

    fn logits_and_values(
        &self,
        observations: &[&Observation],
        size: [usize; 2],
        device: &Device,
    ) -> (Tensor<2>, Tensor<1>) {
        let (images, states) = inputs(observations, size, device);
        let logits = self.policy.forward(images.clone(), states.clone());
        (logits, self.critic.forward(images, states).flatten::<1>(0, 1))
    }

    fn for_device(self) -> Option<Box<dyn DevicePolicy>> {
        Some(Box::new(self.policy))
    }
}
