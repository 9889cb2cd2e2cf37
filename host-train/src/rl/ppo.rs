//! Proximal policy optimisation (Schulman et al., 2017) with masked actions (Huang and Ontanon, 2020).

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::agent::pick;
use crate::config::Key;
use crate::config::key::{rate, real, share, weight, whole};
use crate::ops;
use crate::train::gradients;

/// One decision and what came of it.
pub struct Step<S> {
    /// What the policy saw.
    pub observation: S,
    /// What it chose: a line, or a slice.
    pub choice: usize,
    /// Log-probability of that choice then.
    pub log_probability: f32,
    /// What the critic expected.
    pub value: f32,
    /// What the step earned.
    pub reward: f64,
}

/// Finished scans, step by step.
pub type Episodes<S> = Vec<Vec<Step<S>>>;

/// The keys of training by PPO, which stand among a task's own (`#[serde(flatten)]`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PpoConfig {
    /// Scans of an update, all at once.
    pub episodes: usize,
    /// Passes over the steps of an update.
    pub epochs: usize,
    /// Steps in a minibatch.
    pub minibatch: usize,
    /// The peak learning rate of AdamW; a cosine to zero follows.
    pub learning_rate: f64,
    /// Discount of later rewards.
    pub gamma: f64,
    /// Lambda of generalised advantage estimation.
    pub gae_lambda: f64,
    /// How far a probability may move in an update, as a ratio.
    pub clip: f64,
    /// Weight of the critic's squared error.
    pub value_weight: f64,
    /// Weight of the entropy, which keeps the policy trying.
    pub entropy_weight: f64,
    /// Largest norm of a parameter's gradient.
    pub max_gradient: f64,
    /// An update ends early when the policy has moved this far (KL divergence); 0: it does not.
    pub target_kl: f64,
}

impl PpoConfig {
    /// What its numbers may be.
    pub const KEYS: &[Key] = &[
        whole("episodes", 1, 4096),
        whole("epochs", 1, 1000),
        whole("minibatch", 1, 1_000_000),
        rate("learning_rate"),
        share("gamma"),
        share("gae_lambda"),
        real("clip", 1e-3, 10.0),
        weight("value_weight"),
        weight("entropy_weight"),
        real("max_gradient", 1e-6, 1e6),
        real("target_kl", 0.0, 1000.0),
    ];
}

/// The return of a step, as the rest of its episode tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// More than the critic expected.
    pub advantage: f32,
    /// In all, from this step on.
    pub returns: f32,
}

/// Advantages and returns of one finished episode, by generalised advantage estimation (Schulman et al., 2016). Nothing
/// comes after the last step: the scan is over.
pub fn advantages<S>(steps: &[Step<S>], gamma: f64, lambda: f64) -> Vec<Estimate> {
    let mut next = (0.0, 0.0);
    let mut result: Vec<Estimate> = steps
        .iter()
        .rev()
        .map(|step| {
            let value = f64::from(step.value);
            let surprise = step.reward + gamma * next.0 - value;
            let advantage = surprise + gamma * lambda * next.1;
            next = (value, advantage);
            Estimate { advantage: advantage as f32, returns: (advantage + value) as f32 }
        })
        .collect();
    result.reverse();
    result
}

/// What an update did. Where a number of it is none, the networks are lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpdateReport {
    /// Mean entropy of the policy in nats.
    pub entropy: f64,
    /// Mean KL divergence from the policy of the rollout.
    pub kl: f64,
    /// Mean squared error of the critic.
    pub value_loss: f64,
}

/// What an update learns from, and how.
pub struct RolloutBatch<'a, S> {
    /// Finished scans, step by step.
    pub episodes: &'a [Vec<Step<S>>],
    /// The learning rate.
    pub rate: f64,
    /// Clipping, weights, passes.
    pub config: &'a PpoConfig,
    /// Where to compute, with gradients.
    pub device: &'a Device,
}

