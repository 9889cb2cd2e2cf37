//! What the convolutions work with: four windows side by side, filters in whole words, and how their sums become outputs.

use core::arch::naked_asm;
use core::marker::PhantomData;

use super::blocks::all_blocks;
use super::dsp::{pair, smmlar, sxtab16, sxtab16_odd};
use crate::kernels::ops::saturate;
use crate::kernels::{Channel, ChannelParams, Conv2d};

/// Windows side by side.
pub(super) const COLUMNS: usize = 4;
/// Words of a block of four weights by four windows.
pub(super) const BLOCK_WORDS: usize = 8;
/// Most weights of a window that is put together in bytes first.
const SMALL: usize = 32;

/// Four windows in the scratch. What they hold beyond `len` weights is zero and stays so.
pub(super) struct Columns<'s> {
    /// [`BLOCK_WORDS`] for each block.
    pub(super) words: &'s mut [u32],
    pub(super) blocks: usize,
    zero: i32,
    negative: u32,
}

impl<'s> Columns<'s> {
    /// Windows of `len` weights in the first bytes of a scratch, and what is left of it; `None` if it [is too
    /// small](super::conv).
    pub(super) fn new(scratch: &'s mut [u8], len: usize, zero: i32) -> Option<(Self, &'s mut [u8])> {
        let blocks = len.div_ceil(4);
        let (columns, room) = scratch.split_at_mut_checked(4 * BLOCK_WORDS * blocks)?;
        columns.fill(0);
        let words = bytemuck::try_cast_slice_mut(columns).ok()?;
        Some((Self { words, blocks, zero, negative: pair(-zero) }, room))
    }

    /// Writes the window that begins at `(top, left)` of the padded input.
    #[inline(always)]
    pub(super) fn gather(&mut self, op: &Conv2d<'_>, input: &[i8], (top, left): (usize, usize), column: usize) {
        let channels = op.input.c;
        let taps = op.kernel.1 * channels;
        if let Some(rows) = rows_of_three(op, input, (top, left)) {
            return self.put_three(rows, column);
        }
        if !taps.is_multiple_of(4) && taps * op.kernel.0 <= SMALL {
            return self.gather_small(op, input, (top, left), column);
        }
        let mut at = 0;
        for ky in 0..op.kernel.0 {
            let y = (top + ky * op.dilation).wrapping_sub(op.pad);
            let row = input.get(y.wrapping_mul(op.input.w * channels)..).filter(|_| y < op.input.h);
            let inside = left >= op.pad && left - op.pad + op.kernel.1 <= op.input.w && op.dilation == 1;
            match row.and_then(|row| row.get((left.wrapping_sub(op.pad)).wrapping_mul(channels)..)) {
                Some(row) if inside => self.run(row.get(..taps).unwrap_or(&[]), at, column),
                _ => self.gather_taps(op, row.unwrap_or(&[]), left, at, column),
            }
            at += taps;
        }
    }

    /// A window of three rows of three weights, each in the low bytes of a word.
    #[inline(always)]
    fn put_three(&mut self, [a, b, c]: [u32; 3], column: usize) {
        // What fills the last block up is the zero point, which counts for nothing.
        let fill = u32::from(self.zero as u8) * 0x0101_0100;
        let quads = [a & 0x00ff_ffff | b << 24, b >> 8 & 0xffff | c << 16, c >> 16 & 0xff | fill];
        self.run(bytemuck::cast_slice(&quads), 0, column);
    }

    /// A window of few weights whose rows are no whole words: put together in bytes, then widened at once.
    #[inline(never)]
    fn gather_small(&mut self, op: &Conv2d<'_>, input: &[i8], (top, left): (usize, usize), column: usize) {
        let channels = op.input.c;
        let mut window = [op.in_zero as i8; SMALL];
        let mut to = window.iter_mut();
        let inside = left >= op.pad && left - op.pad + op.kernel.1 <= op.input.w && op.dilation == 1;
        for ky in 0..op.kernel.0 {
            let y = (top + ky * op.dilation).wrapping_sub(op.pad);
            let row = input.get(y.wrapping_mul(op.input.w * channels)..).filter(|_| y < op.input.h);
            if let (true, Some(row)) = (inside, row) {
                let from = row.get((left - op.pad) * channels..).unwrap_or(&[]);
                from.iter().zip(to.by_ref().take(op.kernel.1 * channels)).for_each(|(&q, to)| *to = q);
                continue;
            }
            for kx in 0..op.kernel.1 {
                let x = (left + kx * op.dilation).wrapping_sub(op.pad);
                let tap = row.and_then(|row| row.get(x.wrapping_mul(channels)..)).filter(|_| x < op.input.w);
                for c in 0..channels {
                    if let Some(to) = to.next() {
                        *to = tap.and_then(|tap| tap.get(c)).copied().unwrap_or(op.in_zero as i8);
                    }
                }
            }
        }
        // Beyond the window lies the zero point, which counts for nothing.
        self.run(window.get(..4 * self.blocks).unwrap_or(&window), 0, column);
    }

