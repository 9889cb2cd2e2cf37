//! Little-endian fields of a record, read and written without a panic.

use super::error::Problem;

/// Sections and constants lie at multiples of this.
pub const ALIGN: u32 = 16;

/// A part of the blob: `length` bytes from `offset`, counted from the blob's first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte, from the start of the blob; a multiple of 16.
    pub offset: u32,
    /// Length in bytes.
    pub length: u32,
}

impl Span {
    /// The bytes of `blob` this span names, or `None` where it leaves the blob.
    pub fn of<'a>(&self, blob: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.length).ok()?)?;
        blob.get(start..end)
    }
}

/// Reads fields of a record one after another.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(record: &'a [u8]) -> Self {
        Self { rest: record }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Problem::Truncated { need: N, got: self.rest.len() });
        };
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Problem> {
        self.bytes::<1>().map(u8::from_le_bytes)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Problem> {
        self.bytes::<1>().map(i8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Problem> {
        self.bytes::<2>().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Problem> {
        self.bytes::<4>().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Problem> {
        self.bytes::<4>().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Problem> {
        self.bytes::<8>().map(u64::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32, Problem> {
        self.bytes::<4>().map(f32::from_le_bytes)
    }

    /// A u32 as a length or a number of things.
    pub(super) fn size(&mut self) -> Result<usize, Problem> {
        let value = self.u32()?;
        // Fails only where usize has fewer than 32 bits.
        usize::try_from(value).map_err(|_| Problem::OutOfRange { field: "size", got: value.into(), min: 0, max: 65535 })
    }

    pub(super) fn span(&mut self) -> Result<Span, Problem> {
        Ok(Span { offset: self.u32()?, length: self.u32()? })
    }

    /// Every byte left must be zero, so that one meaning has one encoding and later versions find room.
    pub(super) fn rest_is_zero(self) -> Result<(), Problem> {
        match self.rest.iter().find(|&&b| b != 0) {
            None => Ok(()),
            Some(&b) => Err(Problem::Mismatch { field: "reserved bytes", got: b.into(), expected: 0 }),
        }
    }
}

/// Writes fields of a record one after another; what it does not reach stays as it was.
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(super) fn new(record: &'a mut [u8]) -> Self {
        record.fill(0);
        Self { rest: record }
    }

    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Problem> {
        let rest = core::mem::take(&mut self.rest);
        let got = rest.len();
        let Some((head, rest)) = rest.split_first_chunk_mut::<N>() else {
            return Err(Problem::Truncated { need: N, got });
        };
        *head = bytes;
        self.rest = rest;
        Ok(())
    }

    /// `value` as one byte, or an error where it does not fit.
    pub(super) fn size8(&mut self, field: &'static str, value: usize) -> Result<(), Problem> {
        self.put([u8::try_from(value).map_err(|_| too_large(field, value, u8::MAX.into()))?])
    }

    /// `value` as two bytes, or an error where it does not fit.
    pub(super) fn size16(&mut self, field: &'static str, value: usize) -> Result<(), Problem> {
        let value = u16::try_from(value).map_err(|_| too_large(field, value, u16::MAX.into()))?;
        self.put(value.to_le_bytes())
    }

    /// `value` as four bytes, or an error where it does not fit.
    pub(super) fn size32(&mut self, field: &'static str, value: usize) -> Result<(), Problem> {
        let value = u32::try_from(value).map_err(|_| too_large(field, value, u32::MAX.into()))?;
        self.put(value.to_le_bytes())
    }

    pub(super) fn span(&mut self, span: Span) -> Result<(), Problem> {
        self.put(span.offset.to_le_bytes())?;
        self.put(span.length.to_le_bytes())
    }
}

#[cold]
fn too_large(field: &'static str, value: usize, max: i64) -> Problem {
    Problem::OutOfRange { field, got: i64::try_from(value).unwrap_or(i64::MAX), min: 0, max }
}
