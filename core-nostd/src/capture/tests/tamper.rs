//! Files of both forms that were changed are refused, and what is wrong with them is named.

use std::vec::Vec;

use super::{slice, volume, with_right_crc};
use crate::capture::{Capture, CaptureError, Stored, VolumeCapture};

/// A form, and what is wrong after a change.
struct Form {
    name: &'static str,
    file: Vec<u8>,
    read: fn(&[u8]) -> Result<(), CaptureError>,
    /// Bytes written at an offset, and the error they make.
    wrong: Vec<(usize, Vec<u8>, CaptureError)>,
    /// Offsets of bytes without a meaning.
    zeros: [usize; 4],
}

impl Form {
    fn error(&self, bytes: &[u8]) -> Option<CaptureError> {
        (self.read)(bytes).err()
    }

    /// The error of the file with bytes changed and the checksum made right again.
    fn error_with(&self, at: usize, bytes: &[u8]) -> Option<CaptureError> {
        let mut file = self.file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        self.error(&with_right_crc(file))
    }
}

/// 3 samples x 4 lines; lines 2, 1, 3 of a budget of 3.
fn slice_form() -> Form {
    let wrong: [(usize, &[u8], CaptureError); 11] = [
        (26, &[2], CaptureError::Reserved { offset: 26, found: 2 }),
        (0, b"NSCK", CaptureError::Magic),
        (0, b"KSCV", CaptureError::IsVolume),
        (4, &[9, 0], CaptureError::Version(9)),
        (6, &[0, 0], CaptureError::Size { height: 0, width: 4 }),
        (8, &[1, 2], CaptureError::Size { height: 3, width: 513 }),
        (10, &[5, 0], CaptureError::Budget { budget: 5, most: 4 }),
        (24, &[4, 0], CaptureError::LineCount { count: 4, budget: 3 }),
        (34, &[4, 0], CaptureError::Line { line: 4, width: 4 }),
        (6, &[4, 0], CaptureError::Length { expected: 168, found: 136 }),
        (34, &[3, 0], CaptureError::Repeated { line: 3 }),
    ];
    Form {
        name: "slice",
        file: slice::file(),
        read: |bytes| Capture::new_checked(bytes).map(drop),
        wrong: wrong.map(|(at, bytes, error)| (at, bytes.to_vec(), error)).into(),
        zeros: [27, 27, 38, 39],
    }
}

/// 2 slices of 2 samples x 4 lines; lines 2 of slice 0, 2 of slice 1 and 1 of slice 0 of a budget of 5.
fn volume_form() -> Form {
    let wrong: [(usize, &[u8], CaptureError); 13] = [
        (0, b"VCSK", CaptureError::Magic),
        (0, b"KSCN", CaptureError::IsSlice),
        (4, &[9, 0], CaptureError::Version(9)),
        (6, &[0, 0], CaptureError::Size { height: 0, width: 4 }),
        (8, &[1, 2], CaptureError::Size { height: 2, width: 513 }),
        (10, &[0, 0], CaptureError::Slices { slices: 0 }),
        (10, &[33, 0], CaptureError::Slices { slices: 33 }),
        (24, &[97, 0], CaptureError::Budget { budget: 97, most: 8 }),
        (26, &[6, 0], CaptureError::LineCount { count: 6, budget: 5 }),
        (26, &[2, 0], CaptureError::Length { expected: 80, found: 104 }),
        (44, &[2, 0], CaptureError::Slice { slice: 2, slices: 2 }),
        (46, &[4, 0], CaptureError::Line { line: 4, width: 4 }),
        (50, &[2, 0], CaptureError::RepeatedIn { slice: 0, line: 2 }),
    ];
    let gain = |gain: f32| (32, gain.to_le_bytes().to_vec(), CaptureError::LeastGain { bits: gain.to_bits() });
    let gains = [-0.5, f32::NAN, f32::INFINITY].map(gain);
    Form {
        name: "volume",
        file: volume::file(),
        read: |bytes| VolumeCapture::new_checked(bytes).map(drop),
        wrong: wrong.map(|(at, bytes, error)| (at, bytes.to_vec(), error)).into_iter().chain(gains).collect(),
        zeros: [36, 39, 52, 55],
    }
}

#[test]
fn every_truncation_is_an_error() {
    for form in [slice_form(), volume_form()] {
        for end in 0..form.file.len() {
            let error = form.error(&form.file[..end]);
            assert!(matches!(error, Some(CaptureError::Length { .. })), "{} cut at {end}: {error:?}", form.name);
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    for form in [slice_form(), volume_form()] {
        for bit in 0..form.file.len() * 8 {
            let mut bytes = form.file.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(form.error(&bytes).is_some(), "{}, bit {bit}", form.name);
            assert!(Stored::new_checked(&bytes).is_err(), "{}, bit {bit}", form.name);
        }
    }
}

#[test]
fn a_wrong_field_is_named() {
    for form in [slice_form(), volume_form()] {
        for (at, bytes, error) in &form.wrong {
            assert_eq!(form.error_with(*at, bytes), Some(*error), "{}, {bytes:?} at {at}", form.name);
        }
    }
}

#[test]
fn bytes_without_a_meaning_are_zero() {
    for form in [slice_form(), volume_form()] {
        for offset in form.zeros {
            let error = CaptureError::Reserved { offset, found: 0x80 };
            assert_eq!(form.error_with(offset, &[0x80]), Some(error), "{}", form.name);
        }
    }
}
