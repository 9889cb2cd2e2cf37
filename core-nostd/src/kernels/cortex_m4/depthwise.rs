//! Depthwise convolution: four channels side by side.
//!
//! Windows of 3x3 taps are [`strip`]'s where outputs have the whole range and no scale overflows: two taps at a time, PKHBT
//! and PKHTB make channels 0, 1 and 2, 3 of both into a word, SXTB16 makes that into pairs, and SMLAD multiplies. Weights, in 16 bits,
//! and the constants of four channels are one block, which LDM reads in order. A window that hangs over an edge becomes
//! one that does not, with the weights moved the other way and zeros in their place.
//!
//! Channel counts that are no multiple of four are [`Portable`]'s.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, at stride 1, counted in QEMU by `firmware-demo/run.sh bench m4`
//! (Cortex-M4, `-C target-cpu=cortex-m4`, opt-level 3, fat LTO); other windows than strips in a copy of it whose outputs are
//! limited to 126:
//!
//! | layer | portable | any window | strips |
//! |---|---|---|---|
//! | 3x3 32x32 x32 | 17.0 | 12.6 | 2.48 |
//! | 3x3 16x16 x64 | 16.5 | 12.2 | 2.74 |
//!
//! An LDM is one instruction, but a cycle for each word and one more: of cycles a strip takes about 3.9, by the Cortex-M4's
//! manual, memory without wait states.

use core::arch::naked_asm;
use core::ptr::{null, null_mut};

use super::columns::Scale;
use super::dsp::{high_halves, low_halves, pair, sadd16, sxtab16, sxtab16_odd, sxtb16, sxtb16_odd};
use crate::kernels::ops::depthwise_scratch_bytes;
use crate::kernels::{Channel, Conv2d, Int8Kernels, Portable};

/// See [`Int8Kernels::depthwise`].
pub(super) fn depthwise(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
    let roomy = scratch.len() >= depthwise_scratch_bytes(op.kernel, op.input.c);
    if !op.is_valid_depthwise() || !op.fits(input, output) || !roomy || !op.input.c.is_multiple_of(4) {
        return Portable.depthwise(op, input, output, scratch);
    }
    if !strips(op, input, output) {
        windows(op, input, output);
    }
}

/// Side of the windows that [`strip`] takes.
const SIDE: usize = 3;

/// In strips of windows; false, and nothing done, where the record does not allow it. The operator is valid, has channels
/// in fours, and the slices fit it.
fn strips(op: &Conv2d<'_>, input: &[i8], output: &mut [i8]) -> bool {
    let square = op.kernel == (SIDE, SIDE) && op.dilation == 1 && op.input.h >= SIDE && op.input.w >= SIDE;
    if !square || op.clamp != (i8::MIN, i8::MAX) || !op.params.iter().all(Rounding::is_exact) {
        return false;
    }
    let records = op.params.records().as_chunks::<4>().0;
    for (group, records) in records.iter().enumerate() {
        let channels = records.each_ref().map(Channel::from_bytes);
        let taps = taps(op, 4 * group);
        let mut block = Block::new(op, channels);
        let mut y = op.rows.0;
        while y < op.rows.1 {
            let rows = Segment::new(y, op.rows.1, op.input.h, op);
            let mut x = 0;
            while x < op.output.w {
                let columns = Segment::new(x, op.output.w, op.input.w, op);
                block.weigh(&taps, (rows.moved, columns.moved), op.in_zero, channels);
                // SAFETY: the segments are parts of the output's rows and columns, and `group` is one of its groups.
                unsafe { block.run(op, 4 * group, (&rows, &columns), input.as_ptr(), output.as_mut_ptr()) }
                x += columns.len;
            }
            y += rows.len;
        }
    }
    true
}

/// How a channel's sum becomes an output: with twice the sum, `high = (2 sum m + 2^31) >> 32` is the first rounding, and
/// halves away from zero, which is what taking one from the negative ones does, are the second. The sum's sign serves for
/// that of `high`: where they differ, `high` is zero, and so is the result either way.
///
/// Multiplier, offset (half an output and its zero point, shifted to the left) and shift.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Rounding([u32; 3]);

impl Rounding {
    /// Whether nothing overflows: sums stay below 2^30 in size, the offset below 2^30.
    fn is_exact(channel: Channel) -> bool {
        // Products are at most 255 * 128.
        let room = (1 << 30) - (SIDE * SIDE) as u32 * 32_640;
        channel.requant.multiplier >= 0
            && (-22..=-1).contains(&channel.requant.shift)
            && channel.bias.unsigned_abs() < room
    }

