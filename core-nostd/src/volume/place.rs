//! Where in a volume a line goes.

/// The most slices of a volume.
pub const MOST_SLICES: usize = 32;

/// A line of a slice: where a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Place {
    /// The slice, from base to apex.
    pub slice: usize,
    /// The line.
    pub line: usize,
}
