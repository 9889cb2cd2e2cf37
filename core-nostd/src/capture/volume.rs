//! A captured volume: the lines that a host's scan measured of its slices, in order.
//!
//! Only these are kept, not all of k-space: another machine that makes the same decisions asks for no others, and one that asks
//! for another has been told apart. Everything is little-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `KSCV` |
//! | 4 | 2 | version, 1 |
//! | 6 | 2 | H, samples in a line, 1..=512 |
//! | 8 | 2 | W, lines in a slice, 1..=512 |
//! | 10 | 2 | S, slices, 1..=32 |
//! | 12 | 4 | CRC-32 of the whole blob the result was made with |
//! | 16 | 8 | digest of the host's scan |
//! | 24 | 2 | budget of the volume, 1 to S times the smaller of 48 and W |
//! | 26 | 2 | n, number of measured lines, 0..=budget |
//! | 28 | 4 | CRC-32 of every other byte of the file |
//! | 32 | 4 | least gain another line must promise, f32, finite, at least 0 |
//! | 36 | 4 | zero |
//! | 40 | 4 n | the lines measured, slice and line as u16 each, in order, none twice |
//! | | | zeros up to a multiple of 8 |
//! | | 8 H n | their samples in the same order, H each, each re then im, f32 |

use super::bytes::{
    Layout, SAMPLE_LEN, check_crc, check_zeros, copy_samples, f32_at, put, put_crc, split_header, u16_at, u32_at,
    u64_at,
};
use super::{CaptureError, VERSION, check_budget, check_side};
use crate::Complex32;
use crate::contract::MAX_SLICE_LINES;
use crate::kspace::LineSet;
use crate::volume::{MOST_SLICES, Place};

/// Byte offsets of the fields.
mod field {
    use core::ops::Range;

    pub(in crate::capture) use crate::capture::bytes::{MAGIC, VERSION};

    pub const HEIGHT: Range<usize> = 6..8;
    pub const WIDTH: Range<usize> = 8..10;
    pub const SLICES: Range<usize> = 10..12;
    pub const BLOB_CRC: Range<usize> = 12..16;
    pub const DIGEST: Range<usize> = 16..24;
    pub const BUDGET: Range<usize> = 24..26;
    pub const LINE_COUNT: Range<usize> = 26..28;
    pub const LEAST_GAIN: Range<usize> = 32..36;
    pub const RESERVED: Range<usize> = 36..40;
    pub const HEADER_LEN: usize = 40;
}

pub(super) const MAGIC: [u8; 4] = *b"KSCV";
/// Bytes of a place: slice and line.
const PLACE_LEN: usize = 4;

/// A checked, read-only view of a captured volume. Any alignment will do.
#[derive(Debug, Clone, Copy)]
pub struct VolumeCapture<'a> {
    header: &'a [u8],
    places: &'a [u8],
    samples: &'a [u8],
}

impl<'a> VolumeCapture<'a> {
    /// Reads a whole file. Every later access is then within bounds.
    ///
    /// # Errors
    /// [`CaptureError`] names the first thing that is not as the module describes. Samples are not looked at: a NaN in
    /// them is the scan's to deal with.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, CaptureError> {
        let header = split_header(bytes, field::HEADER_LEN, MAGIC)?;
        let view = Self { header, places: &[], samples: &[] };
        let count = usize::from(u16_at(header, field::LINE_COUNT));
        view.sizes().check(count)?;
        let layout = layout(count, view.height() * count);
        let (places, samples) = layout.split_body(bytes)?;
        let view = Self { places, samples, ..view };

        check_crc(bytes)?;
        check_least_gain(view.least_gain())?;
        check_zeros(bytes, field::RESERVED)?;
        layout.check_padding(bytes)?;
        view.sizes().check_places(|| view.places())?;
        Ok(view)
    }

    fn sizes(&self) -> Sizes {
        let &Self { header, .. } = self;
        let [height, width, slices, budget] =
            [field::HEIGHT, field::WIDTH, field::SLICES, field::BUDGET].map(|range| usize::from(u16_at(header, range)));
        Sizes { height, width, slices, budget }
    }

    /// H: samples in a line, and rows of the images.
    pub fn height(&self) -> usize {
        self.sizes().height
    }

    /// W: lines in a slice, and columns of the images.
    pub fn width(&self) -> usize {
        self.sizes().width
    }

    /// Slices of the volume.
    pub fn slices(&self) -> usize {
        self.sizes().slices
    }

    /// Lines the scan was allowed to measure, of all slices together.
    pub fn budget(&self) -> usize {
        self.sizes().budget
    }

    /// What another line must promise to gain, or the scan ends: see
    /// [`VolumeScan::propose_gaining`](crate::volume::VolumeScan::propose_gaining). 0 where the budget was to be spent.
    pub fn least_gain(&self) -> f32 {
        f32_at(self.header, field::LEAST_GAIN)
    }

    /// Digest of the host's scan, as [`VolumeScan::digest`](crate::volume::VolumeScan::digest) gives it.
    pub fn digest(&self) -> u64 {
        u64_at(self.header, field::DIGEST)
    }

    /// CRC-32 of the blob the host scanned with; compare with [`blob_crc`](super::blob_crc).
    pub fn blob_crc(&self) -> u32 {
        u32_at(self.header, field::BLOB_CRC)
    }

    /// Slice and line of each measured line, in order.
    pub fn places(&self) -> impl ExactSizeIterator<Item = Place> + use<'a> {
        let number = |bytes: &[u8], range| usize::from(u16_at(bytes, range));
        let place = move |bytes: &[u8]| Place { slice: number(bytes, 0..2), line: number(bytes, 2..4) };
        self.places.chunks_exact(PLACE_LEN).map(place)
    }

    /// Copies the samples of a slice's line to `out`, H of them.
    ///
    /// # Errors
    /// [`CaptureError::NotMeasured`] if the host has not measured this line, [`CaptureError::Samples`] unless `out` has room for H
    /// samples.
    pub fn copy_line(&self, place: Place, out: &mut [Complex32]) -> Result<(), CaptureError> {
        let len = self.height() * SAMPLE_LEN;
        let at = self.places().position(|other| other == place);
        let samples = at.and_then(|at| self.samples.get(at * len..(at + 1) * len));
        let Place { slice, line } = place;
        copy_samples(samples.ok_or(CaptureError::NotMeasured { slice, line })?, out)
    }
}

