//! Sixteen 32-bit lanes: the vector that every kernel of this set is written in, once for each level.
//!
//! Each function is a handful of instructions on values in registers or on the bytes a pointer names. Callers are inlined
//! into functions that enable the level's CPU features.

#![allow(unsafe_code)]

use core::arch::x86_64::__m128i;

/// The instructions of a level.
///
/// # Safety
/// Every function asks that the CPU has the level's features, and of a pointer that the bytes it names can be read or
/// written; none asks for alignment.
pub(super) trait Lanes: Copy {
    /// Sixteen `i32`.
    type V: Copy;
    /// Sixteen `f32`.
    type F: Copy;
    /// Four bytes of each of sixteen filters.
    type W: Copy;
    /// Four activations for all sixteen filters.
    type X: Copy;

    /// Every lane `value`.
    unsafe fn splat(value: i32) -> Self::V;
    /// 64 bytes.
    unsafe fn load(from: *const i32) -> Self::V;
    /// 64 bytes.
    unsafe fn store(to: *mut i32, v: Self::V);
    /// 16 bytes, sign extended.
    unsafe fn widen(from: *const i8) -> Self::V;
    /// 16 bytes, zero extended.
    unsafe fn widen_unsigned(from: *const u8) -> Self::V;
    /// Saturated to 8 bits.
    unsafe fn narrow(v: Self::V) -> __m128i;
    /// The first `count` bytes of `v`, 16 at most.
    unsafe fn store_part(to: *mut i8, v: __m128i, count: usize);

    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// Low half of the product.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn and(a: Self::V, b: Self::V) -> Self::V;
    /// Shift to the left by each lane's count; beyond 31, zero.
    unsafe fn shl(a: Self::V, count: Self::V) -> Self::V;
    /// Arithmetic shift to the right by each lane's count.
    unsafe fn shr(a: Self::V, count: Self::V) -> Self::V;
    /// `a + 1` where `x > y`.
    unsafe fn increment_where_greater(a: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// `floor((a * b + 2^30) / 2^31)`; `b_odd` holds the odd lanes of b in the even ones.
    unsafe fn high_multiply(a: Self::V, b: Self::V, b_odd: Self::V) -> Self::V;
    /// The odd lanes in the even ones; what is in the odd ones does not matter.
    unsafe fn odd(a: Self::V) -> Self::V;
    /// The first eight lanes of both.
    unsafe fn join8(a: Self::V, b: Self::V) -> Self::V;
    /// The last eight lanes in place of the first eight.
    unsafe fn upper8(a: Self::V) -> Self::V;
    /// Sum of all lanes.
    unsafe fn sum(a: Self::V) -> i32;
    /// `acc + x w` in each lane, x in `0 ..= 255`, w in `-128 ..= 127`.
    unsafe fn mul_add_small(acc: Self::V, x: Self::V, w: Self::V) -> Self::V;
    /// The first four lanes of each.
    unsafe fn join4(a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::V;

    /// Four weights of each of sixteen filters, 64 bytes.
    unsafe fn weights(from: *const u8) -> Self::W;
    /// Four activations, each a byte without sign.
    unsafe fn activations(from: *const u8) -> Self::X;
    /// `acc + sum of four products`, in each lane.
    unsafe fn dot(acc: Self::V, x: Self::X, w: Self::W) -> Self::V;

    unsafe fn splat_f(value: f32) -> Self::F;
    unsafe fn load_f(from: *const f32) -> Self::F;
    unsafe fn to_f(v: Self::V) -> Self::F;
    unsafe fn sub_f(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn add_f(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul_f(a: Self::F, b: Self::F) -> Self::F;
    /// Nearest integer, halves away from zero; beyond 1024 in size, 1024; 0 for NaN.
    unsafe fn round(a: Self::F) -> Self::V;
}

/// Scales of sixteen channels, as [`Requant`](crate::quant::Requant) applies them.
#[derive(Clone, Copy)]
pub(super) struct Factors<L: Lanes> {
    multiplier: L::V,
    multiplier_odd: L::V,
    left: L::V,
    right: L::V,
    mask: L::V,
    half: L::V,
}

impl<L: Lanes> Factors<L> {
    /// Of multipliers and shifts, those within `0 ..= 31`.
    #[inline(always)]
    pub(super) unsafe fn new(multiplier: L::V, left: L::V, right: L::V) -> Self {
        // SAFETY: as the caller.
        unsafe {
            let one = L::splat(1);
            let mask = L::sub(L::shl(one, right), one);
            let half = L::shr(mask, one);
            Self { multiplier, multiplier_odd: L::odd(multiplier), left, right, mask, half }
        }
    }

    /// One factor for all lanes.
    #[inline(always)]
    pub(super) unsafe fn splat(factor: crate::quant::Requant) -> Self {
        let (left, right) = shifts(factor.shift);
        // SAFETY: as the caller.
        unsafe { Self::new(L::splat(factor.multiplier), L::splat(left), L::splat(right)) }
    }

    /// [`Requant::apply`](crate::quant::Requant::apply) in each lane.
    #[inline(always)]
    pub(super) unsafe fn apply(&self, v: L::V) -> L::V {
        // SAFETY: as the caller.
        unsafe {
            let high = L::high_multiply(L::shl(v, self.left), self.multiplier, self.multiplier_odd);
            let threshold = L::sub(self.half, L::shr(high, L::splat(31)));
            L::increment_where_greater(L::shr(high, self.right), L::and(high, self.mask), threshold)
        }
    }
}

/// Left and right shift of a factor, each within `0 ..= 31`.
#[inline(always)]
pub(super) fn shifts(shift: i32) -> (i32, i32) {
    (shift.clamp(0, 31), -shift.clamp(-31, 0))
}
