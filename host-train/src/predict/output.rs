//! The files of a segmentation: `NAME_seg.nii.gz` or `NAME_seg.png`, and pictures of the classes over the image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageFormat};

use super::Prediction;
use super::input::{Input, Source};
use crate::data::DataError;
use crate::figures::canvas::PictureError;
use crate::figures::panel::{overlay, panel_scale};
use crate::io::whole::{replace_folder, write_atomically};

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
        Source::Nifti(..) => "nii.gz",
        Source::Png => "png",
    };
    out.join(format!("{}_seg.{extension}", input.name))
}

/// Writes the classes on the input's own grid, in the order that its file has, each file in one step and over what was there;
/// with `pictures`, then the slices with their classes too: the folder `NAME_overlay` with `0.png`, ... of a volume, in place
/// of the one that was there, or `NAME_overlay.png` of a picture. Everything is drawn before anything is written. After an
/// error each of the two is as it was or the new one.
pub fn write(out: &Path, input: &Input, prediction: &Prediction, pictures: bool) -> Result<PathBuf, OutputError> {
    let path = segmentation_path(out, input);
    let overlay = overlay_path(out, input);
    let overlays = if pictures { overlays(&overlay, input.dim[0], prediction)? } else { Vec::new() };
    let classes = prediction.classes.concat();
    match &input.source {
        Source::Nifti(volume, reorder) => {
            let back = reorder.inverse().apply(&classes, reorder.axes(volume.dim));
            volume.write_classes(&path, &back)?;
        }
        Source::Png => {
            let picture = class_picture(&path, input.dim, classes)?;
            write_atomically(&path, &picture).map_err(io_error(&path))?;
        }
    }
    match (&input.source, overlays.as_slice()) {
        (_, []) => Ok(()),
        (Source::Png, [picture, ..]) => write_atomically(&overlay, picture),
        (Source::Nifti(..), slices) => replace_folder(
            &overlay,
            |error| error,
            |folder| {
                let mut slices = slices.iter().enumerate();
                slices.try_for_each(|(z, picture)| fs::write(folder.join(format!("{z}.png")), picture))
            },
        ),
    }
    .map_err(io_error(&overlay))?;
    Ok(path)
}

/// The overlays' folder, or the one overlay's file, in the folder `out`.
fn overlay_path(out: &Path, input: &Input) -> PathBuf {
    let extension = match input.source {
        Source::Nifti(..) => "",
        Source::Png => ".png",
    };
    out.join(format!("{}_overlay{extension}", input.name))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_path_buf();
    |source| OutputError::Io { path, source }
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

/// Each slice's picture; `path` is named in errors.
fn overlays(path: &Path, width: usize, prediction: &Prediction) -> Result<Vec<Vec<u8>>, OutputError> {
    let picture = |(seen, classes): (&Vec<f32>, &Vec<u8>)| {
        let picture = overlay(seen, classes, width, panel_scale(width))
            .map_err(|source| OutputError::Picture { path: path.to_path_buf(), source })?;
        encoded(path, picture)
    };
    prediction.seen.iter().zip(&prediction.classes).map(picture).collect()
}

/// The bytes of a PNG.
fn encoded(path: &Path, image: impl Into<DynamicImage>) -> Result<Vec<u8>, OutputError> {
    let mut bytes = io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).map_err(|error| io_error(path)(io::Error::other(error)))?;
    Ok(bytes.into_inner())
}
