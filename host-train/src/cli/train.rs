//! `kscout train`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use crate::config;
use crate::data::Dataset;
use crate::device::DeviceChoice;
use crate::rl::{PolicyConfig, train_policy};
use crate::train::{Meta, RewardConfig, train_reward};

/// `kscout train`.
#[derive(Args)]
pub struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Train a segmenter on randomly undersampled slices; every stage of a scan is among them.
    Reward(RewardArgs),
    /// Train a sampling policy by PPO, over the core's scan loop, with a trained segmenter as the reward model.
    Policy(PolicyArgs),
}

/// What every training takes.
#[derive(Args)]
struct Common {
    /// Data set folder, as `kscout data import` or `kscout data phantom` writes it.
    #[arg(long)]
    data: PathBuf,
    /// Folder for checkpoints (`last`, `best`) and `log.csv`.
    #[arg(long)]
    out: PathBuf,
    /// TOML file with the task's keys; without it the defaults hold.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Override one key, such as `--set steps=2000` or `--set augment.flip.probability=0.5`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Go on with the run in --out.
    #[arg(long)]
    resume: bool,
}

#[derive(Args)]
struct RewardArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct PolicyArgs {
    #[command(flatten)]
    common: Common,
    /// Checkpoint of the segmenter that judges the scans.
    #[arg(long)]
    reward: PathBuf,
}

impl TrainArgs {
    /// Trains.
    pub fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Reward(args) => reward(args.common),
            What::Policy(args) => policy(args),
        }
    }
}

fn reward(args: Common) -> Result<(), Failure> {
    let config: RewardConfig = config::load(args.config.as_deref(), &args.set)?;
    let device = args.device.open()?;
    let data = Dataset::open(&args.data)?;
    let meta = train_reward(&data, &args.out, &config, &device, args.resume)?;
    say_done(&args.out, &meta);
    Ok(())
}

fn policy(args: PolicyArgs) -> Result<(), Failure> {
    let common = args.common;
    let config: PolicyConfig = config::load(common.config.as_deref(), &common.set)?;
    let device = common.device.open()?;
    let data = Dataset::open(&common.data)?;
    let meta = train_policy(&data, &args.reward, &common.out, &config, &device, common.resume)?;
    say_done(&common.out, &meta);
    Ok(())
}

fn say_done(out: &Path, meta: &Meta) {
    let score = meta.score.map_or("no validation slices".into(), |score| format!("mean Dice {score:.4}"));
    println!("{}: step {}, {score}", out.join("last").display(), meta.step);
}
