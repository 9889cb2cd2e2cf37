//! The centred orthonormal Fourier transform of one line, in place.
//!
//! `X[k] = 1/sqrt(n) * sum_j x[j] * exp(-2 pi i (k - n/2)(j - n/2) / n)`: index `n/2` is position 0 on one side and
//! frequency 0 on the other; the inverse has the other sign. As array operations, `fftshift(fft(ifftshift(x))) /
//! sqrt(n)`. The transform keeps energy.
//!
//! Lengths are the powers of two from 16 to 512. [`microfft`] does the work, from tables fixed at compile time.

use core::fmt;

use crate::Complex32;

/// The length of a line has no transform here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FftError {
    /// The length given.
    pub length: usize,
}

impl fmt::Display for FftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no Fourier transform of {} samples: expected 16, 32, 64, 128, 256 or 512", self.length)
    }
}

impl core::error::Error for FftError {}

/// Whether lines of this length can be transformed: a power of two from 16 to 512.
pub const fn is_fft_length(length: usize) -> bool {
    length.is_power_of_two() && length >= 16 && length <= 512
}

/// Transforms `line` in place, from positions to frequencies.
///
/// # Errors
/// [`FftError`] unless [`is_fft_length`]; the line stays as it was.
pub fn fft_centred(line: &mut [Complex32]) -> Result<(), FftError> {
    if !is_fft_length(line.len()) {
        return Err(FftError { length: line.len() });
    }
    swap_halves(line);
    fft(line)?;
    swap_halves(line);
    let scale = scale_of(line.len());
    for value in line {
        *value = Complex32::new(value.re * scale, value.im * scale);
    }
    Ok(())
}

/// Transforms `line` in place, from frequencies to positions: the inverse of [`fft_centred`].
///
/// ```
/// use kscout_core::{Complex32, kspace::ifft_centred};
/// let mut line = [Complex32::new(0.0, 0.0); 16];
/// line[8] = Complex32::new(4.0, 0.0);
/// ifft_centred(&mut line).unwrap();
/// assert_eq!(line, [Complex32::new(1.0, 0.0); 16]);
/// ```
///
/// # Errors
/// [`FftError`] unless [`is_fft_length`]; the line stays as it was.
pub fn ifft_centred(line: &mut [Complex32]) -> Result<(), FftError> {
    if !is_fft_length(line.len()) {
        return Err(FftError { length: line.len() });
    }
    swap_halves(line);
    // The inverse is the conjugate of the forward transform of the conjugate.
    for value in line.iter_mut() {
        value.im = -value.im;
    }
    fft(line)?;
    swap_halves(line);
    let scale = scale_of(line.len());
    for value in line {
        *value = Complex32::new(value.re * scale, value.im * -scale);
    }
    Ok(())
}

fn scale_of(length: usize) -> f32 {
    1.0 / libm::sqrtf(length as f32)
}

/// `fftshift`, which for even lengths is its own inverse.
fn swap_halves(line: &mut [Complex32]) {
    let (low, high) = line.split_at_mut(line.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        core::mem::swap(a, b);
    }
}

fn fft(line: &mut [Complex32]) -> Result<(), FftError> {
    use microfft::complex::{cfft_16, cfft_32, cfft_64, cfft_128, cfft_256, cfft_512};
    let length = line.len();
    macro_rules! dispatch {
        ($($n:literal => $transform:ident),*) => {
            match length {
                $($n => {
                    let array = <&mut [Complex32; $n]>::try_from(line).map_err(|_| FftError { length })?;
                    let _ = $transform(array);
                    Ok(())
                })*
                _ => Err(FftError { length }),
            }
        };
    }
    dispatch!(16 => cfft_16, 32 => cfft_32, 64 => cfft_64, 128 => cfft_128, 256 => cfft_256, 512 => cfft_512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    /// The definition in the module's doc, term by term, in f64. `sign` is -1 forward, 1 inverse.
    fn by_definition(line: &[Complex32], sign: f64) -> Vec<Complex64> {
        let n = line.len();
        let centred = |index: usize| index as f64 - (n / 2) as f64;
        let term = |k: usize, j: usize| {
            let angle = sign * core::f64::consts::TAU * centred(k) * centred(j) / n as f64;
            let phase = Complex64::new(angle.cos(), angle.sin());
            Complex64::new(f64::from(line[j].re), f64::from(line[j].im)) * phase
        };
        (0..n).map(|k| (0..n).map(|j| term(k, j)).sum::<Complex64>() / (n as f64).sqrt()).collect()
    }

    fn largest_difference(a: &[Complex32], b: &[Complex64]) -> f64 {
        let distance = |(a, b): (&Complex32, &Complex64)| (f64::from(a.re) - b.re).hypot(f64::from(a.im) - b.im);
        a.iter().zip(b).map(distance).fold(0.0, f64::max)
    }

    fn any_line() -> impl Strategy<Value = Vec<Complex32>> {
        (4_u32..=9).prop_flat_map(|power| {
            let value = (-1.0_f32..1.0, -1.0_f32..1.0).prop_map(|(re, im)| Complex32::new(re, im));
            prop::collection::vec(value, 1 << power)
        })
    }

    #[test]
    fn lengths_without_a_transform_are_refused_and_left_alone() {
        for length in [0, 1, 8, 15, 17, 96, 1024] {
            let mut line: Vec<Complex32> = (0..length).map(|i| Complex32::new(i as f32, 1.0)).collect();
            let before = line.clone();
            assert_eq!(fft_centred(&mut line), Err(FftError { length }));
            assert_eq!(ifft_centred(&mut line), Err(FftError { length }));
            assert_eq!(line, before);
        }
        let message = FftError { length: 96 }.to_string();
        assert_eq!(message, "no Fourier transform of 96 samples: expected 16, 32, 64, 128, 256 or 512");
    }

    #[test]
    fn a_constant_line_is_dc_alone() {
        let mut line = vec![Complex32::new(1.0, 0.0); 64];
        fft_centred(&mut line).unwrap();
        assert_eq!(line[32], Complex32::new(8.0, 0.0));
        assert_eq!(line.iter().filter(|value| value.norm_sqr() > 0.0).count(), 1);
    }

    proptest! {
        #![proptest_config(crate::kspace::fixed_cases(48))]

        #[test]
        fn both_directions_follow_the_definition(line in any_line()) {
            let mut forward = line.clone();
            fft_centred(&mut forward).unwrap();
            prop_assert!(largest_difference(&forward, &by_definition(&line, -1.0)) < 2e-6);
            let mut inverse = line.clone();
            ifft_centred(&mut inverse).unwrap();
            prop_assert!(largest_difference(&inverse, &by_definition(&line, 1.0)) < 2e-6);
        }

        #[test]
        fn the_inverse_gives_the_line_back(line in any_line()) {
            let mut there_and_back = line.clone();
            fft_centred(&mut there_and_back).unwrap();
            ifft_centred(&mut there_and_back).unwrap();
            let worst = line.iter().zip(&there_and_back).map(|(a, b)| (a - b).l1_norm()).fold(0.0, f32::max);
            prop_assert!(worst < 1e-6, "{}", worst);
        }
    }
}
