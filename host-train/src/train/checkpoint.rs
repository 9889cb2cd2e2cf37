//! Checkpoints: a folder with the weights, what they are, and, for a run to go on from, the optimizer's state.
//!
//! A checkpoint is written beside its place and renamed, so that a run killed at any moment leaves a whole one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use kscout_core::kspace::Reconstruction;
use serde::{Deserialize, Serialize};

use super::patience::Patience;
use super::schedule::Plateau;
use crate::data::{CLASSES, Dataset};
use crate::eval::atomic::{replace_folder, set_aside};
use crate::net::{Arch, SegmenterSpec};

const WEIGHTS: &str = "weights.bpk";
/// Beside the weights' average, the weights themselves, which training goes on with.
const TRAINING: &str = "training.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const META: &str = "checkpoint.json";

/// What a checkpoint holds, readable without loading it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// The network's name, such as `unext-s` or `scout`.
    pub network: String,
    /// What kind of segmenter it is, if it is one.
    #[serde(default)]
    pub segmenter: Option<SegmenterSpec>,
    /// The labels it tells, if it is a classifier; of a policy, those of the classifier that judged it.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The order of lines in a slice, of a slice policy that does not measure them centre-out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub line_order: Vec<u16>,
    /// Training patients that a segmenter has not seen, by name: its fold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How the images were made that it was trained on.
    #[serde(default, with = "crate::mri::reconstruction")]
    pub reconstruction: Reconstruction,
    /// Rows of the images that it was trained on.
    pub height: usize,
    /// Columns of the images, which is the number of lines.
    pub width: usize,
    /// Training steps (updates) done.
    pub step: usize,
    /// Seconds of training so far, over all the sessions of the run.
    #[serde(default)]
    pub seconds: f64,
    /// What it scored on validation when it was written: mean 3-D Dice (mean AUC of a
    /// classifier), or `None` where nothing could be scored yet.
    pub score: Option<f64>,
    /// The best validation score of the run so far.
    pub best: Option<f64>,
    /// What schedule, early stopping and averaging have to remember.
    #[serde(default)]
    pub progress: Progress,
    /// The kind of data, as the manifest says (`acdc`, `png` or `phantom`), or what file the weights were imported from.
    pub data: String,
    /// The configuration of the run.
    pub config: serde_json::Value,
}

/// What a run's schedule, early stopping and averaging have to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The schedule `plateau`.
    pub plateau: Plateau,
    /// Early stopping.
    pub stopping: Patience,
    /// Steps that the weights' average has taken in; 0: there is no average.
    pub averaged: usize,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing there.
    #[error(
        "{0}: no checkpoint here (expected {META} and {WEIGHTS}); give the folder that `kscout train` wrote, or its `best` or `last`"
    )]
    Missing(PathBuf),
    /// A run's folder that is a checkpoint already.
    #[error("{0}: is itself a checkpoint, such as `kscout import` writes; choose another --out for the run")]
    Occupied(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The description is not what this version writes.
    #[error("{path}: not a checkpoint description: {message}")]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The weights are of another kind of network.
    #[error("{path}: this is a checkpoint of `{found}`, but `{expected}` is needed here")]
    Network {
        /// The folder.
        path: PathBuf,
        /// The network it holds.
        found: String,
        /// The networks that would do.
        expected: String,
    },
    /// A level that has not learned anything.
    #[error(
        "{path}: --prune {level}: head {level} was not trained (`deep_supervision` off, or its entry in `head_weights` 0)"
    )]
    Untrained {
        /// The folder.
        path: PathBuf,
        /// The level asked for.
        level: usize,
    },
    /// A level that the network cannot be pruned to.
    #[error("{path}: --prune {level}: {}", prune_help(network, *levels))]
    Prune {
        /// The folder.
        path: PathBuf,
        /// The network.
        network: String,
        /// The level asked for.
        level: usize,
        /// Its heads.
        levels: usize,
    },
    /// The segmenter is for other classes than the data sets have.
    #[error(
        "{path}: tells {classes} classes apart, and this needs {CLASSES}, as the data sets have; `kscout net forward` runs it"
    )]
    Classes {
        /// The folder.
        path: PathBuf,
        /// The network's classes.
        classes: usize,
    },
    /// The weights are of the right kind of network, but of another width or number of classes.
    #[error("{path}: {found}, but the configuration says {expected}; set `network` and `network_width` to match")]
    Spec {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        found: SegmenterSpec,
        /// What the run is for.
        expected: SegmenterSpec,
    },
    /// The run was made for images of another size.
    #[error("{path}: made for images of {of:?}, the data has {got:?} (rows, columns)")]
    Size {
        /// The folder.
        path: PathBuf,
        /// The size it was made for.
        of: [usize; 2],
        /// The data's size.
        got: [usize; 2],
    },
    /// The run measures the lines of a slice in another order.
    #[error("{0}: lines of a slice came in another order there; give the same --mask, or choose another --out")]
    LineOrder(PathBuf),
    /// The run leaves out other patients.
    #[error("{0}: left out other patients there; set `folds` and `fold` as they were, or choose another --out")]
    OtherFold(PathBuf),
    /// The weights know a patient that the run is to leave out.
    #[error(
        "{path}: has learned from {patient}, which `folds` and `fold` leave out here; begin with a segmenter of the same fold"
    )]
    Seen {
        /// The folder.
        path: PathBuf,
        /// The patient.
        patient: String,
    },
    /// The run is about other labels.
    #[error("{path}: learned from {}, but now {} would teach it; choose another --out", named(old), named(new))]
    Labels {
        /// The folder.
        path: PathBuf,
        /// What it learned from; none: masks.
        old: Vec<String>,
        /// What is asked for.
        new: Vec<String>,
    },
    /// The network was trained on images that are made in another way.
    #[error(
        "{path}: trained on {found} images, but {whose} on {expected} ones (`reconstruction`); the two do not go together"
    )]
    Reconstruction {
        /// The folder.
        path: PathBuf,
        /// How its images were made.
        found: Reconstruction,
        /// What else there is.
        whose: String,
        /// How that one's images were made.
        expected: Reconstruction,
    },
    /// The weights do not fit the network, or the file is damaged.
    #[error("{path}: the weights cannot be used: {message}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// Says on standard error which keys have another value in `new` than in `old`.
