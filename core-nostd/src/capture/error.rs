//! What can be wrong with a capture.

use core::fmt;

use super::{MAX_SIDE, VERSION};

/// What is wrong with a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file (or the buffer to write it to) has another length than its header asks for, in bytes.
    Length {
        /// Bytes the header asks for; the header's own length if it is cut off.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The first four bytes are not `KSCN`.
    Magic,
    /// Written by a version of kscout that this one does not read.
    Version(u16),
    /// H or W is not in 1..=512.
    Size {
        /// H, samples in a line.
        height: usize,
        /// W, lines.
        width: usize,
    },
    /// The budget is not in 1..=W.
    Budget {
        /// Lines the scan may measure.
        budget: usize,
        /// W, lines there are.
        width: usize,
    },
    /// More lines chosen than the budget allows.
    LineCount {
        /// Lines chosen.
        count: usize,
        /// Lines allowed.
        budget: usize,
    },
    /// A chosen line that the slice does not have.
    Line {
        /// The line.
        line: usize,
        /// W, lines there are.
        width: usize,
    },
    /// A line that was chosen twice.
    Repeated {
        /// The line.
        line: usize,
    },
    /// A byte without a meaning that is not zero: written by a later version, or not by kscout.
    Reserved {
        /// Where in the file it is.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// The bytes are not those that were written.
    Checksum {
        /// CRC-32 in the file.
        expected: u32,
        /// CRC-32 of the bytes.
        found: u32,
    },
    /// K-space of another number of samples than H * W.
    Samples {
        /// H * W.
        expected: usize,
        /// Samples given.
        found: usize,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { expected, found } => {
                write!(f, "capture: expected {expected} bytes, found {found}; the file may be cut off")
            }
            Self::Magic => f.write_str("capture: does not start with KSCN, so it is not a .kscan file"),
            Self::Version(found) => {
                write!(f, "capture: version {found}, expected {VERSION}; export it again with this kscout")
            }
            Self::Size { height, width } => {
                write!(f, "capture: {height} samples x {width} lines, expected 1 to {MAX_SIDE} of each")
            }
            Self::Budget { budget, width } => {
                write!(f, "capture: budget of {budget} lines, expected 1 to {width}")
            }
            Self::LineCount { count, budget } => {
                write!(f, "capture: {count} lines chosen with a budget of {budget}")
            }
            Self::Line { line, width } => {
                write!(f, "capture: line {line} chosen, but there are {width}")
            }
            Self::Repeated { line } => write!(f, "capture: line {line} chosen twice"),
            Self::Reserved { offset, found } => {
                write!(f, "capture: byte {offset} is {found:#04x}, expected 0")
            }
            Self::Checksum { expected, found } => {
                write!(f, "capture: CRC-32 {found:#010x}, expected {expected:#010x}; the file is damaged")
            }
            Self::Samples { expected, found } => {
                write!(f, "capture: {found} samples of k-space, expected H * W = {expected}")
            }
        }
    }
}

impl core::error::Error for CaptureError {}
