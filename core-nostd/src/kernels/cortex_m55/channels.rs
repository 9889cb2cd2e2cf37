//! The inner loop of depthwise convolutions: eight channels of pairs of windows, in assembly.
//!
//! Eight inputs and eight weights are widened to 16 bits; VMULLB and VMULLT multiply those of even and of odd channels to 32
//! bits, which are summed in two vectors a window. Scaling is that of [`super::block`]; narrowing puts even and odd channels
//! together again. Where the second window of a pair lies one column after the first, windows of three columns share their
//! inputs.
//!
//! # Cost
//! A row of three taps of two neighbouring windows takes 40 instructions on an M55 for 48 products, 0.83 each; what begins and
//! ends a pair, scaling and storing included, 62 for 16 outputs. The whole of a depthwise convolution stands in
//! [`depthwise`](super::depthwise).
#![allow(unsafe_code)]

use core::arch::asm;
use core::mem::offset_of;

use super::block::{FILTERS, Scales};
use super::windows::Strip;
use crate::kernels::{Channel, Conv2d};

/// Channels of a block.
pub(super) const CHANNELS: usize = 2 * FILTERS;

/// Weights and scales of eight channels, or of a part of their taps.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    /// From the first tap on, `[row][column]`.
    weights: &'a [[i16; CHANNELS]],
    /// Columns of the whole kernel.
    kernel_columns: usize,
    block: Block,
}

impl<'a> Taps<'a> {
    /// All taps. `None` where a channel cannot be scaled by vectors.
    pub fn of(
        op: &Conv2d<'_>,
        weights: &'a [[i16; CHANNELS]],
        records: &[[u8; Channel::BYTES]; CHANNELS],
    ) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = *records;
        let nowhere = core::ptr::null_mut();
        let block = Block {
            x: nowhere,
            x_next: nowhere,
            weights: weights.as_ptr(),
            rows: op.kernel.0,
            columns: op.kernel.1,
            column_step: 0,
            row_skip: 0,
            weight_skip: 0,
            x_pair: 0,
            out: nowhere,
            out_next: nowhere,
            out_pair: 0,
            pairs: 0,
            out_zero: op.out_zero,
            even: Scales::of(&[a, c, e, g])?,
            odd: Scales::of(&[b, d, f, h])?,
            low: [i16::from(op.clamp.0); CHANNELS],
            high: [i16::from(op.clamp.1); CHANNELS],
        };
        Some(Self { weights, kernel_columns: op.kernel.1, block })
    }

    /// The rows and columns from the first to before the second, and `in_zero` times their weights taken off the biases: the
    /// zero point of inputs that are multiplied as they are.
    pub fn part(&self, rows: (usize, usize), columns: (usize, usize), in_zero: i32) -> Option<Self> {
        let weights = self.weights.get(rows.0 * self.kernel_columns + columns.0..)?;
        let (rows, columns) = (rows.1 - rows.0, columns.1 - columns.0);
        let mut sums = [0i32; CHANNELS];
        for row in weights.chunks(self.kernel_columns.max(1)).take(rows) {
            for weights in row.iter().take(columns) {
                sums.iter_mut().zip(weights).for_each(|(sum, &weight)| *sum = sum.wrapping_add(i32::from(weight)));
            }
        }
        let mut part = Self { weights, ..*self };
        part.block.weights = weights.as_ptr();
        part.block.rows = rows;
        part.block.columns = columns;
        part.block.weight_skip = (self.kernel_columns - columns) * size_of::<[i16; CHANNELS]>();
        let biases = part.block.even.bias.iter_mut().zip(&mut part.block.odd.bias);
        for ((even, odd), [even_sum, odd_sum]) in biases.zip(sums.as_chunks::<2>().0) {
            *even = even.wrapping_sub(even_sum.wrapping_mul(in_zero));
            *odd = odd.wrapping_sub(odd_sum.wrapping_mul(in_zero));
        }
        Some(part)
    }

    /// Computes the outputs of `strip`. `None`, with nothing done, if it would reach beyond a slice.
    pub fn run(&mut self, strip: &Strip, from: &[i8], to: &mut [i8]) -> Option<()> {
        let block = &mut self.block;
        let pairs = strip.pairs.checked_sub(1)?;
        let (row, column) = (block.rows.checked_sub(1)?, block.columns.checked_sub(1)?);
        let row_reach = row.checked_mul(strip.row_step)?.checked_add(column.checked_mul(strip.column_step)?)?;
        let first = strip.x[0].max(strip.x[1]).checked_add(pairs.checked_mul(strip.x_pair)?)?;
        let read = first.checked_add(row_reach)?.checked_add(CHANNELS)?;
        let last = strip.out[0].max(strip.out[1]).checked_add(pairs.checked_mul(strip.out_pair)?)?;
        let weights = row * self.kernel_columns + block.columns;
        if read > from.len() || last.checked_add(CHANNELS)? > to.len() || weights > self.weights.len() {
            return None;
        }
        block.x = from.as_ptr().wrapping_add(strip.x[0]);
        block.x_next = from.as_ptr().wrapping_add(strip.x[1]);
        block.column_step = strip.column_step;
        block.row_skip = strip.row_step.wrapping_sub(block.columns * strip.column_step);
        block.x_pair = strip.x_pair;
        block.out = to.as_mut_ptr().wrapping_add(strip.out[0]);
        block.out_next = to.as_mut_ptr().wrapping_add(strip.out[1]);
        block.out_pair = strip.out_pair;
        block.pairs = strip.pairs;
        let neighbours = block.columns == 3 && strip.x[0] + strip.column_step == strip.x[1];
        // SAFETY: of each window `rows` rows of `columns` taps of eight bytes are read, which lie in `from`, as checked above
        // for the windows furthest on, and as many weights, the last of which was checked too; eight bytes are written for
        // each window, which lie in `to`. Pairs, rows and columns are at least 1. Neighbours have three columns, and the
        // second window's are one further on, so that the row's last tap read is the second window's.
        unsafe { if neighbours { neighbours_of_three(block) } else { windows(block) } }
        Some(())
    }
}

