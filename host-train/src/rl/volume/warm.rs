//! The warm start: the network learns what the next lines gain, on states that it comes to itself.
//!
//! A slice's gain over the next few lines is known in training, so every state of a volume teaches as many numbers as it has
//! slices. The states come from scans by the network as it is (DAgger, Ross et al., 2011), with some choices at random.
//!
//! The network gives the logarithm of the gain, which is what an int8 output can tell apart over a wide range. It is fitted by
//! `exp(s) - y s`, whose minimum over s is at `exp(s) = E[y]`, whether or not single gains y are negative: the Poisson
//! deviance but for a constant.

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::contract::{FEATURES, GAIN_UNIT};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::config::VolumeConfig;
use super::environment::begin;
use super::learner::{Learned, VolumeActorCritic, features};
use crate::net::SlicePolicy;
use crate::ops;
use crate::progress;
use crate::train::gradients;
use crate::train::schedule::cosine;
use crate::volume::{Allocate, AllocationEnv, VolumeTrajectories};

/// Steps between two gatherings of states.
const GATHER_EVERY: usize = 50;
/// Volumes scanned at a gathering.
const SCANS: usize = 48;
/// Slices in memory; the oldest are forgotten.
const MEMORY: usize = 200_000;
/// Share of choices at random.
const RANDOM: f64 = 0.3;
/// Share of decisions whose state is kept.
const KEPT: f64 = 0.2;
/// Logits are kept within this while learning.
const REACH: f64 = 8.0;

/// A slice in a state, and what its next lines gain.
struct Example {
    features: [i8; FEATURES],
    gain: f32,
}

/// What a warm start learns from, and where.
pub struct WarmStart<'a> {
    /// The training volumes, followed line by line.
    pub volumes: &'a [VolumeTrajectories],
    /// Steps, batch, learning rate.
    pub config: &'a VolumeConfig,
    /// Where it learns, with gradients.
    pub training: &'a Device,
    /// Where rollouts run, without.
    pub rollouts_on: &'a Device,
}

impl WarmStart<'_> {
    /// Teaches `agent`'s policy; returns it with the mean loss of the last steps.
    pub fn run(
        &self,
        mut agent: VolumeActorCritic,
        optimizer: &mut ModuleOptimizer,
        rng: &mut impl Rng,
    ) -> (VolumeActorCritic, f64) {
        let config = self.config;
        let mut memory: Vec<Example> = Vec::new();
        let mut losses = Vec::new();
        let bar = progress::bar(config.warm_steps as u64, 0, "warm start");
        for step in 0..config.warm_steps {
            if step.is_multiple_of(GATHER_EVERY) {
                let random = if step == 0 { 1.0 } else { RANDOM };
                memory.extend(self.gather(&agent.valid().policy, random, rng));
                let forgotten = memory.len().saturating_sub(MEMORY);
                memory.drain(..forgotten);
            }
            let batch: Vec<&Example> = (0..config.warm_batch).filter_map(|_| memory.choose(rng)).collect();
            let loss = self.loss(&agent, &batch);
            losses.push(f64::from(loss.clone().into_scalar::<f32>()));
            let mut gradients = GradientsParams::from_grads(loss.backward(), &agent);
            gradients::clip_each_norm(&agent, &mut gradients, config.ppo.max_gradient);
            agent = optimizer.step(cosine(step, config.warm_steps, 50, config.warm_rate), agent, gradients);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let recent = &losses[losses.len().saturating_sub(GATHER_EVERY)..];
        (agent, recent.iter().sum::<f64>() / recent.len().max(1) as f64)
    }

    /// The mean of `exp(s) - y s` over `batch`.
    fn loss(&self, agent: &VolumeActorCritic, batch: &[&Example]) -> Tensor<1> {
        let gains: Vec<f32> = batch.iter().map(|example| example.gain).collect();
        let gains = Tensor::<2>::from_data(TensorData::new(gains, [batch.len(), 1]), self.training);
        let seen = features(batch.iter().map(|example| &example.features), self.training);
        let logits = agent.policy.ensemble_outputs(seen).clamp(-REACH, REACH);
        ops::mean(logits.clone().exp() - gains * logits)
    }

    /// Scans some volumes by `policy`, a share `random` of the choices at random, and keeps some of what is met on the way.
    fn gather(&self, policy: &SlicePolicy, random: f64, rng: &mut impl Rng) -> Vec<Example> {
        let learned = Learned { policy, device: self.rollouts_on };
        let mut scans: Vec<AllocationEnv<'_>> = (0..SCANS).map(|_| begin(self.volumes, self.config, rng)).collect();
        let mut examples = Vec::new();
        loop {
            scans.retain(|scan| scan.left() > 0);
            if scans.is_empty() {
                return examples;
            }
            let chosen = learned.next(&scans.iter().collect::<Vec<_>>());
            for (scan, mut slice) in scans.iter_mut().zip(chosen) {
                if rng.random_bool(KEPT) {
                    examples.extend(self.examples(scan));
                }
                if rng.random_bool(random) {
                    let open: Vec<usize> = scan.open().collect();
                    slice = *open.choose(rng).expect("an open slice");
                }
                scan.give(slice);
            }
        }
    }

    /// The open slices of a scan as it stands.
    fn examples(&self, scan: &AllocationEnv<'_>) -> Vec<Example> {
        let unit = f64::from(GAIN_UNIT) / scan.lines().len() as f64;
        let features = scan.features();
        let example = |slice: usize| Example {
            features: features[slice],
            gain: (scan.gain(slice, self.config.ahead) / unit) as f32,
        };
        scan.open().map(example).collect()
    }
}
