//! What can go wrong with data, in words that name the file and what to do.

use std::path::{Path, PathBuf};

/// An error while reading, making or opening a data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A folder that must exist does not.
    #[error("{}: no such folder; {hint}", path.display())]
    MissingFolder {
        /// The folder.
        path: PathBuf,
        /// What was expected there.
        hint: &'static str,
    },
    /// The operating system refused a file or folder.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file's or folder's name is not valid text.
    #[error("{}: its name is not valid UTF-8 text, or has control characters; rename it", path.to_string_lossy().escape_debug())]
    Name {
        /// The file or folder.
        path: PathBuf,
    },
    /// The source folder holds nothing that can be imported.
    #[error("{}: no slices found; expected {expected}", path.display())]
    NoSlices {
        /// The folder that was searched.
        path: PathBuf,
        /// The layout that was looked for.
        expected: &'static str,
    },
    /// A NIfTI file that is damaged, cut off or of an unsupported kind.
    #[error("{}: not a readable NIfTI volume: {reason}", path.display())]
    Nifti {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A PNG file that is damaged or of an unsupported kind.
    #[error("{}: not a readable grey PNG: {reason}", path.display())]
    Png {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An image that has no label.
    #[error("{}: image without label; expected {}", image.display(), label.display())]
    ImageWithoutLabel {
        /// The image.
        image: PathBuf,
        /// Where its label should be.
        label: PathBuf,
    },
    /// A label that has no image.
    #[error("{}: label without image; expected {}", label.display(), image.display())]
    LabelWithoutImage {
        /// The label.
        label: PathBuf,
        /// Where its image should be.
        image: PathBuf,
    },
    /// The data set has no masks, and something needs them.
    #[error("{}: has no masks, which {needed_by} needs; import a tree with labels/ folders, or train on diagnoses instead (`kscout train classifier`)", path.display())]
    NoMasks {
        /// The data set.
        path: PathBuf,
        /// What needs them.
        needed_by: &'static str,
    },
    /// A label value that is no class.
    #[error("{}: label value {value} at {position}; classes are whole numbers from 0 to 3", path.display())]
    LabelValue {
        /// The label file.
        path: PathBuf,
        /// The offending value.
        value: f32,
        /// Where it is, as `x=.., y=..` or `x=.., y=.., z=..`.
        position: String,
    },
    /// An image value that is infinite or not a number.
    #[error("{}: value {value} at {position}; every intensity must be finite", path.display())]
    NotFinite {
        /// The image file.
        path: PathBuf,
        /// The offending value.
        value: f32,
        /// Where it is.
        position: String,
    },
    /// An image whose intensities are all zero or below.
    #[error("{}: no intensity above zero; an image of a volume must show something", path.display())]
    Blank {
        /// The image file or folder.
        path: PathBuf,
    },
    /// An image and its label, or two slices of one data set, differ in shape.
    #[error("{}: shape {found}, but {} has {expected}", path.display(), other.display())]
    Shape {
        /// The file with the unexpected shape.
        path: PathBuf,
        /// Its shape.
        found: String,
        /// The file it must agree with.
        other: PathBuf,
        /// That file's shape.
        expected: String,
    },
    /// A label lies elsewhere in space than its image.
    #[error("{}: {what} {found}, but {} has {expected}; a label must lie where its image does", path.display(), other.display())]
    Place {
        /// The label.
        path: PathBuf,
        /// What differs, such as `spacing`.
        what: &'static str,
        /// The label's numbers.
        found: String,
        /// The image.
        other: PathBuf,
        /// The image's numbers.
        expected: String,
    },
    /// A folder's files are not laid out as they must be.
    #[error("{}: {reason}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// `Info.cfg` lacks a key, or the key's value is unusable.
    #[error("{}: key {key}: {reason}", path.display())]
    InfoCfg {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest is missing, damaged or does not fit the files.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The destination is in use.
    #[error("{}: {reason}", path.display())]
    Destination {
        /// The destination.
        path: PathBuf,
        /// Why it cannot be written.
        reason: &'static str,
    },
    /// An option's value makes no sense.
    #[error("{option}: {reason}")]
    Option {
        /// The option as typed.
        option: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A data set was read to the end and has problems.
    #[error("{}: {count} problem(s), listed above", path.display())]
    Problems {
        /// The data set.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A volume was asked for that the data set does not hold.
    #[error("no volume {wanted}: {hint}")]
    NoSuchVolume {
        /// What was asked for.
        wanted: String,
        /// What there is instead.
        hint: String,
    },
    /// A slice was asked for that the data set does not hold.
    #[error("no slice {wanted}: {hint}")]
    NoSuchSlice {
        /// What was asked for.
        wanted: String,
        /// What there is instead.
        hint: String,
    },
}

impl DataError {
    /// Wraps an operating-system error with its path and what was tried.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }
}
