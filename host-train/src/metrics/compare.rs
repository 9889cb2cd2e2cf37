//! Comparing two label volumes on disk.

use std::path::{Path, PathBuf};

use crate::data::affine::{Affine, corners_apart, lie_apart};
use crate::data::alignment::order;
use crate::data::nifti_volume::NiftiVolume;
use crate::data::{Axes, DataError, Reorder};
use crate::metrics::dice::{LabelVolume, MetricError};
use crate::metrics::scores::{VolumeScores, score_volume};

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
    /// Whether the files place the volumes differently: a corner more than half a voxel apart along an axis.
    pub misplaced: bool,
    /// What a user should know of the files, a sentence each.
    pub notes: Vec<(PathBuf, String)>,
}

/// A file of labels.
struct Labels {
    dim: [usize; 3],
    spacing_mm: [f32; 3],
    affine: Option<Affine>,
    classes: Vec<u8>,
}

/// Reads two NIfTI files of labels, each of at most `max_bytes`, and compares the prediction with the truth. A prediction that
/// lies where the truth lies with its axes in another order, or turned around, is brought into the truth's order first.
pub fn compare_files(truth: &Path, prediction: &Path, max_bytes: u64) -> Result<Compared, CompareError> {
    let mut notes = Vec::new();
    let mut read = |path: &Path| {
        let volume = NiftiVolume::read_within(path, max_bytes)?;
        notes.extend(volume.notes.iter().map(|note| (path.to_path_buf(), note.clone())));
        let (dim, spacing_mm, affine) = (volume.dim, volume.spacing_mm, volume.affine());
        Ok::<_, DataError>(Labels { dim, spacing_mm, affine, classes: volume.classes(path)? })
    };
    let (labels, mut predicted) = (read(truth)?, read(prediction)?);
    if let Some((reorder, note)) = same_place(&labels, &predicted) {
        predicted = predicted.reordered(&reorder);
        notes.push((prediction.to_path_buf(), note));
    }
    if labels.dim != predicted.dim {
        let shape = |labels: &Labels| labels.dim.map(|n| n.to_string()).join("x");
        return Err(CompareError::Data(DataError::Shape {
            path: prediction.to_path_buf(),
            found: shape(&predicted),
            other: truth.to_path_buf(),
            expected: shape(&labels),
        }));
    }
    let (dim, spacing_mm) = (labels.dim, labels.spacing_mm);
    let differs = |(a, b): (&f32, &f32)| (a - b).abs() > SPACING_TOLERANCE * a;
    if spacing_mm.iter().zip(&predicted.spacing_mm).any(differs) {
        return Err(CompareError::Spacing {
            path: prediction.to_path_buf(),
            found: in_words(predicted.spacing_mm),
            other: truth.to_path_buf(),
            expected: in_words(spacing_mm),
        });
    }
    let shape = [dim[2], dim[1], dim[0]];
    let spacing = [2, 1, 0].map(|axis| f64::from(spacing_mm[axis]));
    let volume = |labels| LabelVolume::new(labels, shape, spacing);
    let scores = volume(&predicted.classes).and_then(|predicted| score_volume(&predicted, &volume(&labels.classes)?));
    let places = labels.affine.zip(predicted.affine);
    Ok(Compared {
        dim,
        spacing_mm,
        scores: scores.map_err(|source| CompareError::Metric { path: prediction.to_path_buf(), source })?,
        apart_mm: places.map(|(truth, own)| corners_apart(&own, &truth, dim)),
        misplaced: places.is_some_and(|(truth, own)| lie_apart(&own, &truth, dim)),
        notes,
    })
}

impl Labels {
    fn reordered(self, reorder: &Reorder) -> Self {
        Self {
            dim: reorder.axes(self.dim),
            spacing_mm: reorder.axes(self.spacing_mm),
            affine: self.affine.map(|affine| reorder.affine(&affine, self.dim)),
            classes: reorder.apply(&self.classes, self.dim),
        }
    }
}

/// How `predicted` is brought into the order of `labels`, where it is in another one and then lies where they do, and what to
/// say about it.
fn same_place(labels: &Labels, predicted: &Labels) -> Option<(Reorder, String)> {
    let (place, own) = (labels.affine?, predicted.affine?);
    let reorder = order(&own, &place);
    let fits = reorder.axes(predicted.dim) == labels.dim
        && !lie_apart(&reorder.affine(&own, predicted.dim), &place, labels.dim);
    let (target, axes) = (Axes::of(&place), Axes::of(&own));
    let note = format!("stored as {axes}, the truth as {target}; compared in the truth's order");
    (reorder != Reorder::NONE && fits).then_some((reorder, note))
}

/// A voxel size in words: `1.5x1.5x10`.
pub fn in_words(spacing_mm: [f32; 3]) -> String {
    spacing_mm.map(|mm| mm.to_string()).join("x")
}
