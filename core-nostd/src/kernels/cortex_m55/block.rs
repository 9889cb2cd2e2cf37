//! The inner loop of convolutions: four filters over pairs of windows, in assembly.
//!
//! A vector holds 16 inputs or 16 weights, and VMLADAVA multiplies and sums sixteen of them into a scalar register. Eight
//! sums are kept (only the even registers can), four filters of two windows: for 128 products six loads, eight VMLADAVA
//! and two instructions of loop. The four sums of a window then become one vector, which is scaled as TFLite does: VQRDMULH
//! is the doubling high multiplication, rounded; VRSHL rounds halves up, so 1 is taken off negative values before, which
//! rounds them away from zero.
//!
//! # Cost
//! On an M55 14 instructions for 128 products, 0.109 each, and about 40 for the eight outputs of two windows and four filters;
//! the whole of a convolution stands in [`conv`](super::conv).
#![allow(unsafe_code)]

use core::arch::asm;
use core::mem::offset_of;

use super::windows::Strip;
use crate::kernels::{Channel, Conv2d};
use crate::quant::Requant;

/// Inputs or weights of a vector; rows of filters are filled up to whole ones.
pub(super) const RUN: usize = 16;
/// Filters that are summed side by side.
pub(super) const FILTERS: usize = 4;

/// Scales of four filters, as the vectors that apply them.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Scales {
    /// First, as the assembly of [`super::channels`] expects.
    pub bias: [i32; FILTERS],
    multiplier: [i32; FILTERS],
    /// Negative: to the right.
    shift: [i32; FILTERS],
}

/// Whether vectors scale as the definition does: not with a multiplier below 0 (VQRDMULH may saturate), nor with a shift to
/// the left or beyond 31 bits.
pub(super) const fn is_plain(requant: Requant) -> bool {
    requant.multiplier >= 0 && -31 <= requant.shift && requant.shift <= 0
}

impl Scales {
    /// Where the multipliers lie.
    pub const MULTIPLIER: usize = offset_of!(Self, multiplier);
    /// Where the shifts lie.
    pub const SHIFT: usize = offset_of!(Self, shift);

    /// Of up to four channels. `None` unless all of them [`is_plain`].
    pub fn of(records: &[[u8; Channel::BYTES]]) -> Option<Self> {
        let mut scales = Self { bias: [0; FILTERS], multiplier: [0; FILTERS], shift: [0; FILTERS] };
        let fields = scales.bias.iter_mut().zip(&mut scales.multiplier).zip(&mut scales.shift);
        for (((bias, multiplier), shift), channel) in fields.zip(records.iter().map(Channel::from_bytes)) {
            if !is_plain(channel.requant) {
                return None;
            }
            *bias = channel.bias;
            *multiplier = channel.requant.multiplier;
            *shift = channel.requant.shift;
        }
        Some(scales)
    }
}

/// Where a window's outputs go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outputs {
    /// The first so many, side by side.
    First(usize),
    /// All four, each so many bytes from the first's place.
    Apart([u32; FILTERS]),
}

/// Four filters, or the part of them that lies within the image.
#[derive(Clone, Copy)]
pub(super) struct Filters<'a> {
    /// `[row][run][filter][place in the run]`.
    weights: &'a [i8],
    /// Vectors from a row's first to the next row's.
    row_runs: usize,
    /// Bytes from the first output's place to behind the last one's.
    reach: usize,
    outputs: Outputs,
    kernel: unsafe fn(&mut Block),
    block: Block,
}

impl<'a> Filters<'a> {
    /// All rows of four filters.
    pub fn new(
        weights: &'a [i8],
        rows: usize,
        scales: Scales,
        outputs: Outputs,
        out_zero: i32,
        clamp: (i8, i8),
    ) -> Self {
        let runs = weights.len() / (RUN * FILTERS) / rows.max(1);
        let (reach, apart) = match outputs {
            Outputs::First(count) => (count, [0; FILTERS]),
            Outputs::Apart(places) => (places.iter().fold(0, |most, &place| most.max(place)) as usize + 1, places),
        };
        let (low, high) = (i32::from(clamp.0), i32::from(clamp.1));
        let nowhere = core::ptr::null_mut();
        let block = Block {
            x: nowhere,
            x_next: nowhere,
            weights: weights.as_ptr(),
            rows,
            bias: scales.bias,
            runs,
            thirds: runs / 3,
            row_skip: 0,
            weight_skip: 0,
            out: nowhere,
            out_next: nowhere,
            out_pair: 0,
            out_end: nowhere,
            x_skip: 0,
            out_zero,
            multiplier: scales.multiplier,
            shift: scales.shift,
            low: [low; FILTERS],
            high: [high; FILTERS],
            apart,
            count: reach,
        };
        let kernel = kernel_of(outputs, runs, low >= out_zero);
        Self { weights, row_runs: runs, reach, outputs, kernel, block }
    }

