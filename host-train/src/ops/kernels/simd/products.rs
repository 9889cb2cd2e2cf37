//! Vectors of sums of products, by instruction set.
//!
//! A factor is a word of 32 bits: one f32, or two bf16 that are multiplied with two others and added to one sum. Loops over
//! these are written once, generic over [`Products`], and compiled for each set in a function with its target features,
//! into which everything here is inlined.

/// The arithmetic of one instruction set in one precision.
///
/// # Safety
/// Methods run on processors with the set's features only, and pointers are to be valid for [`Products::LANES`] words (one
/// for [`Products::splat`], a vector of items for [`Products::items`]).
pub trait Products: Copy {
    /// A factor of a dot product along positions: 32 bits, or 16 where they go in pairs.
    type Item: Copy;
    /// As many factors as there are lanes, or pairs of them.
    type Factors: Copy;
    /// As many sums as there are lanes.
    type Sums: Copy;
    /// Sums in a vector.
    const LANES: usize;

    /// Zeros.
    unsafe fn none() -> Self::Factors;
    /// Neighbouring words.
    unsafe fn words(from: *const u32) -> Self::Factors;
    /// Half as many neighbouring words, and as many again `apart` words further on.
    unsafe fn words_apart(from: *const u32, apart: usize) -> Self::Factors;
    /// One word in all lanes.
    unsafe fn splat(from: *const u32) -> Self::Factors;
    /// Neighbouring items.
    unsafe fn items(from: *const Self::Item) -> Self::Factors;
    /// Half as many neighbouring items, and as many again `apart` items further on.
    unsafe fn items_apart(from: *const Self::Item, apart: usize) -> Self::Factors;
    /// `value` in all lanes.
    unsafe fn fill(value: f32) -> Self::Sums;
    /// `sums + a * b`.
    unsafe fn add(sums: Self::Sums, a: Self::Factors, b: Self::Factors) -> Self::Sums;
    /// Whether registers are so few that sums have to be pinned wherever many of them are taken.
    const SCARCE: bool = false;

    /// The same sums; what the code loads after this is not loaded before.
    unsafe fn pin(sums: Self::Sums) -> Self::Sums {
        sums
    }
    /// Writes the lanes.
    unsafe fn store(sums: Self::Sums, to: *mut f32);

    /// The sum of the lanes of each vector.
    #[inline(always)]
    unsafe fn totals<const R: usize>(sums: &[Self::Sums; R], totals: &mut [f32; R]) {
        for (total, &sums) in totals.iter_mut().zip(sums) {
            let mut lanes = [0.0; 16];
            // SAFETY: no vector has more than 16 lanes.
            unsafe { Self::store(sums, lanes.as_mut_ptr()) };
            *total = lanes.iter().sum();
        }
    }
}

/// Arrays, which compilers turn into whatever vectors the target has.
#[derive(Clone, Copy)]
pub struct Portable;

impl Products for Portable {
    type Item = u32;
    type Factors = [f32; 4];
    type Sums = [f32; 4];
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn none() -> [f32; 4] {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn words(from: *const u32) -> [f32; 4] {
        // SAFETY: the caller's promise; no alignment is asked for.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn words_apart(from: *const u32, apart: usize) -> [f32; 4] {
        // SAFETY: the caller's promise.
        let [[a, b], [c, d]] = unsafe { [from, from.add(apart)].map(|half| half.cast::<[f32; 2]>().read_unaligned()) };
        [a, b, c, d]
    }

    #[inline(always)]
    unsafe fn splat(from: *const u32) -> [f32; 4] {
        // SAFETY: the caller's promise.
        [f32::from_bits(unsafe { from.read() }); 4]
    }

    #[inline(always)]
    unsafe fn items(from: *const u32) -> [f32; 4] {
        // SAFETY: the caller's promise.
        unsafe { Self::words(from) }
    }

    #[inline(always)]
    unsafe fn items_apart(from: *const u32, apart: usize) -> [f32; 4] {
        // SAFETY: the caller's promise.
        unsafe { Self::words_apart(from, apart) }
    }

    #[inline(always)]
    unsafe fn fill(value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn add(mut sums: [f32; 4], a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        for lane in 0..4 {
            // Every aarch64 fuses in one instruction; elsewhere it might be a call.
            sums[lane] = if cfg!(target_arch = "aarch64") {
                a[lane].mul_add(b[lane], sums[lane])
            } else {
                sums[lane] + a[lane] * b[lane]
            };
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(sums: [f32; 4], to: *mut f32) {
        // SAFETY: the caller's promise; no alignment is asked for.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(sums) }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, Avx512Bf16};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;

    use super::Products;

    /// AVX2 and FMA, f32.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    /// AVX-512, f32.
    #[derive(Clone, Copy)]
    pub struct Avx512;

    /// AVX-512 with its products of bf16 pairs.
    #[derive(Clone, Copy)]
    pub struct Avx512Bf16;

    // SAFETY of all that follows: the trait's callers promise the features and the pointers' extents.

    impl Products for Avx2 {
        type Item = u32;
        type Factors = __m256;
        type Sums = __m256;
        const LANES: usize = 8;
        const SCARCE: bool = true;

        #[inline(always)]
        unsafe fn none() -> __m256 {
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn words(from: *const u32) -> __m256 {
            unsafe { _mm256_loadu_ps(from.cast()) }
        }

        #[inline(always)]
        unsafe fn words_apart(from: *const u32, apart: usize) -> __m256 {
            unsafe { _mm256_loadu2_m128(from.add(apart).cast(), from.cast()) }
        }

        #[inline(always)]
        unsafe fn splat(from: *const u32) -> __m256 {
            unsafe { _mm256_set1_ps(from.cast::<f32>().read()) }
        }

        #[inline(always)]
        unsafe fn items(from: *const u32) -> __m256 {
            unsafe { Self::words(from) }
        }

        #[inline(always)]
        unsafe fn items_apart(from: *const u32, apart: usize) -> __m256 {
            unsafe { Self::words_apart(from, apart) }
        }

        #[inline(always)]
        unsafe fn fill(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn add(sums: __m256, a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, sums) }
        }

        #[inline(always)]
        unsafe fn pin(sums: __m256) -> __m256 {
            unsafe { pin_half(sums) }
        }

        #[inline(always)]
        unsafe fn store(sums: __m256, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, sums) }
        }
    }

    impl Products for Avx512 {
        type Item = u32;
        type Factors = __m512;
        type Sums = __m512;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn none() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn words(from: *const u32) -> __m512 {
            unsafe { _mm512_loadu_ps(from.cast()) }
        }

        #[inline(always)]
        unsafe fn words_apart(from: *const u32, apart: usize) -> __m512 {
            unsafe { _mm512_castsi512_ps(load_apart(from, apart)) }
        }

        #[inline(always)]
        unsafe fn splat(from: *const u32) -> __m512 {
            unsafe { _mm512_set1_ps(from.cast::<f32>().read()) }
        }

        #[inline(always)]
        unsafe fn items(from: *const u32) -> __m512 {
            unsafe { Self::words(from) }
        }

        #[inline(always)]
        unsafe fn items_apart(from: *const u32, apart: usize) -> __m512 {
            unsafe { Self::words_apart(from, apart) }
        }

        #[inline(always)]
        unsafe fn fill(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn add(sums: __m512, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, sums) }
        }

        #[inline(always)]
        unsafe fn pin(sums: __m512) -> __m512 {
            unsafe { pin(sums) }
        }

        #[inline(always)]
        unsafe fn totals<const R: usize>(sums: &[__m512; R], totals: &mut [f32; R]) {
            for (totals, sums) in totals.chunks_exact_mut(4).zip(sums.chunks_exact(4)) {
                unsafe { totals_of_four([sums[0], sums[1], sums[2], sums[3]], totals) };
            }
        }

        #[inline(always)]
        unsafe fn store(sums: __m512, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, sums) }
        }
    }

