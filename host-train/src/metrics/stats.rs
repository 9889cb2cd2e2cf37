//! Means with bootstrap intervals over patients, and comparisons paired by patient.
//!
//! Volumes of one patient are not independent, so patients are drawn, never volumes (cluster bootstrap, percentile
//! interval). The same samples and seed give the same numbers, in whatever order the samples come.

use std::collections::BTreeMap;
use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One value measured on a patient, such as a volume's Dice.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<P> {
    /// The patient that the value belongs to.
    pub patient: P,
    /// The value.
    pub value: f64,
}

impl<P> Sample<P> {
    /// A value of a patient.
    pub fn new(patient: P, value: f64) -> Self {
        Self { patient, value }
    }
}

/// How to draw bootstrap samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many times the patients are drawn.
    pub resamples: usize,
    /// Share of the resamples that the interval holds.
    pub level: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 10_000, level: 0.95, seed: 0 }
    }
}

/// A mean, or a ratio of two, with its bootstrap interval. Shown as `0.812 [0.790, 0.833]`; a precision, as in `{:.2}`, sets the digits.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Mean over all values, or the ratio.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of patients.
    pub patients: usize,
    /// Number of values.
    pub values: usize,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.mean, self.low, self.high)
    }
}

/// Patients that an interval should be of at least: of fewer, resampling sees too little of how patients differ.
pub const ENOUGH_PATIENTS: usize = 8;

/// What is to be said of intervals over so few patients; `None` of [`ENOUGH_PATIENTS`] and more.
pub fn few_patients(patients: usize) -> Option<String> {
    let noun = if patients == 1 { "patient" } else { "patients" };
    let note = || {
        format!(
            "the intervals are of {patients} {noun}; of fewer than {ENOUGH_PATIENTS} they are too narrow, and say little"
        )
    };
    (patients < ENOUGH_PATIENTS).then(note)
}

/// Two methods compared on the same patients.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PairedDifference {
    /// Mean over patients of (first method's patient mean - second method's), with its interval.
    pub difference: Estimate,
    /// Patients on whom the first method is better (larger).
    pub better: usize,
    /// Patients on whom it is worse (smaller).
    pub worse: usize,
    /// Patients that only one of the methods has values for: left out.
    pub unpaired: usize,
}

impl PairedDifference {
    /// Whether the interval lies wholly on one side of 0.
    pub fn is_clear(&self) -> bool {
        self.difference.low > 0.0 || self.difference.high < 0.0
    }
}

/// Why there is no statistic.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// No value at all, or no patient in common.
    #[error("no patient to average over; check that every method was evaluated on the same split")]
    Empty,
    /// A value that is not a number, or infinite.
    #[error("value {value} of patient {patient} is not finite; leave it out or repair it")]
    NotFinite {
        /// The patient.
        patient: String,
        /// The value.
        value: f64,
    },
    /// Settings that make no interval.
    #[error("bootstrap of {resamples} resamples at level {level}: at least 1 resample and 0 < level < 1 expected")]
    Settings {
        /// Resamples asked for.
        resamples: usize,
        /// Level asked for.
        level: f64,
    },
}

/// Mean of values; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The `percent`-th percentile of values sorted upwards, interpolated linearly as NumPy does by default; NaN of nothing.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (at - below as f64)
}

/// Mean over all values, with a bootstrap interval over patients.
pub fn bootstrap_mean<P: Ord + fmt::Display>(
    samples: &[Sample<P>],
    bootstrap: &Bootstrap,
) -> Result<Estimate, StatsError> {
    let patients = by_patient(samples)?;
    let clusters: Vec<_> = patients.values().map(|values| (values.iter().sum(), values.len() as f64)).collect();
    Ok(Estimate { values: samples.len(), ..bootstrap.ratio(&clusters)? })
}

/// Mean over patients of `first - second`, each a patient's mean, with a bootstrap interval over patients.
pub fn paired_difference<P: Ord + fmt::Display>(
    first: &[Sample<P>],
    second: &[Sample<P>],
    bootstrap: &Bootstrap,
) -> Result<PairedDifference, StatsError> {
    let (first, second) = (by_patient(first)?, by_patient(second)?);
    let difference = |(patient, values): (&&P, &Vec<f64>)| Some(mean(values)? - mean(second.get(*patient)?)?);
    let clusters: Vec<_> = first.iter().filter_map(difference).map(|value| (value, 1.0)).collect();
    Ok(PairedDifference {
        difference: bootstrap.ratio(&clusters)?,
        better: clusters.iter().filter(|cluster| cluster.0 > 0.0).count(),
        worse: clusters.iter().filter(|cluster| cluster.0 < 0.0).count(),
        unpaired: first.len() + second.len() - 2 * clusters.len(),
    })
}

