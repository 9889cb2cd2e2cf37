//! Operators that look at neighbours: maximum pooling, interpolation, shift.
//!
//! # Cost
//! Instructions an element of the output, counted in QEMU by `firmware-demo/run.sh bench m4` (Cortex-M4, `-C
//! target-cpu=cortex-m4`, opt-level 3, fat LTO); interpolation with corners aligned is [`Portable`]'s:
//!
//! | operator | portable | here |
//! |---|---|---|
//! | maximum of 2x2, 64x64x16 | 42.5 | 2.94 |
//! | interpolation, half-pixel centres, 32x32x16 | 48.0 | 13.6 |
//! | the same with a ReLU | 48.0 | 6.57 |
//! | interpolation, corners aligned, 32x32x16 | 55.3 | 55.3 |
//! | shift along y, 16x16x128 | 4.81 | 1.15 |
//! | shift along x, 16x16x128 | 4.61 | 2.03 |

#[cfg(target_abi = "eabihf")]
use core::arch::asm;

use super::dsp::{Clamp, max_bytes, pair, sadd16, smlawb, smlawt, sxtab16, sxtab16_odd, usat8, usat8_asr};
use crate::kernels::{Axis, Corners, Int8Kernels, MaxPool, Portable, Shift, Upsample2x};

/// Four channels to a word; `None` where channels or addresses are not a multiple of four.
fn words<'i, 'o>(channels: usize, input: &'i [i8], output: &'o mut [i8]) -> Option<(&'i [u32], &'o mut [u32])> {
    if !channels.is_multiple_of(4) {
        return None;
    }
    Some((bytemuck::try_cast_slice(input).ok()?, bytemuck::try_cast_slice_mut(output).ok()?))
}

/// 2x2 windows four channels at a time.
pub(super) fn max_pool(op: &MaxPool, input: &[i8], output: &mut [i8]) {
    let fast = op.kernel == 2 && op.clamp == (i8::MIN, i8::MAX);
    let shape = op.output().filter(|_| fast && op.fits(input, output));
    let Some((shape, (from, to))) = shape.zip(words(op.input.c, input, output)) else {
        return Portable.max_pool(op, input, output);
    };
    let channels = op.input.c / 4;
    let row = op.input.w * channels;
    for y in 0..shape.h {
        let Some(rows) = from.get(y * op.stride * row..).and_then(|rest| rest.get(..2 * row)) else { return };
        let Some(out) = to.get_mut(y * shape.w * channels..).and_then(|rest| rest.get_mut(..shape.w * channels)) else {
            return;
        };
        // SAFETY: both slices are what `pool_row` asks for: `fits` has checked that windows lie inside the input.
        unsafe {
            match channels {
                2 => pool_row(rows.as_ptr(), row, 2, op.stride, out),
                4 => pool_row(rows.as_ptr(), row, 4, op.stride, out),
                8 => pool_row(rows.as_ptr(), row, 8, op.stride, out),
                _ => pool_row(rows.as_ptr(), row, channels, op.stride, out),
            }
        }
    }
}

/// One row of outputs, `channels` words each.
///
/// # Safety
/// `upper` points to two whole input rows of `row` words, which hold every window of `out`.
#[inline(always)]
unsafe fn pool_row(mut upper: *const u32, row: usize, channels: usize, stride: usize, out: &mut [u32]) {
    for out in out.chunks_exact_mut(channels.max(1)) {
        for (c, out) in out.iter_mut().enumerate() {
            // SAFETY: the window's four words lie within the two rows.
            let (a, b, c, d) = unsafe {
                let lower = upper.add(row);
                (*upper.add(c), *upper.add(c + channels), *lower.add(c), *lower.add(c + channels))
            };
            *out = max_bytes(max_bytes(a, b), max_bytes(c, d));
        }
        // Past the last window it may point beyond the input, but is not read.
        upper = upper.wrapping_add(stride * channels);
    }
}

/// Half-pixel centres, four channels at a time, wherever the scale is below one half.
pub(super) fn upsample2x(op: &Upsample2x, input: &[i8], output: &mut [i8]) {
    let fast = op.corners == Corners::HalfPixel
        && op.requant.multiplier >= 0
        && (-16..=-1).contains(&op.requant.shift)
        && op.is_valid()
        && op.fits(input, output);
    let Some((from, to)) = words(op.input.c, input, output).filter(|_| fast) else {
        return Portable.upsample2x(op, input, output);
    };
    let relu = op.out_zero == -128 && op.clamp == (i8::MIN, i8::MAX);
    let multiplier = op.requant.multiplier;
    match (op.requant.shift, relu) {
        (-1, true) => upsample_rows(op, &ReluFinish::<16> { multiplier }, from, to),
        (-2, true) => upsample_rows(op, &ReluFinish::<17> { multiplier }, from, to),
        (-3, true) => upsample_rows(op, &ReluFinish::<18> { multiplier }, from, to),
        _ => upsample_rows(op, &AnyFinish::new(op), from, to),
    }
}

