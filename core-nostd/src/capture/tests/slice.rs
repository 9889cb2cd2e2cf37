use std::{vec, vec::Vec};

use super::kspace;
use crate::Complex32;
use crate::capture::{Capture, CaptureError, Repr};

fn repr<'a>(lines: &'a [u16], kspace: &'a [Complex32]) -> Repr<'a> {
    let (blob_crc, digest) = (0x1234_5678, 0x0102_0304_0506_0708);
    Repr { height: 3, width: 4, budget: 3, blob_crc, digest, lines, given: false, kspace }
}

pub(super) fn file() -> Vec<u8> {
    let kspace = kspace(12);
    let repr = repr(&[2, 1, 3], &kspace);
    let mut out = vec![0xAA; repr.buffer_len()];
    repr.emit(&mut out).unwrap();
    out
}

#[test]
fn what_is_emitted_reads_back_equal() {
    let bytes = file();
    let capture = Capture::new_checked(&bytes).unwrap();
    assert_eq!((capture.height(), capture.width(), capture.budget()), (3, 4, 3));
    assert_eq!((capture.blob_crc(), capture.digest()), (0x1234_5678, 0x0102_0304_0506_0708));
    assert_eq!(capture.lines().collect::<Vec<_>>(), [2, 1, 3]);
    let mut line = [Complex32::default(); 3];
    capture.copy_line(2, &mut line).unwrap();
    assert_eq!(line, kspace(12)[6..9]);
    assert_eq!(capture.copy_line(4, &mut line), Err(CaptureError::Line { line: 4, width: 4 }));
    let before = line;
    assert_eq!(capture.copy_line(2, &mut line[..2]), Err(CaptureError::Samples { expected: 3, found: 2 }));
    assert_eq!(line, before);
}

#[test]
fn the_layout_is_the_one_described() {
    let bytes = file();
    assert_eq!(bytes.len(), 32 + 8 + 96);
    assert_eq!(bytes[..16], *b"KSCN\x01\0\x03\0\x04\0\x03\0\x78\x56\x34\x12");
    assert_eq!(bytes[16..28], [8, 7, 6, 5, 4, 3, 2, 1, 3, 0, 0, 0]);
    assert_eq!(bytes[32..40], [2, 0, 1, 0, 3, 0, 0, 0]);
    assert_eq!(bytes[48..56], [0, 0, 128, 63, 0, 0, 0, 191], "1 - 0.5i");
}

#[test]
fn lines_that_were_given_are_told_from_those_of_a_policy() {
    let kspace = kspace(12);
    for given in [false, true] {
        let repr = Repr { given, ..repr(&[2, 1, 3], &kspace) };
        let mut out = vec![0; repr.buffer_len()];
        repr.emit(&mut out).unwrap();
        assert_eq!(out[26..28], [u8::from(given), 0]);
        assert_eq!(Capture::new_checked(&out).unwrap().given(), given);
    }
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let kspace = kspace(12);
    let mut out = [0xAA; 136];
    let expected = CaptureError::Line { line: 4, width: 4 };
    assert_eq!(repr(&[4, 1, 3], &kspace).emit(&mut out), Err(expected));
    assert_eq!(repr(&[1, 3, 1], &kspace).emit(&mut out), Err(CaptureError::Repeated { line: 1 }));
    let expected = CaptureError::Samples { expected: 12, found: 11 };
    assert_eq!(repr(&[0], &kspace[..11]).emit(&mut out), Err(expected));
    let expected = CaptureError::Length { expected: 136, found: 135 };
    assert_eq!(repr(&[0], &kspace).emit(&mut out[..135]), Err(expected));
    assert_eq!(out, [0xAA; 136]);
}
