//! A captured slice: its complete k-space with the result of a scan. Everything is little-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `KSCN` |
//! | 4 | 2 | version, 1 |
//! | 6 | 2 | H, samples in a line, 1..=512 |
//! | 8 | 2 | W, lines in the slice, 1..=512 |
//! | 10 | 2 | budget given to the scan, 1..=W |
//! | 12 | 4 | CRC-32 of the whole blob the result was made with |
//! | 16 | 8 | digest of the host's scan |
//! | 24 | 2 | n, number of chosen lines, 0..=budget |
//! | 26 | 1 | who chose the lines: 0 the blob's policy, if it has one; 1 somebody else |
//! | 27 | 1 | zero |
//! | 28 | 4 | CRC-32 of every other byte of the file |
//! | 32 | 2 n | the lines the host chose, u16 each, in order, none twice |
//! | | | zeros up to a multiple of 8 |
//! | | 8 W H | k-space, line-major: for each line H samples, each re then im, f32 |

use super::bytes::{
    Layout, SAMPLE_LEN, check_crc, check_zeros, copy_samples, put, put_crc, split_header, u16_at, u32_at, u64_at,
};
use super::{CaptureError, VERSION, check_budget, check_side};
use crate::Complex32;
use crate::kspace::LineSet;

/// Byte offsets of the fields.
mod field {
    use core::ops::Range;

    pub(in crate::capture) use crate::capture::bytes::{MAGIC, VERSION};

    pub const HEIGHT: Range<usize> = 6..8;
    pub const WIDTH: Range<usize> = 8..10;
    pub const BUDGET: Range<usize> = 10..12;
    pub const BLOB_CRC: Range<usize> = 12..16;
    pub const DIGEST: Range<usize> = 16..24;
    pub const LINE_COUNT: Range<usize> = 24..26;
    pub const GIVEN: Range<usize> = 26..27;
    pub const RESERVED: Range<usize> = 27..28;
    pub const HEADER_LEN: usize = 32;
}

pub(super) const MAGIC: [u8; 4] = *b"KSCN";

/// A checked, read-only view of a captured slice. Any alignment will do.
#[derive(Debug, Clone, Copy)]
pub struct Capture<'a> {
    header: &'a [u8],
    lines: &'a [u8],
    kspace: &'a [u8],
}

impl<'a> Capture<'a> {
    /// Reads a whole file. Every later access is then within bounds.
    ///
    /// # Errors
    /// [`CaptureError`] names the first thing that is not as the module describes. Samples are not looked at: a NaN in
    /// them is the scan's to deal with.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, CaptureError> {
        let header = split_header(bytes, field::HEADER_LEN, MAGIC)?;
        let view = Self { header, lines: &[], kspace: &[] };
        let count = usize::from(u16_at(header, field::LINE_COUNT));
        check_sizes(view.height(), view.width(), view.budget(), count)?;
        let layout = layout(count, view.height() * view.width());
        let (lines, kspace) = layout.split_body(bytes)?;
        let view = Self { lines, kspace, ..view };

        check_crc(bytes)?;
        check_zeros(bytes, field::RESERVED)?;
        match header.get(field::GIVEN) {
            Some([0 | 1]) => {}
            _ => check_zeros(bytes, field::GIVEN)?,
        }
        layout.check_padding(bytes)?;
        check_lines(view.lines(), view.height(), view.width())?;
        Ok(view)
    }

    /// H: samples in a line, and rows of the image.
    pub fn height(&self) -> usize {
        usize::from(u16_at(self.header, field::HEIGHT))
    }

    /// W: lines, and columns of the image.
    pub fn width(&self) -> usize {
        usize::from(u16_at(self.header, field::WIDTH))
    }

    /// Lines the scan was allowed to measure.
    pub fn budget(&self) -> usize {
        usize::from(u16_at(self.header, field::BUDGET))
    }

    /// Digest of the host's scan, as `Scan::digest` gives it.
    pub fn digest(&self) -> u64 {
        u64_at(self.header, field::DIGEST)
    }

    /// CRC-32 of the blob the host scanned with; compare with [`blob_crc`](super::blob_crc).
    pub fn blob_crc(&self) -> u32 {
        u32_at(self.header, field::BLOB_CRC)
    }

    /// The lines the host chose, in order.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = usize> + use<'a> {
        self.lines.chunks_exact(2).map(|pair| usize::from(u16_at(pair, 0..2)))
    }

    /// Whether the lines were given to the scan, by a fixed order or a mask: the blob's policy, if it has one, was not asked, and
    /// whoever repeats the scan takes [`lines`](Self::lines) as they are.
    pub fn given(&self) -> bool {
        self.header.get(field::GIVEN) == Some(&[1])
    }

    /// Copies the samples of one line to `out`, H of them.
    ///
    /// # Errors
    /// [`CaptureError::Line`] if there is no such line, [`CaptureError::Samples`] unless `out` has room for H samples.
    pub fn copy_line(&self, line: usize, out: &mut [Complex32]) -> Result<(), CaptureError> {
        let missing = CaptureError::Line { line, width: self.width() };
        if line >= self.width() {
            return Err(missing);
        }
        let len = self.height() * SAMPLE_LEN;
        let samples = self.kspace.get(line * len..(line + 1) * len).ok_or(missing)?;
        copy_samples(samples, out)
    }
}

