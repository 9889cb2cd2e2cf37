//! The zero-filled image, added up one line at a time, and its quantised magnitude.
//!
//! A new line k adds `s_k(y) * exp(2 pi i (k - W/2)(x - W/2) / W) / sqrt(W)` to the complex image, `s_k` being the
//! line's own inverse transform along y: the term that line k has in the 2-D inverse transform. So `H * W` complex
//! multiply-adds bring the image up to date, and the order of the lines does not matter but for rounding.
//! [`Reconstructor`](super::Reconstructor) does it.

use core::f64::consts::TAU;

use super::error::ReconError;
use crate::Complex32;
use crate::contract::{IMAGE_LEVELS_PER_RMS, IMAGE_ZERO_POINT};
use crate::kernels::{ImageKernels, Native};
use crate::length::{LengthError, expect_length};

/// The phases of a width, `exp(2 pi i n / W) / sqrt(W)` for n in `0..W`, in the caller's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Twiddles<'a> {
    table: &'a [Complex32],
}

impl<'a> Twiddles<'a> {
    /// Fills `table`, whose length is the width, and keeps it.
    ///
    /// Computed in f64 by [`libm`], so that every target has the same table.
    pub fn fill(table: &'a mut [Complex32]) -> Self {
        let width = table.len();
        let scale = 1.0 / libm::sqrt(width as f64);
        for (n, twiddle) in table.iter_mut().enumerate() {
            let angle = TAU * n as f64 / width as f64;
            *twiddle = Complex32::new((libm::cos(angle) * scale) as f32, (libm::sin(angle) * scale) as f32);
        }
        Self { table }
    }

    /// The width W: how many entries the table has.
    pub const fn width(&self) -> usize {
        self.table.len()
    }

    /// Writes the phase ramp of line `line`, `exp(2 pi i (line - W/2)(x - W/2) / W) / sqrt(W)` for x in `0..W`; nothing of a line
    /// that does not exist.
    pub fn ramp(&self, line: usize, ramp: &mut [Complex32]) {
        let width = self.width();
        if line >= width {
            return;
        }
        // Modulo W, with W added where the difference could be negative.
        let centre = width / 2;
        let step = (line + width - centre) % width;
        let mut index = step * (width - centre) % width;
        for phase in ramp {
            *phase = self.table.get(index).copied().unwrap_or_default();
            index += step;
            if index >= width {
                index -= width;
            }
        }
    }
}

/// Adds one line to the complex image, `[y][x]`. `profile` is the line's inverse transform along y, H values, as
/// [`ifft_centred`](super::ifft_centred) leaves it; `ramp` is scratch for W values.
pub(super) fn accumulate_line<K: ImageKernels + ?Sized>(
    kernels: &K,
    image: &mut [Complex32],
    line: usize,
    profile: &[Complex32],
    twiddles: &Twiddles<'_>,
    ramp: &mut [Complex32],
) {
    twiddles.ramp(line, ramp);
    kernels.accumulate(image, profile, ramp);
}

/// Writes the magnitude of a complex image.
///
/// # Errors
/// [`LengthError`] if the two lengths differ.
pub fn magnitude(image: &[Complex32], out: &mut [f32]) -> Result<(), LengthError> {
    expect_length("the magnitude", out.len(), image.len())?;
    for (m, value) in out.iter_mut().zip(image) {
        *m = libm::sqrtf(energy(value));
    }
    Ok(())
}

/// Writes the *quantised image*, what the networks see of a slice.
///
/// With `m = |image|` and `rms = sqrt(mean(m * m))` over the slice, a value is `min(255, floor(m * (48 / rms) + 0.5)) -
/// 128`, 48 being [`IMAGE_LEVELS_PER_RMS`]. The sum of squares is [`ImageKernels::energy`]'s. A slice
/// without signal, or with an RMS that is not finite, is [`IMAGE_ZERO_POINT`] everywhere.
///
/// # Errors
/// [`ReconError`] if `width` is 0, the image is not whole rows, or the two lengths differ.
pub fn quantise_magnitude(image: &[Complex32], width: usize, out: &mut [i8]) -> Result<(), ReconError> {
    quantise_magnitude_with(&Native::default(), image, width, out)
}

