//! Checkpoints: a folder with the weights, what they are, and, for a run to go on from, the optimizer's state.
//!
//! A checkpoint is written beside its place and renamed, so that a run killed at any moment leaves a whole one.

mod description;
mod error;
mod format1;
mod identity;
mod input;
mod kind;
mod meta;
mod scoring;
mod sound;
mod standing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;

use crate::io::whole::{replace_folder, set_aside};
use description::{describe, describes};
pub use error::CheckpointError;
use error::io_error;
pub use identity::WeightsHash;
pub use input::Input;
pub use kind::{ClassifierRecord, HeldOut, Kind, LinePolicyRecord, SLICE_POLICY, SegmenterRecord, SlicePolicyRecord};
pub use meta::{Meta, Progress};
pub use scoring::Scoring;
pub use standing::{ActingPolicy, Gain, Standing};

const WEIGHTS: &str = "weights.bpk";
/// Beside the weights' average, the weights themselves, which training goes on with.
const TRAINING: &str = "training.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const META: &str = "checkpoint.json";
/// The format of descriptions that is written.
const FORMAT: u64 = 2;
/// How often a file is read that does not fit its description, which a run may be replacing with it.
const READINGS: usize = 3;

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
        let mut files = BTreeMap::new();
        let mut write = |name: &str, bytes: Result<Bytes, RecordError>| {
            let path = dir.join(name);
            let message =
                |error: RecordError| CheckpointError::Weights { path: path.clone(), message: error.to_string() };
            let bytes = bytes.map_err(message)?;
            files.insert(name.to_owned(), crc32fast::hash(&bytes));
            fs::write(new.join(name), &*bytes).map_err(io_error(&path))
        };
        write(WEIGHTS, module.clone().into_record().into_bytes())?;
        if let Some(training) = training {
            write(TRAINING, training.clone().into_record().into_bytes())?;
        }
        if let Some(optimizer) = optimizer {
            write(OPTIMIZER, optimizer.into_bytes())?;
        }
        describe(new, dir, &Meta { files, weights_hash: Some(WeightsHash::of(module)), ..meta.clone() })
    })
}

/// Makes `to` the checkpoint `from` without what only a run that goes on needs.
pub fn copy_for_use(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    replace_folder(
        to,
        |error| io_error(to)(error),
        |new| {
            fs::copy(from.join(WEIGHTS), new.join(WEIGHTS)).map_err(io_error(&to.join(WEIGHTS)))?;
            description::copy_for_use(from, new, to)
        },
    )
}

/// The description of the checkpoint at `path`: a checkpoint folder, or a run's folder, of which the last one is meant.
pub fn read_meta(path: &Path) -> Result<(PathBuf, Meta), CheckpointError> {
    let dir = locate(path)?;
    let meta = describes(&dir)?;
    Ok((dir, meta))
}

/// Whether the folder `dir` is itself a checkpoint.
pub fn is_checkpoint(dir: &Path) -> bool {
    dir.join(META).is_file()
}

