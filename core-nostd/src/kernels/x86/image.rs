//! The image beside the networks: adding a line, energy, conjugate symmetry, quantisation, classes. AVX2 for every level:
//! memory is the limit.
//!
//! # Cost
//! Picoseconds a pixel of 128x128, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without flags, opt-level 3: the
//! best times of four runs of `tests/targets/run.sh bench x86-64`:
//!
//! | operator | portable kernels | here |
//! |---|---|---|
//! | adding a line | 273 | 115 |
//! | energy | 166 | 78.2 |
//! | conjugate symmetry, 64x64 | 2061 | 489 |
//! | quantisation | 1068 | 204 |
//! | class, of four | 4649 | 161 |
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use crate::Complex32;
use crate::kernels::{ImageKernels, Portable};

/// Pixels at a time.
const BLOCK: usize = 8;

/// As [`ImageKernels::accumulate`], in its order of operations.
#[target_feature(enable = "avx2")]
pub(super) fn accumulate(image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
    for (row, s) in image.chunks_exact_mut(ramp.len().max(1)).zip(profile) {
        let (re, im) = (_mm256_set1_ps(s.re), _mm256_set1_ps(s.im));
        let (pixels, rest) = row.as_chunks_mut::<4>();
        let (phases, rest_phases) = ramp.as_chunks::<4>();
        for (pixels, phases) in pixels.iter_mut().zip(phases) {
            // SAFETY: four complex numbers are eight floats.
            unsafe {
                let p = _mm256_loadu_ps(phases.as_ptr().cast());
                let sum = _mm256_add_ps(_mm256_loadu_ps(pixels.as_ptr().cast()), _mm256_mul_ps(re, p));
                // Imaginary and real part change places; the first is taken off, the second added.
                let crossed = _mm256_mul_ps(im, _mm256_permute_ps::<0b10_11_00_01>(p));
                _mm256_storeu_ps(pixels.as_mut_ptr().cast(), _mm256_addsub_ps(sum, crossed));
            }
        }
        for (pixel, p) in rest.iter_mut().zip(rest_phases) {
            pixel.re = (pixel.re + s.re * p.re) - s.im * p.im;
            pixel.im = (pixel.im + s.re * p.im) + s.im * p.re;
        }
    }
}

/// `re^2 + im^2` of eight pixels.
#[inline]
#[target_feature(enable = "avx2")]
fn energies(pixels: &[Complex32; BLOCK]) -> __m256 {
    // SAFETY: eight complex numbers are sixteen floats.
    let (a, b) =
        unsafe { (_mm256_loadu_ps(pixels.as_ptr().cast()), _mm256_loadu_ps(pixels.as_ptr().add(BLOCK / 2).cast())) };
    // Pixels 0 1 4 5 2 3 6 7.
    let sums = _mm256_hadd_ps(_mm256_mul_ps(a, a), _mm256_mul_ps(b, b));
    _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(sums)))
}

