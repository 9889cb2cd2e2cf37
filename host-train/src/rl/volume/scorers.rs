//! The segmenters that training volumes are followed by.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kscout_core::capture::blob_crc;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;

use super::config::VolumeConfig;
use crate::data::{Dataset, Split, Volume};
use crate::export::{self, ExportError};
use crate::mri::{Acquisition, Measuring};
use crate::rl::error::PolicyError;
use crate::rl::reward::segmentation::load_reward_segmenter;
use crate::train::TrainError;
use crate::train::checkpoint::{self, HeldOut, Input, SegmenterRecord};

/// The segmenter that a policy is trained for, and those that stand in for it on hearts that it has learned from itself: what
/// another line gains of a heart that a segmenter knows says little about a new one.
pub struct FoldSegmenters {
    /// The segmenter that the policy is for, as a blob.
    own: Vec<u8>,
    held_out: Vec<HeldOutSegmenter>,
    /// How the images are made that all of them see.
    pub reconstruction: Reconstruction,
    /// The segmenter that the policy is for, as a run begins with it.
    pub input: Option<Input>,
}

/// A segmenter to whom some patients are new.
struct HeldOutSegmenter {
    patients: Vec<String>,
    blob: Vec<u8>,
}

impl FoldSegmenters {
    /// The segmenter that the policy is for and those held out, one of which leaves out each training patient. Without any, the
    /// first follows all.
    ///
    /// # Errors
    /// [`PolicyError`] says what does not fit, and where.
    pub fn load(
        data: &Dataset,
        reward: &Path,
        held_out: &[PathBuf],
        config: &VolumeConfig,
        device: &Device,
    ) -> Result<Self, PolicyError> {
        let Measuring { protocol, seed } = config.measuring;
        let folds: Vec<Vec<String>> = held_out.iter().map(|path| fold(path)).collect::<Result<_, _>>()?;
        expect_one_each(&folds, &data.volumes(Split::Train))?;
        let segmenter = |path: &Path| load_reward_segmenter(data, path, &protocol.to_string(), device);
        let (graph, meta) = segmenter(reward)?;
        let acquisition = Acquisition { protocol, reconstruction: meta.reconstruction };
        let input = meta.weights_hash.map(|weights| Input::reward(reward, weights));
        let blob = |graph| export::segmenter_in_memory(data, &graph, acquisition, seed);
        let own = blob(graph)?;
        let held_out = held_out.iter().zip(folds).map(|(path, patients)| {
            let (graph, meta) = segmenter(path)?;
            meta.expect_reconstruction(
                path,
                acquisition.reconstruction,
                &format!("--reward-model {}", reward.display()),
            )?;
            Ok(HeldOutSegmenter { patients, blob: blob(graph)? })
        });
        let held_out = held_out.collect::<Result<_, PolicyError>>()?;
        Ok(Self { own, held_out, reconstruction: acquisition.reconstruction, input })
    }

    /// The held-out segmenters, in an order that does not depend on theirs.
    pub fn held_out(&self) -> Vec<HeldOut> {
        let of = |segmenter: &HeldOutSegmenter| HeldOut {
            left_out: segmenter.patients.clone(),
            crc: blob_crc(&segmenter.blob),
        };
        let mut all: Vec<HeldOut> = self.held_out.iter().map(of).collect();
        all.sort();
        all
    }

    /// The held-out segmenter that has not seen `patient`.
    fn held_out_from(&self, patient: &str) -> Option<&HeldOutSegmenter> {
        self.held_out.iter().find(|segmenter| segmenter.patients.iter().any(|name| name == patient))
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
        let blob =
            |volume: &Volume<'_>| self.held_out_from(volume.patient).map_or(&self.own, |segmenter| &segmenter.blob);
        volumes.iter().map(|volume| Ok(Model::new_checked(blob(volume))?)).collect()
    }
}

/// The patients that the segmenter in the checkpoint `path` has not seen, at least one.
fn fold(path: &Path) -> Result<Vec<String>, PolicyError> {
    let (dir, meta) = checkpoint::read_meta(path).map_err(TrainError::from)?;
    let SegmenterRecord { left_out, .. } = meta.segmenter(&dir).map_err(TrainError::from)?;
    if left_out.is_empty() {
        return Err(PolicyError::NoFold(path.to_owned()));
    }
    Ok(left_out.clone())
}

/// Refuses folds, if there are any, of which not exactly one leaves out each patient of `volumes`.
fn expect_one_each(folds: &[Vec<String>], volumes: &[Volume<'_>]) -> Result<(), PolicyError> {
    if folds.is_empty() {
        return Ok(());
    }
    for volume in volumes {
        let held_out = folds.iter().flatten().filter(|patient| *patient == volume.patient).count();
        match held_out {
            0 => return Err(PolicyError::AllHaveSeen(volume.patient.to_owned())),
            1 => {}
            _ => return Err(PolicyError::SeveralHaveNotSeen(volume.patient.to_owned())),
        }
    }
    Ok(())
}
