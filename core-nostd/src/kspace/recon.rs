//! The zero-filled image, grown one line at a time, and its quantised magnitude.
//!
//! A new line k adds `s_k(y) * exp(2 pi i (k - W/2)(x - W/2) / W) / sqrt(W)` to the complex image, `s_k` being the
//! line's own inverse transform along y: the term that line k has in the 2-D inverse transform. So `H * W` complex
//! multiply-adds bring the image up to date, and the order of the lines does not matter but for rounding.

use core::f64::consts::TAU;
use core::fmt;

use super::mask::MAX_LINES;
use crate::Complex32;
use crate::kernels::{Kernels, Native};

pub use crate::model::IMAGE_LEVELS_PER_RMS;

/// The quantised value of no signal.
pub const IMAGE_ZERO_POINT: i8 = -128;

/// Why an image could not be grown or quantised. Nothing has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconError {
    /// An image has 1 to [`MAX_LINES`] columns.
    Width {
        /// The width asked for.
        width: usize,
    },
    /// The line does not exist in an image of this width.
    Line {
        /// The line that was given.
        line: usize,
        /// The image's width: lines are `0..width`.
        width: usize,
    },
    /// A slice does not have the length that the others ask for.
    Length {
        /// Which slice.
        what: &'static str,
        /// Its expected length, in elements.
        needed: usize,
        /// Its length.
        got: usize,
    },
}

impl fmt::Display for ReconError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { width } => {
                write!(f, "an image of {width} columns: expected 1 to {MAX_LINES}")
            }
            Self::Line { line, width } => {
                write!(f, "line {line} does not exist: there are {width}")
            }
            Self::Length { what, needed, got } => {
                write!(f, "{what} has {got} elements: expected {needed}")
            }
        }
    }
}

impl core::error::Error for ReconError {}

pub(super) fn expect_length(what: &'static str, got: usize, needed: usize) -> Result<(), ReconError> {
    if got == needed { Ok(()) } else { Err(ReconError::Length { what, needed, got }) }
}

/// The phases of a width, `exp(2 pi i n / W) / sqrt(W)` for n in `0..W`, in the caller's memory.
#[derive(Debug, Clone, Copy)]
pub struct Twiddles<'a> {
    table: &'a [Complex32],
}

impl<'a> Twiddles<'a> {
    /// Fills `table`, whose length is the width, and keeps it.
    ///
    /// Computed in f64 by [`libm`], so that every target has the same table.
    ///
    /// # Errors
    /// [`ReconError::Width`] unless the table has 1 to [`MAX_LINES`] entries.
    pub fn fill(table: &'a mut [Complex32]) -> Result<Self, ReconError> {
        let width = table.len();
        if width == 0 || width > MAX_LINES {
            return Err(ReconError::Width { width });
        }
        let scale = 1.0 / libm::sqrt(width as f64);
        for (n, twiddle) in table.iter_mut().enumerate() {
            let angle = TAU * n as f64 / width as f64;
            *twiddle = Complex32::new((libm::cos(angle) * scale) as f32, (libm::sin(angle) * scale) as f32);
        }
        Ok(Self { table })
    }

    /// The width W: how many entries the table has.
    pub const fn width(&self) -> usize {
        self.table.len()
    }

    /// Writes the phase ramp of line `line`, `exp(2 pi i (line - W/2)(x - W/2) / W) / sqrt(W)` for x in `0..W`.
    ///
    /// # Errors
    /// [`ReconError`] if the line does not exist or `ramp` does not have W entries.
    pub fn ramp(&self, line: usize, ramp: &mut [Complex32]) -> Result<(), ReconError> {
        let width = self.width();
        if line >= width {
            return Err(ReconError::Line { line, width });
        }
        expect_length("the phase ramp", ramp.len(), width)?;
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
        Ok(())
    }
}

/// Adds one line to the complex image.
///
/// `image` is `[y][x]`, H rows of W; `profile` is the line's inverse transform along y, H values, as
/// [`ifft_centred`](super::ifft_centred) leaves it; `ramp` is scratch for W values.
///
/// # Errors
/// [`ReconError`] if the line does not exist or a length does not fit; the image stays as it was.
pub fn grow_image(
    image: &mut [Complex32],
    profile: &[Complex32],
    line: usize,
    twiddles: &Twiddles<'_>,
    ramp: &mut [Complex32],
) -> Result<(), ReconError> {
    grow_image_with(&Native::default(), image, profile, line, twiddles, ramp)
}