/// As [`ImageKernels::energy`], in its order of operations.
#[target_feature(enable = "avx2")]
pub(super) fn energy(image: &[Complex32], width: usize) -> f32 {
    if width == 0 {
        return 0.0;
    }
    let mut total = 0.0;
    for row in image.chunks_exact(width) {
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        let mut sums = _mm256_setzero_ps();
        for block in blocks {
            sums = _mm256_add_ps(sums, energies(block));
        }
        let mut s = [0f32; BLOCK];
        // SAFETY: eight floats.
        unsafe { _mm256_storeu_ps(s.as_mut_ptr(), sums) };
        for (sum, pixel) in s.iter_mut().zip(rest) {
            *sum += pixel.re * pixel.re + pixel.im * pixel.im;
        }
        total += ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
    total
}

/// As [`ImageKernels::homodyne`], in its order of operations.
#[target_feature(enable = "avx2")]
pub(super) fn homodyne(image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
    let count = image.len().min(paired.len()).min(out.len());
    let (image, image_rest) = image[..count].as_chunks::<4>();
    let (paired, paired_rest) = paired[..count].as_chunks::<4>();
    let (out_blocks, out_rest) = out[..count].as_chunks_mut::<4>();
    let (weight_of_all, sign) = (_mm256_set1_ps(weight), _mm256_set1_ps(-0.0));
    for ((out, z), s) in out_blocks.iter_mut().zip(image).zip(paired) {
        // SAFETY: four complex numbers are eight floats.
        let (z, s) = unsafe { (_mm256_loadu_ps(z.as_ptr().cast()), _mm256_loadu_ps(s.as_ptr().cast())) };
        let squares = _mm256_mul_ps(s, s);
        let size = _mm256_sqrt_ps(_mm256_add_ps(squares, _mm256_permute_ps::<0b10_11_00_01>(squares)));
        // The sum is of the first lane, the difference of the second: the other way round than `addsub` has them, hence the
        // sign.
        let crossed = _mm256_mul_ps(_mm256_permute_ps::<0b10_11_00_01>(z), _mm256_movehdup_ps(s));
        let turned = _mm256_addsub_ps(_mm256_mul_ps(z, _mm256_moveldup_ps(s)), _mm256_xor_ps(crossed, sign));
        let turned = _mm256_div_ps(turned, size);
        let told = _mm256_sub_ps(turned, _mm256_blend_ps::<0b10_10_10_10>(size, _mm256_setzero_ps()));
        let told = _mm256_xor_ps(_mm256_mul_ps(weight_of_all, told), sign);
        let filled = _mm256_addsub_ps(turned, told);
        let has_phase = _mm256_cmp_ps::<_CMP_GT_OQ>(size, _mm256_setzero_ps());
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().cast(), _mm256_blendv_ps(z, filled, has_phase)) }
    }
    Portable.homodyne(image_rest, paired_rest, weight, out_rest);
}

/// As [`ImageKernels::quantise`].
#[target_feature(enable = "avx2")]
pub(super) fn quantise(image: &[Complex32], gain: f32, out: &mut [i8]) {
    let (blocks, rest) = image.as_chunks::<BLOCK>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    if blocks.len() != out_blocks.len() {
        return Portable.quantise(image, gain, out);
    }
    let gains = _mm256_set1_ps(gain);
    for (block, out) in blocks.iter().zip(out_blocks) {
        let level = _mm256_add_ps(_mm256_mul_ps(_mm256_sqrt_ps(energies(block)), gains), _mm256_set1_ps(0.5));
        // The maximum takes its second operand where the first is NaN.
        let level = _mm256_min_ps(_mm256_max_ps(level, _mm256_setzero_ps()), _mm256_set1_ps(255.0));
        // Flipping the top bit takes 128 away.
        *out = (bytes(_mm256_cvttps_epi32(level)) ^ 0x8080_8080_8080_8080).to_le_bytes().map(|level| level as i8);
    }
    Portable.quantise(rest, gain, out_rest);
}

/// The lowest byte of each of eight lanes, all of them in `0 ..= 255`, the first lane's lowest.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(lanes: __m256i) -> u64 {
    let words = _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
    _mm_cvtsi128_si64(_mm_packus_epi16(words, words)) as u64
}

/// As [`ImageKernels::classify`], eight pixels at a time where there are four classes.
#[target_feature(enable = "avx2")]
pub(super) fn classify(logits: &[i8], classes: usize, out: &mut [u8]) {
    let (blocks, rest) = logits.as_chunks::<{ 4 * BLOCK }>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
    if classes != 4 || blocks.len() != out_blocks.len() {
        return Portable.classify(logits, classes, out);
    }
    for (block, out) in blocks.iter().zip(out_blocks) {
        // SAFETY: 32 bytes.
        let q = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
        let logits = [_mm256_slli_epi32::<24>(q), _mm256_slli_epi32::<16>(q), _mm256_slli_epi32::<8>(q), q];
        let [mut best, others @ ..] = logits.map(|q| _mm256_srai_epi32::<24>(q));
        let mut class = _mm256_setzero_si256();
        for (index, logit) in (1..).zip(others) {
            let larger = _mm256_cmpgt_epi32(logit, best);
            best = _mm256_max_epi32(best, logit);
            class = _mm256_blendv_epi8(class, _mm256_set1_epi32(index), larger);
        }
        *out = bytes(class).to_le_bytes();
    }
    Portable.classify(rest, classes, out_rest);
}
