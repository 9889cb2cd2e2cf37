//! What can be wrong with a blob, and where.

use core::fmt;

use super::kinds::{GraphKind, OperatorKind};

/// A blob was refused: the place, and what is wrong there.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BlobError {
    /// Which record or section is wrong.
    pub location: Location,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A record or section of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Location {
    /// The first 64 bytes.
    Header,
    /// The text that says where the networks come from.
    Provenance,
    /// The order of lines.
    LineOrder,
    /// A record of the graph table, by its number.
    GraphRecord(usize),
    /// A graph as a whole.
    Graph(GraphKind),
    /// A tensor record of a graph.
    Tensor {
        /// The graph.
        graph: GraphKind,
        /// The tensor's number.
        tensor: usize,
    },
    /// A node record of a graph.
    Node {
        /// The graph.
        graph: GraphKind,
        /// The node's number, from 0 in the order they run.
        node: usize,
    },
}

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Problem {
    /// Fewer bytes than the record or section needs.
    Truncated {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        got: usize,
    },
    /// The first eight bytes are not those of a blob.
    Magic {
        /// The bytes found.
        got: [u8; 8],
    },
    /// The file takes a reader that knows more than this one.
    Features {
        /// The required features that this version does not know, a bit each.
        unknown: u8,
    },
    /// The checksum is not that of the contents: the file was damaged or cut.
    Checksum {
        /// CRC-32 of the contents.
        got: u32,
        /// CRC-32 the header states.
        expected: u32,
    },
    /// A code that names nothing this version knows.
    UnknownCode {
        /// The field.
        field: &'static str,
        /// The code found.
        got: u32,
    },
    /// A value that something else settles.
    Mismatch {
        /// The field.
        field: &'static str,
        /// The value found.
        got: i64,
        /// The only value that fits.
        expected: i64,
    },
    /// A value outside its range.
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The value found.
        got: i64,
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A value that is not a multiple of what it must be a multiple of.
    Misaligned {
        /// The field.
        field: &'static str,
        /// The value found.
        got: u32,
        /// It must be a multiple of this.
        align: u32,
    },
    /// A floating-point value that is not finite, not positive, or not the one expected.
    BadFloat {
        /// The field.
        field: &'static str,
        /// The value found.
        got: f32,
        /// What would be right, in words.
        expected: &'static str,
    },
    /// A shape other than the one that follows from the operator, its inputs or the header.
    Shape {
        /// The field.
        field: &'static str,
        /// Rows, columns, channels found.
        got: [usize; 3],
        /// Rows, columns, channels that would be right.
        expected: [usize; 3],
    },
    /// Memory of this node overlaps a tensor that is still to be read, or its own output.
    Overlap {
        /// The memory that would be overwritten with: `output` or `scratch`.
        field: &'static str,
        /// The tensor that would be lost.
        tensor: usize,
    },
    /// The kernels do not take this record of an operator, for a reason that no other problem names.
    Unfit {
        /// The operator.
        operator: OperatorKind,
    },
    /// A value that may come once comes again.
    Repeated {
        /// What is repeated.
        field: &'static str,
        /// The value.
        got: i64,
    },
    /// The text is not UTF-8.
    NotUtf8 {
        /// Bytes that are.
        valid: usize,
    },
}

impl Problem {
    /// This problem at its place.
    #[cold]
    pub(super) fn at(self, location: Location) -> BlobError {
        BlobError { location, problem: self }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Provenance => f.write_str("provenance"),
            Self::LineOrder => f.write_str("line order"),
            Self::GraphRecord(index) => write!(f, "graph record {index}"),
            Self::Graph(graph) => write!(f, "{graph}"),
            Self::Tensor { graph, tensor } => write!(f, "{graph}, tensor {tensor}"),
            Self::Node { graph, node } => write!(f, "{graph}, node {node}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { need, got } => write!(f, "needs {need} bytes, has {got}"),
            Self::Magic { got } => write!(f, "starts with {got:02x?}: not a .kscout file"),
            Self::Features { unknown } => {
                f.write_str("needs what this version does not have: required feature")?;
                let mut numbers = (0..u8::BITS).filter(|bit| unknown >> bit & 1 == 1);
                numbers.try_for_each(|number| write!(f, " {number}"))?;
                f.write_str(". A newer version reads it")
            }
            Self::Checksum { got, expected } => {
                write!(f, "contents have CRC-32 {got:08x}, header says {expected:08x}: the file is damaged")
            }
            Self::UnknownCode { field, got } => write!(f, "{field}: unknown code {got}"),
            Self::Mismatch { field, got, expected } => write!(f, "{field}: {got}, expected {expected}"),
            Self::OutOfRange { field, got, min, max } => write!(f, "{field}: {got}, expected {min}..={max}"),
            Self::Misaligned { field, got, align } => write!(f, "{field}: {got}, expected a multiple of {align}"),
            Self::BadFloat { field, got, expected } => write!(f, "{field}: {got:e}, expected {expected}"),
            Self::Shape { field, got: [h, w, c], expected: [eh, ew, ec] } => {
                write!(f, "{field}: {h}x{w}x{c}, expected {eh}x{ew}x{ec}")
            }
            Self::Overlap { field, tensor } => {
                write!(f, "{field}: its place in the arena overlaps tensor {tensor}, which is still needed")
            }
            Self::Unfit { operator } => write!(f, "{operator}: not a record that the kernels can run"),
            Self::Repeated { field, got } => write!(f, "{field} {got} comes twice"),
            Self::NotUtf8 { valid } => write!(f, "not UTF-8 after {valid} bytes"),
        }
    }
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blob refused: {}: {}", self.location, self.problem)
    }
}

impl core::error::Error for BlobError {}
