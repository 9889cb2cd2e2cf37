//! `kscout train line-policy`.

use std::path::PathBuf;

use clap::Args;

use super::run::{RunArgs, Training};
use crate::cli::Failure;
use crate::cli::shard::Inputs;
use crate::data::{Dataset, Labels};
use crate::rl::{LinePolicyInputs, PolicyConfig, train_line_policy};
use crate::samplers::LearnedMask;
use crate::train::Trained;

/// `kscout train line-policy`.
#[derive(Args)]
pub(super) struct LinePolicyArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Checkpoint of the reward model: the segmenter or classifier whose scores of a scan are the policy's reward.
    #[arg(long, alias = "reward", value_name = "DIR")]
    pub(super) reward_model: PathBuf,
    /// True labels of the slices, for a classifier: the CSV file that it was trained on.
    #[arg(long, value_name = "FILE.csv")]
    pub(super) labels: Option<PathBuf>,
    /// A learned mask, from `kscout train mask`, instead of centre-out: the fixed order that the policy begins as and has to
    /// beat.
    #[arg(long, value_name = "FILE.json")]
    pub(super) mask: Option<PathBuf>,
}

impl Training for LinePolicyArgs {
    type Config = PolicyConfig;

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn inputs(&self, inputs: Inputs) -> Result<Inputs, Failure> {
        inputs.reward_model(&self.reward_model)?.file(self.labels.as_deref())?.file(self.mask.as_deref())
    }

    fn train(&self, run: &RunArgs, config: &PolicyConfig) -> Result<Trained, Failure> {
        let device = run.device.open()?;
        let labels = self.labels.as_deref().map(Labels::read).transpose()?;
        let data = Dataset::open(&run.data)?;
        let mask = self.mask.as_deref().map(|path| LearnedMask::read_for(path, data.width(), 1)).transpose()?;
        let inputs = LinePolicyInputs { reward: &self.reward_model, labels: labels.as_ref(), mask: mask.as_ref() };
        let trained = train_line_policy(&data, inputs, config, run.options(&device))?;
        match trained.meta.standing() {
            Some(standing) if !trained.stopped => {
                println!("{}: update {}; {}", run.out.display(), trained.meta.step, standing.of_the_run());
                Ok(trained)
            }
            _ => run.done(trained, if labels.is_some() { "mean AUC" } else { "mean Dice" }),
        }
    }
}
