//! Rounding to bf16, ties to even.

/// The nearest bf16.
#[inline(always)]
pub fn nearest(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    // What rounds a number up to infinity would make a number of a NaN.
    if value.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded }
}

/// Values rounded, into as many places.
pub fn round(values: &[f32], places: &mut [u16]) {
    let done = vectors::round(values, places);
    places[done..].iter_mut().zip(&values[done..]).for_each(|(place, &value)| *place = nearest(value));
}

/// Values rounded, two to a place: `low` in its lower half, `high` in the upper one.
pub fn round_pairs(low: &[f32], high: &[f32], places: &mut [u32]) {
    let done = vectors::round_pairs(low, high, places);
    let rest = places[done..].iter_mut().zip(low[done..].iter().zip(&high[done..]));
    rest.for_each(|(place, (&low, &high))| *place = u32::from(nearest(low)) | u32::from(nearest(high)) << 16);
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::*;

    /// Values of a vector.
    const LANES: usize = 16;

    fn are_there() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    /// Rounds whole vectors; how many values those were.
    pub fn round(values: &[f32], places: &mut [u16]) -> usize {
        if !are_there() {
            return 0;
        }
        // SAFETY: the features have just been found.
        unsafe { round_vectors(values, places) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn round_vectors(values: &[f32], places: &mut [u16]) -> usize {
        let values = values.as_chunks::<LANES>().0;
        for (values, places) in values.iter().zip(places.as_chunks_mut::<LANES>().0) {
            // SAFETY: as many values and places as lanes.
            unsafe {
                let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(values.as_ptr()));
                places.as_mut_ptr().cast::<__m256bh>().write_unaligned(rounded);
            }
        }
        values.len() * LANES
    }

    /// Rounds pairs of whole vectors; how many values of each those were.
    pub fn round_pairs(low: &[f32], high: &[f32], places: &mut [u32]) -> usize {
        if !are_there() {
            return 0;
        }
        // SAFETY: the features have just been found.
        unsafe { round_vectors_of_pairs(low, high, places) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn round_vectors_of_pairs(low: &[f32], high: &[f32], places: &mut [u32]) -> usize {
        let (low, high) = (low.as_chunks::<LANES>().0, high.as_chunks::<LANES>().0);
        for ((low, high), places) in low.iter().zip(high).zip(places.as_chunks_mut::<LANES>().0) {
            // SAFETY: as many values and places as lanes; a vector of bf16 is one of 16-bit words under another name.
            unsafe {
                let words = |values: &[f32; LANES]| {
                    let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(values.as_ptr()));
                    _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(rounded))
                };
                let both = _mm512_or_si512(words(low), _mm512_slli_epi32::<16>(words(high)));
                _mm512_storeu_si512(places.as_mut_ptr().cast(), both);
            }
        }
        low.len() * LANES
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod vectors {
    /// There are none here.
    pub fn round(_: &[f32], _: &mut [u16]) -> usize {
        0
    }

    /// There are none here.
    pub fn round_pairs(_: &[f32], _: &[f32], _: &mut [u32]) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_one_ties_to_even() {
        let one = 0x3f80;
        for (value, expected) in [(1.0, one), (1.0 + 1.0 / 256.0, one), (1.0 + 3.0 / 256.0, one + 2), (-1.0, 0xbf80)] {
            assert_eq!(nearest(value), expected, "{value}");
        }
        assert_eq!(nearest(f32::MAX), 0x7f80, "beyond the largest lies infinity");
        assert!(f32::from_bits(u32::from(nearest(f32::from_bits(0x7fff_ffff))) << 16).is_nan());
    }

    #[test]
    fn vectors_round_as_one_value_does() {
        let values: Vec<f32> = (0..1000u32).map(|k| f32::from_bits(0x3f00_0000 + k * 7919)).collect();
        let other: Vec<f32> = values.iter().map(|value| -3.0 * value).collect();
        let (mut halves, mut pairs) = (vec![0; values.len()], vec![0; values.len()]);
        round(&values, &mut halves);
        round_pairs(&values, &other, &mut pairs);
        for (at, (&a, &b)) in values.iter().zip(&other).enumerate() {
            assert_eq!(halves[at], nearest(a), "{a}");
            assert_eq!(pairs[at], u32::from(nearest(a)) | u32::from(nearest(b)) << 16, "{a} and {b}");
        }
    }
}
