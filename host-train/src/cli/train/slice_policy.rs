//! `kscout train slice-policy`.

use std::path::PathBuf;

use clap::Args;

use super::run::{RunArgs, Training};
use crate::cli::Failure;
use crate::cli::shard::Inputs;
use crate::data::Dataset;
use crate::rl::volume::{SlicePolicyInputs, VolumeConfig, train_slice_policy};
use crate::samplers::LearnedMask;
use crate::train::Trained;

/// `kscout train slice-policy`.
#[derive(Args)]
pub(super) struct SlicePolicyArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Checkpoint of the reward model: the segmenter whose scores of a scan are the policy's reward.
    #[arg(long, alias = "reward", value_name = "DIR")]
    pub(super) reward_model: PathBuf,
    /// A segmenter like that of --reward-model, trained without a fold of the training patients (`folds` and `fold` in its
    /// config); once for each fold. Each training volume is then scored by the segmenter that has not seen it.
    #[arg(long, value_name = "DIR")]
    pub(super) held_out: Vec<PathBuf>,
    /// A learned mask, from `kscout train mask`, instead of centre-out: the order in which the lines of a slice are measured.
    #[arg(long, value_name = "FILE.json")]
    pub(super) mask: Option<PathBuf>,
}

impl Training for SlicePolicyArgs {
    type Config = VolumeConfig;

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn inputs(&self, inputs: Inputs) -> Result<Inputs, Failure> {
        let folds = self.held_out.iter().try_fold(inputs, |inputs, path| inputs.checkpoint(Some(path)))?;
        folds.checkpoint(Some(&self.reward_model))?.file(self.mask.as_deref())
    }

    fn train(&self, run: &RunArgs, config: &VolumeConfig) -> Result<Trained, Failure> {
        let device = run.device.open()?;
        let data = Dataset::open(&run.data)?;
        let mask = self.mask.as_deref().map(|path| LearnedMask::read_for(path, data.width(), 1)).transpose()?;
        let inputs = SlicePolicyInputs { reward: &self.reward_model, held_out: &self.held_out, mask: mask.as_ref() };
        let trained = train_slice_policy(&data, inputs, config, run.options(&device))?;
        run.done(trained, "mean Dice")
    }
}
