//! Loops compiled for the vectors of this machine: the one place with `unsafe` code.

pub mod bf16;
pub mod correlate;
pub mod dots;
mod products;

use self::products::{Portable, Products};
use super::Precision;

/// A set of instructions for sums of products, which this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(Kind);

/// What [`Set`] hides, so that nobody makes one that the processor does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What every processor has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Set {
    /// The fastest set in this precision, or in f32 where this processor has none for bf16.
    pub fn of(precision: Precision) -> Self {
        let sets = Self::all();
        let of_f32 = sets.iter().rfind(|set| !set.is_bf16()).copied().unwrap_or(Self(Kind::Portable));
        match precision {
            Precision::F32 => of_f32,
            Precision::Bf16 => sets.iter().rfind(|set| set.is_bf16()).copied().unwrap_or(of_f32),
        }
    }

    /// All sets of this processor, the slowest first.
    pub fn all() -> Vec<Self> {
        [Kind::Portable].into_iter().chain(vectors()).map(Self).collect()
    }

    /// Whether factors are pairs of bf16.
    pub fn is_bf16(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => true,
            _ => false,
        }
    }

    /// Sums in a vector.
    pub fn lanes(self) -> usize {
        match self.0 {
            Kind::Portable => Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => products::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx512Bf16 => products::Avx512::LANES,
        }
    }

    /// Positions in a vector of a dot product.
    pub fn items(self) -> usize {
        if self.is_bf16() { 2 * self.lanes() } else { self.lanes() }
    }

    /// Out-channels that [`correlate`] sums up together: as many as the registers hold.
    pub fn channels(self) -> usize {
        if self.lanes() < 16 { 4 } else { 8 }
    }
}

/// The sets of vector instructions that this processor has.
#[cfg(target_arch = "x86_64")]
fn vectors() -> Vec<Kind> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f");
    let avx512_bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
    let found = [(Kind::Avx2, avx2), (Kind::Avx512, avx512), (Kind::Avx512Bf16, avx512_bf16)];
    found.into_iter().filter_map(|(kind, is_there)| is_there.then_some(kind)).collect()
}

/// There are none here that the compiler does not use by itself.
#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> Vec<Kind> {
    Vec::new()
}

/// The value of an expression that is compiled for the widest vectors that this processor has, with all functions that it
/// calls and that are `#[inline(always)]`.
///
/// It gives the same values everywhere: the compiler does not fuse multiply-adds of its own accord, and keeps the order of
/// operations as written.
macro_rules! widest {
    ($work:expr) => {
        $crate::ops::kernels::simd::run_widest(
            #[inline(always)]
            || $work,
        )
    };
}

pub(in crate::ops) use widest;

/// What [`widest!`] does with its expression: a closure marked `#[inline(always)]`.
#[inline]
pub fn run_widest<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: this processor has just been found to have the features.
            return unsafe { with_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: this processor has just been found to have the feature.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Asks for `values` to be brought near, since they are read soon.
pub fn prefetch(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, of an address in the slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}
