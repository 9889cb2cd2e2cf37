//! Checks of single fields, each with the error that names the field: what all checks of a blob are made of.

use super::bytes::{ALIGN, Span};
use super::error::Problem;
use crate::kernels::Shape;

pub(super) fn aligned(field: &'static str, got: usize) -> Result<(), Problem> {
    let got = got as u32;
    if got.is_multiple_of(ALIGN) { Ok(()) } else { Err(Problem::Misaligned { field, got, align: ALIGN }) }
}

pub(super) fn range(field: &'static str, got: i64, min: i64, max: i64) -> Result<(), Problem> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(Problem::OutOfRange { field, got, min, max }) }
}

pub(super) fn shape(field: &'static str, got: Shape, expected: Shape) -> Result<(), Problem> {
    if got == expected {
        return Ok(());
    }
    Err(Problem::Shape { field, got: [got.h, got.w, got.c], expected: [expected.h, expected.w, expected.c] })
}

/// The bytes of a section, which must be aligned and lie in the blob.
pub(super) fn section<'a>(field: &'static str, blob: &'a [u8], span: Span) -> Result<&'a [u8], Problem> {
    if !span.offset.is_multiple_of(ALIGN) {
        return Err(Problem::Misaligned { field, got: span.offset, align: ALIGN });
    }
    let end = i64::from(span.offset).saturating_add(span.length.into());
    span.of(blob).ok_or(Problem::OutOfRange { field, got: end, min: 0, max: blob.len() as i64 })
}

pub(super) fn extent(field: &'static str, got: usize) -> Result<(), Problem> {
    within(field, got, 32, 512)?;
    // The Fourier transform takes powers of two.
    equal(field, got as i64, got.next_power_of_two() as i64)
}

pub(super) fn within(field: &'static str, got: usize, min: usize, max: usize) -> Result<(), Problem> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(Problem::OutOfRange { field, got: got as i64, min: min as i64, max: max as i64 })
}

pub(super) fn equal(field: &'static str, got: i64, expected: i64) -> Result<(), Problem> {
    if got == expected { Ok(()) } else { Err(mismatch(field, got, expected)) }
}

#[cold]
fn mismatch(field: &'static str, got: i64, expected: i64) -> Problem {
    Problem::Mismatch { field, got, expected }
}

/// `got` must be `expected` to the bit.
pub(super) fn float(field: &'static str, got: f32, expected: f32, words: &'static str) -> Result<(), Problem> {
    if got.to_bits() == expected.to_bits() {
        return Ok(());
    }
    Err(Problem::BadFloat { field, got, expected: words })
}
