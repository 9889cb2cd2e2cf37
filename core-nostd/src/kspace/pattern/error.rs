//! What can be wrong with a request for an order.

use core::fmt;

use super::{MAX_POWER, Pattern};
use crate::kspace::mask::MAX_LINES;

/// Why a pattern could not be written.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PatternError {
    /// A k-space has 1 to [`MAX_LINES`] lines.
    Width {
        /// The width asked for.
        width: usize,
    },
    /// A budget is 1 to the number of lines.
    Budget {
        /// The budget asked for.
        budget: usize,
        /// How many lines there are.
        width: usize,
    },
    /// The caller's slice cannot hold the order.
    Output {
        /// Entries needed: the budget.
        needed: usize,
        /// Entries the slice has.
        got: usize,
    },
    /// The share of the centre block is not a number from 0 to 1.
    CentreFraction {
        /// The share given.
        centre_fraction: f32,
    },
    /// The exponent is above [`MAX_POWER`].
    Power {
        /// The exponent given.
        power: u8,
    },
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { width } => {
                write!(f, "a k-space of {width} lines: expected 1 to {MAX_LINES}")
            }
            Self::Budget { budget, width } => {
                write!(f, "a budget of {budget} lines: expected 1 to {width}")
            }
            Self::Output { needed, got } => write!(f, "room for {got} lines: {needed} are needed"),
            Self::CentreFraction { centre_fraction } => {
                write!(f, "a centre block of {centre_fraction} of the budget: expected 0 to 1")
            }
            Self::Power { power } => write!(f, "a density exponent of {power}: expected 0 to {MAX_POWER}"),
        }
    }
}

impl core::error::Error for PatternError {}

/// The text is not the name of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownPattern;

impl fmt::Display for UnknownPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown pattern: expected one of")?;
        Pattern::ALL.iter().try_for_each(|pattern| write!(f, " {pattern}"))
    }
}

impl core::error::Error for UnknownPattern {}
