//! Lengths that the caller's memory must have.

use core::fmt;

/// A slice does not have the length that the others ask for. Nothing has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LengthError {
    /// Which slice.
    pub what: &'static str,
    /// Its expected length, in elements.
    pub needed: usize,
    /// Its length.
    pub got: usize,
}

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, needed, got } = self;
        write!(f, "{what} has {got} elements: expected {needed}")
    }
}

impl core::error::Error for LengthError {}

pub(crate) fn expect_length(what: &'static str, got: usize, needed: usize) -> Result<(), LengthError> {
    if got == needed { Ok(()) } else { Err(LengthError { what, needed, got }) }
}
