//! AVX-512 with VNNI: sixteen lanes are one register.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)] // One reason for all of it: see the conditions of `Lanes`.

use core::arch::x86_64::*;

use super::lanes::Lanes;

#[derive(Clone, Copy)]
pub(super) struct Avx512;

impl Lanes for Avx512 {
    type V = __m512i;
    type F = __m512;
    type W = __m512i;
    type X = __m512i;

    #[inline(always)]
    unsafe fn splat(value: i32) -> __m512i {
        _mm512_set1_epi32(value)
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> __m512i {
        _mm512_loadu_si512(from.cast())
    }

    #[inline(always)]
    unsafe fn store(to: *mut i32, v: __m512i) {
        _mm512_storeu_si512(to.cast(), v);
    }

    #[inline(always)]
    unsafe fn widen(from: *const i8) -> __m512i {
        _mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))
    }

    #[inline(always)]
    unsafe fn widen_unsigned(from: *const u8) -> __m512i {
        _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))
    }

    #[inline(always)]
    unsafe fn narrow(v: __m512i) -> __m128i {
        _mm512_cvtsepi32_epi8(v)
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut i8, v: __m128i, count: usize) {
        if count >= 16 {
            return _mm_storeu_si128(to.cast(), v);
        }
        _mm_mask_storeu_epi8(to, (1u16 << count) - 1, v);
    }

    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        _mm512_add_epi32(a, b)
    }

    #[inline(always)]
    unsafe fn sub(a: __m512i, b: __m512i) -> __m512i {
        _mm512_sub_epi32(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: __m512i, b: __m512i) -> __m512i {
        _mm512_mullo_epi32(a, b)
    }

    #[inline(always)]
    unsafe fn and(a: __m512i, b: __m512i) -> __m512i {
        _mm512_and_si512(a, b)
    }

    #[inline(always)]
    unsafe fn shl(a: __m512i, count: __m512i) -> __m512i {
        _mm512_sllv_epi32(a, count)
    }

    #[inline(always)]
    unsafe fn shr(a: __m512i, count: __m512i) -> __m512i {
        _mm512_srav_epi32(a, count)
    }

    #[inline(always)]
    unsafe fn increment_where_greater(a: __m512i, x: __m512i, y: __m512i) -> __m512i {
        _mm512_mask_sub_epi32(a, _mm512_cmpgt_epi32_mask(x, y), a, _mm512_set1_epi32(-1))
    }

    #[inline(always)]
    unsafe fn high_multiply(a: __m512i, b: __m512i, b_odd: __m512i) -> __m512i {
        let nudge = _mm512_set1_epi64(1 << 30);
        let even = _mm512_add_epi64(_mm512_mul_epi32(a, b), nudge);
        let odd = _mm512_add_epi64(_mm512_mul_epi32(Self::odd(a), b_odd), nudge);
        // Bits 31..63 of each: the even ones go to the lower half, the odd ones to the upper half.
        _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<31>(even), _mm512_slli_epi64::<1>(odd))
    }

    #[inline(always)]
    unsafe fn odd(a: __m512i) -> __m512i {
        _mm512_srli_epi64::<32>(a)
    }

    #[inline(always)]
    unsafe fn join8(a: __m512i, b: __m512i) -> __m512i {
        _mm512_inserti64x4::<1>(a, _mm512_castsi512_si256(b))
    }

    #[inline(always)]
    unsafe fn upper8(a: __m512i) -> __m512i {
        _mm512_castsi256_si512(_mm512_extracti64x4_epi64::<1>(a))
    }

    #[inline(always)]
    unsafe fn sum(a: __m512i) -> i32 {
        _mm512_reduce_add_epi32(a)
    }

    #[inline(always)]
    unsafe fn mul_add_small(acc: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // The upper halves of x are zero, so that each pair of products is one.
        _mm512_dpwssd_epi32(acc, x, w)
    }

    #[inline(always)]
    unsafe fn join4(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        let ab = _mm512_inserti32x4::<1>(a, _mm512_castsi512_si128(b));
        let cd = _mm512_inserti32x4::<1>(c, _mm512_castsi512_si128(d));
        Self::join8(ab, cd)
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> __m512i {
        _mm512_loadu_si512(from.cast())
    }

    #[inline(always)]
    unsafe fn activations(from: *const u8) -> __m512i {
        _mm512_set1_epi32(from.cast::<i32>().read_unaligned())
    }

    #[inline(always)]
    unsafe fn dot(acc: __m512i, x: __m512i, w: __m512i) -> __m512i {
        _mm512_dpbusd_epi32(acc, x, w)
    }

    #[inline(always)]
    unsafe fn splat_f(value: f32) -> __m512 {
        _mm512_set1_ps(value)
    }

    #[inline(always)]
    unsafe fn load_f(from: *const f32) -> __m512 {
        _mm512_loadu_ps(from)
    }

    #[inline(always)]
    unsafe fn to_f(v: __m512i) -> __m512 {
        _mm512_cvtepi32_ps(v)
    }

    #[inline(always)]
    unsafe fn sub_f(a: __m512, b: __m512) -> __m512 {
        _mm512_sub_ps(a, b)
    }

    #[inline(always)]
    unsafe fn add_f(a: __m512, b: __m512) -> __m512 {
        _mm512_add_ps(a, b)
    }

    #[inline(always)]
    unsafe fn mul_f(a: __m512, b: __m512) -> __m512 {
        _mm512_mul_ps(a, b)
    }

    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512i {
        let number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(a, a);
        let a = _mm512_min_ps(_mm512_max_ps(a, _mm512_set1_ps(-1024.0)), _mm512_set1_ps(1024.0));
        let whole = _mm512_maskz_cvttps_epi32(number, a);
        let rest = _mm512_sub_ps(a, _mm512_cvtepi32_ps(whole));
        let up = _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(number, rest, _mm512_set1_ps(0.5));
        let down = _mm512_mask_cmp_ps_mask::<_CMP_LE_OQ>(number, rest, _mm512_set1_ps(-0.5));
        let one = _mm512_set1_epi32(1);
        let whole = _mm512_mask_add_epi32(whole, up, whole, one);
        _mm512_mask_sub_epi32(whole, down, whole, one)
    }
}