/// [`quantise_magnitude`] with a kernel set of the caller's choice; every set gives the same bytes.
///
/// # Errors
/// Those of [`quantise_magnitude`].
pub fn quantise_magnitude_with<K: ImageKernels + ?Sized>(
    kernels: &K,
    image: &[Complex32],
    width: usize,
    out: &mut [i8],
) -> Result<(), ReconError> {
    if width == 0 {
        return Err(ReconError::Width { width });
    }
    expect_length("the image", image.len(), image.len() - image.chunks_exact(width).remainder().len())?;
    expect_length("the quantised image", out.len(), image.len())?;
    let rms = libm::sqrtf(kernels.energy(image, width) / image.len() as f32);
    let gain = IMAGE_LEVELS_PER_RMS / rms;
    if !(rms > 0.0 && rms.is_finite() && gain.is_finite()) {
        out.fill(IMAGE_ZERO_POINT);
        return Ok(());
    }
    kernels.quantise(image, gain, out);
    Ok(())
}

fn energy(value: &Complex32) -> f32 {
    value.re * value.re + value.im * value.im
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kspace::reconstructor::tests::images_of;
    use crate::kspace::{Reconstruction, fft_centred, ifft_centred};
    use crate::rng::SplitMix64;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    const ZERO: Complex32 = Complex32::new(0.0, 0.0);

    fn noise(count: usize, seed: u64) -> Vec<Complex32> {
        let mut rng = SplitMix64::new(seed);
        (0..count).map(|_| Complex32::new(rng.unit_f32() - 0.5, rng.unit_f32() - 0.5)).collect()
    }

    /// The 2-D transform as transforms of columns and of rows: nothing of the way under test but the 1-D transform.
    fn inverse_2d(kspace: &[Complex32], width: usize) -> Vec<Complex32> {
        let height = kspace.len() / width;
        let mut image = kspace.to_vec();
        for x in 0..width {
            let mut column: Vec<Complex32> = (0..height).map(|y| image[y * width + x]).collect();
            ifft_centred(&mut column).unwrap();
            (0..height).for_each(|y| image[y * width + x] = column[y]);
        }
        image.chunks_exact_mut(width).for_each(|row| ifft_centred(row).unwrap());
        image
    }

    fn zero_filled(kspace: &[Complex32], width: usize, lines: &[usize]) -> Vec<Complex32> {
        let [image, same] = images_of(kspace, width, lines, Reconstruction::ZeroFilled);
        assert_eq!(image, same);
        image
    }

    fn relative_error(a: &[Complex32], b: &[Complex32]) -> f32 {
        let difference: f32 = a.iter().zip(b).map(|(a, b)| (a - b).norm_sqr()).sum();
        let size: f32 = b.iter().map(Complex32::norm_sqr).sum();
        (difference / size).sqrt()
    }

    #[test]
    fn a_width_that_is_no_power_of_two_follows_the_formula() {
        for width in [1_usize, 5, 12, 100] {
            let mut table = vec![ZERO; width];
            let twiddles = Twiddles::fill(&mut table);
            let mut ramp = vec![ZERO; width];
            for line in 0..width {
                twiddles.ramp(line, &mut ramp);
                for (x, phase) in ramp.iter().enumerate() {
                    let centred = |index: usize| index as f64 - (width / 2) as f64;
                    let angle = TAU * centred(line) * centred(x) / width as f64;
                    let size = (width as f64).sqrt();
                    let expected = Complex32::new((angle.cos() / size) as f32, (angle.sin() / size) as f32);
                    assert!((phase - expected).l1_norm() < 1e-6, "width {width} line {line} x {x}");
                }
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused_and_named() {
        let image = [ZERO; 256];
        let length = |what, needed, got| ReconError::Length(LengthError { what, needed, got });
        assert_eq!(quantise_magnitude(&image, 16, &mut [0; 255]), Err(length("the quantised image", 256, 255)));
        assert_eq!(quantise_magnitude(&image, 17, &mut [0; 256]), Err(length("the image", 255, 256)));
        assert_eq!(quantise_magnitude(&image, 0, &mut [0; 256]), Err(ReconError::Width { width: 0 }));
        assert_eq!(magnitude(&image, &mut [0.0; 7]), Err(LengthError { what: "the magnitude", needed: 256, got: 7 }));
    }

    #[test]
    fn brightness_of_the_rms_is_level_48() {
        let image = [Complex32::new(0.0, 3.5); 32];
        let mut q = [0; 32];
        quantise_magnitude(&image, 16, &mut q).unwrap();
        assert_eq!(q, [-80; 32]);
    }

    #[test]
    fn bright_pixels_saturate() {
        let mut image = [ZERO; 256];
        image[7] = Complex32::new(1.0, 0.0);
        let mut q = [0; 256];
        quantise_magnitude(&image, 16, &mut q).unwrap();
        assert_eq!(q[7], 127);
        assert_eq!(q.iter().filter(|&&level| level == -128).count(), 255);
    }

    #[test]
    fn a_slice_without_a_usable_rms_is_dark() {
        for value in [0.0, 1e-30, 1e30, f32::MAX] {
            let mut q = [3; 32];
            quantise_magnitude(&[Complex32::new(value, value); 32], 16, &mut q).unwrap();
            assert_eq!(q, [-128; 32], "{value}");
        }
    }

    proptest! {
        #![proptest_config(crate::kspace::fixed_cases(40))]

        #[test]
        fn the_image_is_the_inverse_transform_of_the_masked_kspace(
            height_power in 4_u32..=8, width_power in 4_u32..=8, share in 0.0_f32..=1.0, seed: u64,
        ) {
            let (height, width) = (1_usize << height_power, 1_usize << width_power);
            let full = noise(height * width, seed);
            let mut rng = SplitMix64::new(!seed);
            let mut lines: Vec<usize> = (0..width).collect();
            (1..width).for_each(|i| lines.swap(i, rng.below(i as u64 + 1) as usize));
            lines.truncate(((width as f32 * share) as usize).max(1));
            let masked: Vec<Complex32> =
                full.iter().enumerate().map(|(i, &v)| if lines.contains(&(i % width)) { v } else { ZERO }).collect();
            let error = relative_error(&zero_filled(&full, width, &lines), &inverse_2d(&masked, width));
            prop_assert!(error < 1e-5, "{}x{}: {}", height, width, error);
        }

        #[test]
        fn all_lines_give_the_image_back(height_power in 4_u32..=7, width_power in 4_u32..=7, seed: u64) {
            let (height, width) = (1_usize << height_power, 1_usize << width_power);
            let image = noise(height * width, seed);
            let mut kspace = image.clone();
            kspace.chunks_exact_mut(width).for_each(|row| fft_centred(row).unwrap());
            for x in 0..width {
                let mut column: Vec<Complex32> = (0..height).map(|y| kspace[y * width + x]).collect();
                fft_centred(&mut column).unwrap();
                (0..height).for_each(|y| kspace[y * width + x] = column[y]);
            }
            let lines: Vec<usize> = (0..width).collect();
            let back = zero_filled(&kspace, width, &lines);
            prop_assert!(relative_error(&back, &image) < 1e-5);
            let (mut a, mut b) = (vec![0.0; image.len()], vec![0.0; image.len()]);
            magnitude(&back, &mut a).unwrap();
            magnitude(&image, &mut b).unwrap();
            prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5));
        }

        #[test]
        fn quantisation_follows_its_formula(seed: u64, power in -12_i32..12) {
            let scale = 10_f32.powi(power);
            let image: Vec<Complex32> = noise(32 * 16, seed).iter().map(|v| v * scale).collect();
            let mut q = vec![0; image.len()];
            quantise_magnitude(&image, 16, &mut q).unwrap();
            let wide = |v: &Complex32| f64::from(v.re).hypot(f64::from(v.im));
            let rms = (image.iter().map(|v| wide(v).powi(2)).sum::<f64>() / image.len() as f64).sqrt();
            for (value, level) in image.iter().zip(q) {
                let exact = (wide(value) * 48.0 / rms).min(255.0) - 128.0;
                prop_assert!((exact - f64::from(level)).abs() < 0.501, "{} {}", exact, level);
            }
        }
    }
}
