//! A file to be segmented: a NIfTI volume or a grey PNG picture.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::nifti_volume::{NiftiVolume, nifti_extension};
use crate::data::png_tree::Grey;

/// What kind of file it is, and what its segmentation's file needs of it.
pub enum Source {
    /// A volume.
    Nifti(Box<NiftiVolume>),
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
    /// Its name without extension, by which its results are named.
    pub name: String,
    /// What it is.
    pub source: Source,
    /// Pixels of a slice along x and y.
    pub dim: [usize; 2],
    /// Their distance along x and y in mm; `None` for a picture.
    pub spacing_mm: Option<[f32; 2]>,
    /// Slices, row-major.
    pub planes: Vec<Vec<f32>>,
    /// What the values mean.
    pub intensities: Intensities,
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
}

/// The file's name without extension, if it is of a kind that can be segmented.
pub fn name_of(path: &Path) -> Result<String, InputError> {
    let kind = || InputError::Kind(path.to_path_buf());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(kind)?;
    let extension = nifti_extension(path).or(is_png(path).then_some("png")).ok_or_else(kind)?;
    Ok(name[..name.len() - extension.len() - 1].to_string())
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

impl Input {
    /// Reads a file; a volume's values must be finite and some above zero.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let name = name_of(path)?;
        Ok(if is_png(path) { Self::picture(path, name)? } else { Self::volume(path, name)? })
    }

    /// The volume of a voxel in ml; `None` for a picture.
    pub fn voxel_ml(&self) -> Option<f64> {
        match &self.source {
            Source::Nifti(volume) => Some(volume.spacing_mm.iter().map(|&mm| f64::from(mm)).product::<f64>() / 1000.0),
            Source::Png => None,
        }
    }

    fn volume(path: &Path, name: String) -> Result<Self, DataError> {
        let volume = NiftiVolume::read(path)?;
        if let Some(index) = volume.voxels.iter().position(|v| !v.is_finite()) {
            let (path, value) = (path.to_path_buf(), volume.voxels[index]);
            return Err(DataError::NotFinite { path, value, position: volume.position(index) });
        }
        let ([nx, ny, nz], [sx, sy, _]) = (volume.dim, volume.spacing_mm);
        Ok(Self {
            path: path.to_path_buf(),
            name,
            dim: [nx, ny],
            spacing_mm: Some([sx, sy]),
            planes: (0..nz).map(|z| volume.plane(z).to_vec()).collect(),
            intensities: Intensities::Any,
            source: Source::Nifti(Box::new(volume)),
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
            planes: vec![grey.values.into_iter().map(f32::from).collect()],
            intensities: Intensities::Levels,
        })
    }
}
