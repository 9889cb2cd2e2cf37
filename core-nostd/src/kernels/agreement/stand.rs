//! Where a case runs: tensors in the caller's memory, both kernel sets on the same operator, and the comparison.

use core::fmt::{self, Write};

use bytemuck::Pod;

use super::draw::Draw;
use crate::Complex32;
use crate::arena::{ArenaError, Carver};
use crate::kernels::{Kernels, Reference};

/// What lies around outputs and behind scratch.
const GUARD: u8 = 0xa5;
/// Bytes of it on either side: two vectors.
const GUARD_BYTES: usize = 32;

/// How a kernel set went wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// An element of the output is not the reference's. A set that refuses an operator shows as this, too.
    Value {
        /// Number of the element.
        index: usize,
        /// The reference's.
        expected: Value,
        /// The set's.
        found: Value,
    },
    /// A byte outside the output was written.
    Outside {
        /// Its place, counted from the output's first byte.
        offset: isize,
    },
    /// A byte behind the scratch was written.
    BehindScratch {
        /// Its place, counted from the scratch's end.
        offset: usize,
    },
    /// The memory for the comparison is too small or lies wrong: nothing was compared.
    Memory(ArenaError),
    /// The operator that was drawn is not one: a mistake in this module.
    Draw,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { index, expected, found } => write!(f, "element {index} is {found}, expected {expected}"),
            Self::Outside { offset } => write!(f, "wrote outside the output, at byte {offset} from its start"),
            Self::BehindScratch { offset } => write!(f, "wrote behind the scratch, {offset} bytes from its end"),
            Self::Memory(error) => write!(f, "not compared: {error}"),
            Self::Draw => f.write_str("not compared: the operator drawn is not valid"),
        }
    }
}

impl From<ArenaError> for Fault {
    fn from(error: ArenaError) -> Self {
        Self::Memory(error)
    }
}

/// An element of an output.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Value {
    /// An activation or a class.
    Byte(i16),
    /// A part of a complex number, or an energy.
    Float(f32),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:e} ({:#010x})", value.to_bits()),
        }
    }
}

/// Elements that outputs are made of.
pub(super) trait Element: Pod {
    fn value(self) -> Value;
    fn same(self, other: Self) -> bool;
    /// Something else.
    fn spoilt(self) -> Self;
}

impl Element for i8 {
    fn value(self) -> Value {
        Value::Byte(self.into())
    }

    fn same(self, other: Self) -> bool {
        self == other
    }

    fn spoilt(self) -> Self {
        !self
    }
}

impl Element for u8 {
    fn value(self) -> Value {
        Value::Byte(self.into())
    }

    fn same(self, other: Self) -> bool {
        self == other
    }

    fn spoilt(self) -> Self {
        !self
    }
}

impl Element for f32 {
    fn value(self) -> Value {
        Value::Float(self)
    }

    /// Which NaN comes out of a sum is the machine's affair.
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }

    fn spoilt(self) -> Self {
        if self == 1.0 { 2.0 } else { 1.0 }
    }
}

/// Words in the caller's memory; what does not fit is left out.
pub(super) struct Text<'m> {
    bytes: &'m mut [u8],
    len: usize,
}

