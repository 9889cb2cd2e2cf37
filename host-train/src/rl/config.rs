//! The policy's training in keys.

use serde::{Deserialize, Serialize};

use super::agent::PolicyNetwork;
use super::ppo::PpoConfig;
use crate::augment::AugmentConfig;
use crate::augment::affine::Scale;
use crate::config::checks;
use crate::config::key::{MANY, real, validate_lines, weight, whole};
use crate::config::{Config, Key, Refusal};
use crate::mri::Measuring;
use crate::objective::ObjectiveWeights;
use crate::train::checkpoint::Scoring;
use crate::train::pace::Pace;

/// What an episode's steps earn. The first three keys are a segmenter's; a classifier pays the mean scaled log-probability
/// of the true labels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardConfig {
    /// Weight of reconstruction: the gain of SSIM against the fully sampled image.
    pub lambda1: f64,
    /// Weight of segmentation: the gain of the slice's Dice.
    pub lambda2: f64,
    /// ObjectiveWeights of RV, MYO and LV in the slice's Dice.
    pub class_weights: [f64; 3],
    /// Pay nothing on the way, only with the last line.
    pub final_only: bool,
    /// Steps at the start of an episode that pay nothing. With a segmenter, what they gained is paid with the first step after
    /// them, and never later than with the last line.
    pub delay_step: usize,
    /// Factor on every reward.
    pub scale: f64,
}

impl RewardConfig {
    /// The objective of a scan where a segmenter scores it.
    pub fn weights(&self) -> ObjectiveWeights {
        ObjectiveWeights { lambda1: self.lambda1, lambda2: self.lambda2 }
    }
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { lambda1: 0.1, lambda2: 1.0, class_weights: [1.0; 3], final_only: false, delay_step: 0, scale: 10.0 }
    }
}

/// The configuration of a policy training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyConfig {
    /// The policy: `scout` or `asmr`.
    pub network: PolicyNetwork,
    /// How slices are measured.
    #[serde(flatten)]
    pub measuring: Measuring,
    /// Updates: each makes `episodes` scans, then improves policy and critic on them.
    pub updates: usize,
    /// How many scans an update has, and how it learns from them.
    #[serde(flatten)]
    pub ppo: PpoConfig,
    /// Fewest lines of a scan.
    pub min_budget: usize,
    /// Most lines of a scan.
    pub max_budget: usize,
    /// How much less likely, in logits, the first policy takes each line of the fixed order than the one before it: with a gentle
    /// slope it tries more, with a steep one it keeps to the order.
    pub order_slope: f64,
    /// Draw slices by the inverse frequency of their set of classes (with a classifier: of labels), instead of evenly.
    pub weighted_sampler: bool,
    /// When it validates and ends.
    #[serde(flatten)]
    pub pace: Pace,
    /// Budgets at which validation scores.
    pub validate_lines: Vec<usize>,
    /// What steps earn.
    pub reward: RewardConfig,
    /// Augmentation of the slices that are scanned.
    pub augment: AugmentConfig,
}

impl PolicyConfig {
    /// What validation scores are made with: Dice, where that is paid for.
    pub(super) fn scoring(&self) -> Scoring {
        let pays_for_dice = self.reward.lambda2 > 0.0;
        let objective = if pays_for_dice { ObjectiveWeights::DICE } else { ObjectiveWeights::SSIM };
        Scoring::weighing(&self.measuring, &self.validate_lines, objective)
    }
}

impl Config for PolicyConfig {
    const COMMAND: &'static str = "kscout train line-policy";

    fn keys() -> Vec<Key> {
        [KEYS, Measuring::KEYS, Pace::KEYS, PpoConfig::KEYS, REWARD_KEYS, &AugmentConfig::keys()].concat()
    }

    fn check_together(&self) -> Result<(), Refusal> {
        self.augment.check_together()?;
        checks::expect(self.min_budget <= self.max_budget, "min_budget", "at most max_budget")?;
        let some = self.reward.class_weights.iter().any(|&weight| weight > 0.0);
        checks::expect(some, "reward.class_weights", "three numbers from 0 up, one of them above 0")
    }
}

/// What the numbers may be, but for those of the sections and of PPO.
const KEYS: &[Key] = &[
    whole("updates", 1, MANY),
    whole("min_budget", 1, 512),
    whole("max_budget", 1, 512),
    // With less a first policy would hardly follow its order, with more it would never leave it.
    real("order_slope", 0.01, 10.0),
    validate_lines(0),
];

/// What the numbers of the section `reward` may be.
const REWARD_KEYS: &[Key] = &[
    weight("reward.lambda1"),
    weight("reward.lambda2"),
    weight("reward.class_weights").list(3, 3),
    whole("reward.delay_step", 0, 512),
    real("reward.scale", 1e-6, 1e6),
];

impl PolicyConfig {
    /// For images of `width` lines: see [`fitted_lines`](checks::fitted_lines).
    pub fn fitted(&self, width: usize) -> Self {
        Self { validate_lines: checks::fitted_lines(&self.validate_lines, width), ..self.clone() }
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            network: PolicyNetwork::Scout,
            measuring: Measuring::default(),
            updates: 300,
            ppo: PpoConfig {
                episodes: 32,
                epochs: 4,
                minibatch: 128,
                learning_rate: 1e-4,
                gamma: 0.99,
                gae_lambda: 0.95,
                clip: 0.2,
                value_weight: 0.5,
                entropy_weight: 0.01,
                max_gradient: 0.5,
                target_kl: 0.03,
            },
            min_budget: 4,
            max_budget: 24,
            order_slope: 0.25,
            weighted_sampler: true,
            pace: Pace::validating_every(50),
            validate_lines: vec![8, 12, 16, 24],
            reward: RewardConfig::default(),
            augment: AugmentConfig { scale: Scale { amount: 0.1, ..Scale::default() }, ..AugmentConfig::default() },
        }
    }
}
