//! Which samples a line may have: those whose image can be brought to its brightness.
//!
//! The quantised image is divided by the root of the mean square of all pixels. The transforms keep energy, so H times W pixels, at most
//! 2^18, hold the sum of the squares of all samples. With parts of at most 2^50 that sum is at most `2^18 * 2 * 2^100 = 2^119`, and
//! what conjugate symmetry fills in raises it at most ninefold: below 2^128, where f32 ends. A line with a part of at least 2^-50 gives
//! pixels of at least `2^-50 / 2^9`, whose square, 2^-118, is still a normal number (they end at 2^-126). Beyond either end the image
//! would come out dark, or wrong, without a word; so such lines are refused. Beside a line with signal a fainter one does no harm:
//! it may be what rounding has left of a line without any.
//!
//! Scanners' samples lie far inside, whatever their unit: the range spans thirty decimal places.

use super::error::LineError;
use crate::Complex32;

/// The largest real or imaginary part that a sample may have in magnitude: 2^50, about 1.1e15.
pub const LARGEST_SAMPLE: f32 = (1_u64 << 50) as f32;

/// The least that the largest real or imaginary part of a slice's lines may be in magnitude: 2^-50, about 8.9e-16. A line below it is
/// taken where an earlier one of the slice is not, or where all its samples are exactly zero.
pub const FAINTEST_LINE: f32 = 1.0 / LARGEST_SAMPLE;

/// Refuses samples that are not as many as `needed`, or out of range; `has_signal` says whether an earlier line of the slice has
/// reached [`FAINTEST_LINE`]. Returns whether this one does.
pub(crate) fn check_samples(
    line: usize,
    samples: &[Complex32],
    needed: usize,
    has_signal: bool,
) -> Result<bool, LineError> {
    if samples.len() != needed {
        return Err(LineError::SampleCount { needed, got: samples.len() });
    }
    let mut largest = 0.0_f32;
    for (sample, value) in samples.iter().enumerate() {
        if !(value.re.is_finite() && value.im.is_finite()) {
            return Err(LineError::NotFinite { line, sample });
        }
        let size = libm::fmaxf(libm::fabsf(value.re), libm::fabsf(value.im));
        if size > LARGEST_SAMPLE {
            return Err(LineError::TooLarge { line, sample });
        }
        largest = libm::fmaxf(largest, size);
    }
    if largest > 0.0 && largest < FAINTEST_LINE && !has_signal {
        return Err(LineError::TooFaint { line });
    }
    Ok(largest >= FAINTEST_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_has_two_ends_and_zero() {
        let line = |value: f32| [Complex32::new(0.0, 0.0), Complex32::new(0.0, -value)];
        for value in [0.0, FAINTEST_LINE, 1e-12, 1.0, 1e12, LARGEST_SAMPLE] {
            assert_eq!(check_samples(3, &line(value), 2, false), Ok(value > 0.0), "{value}");
        }
        for value in [LARGEST_SAMPLE * 1.000_001, 1e30, f32::MAX] {
            for has_signal in [false, true] {
                let refused = check_samples(3, &line(value), 2, has_signal);
                assert_eq!(refused, Err(LineError::TooLarge { line: 3, sample: 1 }), "{value}");
            }
        }
        for value in [FAINTEST_LINE * 0.999_999, 1e-30, f32::MIN_POSITIVE, f32::from_bits(1)] {
            assert_eq!(check_samples(3, &line(value), 2, false), Err(LineError::TooFaint { line: 3 }), "{value}");
            assert_eq!(check_samples(3, &line(value), 2, true), Ok(false), "{value}");
        }
        let mixed = [Complex32::new(f32::MIN_POSITIVE, 0.0), Complex32::new(1.0, 0.0)];
        assert_eq!(check_samples(3, &mixed, 2, false), Ok(true), "faint samples beside others are noise");
    }
}