/// Improves `agent` on a batch. `evaluate` gives its log-probabilities `[B, choices]` and values `[B]` of observations.
pub fn update<A: Module, S>(
    mut agent: A,
    evaluate: impl Fn(&A, &[&S]) -> (Tensor<2>, Tensor<1>),
    optimizer: &mut ModuleOptimizer,
    batch: &RolloutBatch<'_, S>,
    rng: &mut impl Rng,
) -> (A, UpdateReport) {
    let &RolloutBatch { episodes, rate, config, device } = batch;
    let estimates: Vec<Estimate> =
        episodes.iter().flat_map(|steps| advantages(steps, config.gamma, config.gae_lambda)).collect();
    let steps: Vec<&Step<S>> = episodes.iter().flatten().collect();
    let normal = normalise(estimates.iter().map(|estimate| estimate.advantage).collect());
    let mut order: Vec<usize> = (0..steps.len()).collect();
    let mut report = UpdateReport::default();
    for _ in 0..config.epochs {
        order.shuffle(rng);
        let mut reports = Vec::new();
        for part in order.chunks(config.minibatch) {
            let chosen: Vec<&Step<S>> = part.iter().map(|&i| steps[i]).collect();
            let target = |f: &dyn Fn(usize) -> f32| {
                let values: Vec<f32> = part.iter().map(|&i| f(i)).collect();
                Tensor::<1>::from_data(TensorData::new(values, [part.len()]), device)
            };
            let targets = Targets { advantage: target(&|i| normal[i]), returns: target(&|i| estimates[i].returns) };
            let observations: Vec<&S> = chosen.iter().map(|step| &step.observation).collect();
            let (log_p, values) = evaluate(&agent, &observations);
            let (loss, report) = loss(log_p, values, &chosen, targets, config, device);
            let mut gradients = GradientsParams::from_grads(loss.backward(), &agent);
            gradients::clip_each_norm(&agent, &mut gradients, config.max_gradient);
            agent = optimizer.step(rate, agent, gradients);
            reports.push(report);
        }
        let mean = |f: fn(&UpdateReport) -> f64| reports.iter().map(f).sum::<f64>() / reports.len() as f64;
        report = UpdateReport { entropy: mean(|r| r.entropy), kl: mean(|r| r.kl), value_loss: mean(|r| r.value_loss) };
        if config.target_kl > 0.0 && report.kl > config.target_kl {
            break;
        }
    }
    (agent, report)
}

struct Targets {
    advantage: Tensor<1>,
    returns: Tensor<1>,
}

fn loss<S>(
    log_p: Tensor<2>,
    values: Tensor<1>,
    steps: &[&Step<S>],
    targets: Targets,
    config: &PpoConfig,
    device: &Device,
) -> (Tensor<1>, UpdateReport) {
    let choices: Vec<usize> = steps.iter().map(|step| step.choice).collect();
    let old: Vec<f32> = steps.iter().map(|step| step.log_probability).collect();
    let old = Tensor::<1>::from_data(TensorData::new(old, [steps.len()]), device);
    let log_ratio = pick(log_p.clone(), &choices, device) - old;
    let ratio = log_ratio.clone().exp();
    let clipped = ratio.clone().clamp(1.0 - config.clip, 1.0 + config.clip);
    let gain = (ratio.clone() * targets.advantage.clone()).min_pair(clipped * targets.advantage);
    let entropy = ops::mean((log_p.clone().exp() * log_p).sum_dim(1).neg());
    let value_loss = ops::mean((values - targets.returns).powf_scalar(2.0));
    // Schulman's low-variance estimate of the divergence: mean of (ratio - 1) - log ratio.
    let kl = ops::mean(ratio.sub_scalar(1.0) - log_ratio);

    let scalar = |x: &Tensor<1>| f64::from(x.clone().into_scalar::<f32>());
    let report = UpdateReport { entropy: scalar(&entropy), kl: scalar(&kl), value_loss: scalar(&value_loss) };
    let loss =
        ops::mean(gain).neg() - entropy.mul_scalar(config.entropy_weight) + value_loss.mul_scalar(config.value_weight);
    (loss, report)
}

/// Mean 0, deviation 1.
fn normalise(mut values: Vec<f32>) -> Vec<f32> {
    let n = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
    values.iter_mut().for_each(|v| *v = (*v - mean) / (deviation + 1e-8));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(value: f32, reward: f64) -> Step<()> {
        Step { observation: (), choice: 0, log_probability: 0.0, value, reward }
    }

    #[test]
    fn without_discount_the_return_is_the_sum_of_rewards() {
        let steps = [step(0.3, 1.0), step(-0.2, 2.0), step(0.9, 4.0)];
        let estimates = advantages(&steps, 1.0, 1.0);
        let returns: Vec<f32> = estimates.iter().map(|estimate| estimate.returns).collect();
        for (got, expected) in returns.iter().zip([7.0, 6.0, 4.0]) {
            assert!((got - expected).abs() < 1e-6, "{returns:?}");
        }
        assert!((estimates[0].advantage - 6.7).abs() < 1e-6);
    }

    #[test]
    fn with_lambda_0_the_advantage_is_one_step_deep() {
        let steps = [step(1.0, 1.0), step(2.0, 0.5)];
        let estimates = advantages(&steps, 0.5, 0.0);
        assert!((estimates[0].advantage - (1.0 + 0.5 * 2.0 - 1.0)).abs() < 1e-6);
        assert!((estimates[1].advantage - (0.5 - 2.0)).abs() < 1e-6);
    }

    #[test]
    fn advantages_are_normalised() {
        let values = normalise(vec![1.0, 2.0, 3.0, 4.0]);
        assert!(values.iter().sum::<f32>().abs() < 1e-5);
        assert!((values.iter().map(|v| v * v).sum::<f32>() / 4.0 - 1.0).abs() < 1e-4);
    }
}
