//! Homodyne reconstruction: what conjugate symmetry tells of lines that have not been measured, added line by line.
//!
//! The k-space of a real image is Hermitian: line `-k` is line k's mirror image, conjugated. A scanner's image is a real one
//! times a smooth phase, so its k-space is nearly Hermitian once the phase is taken off, and the phase is known from the
//! lines around DC that have been measured on both sides (D. C. Noll, D. G. Nishimura, A. Macovski, *Homodyne detection in
//! magnetic resonance imaging*, 1991). With `S` the image of those *paired* lines (DC among them), `Z` the image of all
//! measured lines, and `p` the phase of `S`, the image is
//!
//! `Z conj(p) + weight * conj((Z - S) conj(p))`
//!
//! whose second term stands for the mirror images that have not been measured. With a weight of 1 this is Noll's image, the
//! real part with lines without a mirror counted twice; with a weight of 0 its magnitude is the zero-filled one's.
//! `weight` is [`Reconstruction::weight`](super::Reconstruction::weight). Where the phase is wrong, what symmetry tells is wrong too, and counting half of it errs
//! less; that is so with the few lines of a fast scan.
//!
//! Any set of lines will do. [`Pattern::PartialFourier`](super::Pattern::PartialFourier) is the order made for this; where all
//! lines are paired there is nothing to fill in.
//!
//! # Cost
//! A [`Reconstructor`](super::Reconstructor) keeps `S` beside `Z`, and takes memory for a third image while they are looked at,
//! which a scan shares with the networks. Who can push the lines again does without the third, which then takes the place of `S`,
//! and a volume's scan without the second too ([`Plan::aliased`](super::Plan::aliased)). In multiples of `H * W` complex
//! multiply-adds, a line without a measured mirror costs 1, as in zero filling; DC 2; a line that completes a pair 4, for both
//! lines join `S` and the earlier one is first read back out of `Z`: at most 2.5 a line. Each look at the image takes a square
//! root and two divisions a pixel more.

use super::arrival::Arrival;
use super::mask::LineSet;
use super::recon::accumulate_line;
use crate::Complex32;
use crate::kernels::ImageKernels;

const ZERO: Complex32 = Complex32::new(0.0, 0.0);

/// The line at the same distance from DC on the other side, modulo the width: DC is its own, and so is line 0 where the width
/// is even.
///
/// ```
/// use kscout_core::kspace::mirror_line;
/// assert_eq!([64, 63, 66, 0].map(|line| mirror_line(line, 128)), [64, 65, 62, 0]);
/// ```
pub const fn mirror_line(line: usize, width: usize) -> usize {
    if width == 0 { 0 } else { (width / 2 * 2 + width - line % width) % width }
}

/// Whether a measured line is paired: its mirror image is measured too.
pub(super) fn is_paired(line: usize, measured: &LineSet) -> bool {
    measured.contains(line) && measured.contains(mirror_line(line, measured.width()))
}

/// Brings `paired`, the image of the paired lines, up to date with a line that is about to arrive. `spare` is scratch for the H
/// values of a line, `ramp` for W.
pub(super) fn note<K: ImageKernels + ?Sized>(
    kernels: &K,
    arrival: &Arrival<'_>,
    paired: &mut [Complex32],
    spare: &mut [Complex32],
    ramp: &mut [Complex32],
) {
    let &Arrival { image, measured, twiddles, line, profile } = arrival;
    let mirror = mirror_line(line, twiddles.width());
    if mirror != line && !measured.contains(mirror) {
        return;
    }
    accumulate_line(kernels, paired, line, profile, twiddles, ramp);
    if mirror != line {
        twiddles.ramp(mirror, ramp);
        read_line(image, ramp, spare);
        accumulate_line(kernels, paired, mirror, spare, twiddles, ramp);
    }
}

/// Columns whose terms are summed side by side, so that vectors can.
const COLUMNS: usize = 8;

/// Writes a line's inverse transform along y, read out of the image that it was added to: `profile[y]` is the sum over x of
/// `image[y][x] * conj(ramp[x])`. Lines are orthogonal, so the others add nothing.
///
/// Column x of a row adds to sum `x % 8`, in rising order; then the sums in rising order.
fn read_line(image: &[Complex32], ramp: &[Complex32], profile: &mut [Complex32]) {
    let (blocks, rest_phases) = ramp.as_chunks::<COLUMNS>();
    let mut rest_rows = image;
    for value in profile {
        let Some((row, below)) = rest_rows.split_at_checked(ramp.len()) else { return };
        rest_rows = below;
        let mut sums = [ZERO; COLUMNS];
        let (pixels, rest) = row.as_chunks::<COLUMNS>();
        for (pixels, phases) in pixels.iter().zip(blocks) {
            add_products(&mut sums, pixels, phases);
        }
        add_products(&mut sums, rest, rest_phases);
        *value = sums.iter().fold(ZERO, |sum, part| Complex32::new(sum.re + part.re, sum.im + part.im));
    }
}

