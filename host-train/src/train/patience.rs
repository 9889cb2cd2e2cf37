//! Counting validations that brought nothing: when to lower the learning rate, when to stop.

use serde::{Deserialize, Serialize};

/// The best score so far and how many validations in a row were no better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    /// The best score.
    pub best: Option<f64>,
    /// Validations since then.
    pub waited: usize,
}

impl Patience {
    /// Takes a validation's score, larger being better; one counts as better from more than `min_delta` above the best.
    ///
    /// Scores are kept to nine decimals, so that a checkpoint's JSON gives them back exactly.
    pub fn observe(&mut self, score: f64, min_delta: f64) {
        let score = (score * 1e9).round() / 1e9;
        if self.best.is_none_or(|best| score > best + min_delta) {
            *self = Self { best: Some(score), waited: 0 };
        } else {
            self.waited += 1;
        }
    }

    /// Whether `patience` validations in a row were no better; with 0 never.
    pub fn is_over(&self, patience: usize) -> bool {
        patience > 0 && self.waited >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_as_many_validations_that_were_no_better() {
        let mut patience = Patience::default();
        for (score, waited) in [(0.5, 0), (0.505, 1), (0.52, 0), (0.53, 1), (0.1, 2)] {
            patience.observe(score, 0.01);
            assert_eq!(patience.waited, waited, "after {score}");
        }
        assert_eq!(patience.best, Some(0.52));
        assert!(patience.is_over(2) && !patience.is_over(3) && !patience.is_over(0));
    }

    #[test]
    fn a_stored_score_comes_back_exactly() {
        for i in 1..2000 {
            let mut patience = Patience::default();
            patience.observe(f64::from(i) / 2001.7, 0.0);
            let stored = serde_json::to_string(&patience).unwrap();
            assert_eq!(serde_json::from_str::<Patience>(&stored).unwrap(), patience, "{stored}");
        }
    }
}