/// From weighted sums to outputs.
trait Finish: Copy {
    /// Puts the outputs between `count + 1` positions of which the first is given, and returns the last.
    ///
    /// # Safety
    /// `column` has `count` more positions and room for twice as many outputs.
    #[inline(always)]
    unsafe fn between(&self, column: &mut Column, mut left: (u32, u32), count: usize) -> (u32, u32) {
        for _ in 0..count {
            // SAFETY: a position is read and two are written, `count` times.
            unsafe {
                let right = column.next();
                let (even, odd) = (sadd16(left.0, right.0), sadd16(left.1, right.1));
                column.put(self, sadd16(sadd16(even, left.0), left.0), sadd16(sadd16(odd, left.1), left.1));
                column.put(self, sadd16(sadd16(even, right.0), right.0), sadd16(sadd16(odd, right.1), right.1));
                left = right;
            }
        }
        left
    }

    /// `output - low` for the low lane of `sums`, limited to 0 ..= 255.
    fn low(&self, sums: u32) -> u32;
    /// The same for the high lane.
    fn high(&self, sums: u32) -> u32;
}

/// Any scale, exactly as [`Requant::apply`](crate::quant::Requant::apply) rounds: `high = (sum m + 2^30) >> 31`, then halves
/// away from zero, which is what taking one from the negative ones does.
#[derive(Clone, Copy)]
struct AnyFinish {
    multiplier: i32,
    shift: u32,
    offset: i32,
}

impl AnyFinish {
    fn new(op: &Upsample2x) -> Self {
        let shift = op.requant.shift.unsigned_abs() & 31;
        let offset = (op.out_zero - i32::from(op.clamp.0)) << shift;
        Self { multiplier: op.requant.multiplier, shift, offset: offset + ((1 << shift) >> 1) }
    }

    /// `product` is `(sum m) >> 16`.
    #[inline(always)]
    fn finish(&self, product: i32) -> u32 {
        let high = (product + (1 << 14)) >> 15;
        usat8((self.offset + high + (high >> 31)) >> self.shift)
    }
}

impl Finish for AnyFinish {
    #[inline(always)]
    fn low(&self, sums: u32) -> u32 {
        self.finish(smlawb(self.multiplier, sums, 0))
    }

    #[inline(always)]
    fn high(&self, sums: u32) -> u32 {
        self.finish(smlawt(self.multiplier, sums, 0))
    }
}

/// As [`AnyFinish`] for outputs that are a ReLU's: -128 and more, -128 being zero. Sums that are not negative are rounded
/// twice by one shift, `(sum m + 2^30 + 2^(SHIFT + 15)) >> (SHIFT + 16)`, SHIFT being 15 more than the scale's; a negative one
/// gives zero or less, as it should.
#[derive(Clone, Copy)]
struct ReluFinish<const SHIFT: u32> {
    multiplier: i32,
}

impl<const SHIFT: u32> ReluFinish<SHIFT> {
    const OFFSET: i32 = (1 << 14) + (1 << (SHIFT - 1));
}

impl<const SHIFT: u32> Finish for ReluFinish<SHIFT> {
    #[inline(always)]
    fn low(&self, sums: u32) -> u32 {
        usat8_asr::<SHIFT>(smlawb(self.multiplier, sums, Self::OFFSET))
    }

    #[inline(always)]
    fn high(&self, sums: u32) -> u32 {
        usat8_asr::<SHIFT>(smlawt(self.multiplier, sums, Self::OFFSET))
    }