    /// The four filters of `op` whose weights these are, of which `count` are real ones.
    pub fn of(op: &Conv2d<'_>, weights: &'a [i8], rows: usize, scales: Scales, count: usize) -> Self {
        Self::new(weights, rows, scales, Outputs::First(count), op.out_zero, op.clamp)
    }

    /// Rows of the filters.
    pub fn rows(&self) -> usize {
        self.block.rows
    }

    /// Vectors of a row.
    pub fn runs(&self) -> usize {
        self.block.runs
    }

    /// What is read of a window's row.
    pub fn row_bytes(&self) -> usize {
        self.block.runs * RUN
    }

    /// The rows and the vectors of each row from the first to before the second, and `in_zero` times their weights taken off
    /// the biases: the zero point of inputs that are multiplied as they are.
    pub fn part(&self, rows: (usize, usize), runs: (usize, usize), in_zero: i32) -> Option<Self> {
        let row = self.row_runs * RUN * FILTERS;
        let weights = self.weights.get(rows.0 * row + runs.0 * RUN * FILTERS..)?;
        let (rows, runs) = (rows.1 - rows.0, runs.1 - runs.0);
        let mut sums = [0i32; FILTERS];
        for row in weights.chunks(row.max(1)).take(rows) {
            for run in row.as_chunks::<{ RUN * FILTERS }>().0.iter().take(runs) {
                for (sum, weights) in sums.iter_mut().zip(run.as_chunks::<RUN>().0) {
                    *sum = weights.iter().fold(*sum, |sum, &weight| sum.wrapping_add(i32::from(weight)));
                }
            }
        }
        let mut part = Self { weights, ..*self };
        for (bias, sum) in part.block.bias.iter_mut().zip(sums) {
            *bias = bias.wrapping_sub(sum.wrapping_mul(in_zero));
        }
        part.block.weights = weights.as_ptr();
        part.block.rows = rows;
        part.block.runs = runs;
        part.block.thirds = runs / 3;
        part.block.weight_skip = (self.row_runs - runs) * RUN * FILTERS;
        let [low, ..] = part.block.low;
        part.kernel = kernel_of(self.outputs, runs, low >= part.block.out_zero);
        Some(part)
    }

    /// Computes the outputs of `strip`. `None`, with nothing done, if it would reach beyond a slice.
    pub fn run(&mut self, strip: &Strip, from: &[i8], to: &mut [i8]) -> Option<()> {
        let block = &mut self.block;
        let (row, pairs) = (block.rows.checked_sub(1)?, strip.pairs.checked_sub(1)?);
        let row_bytes = block.runs * RUN;
        let window = row.checked_mul(strip.row_step)?.checked_add(row_bytes)?;
        let read = strip.x[0].max(strip.x[1]).checked_add(pairs.checked_mul(strip.x_pair)?)?.checked_add(window)?;
        let last = strip.out[0].max(strip.out[1]).checked_add(pairs.checked_mul(strip.out_pair)?)?;
        let weights = (row * self.row_runs + block.runs) * RUN * FILTERS;
        let outside = read > from.len() || last.checked_add(self.reach)? > to.len();
        if outside || weights > self.weights.len() || row_bytes == 0 {
            return None;
        }
        block.x = from.as_ptr().wrapping_add(strip.x[0]);
        block.x_next = from.as_ptr().wrapping_add(strip.x[1]);
        block.row_skip = strip.row_step.wrapping_sub(row_bytes);
        block.out = to.as_mut_ptr().wrapping_add(strip.out[0]);
        block.out_next = to.as_mut_ptr().wrapping_add(strip.out[1]);
        block.out_pair = strip.out_pair;
        block.out_end = block.out.wrapping_add(strip.pairs * strip.out_pair);
        block.x_skip = strip.x_pair.wrapping_sub(window);
        // SAFETY: `rows` rows of `runs` vectors are read of each window and lie in `from`, as checked above for the windows
        // furthest on; as many times four vectors are read of `weights`, the last of which was checked too; what is written
        // lies in `to`. Pairs, rows and runs are at least 1, and runs divide by 3 where thirds are taken.
        unsafe { (self.kernel)(block) }
        Some(())
    }
}

