//! What can be wrong with a capture.

use core::fmt;

use super::{MAX_SIDE, VERSION};
use crate::volume::MOST_SLICES;

/// What is wrong with a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CaptureError {
    /// The file (or the buffer to write it to) has another length than its header asks for, in bytes.
    Length {
        /// Bytes the header asks for; the header's own length if it is cut off.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The first four bytes are those of no capture.
    Magic,
    /// A slice, where a volume was asked for.
    IsSlice,
    /// A volume, where a slice was asked for.
    IsVolume,
    /// Written by a version of kscout that this one does not read.
    Version(u16),
    /// H or W is not in 1..=512.
    Size {
        /// H, samples in a line.
        height: usize,
        /// W, lines.
        width: usize,
    },
    /// Not a number of slices that a volume can have.
    Slices {
        /// S, slices.
        slices: usize,
    },
    /// The budget is nothing, or more than there is to measure.
    Budget {
        /// Lines the scan may measure.
        budget: usize,
        /// The most it could.
        most: usize,
    },
    /// The least gain is below 0 or no finite number.
    LeastGain {
        /// Bits of the f32.
        bits: u32,
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
    /// A measured slice that the volume does not have.
    Slice {
        /// The slice.
        slice: usize,
        /// S, slices there are.
        slices: usize,
    },
    /// A line that was measured twice of one slice.
    RepeatedIn {
        /// The slice.
        slice: usize,
        /// The line.
        line: usize,
    },
    /// A line that the host did not measure, so that its samples are not known.
    NotMeasured {
        /// The slice.
        slice: usize,
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
    /// More or fewer samples than H for each line.
    Samples {
        /// H for each line.
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
            Self::Magic => f.write_str("capture: starts with neither KSCN nor KSCV, so it is not a .kscan file"),
            Self::IsSlice => f.write_str("capture: of a slice, expected one of a volume (kscout scan --volume)"),
            Self::IsVolume => f.write_str("capture: of a volume, expected one of a slice (kscout scan --slice)"),
            Self::Version(found) => {
                write!(f, "capture: version {found}, expected {VERSION}; export it again with this kscout")
            }
            Self::Size { height, width } => {
                write!(f, "capture: {height} samples x {width} lines, expected 1 to {MAX_SIDE} of each")
            }
            Self::Slices { slices } => write!(f, "capture: {slices} slices, expected 1 to {MOST_SLICES}"),
            Self::Budget { budget, most } => {
                write!(f, "capture: budget of {budget} lines, expected 1 to {most}")
            }
            Self::LeastGain { bits } => {
                write!(f, "capture: least gain {}, expected a number from 0 up", f32::from_bits(bits))
            }
            Self::LineCount { count, budget } => {
                write!(f, "capture: {count} lines chosen with a budget of {budget}")
            }
            Self::Line { line, width } => {
                write!(f, "capture: line {line} chosen, but there are {width}")
            }
            Self::Repeated { line } => write!(f, "capture: line {line} chosen twice"),
            Self::Slice { slice, slices } => {
                write!(f, "capture: a line of slice {slice} measured, but there are {slices} slices")
            }
            Self::RepeatedIn { slice, line } => write!(f, "capture: line {line} of slice {slice} measured twice"),
            Self::NotMeasured { slice, line } => {
                write!(f, "capture: line {line} of slice {slice} was not measured by the host, which chose others")
            }
            Self::Reserved { offset, found } => {
                write!(f, "capture: byte {offset} is {found:#04x}, expected 0")
            }
            Self::Checksum { expected, found } => {
                write!(f, "capture: CRC-32 {found:#010x}, expected {expected:#010x}; the file is damaged")
            }
            Self::Samples { expected, found } => {
                write!(f, "capture: {found} samples, expected {expected}: H for each line")
            }
        }
    }
}

impl core::error::Error for CaptureError {}
