//! Fields and samples of a capture, read and written without a panic.

use core::ops::Range;

use super::{CaptureError, check_form};
use crate::Complex32;
use crate::crc32::crc32;

// What both forms have at the same place.
pub(super) const MAGIC: Range<usize> = 0..4;
pub(super) const VERSION: Range<usize> = 4..6;
pub(super) const CRC: Range<usize> = 28..32;

/// Bytes of a sample.
pub(super) const SAMPLE_LEN: usize = 8;

/// The header of a file whose first bytes say `magic` and a version that can be read.
pub(super) fn split_header(file: &[u8], len: usize, magic: [u8; 4]) -> Result<&[u8], CaptureError> {
    let header = file.get(..len).ok_or(CaptureError::Length { expected: len, found: file.len() })?;
    check_form(header, magic)?;
    Ok(header)
}

/// Where the parts of a file lie: header, entries, zeros up to a multiple of 8, samples.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Bytes of the header.
    pub header_len: usize,
    /// Bytes of the entries, which are u16s.
    pub entries_len: usize,
    /// Samples, not their bytes.
    pub samples: usize,
}

impl Layout {
    /// Bytes of the file. Sizes that have been checked make at most 6 MiB and a little.
    pub fn file_len(&self) -> usize {
        self.samples_start() + self.samples * SAMPLE_LEN
    }

    /// Entries and samples of a file, which has the right length. Zeros are not looked at yet: see `check_padding`.
    pub fn split_body<'a>(&self, file: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), CaptureError> {
        let wrong = self.check_len(file.len())?;
        let entries = file.get(self.header_len..self.padding().start).ok_or(wrong)?;
        let samples = file.get(self.samples_start()..).ok_or(wrong)?;
        Ok((entries, samples))
    }

    /// What fills the entries up is zero.
    pub fn check_padding(&self, file: &[u8]) -> Result<(), CaptureError> {
        check_zeros(file, self.padding())
    }

    /// Writes all that comes after the header, and returns the header's place, all zero.
    pub fn put_body<'a>(
        &self,
        out: &'a mut [u8],
        entries: impl IntoIterator<Item = u16>,
        samples: &[Complex32],
    ) -> Result<&'a mut [u8], CaptureError> {
        let wrong = self.check_len(out.len())?;
        let (start, place) = out.split_at_mut_checked(self.samples_start()).ok_or(wrong)?;
        start.fill(0);
        put_samples(samples, place);
        let (header, place) = start.split_at_mut_checked(self.header_len).ok_or(wrong)?;
        for (bytes, number) in place.chunks_exact_mut(2).zip(entries) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Ok(header)
    }

    fn padding(&self) -> Range<usize> {
        self.header_len + self.entries_len..self.samples_start()
    }

    fn samples_start(&self) -> usize {
        self.header_len + self.entries_len.next_multiple_of(8)
    }

    /// The length is right. Returns the error that it would have been.
    fn check_len(&self, found: usize) -> Result<CaptureError, CaptureError> {
        let wrong = CaptureError::Length { expected: self.file_len(), found };
        if found == self.file_len() { Ok(wrong) } else { Err(wrong) }
    }
}

/// CRC-32 of all of a file but its CRC field.
pub(super) fn file_crc(file: &[u8]) -> u32 {
    crc32([file.get(..CRC.start).unwrap_or_default(), file.get(CRC.end..).unwrap_or_default()])
}

/// The file's CRC field is right.
pub(super) fn check_crc(file: &[u8]) -> Result<(), CaptureError> {
    let (expected, found) = (u32_at(file, CRC), file_crc(file));
    if expected == found { Ok(()) } else { Err(CaptureError::Checksum { expected, found }) }
}

/// Makes the file's CRC field right.
pub(super) fn put_crc(file: &mut [u8]) {
    let crc = file_crc(file);
    put(file, CRC, &crc.to_le_bytes());
}

/// The bytes of a file in `range` are zero.
pub(super) fn check_zeros(file: &[u8], range: Range<usize>) -> Result<(), CaptureError> {
    match file.get(range.clone()).unwrap_or_default().iter().zip(range).find(|&(&found, _)| found != 0) {
        Some((&found, offset)) => Err(CaptureError::Reserved { offset, found }),
        None => Ok(()),
    }
}

/// Reads samples into a place for as many.
pub(super) fn copy_samples(bytes: &[u8], out: &mut [Complex32]) -> Result<(), CaptureError> {
    let (expected, found) = (bytes.len() / SAMPLE_LEN, out.len());
    if expected != found {
        return Err(CaptureError::Samples { expected, found });
    }
    for (value, bytes) in out.iter_mut().zip(bytes.chunks_exact(SAMPLE_LEN)) {
        *value = Complex32::new(f32_at(bytes, 0..4), f32_at(bytes, 4..8));
    }
    Ok(())
}

/// Writes samples, as many as both slices hold.
fn put_samples(samples: &[Complex32], out: &mut [u8]) {
    for (bytes, sample) in out.chunks_exact_mut(SAMPLE_LEN).zip(samples) {
        put(bytes, 0..4, &sample.re.to_le_bytes());
        put(bytes, 4..8, &sample.im.to_le_bytes());
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], range: Range<usize>) -> Option<[u8; N]> {
    bytes.get(range)?.try_into().ok()
}

// The ranges below are constants inside slices whose length has been checked: the zeros are never returned.
pub(super) fn u16_at(bytes: &[u8], range: Range<usize>) -> u16 {
    bytes_at(bytes, range).map_or(0, u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], range: Range<usize>) -> u32 {
    bytes_at(bytes, range).map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], range: Range<usize>) -> u64 {
    bytes_at(bytes, range).map_or(0, u64::from_le_bytes)
}

pub(super) fn f32_at(bytes: &[u8], range: Range<usize>) -> f32 {
    f32::from_bits(u32_at(bytes, range))
}

pub(super) fn put(bytes: &mut [u8], range: Range<usize>, value: &[u8]) {
    if let Some(place) = bytes.get_mut(range).filter(|place| place.len() == value.len()) {
        place.copy_from_slice(value);
    }
}
