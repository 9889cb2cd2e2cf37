//! Captured scans: what a host measured with the result it computed, so that another machine can repeat the scan and compare.
//!
//! Hosts write these `.kscan` files beside a blob; the firmware's self-test and other targets read them. There are two forms,
//! told apart by their first four bytes:
//!
//! * [`mod@slice`]: a slice's complete k-space and the digest of its scan.
//! * [`volume`]: the lines measured of slices that share a budget, and the digest of their scan.
//!
//! Of each there is a checked view of the bytes and a plain description that is written; [`Stored`] is a view of either. CRC-32
//! is CRC-32/ISO-HDLC, the one of zip and PNG.

mod bytes;
mod error;
pub mod slice;
#[cfg(test)]
mod tests;
pub mod volume;

use crate::crc32::crc32;
use crate::kspace::MAX_LINES;

pub use error::CaptureError;
pub use slice::{Capture, Repr};
pub use volume::{VolumeCapture, VolumeRepr};

/// Largest number of lines, and of samples in a line, that a capture may hold.
pub const MAX_SIDE: usize = MAX_LINES;

/// Of both forms.
const VERSION: u16 = 1;

/// CRC-32 that ties a capture to a blob: over the blob's whole file.
pub fn blob_crc(blob: &[u8]) -> u32 {
    crc32([blob])
}

/// A checked view of a `.kscan` file of either form.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// Of one slice.
    Slice(Capture<'a>),
    /// Of slices that share a budget.
    Volume(VolumeCapture<'a>),
}

impl<'a> Stored<'a> {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`CaptureError`] names the first thing that is not as [`mod@slice`] or [`volume`] describes.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, CaptureError> {
        if bytes.starts_with(&volume::MAGIC) {
            VolumeCapture::new_checked(bytes).map(Self::Volume)
        } else {
            Capture::new_checked(bytes).map(Self::Slice)
        }
    }

    /// CRC-32 of the blob the host scanned with; compare with [`blob_crc`].
    pub fn blob_crc(&self) -> u32 {
        match self {
            Self::Slice(capture) => capture.blob_crc(),
            Self::Volume(capture) => capture.blob_crc(),
        }
    }

    /// Digest of the host's scan.
    pub fn digest(&self) -> u64 {
        match self {
            Self::Slice(capture) => capture.digest(),
            Self::Volume(capture) => capture.digest(),
        }
    }
}

fn check_side(height: usize, width: usize) -> Result<(), CaptureError> {
    if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) {
        return Err(CaptureError::Size { height, width });
    }
    Ok(())
}

fn check_budget(budget: usize, most: usize, count: usize) -> Result<(), CaptureError> {
    if !(1..=most).contains(&budget) {
        return Err(CaptureError::Budget { budget, most });
    }
    if count > budget {
        return Err(CaptureError::LineCount { count, budget });
    }
    Ok(())
}

/// The first bytes of a file say `magic`, and a version that can be read.
fn check_form(header: &[u8], magic: [u8; 4]) -> Result<(), CaptureError> {
    match header.get(bytes::MAGIC) {
        Some(found) if found == magic => {}
        Some(found) if found == slice::MAGIC => return Err(CaptureError::IsSlice),
        Some(found) if found == volume::MAGIC => return Err(CaptureError::IsVolume),
        _ => return Err(CaptureError::Magic),
    }
    match bytes::u16_at(header, bytes::VERSION) {
        VERSION => Ok(()),
        other => Err(CaptureError::Version(other)),
    }
}
