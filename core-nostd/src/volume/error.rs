//! What can go wrong in the scan of a volume. Each step has an error of its own; [`VolumeError`] is any of them.

use core::fmt;

use super::{MOST_SLICES, Place};
use crate::LengthError;
use crate::arena::ArenaError;
use crate::kspace::{LineError, SetupError};
use crate::scan::{NetworkError, ScanError};

/// Why a volume cannot be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum VolumeSetupError {
    /// A volume has 1 to [`MOST_SLICES`] slices.
    Slices {
        /// Slices asked for.
        slices: usize,
    },
    /// The budget does not give every slice its first lines, or is more than all slices can have.
    Budget {
        /// Lines asked for, of the volume.
        budget: usize,
        /// The fewest that do.
        min: usize,
        /// The most that can be measured.
        max: usize,
    },
    /// The model has no segmenter, which every line asks.
    NoSegmenter,
    /// Memory is of another length than it should be.
    Length(LengthError),
    /// The arena does not do, or a slice cannot be scanned with the model.
    Slice(SetupError),
}

impl fmt::Display for VolumeSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slices { slices } => write!(f, "a volume of {slices} slices: expected 1 to {MOST_SLICES}"),
            Self::Budget { budget, min, max } => {
                write!(f, "a budget of {budget} lines for the volume: expected {min} to {max}")
            }
            Self::NoSegmenter => NetworkError::NoSegmenter.fmt(f),
            Self::Length(error) => error.fmt(f),
            Self::Slice(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for VolumeSetupError {}

impl From<LengthError> for VolumeSetupError {
    fn from(error: LengthError) -> Self {
        Self::Length(error)
    }
}

impl From<SetupError> for VolumeSetupError {
    fn from(error: SetupError) -> Self {
        Self::Slice(error)
    }
}

impl From<ArenaError> for VolumeSetupError {
    fn from(error: ArenaError) -> Self {
        Self::Slice(error.into())
    }
}

/// Why a slice could not be visited or segmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SliceError {
    /// The slice does not exist.
    Slice {
        /// The slice that was given.
        slice: usize,
        /// Slices of the volume.
        slices: usize,
    },
    /// The slice's scan refused.
    Scan(ScanError),
}

impl fmt::Display for SliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slice { slice, slices } => write!(f, "slice {slice} does not exist: there are {slices}"),
            Self::Scan(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SliceError {}

impl<E: Into<ScanError>> From<E> for SliceError {
    fn from(error: E) -> Self {
        Self::Scan(error.into())
    }
}

/// Why a line was not taken. The scan is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum VolumePushError {
    /// The volume's budget is spent.
    BudgetSpent {
        /// Lines of the volume.
        budget: usize,
    },
    /// Another line of the slice comes next: ask [`propose`](super::VolumeScan::propose) or
    /// [`next_place`](super::VolumeScan::next_place).
    NotNext {
        /// The place that was given.
        place: Place,
        /// The slice's next line, `None` where it has all the lines that a slice may have.
        line: Option<usize>,
    },
    /// The samples are not what a line has.
    Line {
        /// The slice.
        slice: usize,
        /// What is wrong with its line.
        error: LineError,
    },
    /// The slice does not exist, or could not be segmented.
    Slice(SliceError),
}

impl fmt::Display for VolumePushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BudgetSpent { budget } => write!(f, "all {budget} lines of the volume have been measured"),
            Self::NotNext { place: Place { slice, line }, line: Some(next) } => {
                write!(f, "line {line} of slice {slice}: its next line is {next}")
            }
            Self::NotNext { place: Place { slice, .. }, line: None } => {
                write!(f, "slice {slice} has all the lines that a slice may have")
            }
            Self::Line { slice, error } => write!(f, "slice {slice}: {error}"),
            Self::Slice(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for VolumePushError {}

impl From<SliceError> for VolumePushError {
    fn from(error: SliceError) -> Self {
        Self::Slice(error)
    }
}

/// Any error of the scan of a volume, for those who run one from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum VolumeError {
    /// The scan could not be made.
    Setup(VolumeSetupError),
    /// The slice policy could not be asked.
    Network(NetworkError),
    /// A line was not taken.
    Push(VolumePushError),
    /// A slice could not be segmented.
    Slice(SliceError),
}

impl fmt::Display for VolumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
            Self::Push(error) => error.fmt(f),
            Self::Slice(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for VolumeError {}

impl From<VolumeSetupError> for VolumeError {
    fn from(error: VolumeSetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<NetworkError> for VolumeError {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}

impl From<VolumePushError> for VolumeError {
    fn from(error: VolumePushError) -> Self {
        Self::Push(error)
    }
}

impl From<SliceError> for VolumeError {
    fn from(error: SliceError) -> Self {
        Self::Slice(error)
    }
}
