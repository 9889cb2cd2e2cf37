//! The inner loop of convolutions: sums over channels and taps of a weight times a run of neighbouring pixels.

use super::products::{Portable, Products};
use super::{Kind, Set};

/// Out-channels that are summed up together, at most.
pub const MOST_CHANNELS: usize = 8;

/// Vectors of positions that are summed up together.
const VECTORS: usize = 3;

/// Planes, and weights for [`Set::channels`] out-channels.
#[derive(Clone, Copy)]
pub struct Correlation<'a> {
    /// The planes, one after the other.
    pub planes: &'a [u32],
    /// Words of a plane.
    pub plane: usize,
    /// Where in a plane each tap reads for position 0.
    pub taps: &'a [usize],
    /// Weights `[plane][tap][out-channel]`.
    pub weights: &'a [u32],
    /// What the sums begin with.
    pub bias: [f32; MOST_CHANNELS],
}

/// Runs of positions, a vector each.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    /// The positions that they start at.
    pub starts: &'a [usize],
    /// Where in the output they start.
    pub outputs: &'a [usize],
}

impl Correlation<'_> {
    /// `out[o][outputs[k] + lane]` = the sum over planes and taps of `weights[plane][tap][o]` times
    /// `plane[taps[tap] + starts[k] + lane]`, plus the bias, for the out-channels that `out` has.
    ///
    /// Each sum is taken in the order of the weights, in whatever company its run is.
    pub fn run(&self, set: Set, runs: Runs<'_>, out: &mut [&mut [f32]]) {
        let channels = set.channels();
        let planes = self.weights.len() / (self.taps.len() * channels).max(1);
        assert!(out.len() <= channels && runs.starts.len() == runs.outputs.len());
        let (Some(last_tap), Some(last_start)) = (self.taps.iter().max(), runs.starts.iter().max()) else {
            return;
        };
        let last = planes.saturating_sub(1) * self.plane + last_tap + last_start;
        assert!(last + set.lanes() <= self.planes.len(), "planes hold what the taps read");
        // SAFETY: a set is only made where its features were found; the assertion above bounds every load of planes, and
        // `planes` those of weights.
        unsafe {
            match set.0 {
                Kind::Portable => portable(self, planes, runs, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => x86::avx2(self, planes, runs, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => x86::avx512(self, planes, runs, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512Bf16 => x86::avx512_bf16(self, planes, runs, out),
            }
        }
    }
}

unsafe fn portable(work: &Correlation<'_>, planes: usize, runs: Runs<'_>, out: &mut [&mut [f32]]) {
    // SAFETY: that of the caller.
    unsafe { groups::<Portable, 4>(work, planes, runs, out) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::products::{Avx2, Avx512, Avx512Bf16};
    use super::{Correlation, Runs, groups};

    // SAFETY of all three: the features are those that the set needs, the rest is the caller's.

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(work: &Correlation<'_>, planes: usize, runs: Runs<'_>, out: &mut [&mut [f32]]) {
        unsafe { groups::<Avx2, 4>(work, planes, runs, out) }
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(work: &Correlation<'_>, planes: usize, runs: Runs<'_>, out: &mut [&mut [f32]]) {
        unsafe { groups::<Avx512, 8>(work, planes, runs, out) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn avx512_bf16(work: &Correlation<'_>, planes: usize, runs: Runs<'_>, out: &mut [&mut [f32]]) {
        unsafe { groups::<Avx512Bf16, 8>(work, planes, runs, out) }
    }
}

/// All runs, [`VECTORS`] at a time.
///
/// # Safety
/// The processor has the features of `P`; loads at all planes, taps and runs are inside.
#[inline(always)]
unsafe fn groups<P: Products, const O: usize>(
    work: &Correlation<'_>,
    planes: usize,
    runs: Runs<'_>,
    out: &mut [&mut [f32]],
) {
    let groups = runs.starts.chunks(VECTORS).zip(runs.outputs.chunks(VECTORS));
    for (starts, outputs) in groups {
        // SAFETY: the caller's.
        unsafe {
            match *starts {
                [a, b, c] => group::<P, O, 3>(work, planes, [a, b, c], outputs, out),
                [a, b] => group::<P, O, 2>(work, planes, [a, b], outputs, out),
                [a] => group::<P, O, 1>(work, planes, [a], outputs, out),
                _ => {}
            }
        }
    }
}

/// `V` runs for `O` channels: all sums stay in registers.
///
/// # Safety
/// That of [`groups`].
#[inline(always)]
unsafe fn group<P: Products, const O: usize, const V: usize>(
    work: &Correlation<'_>,
    planes: usize,
    starts: [usize; V],
    outputs: &[usize],
    out: &mut [&mut [f32]],
) {
    // SAFETY: the caller's.
    unsafe {
        let first = starts.map(|start| work.planes.as_ptr().add(start));
        let mut sums = [[P::fill(0.0); V]; O];
        for (sums, &bias) in sums.iter_mut().zip(&work.bias) {
            *sums = [P::fill(bias); V];
        }
        let mut weights = work.weights.as_ptr();
        let mut plane = 0;
        for _ in 0..planes {
            for &tap in work.taps {
                let pixels = first.map(|first| P::words(first.add(plane + tap)));
                for (o, sums) in sums.iter_mut().enumerate() {
                    let weight = P::splat(weights.add(o));
                    for (sum, &pixels) in sums.iter_mut().zip(&pixels) {
                        *sum = P::add(*sum, pixels, weight);
                    }
                }
                weights = weights.add(O);
            }
            plane += work.plane;
        }
        for (sums, out) in sums.into_iter().zip(out.iter_mut()) {
            for (sum, &at) in sums.into_iter().zip(outputs) {
                P::store(sum, out[at..][..P::LANES].as_mut_ptr());
            }
        }
    }
}
