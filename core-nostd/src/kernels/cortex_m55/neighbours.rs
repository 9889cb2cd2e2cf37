//! Operators that look at neighbours: maximum pooling, interpolation, shift.
//!
//! # Cost
//! Instructions an element of the output, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C
//! target-feature=+mve,+lob`, opt-level 3, fat LTO); interpolation with corners aligned is [`Portable`](super::Portable)'s:
//!
//! | operator | portable kernels | here |
//! |---|---|---|
//! | maximum of 2x2, 64x64x16 | 17.7 | 1.37 |
//! | interpolation, half-pixel centres, 32x32x16 | 37.8 | 4.58 |
//! | interpolation, corners aligned, 32x32x16 | 47.2 | 47.2 |
//! | shift along y, 16x16x128 | 4.62 | 1.39 |
//! | shift along x, 16x16x128 | 4.45 | 1.42 |
#![allow(unsafe_code)]

use core::arch::asm;

use super::block::is_plain;
use super::copy::{copy, fill};
use crate::kernels::{Axis, Corners, MaxPool, Shift, Upsample2x};

/// Channels of a vector of maxima.
const LANES: usize = 16;

/// Runs a valid `op` with windows of 2x2 on slices that fit it. `None`, with nothing done, for other windows.
pub(super) fn max_pool(op: &MaxPool, input: &[i8], output: &mut [i8]) -> Option<()> {
    let shape = op.output().filter(|_| op.kernel == 2)?;
    let row_len = op.input.w * op.input.c;
    for (y, out) in output.chunks_exact_mut((shape.w * shape.c).max(1)).enumerate() {
        let upper = input.get(y * op.stride * row_len..)?.get(..2 * row_len)?;
        max_pool_row(op, upper, row_len, shape.w, out)?;
    }
    Some(())
}

/// One row of `count` outputs from two rows of inputs. Not inlined, since the compiler cannot be told that it changes the
/// predicate register.
#[inline(never)]
fn max_pool_row(op: &MaxPool, rows: &[i8], row_len: usize, count: usize, out: &mut [i8]) -> Option<()> {
    let channels = op.input.c;
    let step = op.stride * channels;
    let read = count.checked_sub(1)? * step + 2 * channels;
    if read > row_len || rows.len() != 2 * row_len || out.len() != count * channels {
        return None;
    }
    for first in (0..channels).step_by(LANES) {
        // SAFETY: lane i < channels - first reads channel `first + i` of the two columns of `count` windows in both rows, the
        // last of which ends at `read` within its row, and writes that channel of `count` outputs, which is what `out`
        // holds. Lanes beyond are masked out.
        unsafe {
            asm!(
                "vdup.8 q4, {low}",
                "vdup.8 q5, {high}",
                "vctp.8 {lanes}",
                "2:",
                "add {low}, {upper}, {channels}",
                "add {high}, {lower}, {channels}",
                "vpstttt",
                "vldrbt.u8 q0, [{upper}]",
                "vldrbt.u8 q1, [{low}]",
                "vldrbt.u8 q2, [{lower}]",
                "vldrbt.u8 q3, [{high}]",
                "vmax.s8 q0, q0, q1",
                "vmax.s8 q2, q2, q3",
                "vmax.s8 q0, q0, q2",
                "vmax.s8 q0, q0, q4",
                "vmin.s8 q0, q0, q5",
                "vpst",
                "vstrbt.8 q0, [{out}]",
                "add {upper}, {upper}, {step}",
                "add {lower}, {lower}, {step}",
                "add {out}, {out}, {channels}",
                "subs {count}, {count}, #1",
                "bne 2b",
                low = inout(reg) i32::from(op.clamp.0) => _,
                high = inout(reg) i32::from(op.clamp.1) => _,
                lanes = in(reg) channels - first,
                channels = in(reg) channels,
                step = in(reg) step,
                upper = inout(reg) rows.as_ptr().wrapping_add(first) => _,
                lower = inout(reg) rows.as_ptr().wrapping_add(row_len + first) => _,
                out = inout(reg) out.as_mut_ptr().wrapping_add(first) => _,
                count = inout(reg) count => _,
                out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
                out("d8") _, out("d9") _, out("d10") _, out("d11") _,
                options(nostack)
            );
        }
    }
    Some(())
}

/// Channels that are interpolated side by side.
const FOUR: usize = 4;

/// Runs a valid `op` with half-pixel centres on slices that fit it. `None` where vectors would not scale as the definition
/// does, for other centres and for fewer than four channels.
pub(super) fn upsample2x(op: &Upsample2x, input: &[i8], output: &mut [i8]) -> Option<()> {
    if op.corners != Corners::HalfPixel || !is_plain(op.requant) || op.input.c < FOUR {
        return None;
    }
    let row_len = op.input.w * op.input.c;
    let last = op.input.h.checked_sub(1)?;
    for (y, out) in output.chunks_exact_mut((2 * row_len).max(1)).enumerate() {
        let near = y / 2;
        // The other row lies above an even output row and below an odd one.
        let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(last) };
        let row = |y: usize| input.get(y * row_len..)?.get(..row_len);
        upsample_row(op, row(near)?, row(far)?, out)?;
    }
    Some(())
}

