//! Requantisation of four lanes at once, to the bit as [`Requant::apply`].
//!
//! SQRDMULH is `floor((a b + 2^30) / 2^31)`, as wanted, but for `a = b = i32::MIN`, where it saturates: multipliers of that value
//! are left to the portable kernels. SRSHL rounds halves up; one taken off negative values beforehand makes it round them away
//! from zero, and saturates where nothing is lost.
//!
//! # Cost
//! Sixteen sums take 28 instructions to scale and 12 to become bytes within their limits: 2.5 each.

#![allow(unsafe_code)]

use core::arch::aarch64::{
    int8x8_t, int8x16_t, int16x4_t, int32x4_t, vaddq_s32, vandq_s32, vcombine_s8, vcombine_s16, vdupq_n_s8,
    vdupq_n_s32, vld3q_s32, vmaxq_s8, vminq_s8, vqaddq_s32, vqmovn_s16, vqmovn_s32, vqrdmulhq_s32, vrshlq_s32,
    vshlq_s32, vshrq_n_s32,
};

use crate::kernels::Channel;
use crate::quant::Requant;

/// Bias and scale of four channels.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub bias: int32x4_t,
    pub multiplier: int32x4_t,
    /// Bits to the left, 0 to 31.
    pub left: int32x4_t,
    /// Minus the bits to the right, -31 to 0.
    pub right: int32x4_t,
}

impl Lanes {
    /// Whether these lanes scale exactly as `factor` does.
    pub const fn can_hold(factor: Requant) -> bool {
        factor.multiplier != i32::MIN
    }

    /// The same scale in all lanes, without bias.
    pub fn all(factor: Requant) -> Self {
        // SAFETY: NEON is always there.
        unsafe { Self::new(vdupq_n_s32(0), vdupq_n_s32(factor.multiplier), vdupq_n_s32(factor.shift)) }
    }

    /// Of four channels' records.
    #[inline(always)]
    pub fn load(records: &[[u8; Channel::BYTES]; 4]) -> Self {
        // SAFETY: 48 bytes, twelve little-endian i32, as this core has them. LD3 takes any address, but its intrinsic wants an
        // aligned one: the compiler leaves the copy out.
        unsafe {
            let words = records.as_ptr().cast::<[i32; 12]>().read_unaligned();
            let records = vld3q_s32(words.as_ptr());
            Self::new(records.0, records.1, records.2)
        }
    }

    #[inline(always)]
    fn new(bias: int32x4_t, multiplier: int32x4_t, shift: int32x4_t) -> Self {
        use core::arch::aarch64::{vmaxq_s32, vminq_s32};
        // SAFETY: NEON is always there.
        unsafe {
            let left = vminq_s32(vmaxq_s32(shift, vdupq_n_s32(0)), vdupq_n_s32(31));
            let right = vmaxq_s32(vminq_s32(shift, vdupq_n_s32(0)), vdupq_n_s32(-31));
            Self { bias, multiplier, left, right }
        }
    }

    /// Sums with bias, scaled.
    #[inline(always)]
    pub fn apply(&self, sums: int32x4_t) -> int32x4_t {
        // SAFETY: NEON is always there.
        unsafe {
            let shifted = vshlq_s32(vaddq_s32(sums, self.bias), self.left);
            let high = vqrdmulhq_s32(shifted, self.multiplier);
            // -1 where the value is negative and there is a shift.
            let away = vshrq_n_s32::<31>(vandq_s32(high, self.right));
            vrshlq_s32(vqaddq_s32(high, away), self.right)
        }
    }
}

/// Where outputs go: zero point and ends.
#[derive(Clone, Copy)]
pub(super) struct Range {
    zero: int32x4_t,
    low: int8x16_t,
    high: int8x16_t,
}

impl Range {
    pub fn new(zero: i32, clamp: (i8, i8)) -> Self {
        // SAFETY: NEON is always there.
        unsafe { Self { zero: vdupq_n_s32(zero), low: vdupq_n_s8(clamp.0), high: vdupq_n_s8(clamp.1) } }
    }

    /// Sixteen scaled sums as activations.
    #[inline(always)]
    pub fn activations(&self, scaled: [int32x4_t; 4]) -> int8x16_t {
        let [a, b, c, d] = scaled.map(|lanes| self.half(lanes));
        // SAFETY: NEON is always there. The ends are bytes, so that saturating on the way changes nothing.
        unsafe {
            let bytes = vcombine_s8(vqmovn_s16(vcombine_s16(a, b)), vqmovn_s16(vcombine_s16(c, d)));
            vminq_s8(vmaxq_s8(bytes, self.low), self.high)
        }
    }

    /// Eight of them.
    #[inline(always)]
    pub fn eight(&self, [a, b]: [int32x4_t; 2]) -> int8x8_t {
        // SAFETY: NEON is always there.
        unsafe { core::arch::aarch64::vget_low_s8(self.activations([a, b, a, b])) }
    }

    #[inline(always)]
    fn half(&self, scaled: int32x4_t) -> int16x4_t {
        // SAFETY: NEON is always there.
        unsafe { vqmovn_s32(vaddq_s32(scaled, self.zero)) }
    }
}
