//! The objective of a scan: reconstruction and segmentation, weighed against each other.

use serde::{Deserialize, Serialize};

use crate::config::Refusal;
use crate::config::checks::{expect, is_weight};

/// How reconstruction and segmentation count in the objective of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveWeights {
    /// Of SSIM; of a volume, of the mean over its slices.
    pub lambda1: f64,
    /// Of Dice.
    pub lambda2: f64,
}

impl ObjectiveWeights {
    /// Segmentation alone.
    pub const DICE: Self = Self { lambda1: 0.0, lambda2: 1.0 };

    /// Reconstruction alone.
    pub const SSIM: Self = Self { lambda1: 1.0, lambda2: 0.0 };

    /// `lambda1 * ssim + lambda2 * dice`.
    pub fn of(&self, ssim: f64, dice: f64) -> f64 {
        self.lambda1 * ssim + self.lambda2 * dice
    }

    /// Whether SSIM counts, so that it has to be known.
    pub fn need_ssim(&self) -> bool {
        self.lambda1 != 0.0
    }

    /// The same ratio with a sum of 1. ObjectiveWeights that [`check`](Self::check) refuses may give NaN.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let sum = self.lambda1 + self.lambda2;
        Self { lambda1: self.lambda1 / sum, lambda2: self.lambda2 / sum }
    }

    /// Refuses weights that are below 0 or no finite numbers, or have no finite sum, and two that are 0: nothing would be paid.
    /// `key` names both.
    pub fn check(&self, key: &'static str) -> Result<(), Refusal> {
        let (sound, sum) = (is_weight(self.lambda1) && is_weight(self.lambda2), self.lambda1 + self.lambda2);
        expect(sound && is_weight(sum) && sum > 0.0, key, "0 or more with a finite sum, and one of them above 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objective_is_the_weighed_sum() {
        assert_eq!(ObjectiveWeights { lambda1: 0.5, lambda2: 2.0 }.of(0.5, 0.75), 1.75);
        assert_eq!(ObjectiveWeights::DICE.of(0.5, 0.75), 0.75);
    }

    #[test]
    fn weights_that_cannot_weigh_are_refused_by_their_key() {
        for (lambda1, lambda2) in [(0.1, 1.0), (0.0, 1.0), (1.0, 0.0)] {
            ObjectiveWeights { lambda1, lambda2 }.check("lambda1, lambda2").unwrap();
        }
        for (lambda1, lambda2) in [
            (-0.1, 1.0),
            (1.0, -0.1),
            (f64::NAN, 1.0),
            (1.0, f64::NAN),
            (f64::INFINITY, 1.0),
            (0.0, 0.0),
            (1e308, 1e308),
        ] {
            let (key, message) = ObjectiveWeights { lambda1, lambda2 }.check("lambda1, lambda2").unwrap_err();
            assert_eq!(key, "lambda1, lambda2", "{lambda1}, {lambda2}");
            assert!(message.contains("0 or more with a finite sum, and one of them above 0"), "{message}");
        }
    }
}
