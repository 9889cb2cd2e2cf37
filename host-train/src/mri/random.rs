//! Random numbers that stay the same for ever: evaluation protocols and phantoms are defined by their seeds, so the
//! stream must not change when a library does.
//!
//! [`Stream`] is the core's [`SplitMix64`] with the distributions that images and noise are made of.

use kscout_core::fnv::Fnv1a;
use kscout_core::rng::{GOLDEN, SplitMix64};

pub use kscout_core::rng::mix;

/// FNV-1a over bytes, 64 bits.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    Fnv1a::NOTHING.of(bytes).value()
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    bits: SplitMix64,
    spare_normal: Option<f32>,
}

impl Stream {
    /// The stream of a seed; different seeds give unrelated streams.
    pub fn new(seed: u64) -> Self {
        Self { bits: SplitMix64::new(mix(seed ^ GOLDEN)), spare_normal: None }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.bits.next_u64()
    }

    /// Uniform in `0..1`.
    pub fn unit(&mut self) -> f32 {
        self.bits.unit_f32()
    }

    /// Uniform between two values.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number in `0..n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Two independent values of the normal distribution with mean 0 and deviation 1 (Box and Muller, 1958).
    pub fn normal_pair(&mut self) -> (f32, f32) {
        let bits = self.bits();
        // The low half makes the radius, in (0, 1], the high half the angle, in turns.
        let radius = ((bits as u32) as f32 + 1.0) * (1.0 / 4_294_967_296.0);
        let (sin, cos) = sin_cos_turns((bits >> 40) as f32 * (1.0 / (1u64 << 24) as f32));
        let length = (-2.0 * radius.ln()).max(0.0).sqrt();
        (length * cos, length * sin)
    }

    /// One value of the normal distribution with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f32 {
        match self.spare_normal.take() {
            Some(value) => value,
            None => {
                let (value, spare) = self.normal_pair();
                self.spare_normal = Some(spare);
                value
            }
        }
    }
}

/// Sine and cosine of an angle in turns, within 4e-7 for angles of a few turns. A polynomial, so that loops over pixels
/// become vector code.
pub fn sin_cos_turns(turns: f32) -> (f32, f32) {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let quarter = (4.0 * turns + ROUND) - ROUND;
    let angle = (4.0 * turns - quarter) * core::f32::consts::FRAC_PI_2;
    let square = angle * angle;
    // Taylor series on -pi/4..pi/4.
    let sin = angle * (1.0 + square * (-1.0 / 6.0 + square * (1.0 / 120.0 + square * (-1.0 / 5040.0))));
    let cos = 1.0 + square * (-0.5 + square * (1.0 / 24.0 + square * (-1.0 / 720.0 + square * (1.0 / 40320.0))));
    let quadrant = quarter as i32;
    let (sin, cos) = if quadrant & 1 == 0 { (sin, cos) } else { (cos, -sin) };
    if quadrant & 2 == 0 { (sin, cos) } else { (-sin, -cos) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut stream = Stream::new(7);
        assert_eq!([stream.bits(), stream.bits()], [9_048_807_721_209_015_062, 8_458_937_671_082_192_852]);
    }

    #[test]
    fn normal_values_have_the_moments_of_the_normal_distribution() {
        let mut stream = Stream::new(1);
        let values: Vec<f64> = (0..400_000).map(|_| f64::from(stream.normal())).collect();
        let moment = |p: i32| values.iter().map(|v| v.powi(p)).sum::<f64>() / values.len() as f64;
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.01, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.03, "skewness {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.08, "kurtosis {}", moment(4));
        let beyond = values.iter().filter(|v| v.abs() > 3.0).count() as f64 / values.len() as f64;
        assert!((beyond - 0.0027).abs() < 0.0004, "beyond three deviations: {beyond}");
    }

    #[test]
    fn sine_and_cosine_agree_with_the_standard_library() {
        for i in -3000..3000 {
            let turns = i as f32 / 1000.0;
            let (sin, cos) = sin_cos_turns(turns);
            let (want_sin, want_cos) = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            let error = (f64::from(sin) - want_sin).abs().max((f64::from(cos) - want_cos).abs());
            assert!(error < 4e-7, "{turns} turns: {error}");
        }
    }

    #[test]
    fn whole_numbers_stay_below_their_bound() {
        let mut stream = Stream::new(3);
        let mut seen = [0; 5];
        (0..1000).for_each(|_| seen[stream.below(5)] += 1);
        assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
        assert_eq!(stream.below(0), 0);
    }
}