    /// A row of a window that is not wholly inside; an empty `row` is one outside.
    #[inline(never)]
    fn gather_taps(&mut self, op: &Conv2d<'_>, row: &[i8], left: usize, at: usize, column: usize) {
        let channels = op.input.c;
        for kx in 0..op.kernel.1 {
            let x = (left + kx * op.dilation).wrapping_sub(op.pad);
            let tap = row.get(x.wrapping_mul(channels)..).filter(|_| x < op.input.w);
            match tap.and_then(|tap| tap.get(..channels)) {
                Some(tap) => self.run(tap, at + kx * channels, column),
                None => (0..channels).for_each(|c| self.put(at + kx * channels + c, column, 0)),
            }
        }
    }

    /// Inputs that follow each other, from weight `at` on.
    #[inline(always)]
    pub(super) fn run(&mut self, inputs: &[i8], mut at: usize, column: usize) {
        let mut rest = inputs;
        if at.is_multiple_of(4) {
            let (quads, tail) = inputs.as_chunks::<4>();
            if at / 4 + quads.len() > self.blocks || column >= COLUMNS {
                return;
            }
            // SAFETY: block `at / 4` and as many as there are quads lie within `blocks`, of which `words` has all.
            let mut to = unsafe { self.words.as_mut_ptr().add(at / 4 * BLOCK_WORDS + column) };
            for quad in quads {
                let quad = u32::from_le_bytes(quad.map(|q| q as u8));
                // SAFETY: as above; a column has words `column` and `column + 4` of a block.
                unsafe {
                    to.write(sxtab16(self.negative, quad));
                    to.add(COLUMNS).write(sxtab16_odd(self.negative, quad));
                    to = to.wrapping_add(BLOCK_WORDS);
                }
            }
            at += 4 * quads.len();
            rest = tail;
        }
        for (k, &q) in rest.iter().enumerate() {
            self.put(at + k, column, (i32::from(q) - self.zero) as i16);
        }
    }

    #[inline(always)]
    fn put(&mut self, k: usize, column: usize, value: i16) {
        if k / 4 < self.blocks && column < COLUMNS {
            let half = 2 * (k / 4 * BLOCK_WORDS + k % 2 * COLUMNS + column) + k / 2 % 2;
            // SAFETY: a half word of block `k / 4`, which exists.
            unsafe { self.words.as_mut_ptr().cast::<i16>().add(half).write(value) };
        }
    }

    /// Sums of the four windows with a filter.
    #[inline(always)]
    pub(super) fn product(&self, filter: Filter<'_>) -> [i32; COLUMNS] {
        let mut sums = [0; COLUMNS];
        // SAFETY: `words` has `blocks` blocks, and so has a filter of the same layer.
        unsafe { product(self.words.as_ptr(), filter.0, self.blocks, &mut sums) };
        sums
    }
}

/// The rows of a window of a single channel's 3x3 convolution that lies inside, with the byte after each.
#[inline(always)]
fn rows_of_three(op: &Conv2d<'_>, input: &[i8], (top, left): (usize, usize)) -> Option<[u32; 3]> {
    if op.input.c != 1 || op.kernel != (3, 3) || op.dilation != 1 || top < op.pad || left < op.pad {
        return None;
    }
    let (y, x) = (top - op.pad, left - op.pad);
    if y + 3 > op.input.h || x + 3 > op.input.w {
        return None;
    }
    let row = |ky: usize| {
        let four = input.get((y + ky) * op.input.w + x..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(four.map(|q| q as u8)))
    };
    Some([row(0)?, row(1)?, row(2)?])
}

/// The filters of a layer, each padded with zeros to whole words.
pub(super) enum Filters<'a> {
    /// Whole words as they lie, or padded in the scratch: filters of `len` bytes, one after the other.
    Padded { all: &'a [u8], len: usize },
    /// Padded one at a time in `slot`, which is as long as one.
    OneByOne { weights: &'a [i8], len: usize, slot: &'a mut [u8] },
}

/// A padded filter: its first byte.
#[derive(Clone, Copy)]
pub(super) struct Filter<'f>(*const u8, PhantomData<&'f [u8]>);