    /// Written out, because it takes every register there is, and three of the FPU's: s0 holds r7, LLVM's frame pointer,
    /// meanwhile, s2 and s3 the zero point.
    #[cfg(target_abi = "eabihf")]
    #[inline(always)]
    unsafe fn between(&self, column: &mut Column, (mut even, mut odd): (u32, u32), count: usize) -> (u32, u32) {
        if count == 0 {
            return (even, odd);
        }
        // Four outputs of the pairs $a and $b, by way of r7, to $to.
        #[rustfmt::skip]
        macro_rules! put {
            ($a:literal, $b:literal, $to:literal) => {
                concat!(
                    "smlawb r7, {m}, ", $a, ", {offset}\n smlawt ", $a, ", {m}, ", $a, ", {offset}\n",
                    "ssat r7, #8, r7, asr #{shift}\n ssat ", $a, ", #8, ", $a, ", asr #{shift}\n",
                    "bfi r7, ", $a, ", #16, #8\n",
                    "smlawb ", $a, ", {m}, ", $b, ", {offset}\n smlawt ", $b, ", {m}, ", $b, ", {offset}\n",
                    "ssat ", $a, ", #8, ", $a, ", asr #{shift}\n ssat ", $b, ", #8, ", $b, ", asr #{shift}\n",
                    "bfi r7, ", $a, ", #8, #8\n bfi r7, ", $b, ", #24, #8\n",
                    "str r7, ", $to,
                )
            };
        }
        // SAFETY: reads `count` positions of both rows and writes twice as many; r7 is put back.
        unsafe {
            asm!(
                "vmov s0, r7",
                "vmov s2, {t}",
                "vmov s3, {t}",
                "2:",
                "vmov {right}, {right_odd}, s2, s3",
                "ldr r7, [{near}]",
                "ldr {t}, [{near}, {far}]",
                "add {near}, {near}, {step}",
                "sxtab16 {right}, {right}, r7", "sxtab16 {right_odd}, {right_odd}, r7, ror #8",
                "sxtab16 {right}, {right}, r7", "sxtab16 {right_odd}, {right_odd}, r7, ror #8",
                "sxtab16 {right}, {right}, r7", "sxtab16 {right_odd}, {right_odd}, r7, ror #8",
                "sxtab16 {right}, {right}, {t}", "sxtab16 {right_odd}, {right_odd}, {t}, ror #8",
                // Both outputs are the sum of left and right and twice one of them.
                "sadd16 {t}, {even}, {right}", "sadd16 {u}, {odd}, {right_odd}",
                "sadd16 {even}, {even}, {even}", "sadd16 {odd}, {odd}, {odd}",
                "sadd16 {even}, {even}, {t}", "sadd16 {odd}, {odd}, {u}",
                "sadd16 {t}, {t}, {right}", "sadd16 {u}, {u}, {right_odd}",
                "sadd16 {t}, {t}, {right}", "sadd16 {u}, {u}, {right_odd}",
                put!("{even}", "{odd}", "[{out}]"),
                put!("{t}", "{u}", "[{out}, {step}]"),
                "add {out}, {out}, {step}, lsl #1",
                "mov {even}, {right}",
                "mov {odd}, {right_odd}",
                "subs {count}, {count}, #1",
                "bne 2b",
                "vmov r7, s0",
                near = inout(reg) column.near, far = in(reg) column.far.addr().wrapping_sub(column.near.addr()),
                out = inout(reg) column.out, step = in(reg) 4 * column.step, count = inout(reg) count => _,
                m = in(reg) self.multiplier, offset = in(reg) Self::OFFSET - (128 << SHIFT), shift = const SHIFT,
                even = inout(reg) even, odd = inout(reg) odd, t = inout(reg) column.zero => _, u = out(reg) _,
                right = out(reg) _, right_odd = out(reg) _,
                out("s0") _, out("s2") _, out("s3") _, options(nostack),
            );
        }
        (even, odd)
    }
}

/// All output rows; `from` and `to` are whole images, four channels to a word.
#[inline(never)]
fn upsample_rows(op: &Upsample2x, finish: &impl Finish, from: &[u32], to: &mut [u32]) {
    let channels = op.input.c / 4;
    let row_len = op.input.w * channels;
    let row = |y: usize| from.get(y * row_len..)?.get(..row_len);
    let last = op.input.h.saturating_sub(1);
    for (y, out) in to.chunks_exact_mut((2 * row_len).max(1)).enumerate() {
        let near = y / 2;
        // The other row lies above an even output row and below an odd one.
        let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(last) };
        let (Some(near), Some(far)) = (row(near), row(far)) else { return };
        for c in 0..channels {
            let column = Column {
                near: near.as_ptr().wrapping_add(c),
                far: far.as_ptr().wrapping_add(c),
                out: out.as_mut_ptr().wrapping_add(c),
                width: op.input.w,
                step: channels,
                zero: pair(-4 * op.in_zero),
                clamp: Clamp::new(op.clamp),
            };
            // SAFETY: the rows hold `width` positions of `step` words, `out` twice as many, and `c < step`.
            unsafe { column.run(finish) }
        }
    }
}

/// Four channels of one output row.
struct Column {
    near: *const u32,
    far: *const u32,
    out: *mut u32,
    /// Input positions.
    width: usize,
    /// Words of a position.
    step: usize,
    /// Takes off the zero point.
    zero: u32,
    clamp: Clamp,
}

