//! The segmenters that training volumes are followed by.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;

use super::config::VolumeConfig;
use crate::data::{Dataset, Split, Volume};
use crate::export::{self, ExportError};
use crate::mri::Protocol;
use crate::rl::train::{PolicyError, load_reward_segmenter};
use crate::train::TrainError;
use crate::train::checkpoint;

/// The segmenter that a policy is trained for, and those that stand in for it on hearts that it has learned from itself: what
/// another line gains of a heart that a segmenter knows says little about a new one.
pub struct Judges {
    /// The segmenter that the policy is for, as a blob.
    own: Vec<u8>,
    held_out: Vec<HeldOut>,
    /// How the images are made that all of them see.
    pub reconstruction: Reconstruction,
}

/// A segmenter that has not seen some patients.
struct HeldOut {
    left_out: Vec<String>,
    blob: Vec<u8>,
}

impl Judges {
    /// The segmenter in the checkpoint `reward`, and those in `held_out`, which leave out every training patient between them.
    /// Without any, `reward` judges all.
    ///
    /// # Errors
    /// [`PolicyError`] says what does not fit, and where.
    pub fn load(
        data: &Dataset,
        (reward, held_out): (&Path, &[PathBuf]),
        (config, protocol): (&VolumeConfig, &Protocol),
        device: &Device,
    ) -> Result<Self, PolicyError> {
        let folds: Vec<Vec<String>> = held_out.iter().map(|path| fold(path)).collect::<Result<_, _>>()?;
        expect_all(&folds, &data.volumes(Split::Train))?;
        let segmenter = |path: &Path| load_reward_segmenter(data, path, &config.protocol, device);
        let (graph, meta) = segmenter(reward)?;
        let reconstruction = meta.reconstruction;
        let blob = |graph| export::segmenter_in_memory(data, &graph, (protocol, reconstruction), config.seed);
        let own = blob(graph)?;
        let held_out = held_out.iter().zip(folds).map(|(path, left_out)| {
            let (graph, meta) = segmenter(path)?;
            meta.expect_reconstruction(path, reconstruction, &format!("--reward {}", reward.display()))?;
            Ok(HeldOut { left_out, blob: blob(graph)? })
        });
        Ok(Self { own, held_out: held_out.collect::<Result<_, PolicyError>>()?, reconstruction })
    }

    /// The patients that each held-out segmenter is new to, in an order that does not depend on theirs.
    pub fn folds(&self) -> Vec<Vec<String>> {
        let mut folds: Vec<Vec<String>> = self.held_out.iter().map(|judge| judge.left_out.clone()).collect();
        folds.sort();
        folds
    }

    /// The place of the first held-out segmenter that has not seen `patient`.
    fn stranger_to(&self, patient: &str) -> Option<usize> {
        self.held_out.iter().position(|judge| judge.left_out.iter().any(|left_out| left_out == patient))
    }

    /// The segmenter that the policy is for.
    ///
    /// # Errors
    /// None that a blob from [`load`](Self::load) can have.
    pub fn own(&self) -> Result<Model<'_>, ExportError> {
        Ok(Model::new_checked(&self.own)?)
    }

    /// The segmenter for each of `volumes`.
    ///
    /// # Errors
    /// None that blobs from [`load`](Self::load) can have.
    pub fn of(&self, volumes: &[Volume<'_>]) -> Result<Vec<Model<'_>>, ExportError> {
        let blob = |volume: &Volume<'_>| match self.stranger_to(volume.patient) {
            Some(judge) => &self.held_out[judge].blob,
            None => &self.own,
        };
        volumes.iter().map(|volume| Ok(Model::new_checked(blob(volume))?)).collect()
    }
}

/// The patients that the segmenter in the checkpoint `path` has not seen, at least one.
fn fold(path: &Path) -> Result<Vec<String>, PolicyError> {
    let (_, meta) = checkpoint::read_meta(path).map_err(TrainError::from)?;
    if meta.left_out.is_empty() {
        return Err(PolicyError::NoFold(path.to_owned()));
    }
    Ok(meta.left_out)
}

/// Refuses folds, if there are any, that do not leave out every patient of `volumes` between them.
fn expect_all(folds: &[Vec<String>], volumes: &[Volume<'_>]) -> Result<(), PolicyError> {
    let unknown = |volume: &&Volume<'_>| !folds.iter().flatten().any(|left_out| left_out == volume.patient);
    match volumes.iter().find(unknown) {
        Some(volume) if !folds.is_empty() => Err(PolicyError::AllHaveSeen(volume.patient.to_owned())),
        _ => Ok(()),
    }
}
