//! The files of a segmentation: `NAME_seg.nii.gz` or `NAME_seg.png`, and pictures of the classes over the image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageFormat};

use super::Prediction;
use super::input::{Input, Source};
use crate::data::DataError;
use crate::eval::atomic::write_atomically;
use crate::eval::canvas::PictureError;
use crate::eval::panel::{overlay, panel_scale};

/// Why a segmentation could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The volume could not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A picture could not be drawn.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PictureError,
    },
    /// A file or folder could not be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The segmentation's file in the folder `out`.
pub fn segmentation_path(out: &Path, input: &Input) -> PathBuf {
    let extension = match input.source {
        Source::Nifti(_) => "nii.gz",
        Source::Png => "png",
    };
    out.join(format!("{}_seg.{extension}", input.name))
}

/// Writes the classes on the input's own grid, each file in one step and over what was there; with `pictures`, the slices
/// with their classes too: `NAME_overlay/0.png`, ... of a volume, `NAME_overlay.png` of a picture. Everything is drawn before
/// anything is written, and after an error what was written of this input is removed.
pub fn write(out: &Path, input: &Input, prediction: &Prediction, pictures: bool) -> Result<PathBuf, OutputError> {
    let path = segmentation_path(out, input);
    let mut files = if pictures { overlays(out, input, prediction)? } else { Vec::new() };
    let classes = prediction.classes.concat();
    let volume = match &input.source {
        Source::Nifti(volume) => Some(volume),
        Source::Png => {
            files.push((path.clone(), class_picture(&path, input.dim, classes.clone())?));
            None
        }
    };
    let write = |(path, bytes): &(PathBuf, Vec<u8>)| {
        write_atomically(path, bytes).map_err(|source| OutputError::Io { path: path.clone(), source })
    };
    let written = files.iter().try_for_each(write).and_then(|()| match volume {
        Some(volume) => Ok(volume.write_classes(&path, &classes)?),
        None => Ok(()),
    });
    if written.is_err() {
        for (path, _) in &files {
            // The first error is the one worth reporting; a folder goes only if nothing else is in it.
            let _ = fs::remove_file(path);
            let _ = path.parent().filter(|folder| *folder != out).map(fs::remove_dir);
        }
    }
    written.map(|()| path)
}

/// The bytes of an 8-bit grey PNG whose values are the classes.
fn class_picture(path: &Path, [width, height]: [usize; 2], classes: Vec<u8>) -> Result<Vec<u8>, OutputError> {
    let found = classes.len();
    let image = GrayImage::from_raw(width as u32, height as u32, classes).ok_or_else(|| OutputError::Picture {
        path: path.to_path_buf(),
        source: PictureError::Length { what: "classes".into(), found, expected: height * width, height, width },
    })?;
    encoded(path, image)
}

/// Each slice's picture and its file.
fn overlays(out: &Path, input: &Input, prediction: &Prediction) -> Result<Vec<(PathBuf, Vec<u8>)>, OutputError> {
    let (name, width) = (&input.name, input.dim[0]);
    let slices = prediction.seen.iter().zip(&prediction.classes).enumerate();
    let picture = |(z, (seen, classes)): (usize, (&Vec<f32>, &Vec<u8>))| {
        let path = match input.source {
            Source::Nifti(_) => out.join(format!("{name}_overlay/{z}.png")),
            Source::Png => out.join(format!("{name}_overlay.png")),
        };
        let picture = overlay(seen, classes, width, panel_scale(width))
            .map_err(|source| OutputError::Picture { path: path.clone(), source })?;
        let bytes = encoded(&path, picture)?;
        Ok((path, bytes))
    };
    slices.map(picture).collect()
}

/// The bytes of a PNG.
fn encoded(path: &Path, image: impl Into<DynamicImage>) -> Result<Vec<u8>, OutputError> {
    let mut bytes = io::Cursor::new(Vec::new());
    let io = |error| OutputError::Io { path: path.to_path_buf(), source: io::Error::other(error) };
    image.into().write_to(&mut bytes, ImageFormat::Png).map_err(io)?;
    Ok(bytes.into_inner())
}