/// From one method to a better one: the samples of both.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a, P> {
    /// Where the way begins.
    pub from: &'a [Sample<P>],
    /// Where it ends.
    pub to: &'a [Sample<P>],
}

/// How much of the way from `from` to `to` is gone by `first`: the mean over patients of `first - from` over that of
/// `to - from`, each a patient's mean, with a bootstrap interval over the patients that have all three. `None` where the interval
/// of `to - from` does not lie above 0: there is no way to share.
pub fn share_of_the_way<P: Ord + fmt::Display>(
    first: &[Sample<P>],
    way: Way<'_, P>,
    bootstrap: &Bootstrap,
) -> Result<Option<Estimate>, StatsError> {
    let (first, from, to) = (by_patient(first)?, by_patient(way.from)?, by_patient(way.to)?);
    let gone = |(patient, values): (&&P, &Vec<f64>)| {
        let start = mean(from.get(*patient)?)?;
        Some((mean(values)? - start, mean(to.get(*patient)?)? - start))
    };
    let ways: Vec<_> = first.iter().filter_map(gone).collect();
    let whole: Vec<_> = ways.iter().map(|&(_, whole)| (whole, 1.0)).collect();
    if bootstrap.ratio(&whole)?.low > 0.0 { Ok(Some(bootstrap.ratio(&ways)?)) } else { Ok(None) }
}

impl Bootstrap {
    /// The sum of the first numbers over that of the second ones, a pair a patient.
    fn ratio(&self, clusters: &[(f64, f64)]) -> Result<Estimate, StatsError> {
        if self.resamples == 0 || !(self.level > 0.0 && self.level < 1.0) {
            return Err(StatsError::Settings { resamples: self.resamples, level: self.level });
        }
        if clusters.is_empty() {
            return Err(StatsError::Empty);
        }
        let add = |(over, under): (f64, f64), &(a, b): &(f64, f64)| (over + a, under + b);
        let (over, under) = clusters.iter().fold((0.0, 0.0), add);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw = || {
            let drawn = (0..clusters.len()).map(|_| &clusters[rng.random_range(0..clusters.len())]);
            let (over, under) = drawn.fold((0.0, 0.0), add);
            over / under
        };
        let mut ratios: Vec<f64> = (0..self.resamples).map(|_| draw()).collect();
        ratios.sort_by(f64::total_cmp);
        let tail = 50.0 * (1.0 - self.level);
        Ok(Estimate {
            mean: over / under,
            low: percentile(&ratios, tail),
            high: percentile(&ratios, 100.0 - tail),
            patients: clusters.len(),
            values: clusters.len(),
        })
    }
}

