//! The training of a slice policy in keys.

use kscout_core::volume::{FIRST_LINES, MOST_LINES};
use serde::{Deserialize, Serialize};

use crate::config::key::{MANY, rate, real, validate_lines, weight, whole};
use crate::config::{self, Config, Key, Refusal};
use crate::mri::Protocol;
use crate::rl::ppo::{self, Settings};
use crate::train::augment::AugmentConfig;
use crate::train::augment::affine::Scale;
use crate::train::checks;
use crate::worth::Weights;

/// What the budget is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// A volume's: the policy chooses slices.
    #[default]
    Volume,
}

/// The configuration of a slice policy's training.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeConfig {
    /// `volume`.
    pub budget: Budget,
    /// How slices are measured: `scanner` or `igs`.
    pub protocol: String,
    /// How often each training volume is measured, varied anew each time.
    pub copies: usize,
    /// Fewest lines a slice on average.
    pub min_budget: usize,
    /// Most lines a slice on average.
    pub max_budget: usize,
    /// Warm start: lines ahead whose gain the network learns to expect.
    pub ahead: usize,
    /// Warm start: steps; 0: none.
    pub warm_steps: usize,
    /// Warm start: slices a step.
    pub warm_batch: usize,
    /// Warm start: the peak learning rate; a cosine to zero follows.
    pub warm_rate: f64,
    /// PPO plays by the softmax of the network's logits times this.
    pub sharpness: f64,
    /// Updates of PPO.
    pub updates: usize,
    /// Volumes scanned for an update, all at once.
    pub episodes: usize,
    /// Passes over the steps of an update.
    pub epochs: usize,
    /// Steps in a minibatch.
    pub minibatch: usize,
    /// The peak learning rate of AdamW; a cosine to zero follows.
    pub learning_rate: f64,
    /// Decay of weights at each step, relative to the learning rate.
    pub weight_decay: f64,
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
    /// An update ends early when the policy has moved this far (KL divergence).
    pub target_kl: f64,
    /// Weight of reconstruction in the reward: the gain of the slices' mean SSIM. Only its ratio to `lambda2` counts. Lines by
    /// position and the oracle go by Dice whatever the weights are.
    pub lambda1: f64,
    /// Weight of segmentation in the reward: the gain of the volume's mean Dice.
    pub lambda2: f64,
    /// Factor on every reward.
    pub scale: f64,
    /// Seed of weights, volumes, budgets, phase, noise and choices.
    pub seed: u64,
    /// Updates between validations (and checkpoints).
    pub validate_every: usize,
    /// Lines a slice on average at which validation scores.
    pub validate_lines: Vec<usize>,
    /// Augmentation of the volumes that are scanned.
    pub augment: AugmentConfig,
}

impl Config for VolumeConfig {
    fn keys() -> Vec<Key> {
        [KEYS, ppo::KEYS, &AugmentConfig::keys()].concat()
    }

    fn check_together(&self) -> Result<(), Refusal> {
        checks::protocol(&self.protocol)?;
        self.augment.check_together()?;
        self.given_weights().check("lambda1, lambda2")?;
        checks::expect(self.min_budget <= self.max_budget, "min_budget", "at most max_budget")
    }
}

/// What the numbers may be, but for those of the sections and of PPO.
const KEYS: &[Key] = &[
    whole("copies", 1, 1000),
    whole("min_budget", FIRST_LINES as u64 + 1, MOST_LINES as u64),
    whole("max_budget", FIRST_LINES as u64 + 1, MOST_LINES as u64),
    whole("ahead", 1, MOST_LINES as u64),
    whole("warm_steps", 0, MANY),
    whole("warm_batch", 1, 65_536),
    rate("warm_rate"),
    real("sharpness", 1e-3, 1e3),
    whole("updates", 0, MANY),
    real("weight_decay", 0.0, 100.0),
    weight("lambda1"),
    weight("lambda2"),
    real("scale", 1e-6, 1e6),
    validate_lines(1),
];

impl VolumeConfig {
    /// For images of `width` lines: see [`fitted_lines`](checks::fitted_lines).
    pub fn fitted(&self, width: usize) -> Self {
        Self { validate_lines: checks::fitted_lines(&self.validate_lines, width), ..self.clone() }
    }