/// What the assembly reads, and counts on in.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Block {
    x: *const i8,
    x_next: *const i8,
    weights: *const [i16; CHANNELS],
    rows: usize,
    columns: usize,
    column_step: usize,
    row_skip: usize,
    weight_skip: usize,
    x_pair: usize,
    out: *mut i8,
    out_next: *mut i8,
    out_pair: usize,
    pairs: usize,
    out_zero: i32,
    even: Scales,
    odd: Scales,
    low: [i16; CHANNELS],
    high: [i16; CHANNELS],
}

/// A function over a [`Block`] with its own way to sum a row of taps: of the window at r1 in q0 (even channels) and q1 (odd
/// ones), of the window at r3 in q2 and q3, with weights at r5 and `column_step` in r4.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $($row:literal),+) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// All that the block points to, as far as its numbers reach, is the caller's; pairs, rows and columns are at least 1.
        #[inline(never)]
        unsafe fn $name(block: &mut Block) {
            // SAFETY: the caller's promise. r7 and r11, which cannot be named as operands, are put back.
            unsafe {
                asm!(
                    "push {{r7, r11}}",
                    "mov r11, r0",
                    "2:",
                    "ldrd r1, r3, [r11, #{x}]",
                    "ldrd r5, r9, [r11, #{weights}]",
                    "ldr r4, [r11, #{column_step}]",
                    "vldrw.u32 q0, [r11, #{even}]",
                    "vldrw.u32 q1, [r11, #{odd}]",
                    "vmov q2, q0",
                    "vmov q3, q1",
                    "3:",
                    $($row,)+
                    "ldrd r7, r8, [r11, #{row_skip}]",
                    "add r1, r1, r7",
                    "add r3, r3, r7",
                    "add r5, r5, r8",
                    "subs r9, r9, #1",
                    "bne 3b",
                    "vldrw.u32 q4, [r11, #{even} + {multiplier}]",
                    "vldrw.u32 q5, [r11, #{odd} + {multiplier}]",
                    "vqrdmulh.s32 q0, q0, q4",
                    "vqrdmulh.s32 q2, q2, q4",
                    "vqrdmulh.s32 q1, q1, q5",
                    "vqrdmulh.s32 q3, q3, q5",
                    "vldrw.u32 q4, [r11, #{even} + {shift}]",
                    "vldrw.u32 q5, [r11, #{odd} + {shift}]",
                    "vand q6, q0, q4",
                    "vshr.s32 q6, q6, #31",
                    "vqadd.s32 q0, q0, q6",
                    "vand q6, q2, q4",
                    "vshr.s32 q6, q6, #31",
                    "vqadd.s32 q2, q2, q6",
                    "vand q6, q1, q5",
                    "vshr.s32 q6, q6, #31",
                    "vqadd.s32 q1, q1, q6",
                    "vand q6, q3, q5",
                    "vshr.s32 q6, q6, #31",
                    "vqadd.s32 q3, q3, q6",
                    "vrshl.s32 q0, q0, q4",
                    "vrshl.s32 q2, q2, q4",
                    "vrshl.s32 q1, q1, q5",
                    "vrshl.s32 q3, q3, q5",
                    "ldr r7, [r11, #{out_zero}]",
                    "vadd.i32 q0, q0, r7",
                    "vadd.i32 q2, q2, r7",
                    "vadd.i32 q1, q1, r7",
                    "vadd.i32 q3, q3, r7",
                    "vqmovnb.s32 q0, q0",
                    "vqmovnt.s32 q0, q1",
                    "vqmovnb.s32 q2, q2",
                    "vqmovnt.s32 q2, q3",
                    "vldrh.u16 q4, [r11, #{low}]",
                    "vldrh.u16 q5, [r11, #{high}]",
                    "vmax.s16 q0, q0, q4",
                    "vmax.s16 q2, q2, q4",
                    "vmin.s16 q0, q0, q5",
                    "vmin.s16 q2, q2, q5",
                    "ldrd r1, r3, [r11, #{out}]",
                    "vstrb.16 q0, [r1]",
                    "vstrb.16 q2, [r3]",
                    "ldr r5, [r11, #{out_pair}]",
                    "add r1, r1, r5",
                    "add r3, r3, r5",
                    "strd r1, r3, [r11, #{out}]",
                    "ldrd r1, r3, [r11, #{x}]",
                    "ldr r5, [r11, #{x_pair}]",
                    "add r1, r1, r5",
                    "add r3, r3, r5",
                    "strd r1, r3, [r11, #{x}]",
                    "ldr r5, [r11, #{pairs}]",
                    "subs r5, r5, #1",
                    "str r5, [r11, #{pairs}]",
                    "bne 2b",
                    "pop {{r7, r11}}",
                    "// {columns}",
                    x = const offset_of!(Block, x),
                    weights = const offset_of!(Block, weights),
                    columns = const offset_of!(Block, columns),
                    column_step = const offset_of!(Block, column_step),
                    row_skip = const offset_of!(Block, row_skip),
                    x_pair = const offset_of!(Block, x_pair),
                    out = const offset_of!(Block, out),
                    out_pair = const offset_of!(Block, out_pair),
                    pairs = const offset_of!(Block, pairs),
                    out_zero = const offset_of!(Block, out_zero),
                    even = const offset_of!(Block, even),
                    odd = const offset_of!(Block, odd),
                    multiplier = const Scales::MULTIPLIER,
                    shift = const Scales::SHIFT,
                    low = const offset_of!(Block, low),
                    high = const offset_of!(Block, high),
                    inout("r0") block => _,
                    out("r1") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _,
                    out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _,
                    out("d7") _, out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _,
                    out("d14") _, out("d15") _,
                )
            }
        }
    };
}

