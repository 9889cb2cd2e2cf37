//! `kscout train segmenter`.

use std::path::PathBuf;

use clap::Args;

use super::run::{RunArgs, Training};
use crate::cli::Failure;
use crate::cli::shard::Inputs;
use crate::data::Dataset;
use crate::train::{RecordedMasks, SegmenterConfig, SegmenterInputs, Trained, train_segmenter};

/// `kscout train segmenter`.
#[derive(Args)]
pub(super) struct SegmenterArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Begin with the weights of this segmenter, from a training or from `kscout import`, instead of random ones.
    #[arg(long, value_name = "DIR")]
    pub(super) init: Option<PathBuf>,
    /// Recorded masks that the segmenter is tuned to: a fraction of the samples (`masks.recorded`) is undersampled by those
    /// that this file has for the slice. `kscout masks` records the masks of a policy or a pattern on the training slices.
    /// Given several times, the segmenter is tuned to the masks of all files.
    #[arg(long, value_name = "FILE.csv")]
    pub(super) masks: Vec<PathBuf>,
}

impl Training for SegmenterArgs {
    type Config = SegmenterConfig;

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn inputs(&self, inputs: Inputs) -> Result<Inputs, Failure> {
        let masks = self.masks.iter().try_fold(inputs, |inputs, path| inputs.file(Some(path)))?;
        masks.checkpoint(self.init.as_deref())
    }

    fn train(&self, run: &RunArgs, config: &SegmenterConfig) -> Result<Trained, Failure> {
        let device = run.device.open()?;
        let data = Dataset::open(&run.data)?;
        let masks = RecordedMasks::read(self.masks.iter().map(PathBuf::as_path), &data)?;
        let inputs = SegmenterInputs { init: self.init.as_deref(), masks: &masks };
        let trained = train_segmenter(&data, inputs, config, run.options(&device))?;
        run.done(trained, "mean Dice")
    }
}
