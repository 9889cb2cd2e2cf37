//! The steps of a protocol's tables.

use std::fs;
use std::path::{Path, PathBuf};

use kscout_core::kspace::Reconstruction;

use crate::cli::config::{BUILT_IN, built_in};

/// Seeds of the slice policy.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Ratios of reconstruction to segmentation in the reward: a name, lambda1 and lambda2.
const RATIOS: [(&str, &str, &str); 5] =
    [("0-1", "0", "1"), ("1-4", "1", "4"), ("1-1", "1", "1"), ("4-1", "4", "1"), ("1-0", "1", "0")];

/// A command, and the name under which it is remembered as done.
pub struct Step {
    /// The name.
    pub name: String,
    /// What follows the program's name.
    pub arguments: Vec<String>,
}

impl Step {
    /// Where the step goes on with what it finds; `None` where it begins anew.
    pub fn goes_on_in(&self) -> Option<PathBuf> {
        let resumes = self.arguments.iter().any(|word| word == "--resume");
        resumes.then(|| self.value("--out").map(PathBuf::from)).flatten()
    }

    /// What the step makes, if its work can be dealt out with --shard.
    pub fn is_dealt_out_to(&self) -> Option<PathBuf> {
        let falls_apart = ["eval", "masks"].contains(&self.arguments.first()?.as_str());
        falls_apart.then(|| self.value("--out").map(PathBuf::from)).flatten()
    }

    /// How the step can be dealt out to several machines, in words; `None` where it cannot.
    pub fn dealing(&self) -> Option<String> {
        let learns_a_mask = self.arguments.iter().take(2).eq(["train", "mask"]);
        let merged = self.is_dealt_out_to().map(|out| format!("--shard I/N, then kscout merge {}", out.display()));
        merged.or_else(|| learns_a_mask.then(|| "--shard I/N, all at the same time".into()))
    }

    /// Those of the steps `before` whose results the step reads, by name.
    pub fn follows<'s>(&self, before: &'s [Self]) -> Vec<&'s str> {
        let made = |step: &Self| step.value("--out").map(PathBuf::from);
        let own = made(self);
        let read = |place: &Path| {
            // An evaluation is named with a method behind it: `OUT/eval:policy`.
            let words = self.arguments.iter().map(|word| Path::new(word.split(':').next().unwrap_or(word)));
            words.filter(|word| Some(*word) != own.as_deref()).any(|word| word.starts_with(place))
        };
        before
            .iter()
            .filter(|step| made(step).is_some_and(|place| read(&place)))
            .map(|step| step.name.as_str())
            .collect()
    }

    /// What stands behind an option.
    fn value(&self, option: &str) -> Option<&str> {
        self.arguments.iter().skip_while(|word| *word != option).nth(1).map(String::as_str)
    }

    /// The text of the configuration that the step reads; empty where it reads none.
    pub fn configuration(&self) -> Result<String, String> {
        let Some(path) = self.value("--config") else { return Ok(String::new()) };
        match path.strip_prefix(BUILT_IN).and_then(built_in) {
            Some((_, text)) => Ok(text.to_owned()),
            None => fs::read_to_string(path).map_err(|error| format!("{path}: {error}; --configs names its folder")),
        }
    }
}

/// Where things lie: `DATA`, `OUT` and `CONFIGS` in the commands.
#[derive(Clone, Copy)]
pub struct Folders<'a> {
    /// The data set.
    pub data: &'a Path,
    /// For what is made.
    pub out: &'a Path,
    /// The configurations, where they are not the built-in ones.
    pub configs: Option<&'a Path>,
}

/// What may be chosen about a protocol's tables.
#[derive(Clone, Copy)]
pub struct Choice {
    /// How images are made of the measured lines.
    pub reconstruction: Reconstruction,
    /// Of the first segmenter, where it is not the configuration's.
    pub seed: Option<u64>,
    /// Whether to learn next to nothing.
    pub quick: bool,
}