kernel!(
    /// Any two windows, tap by tap.
    windows,
    "ldr r7, [r11, #{columns}]",
    "4:",
    "vldrh.u16 q4, [r5], #16",
    "vldrb.s16 q5, [r1]",
    "vldrb.s16 q6, [r3]",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q0, q0, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q1, q1, q7",
    "vmullb.s16 q7, q4, q6",
    "vadd.i32 q2, q2, q7",
    "vmullt.s16 q7, q4, q6",
    "vadd.i32 q3, q3, q7",
    "add r1, r1, r4",
    "add r3, r3, r4",
    "subs r7, r7, #1",
    "bne 4b"
);
kernel!(
    /// Two windows of three columns, the second one column after the first: they share two columns.
    neighbours_of_three,
    "vldrh.u16 q4, [r5], #16",
    "vldrb.s16 q5, [r1]",
    "add r1, r1, r4",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q0, q0, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q1, q1, q7",
    "vldrb.s16 q5, [r1]",
    "add r1, r1, r4",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q2, q2, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q3, q3, q7",
    "vldrh.u16 q4, [r5], #16",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q0, q0, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q1, q1, q7",
    "vldrb.s16 q5, [r1]",
    "add r1, r1, r4",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q2, q2, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q3, q3, q7",
    "vldrh.u16 q4, [r5], #16",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q0, q0, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q1, q1, q7",
    "vldrb.s16 q5, [r1]",
    "vmullb.s16 q7, q4, q5",
    "vadd.i32 q2, q2, q7",
    "vmullt.s16 q7, q4, q5",
    "vadd.i32 q3, q3, q7"
);
