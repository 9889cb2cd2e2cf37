//! Elementary functions without branches, so that loops over them become vectors, with the same bits on every machine.

/// `e^x`, within two units of the last place; zero below -87.3, above 88.3 what it is there.
///
/// Cody and Waite, "Software Manual for the Elementary Functions", 1980: x is a whole multiple of ln 2, which moves the
/// exponent, and a rest of at most half of that, for which a polynomial is enough.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Added to a number, it rounds it to a whole one, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let inside = if x > 88.3 { 88.3 } else { x };
    let inside = if inside < -87.3 { -87.3 } else { inside };
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = inside - whole * LN_2_HIGH - whole * LN_2_LOW;
    let power = polynomial(rest, &[1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0]);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let result = power * f32::from_bits(exponent);
    if x < -87.3 { 0.0 } else { result }
}

/// `ln x` for normal positive numbers, within 3 units of the last place, or of 2^-24 where the result is smaller than one.
///
/// With `x = 2^k m` and m between `sqrt(1/2)` and `sqrt(2)`, `ln m = 2 artanh((m - 1) / (m + 1))`, whose series is short.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let offset = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = (offset as i32 >> 23) as f32;
    let m = f32::from_bits((offset & 0x007f_ffff) + SQRT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = polynomial(square, &[2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0]);
    let result = series * s + exponent * std::f32::consts::LN_2;
    if x.is_nan() { x } else { result }
}

/// `1 - F(z)` for z of 0 and more, F being the normal distribution function; within 3 in 10^6 of itself up to 5.
///
/// The complementary error function as a power of e of a polynomial: Press et al., "Numerical Recipes", 6.2.
#[inline(always)]
pub fn upper_tail(z: f32) -> f32 {
    let x = z * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let coefficients = [
        0.170_872_77,
        -0.822_152_2,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ];
    let power = polynomial(t, &coefficients);
    0.5 * t * exp(power - x * x)
}

/// A polynomial by its coefficients, that of the highest power first.
#[inline(always)]
fn polynomial(x: f32, coefficients: &[f32]) -> f32 {
    match coefficients {
        [] => 0.0,
        [first, rest @ ..] => rest.iter().fold(*first, |sum, coefficient| sum * x + coefficient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative difference from `expected` over `points` steps from `from` to `to`.
    fn worst(from: f64, to: f64, got: impl Fn(f32) -> f32, expected: impl Fn(f64) -> f64) -> f64 {
        let points = 20_000;
        let off = |point: i32| {
            let x = (from + (to - from) * f64::from(point) / f64::from(points)) as f32;
            let expected = expected(f64::from(x));
            (f64::from(got(x)) - expected).abs() / expected.abs().max(1e-30)
        };
        (0..=points).map(off).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        assert!(worst(-87.0, 88.0, exp, f64::exp) < 2.0 * f64::from(f32::EPSILON));
        assert_eq!([exp(0.0), exp(-1000.0), exp(f32::NEG_INFINITY)], [1.0, 0.0, 0.0]);
        assert!(exp(f32::NAN).is_nan() && exp(1000.0).is_finite());
    }

    #[test]
    fn ln_is_within_three_units_of_the_last_place() {
        let plus_one = |x: f64| x.ln() + x.ln().signum();
        assert!(worst(1e-30, 1e-3, ln, f64::ln) < 3.0 * f64::from(f32::EPSILON));
        assert!(worst(1e-3, 40.0, |x| ln(x) + ln(x).signum(), plus_one) < 3.0 * f64::from(f32::EPSILON));
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(f32::NAN).is_nan());
    }

    #[test]
    fn the_upper_tail_is_the_complementary_error_function() {
        let tail = |z: f64| 0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2);
        assert!(worst(0.0, 5.0, upper_tail, tail) < 3e-6);
        assert!(upper_tail(40.0) < 1e-30 && upper_tail(f32::NAN).is_nan());
    }
}
