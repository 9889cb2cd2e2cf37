//! A line on its way into an image.

use super::mask::LineSet;
use super::recon::Twiddles;
use crate::Complex32;

/// A line that is about to be added to an image.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'s> {
    /// The image of the lines before it.
    pub image: &'s [Complex32],
    /// Those lines.
    pub measured: &'s LineSet,
    pub twiddles: &'s Twiddles<'s>,
    pub line: usize,
    /// Its inverse transform along y.
    pub profile: &'s [Complex32],
}
