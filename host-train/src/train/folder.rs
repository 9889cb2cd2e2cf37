//! The folder of a run: the checkpoints `last` and `best` and `log.csv`, which agree whenever and however the run ends.
//!
//! `last` alone says where the run is. It is written first, with the row that belongs into the log and the step of the best score;
//! then the row is appended, then `best` is written. What is missing of the two, or too much, is mended when the run goes on.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;

use super::checkpoint::{self, CheckpointError, Meta};
use super::error::TrainError;
use super::log::Log;
use crate::io::whole::present;

/// A checkpoint to go on from.
pub struct Found {
    /// Its folder.
    pub dir: PathBuf,
    /// What it says.
    pub meta: Meta,
}

/// The run in the folder `out`, to go on with; `None` where there is none and one begins.
///
/// # Errors
/// There is a run and it is not to be gone on with, or it cannot be: its `last` is gone, or damaged.
pub fn find(out: &Path, resume: bool) -> Result<Option<Found>, TrainError> {
    if checkpoint::is_checkpoint(out) {
        return Err(CheckpointError::Occupied(out.to_owned()).into());
    }
    let [last, best] = ["last", "best"].map(|name| out.join(name));
    let there = |path: &Path| present(path).exists();
    if !there(&last) && !there(&best) {
        let log = out.join("log.csv");
        if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
            return Err(TrainError::LogAlone(log));
        }
        if resume {
            eprintln!("note: {}: no run to go on with yet; a new one begins", out.display());
        }
        return Ok(None);
    }
    if !resume {
        return Err(TrainError::Exists(out.to_owned()));
    }
    let dir = present(&last);
    let found = checkpoint::check_whole(&dir);
    let meta = found.map_err(|problem| CheckpointError::HalfGone {
        path: last,
        problem,
        best: there(&best).then_some(best),
    })?;
    Ok(Some(Found { dir, meta }))
}

/// The networks of a run, to be saved.
pub struct State<'a, M> {
    /// The weights for use: their average where the run has one.
    pub network: &'a M,
    /// Where `network` is an average, the weights that training goes on with.
    pub training: Option<&'a M>,
    /// The optimizer's state.
    pub optimizer: &'a ModuleOptimizer,
}

/// Which checkpoint is the best one of a run, after a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// This one, if its score is more than any before.
    ByScore,
    /// This one, whatever it scores.
    This,
    /// One before it.
    Earlier,
}

/// The folder of a run under way.
pub struct RunFolder {
    out: PathBuf,
    log: Log,
}

impl RunFolder {
    /// The folder `out` of a run whose log has the columns `header`; of one that goes on from `found`, log and best checkpoint are
    /// mended.
    ///
    /// # Errors
    /// The log has other columns, or something cannot be written.
    pub fn open(out: &Path, header: String, found: Option<&Path>, meta: &mut Meta) -> Result<Self, TrainError> {
        fs::create_dir_all(out).map_err(|source| TrainError::Io { path: out.to_owned(), source })?;
        let log = Log::open(out.join("log.csv"), header)?;
        let folder = Self { out: out.to_owned(), log };
        if let Some(last) = found {
            folder.log.mend(meta.step, &meta.row)?;
            folder.mend_best(last, meta)?;
        }
        Ok(folder)
    }

    /// Saves after a validation, of which the log is to have `row`.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn validated<M: Module>(
        &self,
        state: &State<'_, M>,
        meta: &mut Meta,
        row: String,
        best: Best,
    ) -> Result<(), TrainError> {
        let improved = match best {
            Best::ByScore => {
                // So many digits that a checkpoint gives them back exactly.
                meta.score = meta.score.map(|score| (score * 1e9).round() / 1e9);
                meta.score > meta.best
            }
            Best::This => true,
            Best::Earlier => false,
        };
        if improved {
            (meta.best, meta.best_step) = (meta.score, Some(meta.step));
        }
        meta.row = row;
        self.save(state, meta)?;
        self.log.append(&meta.row)?;
        if improved {
            checkpoint::save(&self.out.join("best"), state.network, None, meta)?;
        }
        Ok(())
    }

    /// Saves between validations.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn save<M: Module>(&self, state: &State<'_, M>, meta: &Meta) -> Result<(), TrainError> {
        let last = self.out.join("last");
        let State { network, training, optimizer } = *state;
        match training {
            Some(training) => checkpoint::save_averaged(&last, network, training, optimizer, meta)?,
            None => checkpoint::save(&last, network, Some(optimizer), meta)?,
        }
        Ok(())
    }

    /// Makes `best` again where a run was killed before it was written. What is not there any more for another reason is forgotten.
    fn mend_best(&self, last: &Path, meta: &mut Meta) -> Result<(), TrainError> {
        let Some(step) = meta.best_step.filter(|_| meta.best.is_some()) else { return Ok(()) };
        let best = self.out.join("best");
        let found = checkpoint::read_meta(&present(&best));
        if found.is_ok_and(|(_, found)| found.step == step) {
            return Ok(());
        }
        if meta.step == step {
            return Ok(checkpoint::copy_for_use(last, &best)?);
        }
        eprintln!("note: {}: not the best checkpoint of this run; the next validation begins it anew", best.display());
        (meta.best, meta.best_step) = (None, None);
        Ok(())
    }
}
