//! What can go wrong in a scan.

use core::fmt;

use crate::arena::ArenaError;
use crate::model::RunError;

/// Why a scan could not go on. The scan is as it was before the call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScanError {
    /// The arena is too small or misaligned; [`arena_bytes`](super::arena_bytes) says what the model needs.
    Arena(ArenaError),
    /// Images of this size cannot be reconstructed: H must be a power of two from 16 to 512, W 1 to 512.
    Size {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
    },
    /// A budget is 1 to the number of lines.
    Budget {
        /// The budget given.
        budget: usize,
        /// How many lines there are.
        width: usize,
    },
    /// A line came before [`start`](super::Scan::start).
    NotStarted,
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
    /// As many lines as the budget allows have been measured.
    BudgetSpent {
        /// The budget.
        budget: usize,
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
    /// The model has no policy, so something else must choose the lines.
    NoPolicy,
    /// The model has no segmenter.
    NoSegmenter,
    /// A network could not be run.
    Run(RunError),
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena(error) => error.fmt(f),
            Self::Size { height, width } => write!(
                f,
                "images of {height} rows and {width} columns: expected a power of two from 16 to 512 rows, 1 to 512 columns"
            ),
            Self::Budget { budget, width } => {
                write!(f, "a budget of {budget} lines: expected 1 to {width}")
            }
            Self::NotStarted => f.write_str("no budget has been given: call start first"),
            Self::Line { line, width } => {
                write!(f, "line {line} does not exist: there are {width}")
            }
            Self::Repeated { line } => write!(f, "line {line} has been measured already"),
            Self::BudgetSpent { budget } => {
                write!(f, "the budget of {budget} lines has been spent")
            }
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
            Self::NoPolicy => f.write_str("the model has no policy: choose the lines with a pattern"),
            Self::NoSegmenter => f.write_str("the model has no segmenter"),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ScanError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Arena(error) => Some(error),
            Self::Run(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ArenaError> for ScanError {
    fn from(error: ArenaError) -> Self {
        Self::Arena(error)
    }
}

impl From<RunError> for ScanError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}