impl Column {
    /// # Safety
    /// `near` and `far` point to `width` positions `step` words apart, `out` to twice as many.
    #[inline(always)]
    unsafe fn run<F: Finish>(mut self, finish: &F) {
        // SAFETY: `width` positions are read and two written for each.
        unsafe {
            let (even, odd) = self.next();
            self.put(finish, sadd16(even, triple(even)), sadd16(odd, triple(odd)));
            // An output lies between two inputs and takes three parts of the nearer: 2 x + 1 and 2 x + 2.
            let others = self.width - 1;
            let (even, odd) = finish.between(&mut self, (even, odd), others);
            self.put(finish, sadd16(even, triple(even)), sadd16(odd, triple(odd)));
        }
    }

    /// `3 near + far - 4 zero` of the next position: channels 0 and 2, 1 and 3.
    #[inline(always)]
    unsafe fn next(&mut self) -> (u32, u32) {
        // SAFETY: the caller takes no more positions than there are.
        let (near, far) = unsafe { (*self.near, *self.far) };
        self.near = self.near.wrapping_add(self.step);
        self.far = self.far.wrapping_add(self.step);
        let three = |sum, add: fn(u32, u32) -> u32| add(add(add(sum, near), near), near);
        (sxtab16(three(self.zero, sxtab16), far), sxtab16_odd(three(self.zero, sxtab16_odd), far))
    }

    #[inline(always)]
    unsafe fn put(&mut self, finish: &impl Finish, even: u32, odd: u32) {
        let quad = self.clamp.quad(finish.low(even), finish.low(odd), finish.high(even), finish.high(odd));
        // SAFETY: the caller puts no more positions than there are.
        unsafe { *self.out = quad }
        self.out = self.out.wrapping_add(self.step);
    }
}

/// Three times each lane.
#[inline(always)]
fn triple(pair: u32) -> u32 {
    sadd16(sadd16(pair, pair), pair)
}

/// Channels of a group in words that overlap where they have to.
pub(super) fn shift(op: &Shift, input: &[i8], output: &mut [i8]) {
    if !op.is_valid() || !op.fits(input, output) {
        return;
    }
    let (w, c) = (op.shape.w, op.shape.c);
    // Along y everything is one long run of positions, along x each row is one.
    let (run, unit) = match op.axis {
        Axis::Y => (op.shape.h * w, w),
        Axis::X => (w, 1),
    };
    let runs = input.chunks_exact((run * c).max(1)).zip(output.chunks_exact_mut((run * c).max(1)));
    for (from, to) in runs {
        let group = op.group();
        for g in 0..5 {
            let start = (g * group).min(c);
            let len = group.min(c - start);
            let by = (g as isize - 2) * unit as isize;
            let moved = Move { positions: run, by, step: c, zero: op.zero };
            // SAFETY: channels `start .. start + len` lie within a position of `step`, of which both slices hold `positions`.
            unsafe { moved.channels(from.as_ptr().add(start), to.as_mut_ptr().add(start), len) }
        }
    }
}

/// A move of some channels along a run of positions.
struct Move {
    positions: usize,
    by: isize,
    /// Channels of a position.
    step: usize,
    zero: i8,
}

impl Move {
    /// # Safety
    /// `from` and `to` point to the first of `len` channels of `positions` positions, `step` apart.
    unsafe fn channels(&self, from: *const i8, to: *mut i8, len: usize) {
        let zero = [self.zero as u8; 4];
        // SAFETY: parts lie within the `len` channels.
        unsafe {
            if len < 4 {
                for part in 0..len {
                    self.part(from.add(part).cast(), to.add(part).cast(), self.zero);
                }
                return;
            }
            let last = len - 4;
            for part in (0..last).step_by(4).chain([last]) {
                self.part(from.add(part).cast(), to.add(part).cast(), u32::from_le_bytes(zero));
            }
        }
    }

    /// # Safety
    /// As [`channels`](Self::channels), for channels that make one `T`.
    #[inline(always)]
    unsafe fn part<T: Copy>(&self, from: *const T, to: *mut T, zero: T) {
        let gap = self.by.unsigned_abs().min(self.positions);
        let kept = self.positions - gap;
        let (skip, put, empty) = if self.by < 0 { (gap, 0, kept) } else { (0, gap, 0) };
        // SAFETY: `skip + kept`, `put + kept` and `empty + gap` are at most `positions`. Where none is kept, a pointer may lie
        // behind the last position, and is not used.
        unsafe {
            let mut source = from.wrapping_byte_add(skip * self.step);
            let mut target = to.wrapping_byte_add(put * self.step);
            for _ in 0..kept {
                target.write_unaligned(source.read_unaligned());
                source = source.wrapping_byte_add(self.step);
                target = target.wrapping_byte_add(self.step);
            }
            let mut target = to.wrapping_byte_add(empty * self.step);
            for _ in 0..gap {
                target.write_unaligned(zero);
                target = target.wrapping_byte_add(self.step);
            }
        }
    }
}
