//! Gamma: contrast between tissues, which differs between scanners and sequences.

use serde::{Deserialize, Serialize};

use crate::config::key::{Key, real, share};
use crate::mri::random::Stream;

/// Contrast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `amount`")]
pub struct Gamma {
    /// The part of samples whose contrast is varied.
    pub probability: f32,
    /// Intensity, 0 to 1, is raised to a power that is log-uniform in `1 / (1 + amount) ..= 1 + amount`.
    pub amount: f32,
}

impl Default for Gamma {
    fn default() -> Self {
        Self { probability: 1.0, amount: 0.3 }
    }
}

impl Gamma {
    pub(super) const KEYS: &[Key] = &[share("augment.gamma.probability"), real("augment.gamma.amount", 0.0, 9.0)];

    pub(super) fn apply(&self, image: &mut [f32], stream: &mut Stream) {
        if !stream.chance(self.probability) {
            return;
        }
        let exponent = (1.0 + self.amount).powf(stream.range(-1.0, 1.0));
        image.iter_mut().for_each(|value| *value = value.max(0.0).powf(exponent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_and_white_stay_and_the_exponent_keeps_its_range() {
        let gamma = Gamma { probability: 1.0, amount: 1.0 };
        let exponents: Vec<f32> = (0..500)
            .map(|seed| {
                let mut image = [0.0, 0.5, 1.0];
                gamma.apply(&mut image, &mut Stream::new(seed));
                assert_eq!([image[0], image[2]], [0.0, 1.0]);
                -image[1].log2()
            })
            .collect();
        assert!(exponents.iter().all(|exponent| (0.4999..=2.0001).contains(exponent)));
        let above = exponents.iter().filter(|&&exponent| exponent > 1.0).count();
        assert!((200..300).contains(&above), "as often softer as harder, not {above} of 500");
    }
}