    impl Products for Avx512Bf16 {
        type Item = u16;
        type Factors = __m512i;
        type Sums = __m512;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn none() -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn words(from: *const u32) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }

        #[inline(always)]
        unsafe fn words_apart(from: *const u32, apart: usize) -> __m512i {
            unsafe { load_apart(from, apart) }
        }

        #[inline(always)]
        unsafe fn splat(from: *const u32) -> __m512i {
            unsafe { _mm512_set1_epi32(from.cast::<i32>().read()) }
        }

        #[inline(always)]
        unsafe fn items(from: *const u16) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }

        #[inline(always)]
        unsafe fn items_apart(from: *const u16, apart: usize) -> __m512i {
            unsafe { load_apart(from, apart) }
        }

        #[inline(always)]
        unsafe fn fill(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn add(sums: __m512, a: __m512i, b: __m512i) -> __m512 {
            // The same 512 bits under another name.
            unsafe {
                let pairs = |words: __m512i| std::mem::transmute::<__m512i, __m512bh>(words);
                _mm512_dpbf16_ps(sums, pairs(a), pairs(b))
            }
        }

        #[inline(always)]
        unsafe fn pin(sums: __m512) -> __m512 {
            unsafe { pin(sums) }
        }

        #[inline(always)]
        unsafe fn totals<const R: usize>(sums: &[__m512; R], totals: &mut [f32; R]) {
            for (totals, sums) in totals.chunks_exact_mut(4).zip(sums.chunks_exact(4)) {
                unsafe { totals_of_four([sums[0], sums[1], sums[2], sums[3]], totals) };
            }
        }

        #[inline(always)]
        unsafe fn store(sums: __m512, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, sums) }
        }
    }

    /// Half a vector, and the other half `apart` items further on.
    #[inline(always)]
    unsafe fn load_apart<T>(from: *const T, apart: usize) -> __m512i {
        unsafe {
            let (low, high) = (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(apart).cast()));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }

    /// The sums of four vectors' lanes: halves of pairs are interleaved and added until one lane of each is left.
    #[inline(always)]
    unsafe fn totals_of_four([a, b, c, d]: [__m512; 4], totals: &mut [f32]) {
        unsafe {
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            let (low, high) = (_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd));
            let quarters = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
            let first = _mm_add_ps(_mm512_castps512_ps128(quarters), _mm512_extractf32x4_ps::<1>(quarters));
            let (third, last) = (_mm512_extractf32x4_ps::<2>(quarters), _mm512_extractf32x4_ps::<3>(quarters));
            let sum = _mm_add_ps(first, _mm_add_ps(third, last));
            // Four lanes for four values.
            _mm_storeu_ps(totals[..4].as_mut_ptr(), sum);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn pin_half(mut sums: __m256) -> __m256 {
        // No instruction, but for the compiler one that may write memory and changes the sums.
        unsafe { asm!("/* {0} */", inout(ymm_reg) sums, options(nostack, preserves_flags)) };
        sums
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn pin(mut sums: __m512) -> __m512 {
        // No instruction, but for the compiler one that may write memory and changes the sums.
        unsafe { asm!("/* {0} */", inout(zmm_reg) sums, options(nostack, preserves_flags)) };
        sums
    }
}