    fn new(channel: Channel, zero: i32) -> Self {
        let shift = channel.requant.shift.unsigned_abs() & 31;
        let offset = zero.wrapping_shl(shift).wrapping_add((1 << shift) >> 1);
        Self([channel.requant.multiplier as u32, offset as u32, shift])
    }
}

/// Output positions along an axis whose windows, moved inside, are as far apart as they are themselves.
struct Segment {
    first: usize,
    len: usize,
    /// Where the first window begins in the input, once it is inside.
    input: usize,
    /// How far the windows have been moved.
    moved: isize,
}

impl Segment {
    /// The segment that begins at output `first` and ends at `end` or before; `extent` is the input's, at least [`SIDE`].
    fn new(first: usize, end: usize, extent: usize, op: &Conv2d<'_>) -> Self {
        let start = (first * op.stride) as isize - op.pad as isize;
        let last = extent as isize - SIDE as isize;
        let inside = start.min(last).max(0);
        // Beyond an edge, each window is moved by another distance.
        let len = if inside == start { ((last - start) as usize) / op.stride.max(1) + 1 } else { 1 };
        Self { first, len: len.min(end - first), input: inside as usize, moved: inside - start }
    }
}

/// What [`strip`] reads for each position, in this order: weights and constants of four channels, each just before the tap
/// that needs it. Sums and weights are doubled, see [`Rounding`], and the zero point of the input has moved into the bias.
#[repr(C)]
struct Block {
    bias: [u32; 4],
    /// Of two taps, a channel to a word.
    first: [u32; 4],
    /// Bytes from the window's first tap to the second.
    second_at: usize,
    others: [Two; 3],
    /// Of the ninth tap: channels 0 and 2, 1 and 3.
    last: [u32; 2],
    multiplier: u32,
    offset: u32,
    last_at: usize,
    shift: u32,
    /// Of channels 1 to 3; that of channel 0 are the three above.
    roundings: [Rounding; 2],
    /// The block itself, where the next position begins.
    start: *const Block,
    last_rounding: Rounding,
    /// Bytes from an output to the next.
    out_step: usize,
    /// Where the output is after the last position.
    end: *mut i8,
    /// Bytes from a window to the next.
    in_step: usize,
}

/// Two taps: where they are in the window, in bytes, and their weights, a channel to a word.
#[derive(Clone, Copy)]
#[repr(C)]
struct Two {
    at: usize,
    weights: [u32; 4],
    next_at: usize,
}

/// Weights of the nine taps, channels 0 and 2 and channels 1 and 3, doubled.
type Taps = [(u32, u32); SIDE * SIDE];

/// The taps of four channels from `from` on, which exist.
fn taps(op: &Conv2d<'_>, from: usize) -> Taps {
    let mut taps = [(0, 0); SIDE * SIDE];
    for (tap, weights) in taps.iter_mut().zip(op.weights.chunks_exact(op.input.c.max(1))) {
        // SAFETY: four channels of a tap.
        let quad = unsafe { weights.as_ptr().add(from).cast::<u32>().read_unaligned() };
        let (even, odd) = (sxtb16(quad), sxtb16_odd(quad));
        *tap = (sadd16(even, even), sadd16(odd, odd));
    }
    taps
}

impl Block {
    fn new(op: &Conv2d<'_>, channels: [Channel; 4]) -> Self {
        let at = |tap: usize| (tap / SIDE * op.input.w + tap % SIDE) * op.input.c;
        let two = |tap| Two { at: at(tap), weights: [0; 4], next_at: at(tap + 1) };
        let [rounding, second, third, fourth] = channels.map(|channel| Rounding::new(channel, op.out_zero));
        let Rounding([multiplier, offset, shift]) = rounding;
        Self {
            bias: [0; 4],
            first: [0; 4],
            second_at: at(1),
            others: [two(2), two(4), two(6)],
            last: [0; 2],
            multiplier,
            offset,
            last_at: at(8),
            shift,
            roundings: [second, third],
            start: null(),
            last_rounding: fourth,
            out_step: 0,
            end: null_mut(),
            in_step: 0,
        }
    }

