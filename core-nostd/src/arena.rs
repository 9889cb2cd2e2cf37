//! The caller's memory: a buffer of fixed size, and the carver that splits typed slices off it.

use core::fmt;

use bytemuck::Pod;

/// Alignment of an arena and of every slice carved from it, in bytes.
pub const ARENA_ALIGN: usize = 16;

/// An arena for a `static` or a stack frame: `N` zero bytes, aligned to [`ARENA_ALIGN`].
///
/// ```
/// use kscout_core::arena::StaticArena;
/// let mut arena = StaticArena::<1024>::new();
/// assert_eq!(arena.as_mut_slice().as_ptr() as usize % 16, 0);
/// ```
#[repr(C, align(16))]
pub struct StaticArena<const N: usize> {
    bytes: [u8; N],
}

impl<const N: usize> StaticArena<N> {
    /// An arena of zeros, for use in a `static` too.
    pub const fn new() -> Self {
        Self { bytes: [0; N] }
    }

    /// The arena's bytes.
    pub const fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl<const N: usize> Default for StaticArena<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for StaticArena<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticArena({N} bytes)")
    }
}

/// Why an arena cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ArenaError {
    /// The arena is too small.
    TooSmall {
        /// Bytes needed.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The arena does not start at a multiple of [`ARENA_ALIGN`].
    Misaligned {
        /// How many bytes its start is past such a multiple.
        offset: usize,
    },
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { needed, got } => {
                write!(f, "an arena of {got} bytes: {needed} are needed")
            }
            Self::Misaligned { offset } => {
                write!(
                    f,
                    "the arena starts {offset} bytes past a multiple of {ARENA_ALIGN}: align it, as StaticArena does"
                )
            }
        }
    }
}

impl core::error::Error for ArenaError {}

/// Bytes that [`Carver::take`] uses up for `count` values of `T`: rounded up to [`ARENA_ALIGN`].
pub const fn carved_bytes<T>(count: usize) -> usize {
    count.saturating_mul(size_of::<T>()).saturating_add(ARENA_ALIGN - 1) & !(ARENA_ALIGN - 1)
}

/// Splits typed slices off the front of an arena, each aligned to [`ARENA_ALIGN`].
///
/// ```
/// use kscout_core::arena::{Carver, StaticArena};
/// let mut arena = StaticArena::<64>::new();
/// let mut carver = Carver::new(arena.as_mut_slice()).unwrap();
/// let lines: &mut [u16] = carver.take(9).unwrap();
/// assert_eq!((lines.len(), carver.rest().len()), (9, 32));
/// ```
#[derive(Debug)]
pub struct Carver<'a> {
    rest: &'a mut [u8],
    used: usize,
}

impl<'a> Carver<'a> {
    /// A carver at the front of `arena`.
    ///
    /// # Errors
    /// [`ArenaError::Misaligned`] unless the arena starts at a multiple of [`ARENA_ALIGN`].
    pub fn new(arena: &'a mut [u8]) -> Result<Self, ArenaError> {
        match arena.as_ptr() as usize % ARENA_ALIGN {
            0 => Ok(Self { rest: arena, used: 0 }),
            offset => Err(ArenaError::Misaligned { offset }),
        }
    }

    /// Takes `count` values of `T`, holding whatever the arena held.
    ///
    /// # Errors
    /// [`ArenaError::TooSmall`] with the bytes needed up to and with this slice; nothing is taken.
    pub fn take<T: Pod>(&mut self, count: usize) -> Result<&'a mut [T], ArenaError> {
        const { assert!(align_of::<T>() <= ARENA_ALIGN, "the type needs more alignment than an arena gives") };
        let bytes = carved_bytes::<T>(count);
        let too_small =
            ArenaError::TooSmall { needed: self.used.saturating_add(bytes), got: self.used + self.rest.len() };
        if bytes > self.rest.len() {
            return Err(too_small);
        }
        let all = core::mem::take(&mut self.rest);
        let (front, rest) = all.split_at_mut_checked(bytes).ok_or(too_small)?;
        self.rest = rest;
        self.used += bytes;
        let values = front.get_mut(..count * size_of::<T>()).ok_or(too_small)?;
        bytemuck::try_cast_slice_mut(values).map_err(|_| too_small)
    }

    /// What is left of the arena, aligned too.
    pub fn rest(self) -> &'a mut [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Complex32;
    use std::string::ToString;

    #[test]
    fn slices_follow_each_other_at_multiples_of_16() {
        let mut arena = StaticArena::<256>::new();
        let start = arena.as_mut_slice().as_ptr() as usize;
        let mut carver = Carver::new(arena.as_mut_slice()).unwrap();
        let lines: &mut [u16] = carver.take(3).unwrap();
        let samples: &mut [Complex32] = carver.take(4).unwrap();
        let none: &mut [u8] = carver.take(0).unwrap();
        assert_eq!((lines.len(), samples.len(), none.len()), (3, 4, 0));
        assert_eq!(lines.as_ptr() as usize, start);
        assert_eq!(samples.as_ptr() as usize, start + 16);
        let rest = carver.rest();
        assert_eq!((rest.as_ptr() as usize, rest.len()), (start + 48, 208));
    }

    #[test]
    fn the_bytes_counted_are_the_bytes_used() {
        assert_eq!([carved_bytes::<u8>(0), carved_bytes::<u8>(1), carved_bytes::<u32>(4)], [0, 16, 16]);
        let mut arena = StaticArena::<48>::new();
        let mut carver = Carver::new(arena.as_mut_slice()).unwrap();
        assert!(carver.take::<u32>(5).is_ok_and(|values| values.len() == 5));
        assert_eq!(carver.rest().len(), 48 - carved_bytes::<u32>(5));
    }

    #[test]
    fn too_small_an_arena_is_refused_with_the_bytes_needed() {
        let mut arena = StaticArena::<40>::new();
        let mut carver = Carver::new(arena.as_mut_slice()).unwrap();
        carver.take::<u8>(20).unwrap();
        let error = carver.take::<u32>(3).unwrap_err();
        assert_eq!(error.to_string(), "an arena of 40 bytes: 48 are needed");
        let error = Carver::new(arena.as_mut_slice()).unwrap().take::<u32>(usize::MAX).unwrap_err();
        assert!(matches!(error, ArenaError::TooSmall { got: 40, .. }));
    }

    #[test]
    fn a_misaligned_arena_is_refused() {
        let mut arena = StaticArena::<32>::new();
        let error = Carver::new(&mut arena.as_mut_slice()[3..]).unwrap_err();
        assert_eq!(error, ArenaError::Misaligned { offset: 3 });
    }
}
