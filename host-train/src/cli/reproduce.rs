//! `kscout reproduce`: every step from data to the tables of `docs/RESULTS.md`, each the command that a person would type.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::eval::atomic::write_atomically;

/// Budgets of the tables.
const BUDGETS: &str = "6,8,12,16,24";
/// Seeds of the slice policy.
const SEEDS: [u64; 3] = [1, 2, 3];

/// Which tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tables {
    /// Budgets that the slices of a volume share, under the scanner protocol.
    Scanner,
}

/// `kscout reproduce`.
#[derive(Args)]
#[command(
    after_help = "Steps that are done are not done again, and a training that was cut off goes on. About two hours on two cores.\n\nExample:\n  kscout reproduce --protocol scanner --data data/acdc128 --out runs/scanner"
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
    /// Where the configurations are
    #[arg(long, value_name = "DIR", default_value = "configs")]
    configs: PathBuf,
    /// Print the commands, and run none
    #[arg(long)]
    dry_run: bool,
}

/// A command, and the name under which it is remembered as done.
struct Step {
    name: String,
    arguments: Vec<String>,
}

impl ReproduceArgs {
    /// Runs what has not been run.
    pub fn run(self) -> Result<(), Failure> {
        let steps = match self.protocol {
            Tables::Scanner => self.scanner(),
        };
        if self.dry_run {
            steps.iter().for_each(|step| println!("kscout {}", step.arguments.join(" ")));
            return Ok(());
        }
        let program = std::env::current_exe()?;
        let done = self.out.join("done");
        fs::create_dir_all(&done).map_err(|error| format!("{}: {error}", done.display()))?;
        for (number, step) in steps.iter().enumerate() {
            let marker = done.join(&step.name);
            let command = step.arguments.join(" ");
            // A step of other arguments is another step.
            if fs::read_to_string(&marker).is_ok_and(|done| done == command) {
                continue;
            }
            println!("[{} of {}] kscout {}", number + 1, steps.len(), command);
            let status = Command::new(&program).args(&step.arguments).status()?;
            if !status.success() {
                return Err(
                    format!("step `{}` failed ({status}); the same command goes on from here", step.name).into()
                );
            }
            write_atomically(&marker, command.as_bytes()).map_err(|error| format!("{}: {error}", marker.display()))?;
        }
        Ok(())
    }

    fn scanner(&self) -> Vec<Step> {
        let recipe = Recipe { args: self };
        let mut steps = vec![
            recipe.step(
                "reward",
                "train reward --config CONFIGS/reward.toml --data DATA --out OUT/reward --resume --set max_minutes=38 \
                 --set masks.min_fraction=0.015 --set masks.favour_few=2.0 --set masks.centre=0.7",
            ),
            recipe.step("base", "export --reward OUT/reward/last --data DATA --target x86-64 --out OUT/base.kscout"),
            recipe.step(
                "mask",
                "train mask --model OUT/base.kscout --data DATA --out OUT/mask.json --volumes 60 --candidates 64 \
                 --budget 24 --resume",
            ),
            recipe.slices("slices-0", "reward", "--set updates=0"),
        ];
        steps.extend(recipe.tuned("centre", "base", "--by-baseline --baselines centre-out"));
        steps.extend(recipe.tuned("mask", "base", "--by-baseline --baselines learned-mask --mask OUT/mask.json"));
        let positions = "--by-baseline --baselines by-position --positions OUT/slices-0/positions.json";
        steps.extend(recipe.tuned("position", "base", positions));
        // The policy's own masks come from a first policy, on the segmenter tuned to the learned mask, whose order it measures.
        steps.push(recipe.slices("slices-1", "tuned-mask", "--mask OUT/mask.json --set updates=0"));
        steps.push(recipe.step(
            "first",
            "export --reward OUT/tuned-mask/last --slice-policy OUT/slices-1/last --data DATA --target x86-64 \
             --out OUT/first.kscout",
        ));
        steps.extend(recipe.tuned("policy", "first", ""));
        steps.push(recipe.slices("slices-position", "tuned-position", "--set updates=0 --set warm_steps=0"));
        steps.push(recipe.evaluated("centre", "--baselines centre-out,allocation-oracle"));
        steps.push(recipe.evaluated("mask", "--baselines learned-mask --mask OUT/mask.json"));
        let positions = "--baselines by-position --positions OUT/slices-position/positions.json";
        steps.push(recipe.evaluated("position", positions));
        for seed in SEEDS {
            let (name, set) = (format!("slices-policy-{seed}"), format!("--mask OUT/mask.json --set seed={seed}"));
            steps.push(recipe.slices(&name, "tuned-policy", &set));
            let export = format!(
                "export --reward OUT/tuned-policy/last --slice-policy OUT/{name}/last --data DATA --target x86-64 \
                 --out OUT/policy-{seed}.kscout"
            );
            steps.push(recipe.step(&format!("policy-{seed}"), &export));
            let positions = format!("--baselines by-position --positions OUT/{name}/positions.json");
            steps.push(recipe.evaluated_as(&format!("policy-{seed}"), &format!("policy-{seed}"), &positions));
        }
        let seeds: String = SEEDS.map(|seed| format!(" OUT/eval-policy-{seed}:policy")).concat();
        let with = "--with OUT/eval-centre:centre-out --with OUT/eval-position:by-position \
                    --with OUT/eval-mask:learned-mask --with OUT/eval-centre:allocation-oracle";
        steps.push(recipe.step("compare", &format!("compare{seeds} {with} --out OUT/compare.md")));
        steps
    }
}

