use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::{kspace, with_right_crc};
use crate::Complex32;
use crate::capture::{CaptureError, Stored, VolumeCapture, VolumeRepr};
use crate::volume::Place;

const PLACES: [Place; 3] = [at(0, 2), at(1, 2), at(0, 1)];

const fn at(slice: usize, line: usize) -> Place {
    Place { slice, line }
}

fn repr<'a>(places: &'a [Place], samples: &'a [Complex32]) -> VolumeRepr<'a> {
    VolumeRepr {
        height: 2,
        width: 4,
        slices: 2,
        budget: 5,
        least_gain: 0.25,
        blob_crc: 0x1234_5678,
        digest: 0x0102_0304_0506_0708,
        places,
        samples,
    }
}

pub(super) fn file() -> Vec<u8> {
    let samples = kspace(6);
    let repr = repr(&PLACES, &samples);
    let mut out = vec![0xAA; repr.buffer_len()];
    repr.emit(&mut out).unwrap();
    out
}

#[test]
fn what_is_emitted_reads_back_equal() {
    let bytes = file();
    let Stored::Volume(capture) = Stored::new_checked(&bytes).unwrap() else { panic!("a volume") };
    assert_eq!((capture.height(), capture.width(), capture.slices(), capture.budget()), (2, 4, 2, 5));
    assert_eq!((capture.blob_crc(), capture.digest()), (0x1234_5678, 0x0102_0304_0506_0708));
    assert_eq!(capture.least_gain(), 0.25);
    assert_eq!(capture.places().collect::<Vec<_>>(), PLACES);
    let mut line = [Complex32::default(); 2];
    capture.copy_line(at(1, 2), &mut line).unwrap();
    assert_eq!(line, kspace(6)[2..4]);
    let missing = CaptureError::NotMeasured { slice: 1, line: 1 };
    assert_eq!(capture.copy_line(at(1, 1), &mut line), Err(missing));
    assert_eq!(capture.copy_line(at(1, 2), &mut []), Err(CaptureError::Samples { expected: 2, found: 0 }));
}

#[test]
fn the_layout_is_the_one_described() {
    let bytes = file();
    assert_eq!(bytes.len(), 40 + 16 + 48);
    assert_eq!(bytes[..16], *b"KSCV\x01\0\x02\0\x04\0\x02\0\x78\x56\x34\x12");
    assert_eq!(bytes[16..28], [8, 7, 6, 5, 4, 3, 2, 1, 5, 0, 3, 0]);
    assert_eq!(bytes[32..40], [0, 0, 128, 62, 0, 0, 0, 0], "a quarter");
    assert_eq!(bytes[40..56], [0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[64..72], [0, 0, 128, 63, 0, 0, 0, 191], "1 - 0.5i");
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let samples = kspace(6);
    let mut out = [0xAA; 104];
    let expected = CaptureError::Slice { slice: 2, slices: 2 };
    assert_eq!(repr(&[at(0, 2), at(2, 0), at(0, 1)], &samples).emit(&mut out), Err(expected));
    let expected = CaptureError::RepeatedIn { slice: 1, line: 3 };
    assert_eq!(repr(&[at(1, 3), at(0, 3), at(1, 3)], &samples).emit(&mut out), Err(expected));
    let expected = CaptureError::Samples { expected: 6, found: 5 };
    assert_eq!(repr(&PLACES, &samples[..5]).emit(&mut out), Err(expected));
    let expected = CaptureError::Length { expected: 104, found: 103 };
    assert_eq!(repr(&PLACES, &samples).emit(&mut out[..103]), Err(expected));
    let never = VolumeRepr { least_gain: -1.0, ..repr(&PLACES, &samples) };
    assert!(matches!(never.emit(&mut out), Err(CaptureError::LeastGain { .. })));
    assert_eq!(out, [0xAA; 104]);
}

/// Bytes that are likely to mean something.
fn telling() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0u8), Just(1), Just(2), Just(3), Just(0xFF), any::<u8>()]
}

proptest! {
    #![proptest_config(crate::kspace::fixed_cases(2000))]

    #[test]
    fn no_change_makes_a_reader_panic(
        changes in proptest::collection::vec((0usize..104, telling()), 1..8),
        kept in 0usize..160,
    ) {
        let mut bytes = file();
        changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
        bytes.resize(kept.max(32), 0);
        let bytes = with_right_crc(bytes);
        if let Ok(capture) = VolumeCapture::new_checked(&bytes) {
            let mut line = [Complex32::default(); 512];
            let line = &mut line[..capture.height()];
            for place in capture.places() {
                prop_assert!(place.slice < capture.slices() && place.line < capture.width());
                prop_assert_eq!(capture.copy_line(place, line), Ok(()));
            }
            prop_assert!(capture.places().len() <= capture.budget());
        }
    }
}
