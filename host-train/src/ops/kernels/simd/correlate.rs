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
    /// The positions of runs, a vector each.
    pub starts: &'a [usize],
    /// How far the second half of a run is from the first, where they are not neighbours.
    pub apart: Option<usize>,
    /// Weights `[plane][tap][out-channel]`.
    pub weights: &'a [u32],
    /// What the sums begin with.
    pub bias: [f32; MOST_CHANNELS],
}

/// Where the sums of a run are to be written: of out-channel o, in row `row + o` from `at` on.
#[derive(Clone, Copy)]
pub struct Place {
    /// Row of the first out-channel.
    pub row: usize,
    /// Place in the rows.
    pub at: usize,
}

/// The rows that are written, and for how many out-channels.
struct Output<'a, 'o> {
    places: &'a [Place],
    channels: usize,
    rows: &'a mut [&'o mut [f32]],
}

impl Correlation<'_> {
    /// Writes, for each run, the sums over planes and taps of `weights[plane][tap][o]` times
    /// `plane[taps[tap] + start + lane]`, plus the bias, for the out-channels o below `channels`.
    ///
    /// Each sum is taken in the order of the weights, in whatever company its run is.
    pub fn run(&self, set: Set, places: &[Place], channels: usize, rows: &mut [&mut [f32]]) {
        let planes = self.weights.len() / (self.taps.len() * set.channels()).max(1);
        assert!(channels <= set.channels() && self.starts.len() == places.len());
        let (Some(last_tap), Some(last_start)) = (self.taps.iter().max(), self.starts.iter().max()) else {
            return;
        };
        let last = planes.saturating_sub(1) * self.plane + last_tap + last_start + self.apart.unwrap_or(0);
        assert!(planes == 0 || last + set.lanes() <= self.planes.len(), "planes hold what the taps read");
        let out = &mut Output { places, channels, rows };
        // SAFETY: a set is only made where its features were found; the assertion above bounds every load of planes, and
        // `planes` those of weights.
        unsafe {
            match set.0 {
                Kind::Portable => groups::<Portable, 4>(self, planes, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => x86::avx2(self, planes, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => x86::avx512(self, planes, out),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512Bf16 => x86::avx512_bf16(self, planes, out),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::products::{Avx2, Avx512, Avx512Bf16};
    use super::{Correlation, Output, groups};

    // SAFETY of all three: the features are those that the set needs, the rest is the caller's.

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(work: &Correlation<'_>, planes: usize, out: &mut Output<'_, '_>) {
        unsafe { groups::<Avx2, 4>(work, planes, out) }
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(work: &Correlation<'_>, planes: usize, out: &mut Output<'_, '_>) {
        unsafe { groups::<Avx512, 8>(work, planes, out) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn avx512_bf16(work: &Correlation<'_>, planes: usize, out: &mut Output<'_, '_>) {
        unsafe { groups::<Avx512Bf16, 8>(work, planes, out) }
    }
}

/// All runs, [`VECTORS`] at a time.
///
/// # Safety
/// The processor has the features of `P`; loads at all planes, taps and runs are inside.
#[inline(always)]
unsafe fn groups<P: Products, const O: usize>(work: &Correlation<'_>, planes: usize, out: &mut Output<'_, '_>) {
    for (index, starts) in work.starts.chunks(VECTORS).enumerate() {
        let first = index * VECTORS;
        // SAFETY: the caller's.
        unsafe {
            match (starts, work.apart) {
                (&[a, b, c], None) => group::<P, O, 3, false>(work, planes, [a, b, c], first, out),
                (&[a, b], None) => group::<P, O, 2, false>(work, planes, [a, b], first, out),
                (&[a], None) => group::<P, O, 1, false>(work, planes, [a], first, out),
                (&[a, b, c], Some(_)) => group::<P, O, 3, true>(work, planes, [a, b, c], first, out),
                (&[a, b], Some(_)) => group::<P, O, 2, true>(work, planes, [a, b], first, out),
                (&[a], Some(_)) => group::<P, O, 1, true>(work, planes, [a], first, out),
                _ => {}
            }
        }
    }
}

/// `V` runs, the places `first` and following ones, for `O` channels: all sums stay in registers.
///
/// # Safety
/// That of [`groups`].
#[inline(always)]
unsafe fn group<P: Products, const O: usize, const V: usize, const APART: bool>(
    work: &Correlation<'_>,
    planes: usize,
    starts: [usize; V],
    first: usize,
    out: &mut Output<'_, '_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let runs = starts.map(|start| work.planes.as_ptr().add(start));
        let apart = work.apart.unwrap_or(0);
        let mut sums = [[P::fill(0.0); V]; O];
        for (sums, &bias) in sums.iter_mut().zip(&work.bias) {
            *sums = [P::fill(bias); V];
        }
        let mut weights = work.weights.as_ptr();
        let mut plane = 0;
        for _ in 0..planes {
            for &tap in work.taps {
                let mut pixels = [P::none(); V];
                for (pixels, run) in pixels.iter_mut().zip(&runs) {
                    let run = run.add(plane + tap);
                    *pixels = if APART { P::words_apart(run, apart) } else { P::words(run) };
                }
                for (o, sums) in sums.iter_mut().enumerate() {
                    let weight = P::splat(weights.add(o));
                    for (sum, &pixels) in sums.iter_mut().zip(&pixels) {
                        *sum = P::add(*sum, pixels, weight);
                        if P::SCARCE {
                            *sum = P::pin(*sum);
                        }
                    }
                }
                weights = weights.add(O);
            }
            plane += work.plane;
        }
        // By value: a reference to the sums would keep them in memory all the time.
        for (o, sums) in sums.into_iter().enumerate().take(out.channels) {
            for (sum, place) in sums.into_iter().zip(&out.places[first..]) {
                P::store(sum, out.rows[place.row + o][place.at..][..P::LANES].as_mut_ptr());
            }
        }
    }
}
