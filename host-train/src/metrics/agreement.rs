//! How well measured values agree with true ones: correlation, bias, limits of agreement.

use serde::Serialize;

use crate::metrics::stats::mean;

/// The normal distribution's 97.5th percentile: 95 % of differences lie within this many standard deviations.
const NORMAL_95: f64 = 1.96;

/// Agreement of predicted with true values (Bland and Altman, *Lancet*, 1986).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Pairs of values.
    pub pairs: usize,
    /// Pearson's correlation; `None` for fewer than two pairs, and where one side does not vary.
    pub correlation: Option<f64>,
    /// Mean of predicted minus true.
    pub bias: f64,
    /// Mean of the absolute difference.
    pub absolute_error: f64,
    /// Standard deviation of the differences (n - 1); `None` for fewer than two pairs.
    pub deviation: Option<f64>,
    /// Limits of agreement: bias -+ 1.96 standard deviations of the differences; `None` likewise.
    pub limits: Option<[f64; 2]>,
}

/// Agreement of (predicted, true) pairs; `None` for no pair.
pub fn agreement(pairs: &[(f64, f64)]) -> Option<Agreement> {
    let differences: Vec<f64> = pairs.iter().map(|(predicted, truth)| predicted - truth).collect();
    let bias = mean(&differences)?;
    let absolute: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let squares: f64 = differences.iter().map(|difference| (difference - bias).powi(2)).sum();
    let deviation = (pairs.len() > 1).then(|| (squares / (pairs.len() - 1) as f64).sqrt());
    Some(Agreement {
        pairs: pairs.len(),
        correlation: pearson(pairs),
        bias,
        absolute_error: mean(&absolute)?,
        deviation,
        limits: deviation.map(|deviation| [bias - NORMAL_95 * deviation, bias + NORMAL_95 * deviation]),
    })
}

/// Covariance over the product of the standard deviations.
fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (mean_a, mean_b) = (mean(&a)?, mean(&b)?);
    let sum = |f: fn(f64, f64) -> f64| pairs.iter().map(|(a, b)| f(a - mean_a, b - mean_b)).sum::<f64>();
    let (ab, aa, bb) = (sum(|a, b| a * b), sum(|a, _| a * a), sum(|_, b| b * b));
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_of_four_pairs_is_that_of_a_calculation_by_hand() {
        // Differences 1, -1, 3, 1: mean 1, squares 0 + 4 + 4 + 0 over 3.
        let found = agreement(&[(51.0, 50.0), (59.0, 60.0), (73.0, 70.0), (41.0, 40.0)]).unwrap();
        let deviation = (8.0f64 / 3.0).sqrt();
        assert_eq!((found.pairs, found.bias, found.absolute_error), (4, 1.0, 1.5));
        assert!((found.deviation.unwrap() - deviation).abs() < 1e-12);
        let limits = found.limits.unwrap();
        assert!((limits[0] - (1.0 - 1.96 * deviation)).abs() < 1e-12);
        assert!((limits[1] - (1.0 + 1.96 * deviation)).abs() < 1e-12);
        // Deviations -5, 3, 17, -15 and -5, 5, 15, -15: products 25 + 15 + 255 + 225, squares 548 and 500.
        assert!((found.correlation.unwrap() - 520.0 / (548.0f64 * 500.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_constant_offset_is_bias_and_nothing_else() {
        let found = agreement(&[(12.0, 10.0), (22.0, 20.0), (32.0, 30.0)]).unwrap();
        assert_eq!((found.bias, found.deviation, found.limits), (2.0, Some(0.0), Some([2.0, 2.0])));
        assert!((found.correlation.unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_pair_has_a_bias_alone_and_none_has_nothing() {
        let found = agreement(&[(12.0, 10.0)]).unwrap();
        assert_eq!((found.bias, found.correlation, found.limits), (2.0, None, None));
        assert_eq!(agreement(&[]), None);
    }

    #[test]
    fn values_that_do_not_vary_have_no_correlation() {
        assert_eq!(agreement(&[(5.0, 1.0), (5.0, 2.0)]).unwrap().correlation, None);
    }
}
