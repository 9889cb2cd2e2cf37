//! Fixed-point scales: how an `i32` accumulator becomes an `i8` activation.
//!
//! A real factor is held as a normalised multiplier and a power of two, `real = multiplier / 2^31 * 2^shift`, with
//! `multiplier` in `2^30 .. 2^31` (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference", section 2.2). Applying it rounds twice, as TFLite and CMSIS-NN do by default:
//! once in the high multiplication (halves up), once in the shift to the right (halves away from zero). Rounding
//! once would be nearer to the real product but would not agree with either to the bit.

/// Smallest normalised multiplier, one half in Q31.
const HALF_Q31: i32 = 1 << 30;

/// A positive real factor as `multiplier / 2^31 * 2^shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requant {
    /// Q31 mantissa, `2^30 ..= 2^31 - 1` when normalised.
    pub multiplier: i32,
    /// Power of two, positive to the left, `-31 ..= 30`.
    pub shift: i32,
}

impl Requant {
    /// Smallest shift a valid factor has.
    pub const MIN_SHIFT: i32 = -31;
    /// Largest shift a valid factor has.
    pub const MAX_SHIFT: i32 = 30;

    /// The normalised factor nearest to `real`; `None` if that is not positive, not finite, or outside
    /// `2^-32 .. 2^30`, the range of the shift.
    pub fn from_real(real: f64) -> Option<Self> {
        if !(real.is_finite() && real > 0.0) {
            return None;
        }
        // frexp: real = mantissa * 2^shift with mantissa in [0.5, 1).
        let (mantissa, mut shift) = libm::frexp(real);
        let mut multiplier = libm::round(mantissa * 2_147_483_648.0) as i64;
        if multiplier == 1 << 31 {
            multiplier = 1 << 30;
            shift += 1;
        }
        let factor = Self { multiplier: i32::try_from(multiplier).ok()?, shift };
        factor.is_valid().then_some(factor)
    }

    /// The real factor this stands for, exactly.
    pub fn to_real(self) -> f64 {
        libm::ldexp(f64::from(self.multiplier), self.shift.saturating_sub(31))
    }

    /// Whether the multiplier is normalised and the shift within its range.
    pub const fn is_valid(self) -> bool {
        self.multiplier >= HALF_Q31 && self.shift >= Self::MIN_SHIFT && self.shift <= Self::MAX_SHIFT
    }

    /// `value` times the factor, rounded twice.
    ///
    /// Total: a left shift that overflows wraps, and shifts outside `-31 ..= 31` count as the nearest of these, so
    /// that bad data gives a wrong number and never a panic.
    #[inline(always)]
    pub const fn apply(self, value: i32) -> i32 {
        // The bounds are spelt out: `Ord::clamp` is not const, and 31 is the last shift that is defined.
        let left = if self.shift <= 0 {
            0
        } else if self.shift > 31 {
            31
        } else {
            self.shift
        };
        let right = if self.shift >= 0 {
            0
        } else if self.shift < -31 {
            31
        } else {
            -self.shift
        };
        rounding_divide_by_power_of_two(
            doubling_high_multiply(value.wrapping_shl(left as u32), self.multiplier),
            right as u32,
        )
    }
}

/// `floor((a * b + 2^30) / 2^31)`: TFLite's `SaturatingRoundingDoublingHighMul` wherever that does not saturate,
/// which a positive `b` never makes it do.
#[inline(always)]
pub const fn doubling_high_multiply(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64 + (1 << 30)) >> 31) as i32
}

/// `value / 2^exponent`, halves away from zero: TFLite's `RoundingDivideByPOT`. `exponent` is taken modulo 32.
#[inline(always)]
pub const fn rounding_divide_by_power_of_two(value: i32, exponent: u32) -> i32 {
    let mask = (1u32.wrapping_shl(exponent)).wrapping_sub(1) as i32;
    let threshold = (mask >> 1) + (value < 0) as i32;
    value.wrapping_shr(exponent) + ((value & mask) > threshold) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn config() -> ProptestConfig {
        ProptestConfig {
            cases: 4000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(0x6b73_636f_7574),
            ..ProptestConfig::default()
        }
    }

    /// The definition, in integers that nothing overflows: round half up at bit 31, then half away from zero.
    fn by_definition(value: i32, factor: Requant) -> i128 {
        let left = i128::from(value) << factor.shift.max(0);
        let high = (left * i128::from(factor.multiplier) + (1 << 30)).div_euclid(1 << 31);
        let divisor = 1i128 << (-factor.shift).max(0);
        let (size, half) = (high.abs(), divisor / 2);
        let rounded = if divisor == 1 { size } else { (size + half) / divisor };
        if high < 0 { -rounded } else { rounded }
    }

    fn any_value() -> impl Strategy<Value = i32> {
        prop_oneof![any::<i32>(), -70_000..70_000i32, Just(i32::MIN), Just(i32::MAX), Just(0), Just(-1),]
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn apply_is_the_double_rounding_definition(
            value in any_value(), multiplier in (1i32 << 30)..=i32::MAX, shift in -31..=30i32,
        ) {
            // Where the left shift leaves 32 bits the result wraps, and the definition does not hold.
            let value = value >> shift.max(0);
            let factor = Requant { multiplier, shift };
            prop_assert_eq!(i128::from(factor.apply(value)), by_definition(value, factor));
        }

        #[test]
        fn apply_is_total_and_at_most_the_shifted_value(
            value in any_value(), multiplier: i32, shift in prop_oneof![any::<i32>(), -40..40i32],
        ) {
            let result = Requant { multiplier, shift }.apply(value);
            // Shifts beyond the limits are the limits.
            prop_assert_eq!(result, Requant { multiplier, shift: shift.clamp(-31, 31) }.apply(value));
            // A multiplier is at most one in size, whatever its sign.
            let shifted = value.wrapping_shl(shift.clamp(0, 31) as u32);
            prop_assert!(result.unsigned_abs() <= shifted.unsigned_abs());
            if multiplier >= 0 {
                prop_assert!(result == 0 || result.signum() == shifted.signum());
            }
        }

        #[test]
        fn a_real_factor_survives_to_31_bits(exponent in -31.0..29.9f64) {
            let real = libm::exp2(exponent);
            let factor = Requant::from_real(real).unwrap();
            prop_assert!(factor.is_valid());
            prop_assert!((factor.to_real() / real - 1.0).abs() <= libm::exp2(-31.0));
            prop_assert_eq!(Requant::from_real(factor.to_real()), Some(factor));
        }
    }

    #[test]
    fn halves_round_away_from_zero_in_the_shift() {
        let cases = [(5, 1, 3), (-5, 1, -3), (6, 2, 2), (-6, 2, -2), (-5, 2, -1), (7, 0, 7)];
        for (value, exponent, expected) in cases {
            assert_eq!(rounding_divide_by_power_of_two(value, exponent), expected);
        }
    }

    #[test]
    fn a_factor_just_below_a_power_of_two_is_normalised() {
        let one = Requant { multiplier: 1 << 30, shift: 1 };
        assert_eq!(Requant::from_real(1.0), Some(one));
        assert_eq!(Requant::from_real(1.0 - 1e-12), Some(one));
        assert_eq!(Requant::from_real(0.75), Some(Requant { multiplier: 3 << 29, shift: 0 }));
    }

    #[test]
    fn factors_that_fixed_point_cannot_hold_are_refused() {
        for real in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, 1e-12, 2e9, f64::MIN_POSITIVE] {
            assert_eq!(Requant::from_real(real), None, "{real}");
        }
    }
}
