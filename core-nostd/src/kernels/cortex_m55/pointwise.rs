//! Operators on single elements or positions: addition, joining, tables, classes. Loops take whole vectors and mask out what is left
//! at the end (WLSTP, LETP).
//!
//! # Cost
//! Instructions an element of the output, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C
//! target-feature=+mve,+lob`, opt-level 3, fat LTO):
//!
//! | operator | portable kernels | here |
//! |---|---|---|
//! | addition, 32x32x32 | 66.0 | 6.75 |
//! | joining, 32x32x32 twice | 5.22 | 0.810 |
//! | table, 32x32x32 | 4.25 | 0.314 |
//! | class, of four, a pixel | 58.0 | 2.19 |
#![allow(unsafe_code)]

use core::arch::asm;

use super::block::is_plain;
use crate::kernels::{Add, Concat, Table};

/// What the assembly of [`add`] reads.
#[repr(C)]
struct AddBlock {
    shift_a: [i32; 4],
    shift_b: [i32; 4],
    shift_out: [i32; 4],
    low: [i32; 4],
    high: [i32; 4],
    len: usize,
    a: *const i8,
    b: *const i8,
    out: *mut i8,
    a_zero: i32,
    b_zero: i32,
    left_shift: u32,
    a_multiplier: i32,
    b_multiplier: i32,
    out_multiplier: i32,
    out_zero: i32,
}

/// Runs a valid `op` on slices that fit it. `None`, with nothing done, where vectors would not scale as the definition does.
pub(super) fn add(op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) -> Option<()> {
    let (len, out) = (output.len(), output.as_mut_ptr());
    if a.len() != len || b.len() != len {
        return None;
    }
    // SAFETY: all three have this length.
    unsafe { add_to(op, a.as_ptr(), b.as_ptr(), out, len) }
}

/// [`add`] where `None` stands for what `values` holds.
pub(super) fn add_in_place(op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) -> Option<()> {
    let (len, out) = (values.len(), values.as_mut_ptr());
    if [a, b].into_iter().flatten().any(|part| part.len() != len) {
        return None;
    }
    let source = |part: Option<&[i8]>| part.map_or(out.cast_const(), <[i8]>::as_ptr);
    // SAFETY: all of them have this length.
    unsafe { add_to(op, source(a), source(b), out, len) }
}

/// # Safety
/// `a` and `b` can be read and `out` written for `len` elements; either may be `out`, since a vector is read before it is
/// written.
unsafe fn add_to(op: &Add, a: *const i8, b: *const i8, out: *mut i8, len: usize) -> Option<()> {
    if ![op.a, op.b, op.out].into_iter().all(is_plain) {
        return None;
    }
    let block = AddBlock {
        shift_a: [op.a.shift; 4],
        shift_b: [op.b.shift; 4],
        shift_out: [op.out.shift; 4],
        low: [i32::from(op.clamp.0); 4],
        high: [i32::from(op.clamp.1); 4],
        len,
        a,
        b,
        out,
        a_zero: op.a_zero,
        b_zero: op.b_zero,
        left_shift: op.left_shift,
        a_multiplier: op.a.multiplier,
        b_multiplier: op.b.multiplier,
        out_multiplier: op.out.multiplier,
        out_zero: op.out_zero,
    };
    // SAFETY: reads and writes `len` elements, which the caller promises: lanes beyond are masked out by the loop. Reads the
    // block, whose numbers from `len` on lie 80 bytes after its start.
    unsafe {
        asm!(
            "vldrw.u32 q3, [r0]",
            "vldrw.u32 q4, [r0, #16]",
            "vldrw.u32 q5, [r0, #32]",
            "vldrw.u32 q6, [r0, #48]",
            "vldrw.u32 q7, [r0, #64]",
            "ldr lr, [r0, #80]",
            "ldrd r1, r2, [r0, #84]",
            "ldrd r3, r4, [r0, #92]",
            "ldrd r5, r8, [r0, #100]",
            "ldrd r9, r10, [r0, #108]",
            "ldrd r12, r0, [r0, #116]",
            "wlstp.32 lr, lr, 3f",
            "2:",
            "vldrb.s32 q0, [r1], #4",
            "vldrb.s32 q1, [r2], #4",
            "vsub.i32 q0, q0, r4",
            "vsub.i32 q1, q1, r5",
            "vshl.s32 q0, r8",
            "vshl.s32 q1, r8",
            "vqrdmulh.s32 q0, q0, r9",
            "vqrdmulh.s32 q1, q1, r10",
            "vand q2, q0, q3",
            "vshr.s32 q2, q2, #31",
            "vqadd.s32 q0, q0, q2",
            "vrshl.s32 q0, q0, q3",
            "vand q2, q1, q4",
            "vshr.s32 q2, q2, #31",
            "vqadd.s32 q1, q1, q2",
            "vrshl.s32 q1, q1, q4",
            "vadd.i32 q0, q0, q1",
            "vqrdmulh.s32 q0, q0, r12",
            "vand q2, q0, q5",
            "vshr.s32 q2, q2, #31",
            "vqadd.s32 q0, q0, q2",
            "vrshl.s32 q0, q0, q5",
            "vadd.i32 q0, q0, r0",
            "vmax.s32 q0, q0, q6",
            "vmin.s32 q0, q0, q7",
            "vstrb.32 q0, [r3], #4",
            "letp lr, 2b",
            "3:",
            inout("r0") &block => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _, out("r10") _,
            out("r12") _, out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _,
            out("d15") _,
            options(nostack)
        );
    }
    Some(())
}