/// A captured volume in plain fields, to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VolumeRepr<'a> {
    /// H, samples in a line.
    pub height: usize,
    /// W, lines in a slice.
    pub width: usize,
    /// Slices of the volume.
    pub slices: usize,
    /// Lines the scan may measure, of all slices together.
    pub budget: usize,
    /// What another line must promise to gain; 0 where the budget is to be spent.
    pub least_gain: f32,
    /// [`blob_crc`](super::blob_crc) of the blob.
    pub blob_crc: u32,
    /// Digest of the host's scan.
    pub digest: u64,
    /// Slice and line of each measured line, in order.
    pub places: &'a [Place],
    /// Their samples in the same order, H each.
    pub samples: &'a [Complex32],
}

impl VolumeRepr<'_> {
    /// Bytes that [`emit`](Self::emit) writes.
    pub fn buffer_len(&self) -> usize {
        self.layout().file_len()
    }

    /// Writes the file to `out`, which has to be [`buffer_len`](Self::buffer_len) bytes long.
    ///
    /// # Errors
    /// [`CaptureError`] names the field that could not be read back; `out` is then left as it was.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), CaptureError> {
        let &Self { height, width, slices, budget, .. } = self;
        let sizes = Sizes { height, width, slices, budget };
        sizes.check(self.places.len())?;
        check_least_gain(self.least_gain)?;
        sizes.check_places(|| self.places.iter().copied())?;
        let (expected, found) = (height * self.places.len(), self.samples.len());
        if expected != found {
            return Err(CaptureError::Samples { expected, found });
        }
        // Slices and lines have been checked, so they fit 16 bits.
        let numbers = self.places.iter().flat_map(|&Place { slice, line }| [slice as u16, line as u16]);
        let header = self.layout().put_body(out, numbers, self.samples)?;
        self.emit_header(header);
        put_crc(out);
        Ok(())
    }

    fn layout(&self) -> Layout {
        layout(self.places.len(), self.samples.len())
    }

    /// All of the header but its CRC, over zeros. The sizes have been checked, so they fit 16 bits.
    fn emit_header(&self, header: &mut [u8]) {
        let short = |value: usize| (value as u16).to_le_bytes();
        put(header, field::MAGIC, &MAGIC);
        put(header, field::VERSION, &VERSION.to_le_bytes());
        put(header, field::HEIGHT, &short(self.height));
        put(header, field::WIDTH, &short(self.width));
        put(header, field::SLICES, &short(self.slices));
        put(header, field::BLOB_CRC, &self.blob_crc.to_le_bytes());
        put(header, field::DIGEST, &self.digest.to_le_bytes());
        put(header, field::BUDGET, &short(self.budget));
        put(header, field::LINE_COUNT, &short(self.places.len()));
        put(header, field::LEAST_GAIN, &self.least_gain.to_le_bytes());
    }
}

/// What a volume and its scan measure.
#[derive(Clone, Copy)]
struct Sizes {
    height: usize,
    width: usize,
    slices: usize,
    budget: usize,
}

impl Sizes {
    /// They are within their bounds, and `count` lines within the budget.
    fn check(&self, count: usize) -> Result<(), CaptureError> {
        let &Self { height, width, slices, budget } = self;
        check_side(height, width)?;
        if !(1..=MOST_SLICES).contains(&slices) {
            return Err(CaptureError::Slices { slices });
        }
        check_budget(budget, slices * MAX_SLICE_LINES.min(width), count)
    }

    /// Every place exists and comes once. `places` gives them from the first.
    fn check_places<I: Iterator<Item = Place>>(&self, places: impl Fn() -> I) -> Result<(), CaptureError> {
        let &Self { height, width, slices, .. } = self;
        if let Some(Place { slice, .. }) = places().find(|place| place.slice >= slices) {
            return Err(CaptureError::Slice { slice, slices });
        }
        // One slice after another, so that one set will do.
        for slice in 0..slices {
            let mut seen = LineSet::new(width).map_err(|_| CaptureError::Size { height, width })?;
            for Place { line, .. } in places().filter(|place| place.slice == slice) {
                if !seen.insert(line).map_err(|_| CaptureError::Line { line, width })? {
                    return Err(CaptureError::RepeatedIn { slice, line });
                }
            }
        }
        Ok(())
    }
}

fn check_least_gain(gain: f32) -> Result<(), CaptureError> {
    if gain.is_finite() && gain >= 0.0 { Ok(()) } else { Err(CaptureError::LeastGain { bits: gain.to_bits() }) }
}

fn layout(places: usize, samples: usize) -> Layout {
    Layout { header_len: field::HEADER_LEN, entries_len: PLACE_LEN * places, samples }
}
