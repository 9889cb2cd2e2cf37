//! What can go wrong between lines and images.

use core::fmt;

use super::mask::MAX_LINES;
use crate::arena::ArenaError;
use crate::length::LengthError;

/// Why images cannot be reconstructed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SetupError {
    /// The arena is too small or misaligned.
    Arena(ArenaError),
    /// Images of this size cannot be reconstructed: H must be a power of two from 16 to 512, W 1 to 512.
    Size {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena(error) => error.fmt(f),
            Self::Size { height, width } => write!(
                f,
                "images of {height} rows and {width} columns: expected a power of two from 16 to 512 rows, 1 to 512 columns"
            ),
        }
    }
}

impl core::error::Error for SetupError {}

impl From<ArenaError> for SetupError {
    fn from(error: ArenaError) -> Self {
        Self::Arena(error)
    }
}

/// Why a line was not taken. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LineError {
    /// The line does not exist.
    Line {
        /// The line that was given.
        line: usize,
        /// How many lines there are: `0..width`.
        width: usize,
    },
    /// The line has been measured already.
    Repeated {
        /// The line that was given.
        line: usize,
    },
    /// A line does not have one sample for each row of the image.
    SampleCount {
        /// Samples expected: H.
        needed: usize,
        /// Samples given.
        got: usize,
    },
    /// A sample is infinite or not a number.
    NotFinite {
        /// The line that was given.
        line: usize,
        /// The first such sample.
        sample: usize,
    },
    /// A part of a sample is beyond [`LARGEST_SAMPLE`](super::LARGEST_SAMPLE): its square would not fit.
    TooLarge {
        /// The line that was given.
        line: usize,
        /// The first such sample.
        sample: usize,
    },
    /// All samples so far are below [`FAINTEST_LINE`](super::FAINTEST_LINE), but not all zero: their squares would vanish.
    TooFaint {
        /// The line that was given.
        line: usize,
    },
    /// The second image shares memory with something that has been used since ([`Plan::aliased`](super::Plan::aliased)).
    Invalidated,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, width } => {
                write!(f, "line {line} does not exist: there are {width}")
            }
            Self::Repeated { line } => write!(f, "line {line} has been measured already"),
            Self::SampleCount { needed, got } => {
                write!(f, "a line of {got} samples: expected {needed}")
            }
            Self::NotFinite { line, sample } => write!(f, "sample {sample} of line {line} is infinite or not a number"),
            Self::TooLarge { line, sample } => {
                write!(f, "sample {sample} of line {line} is beyond 1.1e15: give all samples in a larger unit")
            }
            Self::TooFaint { line } => {
                write!(f, "all samples up to line {line} are below 8.8e-16: give all samples in a smaller unit")
            }
            Self::Invalidated => ReconError::Invalidated.fmt(f),
        }
    }
}

impl core::error::Error for LineError {}

/// Why an image could not be written. Nothing has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReconError {
    /// An image has 1 to [`MAX_LINES`] columns.
    Width {
        /// The width asked for.
        width: usize,
    },
    /// A slice does not have the length that the others ask for.
    Length(LengthError),
    /// The second image shares memory with something that has been used since ([`Plan::aliased`](super::Plan::aliased)).
    Invalidated,
    /// The two reconstructors do not make the same images.
    OtherPlan,
}

impl fmt::Display for ReconError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { width } => {
                write!(f, "an image of {width} columns: expected 1 to {MAX_LINES}")
            }
            Self::Length(error) => error.fmt(f),
            Self::Invalidated => f.write_str("the image is no longer complete: clear it and push its lines again"),
            Self::OtherPlan => f.write_str("the images differ in size or reconstruction: copy between two of one plan"),
        }
    }
}

impl core::error::Error for ReconError {}

impl From<LengthError> for ReconError {
    fn from(error: LengthError) -> Self {
        Self::Length(error)
    }
}
