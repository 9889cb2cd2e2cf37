//! Why a policy could not be trained.

use std::path::PathBuf;

use kscout_core::kspace::Reconstruction;

use super::agent::PolicyNetwork;
use crate::data::LabelsError;
use crate::eval::run::RunError;
use crate::export::ExportError;
use crate::metrics::stats::StatsError;
use crate::train::TrainError;
use crate::train::checkpoint::CheckpointError;

/// Why a policy could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// What any training can fail with.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The reward model could not be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Scans could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Policies could not be compared.
    #[error("validation: {0}")]
    Stats(#[from] StatsError),
    /// The core refused a step of the environment.
    #[error("environment: {0}")]
    Scan(#[from] kscout_core::scan::ScanError),
    /// The reward model was trained on images of another size.
    #[error("{reward}: a reward model for images of {of:?}, but {data} has images of {got:?} (rows, columns)")]
    Size {
        /// The reward model's checkpoint.
        reward: PathBuf,
        /// The size it was trained on.
        of: [usize; 2],
        /// The data set.
        data: PathBuf,
        /// The size of its images.
        got: [usize; 2],
    },
    /// The policy looks at the complex zero-filled image, the reward model at another one.
    #[error(
        "{reward}: a reward model of {reconstruction} images, but the policy `{network}` looks at the complex zero-filled image; \
         take network = \"{}\"",
        PolicyNetwork::Scout
    )]
    Reconstruction {
        /// The policy.
        network: &'static str,
        /// What the reward model is called.
        reward: String,
        /// How its images are made.
        reconstruction: Reconstruction,
    },
    /// The labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// A classifier where only a segmenter will do.
    #[error("{0}: a classifier; a volume's budget is shared by what a segmenter sees")]
    NeedsSegmenter(PathBuf),
    /// A classifier without the truth to score by.
    #[error("{0}: a classifier scores by the true labels; give them with --labels FILE.csv")]
    NeedsLabels(PathBuf),
    /// A held-out segmenter that has learned from every training patient.
    #[error("{0}: leaves out no patient; train it with the keys `folds` and `fold`")]
    NoFold(PathBuf),
    /// A training patient that no held-out segmenter is new to.
    #[error("--held-out: all of them have learned from {0}; give one segmenter of every fold")]
    AllHaveSeen(String),
    /// A training patient that several held-out segmenters are new to.
    #[error("--held-out: more than one leaves out {0}; give one segmenter of each fold")]
    SeveralHaveNotSeen(String),
    /// Labels beside a segmenter.
    #[error("{0}: a segmenter scores by the masks; leave --labels out, or give a classifier")]
    NoUseForLabels(PathBuf),
}