impl<'m> Text<'m> {
    pub fn new(bytes: &'m mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    pub fn written(self) -> &'m str {
        let bytes: &'m [u8] = self.bytes;
        core::str::from_utf8(bytes.get(..self.len).unwrap_or_default()).unwrap_or_default()
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        // Records print in ASCII, so that any cut is one between characters.
        for (to, &byte) in self.bytes.iter_mut().skip(self.len).zip(words.as_bytes()) {
            *to = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// Memory for one case, and the set it is for.
pub(super) struct TestBench<'c, 'm> {
    kernels: &'c dyn Kernels,
    carver: Carver<'c>,
    text: &'c mut Text<'m>,
}

impl<'c, 'm> TestBench<'c, 'm> {
    pub fn new(kernels: &'c dyn Kernels, memory: &'c mut [u8], text: &'c mut Text<'m>) -> Result<Self, Fault> {
        Ok(Self { kernels, carver: Carver::new(memory)?, text })
    }

    /// Memory for `len` bytes, now and then at an address that is no multiple of anything.
    pub fn take<T: Pod>(&mut self, draw: &mut Draw, len: usize) -> Result<&'c mut [T], Fault> {
        const { assert!(size_of::<T>() == 1) };
        let offset = if draw.one_in(4) { draw.between(1, 15) } else { 0 };
        let bytes = self.carver.take::<T>(len + offset)?;
        Ok(bytes.get_mut(offset..).unwrap_or_default())
    }

    /// A tensor or weights, drawn.
    pub fn tensor(&mut self, draw: &mut Draw, len: usize) -> Result<&'c [i8], Fault> {
        let tensor = self.take(draw, len)?;
        draw.fill(tensor);
        Ok(tensor)
    }

    /// An image or a line, drawn; aligned to [`ARENA_ALIGN`](crate::arena::ARENA_ALIGN) or to one number only.
    pub fn complex(&mut self, draw: &mut Draw, len: usize, magnitude: f32) -> Result<&'c [Complex32], Fault> {
        let offset = draw.between(0, 1);
        let values = self.carver.take(len + offset)?.get_mut(offset..).unwrap_or_default();
        draw.complex(values, magnitude);
        Ok(values)
    }

    /// Runs both sets on an operator with `len` elements of output and compares. `record` is what is said of it.
    pub fn compare<T: Element>(
        self,
        draw: &mut Draw,
        record: &dyn fmt::Debug,
        len: usize,
        run: impl Fn(&dyn Kernels, &mut [T]),
    ) -> Result<(), Fault> {
        self.compare_with(draw, record, Output { len, start: None }, |_| 0, |kernels, out, _| run(kernels, out))
    }

    /// As [`compare`](Self::compare), with as much scratch for each set as `scratch` says it needs.
    pub fn compare_with<T: Element>(
        mut self,
        draw: &mut Draw,
        record: &dyn fmt::Debug,
        output: Output<'_, T>,
        scratch: impl Fn(&dyn Kernels) -> usize,
        run: impl Fn(&dyn Kernels, &mut [T], &mut [u8]),
    ) -> Result<(), Fault> {
        let compared = self.run_both(draw, output, scratch, run);
        if compared.is_err() {
            // `Text` takes anything.
            let _ = write!(self.text, "{record:?}");
        }
        compared
    }

    fn run_both<T: Element>(
        &mut self,
        draw: &mut Draw,
        output: Output<'_, T>,
        scratch: impl Fn(&dyn Kernels) -> usize,
        run: impl Fn(&dyn Kernels, &mut [T], &mut [u8]),
    ) -> Result<(), Fault> {
        let expected = self.carver.take::<T>(output.len)?;
        let margin = GUARD_BYTES / size_of::<T>();
        let shift = if draw.one_in(4) { draw.between(1, 15) * align_of::<T>() / size_of::<T>() } else { 0 };
        let guarded = self.carver.take::<T>(shift + margin + output.len + margin)?;
        let (reference_needs, needs) = (scratch(&Reference), scratch(self.kernels));
        let memory = self.carver.take::<u8>(needs.max(reference_needs) + GUARD_BYTES)?;

        memory.fill(GUARD);
        bytemuck::cast_slice_mut::<T, u8>(guarded).fill(GUARD);
        output.begin(expected, |value| value);
        run(&Reference, expected, memory.get_mut(..reference_needs).unwrap_or_default());

        memory.fill(GUARD);
        let found = shift + margin..shift + margin + output.len;
        if let Some(ours) = guarded.get_mut(found.clone()) {
            ours.copy_from_slice(expected);
            output.begin(ours, T::spoilt);
            run(self.kernels, ours, memory.get_mut(..needs).unwrap_or_default());
        }
        check_values(expected, guarded.get(found.clone()).unwrap_or_default())?;
        check_around(guarded, found.start, found.end)?;
        match memory.iter().skip(needs).position(|&byte| byte != GUARD) {
            Some(offset) => Err(Fault::BehindScratch { offset }),
            None => Ok(()),
        }
    }
}

/// What an operator writes to.
pub(super) struct Output<'a, T> {
    pub len: usize,
    /// What the output holds before, for operators that add to it. For others it does not matter.
    pub start: Option<&'a [T]>,
}

impl<T: Element> Output<'_, T> {
    fn begin(&self, out: &mut [T], otherwise: impl Fn(T) -> T) {
        match self.start {
            Some(start) => out.iter_mut().zip(start).for_each(|(out, &value)| *out = value),
            None => out.iter_mut().for_each(|out| *out = otherwise(*out)),
        }
    }
}

fn check_values<T: Element>(expected: &[T], found: &[T]) -> Result<(), Fault> {
    match expected.iter().zip(found).enumerate().find(|(_, (expected, found))| !expected.same(**found)) {
        Some((index, (expected, found))) => {
            Err(Fault::Value { index, expected: expected.value(), found: found.value() })
        }
        None => Ok(()),
    }
}

/// Everything but `start .. end` is as it was.
fn check_around<T: Element>(guarded: &[T], start: usize, end: usize) -> Result<(), Fault> {
    let (start, end) = (start * size_of::<T>(), end * size_of::<T>());
    let bytes: &[u8] = bytemuck::cast_slice(guarded);
    let wrong = bytes.iter().enumerate().find(|&(at, &byte)| !(start..end).contains(&at) && byte != GUARD);
    match wrong {
        Some((at, _)) => Err(Fault::Outside { offset: at as isize - start as isize }),
        None => Ok(()),
    }
}
