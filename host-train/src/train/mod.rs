//! Training of the segmenter: samples, augmentation, loss, schedule, checkpoints.

pub mod augment;
pub mod checkpoint;
pub mod loss;
pub mod reward;
pub mod sample;
pub mod schedule;
pub mod validate;

pub use checkpoint::{CheckpointError, Meta};
pub use reward::{RewardConfig, TrainError, train_reward};