/// What the assembly reads, and counts on in.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Block {
    x: *const i8,
    x_next: *const i8,
    weights: *const i8,
    rows: usize,
    bias: [i32; FILTERS],
    runs: usize,
    thirds: usize,
    row_skip: usize,
    weight_skip: usize,
    out: *mut i8,
    out_next: *mut i8,
    out_pair: usize,
    /// The first window's output after the last pair.
    out_end: *mut i8,
    /// From what the last row's end is to the next pair.
    x_skip: usize,
    out_zero: i32,
    multiplier: [i32; FILTERS],
    shift: [i32; FILTERS],
    low: [i32; FILTERS],
    high: [i32; FILTERS],
    apart: [u32; FILTERS],
    count: usize,
}

/// The function for filters of so many vectors a row, whose outputs may be limited to the zero point and above.
fn kernel_of(outputs: Outputs, runs: usize, rectified: bool) -> unsafe fn(&mut Block) {
    match (outputs, runs.is_multiple_of(3), rectified) {
        (Outputs::First(FILTERS), false, false) => four,
        (Outputs::First(FILTERS), true, false) => four_by_thirds,
        (Outputs::First(FILTERS), false, true) => four_rectified,
        (Outputs::First(FILTERS), true, true) => four_rectified_by_thirds,
        (Outputs::First(_), ..) => first,
        (Outputs::Apart(_), ..) => apart_four,
    }
}

/// A function over a [`Block`]: before the pairs, vectors of a row and how many are taken at once, and how four outputs are
/// stored, of q0 at r0 and of q1 at r2.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $before:literal, $times:literal * $runs:ident, $away:expr, $store:literal, $store_next:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// All that the block points to, as far as its numbers reach, is the caller's; pairs, rows and runs are at least 1.
        #[inline(never)]
        unsafe fn $name(block: &mut Block) {
            // SAFETY: the caller's promise. r6, r7 and r11, which cannot be named as operands, are put back.
            unsafe {
                asm!(
                    "push {{r6, r7, r11}}",
                    "mov r11, r0",
                    "vldrw.u32 q3, [r11, #{high}]",
                    "vldrw.u32 q4, [r11, #{low}]",
                    "vldrw.u32 q5, [r11, #{multiplier}]",
                    "vldrw.u32 q6, [r11, #{shift}]",
                    $before,
                    "ldrd r1, r3, [r11, #{x}]",
                    // A pair: sums of the first window in r0, r2, r4, r6, of the second in r8, r10, r12, lr.
                    "2:",
                    "ldrd r5, r9, [r11, #{weights}]",
                    "ldrd r0, r2, [r11, #{bias}]",
                    "ldrd r4, r6, [r11, #{bias} + 8]",
                    "ldrd r8, r10, [r11, #{bias}]",
                    "ldrd r12, lr, [r11, #{bias} + 8]",
                    "3:",
                    "ldr r7, [r11, #{runs}]",
                    "4:",
                    ".rept {times}",
                    "vldrb.u8 q0, [r1], #16",
                    "vldrb.u8 q1, [r3], #16",
                    "vldrb.u8 q2, [r5], #16",
                    "vmladava.s8 r0, q0, q2",
                    "vmladava.s8 r8, q1, q2",
                    "vldrb.u8 q2, [r5], #16",
                    "vmladava.s8 r2, q0, q2",
                    "vmladava.s8 r10, q1, q2",
                    "vldrb.u8 q2, [r5], #16",
                    "vmladava.s8 r4, q0, q2",
                    "vmladava.s8 r12, q1, q2",
                    "vldrb.u8 q2, [r5], #16",
                    "vmladava.s8 r6, q0, q2",
                    "vmladava.s8 lr, q1, q2",
                    ".endr",
                    "subs r7, r7, #1",
                    "bne 4b",
                    "subs r9, r9, #1",
                    "beq 5f",
                    "ldr r7, [r11, #{row_skip}]",
                    "add r1, r1, r7",
                    "add r3, r3, r7",
                    "ldr r7, [r11, #{weight_skip}]",
                    "add r5, r5, r7",
                    "b 3b",
                    "5:",
                    "vmov d0, r0, r2",
                    "vmov d1, r4, r6",
                    "vmov d2, r8, r10",
                    "vmov d3, r12, lr",
                    "ldrd r8, r10, [r11, #{x_skip}]",
                    "vqrdmulh.s32 q0, q0, q5",
                    "vqrdmulh.s32 q1, q1, q5",
                    $away,
                    "vrshl.s32 q0, q0, q6",
                    "vrshl.s32 q1, q1, q6",
                    "vadd.i32 q0, q0, r10",
                    "vadd.i32 q1, q1, r10",
                    "ldrd r0, r2, [r11, #{out}]",
                    "vmax.s32 q0, q0, q4",
                    "vmax.s32 q1, q1, q4",
                    "ldrd r4, r6, [r11, #{out_pair}]",
                    "vmin.s32 q0, q0, q3",
                    "vmin.s32 q1, q1, q3",
                    $store,
                    $store_next,
                    "add r1, r1, r8",
                    "add r3, r3, r8",
                    "add r0, r0, r4",
                    "add r2, r2, r4",
                    "strd r0, r2, [r11, #{out}]",
                    "cmp r0, r6",
                    "bne 2b",
                    "pop {{r6, r7, r11}}",
                    "// {apart} {count}",
                    times = const $times,
                    x = const offset_of!(Block, x),
                    weights = const offset_of!(Block, weights),
                    bias = const offset_of!(Block, bias),
                    runs = const offset_of!(Block, $runs),
                    row_skip = const offset_of!(Block, row_skip),
                    weight_skip = const offset_of!(Block, weight_skip),
                    out = const offset_of!(Block, out),
                    out_pair = const offset_of!(Block, out_pair),
                    x_skip = const offset_of!(Block, x_skip),
                    multiplier = const offset_of!(Block, multiplier),
                    shift = const offset_of!(Block, shift),
                    low = const offset_of!(Block, low),
                    high = const offset_of!(Block, high),
                    apart = const offset_of!(Block, apart),
                    count = const offset_of!(Block, count),
                    inout("r0") block => _,
                    out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _,
                    out("r10") _, out("r12") _, out("lr") _,
                    out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _,
                    out("d7") _, out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _,
                    out("d14") _, out("d15") _,
                )
            }
        }
    };
}

