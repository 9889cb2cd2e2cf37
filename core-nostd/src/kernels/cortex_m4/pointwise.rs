//! Operators on single elements: addition, joining, tables.
//!
//! # Cost
//! Instructions an element of the output, counted in QEMU by `firmware-demo/run.sh bench m4` (Cortex-M4, `-C
//! target-cpu=cortex-m4`, opt-level 3, fat LTO); the tables that addition makes, 8400 instructions an operator, are in it:
//!
//! | operator | portable | here |
//! |---|---|---|
//! | addition, 32x32x32 | 79.0 | 9.72 |
//! | joining, 32x32x32 twice | 6.70 | 4.18 |
//! | table, 32x32x32 | 5.75 | 3.06 |

use core::arch::asm;

use super::dsp::smmlar;
use crate::kernels::ops::saturate;
use crate::kernels::{Add, Concat, Int8Kernels, Portable, Table};
use crate::quant::Requant;

/// Shortest sum for which it pays to scale all 256 values of both inputs beforehand.
const TABLED: usize = 512;

/// Sums by two tables of scaled inputs.
pub(super) fn add(op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) {
    let whole = op.is_valid() && op.fits(a, b, output);
    // SAFETY: all three have one length.
    let done = whole && unsafe { add_tabled(op, a.as_ptr(), b.as_ptr(), output.as_mut_ptr()) };
    if !done {
        Portable.add(op, a, b, output);
    }
}

/// [`add`] where the sum takes the place of what is `None`.
pub(super) fn add_in_place(op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
    let right = |part: Option<&[i8]>| part.is_none_or(|part| part.len() == op.len);
    let whole = op.is_valid() && values.len() == op.len && right(a) && right(b);
    let out = values.as_mut_ptr();
    let or_out = |part: Option<&[i8]>| part.map_or(out.cast_const(), <[i8]>::as_ptr);
    // SAFETY: all have one length.
    let done = whole && unsafe { add_tabled(op, or_out(a), or_out(b), out) };
    if !done {
        Portable.add_in_place(op, a, b, values);
    }
}

/// Does nothing and returns false where a sum could overflow, or is too short.
///
/// # Safety
/// `a` and `b` can be read, `out` written for `op.len` elements; `out` may be either of them.
unsafe fn add_tabled(op: &Add, a: *const i8, b: *const i8, out: *mut i8) -> bool {
    let fast = op.len >= TABLED && op.out.multiplier >= 0 && (-22..=-1).contains(&op.out.shift);
    let scales =
        fast.then(|| Scale::new(op.a, op.a_zero, op.left_shift).zip(Scale::new(op.b, op.b_zero, op.left_shift)));
    let Some((scale_a, scale_b)) = scales.flatten() else {
        return false;
    };
    let (table_a, table_b) = (scale_a.table(), scale_b.table());
    let shift = op.out.shift.unsigned_abs() & 31;
    let sums = Sums {
        a: &table_a,
        b: &table_b,
        multiplier: op.out.multiplier,
        offset: (op.out_zero << shift) + ((1 << shift) >> 1),
        shift,
        clamp: op.clamp,
    };
    // SAFETY: the caller's.
    unsafe {
        match (shift, op.clamp) {
            // What exporters make of outputs one to four times as wide as the wider input.
            (18, (i8::MIN, i8::MAX)) => sums.run::<18>(a, b, out, op.len),
            (19, (i8::MIN, i8::MAX)) => sums.run::<19>(a, b, out, op.len),
            (20, (i8::MIN, i8::MAX)) => sums.run::<20>(a, b, out, op.len),
            _ => sums.run_any(a, b, out, op.len),
        }
    }
    true
}

/// How an input is scaled, where the result stays below 2^29 in size.
struct Scale {
    zero: i32,
    left_shift: u32,
    multiplier: i32,
    shift: u32,
}

impl Scale {
    fn new(requant: Requant, zero: i32, left_shift: u32) -> Option<Self> {
        let fast = requant.multiplier >= 0 && (-31..=0).contains(&requant.shift);
        let shift = requant.shift.unsigned_abs() & 31;
        let scale = fast.then_some(Self { zero, left_shift, multiplier: requant.multiplier, shift })?;
        // The factor is not negative, so that the ends are the largest.
        let small = |q: i32| scale.doubled(q - zero).unsigned_abs() < 1 << 30;
        (small(-128) && small(127)).then_some(scale)
    }

    /// Twice what -128, -127 .. 127 become.
    #[inline(never)]
    fn table(&self) -> [i32; 256] {
        let mut values = [0; 256];
        for (value, q) in values.iter_mut().zip(-128..) {
            *value = self.doubled(q - self.zero);
        }
        values
    }

