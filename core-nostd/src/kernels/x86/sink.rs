//! From accumulators to outputs: scale, zero point, clamp, and where they are stored.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, _mm_cvtsi128_si32, _mm_max_epi8, _mm_min_epi8, _mm_set1_epi8, _mm_setr_epi8, _mm_shuffle_epi8,
    _mm_srli_si128,
};

use super::lanes::{Factors, Lanes};
use super::pack::{Channels, GROUP};

/// Where a block's results go. Kernels take it as a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// Sixteen channels of a position at a time.
    Channels,
    /// All eight channels of two positions.
    Eight,
    /// All four channels of four positions.
    Four,
    /// Four channels of the four outputs of a transposed convolution.
    Transposed,
}

/// Zero point and clamp of an output.
pub(super) struct Limits<L: Lanes> {
    zero: L::V,
    clamp: (__m128i, __m128i),
}

impl<L: Lanes> Limits<L> {
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    pub(super) unsafe fn new(zero: i32, clamp: (i8, i8)) -> Self {
        // SAFETY: as the caller.
        unsafe { Self { zero: L::splat(zero), clamp: (_mm_set1_epi8(clamp.0), _mm_set1_epi8(clamp.1)) } }
    }

    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    pub(super) unsafe fn bytes(&self, factors: &Factors<L>, sums: L::V) -> __m128i {
        // SAFETY: as the caller.
        unsafe { self.clamped(factors.apply(sums)) }
    }

    /// Values as outputs.
    ///
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    pub(super) unsafe fn clamped(&self, values: L::V) -> __m128i {
        // SAFETY: as the caller.
        unsafe {
            let narrow = L::narrow(L::add(values, self.zero));
            _mm_min_epi8(_mm_max_epi8(narrow, self.clamp.0), self.clamp.1)
        }
    }
}

/// Which results are stored.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Positions.
    pub(super) valid: usize,
    /// The first filter.
    pub(super) filter: usize,
    /// How many there are in all.
    pub(super) count: usize,
    /// Bytes of an output row.
    pub(super) out_row: usize,
}

/// Scales the accumulators of P positions by F groups and stores them.
///
/// # Safety
/// The CPU has the features of `L`; of the first `place.valid` pointers each names an output position (of a transposed
/// convolution the upper left one of four). With [`Sink::Eight`] and [`Sink::Four`] there is one group, and positions follow
/// each other.
#[inline(always)]
pub(super) unsafe fn finish<L: Lanes, const P: usize, const F: usize, const SINK: usize>(
    sums: &[[[i32; GROUP]; F]; P],
    channels: &[Channels; F],
    limits: &Limits<L>,
    out: &[*mut i8; P],
    place: Place,
) {
    for f in 0..F {
        // SAFETY: as the caller; no store goes beyond the filters there are.
        unsafe {
            let factors = channels.get_unchecked(f).factors::<L>();
            let at = |p: usize| L::load(sums.get_unchecked(p).get_unchecked(f).as_ptr());
            let first = place.filter + f * GROUP;
            let mut p = 0;
            while p < P {
                let (bytes, positions) = if SINK == Sink::Eight as usize {
                    (limits.bytes(&factors, L::join8(at(p), at(p + 1))), 2)
                } else if SINK == Sink::Four as usize {
                    (limits.bytes(&factors, L::join4(at(p), at(p + 1), at(p + 2), at(p + 3))), 4)
                } else {
                    (limits.bytes(&factors, at(p)), 1)
                };
                let out = *out.get_unchecked(p);
                if p < place.valid {
                    if SINK == Sink::Channels as usize {
                        L::store_part(out.add(first), bytes, place.count - first);
                    } else if SINK == Sink::Transposed as usize {
                        scatter::<L>(out, bytes, first / 4, place);
                    } else {
                        L::store_part(out, bytes, (place.valid - p) * place.count);
                    }
                }
                p += positions;
            }
        }
    }
}

/// Four channels of four outputs, `[channel][ky][kx]`, to where they belong.
///
/// # Safety
/// As [`finish`]; channels `first ..` exist.
#[inline(always)]
unsafe fn scatter<L: Lanes>(out: *mut i8, bytes: __m128i, first: usize, place: Place) {
    // SAFETY: as the caller; no store goes beyond the channels there are.
    unsafe {
        let order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        let bytes = _mm_shuffle_epi8(bytes, order);
        let channels = place.count / 4;
        let (upper, lower) = (out.add(first), out.add(place.out_row + first));
        let taps = [
            (upper, bytes),
            (upper.add(channels), _mm_srli_si128::<4>(bytes)),
            (lower, _mm_srli_si128::<8>(bytes)),
            (lower.add(channels), _mm_srli_si128::<12>(bytes)),
        ];
        for (to, bytes) in taps {
            match channels - first {
                4.. => to.cast::<i32>().write_unaligned(_mm_cvtsi128_si32(bytes)),
                some => L::store_part(to, bytes, some),
            }
        }
    }
}
