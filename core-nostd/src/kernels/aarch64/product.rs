//! Sums of products: a block of filters over a few positions, with SDOT or with plain NEON.
//!
//! # Cost
//! Nearly all that the largest layer of [`conv`](super::conv)'s table takes, 3x3 16x16 64->64: 0.088 instructions a
//! multiply-accumulate with SDOT, 0.307 without, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64` (rustc 1.95
//! without flags, opt-level 3). SDOT alone would take 0.063.

#![allow(unsafe_code)]

use core::arch::aarch64::{
    int8x16_t, int32x4_t, vdupq_laneq_s32, vdupq_n_s32, vget_low_s8, vld1q_s8, vmull_high_s8, vmull_s8, vpadalq_s16,
    vpaddq_s32, vreinterpretq_s8_s32, vreinterpretq_s32_s8,
};
use core::arch::asm;

/// Filters of a block: four vectors of four.
pub(super) const FILTERS: usize = 16;
/// Bytes of a run: weights of a filter that lie together.
pub(super) const RUN: usize = 4;
/// Bytes of one run of a block.
pub(super) const RUN_BYTES: usize = FILTERS * RUN;

/// How products are summed.
pub(super) trait Products {
    /// Sums of four filters, not yet complete.
    type Sums: Copy;

    fn none() -> Self::Sums;

    /// Adds the products of four filters' runs in `weights` and the run number `LANE` of `input`.
    ///
    /// # Safety
    /// The core has the instructions.
    unsafe fn add<const LANE: i32>(sums: Self::Sums, weights: int8x16_t, input: int8x16_t) -> Self::Sums;

    fn total(sums: Self::Sums) -> int32x4_t;
}

/// SDOT: four products a lane (feature `dotprod`: Cortex-A55, A75, A76 and later, Apple M1 and later).
pub(super) struct Dot;

impl Products for Dot {
    type Sums = int32x4_t;

    #[inline(always)]
    fn none() -> int32x4_t {
        // SAFETY: NEON is always there.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    unsafe fn add<const LANE: i32>(mut sums: int32x4_t, weights: int8x16_t, input: int8x16_t) -> int32x4_t {
        // SAFETY: the caller says that the core has SDOT; it touches registers only. (Its intrinsic is stable from Rust 1.98.)
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {sums:v}.4s, {weights:v}.16b, {input:v}.4b[{lane}]",
                sums = inout(vreg) sums,
                weights = in(vreg) weights,
                input = in(vreg) input,
                lane = const LANE,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }

    #[inline(always)]
    fn total(sums: int32x4_t) -> int32x4_t {
        sums
    }
}

/// SMULL and SADALP: eight products of 16 bits, added in pairs, which always fit.
pub(super) struct Pairs;

impl Products for Pairs {
    type Sums = [int32x4_t; 2];

    #[inline(always)]
    fn none() -> [int32x4_t; 2] {
        [Dot::none(); 2]
    }

    #[inline(always)]
    unsafe fn add<const LANE: i32>(
        [low, high]: [int32x4_t; 2],
        weights: int8x16_t,
        input: int8x16_t,
    ) -> [int32x4_t; 2] {
        // SAFETY: NEON is always there.
        unsafe {
            let run = vreinterpretq_s8_s32(vdupq_laneq_s32::<LANE>(vreinterpretq_s32_s8(input)));
            let low = vpadalq_s16(low, vmull_s8(vget_low_s8(weights), vget_low_s8(run)));
            [low, vpadalq_s16(high, vmull_high_s8(weights, run))]
        }
    }

    #[inline(always)]
    fn total([low, high]: [int32x4_t; 2]) -> int32x4_t {
        // SAFETY: NEON is always there.
        unsafe { vpaddq_s32(low, high) }
    }
}

/// What one block of filters is multiplied with: `P` windows, `step` bytes apart, each of `rows` rows of `runs` runs, the rows
/// `row_step` bytes apart.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub rows: usize,
    pub runs: usize,
    pub row_step: usize,
    pub step: usize,
}