/// Runs `op` on slices of one length.
pub(super) fn table(op: &Table<'_>, input: &[i8], output: &mut [i8]) {
    let len = input.len().min(output.len());
    // SAFETY: both have this length.
    unsafe { table_to(op, input.as_ptr(), output.as_mut_ptr(), len) }
}

/// Replaces `values` by what the table has for them.
pub(super) fn table_in_place(op: &Table<'_>, values: &mut [i8]) {
    let (len, out) = (values.len(), values.as_mut_ptr());
    // SAFETY: that is its length.
    unsafe { table_to(op, out.cast_const(), out, len) }
}

/// # Safety
/// `input` can be read and `output` written for `len` elements; they may be the same, since a vector is read before it is
/// written.
unsafe fn table_to(op: &Table<'_>, input: *const i8, output: *mut i8, len: usize) {
    // SAFETY: reads and writes `len` elements, which the caller promises: lanes beyond are masked out by the loop. An element
    // with its top bit flipped is a place of the table, which has 256.
    unsafe {
        asm!(
            "vmov.i8 q1, #128",
            "wlstp.8 lr, {len}, 3f",
            "2:",
            "vldrb.u8 q0, [{input}], #16",
            "veor q0, q0, q1",
            "vldrb.u8 q2, [{table}, q0]",
            "vstrb.8 q2, [{output}], #16",
            "letp lr, 2b",
            "3:",
            len = in(reg) len,
            table = in(reg) op.table.as_ptr(),
            input = inout(reg) input => _,
            output = inout(reg) output => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _,
            options(nostack)
        );
    }
}

/// Runs a valid `op` on slices that fit it: what becomes of each of the 256 values is worked out once.
pub(super) fn concat(op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
    let [first, second] = op.values();
    let look_up = |values, from: &[i8], to: &mut [i8]| table(&Table { table: values }, from, to);
    op.join(a, b, output, |from, to| look_up(&first, from, to), |from, to| look_up(&second, from, to));
}

/// Most classes: lanes reach their logits with places of 8 bits.
const MAX_CLASSES: usize = 17;

/// The first of the largest logits of each pixel, 16 pixels at a time. `None`, with nothing done, for other lengths than
/// `classes` a pixel or more classes than lanes can reach. Not inlined, since the compiler cannot be told that it changes the
/// predicate register.
#[inline(never)]
pub(super) fn classify(logits: &[i8], classes: usize, out: &mut [u8]) -> Option<()> {
    if !(1..=MAX_CLASSES).contains(&classes) || logits.len() != out.len().checked_mul(classes)? {
        return None;
    }
    // SAFETY: lane i reads bytes `i classes` to `i classes + classes - 1` behind the first logit of 16 pixels and writes
    // byte i behind the first class; lanes beyond the last pixel are masked out by the loop.
    unsafe {
        asm!(
            "vidup.u8 q3, r0, #1",
            "vmul.i8 q3, q3, {classes}",
            "wlstp.8 lr, {len}, 3f",
            "2:",
            "vldrb.u8 q0, [{logits}, q3]",
            "vmov.i8 q1, #0",
            "movs r0, #1",
            "4:",
            "cmp r0, {classes}",
            "beq 5f",
            "adds {at}, {logits}, r0",
            "vldrb.u8 q2, [{at}, q3]",
            "vptt.s8 gt, q2, q0",
            "vmovt q0, q2",
            "vdupt.8 q1, r0",
            "adds r0, r0, #1",
            "b 4b",
            "5:",
            "vstrb.8 q1, [{out}], #16",
            "add {logits}, {logits}, {classes}, lsl #4",
            "letp lr, 2b",
            "3:",
            classes = in(reg) classes,
            len = in(reg) out.len(),
            at = out(reg) _,
            logits = inout(reg) logits.as_ptr() => _,
            out = inout(reg) out.as_mut_ptr() => _,
            inout("r0") 0 => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            options(nostack)
        );
    }
    Some(())
}