/// Takes 1 off negative values that will be shifted, so that VRSHL rounds halves away from zero.
macro_rules! away_from_zero {
    () => {
        "vand q2, q0, q6\n vshr.s32 q2, q2, #31\n vqadd.s32 q0, q0, q2\n vand q2, q1, q6\n vshr.s32 q2, q2, #31\n \
         vqadd.s32 q1, q1, q2"
    };
}

kernel!(
    /// Stores four outputs side by side.
    four, "", 1 * runs, away_from_zero!(), "vstrb.32 q0, [r0]", "vstrb.32 q1, [r2]"
);
kernel!(
    /// As [`four`], for rows of three vectors or a multiple.
    four_by_thirds, "", 3 * thirds, away_from_zero!(), "vstrb.32 q0, [r0]", "vstrb.32 q1, [r2]"
);
kernel!(
    /// As [`four`], for outputs limited to the zero point and above: how values below it are rounded does not matter.
    four_rectified, "", 1 * runs, "", "vstrb.32 q0, [r0]", "vstrb.32 q1, [r2]"
);
kernel!(
    /// As [`four_rectified`], for rows of three vectors or a multiple.
    four_rectified_by_thirds, "", 3 * thirds, "", "vstrb.32 q0, [r0]", "vstrb.32 q1, [r2]"
);
kernel!(
    /// Stores the first few of four outputs.
    first,
    "ldr r1, [r11, #{count}]\n vctp.32 r1",
    1 * runs,
    away_from_zero!(),
    "vpst\n vstrbt.32 q0, [r0]",
    "vpst\n vstrbt.32 q1, [r2]"
);
kernel!(
    /// Stores four outputs each at its own distance.
    apart_four,
    "vldrw.u32 q7, [r11, #{apart}]",
    1 * runs,
    away_from_zero!(),
    "vstrb.32 q0, [r0, q7]",
    "vstrb.32 q1, [r2, q7]"
);
