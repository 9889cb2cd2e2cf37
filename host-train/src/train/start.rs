//! How a run begins: where it was left, as another run has left its weights, or with random ones.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;

use super::RunOptions;
use super::checkpoint::{self, CheckpointError, Meta};
use super::columns::Columns;
use super::drive::{Session, Span};
use super::error::TrainError;
use super::folder::{self, Found, RunFolder};

/// A run that is to begin, or to go on, in a folder that allows it.
pub(crate) struct Opening<'a> {
    out: &'a Path,
    found: Option<Found>,
}

impl<'a> Opening<'a> {
    /// Looks for the run. Comes before all that takes long.
    ///
    /// # Errors
    /// There is a run and it is not to be gone on with, or it cannot be.
    pub fn find(options: RunOptions<'a>) -> Result<Self, TrainError> {
        let RunOptions { out, resume, .. } = options;
        Ok(Self { out, found: folder::find(out, resume)? })
    }

    /// The run, which is described as `fresh` where it begins.
    ///
    /// # Errors
    /// The run that was found is another one than `fresh` describes.
    pub fn describe(self, fresh: Meta) -> Result<Run<'a>, CheckpointError> {
        let Self { out, found } = self;
        let Some(Found { dir, meta }) = found else { return Ok(Run { out, from: None, meta: fresh }) };
        let meta = meta.resume(&dir, fresh)?;
        Ok(Run { out, from: Some(dir), meta })
    }
}

/// What the weights of a run begin as.
pub(crate) enum Start<M> {
    /// Those of its checkpoint in this folder, with the optimizer's state: the run goes on.
    Resume(PathBuf),
    /// Those of another run.
    From(M),
    /// Random ones.
    Random,
}

impl<M: Module> Start<M> {
    /// The weights, and the optimizer; given random weights and an optimizer that has not made a step.
    ///
    /// # Errors
    /// The checkpoint's files do not fit these.
    pub fn networks(self, random: M, optimizer: ModuleOptimizer) -> Result<(M, ModuleOptimizer), CheckpointError> {
        match self {
            Self::Resume(dir) => {
                let network = checkpoint::load_training_weights(&dir, random)?;
                Ok((network, checkpoint::load_optimizer(&dir, optimizer)?))
            }
            Self::From(network) => Ok((network, optimizer)),
            Self::Random => Ok((random, optimizer)),
        }
    }
}

/// A run that is known to be the one that was meant.
pub(crate) struct Run<'a> {
    out: &'a Path,
    from: Option<PathBuf>,
    /// What its checkpoints say of it.
    pub meta: Meta,
}

impl<'a> Run<'a> {
    /// Its folder.
    pub fn out(&self) -> &'a Path {
        self.out
    }

    /// The checkpoint that it goes on from.
    pub fn from(&self) -> Option<&Path> {
        self.from.as_deref()
    }

    /// What its weights begin as; those of another run, `init`, count where it does not go on.
    pub fn start<M>(&self, init: Option<M>) -> Start<M> {
        match (&self.from, init) {
            (Some(dir), _) => Start::Resume(dir.clone()),
            (None, Some(network)) => Start::From(network),
            (None, None) => Start::Random,
        }
    }

    /// Opens its folder, and mends there what a run that was killed has left half done. Comes when nothing is left to be refused.
    ///
    /// # Errors
    /// The log has other columns, or something cannot be written.
    pub fn open<const N: usize, F>(self, span: Span, columns: Columns<N, F>) -> Result<Session<N, F>, TrainError> {
        let Self { out, from, mut meta } = self;
        let folder = RunFolder::open(out, columns.header(span.unit), from.as_deref(), &mut meta)?;
        Ok(Session::new(meta, folder, span, columns))
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::AdamWConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::net::SlicePolicy;
    use crate::train::checkpoint::{Kind, SlicePolicyRecord, WeightsHash};

    fn described(step: usize) -> Meta {
        let record = SlicePolicyRecord { line_order: Vec::new(), held_out: Vec::new() };
        Meta { step, ..Meta::imported(Kind::SlicePolicy(record), [8, 8], "phantom".into()) }
    }

    #[test]
    fn where_there_is_a_run_it_counts_then_what_is_given_then_chance() {
        let (device, tmp) = (Device::flex(), tempfile::tempdir().unwrap());
        let optimizer = || AdamWConfig::new().init();
        let [own, other, random] = [(); 3].map(|()| SlicePolicy::new(&device));
        let begins_as = |init: Option<&SlicePolicy>| {
            let options = RunOptions { out: tmp.path(), resume: true, device: &device };
            let run = Opening::find(options).unwrap().describe(described(7)).unwrap();
            let (network, _) = run.start(init.cloned()).networks(random.clone(), optimizer()).unwrap();
            (run.meta.step, run.from().is_some(), WeightsHash::of(&network))
        };
        assert_eq!(begins_as(None), (7, false, WeightsHash::of(&random)));
        assert_eq!(begins_as(Some(&other)), (7, false, WeightsHash::of(&other)));
        checkpoint::save(&tmp.path().join("last"), &own, Some(&optimizer()), &described(9)).unwrap();
        assert_eq!(begins_as(None), (9, true, WeightsHash::of(&own)));
        assert_eq!(begins_as(Some(&other)), (9, true, WeightsHash::of(&own)));
    }
}