    /// Refuses values that cannot work with images of `width` lines; gives the protocol.
    pub(super) fn check(&self, width: usize) -> Result<Protocol, Refusal> {
        config::check(self)?;
        let most = MOST_LINES.min(width);
        let all = format!("at most {most}, the lines that a slice may have");
        checks::expect(self.max_budget <= most, "max_budget", &all)?;
        if let Some(lines) = self.validate_lines.iter().find(|&&lines| !(FIRST_LINES..=most).contains(&lines)) {
            return Err(("validate_lines", format!("{lines} is not within {FIRST_LINES} to {most} lines of a slice")));
        }
        checks::protocol(&self.protocol)
    }

    /// What a scan is worth: the weights, with a sum of 1, so that what a policy expects of a line is of one size.
    pub fn weights(&self) -> Weights {
        self.given_weights().normalised()
    }

    fn given_weights(&self) -> Weights {
        Weights { lambda1: self.lambda1, lambda2: self.lambda2 }
    }

    /// The numbers of an update.
    pub fn settings(&self) -> Settings {
        Settings {
            epochs: self.epochs,
            minibatch: self.minibatch,
            gamma: self.gamma,
            gae_lambda: self.gae_lambda,
            clip: self.clip,
            value_weight: self.value_weight,
            entropy_weight: self.entropy_weight,
            target_kl: self.target_kl,
            max_gradient: self.max_gradient,
        }
    }
}

impl Default for VolumeConfig {
    fn default() -> Self {
        Self {
            budget: Budget::Volume,
            protocol: "scanner".into(),
            copies: 8,
            min_budget: 4,
            max_budget: 16,
            ahead: 5,
            warm_steps: 3000,
            warm_batch: 1024,
            warm_rate: 2e-3,
            sharpness: 10.0,
            updates: 40,
            episodes: 128,
            epochs: 3,
            minibatch: 512,
            learning_rate: 3e-5,
            weight_decay: 0.01,
            gamma: 1.0,
            gae_lambda: 0.95,
            clip: 0.2,
            value_weight: 0.5,
            entropy_weight: 0.0,
            max_gradient: 0.5,
            target_kl: 0.03,
            lambda1: 0.0,
            lambda2: 1.0,
            scale: 10.0,
            seed: 1,
            validate_every: 20,
            validate_lines: vec![6, 8, 12, 16],
            augment: AugmentConfig { scale: Scale { amount: 0.1, ..Scale::default() }, ..AugmentConfig::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ratio_of_the_weights_counts() {
        let weights = |lambda1, lambda2| VolumeConfig { lambda1, lambda2, ..VolumeConfig::default() }.weights();
        assert_eq!(weights(0.0, 0.05), Weights::DICE);
        assert_eq!(weights(3.0, 1.0), Weights { lambda1: 0.75, lambda2: 0.25 });
    }

    #[test]
    fn values_out_of_range_are_refused_by_their_keys() {
        VolumeConfig::default().check(128).unwrap();
        let refused = |key: &str, change: &dyn Fn(&mut VolumeConfig)| {
            let mut config = VolumeConfig::default();
            change(&mut config);
            assert_eq!(config.check(128).unwrap_err().0, key);
        };
        refused("min_budget", &|config| config.min_budget = 2);
        refused("min_budget", &|config| config.min_budget = 17);
        refused("max_budget", &|config| config.max_budget = 129);
        refused("validate_lines", &|config| config.validate_lines = vec![1]);
        refused("validate_lines", &|config| config.validate_lines = vec![]);
        refused("validate_lines", &|config| config.validate_lines = vec![8, 64]);
        refused("sharpness", &|config| config.sharpness = 0.0);
        refused("lambda1", &|config| config.lambda1 = -0.1);
        refused("lambda2", &|config| config.lambda2 = f64::NAN);
        refused("lambda1, lambda2", &|config| (config.lambda1, config.lambda2) = (0.0, 0.0));
        refused("gae_lambda", &|config| config.gae_lambda = 1.5);
        refused("warm_rate", &|config| config.warm_rate = 0.0);
        refused("learning_rate", &|config| config.learning_rate = f64::INFINITY);
        refused("weight_decay", &|config| config.weight_decay = -1.0);
    }
}
