//! AVX2, with or without its VNNI: sixteen lanes are two registers.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)] // One reason for all of it: see the conditions of `Lanes`.

use core::arch::x86_64::*;

use super::lanes::Lanes;

/// AVX2 alone.
#[derive(Clone, Copy)]
pub(super) struct Avx2;

/// AVX2 with VPDPBUSD in its VEX encoding.
#[derive(Clone, Copy)]
pub(super) struct AvxVnni;

/// What both levels share; `$dot` is what they do not.
macro_rules! lanes {
    ($level:ty, $w:ty, $x:ty, { $($dot:tt)* }) => {
        impl Lanes for $level {
            type V = [__m256i; 2];
            type F = [__m256; 2];
            type W = $w;
            type X = $x;

            #[inline(always)]
            unsafe fn splat(value: i32) -> Self::V {
                [_mm256_set1_epi32(value); 2]
            }

            #[inline(always)]
            unsafe fn load(from: *const i32) -> Self::V {
                [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())]
            }

            #[inline(always)]
            unsafe fn store(to: *mut i32, [low, high]: Self::V) {
                _mm256_storeu_si256(to.cast(), low);
                _mm256_storeu_si256(to.add(8).cast(), high);
            }

            #[inline(always)]
            unsafe fn widen(from: *const i8) -> Self::V {
                let bytes = _mm_loadu_si128(from.cast());
                [_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes))]
            }

            #[inline(always)]
            unsafe fn widen_unsigned(from: *const u8) -> Self::V {
                let bytes = _mm_loadu_si128(from.cast());
                [_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))]
            }

            #[inline(always)]
            unsafe fn narrow([low, high]: Self::V) -> __m128i {
                let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
                _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
            }

            #[inline(always)]
            unsafe fn store_part(to: *mut i8, v: __m128i, count: usize) {
                if count >= 16 {
                    return _mm_storeu_si128(to.cast(), v);
                }
                let (mut to, mut rest) = (to, v);
                if count & 8 != 0 {
                    to.cast::<i64>().write_unaligned(_mm_cvtsi128_si64(rest));
                    (to, rest) = (to.add(8), _mm_srli_si128::<8>(rest));
                }
                if count & 4 != 0 {
                    to.cast::<i32>().write_unaligned(_mm_cvtsi128_si32(rest));
                    (to, rest) = (to.add(4), _mm_srli_si128::<4>(rest));
                }
                let mut bytes = _mm_cvtsi128_si32(rest);
                for _ in 0..count & 3 {
                    *to = bytes as i8;
                    (to, bytes) = (to.add(1), bytes >> 8);
                }
            }

            #[inline(always)]
            unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
                [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
                [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
                [_mm256_mullo_epi32(a[0], b[0]), _mm256_mullo_epi32(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn and(a: Self::V, b: Self::V) -> Self::V {
                [_mm256_and_si256(a[0], b[0]), _mm256_and_si256(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn shl(a: Self::V, count: Self::V) -> Self::V {
                [_mm256_sllv_epi32(a[0], count[0]), _mm256_sllv_epi32(a[1], count[1])]
            }

            #[inline(always)]
            unsafe fn shr(a: Self::V, count: Self::V) -> Self::V {
                [_mm256_srav_epi32(a[0], count[0]), _mm256_srav_epi32(a[1], count[1])]
            }

            #[inline(always)]
            unsafe fn increment_where_greater(a: Self::V, x: Self::V, y: Self::V) -> Self::V {
                // Where it is greater the comparison gives -1.
                Self::sub(a, [_mm256_cmpgt_epi32(x[0], y[0]), _mm256_cmpgt_epi32(x[1], y[1])])
            }

            #[inline(always)]
            unsafe fn high_multiply(a: Self::V, b: Self::V, b_odd: Self::V) -> Self::V {
                [high_multiply(a[0], b[0], b_odd[0]), high_multiply(a[1], b[1], b_odd[1])]
            }

            #[inline(always)]
            unsafe fn odd(a: Self::V) -> Self::V {
                [_mm256_srli_epi64::<32>(a[0]), _mm256_srli_epi64::<32>(a[1])]
            }

            #[inline(always)]
            unsafe fn join8(a: Self::V, b: Self::V) -> Self::V {
                [a[0], b[0]]
            }

            #[inline(always)]
            unsafe fn upper8(a: Self::V) -> Self::V {
                [a[1], a[1]]
            }

            #[inline(always)]
            unsafe fn sum(a: Self::V) -> i32 {
                let eight = _mm256_add_epi32(a[0], a[1]);
                let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
                let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
                _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two)))
            }

            #[inline(always)]
            unsafe fn mul_add_small(acc: Self::V, x: Self::V, w: Self::V) -> Self::V {
                // The upper halves of x are zero, so that each pair of products is one.
                Self::add(acc, [_mm256_madd_epi16(x[0], w[0]), _mm256_madd_epi16(x[1], w[1])])
            }

            #[inline(always)]
            unsafe fn join4(a: Self::V, b: Self::V, c: Self::V, d: Self::V) -> Self::V {
                let ab = _mm256_inserti128_si256::<1>(a[0], _mm256_castsi256_si128(b[0]));
                [ab, _mm256_inserti128_si256::<1>(c[0], _mm256_castsi256_si128(d[0]))]
            }

            $($dot)*

            #[inline(always)]
            unsafe fn splat_f(value: f32) -> Self::F {
                [_mm256_set1_ps(value); 2]
            }

            #[inline(always)]
            unsafe fn load_f(from: *const f32) -> Self::F {
                [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))]
            }

            #[inline(always)]
            unsafe fn to_f(v: Self::V) -> Self::F {
                v.map(|v| _mm256_cvtepi32_ps(v))
            }

            #[inline(always)]
            unsafe fn sub_f(a: Self::F, b: Self::F) -> Self::F {
                [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn add_f(a: Self::F, b: Self::F) -> Self::F {
                [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn mul_f(a: Self::F, b: Self::F) -> Self::F {
                [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])]
            }

            #[inline(always)]
            unsafe fn round(a: Self::F) -> Self::V {
                [round(a[0]), round(a[1])]
            }
        }
    };
}

lanes!(Avx2, [[__m256i; 2]; 2], [__m256i; 2], {
    // VPMADDUBSW would saturate. Bytes 0 and 2 of each four become 16-bit numbers, 1 and 3 others, and VPMADDWD is exact.
    #[inline(always)]
    unsafe fn weights(from: *const u8) -> Self::W {
        Self::load(from.cast()).map(|w| [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)), _mm256_srai_epi16::<8>(w)])
    }

    #[inline(always)]
    unsafe fn activations(from: *const u8) -> Self::X {
        let x = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
        [_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(x)]
    }

    #[inline(always)]
    unsafe fn dot(acc: Self::V, x: Self::X, w: Self::W) -> Self::V {
        let sum = |w: [__m256i; 2]| _mm256_add_epi32(_mm256_madd_epi16(x[0], w[0]), _mm256_madd_epi16(x[1], w[1]));
        [_mm256_add_epi32(acc[0], sum(w[0])), _mm256_add_epi32(acc[1], sum(w[1]))]
    }
});