/// What the tables of a protocol are made by.
pub struct Recipe<'a> {
    folders: Folders<'a>,
    choice: Choice,
    /// The protocol's option, in commands that have no configuration.
    protocol: &'static str,
    /// Budgets of the tables.
    budgets: &'static str,
    /// Draws of phase and noise that the tables are means of.
    draws: usize,
    /// The first segmenter's configuration and keys; it learns on zero-filled images.
    segmenter: &'static str,
    /// The configuration of the segmenters that are tuned to a method's masks.
    tune: &'static str,
    /// Options of the learned mask.
    mask: &'static str,
    /// Budgets of the masks that segmenters are tuned to.
    recorded: &'static str,
    /// Keys of the slice policies.
    slices: &'static str,
    /// Whether the trade between reconstruction and segmentation is shown.
    ratios: bool,
}

impl<'a> Recipe<'a> {
    /// The scanner protocol.
    pub fn scanner(folders: Folders<'a>, choice: Choice) -> Self {
        Self {
            folders,
            choice,
            protocol: "",
            budgets: "6,8,12,16,24",
            draws: if choice.quick { 2 } else { 8 },
            // Steps, not minutes: as many on any machine.
            segmenter: "--config CONFIGS/segmenter.toml --set steps=4800 --set max_minutes=0 --set validate_every=1600 \
                     --set masks.min_fraction=0.015 --set masks.favour_few=2.0 --set masks.centre=0.7",
            tune: "--config CONFIGS/tune.toml",
            mask: if choice.quick {
                "--volumes 1 --candidates 24 --budget 24 --reorder"
            } else {
                "--volumes 60 --candidates 64 --budget 24 --reorder"
            },
            recorded: "6,8,12,16",
            slices: "",
            ratios: true,
        }
    }

    /// The protocol of the IGS paper.
    pub fn igs(folders: Folders<'a>, choice: Choice) -> Self {
        Self {
            folders,
            choice,
            protocol: "--protocol igs",
            budgets: "16,32",
            draws: 1,
            segmenter: "--config CONFIGS/igs.toml",
            tune: "--config CONFIGS/igs-tune.toml",
            // Lines are not moved: they were not in the results.
            mask: if choice.quick {
                "--volumes 1 --candidates 32 --budget 32"
            } else {
                "--volumes 10 --candidates 40 --budget 32"
            },
            recorded: "12,16,24,32",
            slices: "--set protocol=igs --set copies=2 --set updates=10 --set validate_every=10 --set min_budget=8 \
                     --set max_budget=32 --set validate_lines=[16,32]",
            ratios: false,
        }
    }

    /// All steps, in order.
    pub fn steps(&self) -> Vec<Step> {
        let seed = self.choice.seed.map(|seed| format!("--set seed={seed}")).unwrap_or_default();
        let mut steps = vec![self.trained("reward", &format!("{} {seed}", self.segmenter))];
        let first = self.first();
        if first != "reward" {
            let images = self.choice.reconstruction;
            let command = format!("relabel OUT/reward/last --reconstruction {images} --out OUT/{first}/last");
            steps.push(self.step(first, &command));
        }
        steps.extend([
            self.exported("base", first, ""),
            self.step(
                "mask",
                &format!(
                    "train mask --model OUT/base.kscout --data DATA --out OUT/mask.json --resume {} {}",
                    self.mask, self.protocol
                ),
            ),
            self.policy("slices-0", first, "--set updates=0"),
        ]);
        steps.extend(self.tuned("centre", "base", "--by-baseline --baselines centre-out"));
        steps.extend(self.tuned("mask", "base", "--by-baseline --baselines learned-mask --mask OUT/mask.json"));
        let positions = "--by-baseline --baselines by-position --positions OUT/slices-0/positions.json";
        steps.extend(self.tuned("position", "base", positions));
        // The policy's own masks come from a first policy, on the segmenter tuned to the learned mask, whose order it measures.
        steps.push(self.policy("slices-1", "tuned-mask", "--mask OUT/mask.json --set updates=0"));
        steps.push(self.exported("first", "tuned-mask", "--slice-policy OUT/slices-1/last"));
        steps.extend(self.tuned("policy", "first", ""));
        steps.push(self.policy("slices-position", "tuned-position", "--set updates=0 --set warm_steps=0"));
        steps.push(self.evaluated("centre", "tuned-centre", "--baselines centre-out,allocation-oracle"));
        // A learned mask is much like partial Fourier, so that one segmenter serves both.
        let fixed = "--baselines learned-mask,partial-fourier --mask OUT/mask.json";
        steps.push(self.evaluated("mask", "tuned-mask", fixed));
        let positions = "--baselines by-position --positions OUT/slices-position/positions.json";
        steps.push(self.evaluated("position", "tuned-position", positions));
        for seed in SEEDS {
            let positions = format!("--baselines by-position --positions OUT/slices-policy-{seed}/positions.json");
            steps.extend(self.seeded(&format!("policy-{seed}"), &format!("--set seed={seed}"), &positions));
        }
        steps.push(self.compared());
        if self.ratios {
            for (name, lambda1, lambda2) in RATIOS {
                let keys = format!("--set lambda1={lambda1} --set lambda2={lambda2} --set updates=0");
                steps.extend(self.seeded(&format!("lambda-{name}"), &keys, "--baselines centre-out"));
            }
            steps.push(self.traded());
        }
        steps
    }

