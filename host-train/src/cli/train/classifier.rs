//! `kscout train classifier`.

use std::path::PathBuf;

use clap::Args;

use super::run::{RunArgs, Training};
use crate::cli::Failure;
use crate::cli::shard::Inputs;
use crate::data::{Dataset, Labels};
use crate::train::{ClassifierConfig, Trained, train_classifier};

/// `kscout train classifier`.
#[derive(Args)]
pub(super) struct ClassifierArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// CSV file with what it learns: `patient,LABEL,...` or `patient,slice,LABEL,...`; 0, 1, or empty where it is not known.
    /// `kscout data labels` makes one of ACDC's groups.
    #[arg(long, value_name = "FILE.csv")]
    pub(super) labels: PathBuf,
}

impl Training for ClassifierArgs {
    type Config = ClassifierConfig;

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn inputs(&self, inputs: Inputs) -> Result<Inputs, Failure> {
        inputs.file(Some(&self.labels))
    }

    fn train(&self, run: &RunArgs, config: &ClassifierConfig) -> Result<Trained, Failure> {
        let labels = Labels::read(&self.labels)?;
        let device = run.device.open()?;
        let data = Dataset::open(&run.data)?;
        let trained = train_classifier(&data, &labels, config, run.options(&device))?;
        run.done(trained, "mean AUC")
    }
}