impl Windows {
    /// Bytes from a first window's start to the end of the `count`-th one; `count` is at least 1.
    pub fn extent(&self, count: usize) -> usize {
        (count - 1) * self.step + (self.rows - 1) * self.row_step + self.runs * RUN
    }

    /// Sums of 16 filters over `P` windows, the first of which begins at `input`.
    ///
    /// # Safety
    /// `input` can be read for [`extent(P)`](Self::extent) bytes, `weights` for `rows * runs * RUN_BYTES`, and the core has the
    /// instructions of `D`.
    #[inline(always)]
    pub unsafe fn sums<D: Products, const P: usize>(
        &self,
        input: *const i8,
        mut weights: *const i8,
    ) -> [[int32x4_t; 4]; P] {
        let mut sums = [[D::none(); 4]; P];
        for row in 0..self.rows {
            // SAFETY: `row_step`, `step` and four bytes a run stay within the extent; each run takes 64 bytes of weights.
            unsafe {
                let mut at = input.add(row * self.row_step);
                for _ in 0..self.runs / 4 {
                    let tiles = windows::<P>(at, self.step, |at| vld1q_s8(at));
                    four_filters::<D, 0, P>(&mut sums, weights, &tiles);
                    four_filters::<D, 1, P>(&mut sums, weights.add(RUN_BYTES), &tiles);
                    four_filters::<D, 2, P>(&mut sums, weights.add(2 * RUN_BYTES), &tiles);
                    four_filters::<D, 3, P>(&mut sums, weights.add(3 * RUN_BYTES), &tiles);
                    weights = weights.add(4 * RUN_BYTES);
                    at = at.add(4 * RUN);
                }
                for _ in 0..self.runs % 4 {
                    let tiles = windows::<P>(at, self.step, |at| {
                        vreinterpretq_s8_s32(vdupq_n_s32(at.cast::<i32>().read_unaligned()))
                    });
                    four_filters::<D, 0, P>(&mut sums, weights, &tiles);
                    weights = weights.add(RUN_BYTES);
                    at = at.add(RUN);
                }
            }
        }
        sums.map(|position| position.map(D::total))
    }
}

/// What `load` finds in each of P windows.
#[inline(always)]
fn windows<const P: usize>(at: *const i8, step: usize, load: impl Fn(*const i8) -> int8x16_t) -> [int8x16_t; P] {
    core::array::from_fn(|p| load(at.wrapping_add(p * step)))
}

/// One run of all 16 filters.
///
/// # Safety
/// `weights` can be read for [`RUN_BYTES`], and the core has the instructions of `D`.
#[inline(always)]
unsafe fn four_filters<D: Products, const LANE: i32, const P: usize>(
    sums: &mut [[D::Sums; 4]; P],
    weights: *const i8,
    tiles: &[int8x16_t; P],
) {
    for filters in 0..4 {
        // SAFETY: 16 bytes for each four filters.
        let weights = unsafe { vld1q_s8(weights.add(4 * RUN * filters)) };
        for (sums, &tile) in sums.iter_mut().zip(tiles) {
            // SAFETY: the caller's promise.
            sums[filters] = unsafe { D::add::<LANE>(sums[filters], weights, tile) };
        }
    }
}

/// Sum of the weights of each filter of a block of `runs` runs in all.
///
/// # Safety
/// `weights` can be read for `runs * RUN_BYTES`.
pub(super) unsafe fn weight_sums(weights: *const i8, runs: usize) -> [int32x4_t; 4] {
    // SAFETY: NEON is always there; `Pairs` needs no more, and one row of windows that do not move reads the ones only.
    unsafe {
        let ones = core::arch::aarch64::vdupq_n_s8(1);
        let mut sums = [[Pairs::none(); 4]; 1];
        for run in 0..runs {
            four_filters::<Pairs, 0, 1>(&mut sums, weights.add(run * RUN_BYTES), &[ones]);
        }
        let [sums] = sums;
        sums.map(Pairs::total)
    }
}
