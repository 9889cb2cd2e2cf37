//! `kscout train`, one file a kind of training.

mod alias;
mod classifier;
mod line_policy;
mod mask;
mod run;
mod segmenter;
mod slice_policy;

use clap::{Args, Subcommand};

use self::alias::{PolicyArgs, RewardArgs};
use self::classifier::ClassifierArgs;
use self::line_policy::LinePolicyArgs;
use self::mask::MaskArgs;
use self::run::Training;
use self::segmenter::SegmenterArgs;
use self::slice_policy::SlicePolicyArgs;
use super::Failure;
use super::threads::Threads;
use crate::io::stop;

/// `kscout train`.
#[derive(Args)]
pub struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Train a segmenter on randomly undersampled slices, so that it works at every stage of a scan.
    Segmenter(SegmenterArgs),
    /// Train a classifier of undersampled slices on the labels in a CSV file.
    Classifier(ClassifierArgs),
    /// Train a policy that chooses the lines of a slice, by PPO over the core's scan loop, with rewards from a trained
    /// segmenter or classifier.
    LinePolicy(LinePolicyArgs),
    /// Train a policy that shares a budget among the slices of a volume: supervised warm start, then PPO.
    SlicePolicy(SlicePolicyArgs),
    /// Learn one mask for all slices by greedy forward selection on training volumes: the strongest fixed order to compare
    /// with.
    Mask(MaskArgs),
    /// The old name of `segmenter` and of `classifier`.
    #[command(hide = true)]
    Reward(RewardArgs),
    /// The old name of `line-policy` and of `slice-policy`.
    #[command(hide = true)]
    Policy(PolicyArgs),
}

impl TrainArgs {
    /// Trains.
    pub fn run(self) -> Result<(), Failure> {
        self.what.threads().set()?;
        stop::goes_on_with(Some("--resume"));
        match self.what {
            What::Segmenter(args) => args.start(),
            What::Classifier(args) => args.start(),
            What::LinePolicy(args) => args.start(),
            What::SlicePolicy(args) => args.start(),
            What::Mask(args) => args.run(),
            What::Reward(args) => args.start(),
            What::Policy(args) => args.start(),
        }
    }
}

impl What {
    fn threads(&self) -> &Threads {
        match self {
            Self::Segmenter(args) => &args.run.threads,
            Self::Classifier(args) => &args.run.threads,
            Self::LinePolicy(args) => &args.run.threads,
            Self::SlicePolicy(args) => &args.run.threads,
            Self::Mask(args) => args.threads(),
            Self::Reward(args) => &args.run.threads,
            Self::Policy(args) => &args.run.threads,
        }
    }
}