    /// Twice `value`, scaled as [`Requant::apply`] does: the high product rounds halves up, and the shift halves away
    /// from zero, which is what taking one from the negative ones does.
    #[inline(always)]
    fn doubled(&self, value: i32) -> i32 {
        let high = smmlar(value << (self.left_shift + 1), self.multiplier, 0);
        if self.shift == 0 {
            return high << 1;
        }
        ((high + (1 << (self.shift - 1)) + (high >> 31)) >> self.shift) << 1
    }
}

/// An addition with every scaled input, doubled, at hand.
struct Sums<'t> {
    a: &'t [i32; 256],
    b: &'t [i32; 256],
    multiplier: i32,
    /// Half an output and its zero point, shifted to the left: rounding is [`Scale::doubled`]'s.
    offset: i32,
    shift: u32,
    clamp: (i8, i8),
}

/// Elements that the written-out loop takes at once.
const UNROLLED: usize = 4;

impl Sums<'_> {
    /// Outputs of the whole range, the shift known.
    ///
    /// # Safety
    /// As [`add_tabled`].
    #[inline(never)]
    unsafe fn run<const SHIFT: u32>(&self, mut a: *const i8, mut b: *const i8, mut out: *mut i8, len: usize) {
        macro_rules! one {
            () => {
                "ldrsb {t}, [{a}], #1\n ldrsb {u}, [{b}], #1\n\
                 ldr {t}, [{table_a}, {t}, lsl #2]\n ldr {u}, [{table_b}, {u}, lsl #2]\n\
                 add {t}, {t}, {u}\n add {u}, {offset}, {t}, asr #31\n smmlar {t}, {t}, {m}, {u}\n\
                 ssat {t}, #8, {t}, asr #{shift}\n strb {t}, [{out}], #1"
            };
        }
        if len >= UNROLLED {
            // SAFETY: as many elements as there are in whole fours; the tables are read 128 entries to either side of the middle.
            unsafe {
                asm!(
                    "2:", one!(), one!(), one!(), one!(), "subs {count}, {count}, #1", "bne 2b",
                    a = inout(reg) a, b = inout(reg) b, out = inout(reg) out, count = inout(reg) len / UNROLLED => _,
                    table_a = in(reg) self.a.as_ptr().add(128), table_b = in(reg) self.b.as_ptr().add(128),
                    m = in(reg) self.multiplier, offset = in(reg) self.offset, shift = const SHIFT,
                    t = out(reg) _, u = out(reg) _, options(nostack),
                );
            }
        }
        // SAFETY: what is left of the elements.
        unsafe { self.run_any(a, b, out, len % UNROLLED) }
    }

    /// # Safety
    /// As [`add_tabled`].
    unsafe fn run_any(&self, a: *const i8, b: *const i8, out: *mut i8, len: usize) {
        for i in 0..len {
            // SAFETY: elements are taken while there are any, and 128 lies in the middle of the tables.
            unsafe {
                let at = |table: &[i32; 256], q: i8| *table.as_ptr().add(128).offset(q.into());
                let sum = at(self.a, *a.add(i)) + at(self.b, *b.add(i));
                let high = smmlar(sum, self.multiplier, self.offset + (sum >> 31));
                *out.add(i) = saturate(high >> self.shift, 0, self.clamp);
            }
        }
    }
}

/// Tables of both inputs, as the portable kernel works them out, and a faster look-up.
pub(super) fn concat(op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
    if !op.is_valid() || !op.fits(a, b, output) {
        return;
    }
    let [first, second] = op.values();
    let look_up = |values, from: &[i8], to: &mut [i8]| table(&Table { table: values }, from, to);
    op.join(a, b, output, |from, to| look_up(&first, from, to), |from, to| look_up(&second, from, to));
}

/// A load, a look-up and a store an element.
pub(super) fn table(op: &Table<'_>, input: &[i8], output: &mut [i8]) {
    if input.len() == output.len() {
        // SAFETY: both have one length.
        unsafe { look_up(op, input.as_ptr(), output.as_mut_ptr(), input.len()) }
    }
}

/// [`table`] where the results take the place of the values.
pub(super) fn table_in_place(op: &Table<'_>, values: &mut [i8]) {
    // SAFETY: both are the same slice.
    unsafe { look_up(op, values.as_ptr(), values.as_mut_ptr(), values.len()) }
}

/// # Safety
/// `from` can be read, `to` written for `len` elements; both may be the same.
#[inline(never)]
unsafe fn look_up(op: &Table<'_>, mut from: *const i8, mut to: *mut i8, len: usize) {
    const UNROLLED: usize = 8;
    // SAFETY: the middle of the table is 128 from either end; elements are taken while there are any.
    unsafe {
        let middle = op.table.as_ptr().add(128);
        for _ in 0..len / UNROLLED {
            for i in 0..UNROLLED {
                *to.add(i) = *middle.offset((*from.add(i)).into());
            }
            (from, to) = (from.add(UNROLLED), to.add(UNROLLED));
        }
        for i in 0..len % UNROLLED {
            *to.add(i) = *middle.offset((*from.add(i)).into());
        }
    }
}
