//! Training of the reward models, segmenter and [`classifier`]: samples, augmentation, loss, schedule, checkpoints.

mod adamw;
mod ahead;
pub mod augment;
pub mod checkpoint;
pub mod checks;
pub mod classifier;
pub mod config;
pub(crate) mod drive;
pub mod ema;
pub mod error;
pub mod folder;
pub mod folds;
pub mod given;
pub mod gradients;
pub mod log;
pub mod loss;
pub mod lovasz;
pub mod means;
pub mod optimizer;
pub mod patience;
pub mod precision;
pub mod reward;
mod run;
pub mod sample;
pub mod schedule;
pub mod validate;

pub use checkpoint::{CheckpointError, Meta};
pub use classifier::{ClassifierConfig, ClassifierError, train_classifier};
pub use config::RewardConfig;
pub use error::TrainError;
pub use given::GivenMasks;
pub use reward::train_reward;

/// How a training ended.
pub struct Trained {
    /// What its last checkpoint says.
    pub meta: Meta,
    /// Whether a signal has ended it before its time.
    pub stopped: bool,
}
