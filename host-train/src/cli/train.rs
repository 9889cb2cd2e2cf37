//! `kscout train`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::mask::MaskArgs;
use super::threads::Threads;
use super::{Failure, config};
use crate::config::{ConfigError, Given};
use crate::data::{Dataset, Labels};
use crate::device::DeviceChoice;
use crate::io::lock::Locks;
use crate::io::stop::{self, Stopped};
use crate::orders::LearnedMask;
use crate::rl::volume::{VolumeConfig, train_slice_policy};
use crate::rl::{PolicyConfig, train_policy};
use crate::train::classifier::Kind;
use crate::train::{ClassifierConfig, GivenMasks, RewardConfig, Trained, train_classifier, train_reward};

/// `kscout train`.
#[derive(Args)]
pub struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Train a reward model on randomly undersampled slices, so that it knows every stage of a scan: a segmenter, or, with
    /// `kind = "classification"` in the config, a classifier of labels from a CSV file.
    Reward(RewardArgs),
    /// Train a sampling policy by PPO, over the core's scan loop, with a trained reward model: one that chooses the lines of a
    /// slice, or, with `budget = "volume"` in the config, one that shares a budget among the slices of a volume.
    Policy(PolicyArgs),
    /// Learn one mask for all slices by greedy forward selection on training volumes: the strongest fixed order to compare with.
    Mask(MaskArgs),
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
    /// TOML file with the task's keys, or the name of a built-in one, such as `reward.toml`; without it the defaults hold.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Override one key, such as `--set steps=2000` or `--set augment.flip.probability=0.5`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Go on with the run in --out; where there is none, one begins, and a note says so.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    threads: Threads,
}

impl Common {
    /// What --config and --set give.
    fn given(&self) -> Result<Given, ConfigError> {
        config::given(self.config.as_deref(), &self.set)
    }
}

#[derive(Args)]
struct RewardArgs {
    #[command(flatten)]
    common: Common,
    /// CSV file with what a classifier learns: `patient,LABEL,...` or `patient,slice,LABEL,...`; 0, 1, or empty where it is
    /// not known. `kscout data labels` makes one of a data set's groups.
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    /// Begin with the weights of this segmenter, from a training or from `kscout import`, instead of random ones.
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// Masks that a segmenter is tuned to: a share of the samples (`masks.given`) is seen through those that this file gives for
    /// the slice. `kscout masks` writes what a policy or a pattern makes of the training slices. Given several times, the
    /// segmenter is tuned to the masks of all files.
    #[arg(long, value_name = "FILE.csv")]
    masks: Vec<PathBuf>,
}

#[derive(Args)]
struct PolicyArgs {
    #[command(flatten)]
    common: Common,
    /// Checkpoint of the segmenter or classifier that judges the scans.
    #[arg(long)]
    reward: PathBuf,
    /// With `budget = "volume"`: a segmenter like that of --reward that leaves out a fold of the training patients (`folds` and
    /// `fold` in its config); once for each fold. Training volumes are then followed by the segmenter that they are new to.
    #[arg(long, value_name = "DIR")]
    held_out: Vec<PathBuf>,
    /// What is true of the slices, for a classifier: the CSV file that it was trained on.
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    /// A learned mask, from `kscout train mask`, instead of centre-out: the fixed order that a line policy begins as and has to
    /// beat, or, with `budget = "volume"`, the order in which the lines of a slice are measured.
    #[arg(long, value_name = "FILE.json")]
    mask: Option<PathBuf>,
}

impl TrainArgs {
    /// Trains.
    pub fn run(self) -> Result<(), Failure> {
        let (out, threads) = match &self.what {
            What::Reward(args) => (&args.common.out, &args.common.threads),
            What::Policy(args) => (&args.common.out, &args.common.threads),
            What::Mask(args) => (args.out(), args.threads()),
        };
        threads.set()?;
        stop::goes_on_with(Some("--resume"));
        let _locks = Locks::of([out.as_path()])?;
        match self.what {
            What::Reward(args) => reward(args),
            What::Policy(args) => policy(args),
            What::Mask(args) => args.run(),
        }
    }
}

