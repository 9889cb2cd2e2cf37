//! `kscout train`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::mask::MaskArgs;
use super::shard::Inputs;
use super::sweep::SweepArgs;
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
#[derive(Args, Clone)]
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
    /// Where to compute: auto (the first GPU of this build that works, else the CPU), cpu, cuda, cuda:1, vulkan and so on;
    /// `kscout devices` lists them.
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
    /// Go on with the run in --out; where there is none, one begins, and a note says so.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    sweep: SweepArgs,
}

impl Common {
    /// What --config and --set give.
    fn given(&self) -> Result<Given, ConfigError> {
        config::given(self.config.as_deref(), &self.set)
    }
}

#[derive(Args, Clone)]
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

#[derive(Args, Clone)]
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
        let threads = match &self.what {
            What::Reward(args) => &args.common.threads,
            What::Policy(args) => &args.common.threads,
            What::Mask(args) => args.threads(),
        };
        threads.set()?;
        stop::goes_on_with(Some("--resume"));
        match self.what {
            What::Reward(args) => args.run(),
            What::Policy(args) => args.run(),
            What::Mask(args) => {
                let _locks = Locks::of([args.place().as_path()])?;
                args.run()
            }
        }
    }
}

impl Common {
    /// Runs the training once, or once for each run of a sweep: `train` is given its folder and the keys that are set.
    fn run(
        &self,
        inputs: impl FnOnce(Inputs) -> Result<Inputs, Failure>,
        check: impl Fn(&Given) -> Result<(), ConfigError>,
        mut train: impl FnMut(Self) -> Result<Trained, Failure>,
    ) -> Result<(), Failure> {
        if !self.sweep.is_asked()? {
            let _locks = Locks::of([self.out.as_path()])?;
            return train(self.clone()).map(drop);
        }
        let config = self.config.as_deref().filter(|path| path.exists());
        let inputs = inputs(Inputs::default().data(&Dataset::open(&self.data)?).file(config)?)?;
        let with = |set: Vec<String>| -> Vec<String> { self.set.iter().cloned().chain(set).collect() };
        let check = |set| Ok(check(&Self { set: with(set), ..self.clone() }.given()?)?);
        self.sweep.run(&self.out, inputs, check, |out, set| train(Self { out, set: with(set), ..self.clone() }))
    }
}

impl RewardArgs {
    fn run(self) -> Result<(), Failure> {
        let inputs = |inputs: Inputs| {
            let masks = self.masks.iter().try_fold(inputs, |inputs, path| inputs.file(Some(path)))?;
            masks.file(self.labels.as_deref())?.checkpoint(self.init.as_deref())
        };
        let check = |given: &Given| match given.names("kind") {
            true => config::load::<ClassifierConfig>(given).map(drop),
            false => config::load::<RewardConfig>(given).map(drop),
        };
        self.common.run(inputs, check, |common| reward(Self { common, ..self.clone() }))
    }
}

impl PolicyArgs {
    fn run(self) -> Result<(), Failure> {
        let inputs = |inputs: Inputs| {
            let judges = self.held_out.iter().try_fold(inputs, |inputs, path| inputs.checkpoint(Some(path)))?;
            judges.checkpoint(Some(&self.reward))?.file(self.labels.as_deref())?.file(self.mask.as_deref())
        };
        let check = |given: &Given| match given.names("budget") {
            true => config::load::<VolumeConfig>(given).map(drop),
            false => config::load::<PolicyConfig>(given).map(drop),
        };
        self.common.run(inputs, check, |common| policy(Self { common, ..self.clone() }))
    }
}

fn reward(args: RewardArgs) -> Result<Trained, Failure> {
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
    done(&args.out, trained, "mean Dice")
}

fn classifier(args: Common, given: &Given, labels: Option<PathBuf>) -> Result<Trained, Failure> {
    let config: ClassifierConfig = config::load(given)?;
    let Kind::Classification = config.kind;
    let labels =
        labels.ok_or("a classifier needs --labels FILE.csv; `kscout data labels` makes one of ACDC's groups")?;
    let labels = Labels::read(&labels)?;
    let device = args.device.open()?;
    let data = Dataset::open(&args.data)?;
    let trained = train_classifier(&data, &labels, &args.out, &config, &device, args.resume)?;
    done(&args.out, trained, "mean AUC")
}

fn policy(args: PolicyArgs) -> Result<Trained, Failure> {
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
            Ok(trained)
        }
        _ => done(&common.out, trained, if labels.is_some() { "mean AUC" } else { "mean Dice" }),
    }
}

fn slice_policy(
    args: Common,
    given: &Given,
    (reward, held_out, mask): (&Path, &[PathBuf], Option<&Path>),
    labels: Option<&Path>,
) -> Result<Trained, Failure> {
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
    done(&args.out, trained, "mean Dice")
}

fn done(out: &Path, trained: Trained, measure: &str) -> Result<Trained, Failure> {
    let (last, meta) = (out.join("last"), &trained.meta);
    if trained.stopped {
        return Err(Stopped::having(format!("stopped at step {}; saved in {}", meta.step, last.display())).into());
    }
    let score = meta.score.map_or("no validation score".into(), |score| format!("{measure} {score:.4}"));
    println!("{}: step {}, {score}", last.display(), meta.step);
    Ok(trained)
}