/// [`grow_image`] with a kernel set of the caller's choice; every set gives the same bytes.
///
/// # Errors
/// Those of [`grow_image`].
pub fn grow_image_with<K: Kernels + ?Sized>(
    kernels: &K,
    image: &mut [Complex32],
    profile: &[Complex32],
    line: usize,
    twiddles: &Twiddles<'_>,
    ramp: &mut [Complex32],
) -> Result<(), ReconError> {
    expect_length("the image", image.len(), profile.len() * twiddles.width())?;
    twiddles.ramp(line, ramp)?;
    kernels.grow(image, profile, ramp);
    Ok(())
}

/// Writes the magnitude of a complex image.
///
/// # Errors
/// [`ReconError::Length`] if the two lengths differ.
pub fn magnitude(image: &[Complex32], out: &mut [f32]) -> Result<(), ReconError> {
    expect_length("the magnitude", out.len(), image.len())?;
    for (m, value) in out.iter_mut().zip(image) {
        *m = libm::sqrtf(energy(value));
    }
    Ok(())
}

/// Writes the *quantised image*, what the networks see of a slice.
///
/// With `m = |image|` and `rms = sqrt(mean(m * m))` over the slice, a value is `min(255, floor(m * (48 / rms) + 0.5)) -
/// 128`, 48 being [`IMAGE_LEVELS_PER_RMS`]. The sum of squares is [`Kernels::energy`]'s. A slice
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
pub fn quantise_magnitude_with<K: Kernels + ?Sized>(
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
    use crate::kspace::{SplitMix64, fft_centred, ifft_centred};
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

    fn grown(kspace: &[Complex32], width: usize, lines: &[usize]) -> Vec<Complex32> {
        let height = kspace.len() / width;
        let mut table = vec![ZERO; width];
        let twiddles = Twiddles::fill(&mut table).unwrap();
        let (mut image, mut ramp) = (vec![ZERO; kspace.len()], vec![ZERO; width]);
        for &line in lines {
            let mut profile: Vec<Complex32> = (0..height).map(|y| kspace[y * width + line]).collect();
            ifft_centred(&mut profile).unwrap();
            grow_image(&mut image, &profile, line, &twiddles, &mut ramp).unwrap();
        }
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
            let twiddles = Twiddles::fill(&mut table).unwrap();
            let mut ramp = vec![ZERO; width];
            for line in 0..width {
                twiddles.ramp(line, &mut ramp).unwrap();
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
        let mut table = [ZERO; 16];
        let twiddles = Twiddles::fill(&mut table).unwrap();
        let (mut image, mut ramp) = ([ZERO; 256], [ZERO; 16]);
        let grow = |image: &mut [Complex32], profile: usize, line, ramp: &mut [Complex32]| {
            grow_image(image, &vec![Complex32::new(1.0, 0.0); profile], line, &twiddles, ramp).unwrap_err()
        };
        let length = |what, needed, got| ReconError::Length { what, needed, got };
        assert_eq!(grow(&mut image, 15, 0, &mut ramp), length("the image", 240, 256));
        assert_eq!(grow(&mut image, 16, 0, &mut ramp[..8]), length("the phase ramp", 16, 8));
        assert_eq!(grow(&mut image, 16, 16, &mut ramp), ReconError::Line { line: 16, width: 16 });
        assert_eq!(image, [ZERO; 256]);
        assert_eq!(quantise_magnitude(&image, 16, &mut [0; 255]), Err(length("the quantised image", 256, 255)));
        assert_eq!(quantise_magnitude(&image, 17, &mut [0; 256]), Err(length("the image", 255, 256)));
        assert_eq!(quantise_magnitude(&image, 0, &mut [0; 256]), Err(ReconError::Width { width: 0 }));
        assert_eq!(Twiddles::fill(&mut []).unwrap_err(), ReconError::Width { width: 0 });
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
        fn the_grown_image_is_the_inverse_transform_of_the_masked_kspace(
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
            let error = relative_error(&grown(&full, width, &lines), &inverse_2d(&masked, width));
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
            let back = grown(&kspace, width, &lines);
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