fn reward(args: RewardArgs) -> Result<(), Failure> {
    let RewardArgs { common: args, labels, init, masks } = args;
    let given = args.given()?;
    if given.names("kind") {
        if let Some(init) = init {
            return Err(format!("--init {}: a classifier begins with random weights", init.display()).into());
        }
        if let Some(masks) = masks.first() {
            return Err(format!("--masks {}: a classifier sees random masks", masks.display()).into());
        }
        return classifier(args, &given, labels);
    }
    if let Some(labels) = labels {
        let labels = labels.display();
        return Err(format!("--labels {labels}: a segmenter learns from masks; set kind = \"classification\"").into());
    }
    let config: RewardConfig = config::load(&given)?;
    let device = args.device.open()?;
    let data = Dataset::open(&args.data)?;
    let masks = GivenMasks::read(masks.iter().map(PathBuf::as_path), &data)?;
    let trained = train_reward(&data, &args.out, &config, &device, (args.resume, init.as_deref()), &masks)?;
    done(&args.out, &trained, "mean Dice")
}

fn classifier(args: Common, given: &Given, labels: Option<PathBuf>) -> Result<(), Failure> {
    let config: ClassifierConfig = config::load(given)?;
    let Kind::Classification = config.kind;
    let labels =
        labels.ok_or("a classifier needs --labels FILE.csv; `kscout data labels` makes one of ACDC's groups")?;
    let labels = Labels::read(&labels)?;
    let device = args.device.open()?;
    let data = Dataset::open(&args.data)?;
    let trained = train_classifier(&data, &labels, &args.out, &config, &device, args.resume)?;
    done(&args.out, &trained, "mean AUC")
}

fn policy(args: PolicyArgs) -> Result<(), Failure> {
    let common = args.common;
    let given = common.given()?;
    if given.names("budget") {
        return slice_policy(
            common,
            &given,
            (&args.reward, &args.held_out, args.mask.as_deref()),
            args.labels.as_deref(),
        );
    }
    if let Some(held_out) = args.held_out.first() {
        let held_out = held_out.display();
        return Err(format!("--held-out {held_out}: judges whole volumes; set budget = \"volume\"").into());
    }
    let config: PolicyConfig = config::load(&given)?;
    let device = common.device.open()?;
    let labels = args.labels.as_deref().map(Labels::read).transpose()?;
    let data = Dataset::open(&common.data)?;
    let mask = args.mask.map(|path| LearnedMask::read_for(&path, data.width(), 1)).transpose()?;
    let teachers = (args.reward.as_path(), labels.as_ref(), mask.as_ref());
    let trained = train_policy(&data, teachers, &common.out, &config, &device, common.resume)?;
    match &trained.meta.standing {
        Some(standing) if !trained.stopped => {
            println!("{}: update {}; {}", common.out.display(), trained.meta.step, standing.of_the_run());
            Ok(())
        }
        _ => done(&common.out, &trained, if labels.is_some() { "mean AUC" } else { "mean Dice" }),
    }
}

fn slice_policy(
    args: Common,
    given: &Given,
    (reward, held_out, mask): (&Path, &[PathBuf], Option<&Path>),
    labels: Option<&Path>,
) -> Result<(), Failure> {
    if let Some(labels) = labels {
        let labels = labels.display();
        return Err(format!("--labels {labels}: a volume's budget is shared by what a segmenter sees").into());
    }
    let config: VolumeConfig = config::load(given)?;
    let device = args.device.open()?;
    let data = Dataset::open(&args.data)?;
    let mask = mask.map(|path| LearnedMask::read_for(path, data.width(), 1)).transpose()?;
    let trained =
        train_slice_policy(&data, (reward, held_out, mask.as_ref()), &args.out, &config, &device, args.resume)?;
    done(&args.out, &trained, "mean Dice")
}

fn done(out: &Path, Trained { meta, stopped }: &Trained, measure: &str) -> Result<(), Failure> {
    let last = out.join("last");
    if *stopped {
        return Err(Stopped::having(format!("stopped at step {}; saved in {}", meta.step, last.display())).into());
    }
    let score = meta.score.map_or("no validation score".into(), |score| format!("{measure} {score:.4}"));
    println!("{}: step {}, {score}", last.display(), meta.step);
    Ok(())
}
