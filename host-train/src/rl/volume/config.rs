//! The training of a slice policy in keys.

use kscout_core::contract::{FIRST_LINES, MAX_SLICE_LINES};
use serde::{Deserialize, Serialize};

use crate::augment::AugmentConfig;
use crate::augment::affine::Scale;
use crate::config::checks;
use crate::config::key::{MANY, rate, real, validate_lines, weight, whole};
use crate::config::{self, Config, Key, Refusal};
use crate::mri::{Measuring, Protocol};
use crate::objective::ObjectiveWeights;
use crate::rl::ppo::PpoConfig;

/// The configuration of a slice policy's training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VolumeConfig {
    /// How slices are measured.
    #[serde(flatten)]
    pub measuring: Measuring,
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
    /// Rollouts follow the softmax of the network's logits times this.
    pub sharpness: f64,
    /// Updates of PPO.
    pub updates: usize,
    /// How many scans an update has, and how it learns from them.
    #[serde(flatten)]
    pub ppo: PpoConfig,
    /// Decay of weights at each step, relative to the learning rate.
    pub weight_decay: f64,
    /// Weight of reconstruction in the reward: the gain of the slices' mean SSIM. Only its ratio to `lambda2` counts. Lines by
    /// position and the oracle go by Dice whatever the weights are.
    pub lambda1: f64,
    /// Weight of segmentation in the reward: the gain of the volume's mean Dice.
    pub lambda2: f64,
    /// Factor on every reward.
    pub scale: f64,
    /// Updates between validations (and checkpoints).
    pub validate_every: usize,
    /// Lines a slice on average at which validation scores.
    pub validate_lines: Vec<usize>,
    /// Augmentation of the volumes that are scanned.
    pub augment: AugmentConfig,
}

impl Config for VolumeConfig {
    const COMMAND: &'static str = "kscout train slice-policy";

    fn keys() -> Vec<Key> {
        [KEYS, Measuring::KEYS, PpoConfig::KEYS, &AugmentConfig::keys()].concat()
    }

    fn check_together(&self) -> Result<(), Refusal> {
        self.augment.check_together()?;
        self.given_weights().check("lambda1, lambda2")?;
        checks::expect(self.min_budget <= self.max_budget, "min_budget", "at most max_budget")
    }
}

/// What the numbers may be, but for those of the sections and of PPO.
const KEYS: &[Key] = &[
    whole("copies", 1, 1000),
    whole("min_budget", FIRST_LINES as u64 + 1, MAX_SLICE_LINES as u64),
    whole("max_budget", FIRST_LINES as u64 + 1, MAX_SLICE_LINES as u64),
    whole("ahead", 1, MAX_SLICE_LINES as u64),
    whole("warm_steps", 0, MANY),
    whole("warm_batch", 1, 65_536),
    rate("warm_rate"),
    real("sharpness", 1e-3, 1e3),
    whole("updates", 0, MANY),
    real("weight_decay", 0.0, 100.0),
    weight("lambda1"),
    weight("lambda2"),
    real("scale", 1e-6, 1e6),
    whole("validate_every", 1, MANY),
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
        let most = MAX_SLICE_LINES.min(width);
        let all = format!("at most {most}, the lines that a slice may have");
        checks::expect(self.max_budget <= most, "max_budget", &all)?;
        if let Some(lines) = self.validate_lines.iter().find(|&&lines| !(FIRST_LINES..=most).contains(&lines)) {
            return Err(("validate_lines", format!("{lines} is not within {FIRST_LINES} to {most} lines of a slice")));
        }
        Ok(self.measuring.protocol)
    }

    /// The objective of a scan: the weights, with a sum of 1, so that what a policy expects of a line is of one size.
    pub fn weights(&self) -> ObjectiveWeights {
        self.given_weights().normalised()
    }

    fn given_weights(&self) -> ObjectiveWeights {
        ObjectiveWeights { lambda1: self.lambda1, lambda2: self.lambda2 }
    }
}

impl Default for VolumeConfig {
    fn default() -> Self {
        Self {
            measuring: Measuring::default(),
            copies: 8,
            min_budget: 4,
            max_budget: 16,
            ahead: 5,
            warm_steps: 3000,
            warm_batch: 1024,
            warm_rate: 2e-3,
            sharpness: 10.0,
            updates: 40,
            ppo: PpoConfig {
                episodes: 128,
                epochs: 3,
                minibatch: 512,
                learning_rate: 3e-5,
                gamma: 1.0,
                gae_lambda: 0.95,
                clip: 0.2,
                value_weight: 0.5,
                entropy_weight: 0.0,
                max_gradient: 0.5,
                target_kl: 0.03,
            },
            weight_decay: 0.01,
            lambda1: 0.0,
            lambda2: 1.0,
            scale: 10.0,
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
        assert_eq!(weights(0.0, 0.05), ObjectiveWeights::DICE);
        assert_eq!(weights(3.0, 1.0), ObjectiveWeights { lambda1: 0.75, lambda2: 0.25 });
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
        refused("gae_lambda", &|config| config.ppo.gae_lambda = 1.5);
        refused("warm_rate", &|config| config.warm_rate = 0.0);
        refused("learning_rate", &|config| config.ppo.learning_rate = f64::INFINITY);
        refused("weight_decay", &|config| config.weight_decay = -1.0);
    }
}