    /// Weights for windows that have been moved down and to the right.
    fn weigh(&mut self, taps: &Taps, moved: (isize, isize), in_zero: i32, channels: [Channel; 4]) {
        let mut sums = (0, 0);
        let mut tap = |at: isize| {
            let (ky, kx) = (at / SIDE as isize + moved.0, at % SIDE as isize + moved.1);
            let inside = (0..SIDE as isize).contains(&ky) && (0..SIDE as isize).contains(&kx);
            let tap = taps.get((ky * SIDE as isize + kx) as usize).filter(|_| inside);
            let (even, odd) = tap.copied().unwrap_or_default();
            sums = (sadd16(sums.0, even), sadd16(sums.1, odd));
            (even, odd)
        };
        let mut two = |at: isize| {
            let (a, b) = (tap(at), tap(at + 1));
            [low_halves(a.0, b.0), low_halves(a.1, b.1), high_halves(a.0, b.0), high_halves(a.1, b.1)]
        };
        let [second, third, fourth] = &mut self.others;
        (self.first, second.weights, third.weights, fourth.weights) = (two(0), two(2), two(4), two(6));
        self.last = tap(8).into();
        let sums = [low(sums.0), low(sums.1), high(sums.0), high(sums.1)];
        for ((bias, channel), sum) in self.bias.iter_mut().zip(channels).zip(sums) {
            *bias = channel.bias.wrapping_mul(2).wrapping_sub(sum.wrapping_mul(in_zero)) as u32;
        }
    }

    /// Four channels from `from` on of the positions in both segments, in strips along the longer one.
    ///
    /// # Safety
    /// The segments must be of rows and columns of the operator, which has those channels; `input` and `output` have what it
    /// says.
    unsafe fn run(
        &mut self,
        op: &Conv2d<'_>,
        from: usize,
        (rows, columns): (&Segment, &Segment),
        input: *const i8,
        output: *mut i8,
    ) {
        let channels = op.input.c;
        let (in_row, out_row) = (op.input.w * channels, op.output.w * channels);
        let down = (rows.len, op.stride * in_row, out_row);
        let right = (columns.len, op.stride * channels, channels);
        let (along, across) = if rows.len > columns.len { (down, right) } else { (right, down) };
        (self.in_step, self.out_step) = (along.1, along.2);
        // SAFETY: windows of a segment lie inside the input, its positions in the output; each strip is one of `across.0`.
        unsafe {
            let mut input = input.add(rows.input * in_row + columns.input * channels + from);
            let mut output = output.add((rows.first - op.rows.0) * out_row + columns.first * channels + from);
            for _ in 0..across.0 {
                self.end = output.wrapping_add(along.0 * along.2);
                self.start = self;
                strip(input, output, self);
                (input, output) = (input.wrapping_add(across.1), output.wrapping_add(across.2));
            }
        }
    }
}

/// Four channels of each position up to the block's end, of which there is at least one: 86 instructions for 36
/// multiply-accumulates.
///
/// # Safety
/// `input` points to the first window's first tap; all the windows can be read, four bytes at each output written; the
/// block's `start` is its address.
#[unsafe(naked)]
unsafe extern "C" fn strip(input: *const i8, output: *mut i8, block: *const Block) {
    naked_asm!(
        // Assembly of a naked function does not see the flags that give an Armv8-M core the DSP extension.
        ".arch armv7e-m",
        // Two taps in r3 and r12.
        ".macro kscout_two",
        "pkhbt lr, r3, r12, lsl #16",
        "pkhtb r12, r12, r3, asr #16",
        "sxtb16 r3, lr",
        "sxtb16 lr, lr, ror #8",
        "smlad r4, r3, r8, r4",
        "smlad r5, lr, r9, r5",
        "sxtb16 r3, r12",
        "sxtb16 r12, r12, ror #8",
        "smlad r6, r3, r10, r6",
        "smlad r7, r12, r11, r7",
        ".endm",
        ".macro kscout_next_two",
        "ldmia r2!, {{r3, r8-r12}}",
        "ldr r3, [r0, r3]",
        "ldr r12, [r0, r12]",
        "kscout_two",
        ".endm",
        // A sum to an output.
        ".macro kscout_round sum, multiplier, offset, shift",
        "add \\offset, \\offset, \\sum, asr #31",
        "smmlar \\sum, \\sum, \\multiplier, \\offset",
        "asr \\sum, \\sum, \\shift",
        "ssat \\sum, #8, \\sum",
        ".endm",
        "push {{r4-r11, lr}}",
        "2:",
        "ldmia r2!, {{r4-r12}}",
        "ldr r3, [r0]",
        "ldr r12, [r0, r12]",
        "kscout_two",
        "kscout_next_two",
        "kscout_next_two",
        "kscout_next_two",
        "ldmia r2!, {{r8-r12, lr}}",
        "ldr r12, [r0, r12]",
        "sxtb16 r3, r12, ror #8",
        "sxtb16 r12, r12",
        "smlabb r4, r12, r8, r4",
        "smlabb r5, r3, r9, r5",
        "smlatt r6, r12, r8, r6",
        "smlatt r7, r3, r9, r7",
        "kscout_round r4, r10, r11, lr",
        "ldmia r2!, {{r3, r8-r12}}",
        "kscout_round r5, r3, r8, r9",
        "kscout_round r6, r10, r11, r12",
        // Among them the block's address.
        "ldm r2, {{r2, r3, r8-r12}}",
        "kscout_round r7, r3, r8, r9",
        "strb r4, [r1]",
        "strb r5, [r1, #1]",
        "strb r6, [r1, #2]",
        "strb r7, [r1, #3]",
        "add r1, r1, r10",
        "add r0, r0, r12",
        "cmp r1, r11",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        ".purgem kscout_two",
        ".purgem kscout_next_two",
        ".purgem kscout_round",
    )
}

