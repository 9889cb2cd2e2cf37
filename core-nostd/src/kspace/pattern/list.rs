//! Lines in an order, in memory of their own.

use core::array::IntoIter;
use core::fmt;
use core::iter::Take;
use core::ops::Deref;

use crate::kspace::mask::MAX_LINES;

/// Lines in the order in which they are measured: see [`Pattern::lines`](super::Pattern::lines).
#[derive(Clone, PartialEq, Eq)]
pub struct LineList {
    pub(super) lines: [u16; MAX_LINES],
    pub(super) len: usize,
}

impl Deref for LineList {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        self.lines.get(..self.len).unwrap_or_default()
    }
}

impl IntoIterator for LineList {
    type Item = u16;
    type IntoIter = Take<IntoIter<u16, MAX_LINES>>;

    fn into_iter(self) -> Self::IntoIter {
        self.lines.into_iter().take(self.len)
    }
}

impl fmt::Debug for LineList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}
