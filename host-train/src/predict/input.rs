//! A file to be segmented: a NIfTI volume or a grey PNG picture.

use std::path::{Path, PathBuf};

use super::orientation::{Trained, orient};
use crate::data::names::stem;
use crate::data::nifti_import::expect_picture;
use crate::data::nifti_volume::{NiftiVolume, nifti_extension};
use crate::data::png_tree::Grey;
use crate::data::{DataError, Reorder};

/// What kind of file it is, and what its segmentation's file needs of it.
pub enum Source {
    /// A volume, its voxels taken out of it, and the order in which they are its slices.
    Nifti(Box<NiftiVolume>, Reorder),
    /// A picture.
    Png,
}

/// What a file's intensities mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intensities {
    /// Any scale: the volume's maximum becomes the largest level.
    Any,
    /// 16-bit levels already, as in a data set's pictures.
    Levels,
}

/// A file's slices.
pub struct Input {
    /// The file.
    pub path: PathBuf,
    /// By what its results are named.
    pub name: String,
    /// What it is.
    pub source: Source,
    /// Pixels of a slice along x and y.
    pub dim: [usize; 2],
    /// Their distance along x and y in mm; `None` for a picture.
    pub spacing_mm: Option<[f32; 2]>,
    /// Values of the slices, row-major, one slice after the other.
    pub values: Vec<f32>,
    /// What the values mean.
    pub intensities: Intensities,
    /// What a user should know of it, a sentence each.
    pub notes: Vec<String>,
}

/// Why a file cannot be segmented.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be read, or shows nothing.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file is of another kind.
    #[error("{}: neither a NIfTI volume (.nii, .nii.gz) nor a PNG picture (.png)", .0.display())]
    Kind(PathBuf),
    /// There is no such file.
    #[error("{}: no such file or folder", .0.display())]
    Gone(PathBuf),
    /// A folder of nothing that can be segmented.
    #[error("{}: no images in it or below; expected NIfTI volumes (.nii, .nii.gz) or PNG pictures{}", path.display(), left_out(*labels))]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// How many files were left out, being of labels.
        labels: usize,
    },
    /// Two files whose results would have one name.
    #[error("{} and {}: both would become {name}_seg; segment one at a time", first.display(), second.display())]
    Twice {
        /// A file.
        first: PathBuf,
        /// Another file.
        second: PathBuf,
        /// The name.
        name: String,
    },
    /// One half of a volume in two files.
    #[error("{}: one of the two files of a .hdr/.img pair; convert it to one .nii or .nii.gz file, such as with NiBabel's `nib-convert`", .0.display())]
    Pair(PathBuf),
}

fn left_out(labels: usize) -> String {
    match labels {
        0 => String::new(),
        1 => "; 1 file of labels, by its name, is left out (name it to segment it)".to_string(),
        count => {
            format!("; {count} files of labels, by their names, are left out (name them one by one to segment them)")
        }
    }
}

/// The file's name without extension, if it is of a kind that can be segmented.
pub fn name_of(path: &Path) -> Result<String, InputError> {
    let has = |extension: &str| path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension));
    if has("hdr") || has("img") {
        return Err(InputError::Pair(path.to_path_buf()));
    }
    let known = path.to_str().is_some() && is_image(path);
    known.then(|| stem(path)).ok_or_else(|| InputError::Kind(path.to_path_buf()))
}

/// Whether a file's name is that of a volume or picture.
pub fn is_image(path: &Path) -> bool {
    nifti_extension(path).is_some() || is_png(path)
}

/// Whether a file's name is that of a picture.
pub fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

impl Input {
    /// Reads a file, whose results are named `name`, that takes no more than `max_bytes`, for a network that has seen axes in
    /// the order `trained`; a volume's values must be finite and some above zero, and its voxels of sizes that voxels have.
    pub fn read(path: &Path, name: &str, trained: Trained, max_bytes: u64) -> Result<Self, InputError> {
        let name = name.to_string();
        Ok(if is_png(path) { Self::picture(path, name)? } else { Self::volume(path, name, trained, max_bytes)? })
    }

    /// Refuses a volume whose slices, of `side` by `side` pixels as a network sees them, take more than `max_bytes`.
    ///
    /// # Errors
    /// [`DataError::Nifti`] with the number of slices.
    pub fn expect_within(&self, side: usize, max_bytes: u64) -> Result<(), DataError> {
        match &self.source {
            Source::Nifti(..) => NiftiVolume::expect_slices_within(&self.path, self.planes().len(), side, max_bytes),
            Source::Png => Ok(()),
        }
    }

    /// The slices, row-major.
    pub fn planes(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim[0] * self.dim[1])
    }

    /// The volume of a voxel in ml; `None` for a picture.
    pub fn voxel_ml(&self) -> Option<f64> {
        match &self.source {
            Source::Nifti(volume, _) => {
                Some(volume.spacing_mm.iter().map(|&mm| f64::from(mm)).product::<f64>() / 1000.0)
            }
            Source::Png => None,
        }
    }

    fn volume(path: &Path, name: String, trained: Trained, max_bytes: u64) -> Result<Self, DataError> {
        let mut volume = NiftiVolume::read_within(path, max_bytes)?;
        expect_picture(&volume, path)?;
        let (reorder, note) = orient(&volume, trained);
        let ([nx, ny, _], [sx, sy, _]) = (reorder.axes(volume.dim), reorder.axes(volume.spacing_mm));
        let voxels = std::mem::take(&mut volume.voxels);
        let values = if reorder == Reorder::NONE { voxels } else { reorder.apply(&voxels, volume.dim) };
        let notes = volume.notes.iter().cloned().chain(note).collect();
        Ok(Self {
            path: path.to_path_buf(),
            name,
            dim: [nx, ny],
            spacing_mm: Some([sx, sy]),
            values,
            intensities: Intensities::Any,
            source: Source::Nifti(Box::new(volume), reorder),
            notes,
        })
    }

    fn picture(path: &Path, name: String) -> Result<Self, DataError> {
        let grey = Grey::read(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            name,
            source: Source::Png,
            dim: [grey.width, grey.height],
            spacing_mm: None,
            values: grey.values.into_iter().map(f32::from).collect(),
            intensities: Intensities::Levels,
            notes: Vec::new(),
        })
    }
}
