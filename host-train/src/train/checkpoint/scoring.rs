//! What the scores in a checkpoint were made with, so that scores are compared with their like.

use serde::{Deserialize, Serialize};

use crate::mri::Measuring;
use crate::objective::ObjectiveWeights;

/// Weights of the score that differ by less are the same.
const WEIGHT_TOLERANCE: f64 = 1e-9;

/// What a run's validation scores are made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scoring {
    /// The protocol by which slices are measured, by its name.
    pub protocol: String,
    /// The seed of phase and noise.
    pub seed: u64,
    /// The numbers of lines at which is validated.
    pub validate_lines: Vec<usize>,
    /// What SSIM and Dice count in the score, with a sum of 1.
    pub objective: ObjectiveWeights,
}

impl Scoring {
    /// By Dice, or AUC, alone.
    pub fn new(measuring: &Measuring, validate_lines: &[usize]) -> Self {
        Self::weighing(measuring, validate_lines, ObjectiveWeights::DICE)
    }

    /// By the sum of SSIM and Dice that `objective` weighs.
    pub fn weighing(measuring: &Measuring, validate_lines: &[usize], objective: ObjectiveWeights) -> Self {
        Self {
            protocol: measuring.protocol.to_string(),
            seed: measuring.seed,
            validate_lines: validate_lines.to_vec(),
            objective: objective.normalised(),
        }
    }

    /// Whether scores of the two can be compared.
    pub(super) fn compares_with(&self, other: &Self) -> bool {
        let key = |scoring: &Self| (scoring.protocol.clone(), scoring.seed, scoring.validate_lines.clone());
        let weights = [self, other].map(|scoring| scoring.objective.normalised().lambda1);
        key(self) == key(other) && (weights[0] - weights[1]).abs() < WEIGHT_TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scoring(lambda1: f64, lambda2: f64) -> Scoring {
        Scoring::weighing(&Measuring::default(), &[6, 8], ObjectiveWeights { lambda1, lambda2 })
    }

    #[test]
    fn of_the_weights_their_ratio_makes_the_score() {
        assert!(scoring(1.0, 4.0).compares_with(&scoring(2.0, 8.0)));
        assert!(Scoring::new(&Measuring::default(), &[6, 8]).compares_with(&scoring(0.0, 0.5)));
        assert!(!scoring(0.0, 1.0).compares_with(&scoring(1.0, 1.0)));
    }

    #[test]
    fn scores_of_other_slices_or_lines_do_not_compare() {
        let here = scoring(1.0, 4.0);
        for other in [
            Scoring { protocol: "igs".into(), ..here.clone() },
            Scoring { seed: 2, ..here.clone() },
            Scoring { validate_lines: vec![6], ..here.clone() },
        ] {
            assert!(!here.compares_with(&other) && other.compares_with(&other.clone()), "{other:?}");
        }
    }
}
