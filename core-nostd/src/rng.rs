//! SplitMix64: a generator of eight bytes of state, for sampling patterns and random operators.

/// What SplitMix64 adds to its state at each step: 2^64 divided by the golden ratio, made odd.
pub const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's finaliser: a bijection of 64 bits in which every input bit moves every output bit.
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The SplitMix64 generator (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014).
///
/// Integer arithmetic only, so a seed gives the same numbers on every target. Not for secrets.
///
/// ```
/// use kscout_core::rng::SplitMix64;
/// let mut rng = SplitMix64::new(7);
/// assert!(rng.below(10) < 10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that starts from `seed`; every seed is as good as another.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number in `0..bound`, each equally likely; 0 for a bound of 0.
    ///
    /// Lemire's multiplication (*Fast random integer generation in an interval*, 2019): draws that would favour
    /// some numbers are thrown away.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let unfair = bound.wrapping_neg() % bound;
        loop {
            let product = self.next_u64() as u128 * bound as u128;
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number in `0.0..1.0`, a multiple of 2^-24.
    pub const fn unit_f32(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / 16_777_216.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_numbers_of_seed_1234567() {
        let mut rng = SplitMix64::new(1_234_567);
        let first: [u64; 5] = core::array::from_fn(|_| rng.next_u64());
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(first, published);
    }

    #[test]
    fn draws_below_a_bound_are_even() {
        let mut rng = SplitMix64::new(1);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn unit_numbers_stay_below_one() {
        let mut rng = SplitMix64::new(9);
        assert!((0..10_000).map(|_| rng.unit_f32()).all(|u| (0.0..1.0).contains(&u)));
    }
}