impl<'a> Filters<'a> {
    /// Filters of `len` weights. `room` is what [`Columns::new`] has left of the scratch: at least a filter in 16 bits, see
    /// [`conv_scratch_bytes`].
    pub(super) fn new(weights: &'a [i8], len: usize, room: &'a mut [u8]) -> Self {
        if len.is_multiple_of(4) {
            return Self::Padded { all: bytemuck::cast_slice(weights), len };
        }
        let whole = len.next_multiple_of(4);
        let count = weights.len() / len.max(1);
        if room.len() < whole * count {
            return Self::OneByOne { weights, len, slot: room.get_mut(..whole).unwrap_or_default() };
        }
        for (to, filter) in room.chunks_exact_mut(whole.max(1)).zip(weights.chunks_exact(len.max(1))) {
            to.fill(0);
            to.iter_mut().zip(filter).for_each(|(to, &weight)| *to = weight as u8);
        }
        Self::Padded { all: room, len: whole }
    }

    /// Filter `index`.
    ///
    /// # Safety
    /// There is one.
    #[inline(always)]
    pub(super) unsafe fn get(&mut self, index: usize) -> Filter<'_> {
        let first = match self {
            Self::Padded { all, len } => all.as_ptr().wrapping_add(index * *len),
            Self::OneByOne { weights, len, slot } => {
                let filter = weights.get(index * *len..).unwrap_or_default();
                let (filled, padding) = slot.split_at_mut_checked(*len).unwrap_or_default();
                filled.iter_mut().zip(filter).for_each(|(to, &weight)| *to = weight as u8);
                padding.fill(0);
                slot.as_ptr()
            }
        };
        Filter(first, PhantomData)
    }
}

/// How sums become outputs.
pub(super) struct Scale {
    /// No sum leaves 30 bits and every shift goes to the right: see [`Scale::finish`].
    fast: bool,
    /// It is fast, no multiplier is negative, the zero point can be added before the last shift, and limits are those of eight
    /// bits.
    pub(super) folds: bool,
    pub(super) out_zero: i32,
    clamp: (i8, i8),
}

impl Scale {
    pub(super) fn new(params: ChannelParams<'_>, out_zero: i32, clamp: (i8, i8), len: usize) -> Self {
        // Products are at most 255 * 128.
        let room = (1_i64 << 30) - len as i64 * 32_640;
        let fits = |c: Channel| (-31..=-1).contains(&c.requant.shift) && i64::from(c.bias.unsigned_abs()) < room;
        let fast = params.iter().all(fits);
        let folds = fast
            && clamp == (i8::MIN, i8::MAX)
            && params.iter().all(|c| c.requant.shift >= -22 && c.requant.multiplier >= 0);
        Self { fast, folds, out_zero, clamp }
    }

    /// As [`Channel::finish`]. With a sum below 2^30 in size SMMULR of its double is the first rounding, and nothing
    /// overflows in the second: add half, less one if negative, and shift.
    #[inline(always)]
    pub(super) fn finish(&self, channel: Channel, sum: i32) -> i8 {
        if !self.fast {
            return slow(self, channel, sum);
        }
        let right = channel.requant.shift.wrapping_neg() as u32;
        let half = 1_i32.wrapping_shl(right.wrapping_sub(1));
        let high = smmlar(sum.wrapping_add(channel.bias).wrapping_shl(1), channel.requant.multiplier, 0);
        saturate(high.wrapping_add(high >> 31).wrapping_add(half).wrapping_shr(right), self.out_zero, self.clamp)
    }
}

#[inline(never)]
fn slow(scale: &Scale, channel: Channel, sum: i32) -> i8 {
    channel.finish(sum, scale.out_zero, scale.clamp)
}

/// `sums[c] = sum over k of columns[c][k] * filter[k]`, wrapping, over `blocks` blocks (at least one).
///
/// # Safety
/// `columns` must have [`BLOCK_WORDS`] aligned words a block and `filter` four bytes.
#[unsafe(naked)]
unsafe extern "C" fn product(columns: *const u32, filter: *const u8, blocks: usize, sums: &mut [i32; COLUMNS]) {
    naked_asm!(
        // Assembly of a naked function does not see the flags that give an Armv8-M core the DSP extension.
        ".arch armv7e-m",
        "push {{r3-r11, lr}}",
        "mov r8, #0",
        "mov r9, #0",
        "mov r10, #0",
        "mov r11, #0",
        "subs r2, r2, #4",
        all_blocks!(),
        "ldr r3, [sp]",
        "stmia r3, {{r8-r11}}",
        "pop {{r3-r11, pc}}",
    )
}