/// Writes steps: `DATA`, `OUT` and `CONFIGS` stand for the folders.
struct Recipe<'a> {
    args: &'a ReproduceArgs,
}

impl Recipe<'_> {
    fn step(&self, name: &str, command: &str) -> Step {
        let filled = |word: &str| {
            let folder = |path: &Path| path.display().to_string();
            let folders = [("DATA", &self.args.data), ("CONFIGS", &self.args.configs), ("OUT", &self.args.out)];
            let found = folders.into_iter().find_map(|(name, path)| Some((folder(path), word.strip_prefix(name)?)));
            found.map_or(word.to_owned(), |(path, rest)| path + rest)
        };
        Step { name: name.to_owned(), arguments: command.split_whitespace().map(filled).collect() }
    }

    /// A slice policy on the segmenter `reward`.
    fn slices(&self, name: &str, reward: &str, more: &str) -> Step {
        let command = format!(
            "train policy --config CONFIGS/volume-policy.toml --reward OUT/{reward}/last --data DATA --out OUT/{name} \
             --resume {more}"
        );
        self.step(name, &command)
    }

    /// The masks of a method, the segmenter tuned to them, and its file.
    fn tuned(&self, name: &str, model: &str, method: &str) -> [Step; 3] {
        let masks = format!("masks --model OUT/{model}.kscout --data DATA --out OUT/masks-{name}.csv {method}");
        let tune = format!(
            "train reward --config CONFIGS/tune.toml --init OUT/reward/last --masks OUT/masks-{name}.csv --data DATA \
             --out OUT/tuned-{name} --resume"
        );
        let export =
            format!("export --reward OUT/tuned-{name}/last --data DATA --target x86-64 --out OUT/tuned-{name}.kscout");
        [
            self.step(&format!("masks-{name}"), &masks),
            self.step(&format!("tuned-{name}"), &tune),
            self.step(&format!("export-{name}"), &export),
        ]
    }

    fn evaluated(&self, name: &str, baselines: &str) -> Step {
        self.evaluated_as(name, &format!("tuned-{name}"), baselines)
    }

    fn evaluated_as(&self, name: &str, model: &str, baselines: &str) -> Step {
        let command = format!(
            "eval --model OUT/{model}.kscout --data DATA --budgets {BUDGETS} --out OUT/eval-{name} {baselines}"
        );
        self.step(&format!("eval-{name}"), &command)
    }
}
