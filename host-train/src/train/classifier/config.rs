//! The classifier's training in keys.

use serde::{Deserialize, Serialize};

use crate::augment::AugmentConfig;
use crate::augment::MaskConfig;
use crate::config::checks;
use crate::config::key::share;
use crate::config::{self, Config, Key, Refusal};
use crate::mri::{Measuring, Protocol};
use crate::net::resnet::Depth;
use crate::train::config::SHARED_KEYS;
use crate::train::pace::Pace;

/// The configuration of a classifier's training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassifierConfig {
    /// The backbone: `resnet18` or `resnet50`.
    pub network: Depth,
    /// The label columns to learn; none: every column of the file.
    pub labels: Vec<String>,
    /// How slices are measured.
    #[serde(flatten)]
    pub measuring: Measuring,
    /// Training steps.
    pub steps: usize,
    /// Slices a step: a patient is drawn, then one of its slices.
    pub batch: usize,
    /// The peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Steps of linear warm-up; a cosine to zero follows.
    pub warmup: usize,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The share of features that training leaves out at random.
    pub dropout: f64,
    /// When it validates and ends.
    #[serde(flatten)]
    pub pace: Pace,
    /// Numbers of centre lines at which validation scores; the mean AUC over them picks the best checkpoint.
    pub validate_lines: Vec<usize>,
    /// Random masks.
    pub masks: MaskConfig,
    /// Augmentation.
    pub augment: AugmentConfig,
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self {
            network: Depth::Resnet18,
            labels: Vec::new(),
            measuring: Measuring::default(),
            steps: 4000,
            batch: 16,
            learning_rate: 5e-4,
            warmup: 100,
            weight_decay: 0.1,
            dropout: 0.1,
            pace: Pace::validating_every(500),
            validate_lines: vec![128, 16, 8],
            masks: MaskConfig::default(),
            augment: AugmentConfig::default(),
        }
    }
}

impl Config for ClassifierConfig {
    const COMMAND: &'static str = "kscout train classifier";

    fn keys() -> Vec<Key> {
        [
            Measuring::KEYS,
            Pace::KEYS,
            SHARED_KEYS,
            &[share("dropout").below()],
            MaskConfig::KEYS,
            &AugmentConfig::keys(),
        ]
        .concat()
    }

    fn check_together(&self) -> Result<(), Refusal> {
        self.augment.check_together()
    }
}

impl ClassifierConfig {
    /// For images of `width` lines: see [`fitted_lines`](checks::fitted_lines).
    pub fn fitted(&self, width: usize) -> Self {
        Self { validate_lines: checks::fitted_lines(&self.validate_lines, width), ..self.clone() }
    }

    /// Refuses values that cannot work; gives the protocol.
    pub fn check(&self) -> Result<Protocol, Refusal> {
        config::check(self)?;
        Ok(self.measuring.protocol)
    }
}