/// What the assembly of [`upsample_row`] reads.
#[repr(C)]
struct RowBlock {
    shift: [i32; FOUR],
    low: [i32; FOUR],
    high: [i32; FOUR],
    near: *const i8,
    far: *const i8,
    out: *mut i8,
    channels: usize,
    more_columns: usize,
    multiplier: i32,
    out_zero: i32,
    four_zeros: i32,
}

/// One output row from the nearer and the farther input row. Columns are blended first, `v = 3 near + far`; an input column's
/// two outputs are `3 v` and the `v` of the column before or after.
fn upsample_row(op: &Upsample2x, near: &[i8], far: &[i8], out: &mut [i8]) -> Option<()> {
    let channels = op.input.c;
    let row_len = op.input.w.checked_mul(channels)?;
    if near.len() != row_len || far.len() != row_len || out.len() != 2 * row_len || channels < FOUR || op.input.w == 0 {
        return None;
    }
    for first in (0..channels).step_by(FOUR) {
        // The last four overlap those before.
        let first = first.min(channels - FOUR);
        let block = RowBlock {
            shift: [op.requant.shift; FOUR],
            low: [i32::from(op.clamp.0); FOUR],
            high: [i32::from(op.clamp.1); FOUR],
            near: near.as_ptr().wrapping_add(first),
            far: far.as_ptr().wrapping_add(first),
            out: out.as_mut_ptr().wrapping_add(first),
            channels,
            more_columns: op.input.w - 1,
            multiplier: op.requant.multiplier,
            out_zero: op.out_zero,
            four_zeros: 4 * op.in_zero,
        };
        // SAFETY: of both rows four bytes from channel `first` on of each of the `w` columns are read, and as many written of
        // each of the `2 w` columns of the output: `first + 4` is at most the number of channels, and the slices' lengths were
        // checked. Reads the block, whose numbers from `near` on lie 48 bytes after its start.
        unsafe {
            asm!(
                "vldrw.u32 q5, [r0]",
                "vldrw.u32 q6, [r0, #16]",
                "vldrw.u32 q7, [r0, #32]",
                "ldrd r1, r2, [r0, #48]",
                "ldrd r3, r4, [r0, #56]",
                "ldrd r5, r8, [r0, #64]",
                "ldrd r9, r10, [r0, #72]",
                "mov r12, #3",
                "vldrb.s32 q1, [r2]",
                "vldrb.s32 q3, [r1]",
                "vmla.s32 q1, q3, r12",
                "vsub.i32 q1, q1, r10",
                "vmov q0, q1",
                // v of the column before in q0, of this one in q1, of the next in q2; the last one's next is itself.
                "2:",
                "vmov q2, q1",
                "cbz r5, 3f",
                "add r1, r1, r4",
                "add r2, r2, r4",
                "vldrb.s32 q2, [r2]",
                "vldrb.s32 q3, [r1]",
                "vmla.s32 q2, q3, r12",
                "vsub.i32 q2, q2, r10",
                "3:",
                "vmov q3, q2",
                "vmla.s32 q0, q1, r12",
                "vmla.s32 q3, q1, r12",
                "vqrdmulh.s32 q0, q0, r8",
                "vqrdmulh.s32 q3, q3, r8",
                "vand q4, q0, q5",
                "vshr.s32 q4, q4, #31",
                "vqadd.s32 q0, q0, q4",
                "vand q4, q3, q5",
                "vshr.s32 q4, q4, #31",
                "vqadd.s32 q3, q3, q4",
                "vrshl.s32 q0, q0, q5",
                "vrshl.s32 q3, q3, q5",
                "vadd.i32 q0, q0, r9",
                "vadd.i32 q3, q3, r9",
                "vmax.s32 q0, q0, q6",
                "vmax.s32 q3, q3, q6",
                "vmin.s32 q0, q0, q7",
                "vmin.s32 q3, q3, q7",
                "add r0, r3, r4",
                "vstrb.32 q0, [r3]",
                "vstrb.32 q3, [r0]",
                "add r3, r0, r4",
                "vmov q0, q1",
                "vmov q1, q2",
                "subs r5, r5, #1",
                "bpl 2b",
                inout("r0") &block => _,
                out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _,
                out("r10") _, out("r12") _,
                out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
                out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _,
                out("d15") _,
                options(nostack)
            );
        }
    }
    Some(())
}

/// Runs a valid `op` on slices that fit it.
pub(super) fn shift(op: &Shift, input: &[i8], output: &mut [i8]) -> Option<()> {
    let (w, channels) = (op.shape.w, op.shape.c.max(1));
    let group = op.group().max(1);
    for (position, out) in output.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (position / w.max(1), position % w.max(1));
        for (g, out) in out.chunks_mut(group).enumerate() {
            // Moved by g - 2: it comes from 2 - g further on. Wrapping below zero ends outside as well.
            let (from_y, from_x) = match op.axis {
                Axis::Y => ((y + 2).wrapping_sub(g), x),
                Axis::X => (y, (x + 2).wrapping_sub(g)),
            };
            if from_y < op.shape.h && from_x < w {
                copy(input.get((from_y * w + from_x) * channels + g * group..)?, out)?;
            } else {
                fill(out, op.zero);
            }
        }
    }
    Some(())
}
