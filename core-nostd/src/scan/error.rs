//! What can go wrong in a scan. Each step has an error of its own; [`ScanError`] is any of them.

use core::fmt;

use crate::kspace::{LineError, SetupError};
use crate::model::RunError;

/// A scan cannot have this budget: it is 1 to the number of lines. The scan before goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BudgetError {
    /// The budget given.
    pub budget: usize,
    /// How many lines there are.
    pub width: usize,
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a budget of {} lines: expected 1 to {}", self.budget, self.width)
    }
}

impl core::error::Error for BudgetError {}

/// Why a line was not taken. The scan is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PushError {
    /// A line came before [`start`](super::Scan::start).
    NotStarted,
    /// As many lines as the budget allows have been measured.
    BudgetSpent {
        /// The budget.
        budget: usize,
    },
    /// There is no such line, it has been measured, or its samples are not what a line has.
    Line(LineError),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("no budget has been given: call start first"),
            Self::BudgetSpent { budget } => {
                write!(f, "the budget of {budget} lines has been spent")
            }
            Self::Line(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PushError {}

impl From<LineError> for PushError {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

/// Why a network could not be asked. The scan is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NetworkError {
    /// The model has no policy, so something else must choose the lines.
    NoPolicy,
    /// The model has no slice policy, so something else must choose the slices.
    NoSlicePolicy,
    /// The model has no segmenter.
    NoSegmenter,
    /// A network could not be run.
    Run(RunError),
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str("the model has no policy: choose the lines with a pattern"),
            Self::NoSlicePolicy => {
                f.write_str("the model has no slice policy: export one, or choose the slices yourself")
            }
            Self::NoSegmenter => f.write_str("the model has no segmenter"),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NetworkError {}

impl From<RunError> for NetworkError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// Any error of a scan, for those who run one from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ScanError {
    /// The scan could not be made.
    Setup(SetupError),
    /// It could not be started.
    Budget(BudgetError),
    /// It did not take a line.
    Push(PushError),
    /// A network could not be asked.
    Network(NetworkError),
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::Budget(error) => error.fmt(f),
            Self::Push(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ScanError {}

impl From<SetupError> for ScanError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<BudgetError> for ScanError {
    fn from(error: BudgetError) -> Self {
        Self::Budget(error)
    }
}

impl From<PushError> for ScanError {
    fn from(error: PushError) -> Self {
        Self::Push(error)
    }
}

impl From<NetworkError> for ScanError {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}