/// What the checkpoint folder `dir` says of itself, if everything is there and as it was written that a run needs to go on.
pub fn check_whole(dir: &Path) -> Result<Meta, Box<CheckpointError>> {
    if !dir.is_dir() {
        return Err(CheckpointError::Gone(dir.to_owned()).into());
    }
    if !is_checkpoint(dir) {
        return Err(CheckpointError::Gone(dir.join(META)).into());
    }
    let meta = describes(dir)?;
    let needed = [WEIGHTS, OPTIMIZER].into_iter().chain(meta.files.keys().map(String::as_str));
    for path in needed.map(|name| dir.join(name)) {
        if !path.is_file() {
            return Err(CheckpointError::Gone(path).into());
        }
        read(&path)?;
    }
    Ok(meta)
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

/// Loads the weights of the checkpoint folder `dir` into `module` and notes in `meta`, its description, which they are. Where a run has
/// replaced the checkpoint since the description was read, `meta` becomes the new one. Refuses weights that the description was not
/// written for.
pub fn load_noted<M: Module>(dir: &Path, mut module: M, meta: &mut Meta) -> Result<M, CheckpointError> {
    let mut readings = 0;
    loop {
        module = load_weights(dir, module)?;
        let found = WeightsHash::of(&module);
        let Some(expected) = meta.weights_hash.filter(|&expected| expected != found) else {
            meta.weights_hash = Some(found);
            return Ok(module);
        };
        let now = describes(dir)?;
        if meta.is_alike(&now) && now.weights_hash == Some(found) {
            *meta = now;
            return Ok(module);
        }
        readings += 1;
        if readings == READINGS {
            return Err(CheckpointError::OtherWeights { path: dir.join(WEIGHTS), found, expected });
        }
    }
}

/// Loads the weights that training goes on with: not their average, where the run had one.
pub fn load_training_weights<M: Module>(dir: &Path, module: M) -> Result<M, CheckpointError> {
    let training = dir.join(TRAINING);
    load_from(&if training.is_file() { training } else { dir.join(WEIGHTS) }, module)
}

fn load_from<M: Module>(path: &Path, module: M) -> Result<M, CheckpointError> {
    let module = load(path, |bytes| module.try_load_record(ModuleRecord::from_bytes(bytes)?))?;
    sound::check_weights(path, &module)?;
    Ok(module)
}

/// Loads the optimizer's state of the checkpoint folder `dir`.
pub fn load_optimizer(dir: &Path, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer, CheckpointError> {
    load(&dir.join(OPTIMIZER), |bytes| optimizer.from_bytes(bytes))
}

/// Hands over all of a file. burn's own way reads a tensor when it is first used, by when a run may have replaced the file.
fn load<T>(path: &Path, into: impl FnOnce(Bytes) -> Result<T, RecordError>) -> Result<T, CheckpointError> {
    let bytes = Bytes::from_bytes_vec(read(path)?);
    into(bytes).map_err(|error| CheckpointError::Weights { path: path.to_owned(), message: error.to_string() })
}

/// All of a checkpoint's file, if it is what was written.
fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A run may be replacing the checkpoint: then its description is an older or newer one than the file, for a moment.
    for _ in 0..READINGS {
        let bytes = fs::read(path).map_err(io_error(path))?;
        let meta = path.parent().map(describes).transpose()?;
        let written = meta.and_then(|meta| meta.files.get(&name).copied());
        if written.is_none_or(|crc| crc == crc32fast::hash(&bytes)) {
            return Ok(bytes);
        }
    }
    Err(CheckpointError::Damaged(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::net::SlicePolicy;

    fn meta(step: usize) -> Meta {
        let record = SlicePolicyRecord { line_order: Vec::new(), held_out: Vec::new() };
        Meta { step, ..Meta::imported(Kind::SlicePolicy(record), [32, 32], "phantom".into()) }
    }

    #[test]
    fn a_checkpoint_that_is_replaced_while_it_is_read_is_the_new_one() {
        let (device, tmp) = (Device::flex(), tempfile::tempdir().unwrap());
        let dir = tmp.path().join("replaced");
        let [old, new] = [1, 2].map(|step| (SlicePolicy::new(&device), meta(step)));
        save(&dir, &old.0, None, &old.1).unwrap();
        let (found, mut described) = read_meta(&dir).unwrap();
        save(&dir, &new.0, None, &new.1).unwrap();
        let loaded = load_noted(&found, SlicePolicy::new(&device), &mut described).unwrap();
        assert_eq!((described.step, described.weights_hash), (2, Some(WeightsHash::of(&new.0))));
        assert_eq!(WeightsHash::of(&loaded), WeightsHash::of(&new.0));
    }

    #[test]
    fn weights_of_another_checkpoint_are_refused_however_often_they_are_read() {
        let (device, tmp) = (Device::flex(), tempfile::tempdir().unwrap());
        let [dir, other] = ["mixed", "other"].map(|name| tmp.path().join(name));
        save(&dir, &SlicePolicy::new(&device), None, &meta(1)).unwrap();
        save(&other, &SlicePolicy::new(&device), None, &meta(2)).unwrap();
        let load = || {
            let (dir, mut meta) = read_meta(&dir).unwrap();
            load_noted(&dir, SlicePolicy::new(&device), &mut meta).unwrap_err().to_string()
        };
        fs::copy(other.join(WEIGHTS), dir.join(WEIGHTS)).unwrap();
        assert!(load().contains("is damaged"), "{}", load());
        // As format 1 had it, without the files' checksums.
        let description = fs::read_to_string(dir.join(META)).unwrap();
        let mut description: serde_json::Value = serde_json::from_str(&description).unwrap();
        let fields = description.as_object_mut().unwrap();
        ["format", "kind", "files"].into_iter().for_each(|key| drop(fields.remove(key).unwrap()));
        fields.insert("network".into(), SLICE_POLICY.into());
        fs::write(dir.join(META), description.to_string()).unwrap();
        assert!(load().contains("is from another checkpoint"), "{}", load());
    }
}