/// Adds `z * conj(r)`.
#[inline(always)]
fn add_products(sums: &mut [Complex32; COLUMNS], pixels: &[Complex32], phases: &[Complex32]) {
    for ((sum, z), r) in sums.iter_mut().zip(pixels).zip(phases) {
        sum.re += z.re * r.re + z.im * r.im;
        sum.im += z.im * r.re - z.re * r.im;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kspace::reconstructor::tests::images_of;
    use crate::kspace::{Pattern, Reconstruction, fft_centred, ifft_centred};
    use crate::rng::SplitMix64;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn transformed(pixels: &[Complex32], width: usize, transform: impl Fn(&mut [Complex32])) -> Vec<Complex32> {
        let height = pixels.len() / width;
        let mut out = pixels.to_vec();
        for x in 0..width {
            let mut column: Vec<Complex32> = (0..height).map(|y| out[y * width + x]).collect();
            transform(&mut column);
            (0..height).for_each(|y| out[y * width + x] = column[y]);
        }
        out.chunks_exact_mut(width).for_each(transform);
        out
    }

    fn kspace_of(image: &[Complex32], width: usize) -> Vec<Complex32> {
        transformed(image, width, |line| fft_centred(line).unwrap())
    }

    /// What the module's doc says, by whole transforms of masked k-spaces.
    fn naive(kspace: &[Complex32], width: usize, lines: &[usize], weight: f32) -> Vec<Complex32> {
        let inverse = |wanted: &dyn Fn(usize) -> bool| {
            let masked = |(i, &v): (usize, &Complex32)| if wanted(i % width) { v } else { ZERO };
            let masked: Vec<Complex32> = kspace.iter().enumerate().map(masked).collect();
            transformed(&masked, width, |line| ifft_centred(line).unwrap())
        };
        let mirror = |line: usize| if line == 0 { 0 } else { width - line };
        let all = inverse(&|line| lines.contains(&line));
        let paired = inverse(&|line| lines.contains(&line) && lines.contains(&mirror(line)));
        let filled = |(z, s): (&Complex32, &Complex32)| {
            let size = s.norm_sqr().sqrt();
            let unturned = if size > 0.0 { s.conj() / size } else { Complex32::new(1.0, 0.0) };
            let told = if size > 0.0 { ((z - s) * unturned).conj() } else { ZERO };
            z * unturned + told * weight
        };
        all.iter().zip(&paired).map(filled).collect()
    }

    fn size(pixel: &Complex32) -> f32 {
        pixel.norm_sqr().sqrt()
    }

    /// Root mean square of the difference in magnitude, relative to the truth.
    fn error(image: &[Complex32], truth: &[f32]) -> f32 {
        let difference: f32 = image.iter().zip(truth).map(|(a, b)| (size(a) - b).powi(2)).sum();
        (difference / truth.iter().map(|b| b * b).sum::<f32>()).sqrt()
    }

    /// A disc in air and a brighter one in it, 64x64, with edges a pixel wide.
    fn discs() -> Vec<f32> {
        let disc = |i: usize, y: f32, x: f32, radius: f32| {
            let distance = ((i / 64) as f32 - y).hypot((i % 64) as f32 - x);
            1.0 / (1.0 + (2.0 * (distance - radius)).exp())
        };
        (0..64 * 64).map(|i| 0.4 * disc(i, 33.0, 30.0, 20.0) + 0.5 * disc(i, 30.0, 37.0, 7.0)).collect()
    }

    #[test]
    fn a_line_and_its_mirror_image_are_as_far_from_dc() {
        for width in [1, 5, 16, 127, 128] {
            for line in 0..width {
                let mirror = mirror_line(line, width);
                assert_eq!((line + mirror) % width, width / 2 * 2 % width, "line {line} of {width}");
                assert_eq!(mirror_line(mirror, width), line);
            }
        }
    }

    #[test]
    fn a_real_image_is_whole_again_from_half_of_its_lines() {
        let truth = discs();
        let image: Vec<Complex32> = truth.iter().map(|&v| Complex32::new(v, 0.0)).collect();
        let kspace = kspace_of(&image, 64);
        // DC first, then one side, then line 0, which is its own mirror image.
        let lower: Vec<usize> = (0..=32).rev().collect();
        let upper: Vec<usize> = (32..64).chain([0]).collect();
        for lines in [lower, upper] {
            let [zero_filled, homodyne] = images_of(&kspace, 64, &lines, Reconstruction::Homodyne);
            assert!(error(&zero_filled, &truth) > 0.05, "{}", error(&zero_filled, &truth));
            assert!(error(&homodyne, &truth) < 1e-6, "{}", error(&homodyne, &truth));
            assert!(homodyne.iter().all(|pixel| pixel.im == 0.0));
        }
    }

    #[test]
    fn with_a_smooth_phase_the_error_is_far_smaller_than_zero_fillings() {
        let truth = discs();
        let turned = |(i, &v): (usize, &f32)| {
            let (y, x) = ((i / 64) as f32 / 64.0, (i % 64) as f32 / 64.0);
            let (sin, cos) = (0.7 * y - 0.5 * x + 0.5 * (2.0 * x + y).cos()).sin_cos();
            Complex32::new(v * cos, v * sin)
        };
        let image: Vec<Complex32> = truth.iter().enumerate().map(turned).collect();
        let kspace = kspace_of(&image, 64);
        let order = Pattern::PartialFourier { centre_fraction: 0.3 }.lines(64, 28, 0).unwrap();
        let lines: Vec<usize> = order.into_iter().map(usize::from).collect();
        let [zero_filled, full] = images_of(&kspace, 64, &lines, Reconstruction::Homodyne);
        let [_, half] = images_of(&kspace, 64, &lines, Reconstruction::HalfHomodyne);
        let errors = [zero_filled, half, full].map(|image| error(&image, &truth));
        assert!(errors[2] < 0.45 * errors[0] && errors[1] < 0.6 * errors[0], "{errors:?}");
    }

    #[test]
    fn without_a_pair_or_with_all_lines_nothing_is_filled_in() {
        let image: Vec<Complex32> = discs().iter().map(|&v| Complex32::new(0.6 * v, 0.8 * v)).collect();
        let kspace = kspace_of(&image, 64);
        let [zero_filled, filled] = images_of(&kspace, 64, &[30, 20, 37], Reconstruction::Homodyne);
        assert_eq!(filled, zero_filled);
        let all: Vec<usize> = (0..64).collect();
        let [zero_filled, filled] = images_of(&kspace, 64, &all, Reconstruction::HalfHomodyne);
        let worst = zero_filled.iter().zip(&filled).map(|(a, b)| (size(a) - size(b)).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}");
    }

    proptest! {
        #![proptest_config(crate::kspace::fixed_cases(40))]

        #[test]
        fn the_image_is_that_of_whole_transforms(
            height_power in 4_u32..=7, width_power in 4_u32..=7, share in 0.0_f32..=1.0, seed: u64,
        ) {
            let (height, width) = (1_usize << height_power, 1_usize << width_power);
            let mut rng = SplitMix64::new(seed);
            // Far from zero, because there the phase is anything.
            let image: Vec<Complex32> =
                (0..height * width).map(|_| Complex32::new(2.0 + rng.unit_f32(), rng.unit_f32())).collect();
            let kspace = kspace_of(&image, width);
            let mut lines: Vec<usize> = (0..width).filter(|&line| line != width / 2).collect();
            (1..lines.len()).for_each(|i| lines.swap(i, rng.below(i as u64 + 1) as usize));
            lines.truncate((width as f32 * share) as usize);
            lines.insert(lines.len() / 2, width / 2);
            for reconstruction in [Reconstruction::Homodyne, Reconstruction::HalfHomodyne] {
                let [_, found] = images_of(&kspace, width, &lines, reconstruction);
                let expected = naive(&kspace, width, &lines, reconstruction.weight());
                let difference: f32 = found.iter().zip(&expected).map(|(a, b)| (a - b).norm_sqr()).sum();
                let total: f32 = expected.iter().map(Complex32::norm_sqr).sum();
                let error = (difference / total).sqrt();
                prop_assert!(error < 1e-5, "{}x{} {}: {}", height, width, reconstruction, error);
            }
        }
    }
}
