//! `--shard`: one of N parts of a command's work.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::data::Dataset;
use crate::device::name;
use crate::shard::{self, MadeBy, Part, Shard};
use crate::train::checkpoint::read_meta;

/// Options with a value that parts need not have in common: what changes no result, and the device, which is compared by its name.
const LEFT_OUT: [&str; 3] = ["--shard", "--threads", "--device"];
/// Says that what is there may be replaced.
const FORCE: &str = "--force";
/// Options without a value that change no result.
const PLAIN_LEFT_OUT: [&str; 3] = [FORCE, "--resume", MERGE];
/// What the device is called among the inputs.
const COMPUTED_ON: &str = "computed on";
/// What [`ShardArgs`] calls the putting together of the parts.
pub const MERGE: &str = "--merge-parts";

/// `--shard`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ShardArgs {
    /// Do the Ith of N parts of the work, such as 2/4, and write it to the folder `OUT.parts` beside --out. When all N are
    /// done, on whatever machines, `kscout merge OUT` makes the result that one process would have made; the folder may be
    /// removed then
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[arg(long = "merge-parts", hide = true, conflicts_with = "shard")]
    merge: bool,
}

/// What of the work is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// All.
    Whole,
    /// A part.
    Part(Shard),
    /// None: the parts are there.
    Merge,
}

impl ShardArgs {
    /// What of the work is to be done.
    pub fn work(self) -> Work {
        match self.shard {
            Some(shard) => Work::Part(shard),
            None if self.merge => Work::Merge,
            None => Work::Whole,
        }
    }

    /// What is written for the result `out`, and by one process at a time.
    pub fn place(self, out: &Path) -> PathBuf {
        self.shard.map_or(out.to_owned(), |shard| shard::path(out, shard))
    }
}

impl Work {
    /// Whether the piece at `place` is to be done here.
    pub fn takes(self, place: usize) -> bool {
        match self {
            Self::Whole => true,
            Self::Part(shard) => shard.takes(place),
            Self::Merge => false,
        }
    }
}

/// What the part of this process is made by.
#[derive(Default)]
pub struct Inputs(Vec<(String, String)>);

impl Inputs {
    /// With a data set.
    pub fn data(mut self, data: &Dataset) -> Self {
        self.0.push(("data".into(), format!("{:08x}", data.manifest().crc())));
        self
    }

    /// With a file, if one is given.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn file(mut self, path: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = path {
            let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            self.0.push((path.display().to_string(), format!("{:08x}", crc32fast::hash(&bytes))));
        }
        Ok(self)
    }

    /// With a checkpoint, if one is given.
    ///
    /// # Errors
    /// A checkpoint that cannot be read.
    pub fn checkpoint(mut self, path: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = path {
            let (dir, meta) = read_meta(path)?;
            self.0.push((dir.display().to_string(), format!("{:?}", meta.weights_hash)));
        }
        Ok(self)
    }

    /// With a reward model: a checkpoint, or else one that has no file, which the arguments name.
    ///
    /// # Errors
    /// A checkpoint that cannot be read.
    pub fn reward_model(self, path: &Path) -> Result<Self, Failure> {
        if path.exists() { self.checkpoint(Some(path)) } else { Ok(self) }
    }

    /// With something else, by its name.
    pub fn with(mut self, name: &str, what: String) -> Self {
        self.0.push((name.into(), what));
        self
    }

    /// With the device that computes.
    pub fn computed_on(self, device: &Device) -> Self {
        self.with(COMPUTED_ON, name(device))
    }

    /// What parts of it are made by.
    pub fn made_by(self) -> MadeBy {
        let arguments = comparable(std::env::args_os().skip(1));
        MadeBy { version: env!("CARGO_PKG_VERSION").into(), arguments, inputs: self.0 }
    }

    /// Writes what this process has done, and says what comes next.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write<T: Serialize>(self, out: &Path, shard: Shard, content: T) -> Result<(), Failure> {
        let path = shard::write(out, shard, &Part { made_by: self.made_by(), content })?;
        println!("{}: part {shard}; when all are done: kscout merge {}", path.display(), out.display());
        Ok(())
    }

    /// What all processes have done, in order.
    ///
    /// # Errors
    /// Parts that are missing, damaged, or of another command.
    pub fn read<T: DeserializeOwned>(self, out: &Path) -> Result<Vec<T>, Failure> {
        let mut made_by = self.made_by();
        let first = shard::made_by(out)?;
        // Putting together computes nothing.
        made_by.inputs.extend(first.inputs.into_iter().find(|(name, _)| name == COMPUTED_ON));
        if std::env::args_os().all(|word| word != MERGE) {
            // `kscout merge` runs the command that the first part names.
            made_by.arguments = first.arguments;
        }
        Ok(shard::read_all(out, &made_by)?)
    }
}

/// The arguments that parts must have in common.
fn comparable(arguments: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut arguments = arguments.map(|word| word.to_string_lossy().into_owned());
    let mut kept = Vec::new();
    while let Some(word) = arguments.next() {
        if LEFT_OUT.contains(&word.as_str()) {
            arguments.next();
            continue;
        }
        let is_plain = PLAIN_LEFT_OUT.contains(&word.as_str());
        if !is_plain && !LEFT_OUT.iter().any(|name| word.starts_with(&format!("{name}="))) {
            kept.push(word);
        }
    }
    kept
}

/// The command line that puts the parts together which `made_by` tells of.
pub fn merging(made_by: &MadeBy, out: &Path, force: bool) -> Vec<String> {
    let mut own = made_by.arguments.clone();
    // Where the parts lie now.
    match own.iter().position(|word| word == "--out" || word.starts_with("--out=")) {
        Some(at) if own[at] == "--out" && at + 1 < own.len() => own[at + 1] = out.display().to_string(),
        Some(at) => own[at] = format!("--out={}", out.display()),
        None => {}
    }
    let own = ["kscout".to_owned()].into_iter().chain(own);
    own.chain(force.then(|| FORCE.into())).chain([MERGE.into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_and_what_changes_no_result_are_no_difference() {
        let words = |text: &str| comparable(text.split(' ').map(OsString::from));
        let expected = ["eval", "--model", "m", "--seed", "3"];
        for text in [
            "eval --model m --seed 3",
            "eval --shard 1/4 --model m --seed 3 --force",
            "eval --model m --threads 2 --seed 3 --shard=2/4",
            "eval --model m --threads=7 --seed 3 --merge-parts",
            "eval --model m --device cuda:3 --seed 3 --resume",
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_ne!(words("eval --model m --seed 4"), expected);
    }

    #[test]
    fn a_reward_model_without_a_file_is_no_input_and_one_that_is_no_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = Inputs::default().reward_model(&folder.path().join("ssim")).unwrap();
        assert!(inputs.made_by().inputs.is_empty(), "its name stands among the arguments");
        let refused = Inputs::default().reward_model(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("no checkpoint here"), "{refused}");
    }
}