fn note_changes(path: &str, old: &serde_json::Value, new: &serde_json::Value) {
    for (name, new) in new.as_object().into_iter().flatten() {
        let key = format!("{path}{name}");
        match old.get(name) {
            Some(old) if old.is_object() && new.is_object() => note_changes(&format!("{key}."), old, new),
            Some(old) if !is_same(old, new) => {
                eprintln!("note: the run goes on with another `{key}`: {old} before, {new} now")
            }
            _ => {}
        }
    }
}

/// Whether two values are the same, but for the last digit that a number may lose on its way through a file.
fn is_same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => a == b,
    }
}

fn prune_help(network: &str, levels: usize) -> String {
    match levels {
        1 => format!("`{network}` has one head; only unetpp can be pruned"),
        _ => format!("`{network}` has the heads 1 to {levels}"),
    }
}

fn named(labels: &[String]) -> String {
    if labels.is_empty() { "masks".into() } else { format!("the labels {}", labels.join(", ")) }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    |source| CheckpointError::Io { path, source }
}

impl SegmenterSpec {
    /// Refuses the weights of `self`, found in `dir`, where `expected` are needed. The image's channels do not matter: one
    /// is repeated over them.
    pub(super) fn expect_same(self, expected: Self, dir: &Path) -> Result<(), CheckpointError> {
        if (Self { channels: expected.channels, ..self }) == expected {
            return Ok(());
        }
        Err(CheckpointError::Spec { path: dir.to_owned(), found: self, expected })
    }
}

/// Writes the checkpoint `dir`, replacing the one that is there.
pub fn save<M: Module>(
    dir: &Path,
    module: &M,
    optimizer: Option<&ModuleOptimizer>,
    meta: &Meta,
) -> Result<(), CheckpointError> {
    save_with(dir, module, None, optimizer, meta)
}

/// Writes the checkpoint `dir` of a run that averages its weights: the average for use, `training` to go on with.
pub fn save_averaged<M: Module>(
    dir: &Path,
    average: &M,
    training: &M,
    optimizer: &ModuleOptimizer,
    meta: &Meta,
) -> Result<(), CheckpointError> {
    save_with(dir, average, Some(training), Some(optimizer), meta)
}

fn save_with<M: Module>(
    dir: &Path,
    module: &M,
    training: Option<&M>,
    optimizer: Option<&ModuleOptimizer>,
    meta: &Meta,
) -> Result<(), CheckpointError> {
    let failed = |error| io_error(dir)(error);
    replace_folder(dir, failed, |new| {
        let weights =
            |error: RecordError| CheckpointError::Weights { path: new.join(WEIGHTS), message: error.to_string() };
        module.clone().save_file(new.join(WEIGHTS)).map_err(weights)?;
        if let Some(training) = training {
            training.clone().save_file(new.join(TRAINING)).map_err(weights)?;
        }
        if let Some(optimizer) = optimizer {
            optimizer.save(new.join(OPTIMIZER)).map_err(weights)?;
        }
        let text = serde_json::to_string_pretty(meta).expect("a description serialises");
        fs::write(new.join(META), text).map_err(io_error(&new.join(META)))
    })
}

