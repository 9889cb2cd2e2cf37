//! Fields and samples of a capture, read and written without a panic.

use core::ops::Range;

use super::CaptureError;
use crate::Complex32;
use crate::crc32::crc32;

// What both forms have at the same place.
pub(super) const MAGIC: Range<usize> = 0..4;
pub(super) const VERSION: Range<usize> = 4..6;
pub(super) const CRC: Range<usize> = 28..32;

/// Bytes of a sample.
pub(super) const SAMPLE_LEN: usize = 8;

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

/// `bytes`, which start at `offset` in the file, are zero.
pub(super) fn check_zeros(bytes: &[u8], offset: usize) -> Result<(), CaptureError> {
    match bytes.iter().zip(offset..).find(|&(&found, _)| found != 0) {
        Some((&found, offset)) => Err(CaptureError::Reserved { offset, found }),
        None => Ok(()),
    }
}

/// Reads samples, as many as both slices hold.
pub(super) fn copy_samples(bytes: &[u8], out: &mut [Complex32]) {
    for (value, bytes) in out.iter_mut().zip(bytes.chunks_exact(SAMPLE_LEN)) {
        *value = Complex32::new(f32_at(bytes, 0..4), f32_at(bytes, 4..8));
    }
}

/// Writes samples, as many as both slices hold.
pub(super) fn put_samples(samples: &[Complex32], out: &mut [u8]) {
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