    /// The segmenter that masks are learned with and all others begin as.
    fn first(&self) -> &'static str {
        if self.choice.reconstruction == Reconstruction::ZeroFilled { "reward" } else { "start" }
    }

    /// The key of the segmenters' images.
    fn images(&self) -> String {
        format!("--set reconstruction={}", self.choice.reconstruction)
    }

    fn step(&self, name: &str, command: &str) -> Step {
        let Folders { data, out, configs } = self.folders;
        let filled = |word: &str| {
            let folder = |path: &Path| path.display().to_string();
            let configs = configs.map_or(BUILT_IN.to_owned(), |path| folder(path) + "/");
            let folders = [("DATA", folder(data)), ("CONFIGS/", configs), ("OUT", folder(out))];
            let found = folders.into_iter().find_map(|(name, path)| Some((path, word.strip_prefix(name)?)));
            found.map_or(word.to_owned(), |(path, rest)| path + rest)
        };
        Step { name: name.to_owned(), arguments: command.split_whitespace().map(filled).collect() }
    }

    /// A segmenter's training.
    fn trained(&self, name: &str, options: &str) -> Step {
        let quick = if self.choice.quick {
            "--set network_width=8 --set steps=2 --set batch=4 --set warmup=1 --set validate_every=2 --set max_minutes=0"
        } else {
            ""
        };
        self.step(name, &format!("train segmenter --data DATA --out OUT/{name} --resume {options} {quick}"))
    }

    /// The file `name`, of `segmenter`.
    fn exported(&self, name: &str, segmenter: &str, options: &str) -> Step {
        let command = format!(
            "export --segmenter OUT/{segmenter}/last --data DATA --target x86-64 --out OUT/{name}.kscout {} {options}",
            self.protocol
        );
        self.step(&format!("export-{name}"), &command)
    }

    /// A slice policy for `segmenter`.
    fn policy(&self, name: &str, segmenter: &str, options: &str) -> Step {
        let quick = if self.choice.quick {
            "--set copies=1 --set warm_steps=4 --set warm_batch=16 --set episodes=2 --set updates=1"
        } else {
            ""
        };
        // The last of two values counts, so that what a step leaves out stays out.
        let command = format!(
            "train slice-policy --config CONFIGS/slice-policy.toml --reward-model OUT/{segmenter}/last --data DATA \
             --out OUT/{name} --resume {} {quick} {options}",
            self.slices
        );
        self.step(name, &command)
    }

    /// The masks of a method, the segmenter tuned to them, and its file.
    fn tuned(&self, name: &str, model: &str, method: &str) -> [Step; 3] {
        let masks = format!(
            "masks --model OUT/{model}.kscout --data DATA --out OUT/masks-{name}.csv --budgets {} {} {method}",
            self.recorded, self.protocol
        );
        let (first, images) = (self.first(), self.images());
        let options = format!("{} --init OUT/{first}/last --masks OUT/masks-{name}.csv {images}", self.tune);
        let tuned = format!("tuned-{name}");
        [self.step(&format!("masks-{name}"), &masks), self.trained(&tuned, &options), self.exported(&tuned, &tuned, "")]
    }

    /// The scores of `baselines` and of the file's policy.
    fn evaluated(&self, name: &str, model: &str, baselines: &str) -> Step {
        let command = format!(
            "eval --model OUT/{model}.kscout --data DATA --budgets {} --draws {} --out OUT/eval-{name} {} {baselines}",
            self.budgets, self.draws, self.protocol
        );
        self.step(&format!("eval-{name}"), &command)
    }

    /// A slice policy on the segmenter tuned to a policy's masks, its file, and its evaluation beside `baselines`.
    fn seeded(&self, name: &str, keys: &str, baselines: &str) -> [Step; 3] {
        let slices = format!("slices-{name}");
        [
            self.policy(&slices, "tuned-policy", &format!("--mask OUT/mask.json {keys}")),
            self.exported(name, "tuned-policy", &format!("--slice-policy OUT/{slices}/last")),
            self.evaluated(name, name, baselines),
        ]
    }

    /// The policies of all seeds against every baseline.
    fn compared(&self) -> Step {
        let seeds: String = SEEDS.map(|seed| format!(" OUT/eval-policy-{seed}:policy")).concat();
        let with = "--with OUT/eval-centre:centre-out --with OUT/eval-position:by-position \
                    --with OUT/eval-mask:learned-mask --with OUT/eval-mask:partial-fourier \
                    --with OUT/eval-centre:allocation-oracle \
                    --ceiling OUT/eval-centre:allocation-oracle";
        self.step("compare", &format!("compare{seeds} {with} --out OUT/compare.md --plot OUT/compare.png"))
    }

    /// SSIM against Dice.
    fn traded(&self) -> Step {
        let [dice, others @ ..] = RATIOS.map(|(name, ..)| format!(" OUT/eval-lambda-{name}:policy"));
        let pictures = "--out OUT/trade.md --trade OUT/trade.png";
        self.step("trade", &format!("compare{} --with{dice} {pictures}", others.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_know_whose_results_they_read_and_which_fall_apart() {
        let folders = Folders { data: Path::new("D"), out: Path::new("O"), configs: None };
        let choice = Choice { reconstruction: Reconstruction::ZeroFilled, seed: None, quick: false };
        let steps = Recipe::scanner(folders, choice).steps();
        let step = |name: &str| {
            let place = steps.iter().position(|step| step.name == name).unwrap();
            (steps[place].follows(&steps[..place]), steps[place].is_dealt_out_to())
        };
        assert_eq!(step("reward"), (vec![], None));
        assert_eq!(step("mask"), (vec!["export-base"], None));
        let dealing = |name: &str| steps.iter().find(|step| step.name == name).unwrap().dealing();
        assert_eq!(dealing("mask").unwrap(), "--shard I/N, all at the same time");
        assert_eq!(dealing("eval-mask").unwrap(), "--shard I/N, then kscout merge O/eval-mask");
        assert_eq!(dealing("tuned-centre"), None);
        assert_eq!(step("masks-position"), (vec!["export-base", "slices-0"], Some("O/masks-position.csv".into())));
        assert_eq!(step("tuned-centre"), (vec!["reward", "masks-centre"], None));
        assert_eq!(step("slices-policy-3"), (vec!["mask", "tuned-policy"], None), "not the other seeds");
        assert_eq!(step("eval-mask"), (vec!["mask", "export-tuned-mask"], Some("O/eval-mask".into())));
        let (compared, _) = step("compare");
        assert!(
            compared.contains(&"eval-policy-1") && compared.contains(&"eval-centre") && compared.len() == 6,
            "{compared:?}"
        );
    }

    #[test]
    fn trainings_go_on_and_all_else_begins_anew() {
        let folders = Folders { data: Path::new("D"), out: Path::new("O"), configs: None };
        let choice = Choice { reconstruction: Reconstruction::HalfHomodyne, seed: None, quick: false };
        let [scanner, igs] = [Recipe::scanner, Recipe::igs].map(|recipe| recipe(folders, choice).steps());
        for step in scanner.into_iter().chain(igs) {
            let place = step.goes_on_in();
            assert_eq!(place.is_some(), step.arguments[0] == "train", "{:?}", step.arguments);
            assert!(place.is_none_or(|place| place.starts_with("O") && place != Path::new("O")));
        }
    }
}
