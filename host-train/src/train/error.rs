//! Why a training could not run.

use std::path::PathBuf;

use kscout_core::volume::MOST_SLICES;

use crate::augment::Refusal;
use crate::data::DataError;
use crate::inference::numbers::NoNumbers;
use crate::train::checkpoint::CheckpointError;
use crate::volume::position::PlansError;

/// Why a training could not run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Lines by position could not be kept.
    #[error(transparent)]
    Plans(#[from] PlansError),
    /// A network gives no numbers.
    #[error(transparent)]
    NoNumbers(#[from] NoNumbers),
    /// A configuration value out of range.
    #[error("config key `{key}`: {message}")]
    Config {
        /// The key.
        key: &'static str,
        /// What was expected.
        message: String,
    },
    /// The data set has no slices to train on.
    #[error("{0}: no training slices; import with --split auto or --split train")]
    NoSlices(PathBuf),
    /// A volume that the core cannot scan as one.
    #[error("{path}: {volume} has {slices} slices; slices share a budget in volumes of at most {MOST_SLICES}")]
    Slices {
        /// The data set.
        path: PathBuf,
        /// The volume.
        volume: String,
        /// How many it has.
        slices: usize,
    },
    /// The images do not suit the network.
    #[error(
        "{path}: images of {height}x{width}; {network} and the core take sides of 32, 64, 128, 256 or 512 (import with --size 128)"
    )]
    Size {
        /// The data set.
        path: PathBuf,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The network.
        network: String,
    },
    /// A run is there already.
    #[error("{0}: holds a run already; add --resume to go on with it, or choose another --out")]
    Exists(PathBuf),
    /// The log of a run without its checkpoints.
    #[error("{0}: the log of a run whose checkpoints are gone; bring them back, move it away, or choose another --out")]
    LogAlone(PathBuf),
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The data set does not have what the training needs.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The log of the run has other columns.
    #[error(
        "{path}: has the columns {found}, but this run writes {expected}; set `validate_lines` as it was, or move the file away"
    )]
    OtherColumns {
        /// The log.
        path: PathBuf,
        /// Its first line.
        found: String,
        /// What it would be now.
        expected: String,
    },
    /// The loss is not a number any more.
    #[error("step {step}: the loss is not finite; lower `learning_rate` and start again from the last checkpoint")]
    Diverged {
        /// The step.
        step: usize,
    },
    /// The gradients do not fit f16 any more.
    #[error(
        "step {step}: for {steps} steps in a row the gradients were too large for f16; lower `loss_scale`, or use bf16 or f32"
    )]
    Overflow {
        /// The step.
        step: usize,
        /// Steps that were left out.
        steps: usize,
    },
    /// A file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<Refusal> for TrainError {
    fn from((key, message): Refusal) -> Self {
        Self::Config { key, message }
    }
}
