//! `kscout train reward` and `kscout train policy`, which were the names of two trainings each: a key of the configuration chose
//! among them. They say the new name, and do what they did.

use std::path::PathBuf;

use clap::Args;

use super::classifier::ClassifierArgs;
use super::line_policy::LinePolicyArgs;
use super::run::{RunArgs, Training};
use super::segmenter::SegmenterArgs;
use super::slice_policy::SlicePolicyArgs;
use crate::cli::Failure;
use crate::config::{Config, Given, knows};
use crate::rl::PolicyConfig;
use crate::rl::volume::VolumeConfig;
use crate::train::{ClassifierConfig, SegmenterConfig};

/// `kscout train reward`.
#[derive(Args)]
pub(super) struct RewardArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    #[arg(long, value_name = "FILE.csv")]
    masks: Vec<PathBuf>,
}

/// `kscout train policy`.
#[derive(Args)]
pub(super) struct PolicyArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[arg(long, alias = "reward", value_name = "DIR")]
    reward_model: PathBuf,
    #[arg(long, value_name = "DIR")]
    held_out: Vec<PathBuf>,
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    #[arg(long, value_name = "FILE.json")]
    mask: Option<PathBuf>,
}

impl RewardArgs {
    /// Trains the segmenter, or with `kind = "classification"` or labels the classifier.
    pub(super) fn start(self) -> Result<(), Failure> {
        let Self { run, labels, init, masks } = self;
        if run.given()?.names("kind") || labels.is_some() {
            if let Some(init) = init {
                return Err(format!("--init {}: a classifier begins with random weights", init.display()).into());
            }
            if let Some(masks) = masks.first() {
                return Err(format!("--masks {}: a classifier sees random masks", masks.display()).into());
            }
            let labels = labels
                .ok_or("a classifier needs --labels FILE.csv; `kscout data labels` makes one of ACDC's groups")?;
            return renamed("kscout train reward", &ClassifierArgs { run, labels });
        }
        expect_keys_of::<SegmenterConfig, ClassifierConfig>("kscout train reward", &run.given()?)?;
        renamed("kscout train reward", &SegmenterArgs { run, init, masks })
    }
}

impl PolicyArgs {
    /// Trains the line policy, or with `budget = "volume"` or held-out segmenters the slice policy.
    pub(super) fn start(self) -> Result<(), Failure> {
        let Self { run, reward_model, held_out, labels, mask } = self;
        if run.given()?.names("budget") || !held_out.is_empty() {
            if let Some(labels) = labels {
                let labels = labels.display();
                return Err(format!("--labels {labels}: a volume's budget is shared by what a segmenter sees").into());
            }
            return renamed("kscout train policy", &SlicePolicyArgs { run, reward_model, held_out, mask });
        }
        expect_keys_of::<PolicyConfig, VolumeConfig>("kscout train policy", &run.given()?)?;
        renamed("kscout train policy", &LinePolicyArgs { run, reward_model, labels, mask })
    }
}

/// Refuses keys that the training `C` does not have and the `other` one does: a configuration that was made for that one.
fn expect_keys_of<C: Config, Other: Config>(old: &str, given: &Given) -> Result<(), Failure> {
    let others = |key: &String| knows::<Other>(key) && !knows::<C>(key);
    let Some(key) = given.keys().into_iter().find(others) else { return Ok(()) };
    let (place, new, other) = (given.place(&key), C::COMMAND, Other::COMMAND);
    Err(format!("{place}: `{key}` is a key of `{other}`: use that; `{old}` is called `{new}` now").into())
}

/// Says the new name of the command `old`, and starts.
fn renamed<T: Training>(old: &str, training: &T) -> Result<(), Failure> {
    eprintln!("note: `{old}` is called `{}` now", T::Config::COMMAND);
    training.start()
}