/// A capture in plain fields, to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repr<'a> {
    /// H, samples in a line.
    pub height: usize,
    /// W, lines.
    pub width: usize,
    /// Lines the scan may measure.
    pub budget: usize,
    /// [`blob_crc`](super::blob_crc) of the blob.
    pub blob_crc: u32,
    /// Digest of the host's scan.
    pub digest: u64,
    /// The lines the host chose, in order.
    pub lines: &'a [u16],
    /// Whether they were given to the scan, rather than chosen by the blob's policy.
    pub given: bool,
    /// K-space, line-major: H * W samples.
    pub kspace: &'a [Complex32],
}

impl Repr<'_> {
    /// Bytes that [`emit`](Self::emit) writes.
    pub fn buffer_len(&self) -> usize {
        self.layout().file_len()
    }

    /// Writes the file to `out`, which has to be [`buffer_len`](Self::buffer_len) bytes long.
    ///
    /// # Errors
    /// [`CaptureError`] names the field that could not be read back; `out` is then left as it was.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), CaptureError> {
        check_sizes(self.height, self.width, self.budget, self.lines.len())?;
        check_lines(self.lines.iter().map(|&line| usize::from(line)), self.height, self.width)?;
        let (expected, found) = (self.height * self.width, self.kspace.len());
        if expected != found {
            return Err(CaptureError::Samples { expected, found });
        }
        let header = self.layout().put_body(out, self.lines.iter().copied(), self.kspace)?;
        self.emit_header(header);
        put_crc(out);
        Ok(())
    }

    fn layout(&self) -> Layout {
        layout(self.lines.len(), self.kspace.len())
    }

    /// All of the header but its CRC, over zeros. The sizes have been checked, so they fit 16 bits.
    fn emit_header(&self, header: &mut [u8]) {
        let short = |value: usize| (value as u16).to_le_bytes();
        put(header, field::MAGIC, &MAGIC);
        put(header, field::VERSION, &VERSION.to_le_bytes());
        put(header, field::HEIGHT, &short(self.height));
        put(header, field::WIDTH, &short(self.width));
        put(header, field::BUDGET, &short(self.budget));
        put(header, field::BLOB_CRC, &self.blob_crc.to_le_bytes());
        put(header, field::DIGEST, &self.digest.to_le_bytes());
        put(header, field::LINE_COUNT, &short(self.lines.len()));
        put(header, field::GIVEN, &[u8::from(self.given)]);
    }
}

fn check_sizes(height: usize, width: usize, budget: usize, count: usize) -> Result<(), CaptureError> {
    check_side(height, width)?;
    check_budget(budget, width, count)
}

/// Every line exists and comes once. The sizes have been checked.
fn check_lines(lines: impl Iterator<Item = usize>, height: usize, width: usize) -> Result<(), CaptureError> {
    let mut seen = LineSet::new(width).map_err(|_| CaptureError::Size { height, width })?;
    for line in lines {
        if !seen.insert(line).map_err(|_| CaptureError::Line { line, width })? {
            return Err(CaptureError::Repeated { line });
        }
    }
    Ok(())
}

fn layout(lines: usize, samples: usize) -> Layout {
    Layout { header_len: field::HEADER_LEN, entries_len: 2 * lines, samples }
}
