//! Operators on elements: sum, tables and joining.
//!
//! # Cost
//! Instructions an element of the output, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64` (rustc 1.95
//! without flags, opt-level 3):
//!
//! | operator | portable kernels | here |
//! |---|---|---|
//! | addition, 32x32x32 | 11.8 | 7.19 |
//! | joining, 32x32x32 twice | 5.65 | 1.45 |
//! | table, 32x32x32 | 5.00 | 0.689 |

#![allow(unsafe_code)]

use core::arch::aarch64::{
    int8x16_t, int8x16x4_t, int32x4_t, vaddq_s32, vdup_n_s8, vdupq_n_s32, vdupq_n_u8, veorq_u8, vget_high_s8,
    vget_high_s16, vget_low_s8, vget_low_s16, vld1q_s8, vld1q_s8_x4, vld1q_u8, vmovl_s16, vqtbl4q_s8, vqtbx4q_s8,
    vshlq_s32, vst1q_s8, vsubl_s8, vsubq_u8,
};

use super::scale::{Lanes, Range};
use crate::kernels::{Add, Concat};

/// Runs a valid `op` on slices that fit it; false, with nothing done, if a scale is not for these kernels.
pub(super) fn add(op: &Add, a: &[i8], b: &[i8], output: &mut [i8]) -> bool {
    if ![op.a, op.b, op.out].into_iter().all(Lanes::can_hold) {
        return false;
    }
    let (a_scale, b_scale, scale) = (Lanes::all(op.a), Lanes::all(op.b), Lanes::all(op.out));
    let range = Range::new(op.out_zero, op.clamp);
    let (blocks, rest) = output.as_chunks_mut::<16>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for ((out, a), b) in blocks.iter_mut().zip(a).zip(b) {
        let (a, b) = (shifted(a, op.a_zero, op.left_shift), shifted(b, op.b_zero, op.left_shift));
        // SAFETY: NEON is always there, and a block holds 16 bytes.
        unsafe {
            let sum = |i: usize| scale.apply(vaddq_s32(a_scale.apply(a[i]), b_scale.apply(b[i])));
            vst1q_s8(out.as_mut_ptr(), range.activations([sum(0), sum(1), sum(2), sum(3)]));
        }
    }
    for ((out, &a), &b) in rest.iter_mut().zip(a_rest).zip(b_rest) {
        *out = op.sum(a, b);
    }
    true
}

/// `(q - zero) << left`.
#[inline(always)]
fn shifted(q: &[i8; 16], zero: i32, left: u32) -> [int32x4_t; 4] {
    // SAFETY: NEON is always there, and 16 bytes are read. Zero points are bytes.
    unsafe {
        let (q, zero, left) = (vld1q_s8(q.as_ptr()), vdup_n_s8(zero as i8), vdupq_n_s32(left as i32));
        let (low, high) = (vsubl_s8(vget_low_s8(q), zero), vsubl_s8(vget_high_s8(q), zero));
        [vget_low_s16(low), vget_high_s16(low), vget_low_s16(high), vget_high_s16(high)]
            .map(|half| vshlq_s32(vmovl_s16(half), left))
    }
}

/// Runs a valid `op` on slices that fit it.
pub(super) fn concat(op: &Concat, a: &[i8], b: &[i8], output: &mut [i8]) {
    let [first, second] = op.values();
    op.join(a, b, output, |from, to| table(&first, from, to), |from, to| table(&second, from, to));
}

/// `output[i] = values[input[i] + 128]`, for slices of one length: TBL over four times 64 values.
#[inline(always)]
pub(super) fn table(values: &[i8; 256], input: &[i8], output: &mut [i8]) {
    let (blocks, rest) = output.as_chunks_mut::<16>();
    let (input, input_rest) = input.as_chunks::<16>();
    if !blocks.is_empty() {
        // SAFETY: NEON is always there; the table has four quarters of 64 values.
        let quarters: [int8x16x4_t; 4] = unsafe { [0, 64, 128, 192].map(|at| vld1q_s8_x4(values.as_ptr().add(at))) };
        for (out, q) in blocks.iter_mut().zip(input) {
            // SAFETY: NEON is always there, and a block holds 16 bytes.
            unsafe { vst1q_s8(out.as_mut_ptr(), look_up(&quarters, q)) };
        }
    }
    for (out, &q) in rest.iter_mut().zip(input_rest) {
        *out = values[usize::from(q as u8 ^ 0x80)];
    }
}

#[inline(always)]
fn look_up(quarters: &[int8x16x4_t; 4], q: &[i8; 16]) -> int8x16_t {
    // SAFETY: NEON is always there, and 16 bytes are read.
    unsafe {
        // Flipping the sign bit adds 128. An index beyond its quarter leaves what is there.
        let index = veorq_u8(vld1q_u8(q.as_ptr().cast()), vdupq_n_u8(0x80));
        let found = vqtbl4q_s8(quarters[0], index);
        let found = vqtbx4q_s8(found, quarters[1], vsubq_u8(index, vdupq_n_u8(64)));
        let found = vqtbx4q_s8(found, quarters[2], vsubq_u8(index, vdupq_n_u8(128)));
        vqtbx4q_s8(found, quarters[3], vsubq_u8(index, vdupq_n_u8(192)))
    }
}