/// Window by window, whatever the record says. The operator is valid, has channels in fours, and the slices fit it.
fn windows(op: &Conv2d<'_>, input: &[i8], output: &mut [i8]) {
    let channels = op.output.c;
    let scale = Scale::new(op.params, op.out_zero, op.clamp, op.kernel.0 * op.kernel.1);
    for (y, row) in output.chunks_exact_mut((op.output.w * channels).max(1)).enumerate() {
        let y = op.rows.0 + y;
        let rows = inside(y * op.stride, op.kernel.0, op.input.h, op);
        for (x, position) in row.chunks_exact_mut(channels.max(1)).enumerate() {
            let columns = inside(x * op.stride, op.kernel.1, op.input.w, op);
            let window = Window { op, input, top: y * op.stride, left: x * op.stride, rows, columns };
            let (records, _) = op.params.records().as_chunks::<4>();
            for (group, (out, records)) in position.as_chunks_mut::<4>().0.iter_mut().zip(records).enumerate() {
                let sums = window.sums(4 * group);
                for ((out, record), sum) in out.iter_mut().zip(records).zip(sums) {
                    *out = scale.finish(Channel::from_bytes(record), sum);
                }
            }
        }
    }
}

/// Taps, first and end, whose positions lie within `extent` for a window that begins at `start` of the padded input.
fn inside(start: usize, taps: usize, extent: usize, op: &Conv2d<'_>) -> (usize, usize) {
    let within = |&tap: &usize| (start + tap * op.dilation).wrapping_sub(op.pad) < extent;
    let first = (0..taps).find(within).unwrap_or(taps);
    (first, (first..taps).find(|tap| !within(tap)).unwrap_or(taps))
}

/// One output position's window.
struct Window<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
    top: usize,
    left: usize,
    /// Taps that lie inside the input, first and end.
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Window<'_> {
    /// Sums of four channels from `first` on, which is a multiple of four below the channels.
    #[inline(always)]
    fn sums(&self, first: usize) -> [i32; 4] {
        let op = self.op;
        let channels = op.input.c;
        let negative = pair(-op.in_zero);
        let step = op.dilation * channels;
        let mut sums = [0_i32; 4];
        for ky in self.rows.0..self.rows.1 {
            let y = self.top + ky * op.dilation - op.pad;
            let x = (self.left + self.columns.0 * op.dilation).wrapping_sub(op.pad);
            let mut input = self
                .input
                .as_ptr()
                .wrapping_add(y.wrapping_mul(op.input.w).wrapping_add(x).wrapping_mul(channels) + first);
            let mut weight = op.weights.as_ptr().wrapping_add((ky * op.kernel.1 + self.columns.0) * channels + first);
            for _ in self.columns.0..self.columns.1 {
                // SAFETY: tap (ky, kx) lies inside the input, whose length was checked, and is a tap of the weights;
                // four channels from `first` on exist.
                let (q, w) = unsafe { (input.cast::<u32>().read_unaligned(), weight.cast::<u32>().read_unaligned()) };
                let (even, odd) = (sxtab16(negative, q), sxtab16_odd(negative, q));
                let (w_even, w_odd) = (sxtb16(w), sxtb16_odd(w));
                let [a, b, c, d] = &mut sums;
                *a = a.wrapping_add(low(even) * low(w_even));
                *b = b.wrapping_add(low(odd) * low(w_odd));
                *c = c.wrapping_add(high(even) * high(w_even));
                *d = d.wrapping_add(high(odd) * high(w_odd));
                input = input.wrapping_add(step);
                weight = weight.wrapping_add(channels);
            }
        }
        sums
    }
}

#[inline(always)]
const fn low(pair: u32) -> i32 {
    pair as i16 as i32
}

#[inline(always)]
const fn high(pair: u32) -> i32 {
    pair as i32 >> 16
}
