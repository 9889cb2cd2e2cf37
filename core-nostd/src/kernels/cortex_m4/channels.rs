//! All filters of a layer over four windows, with bias, scale and store: the whole of a convolution but the gathering.
//!
//! # Cost
//! A filter of `b` blocks of four weights takes `13 b` instructions, 2 for every four blocks and for each one left over, and
//! about 48 for its four outputs: bias, constants, five instructions an output, and the store. A multiply-accumulate by that,
//! and with the gathering, which counts for less the more filters there are, counted in QEMU by `firmware-demo/run.sh bench m4`
//! (Cortex-M4, `-C target-cpu=cortex-m4`, opt-level 3, fat LTO):
//!
//! | layer | blocks | here | whole convolution |
//! |---|---|---|---|
//! | 3x3, 1 channel | 3 | 2.58 | 3.50 |
//! | 1x1, 32 channels | 8 | 1.23 | 1.30 |
//! | 3x3, 8 channels | 18 | 1.02 | 1.77 |
//! | 3x3, 16 channels | 36 | 0.93 | 1.17 |
//! | 3x3, 64 channels | 144 | 0.87 | 0.91 |

use core::arch::naked_asm;

use super::blocks::all_blocks;
use super::columns::{COLUMNS, Columns, Filters, Scale};
use crate::kernels::Conv2d;

/// What [`run`] reads, in the order in which it does.
#[repr(C)]
struct Job {
    columns: *const u32,
    /// Blocks less four.
    blocks: isize,
    out_zero: i32,
    /// Channel 0 of the first position.
    out: *mut i8,
    /// From a position to the next.
    stride: usize,
    /// Beyond the last channel's record.
    end: *const u8,
    filters: *const u8,
    records: *const u8,
}

/// Writes all channels of four positions, `block`. `false`, with nothing written, where the layer's scales, filters or records do
/// not allow it.
#[inline(always)]
pub(super) fn all(
    op: &Conv2d<'_>,
    columns: &Columns<'_>,
    filters: &Filters<'_>,
    scale: &Scale,
    block: &mut [i8],
) -> bool {
    let records = op.params.records().as_flattened();
    let aligned = records.as_ptr().addr().is_multiple_of(4);
    let &Filters::Padded { all, .. } = filters else { return false };
    if !scale.folds || !aligned || records.is_empty() || block.len() != COLUMNS * op.output.c {
        return false;
    }
    let job = Job {
        columns: columns.words.as_ptr(),
        blocks: columns.blocks as isize - 4,
        out_zero: scale.out_zero,
        out: block.as_mut_ptr(),
        stride: op.output.c,
        end: records.as_ptr_range().end,
        filters: all.as_ptr(),
        records: records.as_ptr(),
    };
    // SAFETY: `columns` has its blocks; there are as many padded filters and aligned records as channels, at least one; `block`
    // holds that many channels of four positions.
    unsafe { run(&job) };
    true
}

/// For each channel: four sums that begin with the bias, then `out_zero + ` the two roundings of
/// [`Requant::apply`](crate::quant::Requant::apply), saturated to eight bits. The sign that the second rounding takes from the
/// first one's result is taken from the sum: they differ only where that result is 0, and then it makes no difference.
///
/// # Safety
/// The job's pointers must be good for what they stand for; sums stay below 2^30, multipliers are not negative, shifts within
/// -22 ..= -1.
#[unsafe(naked)]
unsafe extern "C" fn run(job: &Job) {
    naked_asm!(
        // Assembly of a naked function does not see the flags that give an Armv8-M core the DSP extension.
        ".arch armv7e-m",
        ".macro kscout_scale sum",
        "add r7, r6, \\sum, asr #31",
        "lsl \\sum, \\sum, #1",
        "smmlar \\sum, \\sum, r4, r7",
        "asr \\sum, \\sum, r5",
        "ssat \\sum, #8, \\sum",
        ".endm",
        "push {{r4-r11, lr}}",
        "ldmia r0, {{r1-r8}}",
        "push {{r1-r6}}",
        "mov r1, r7",
        "mov r3, r8",
        // A filter.
        "6:",
        "ldrd r0, r2, [sp]",
        "ldr r8, [r3], #4",
        "mov r9, r8",
        "mov r10, r8",
        "mov r11, r8",
        "cmp r2, #0",
        all_blocks!(),
        // Its four outputs: r4 multiplier, r5 shift, r6 what is added before it.
        "ldmia r3!, {{r4, r5}}",
        "ldrd r6, r0, [sp, #8]",
        "ldrd r2, lr, [sp, #16]",
        "rsb r5, r5, #0",
        "mov r7, #1",
        "lsl r7, r7, r5",
        "lsl r6, r6, r5",
        "add r6, r6, r7, lsr #1",
        "kscout_scale r8",
        "kscout_scale r9",
        "kscout_scale r10",
        "kscout_scale r11",
        "strb r8, [r0]",
        "strb r9, [r0, r2]",
        "strb r10, [r0, r2, lsl #1]",
        "add r2, r2, r2, lsl #1",
        "strb r11, [r0, r2]",
        "add r0, r0, #1",
        "str r0, [sp, #12]",
        "cmp r3, lr",
        "bne 6b",
        "add sp, sp, #24",
        "pop {{r4-r11, pc}}",
        ".purgem kscout_scale",
    )
}
