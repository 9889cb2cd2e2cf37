//! `kscout reproduce`: every step from data to the tables of `docs/RESULTS.md`, each the command that a person would type.

mod recipe;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use kscout_core::kspace::Reconstruction;

use super::shard::MERGE;
use super::threads::Threads;
use super::{Failure, number};
use crate::io::lock::Locks;
use crate::io::moment;
use crate::io::stop::{self, Graceful, STEP, Stopped};
use crate::io::whole::write_atomically;
use crate::shard;
use recipe::{Choice, Folders, Recipe, Step};

/// Which tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tables {
    /// Phase and noise, 128x128 pixels at 1.5 mm; budgets that the slices of a volume share, and what reconstruction and
    /// segmentation cost each other
    Scanner,
    /// Magnitude only, 256x256 pixels at the scans' own spacing, 16 and 32 of 256 lines: the protocol of the IGS paper
    Igs,
}

/// `kscout reproduce`.
#[derive(Args)]
#[command(
    after_help = "Steps that are done are not done again, and a training that was cut off goes on, by the command and configuration that it was begun by. A recipe takes hours on two cores; to see that every step runs, --quick takes minutes.\n\nExamples:\n  kscout reproduce --protocol scanner --data data/acdc128 --out runs/scanner\n  kscout data import --spacing native --size 256 acdc/training data/acdc256\n  kscout reproduce --protocol igs --reconstruction homodyne --data data/acdc256 --out runs/igs-homodyne"
)]
pub struct ReproduceArgs {
    /// Which tables
    #[arg(long)]
    protocol: Tables,
    /// Data set folder, from `kscout data import`
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder for everything that is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How images are made of the measured lines: zero-filled, homodyne or half-homodyne; a folder for each
    #[arg(long, value_name = "NAME", default_value = "zero-filled")]
    reconstruction: Reconstruction,
    /// Seed of the first segmenter, which all others begin as, instead of the configuration's; the policies have three seeds each
    #[arg(long, value_parser = number::whole::<u64>(0..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Take the configurations of this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    configs: Option<PathBuf>,
    /// Train hardly at all: to see that every step runs, not for its numbers
    #[arg(long)]
    quick: bool,
    /// Print the commands, each with the steps whose results it reads and whether it can be dealt out to several machines, and run
    /// none. Any of them may be run by hand, or by a scheduler: trainings and whole sets of parts that are there are taken when the recipe
    /// comes to them, evaluations and masks that are there are made again
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    threads: Threads,
}

impl ReproduceArgs {
    /// Runs what has not been run.
    pub fn run(self) -> Result<(), Failure> {
        self.threads.set()?;
        let folders = Folders { data: &self.data, out: &self.out, configs: self.configs.as_deref() };
        let choice = Choice { reconstruction: self.reconstruction, seed: self.seed, quick: self.quick };
        let steps = match self.protocol {
            Tables::Scanner => Recipe::scanner(folders, choice).steps(),
            Tables::Igs => Recipe::igs(folders, choice).steps(),
        };
        if self.dry_run {
            for (number, step) in steps.iter().enumerate() {
                let after = step.follows(&steps[..number]);
                let after = if after.is_empty() { String::new() } else { format!(" after {};", after.join(", ")) };
                let dealing = step.dealing().map_or(String::new(), |how| format!(" can be dealt out: {how}"));
                println!("# {}:{after}{}", step.name, dealing);
                println!("kscout {}", step.arguments.join(" "));
            }
            return Ok(());
        }
        // Before anything is written.
        let configurations = steps.iter().map(Step::configuration).collect::<Result<Vec<_>, _>>()?;
        stop::goes_on_with(None);
        let _locks = Locks::of([self.out.as_path()])?;
        let done = self.out.join("done");
        fs::create_dir_all(&done).map_err(|error| format!("{}: {error}", done.display()))?;
        let _graceful = Graceful::begin();
        // What a step has made depends on all steps before it, and on their configurations.
        let mut history = String::new();
        for (number, (step, configuration)) in steps.iter().zip(configurations).enumerate() {
            let (marker, begun) = (done.join(&step.name), done.join(format!("{}.begun", step.name)));
            let command = step.arguments.join(" ");
            history += &format!("kscout {command}\n{configuration}");
            match read(&marker)? {
                Some(made) if made == history => continue,
                Some(_) => return Err(self.holds_others(step)),
                None => self.begin(step, &begun, &history)?,
            }
            println!("[{} of {}] kscout {}", number + 1, steps.len(), command);
            execute(step)?;
            write(&marker, &history)?;
            if stop::asked() {
                return Err(Stopped::having(format!("stopped after step `{}`", step.name)).into());
            }
        }
        Ok(())
    }

    /// Writes into the file `begun` by what a step begins, unless it would go on with what others have begun. The file stays: it says of
    /// what is there who made it, also once the step is done.
    fn begin(&self, step: &Step, begun: &Path, history: &str) -> Result<(), Failure> {
        let by = read(begun)?;
        if by.as_deref() == Some(history) {
            return Ok(());
        }
        // What begins anew, or has left nothing, mixes nothing; what older versions have begun says nothing of itself.
        let place = step.goes_on_in().filter(|place| place.exists());
        let Some(place) = by.and(place) else { return write(begun, history) };
        let (out, step, place) = (self.out.display(), &step.name, place.display());
        Err(format!(
            "{out}: step `{step}` was begun there by other commands or configurations; go on with those, choose another --out, or \
             remove {place} to begin the step anew"
        )
        .into())
    }

    fn holds_others(&self, step: &Step) -> Failure {
        let (out, step) = (self.out.display(), &step.name);
        format!(
            "{out}: what step `{step}` left there was made by other commands or configurations; choose another --out"
        )
        .into()
    }
}

/// What the file `path` holds; `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_atomically(path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Runs a step in a process of its own, with this program. It ends with this one, whatever ends this one: its standard input is a pipe
/// from here, over which it is also told of signals.
fn execute(step: &Step) -> Result<(), Failure> {
    let failed = |error: io::Error| format!("step `{}`: {error}", step.name);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    // What lies in the place of a step that was not finished is left by itself, cut off.
    let replace = (step.arguments.first().is_some_and(|command| command == "eval")).then_some("--force");
    let is_dealt_out = step.is_dealt_out_to().is_some_and(|out| shard::has_parts(&out));
    let threads = rayon::current_num_threads().to_string();
    command
        .env("RAYON_NUM_THREADS", threads)
        .args(&step.arguments)
        .args(replace)
        .args(is_dealt_out.then_some(MERGE))
        .env(STEP, "1")
        .env_remove(moment::VARIABLE)
        .stdin(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut pipe = child.stdin.take();
    stop::tell(move |signals| {
        // A step that has ended is told nothing.
        let _ = pipe.as_mut().map(|pipe| pipe.write_all(&[signals.min(255) as u8]));
    });
    moment::moment();
    let status = child.wait();
    stop::tell_nobody();
    let status = status.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    if stop::asked() {
        return Err(Stopped::having(format!("stopped at step `{}`", step.name)).into());
    }
    Err(format!("step `{}` failed ({status}); the same command goes on from here", step.name).into())
}