/// The description of the checkpoint at `path`: a checkpoint folder, or a run's folder, of which the last one is meant.
pub fn read_meta(path: &Path) -> Result<(PathBuf, Meta), CheckpointError> {
    let dir = locate(path)?;
    let file = dir.join(META);
    let text = fs::read_to_string(&file).map_err(io_error(&file))?;
    let meta = serde_json::from_str(&text)
        .map_err(|error| CheckpointError::Meta { path: file, message: error.to_string() })?;
    Ok((dir, meta))
}

/// The last checkpoint of the run in `out`; `None` if there is no run. A folder that is a checkpoint itself takes no run.
pub fn find_run(out: &Path) -> Result<Option<(PathBuf, Meta)>, CheckpointError> {
    if out.join(META).is_file() {
        return Err(CheckpointError::Occupied(out.to_owned()));
    }
    match read_meta(&out.join("last")) {
        Ok(found) => Ok(Some(found)),
        Err(CheckpointError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The checkpoint folder that `path` names; the one being replaced where a run was killed between two renames.
fn locate(path: &Path) -> Result<PathBuf, CheckpointError> {
    let last = path.join("last");
    [path.to_owned(), last.clone(), set_aside(&last), set_aside(path)]
        .into_iter()
        .find(|dir| dir.join(META).is_file() && dir.join(WEIGHTS).is_file())
        .ok_or_else(|| CheckpointError::Missing(path.to_owned()))
}

/// Loads the weights of the checkpoint folder `dir` into `module`.
pub fn load_weights<M: Module>(dir: &Path, module: M) -> Result<M, CheckpointError> {
    load_from(&dir.join(WEIGHTS), module)
}

/// Loads the weights that training goes on with: not their average, where the run had one.
pub fn load_training_weights<M: Module>(dir: &Path, module: M) -> Result<M, CheckpointError> {
    let training = dir.join(TRAINING);
    load_from(&if training.is_file() { training } else { dir.join(WEIGHTS) }, module)
}

fn load_from<M: Module>(path: &Path, module: M) -> Result<M, CheckpointError> {
    load(path, |bytes| module.try_load_record(ModuleRecord::from_bytes(bytes)?))
}

/// Loads the optimizer's state of the checkpoint folder `dir`.
pub fn load_optimizer(dir: &Path, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer, CheckpointError> {
    load(&dir.join(OPTIMIZER), |bytes| optimizer.from_bytes(bytes))
}

/// Hands over all of a file. burn's own way reads a tensor when it is first used, by when a run may have replaced the file.
fn load<T>(path: &Path, into: impl FnOnce(Bytes) -> Result<T, RecordError>) -> Result<T, CheckpointError> {
    let bytes = Bytes::from_bytes_vec(fs::read(path).map_err(io_error(path))?);
    into(bytes).map_err(|error| CheckpointError::Weights { path: path.to_owned(), message: error.to_string() })
}

impl Meta {
    /// A segmenter for images of `size` (rows, columns) that no run here has trained; `data` says where it is from.
    pub fn untrained(spec: SegmenterSpec, size: [usize; 2], data: String) -> Self {
        Self { segmenter: Some(spec), ..Self::imported(spec.arch.name().into(), size, data) }
    }

    /// A network of any kind that no run here has trained.
    pub fn imported(network: String, [height, width]: [usize; 2], data: String) -> Self {
        Self {
            network,
            segmenter: None,
            labels: Vec::new(),
            line_order: Vec::new(),
            left_out: Vec::new(),
            reconstruction: Reconstruction::default(),
            height,
            width,
            step: 0,
            seconds: 0.0,
            score: None,
            best: None,
            progress: Progress::default(),
            data,
            config: serde_json::json!({}),
        }
    }

    /// A run of `network` on `data` that has not made a step yet.
    pub fn begun(network: String, data: &Dataset, config: &impl Serialize) -> Self {
        let config = serde_json::to_value(config).expect("a configuration serialises");
        let source = data.manifest().source.clone();
        Self { config, ..Self::imported(network, [data.height(), data.width()], source) }
    }

    /// What a run goes on with, having found the checkpoint `self` in `dir` where it would have started as `fresh`.
    ///
    /// Another network, image size, reconstruction or set of labels is refused; keys of the configuration that differ are said on standard error.
    pub fn resume(self, dir: &Path, fresh: Self) -> Result<Self, CheckpointError> {
        self.expect_network(dir, &[&fresh.network])?;
        if let (Some(found), Some(expected)) = (self.segmenter, fresh.segmenter) {
            found.expect_same(expected, dir)?;
        }
        if self.labels != fresh.labels {
            return Err(CheckpointError::Labels { path: dir.to_owned(), old: self.labels, new: fresh.labels });
        }
        self.expect_reconstruction(dir, fresh.reconstruction, "this run")?;
        if self.line_order != fresh.line_order {
            return Err(CheckpointError::LineOrder(dir.to_owned()));
        }
        if self.left_out != fresh.left_out {
            return Err(CheckpointError::OtherFold(dir.to_owned()));
        }
        let (of, got) = ([self.height, self.width], [fresh.height, fresh.width]);
        if of != got {
            return Err(CheckpointError::Size { path: dir.to_owned(), of, got });
        }
        note_changes("", &self.config, &fresh.config);
        Ok(Self { config: fresh.config, segmenter: self.segmenter.or(fresh.segmenter), ..self })
    }

    /// Says on standard error that the network was trained under another protocol than `protocol`, if it was.
    pub fn note_protocol(&self, protocol: &str) {
        if let Some(trained) = self.config.get("protocol").and_then(|value| value.as_str())
            && trained != protocol
        {
            eprintln!("note: {} was trained with the protocol `{trained}`, this uses `{protocol}`", self.network);
        }
    }

    /// Refuses a network that was trained on other images than `expected`, those of `whose`.
    pub fn expect_reconstruction(
        &self,
        dir: &Path,
        expected: Reconstruction,
        whose: &str,
    ) -> Result<(), CheckpointError> {
        if self.reconstruction == expected {
            return Ok(());
        }
        let (path, whose) = (dir.to_owned(), whose.to_owned());
        Err(CheckpointError::Reconstruction { path, found: self.reconstruction, whose, expected })
    }

    /// Refuses weights that a run here has taught any of `patients`. Of weights from elsewhere nothing is known.
    pub fn expect_unseen(&self, dir: &Path, patients: &[String]) -> Result<(), CheckpointError> {
        let seen = patients.iter().find(|patient| self.step > 0 && !self.left_out.contains(patient));
        let refused = |patient: &String| CheckpointError::Seen { path: dir.to_owned(), patient: patient.clone() };
        seen.map(refused).map_or(Ok(()), Err)
    }

    /// The kind of segmenter in the folder `dir`; refuses a checkpoint of anything else.
    pub fn segmenter(&self, dir: &Path) -> Result<SegmenterSpec, CheckpointError> {
        // Before there were others, checkpoints did not say more than the name.
        let is_first = self.network == Arch::UnextS.name();
        let first = is_first.then(|| SegmenterSpec::published(Arch::UnextS, CLASSES));
        self.segmenter.or(first).ok_or_else(|| CheckpointError::Network {
            path: dir.to_owned(),
            found: self.network.clone(),
            expected: Arch::ALL.map(Arch::name).join("` or `"),
        })
    }

    /// Whether the training let head `level` of a segmenter learn; of imported weights nothing else is known.
    pub fn has_trained_head(&self, level: usize) -> bool {
        let supervised = self.config.get("deep_supervision").and_then(|value| value.as_bool()).unwrap_or(true);
        let weights = self.config.get("head_weights").and_then(|value| value.as_array());
        let weight = weights.and_then(|weights| weights.get(level - 1)).and_then(|weight| weight.as_f64());
        supervised && weight != Some(0.0)
    }

    /// Refuses a checkpoint of another network than one of `names`.
    pub fn expect_network(&self, dir: &Path, names: &[&str]) -> Result<(), CheckpointError> {
        if names.contains(&self.network.as_str()) {
            return Ok(());
        }
        Err(CheckpointError::Network {
            path: dir.to_owned(),
            found: self.network.clone(),
            expected: names.join("` or `"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_that_went_through_a_file_is_the_same() {
        let sigma = serde_json::to_value(0.03f32).unwrap();
        let read = serde_json::from_str(&sigma.to_string()).unwrap();
        assert!(is_same(&sigma, &read), "{sigma} {read}");
        assert!(!is_same(&json!(0.03), &json!(0.031)) && !is_same(&json!(1), &json!(2)));
        assert!(is_same(&json!("adam"), &json!("adam")) && !is_same(&json!("adam"), &json!("sgd")));
    }
}
