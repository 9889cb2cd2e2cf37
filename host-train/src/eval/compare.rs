//! Comparing two label volumes on disk.

use std::path::{Path, PathBuf};

use super::metrics::{LabelVolume, MetricError};
use super::scores::{VolumeScores, score_volume};
use crate::data::DataError;
use crate::data::affine::corners_apart;
use crate::data::nifti_volume::NiftiVolume;

/// How much voxel sizes may differ, relative to the truth's: programs that rewrite a header round them.
const SPACING_TOLERANCE: f32 = 1e-4;

/// Why two files could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file could not be read, holds what is no class, or has another shape than the other.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The files differ in voxel size.
    #[error(
        "{}: voxels of {found} mm, but {} has {expected} (x, y, z); write the prediction on the truth's grid",
        path.display(), other.display()
    )]
    Spacing {
        /// The prediction.
        path: PathBuf,
        /// Its voxel size.
        found: String,
        /// The truth.
        other: PathBuf,
        /// Its voxel size.
        expected: String,
    },
    /// The volumes cannot be scored.
    #[error("{}: {source}", path.display())]
    Metric {
        /// The prediction.
        path: PathBuf,
        /// Why.
        source: MetricError,
    },
}

/// What came of comparing two files.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Voxels along x, y and z.
    pub dim: [usize; 3],
    /// Voxel size along x, y and z in mm.
    pub spacing_mm: [f32; 3],
    /// The metrics.
    pub scores: VolumeScores,
    /// How far a corner of one volume is at most from the other's, in mm, where both say where they lie. Voxels are compared
    /// by their indices; a large number says that one file is flipped or shifted.
    pub apart_mm: Option<f64>,
}

impl Compared {
    /// Whether the files place the volumes differently: corners more than half a voxel apart.
    pub fn misplaced(&self) -> bool {
        let smallest = self.spacing_mm.iter().fold(f32::INFINITY, |a, &b| a.min(b));
        self.apart_mm.is_some_and(|mm| mm > f64::from(smallest) / 2.0)
    }
}

/// Reads two NIfTI files of labels and compares the prediction with the truth.
pub fn compare_files(truth: &Path, prediction: &Path) -> Result<Compared, CompareError> {
    let (true_volume, predicted_volume) = (NiftiVolume::read(truth)?, NiftiVolume::read(prediction)?);
    if true_volume.dim != predicted_volume.dim {
        return Err(CompareError::Data(DataError::Shape {
            path: prediction.to_path_buf(),
            found: predicted_volume.shape(),
            other: truth.to_path_buf(),
            expected: true_volume.shape(),
        }));
    }
    let (dim, spacing_mm) = (true_volume.dim, true_volume.spacing_mm);
    let differs = |(a, b): (&f32, &f32)| (a - b).abs() > SPACING_TOLERANCE * a;
    if spacing_mm.iter().zip(&predicted_volume.spacing_mm).any(differs) {
        return Err(CompareError::Spacing {
            path: prediction.to_path_buf(),
            found: in_words(predicted_volume.spacing_mm),
            other: truth.to_path_buf(),
            expected: in_words(spacing_mm),
        });
    }
    let (labels, predicted) = (true_volume.classes(truth)?, predicted_volume.classes(prediction)?);
    let shape = [dim[2], dim[1], dim[0]];
    let spacing = [2, 1, 0].map(|axis| f64::from(spacing_mm[axis]));
    let volume = |labels| LabelVolume::new(labels, shape, spacing);
    let scores = volume(&predicted).and_then(|predicted| score_volume(&predicted, &volume(&labels)?));
    Ok(Compared {
        dim,
        spacing_mm,
        scores: scores.map_err(|source| CompareError::Metric { path: prediction.to_path_buf(), source })?,
        apart_mm: true_volume.affine().zip(predicted_volume.affine()).map(|(a, b)| corners_apart(&a, &b, dim)),
    })
}

/// A voxel size in words: `1.5x1.5x10`.
pub fn in_words(spacing_mm: [f32; 3]) -> String {
    spacing_mm.map(|mm| mm.to_string()).join("x")
}
