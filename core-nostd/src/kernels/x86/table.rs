//! Tables, and concatenation as two of them.
//!
//! # Cost
//! Picoseconds an element of the output, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without flags, opt-level
//! 3: the best times of four runs of `tests/targets/run.sh bench x86-64`:
//!
//! | operator | portable kernels | AVX2 | AVX-VNNI | AVX-512 |
//! |---|---|---|---|---|
//! | joining, 32x32x32 twice | 223 | 236 | 232 | 88.6 |
//! | table, 32x32x32 | 211 | 212 | 216 | 11.6 |
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use crate::kernels::{Concat, Int8Kernels, Portable, Table};

/// Looks up 64 values at a time: two permutations of bytes have half of the table each, and the sign says which is right.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn look_up(table: &[i8; 256], input: &[i8], output: &mut [i8]) {
    let count = input.len().min(output.len());
    // SAFETY: both slices have so many values.
    unsafe { look_up_at(table, input.as_ptr(), output.as_mut_ptr(), count) }
}

/// As [`look_up`], the results in place of the values.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn look_up_in_place(table: &[i8; 256], values: &mut [i8]) {
    let at = values.as_mut_ptr();
    // SAFETY: the slice has so many values.
    unsafe { look_up_at(table, at.cast_const(), at, values.len()) }
}

/// # Safety
/// `count` values can be read and written; they are the same or lie apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn look_up_at(table: &[i8; 256], input: *const i8, output: *mut i8, count: usize) {
    let (parts, _) = table.as_chunks::<64>();
    let &[p0, p1, p2, p3] = parts.first_chunk::<4>().unwrap_or(&[[0; 64]; 4]);
    // SAFETY: 64 bytes each.
    let [p0, p1, p2, p3] = [p0, p1, p2, p3].map(|part| unsafe { _mm512_loadu_epi8(part.as_ptr()) });
    for at in (0..count).step_by(64) {
        let rest = count - at;
        let mask = if rest >= 64 { u64::MAX } else { (1 << rest) - 1 };
        // SAFETY: the mask leaves out what lies beyond the values.
        unsafe {
            let q = _mm512_maskz_loadu_epi8(mask, input.add(at));
            // The lower seven bits of q count from -128 for a negative one, from 0 for the others.
            let (negative, other) = (_mm512_permutex2var_epi8(p0, q, p1), _mm512_permutex2var_epi8(p2, q, p3));
            let values = _mm512_mask_blend_epi8(_mm512_movepi8_mask(q), other, negative);
            _mm512_mask_storeu_epi8(output.add(at), mask, values);
        }
    }
}

/// Runs a valid `op` on slices that fit it. `vbmi`: whether the CPU has what [`look_up`] needs.
pub(super) fn concat(op: &Concat, a: &[i8], b: &[i8], output: &mut [i8], vbmi: bool) {
    let [first, second] = op.values().map(Values::new);
    op.join(a, b, output, |from, to| first.map(from, to, vbmi), |from, to| second.map(from, to, vbmi));
}

/// What each value becomes.
struct Values {
    table: [i8; 256],
    /// Itself.
    same: bool,
}

impl Values {
    fn new(table: [i8; 256]) -> Self {
        Self { same: table.iter().copied().eq(i8::MIN..=i8::MAX), table }
    }

    #[inline(always)]
    fn map(&self, from: &[i8], to: &mut [i8], vbmi: bool) {
        if self.same {
            to.iter_mut().zip(from).for_each(|(to, &q)| *to = q);
        } else if vbmi {
            // SAFETY: the caller knows that the CPU has the features.
            unsafe { look_up(&self.table, from, to) };
        } else {
            Portable.table(&Table { table: &self.table }, from, to);
        }
    }
}
