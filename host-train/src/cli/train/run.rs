//! What every training by steps takes, and how it is started.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;

use crate::cli::shard::Inputs;
use crate::cli::sweep::SweepArgs;
use crate::cli::threads::Threads;
use crate::cli::{Failure, config};
use crate::config::{Config, ConfigError, Given};
use crate::data::Dataset;
use crate::device::DeviceChoice;
use crate::io::lock::Locks;
use crate::io::stop::Stopped;
use crate::train::{RunOptions, Trained};

/// What every training by steps takes.
#[derive(Args, Clone)]
pub(super) struct RunArgs {
    /// Data set folder, as `kscout data import` or `kscout data phantom` writes it.
    #[arg(long)]
    pub(super) data: PathBuf,
    /// Folder for checkpoints (`last`, `best`) and `log.csv`.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// TOML file with the task's keys, or the name of a built-in one, such as `segmenter.toml`; without it the defaults hold.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Override one key, such as `--set steps=2000` or `--set augment.flip.probability=0.5`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: auto (the first GPU of this build that works, else the CPU), cpu, cuda, cuda:1, vulkan and so on;
    /// `kscout devices` lists them.
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(super) device: DeviceChoice,
    /// Go on with the run in --out; where there is none, one begins, and a note says so.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    pub(super) threads: Threads,
    #[command(flatten)]
    sweep: SweepArgs,
}

/// The command line of a training by steps.
pub(super) trait Training {
    /// Its keys.
    type Config: Config;

    /// What it has in common with the others.
    fn run_args(&self) -> &RunArgs;

    /// `inputs` with what it reads besides data and configuration.
    ///
    /// # Errors
    /// One of them cannot be read.
    fn inputs(&self, inputs: Inputs) -> Result<Inputs, Failure>;

    /// Trains once, into the folder of `run`.
    ///
    /// # Errors
    /// What does not fit, or cannot be read or written.
    fn train(&self, run: &RunArgs, config: &Self::Config) -> Result<Trained, Failure>;

    /// Trains once, or once for each run of a sweep.
    ///
    /// # Errors
    /// The first that a training fails with.
    fn start(&self) -> Result<(), Failure> {
        let run = self.run_args();
        config::note_built_in(run.config.as_deref());
        if !run.sweep.is_asked()? {
            let _locks = Locks::of([run.out.as_path()])?;
            return self.train(run, &run.load()?).map(drop);
        }
        let file = run.config.as_deref().filter(|path| path.exists());
        let inputs = self.inputs(Inputs::default().data(&Dataset::open(&run.data)?).file(file)?)?;
        let with = |out: PathBuf, set: Vec<String>| {
            let set = run.set.iter().cloned().chain(set).collect();
            RunArgs { out, set, ..run.clone() }
        };
        let check = |set| Ok(with(run.out.clone(), set).load::<Self::Config>().map(drop)?);
        run.sweep.run(&run.out, inputs, check, |out, set| {
            let run = with(out, set);
            self.train(&run, &run.load()?)
        })
    }
}

impl RunArgs {
    /// What --config and --set give.
    pub(super) fn given(&self) -> Result<Given, ConfigError> {
        config::given(self.config.as_deref(), &self.set)
    }

    /// The configuration that they make.
    fn load<C: Config>(&self) -> Result<C, ConfigError> {
        config::load(&self.given()?)
    }

    /// Where the run lies, and where it computes.
    pub(super) fn options<'a>(&'a self, device: &'a Device) -> RunOptions<'a> {
        RunOptions { out: &self.out, resume: self.resume, device }
    }

    /// Says how a run has ended whose score is the `measure`.
    pub(super) fn done(&self, trained: Trained, measure: &str) -> Result<Trained, Failure> {
        let (last, meta) = (self.out.join("last"), &trained.meta);
        if trained.stopped {
            return Err(Stopped::having(format!("stopped at step {}; saved in {}", meta.step, last.display())).into());
        }
        let score = meta.score.map_or("no validation score".into(), |score| format!("{measure} {score:.4}"));
        println!("{}: step {}, {score}", last.display(), meta.step);
        Ok(trained)
    }
}