lanes!(AvxVnni, [__m256i; 2], __m256i, {
    #[inline(always)]
    unsafe fn weights(from: *const u8) -> Self::W {
        Self::load(from.cast())
    }

    #[inline(always)]
    unsafe fn activations(from: *const u8) -> Self::X {
        _mm256_set1_epi32(from.cast::<i32>().read_unaligned())
    }

    #[inline(always)]
    unsafe fn dot(acc: Self::V, x: Self::X, w: Self::W) -> Self::V {
        [_mm256_dpbusd_avx_epi32(acc[0], x, w[0]), _mm256_dpbusd_avx_epi32(acc[1], x, w[1])]
    }
});

#[inline(always)]
unsafe fn high_multiply(a: __m256i, b: __m256i, b_odd: __m256i) -> __m256i {
    let nudge = _mm256_set1_epi64x(1 << 30);
    let even = _mm256_add_epi64(_mm256_mul_epi32(a, b), nudge);
    let odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64::<32>(a), b_odd), nudge);
    // Bits 31..63 of each: the even ones go to the lower half, the odd ones to the upper half.
    _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<31>(even), _mm256_slli_epi64::<1>(odd))
}

#[inline(always)]
unsafe fn round(a: __m256) -> __m256i {
    let number = _mm256_cmp_ps::<_CMP_ORD_Q>(a, a);
    let a = _mm256_and_ps(a, number);
    let a = _mm256_min_ps(_mm256_max_ps(a, _mm256_set1_ps(-1024.0)), _mm256_set1_ps(1024.0));
    let whole = _mm256_cvttps_epi32(a);
    let rest = _mm256_sub_ps(a, _mm256_cvtepi32_ps(whole));
    let up = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GE_OQ>(rest, _mm256_set1_ps(0.5)));
    let down = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LE_OQ>(rest, _mm256_set1_ps(-0.5)));
    _mm256_add_epi32(_mm256_sub_epi32(whole, up), down)
}