/// Values by patient, sorted, so that sums do not depend on the order they came in.
fn by_patient<P: Ord + fmt::Display>(samples: &[Sample<P>]) -> Result<BTreeMap<&P, Vec<f64>>, StatsError> {
    let mut patients: BTreeMap<&P, Vec<f64>> = BTreeMap::new();
    for Sample { patient, value } in samples {
        if !value.is_finite() {
            return Err(StatsError::NotFinite { patient: patient.to_string(), value: *value });
        }
        patients.entry(patient).or_default().push(*value);
    }
    for values in patients.values_mut() {
        values.sort_by(f64::total_cmp);
    }
    Ok(patients)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[(u32, f64)]) -> Vec<Sample<u32>> {
        values.iter().map(|&(patient, value)| Sample::new(patient, value)).collect()
    }

    #[test]
    fn percentile_interpolates_as_numpy_does() {
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50.0), 2.5);
        assert!((percentile(&[1.0, 2.0, 4.0, 10.0], 95.0) - 9.1).abs() < 1e-12);
        assert_eq!(percentile(&[7.0], 95.0), 7.0);
        assert!(percentile(&[], 95.0).is_nan());
    }

    #[test]
    fn mean_is_over_values_and_interval_over_patients() {
        let estimate = bootstrap_mean(&samples(&[(1, 0.0), (1, 0.0), (2, 0.9)]), &Bootstrap::default()).unwrap();
        assert!((estimate.mean - 0.3).abs() < 1e-12);
        assert_eq!((estimate.patients, estimate.values), (2, 3));
        // A resample is one patient twice, or both.
        assert_eq!((estimate.low, estimate.high), (0.0, 0.9));
    }

    #[test]
    fn interval_has_the_width_that_theory_gives() {
        // 400 patients, uniform values: standard error = (1/sqrt 12)/sqrt 400.
        let values: Vec<_> = (0..400).map(|i| (i, f64::from(i) / 399.0)).collect();
        let estimate = bootstrap_mean(&samples(&values), &Bootstrap::default()).unwrap();
        let expected = 2.0 * 1.96 * (1.0 / 12.0f64).sqrt() / 20.0;
        assert!(((estimate.high - estimate.low) / expected - 1.0).abs() < 0.05);
    }

    #[test]
    fn order_of_samples_does_not_matter_and_seed_decides() {
        let mut values: Vec<_> = (0..30).map(|i| (i / 2, (f64::from(i) * 0.37).sin())).collect();
        let forward = bootstrap_mean(&samples(&values), &Bootstrap::default()).unwrap();
        values.reverse();
        assert_eq!(forward, bootstrap_mean(&samples(&values), &Bootstrap::default()).unwrap());
        let other = Bootstrap { seed: 1, ..Bootstrap::default() };
        assert_ne!(forward, bootstrap_mean(&samples(&values), &other).unwrap());
    }

    #[test]
    fn pairing_removes_what_patients_have_in_common() {
        let first: Vec<_> = (0..20).map(|i| (i, f64::from(i) + 0.1)).collect();
        let second: Vec<_> = (0..20).map(|i| (i, f64::from(i))).collect();
        let paired = paired_difference(&samples(&first), &samples(&second), &Bootstrap::default()).unwrap();
        assert!((paired.difference.mean - 0.1).abs() < 1e-9);
        assert!(paired.difference.high - paired.difference.low < 1e-9);
        assert_eq!((paired.better, paired.worse, paired.unpaired), (20, 0, 0));
        assert!(paired.is_clear());
    }

    #[test]
    fn patients_of_one_method_only_are_left_out_and_counted() {
        let (first, second) = (samples(&[(1, 1.0), (2, 1.0)]), samples(&[(2, 2.0), (3, 1.0)]));
        let paired = paired_difference(&first, &second, &Bootstrap::default()).unwrap();
        assert_eq!((paired.difference.mean, paired.worse, paired.unpaired), (-1.0, 1, 2));
    }

    #[test]
    fn the_way_between_two_methods_is_shared_by_all_patients() {
        let [from, to] = [samples(&[(1, 0.5), (2, 0.5), (3, 0.0)]), samples(&[(1, 0.75), (2, 1.0), (4, 9.0)])];
        let half = samples(&[(1, 0.625), (2, 0.75), (3, 7.0), (4, 7.0)]);
        let share = |first: &[Sample<u32>], from: &[Sample<u32>], to: &[Sample<u32>]| {
            share_of_the_way(first, Way { from, to }, &Bootstrap::default()).unwrap()
        };
        assert_eq!(share(&half, &to, &from), None, "the wrong way");
        assert_eq!(share(&half, &from, &from), None, "no way at all");
        let share_of = |first: &[Sample<u32>]| share(first, &from, &to).unwrap();
        let share = share_of(&half);
        assert_eq!((share.mean, share.low, share.high, share.patients), (0.5, 0.5, 0.5, 2), "patients of all three");
        let one = samples(&[(1, 0.75), (2, 0.5)]);
        let share = share_of(&one);
        assert!((share.mean - 1.0 / 3.0).abs() < 1e-12, "no mean of patients' shares: {share}");
        assert_eq!((share.low, share.high), (0.0, 1.0), "a resample is one patient twice, or both");
    }

    #[test]
    fn bad_inputs_are_named() {
        let settings = Bootstrap::default();
        assert_eq!(bootstrap_mean::<u32>(&[], &settings), Err(StatsError::Empty));
        let error = bootstrap_mean(&samples(&[(17, f64::NAN)]), &settings).unwrap_err();
        assert!(error.to_string().contains("patient 17"));
        let none = Bootstrap { resamples: 0, ..settings };
        assert!(matches!(bootstrap_mean(&samples(&[(1, 1.0)]), &none), Err(StatsError::Settings { .. })));
    }

    #[test]
    fn intervals_of_few_patients_are_said_to_be() {
        assert!(few_patients(7).unwrap().contains("of 7 patients; of fewer than 8"));
        assert!(few_patients(1).unwrap().contains("of 1 patient;"));
        assert_eq!(few_patients(8), None);
    }

    #[test]
    fn estimate_reads_as_mean_and_interval() {
        let estimate = Estimate { mean: 0.8123, low: 0.79, high: 0.8331, patients: 19, values: 38 };
        assert_eq!(estimate.to_string(), "0.812 [0.790, 0.833]");
        assert_eq!(format!("{estimate:.2}"), "0.81 [0.79, 0.83]");
    }
}
