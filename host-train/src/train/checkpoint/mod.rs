//! Checkpoints: a folder with the weights, what they are, and, for a run to go on from, the optimizer's state.
//!
//! A checkpoint is written beside its place and renamed, so that a run killed at any moment leaves a whole one.

mod error;
mod identity;
mod meta;

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;

use crate::eval::atomic::{replace_folder, set_aside};
pub use error::CheckpointError;
use error::io_error;
pub use identity::WeightsHash;
pub use meta::{HeldOut, Meta, Progress};

const WEIGHTS: &str = "weights.bpk";
/// Beside the weights' average, the weights themselves, which training goes on with.
const TRAINING: &str = "training.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const META: &str = "checkpoint.json";

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
        let meta = Meta { weights_hash: Some(WeightsHash::of(module)), ..meta.clone() };
        let text = serde_json::to_string_pretty(&meta).expect("a description serialises");
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

/// Loads the weights of the checkpoint folder `dir` into `module` and notes in `meta`, its description, which they are. Refuses
/// weights that the description was not written for.
pub fn load_noted<M: Module>(dir: &Path, module: M, meta: &mut Meta) -> Result<M, CheckpointError> {
    let module = load_weights(dir, module)?;
    let found = WeightsHash::of(&module);
    match meta.weights_hash.replace(found) {
        Some(expected) if expected != found => {
            Err(CheckpointError::OtherWeights { path: dir.join(WEIGHTS), found, expected })
        }
        _ => Ok(module),
    }
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
