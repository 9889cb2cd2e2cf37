//! Training of the reward models, segmenter and [`classifier`]: samples, augmentation, loss, schedule, checkpoints.

mod adamw;
mod ahead;
pub mod checkpoint;
pub mod classifier;
pub(crate) mod columns;
pub mod config;
pub(crate) mod drive;
pub mod ema;
pub mod error;
pub mod folder;
pub mod folds;
pub mod gradients;
mod learner;
pub mod log;
pub mod loss;
pub mod lovasz;
pub mod means;
pub mod optimizer;
pub mod pace;
pub mod patience;
pub mod precision;
pub mod recorded;
pub mod sample;
pub mod schedule;
pub mod segmenter;
pub(crate) mod start;
pub mod validate;

pub use checkpoint::{CheckpointError, Meta};
pub use classifier::{ClassifierConfig, ClassifierError, train_classifier};
pub use config::SegmenterConfig;
pub use error::TrainError;
pub use pace::Pace;
pub use recorded::RecordedMasks;
pub use segmenter::{SegmenterInputs, train_segmenter};

use std::path::Path;

use burn::tensor::Device;

/// Where a session of a training runs.
#[derive(Clone, Copy)]
pub struct RunOptions<'a> {
    /// The folder of the run: its checkpoints `last` and `best` and `log.csv`.
    pub out: &'a Path,
    /// Whether to go on with the run in `out`, where there is one. Otherwise a run there is refused.
    pub resume: bool,
    /// Where to compute.
    pub device: &'a Device,
}

/// How a training ended.
pub struct Trained {
    /// What its last checkpoint says.
    pub meta: Meta,
    /// Whether a signal has ended it before its time.
    pub stopped: bool,
}
