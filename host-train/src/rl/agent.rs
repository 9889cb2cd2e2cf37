//! Policy and critic as one module, and how observations become tensors.

use std::path::Path;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::export::Observation;
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::net::{Critic, Scout};
use crate::train::checkpoint::{self, CheckpointError, Meta};

/// The policy's name in checkpoints.
pub const SCOUT: &str = "scout";

/// Added to the logits of measured lines: their probability is then zero in f32.
const NEVER: f32 = -1e9;

/// What trains together.
#[derive(Module, Debug)]
pub struct ActorCritic {
    /// Chooses lines.
    pub policy: Scout,
    /// Judges states.
    pub critic: Critic,
}

/// The policy in the checkpoint that `path` names.
pub fn load_policy(path: &Path, device: &Device) -> Result<(Scout, Meta), CheckpointError> {
    let (dir, meta) = checkpoint::read_meta(path)?;
    meta.expect_network(&dir, &[SCOUT])?;
    let agent: ActorCritic = checkpoint::load_weights(&dir, ActorCritic::new(meta.height, meta.width, device))?;
    Ok((agent.policy, meta))
}

/// Observations as the networks take them.
pub struct Batch {
    /// `[B, 1, H, W]`.
    pub images: Tensor<4>,
    /// `[B, W + 3]`.
    pub states: Tensor<2>,
    /// `[B, W]`: zero for lines to choose from, a very negative number for measured ones.
    pub exclusion: Tensor<2>,
}

impl Batch {
    /// The observations on `device`.
    pub fn new(observations: &[&Observation], [height, width]: [usize; 2], device: &Device) -> Self {
        let batch = observations.len();
        let entries = observations.first().map_or(0, |first| first.state.len());
        let images: Vec<f32> = observations.iter().flat_map(|o| levels_to_real(&o.levels)).collect();
        let states: Vec<f32> = observations.iter().flat_map(|o| state_to_real(&o.state)).collect();
        let measured = observations.iter().flat_map(|o| &o.state[..width]);
        let exclusion: Vec<f32> = measured.map(|&m| if m > 0 { NEVER } else { 0.0 }).collect();
        Self {
            images: Tensor::from_data(TensorData::new(images, [batch, 1, height, width]), device),
            states: Tensor::from_data(TensorData::new(states, [batch, entries]), device),
            exclusion: Tensor::from_data(TensorData::new(exclusion, [batch, width]), device),
        }
    }
}

impl ActorCritic {
    /// Networks for images of `height` by `width`; the policy starts out as centre-out.
    pub fn new(height: usize, width: usize, device: &Device) -> Self {
        Self { policy: Scout::new(height, width, device), critic: Critic::new(height, width, device) }
    }

    /// Log-probabilities `[B, W]` of the lines and values `[B]`.
    pub fn forward(&self, batch: &Batch) -> (Tensor<2>, Tensor<1>) {
        let logits = self.policy.forward(batch.images.clone(), batch.states.clone());
        let values = self.critic.forward(batch.images.clone(), batch.states.clone());
        (log_softmax(logits + batch.exclusion.clone(), 1), values.flatten::<1>(0, 1))
    }
}

/// The entries of each row that `columns` names: `[B, W]` to `[B]`.
pub fn pick(rows: Tensor<2>, columns: &[usize], device: &Device) -> Tensor<1> {
    let columns: Vec<i32> = columns.iter().map(|&column| column as i32).collect();
    let length = columns.len();
    let columns = Tensor::<2, Int>::from_data(TensorData::new(columns, [length, 1]), device);
    rows.gather(1, columns).flatten::<1>(0, 1)
}
