//! Folds: training patients that a segmenter leaves out, so that a policy can learn from hearts that are new to the segmenter.

use std::collections::BTreeSet;

use crate::augment::Refusal;
use crate::config::checks::expect;

/// What a run learns from, and what it leaves out.
#[derive(Debug, PartialEq)]
pub struct Parted<T> {
    /// What it learns from.
    pub kept: Vec<T>,
    /// The patients that it leaves out, by name.
    pub left_out: Vec<String>,
}

/// Leaves the patients of fold `fold` of `folds` out of `items`, each of a patient; none where both are 0.
///
/// Patients are dealt out in the order of their names, one to each of `folds` folds in turn; `fold` counts from 1.
///
/// # Errors
/// The key of a number that names no fold with a patient in it.
pub fn part<T>(
    mut items: Vec<T>,
    patient: impl Fn(&T) -> &str,
    folds: usize,
    fold: usize,
) -> Result<Parted<T>, Refusal> {
    let left_out = dealt(&items.iter().map(&patient).collect(), folds, fold)?;
    items.retain(|item| !left_out.iter().any(|name| name == patient(item)));
    Ok(Parted { kept: items, left_out })
}

fn dealt(patients: &BTreeSet<&str>, folds: usize, fold: usize) -> Result<Vec<String>, Refusal> {
    if (folds, fold) == (0, 0) {
        return Ok(Vec::new());
    }
    let most = patients.len();
    expect((2..=most).contains(&folds), "folds", &format!("0 (none), or from 2 to {most}, the training patients"))?;
    expect((1..=folds).contains(&fold), "fold", &format!("from 1 to {folds}, the fold that is left out"))?;
    Ok(patients.iter().skip(fold - 1).step_by(folds).map(|&patient| patient.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENTS: [&str; 5] = ["p1", "p2", "p3", "p4", "p5"];

    #[test]
    fn every_patient_is_left_out_of_one_fold() {
        let patients = BTreeSet::from(PATIENTS);
        assert_eq!(dealt(&patients, 2, 1).unwrap(), ["p1", "p3", "p5"]);
        assert_eq!(dealt(&patients, 2, 2).unwrap(), ["p2", "p4"]);
        assert_eq!(dealt(&patients, 5, 4).unwrap(), ["p4"]);
        assert!(dealt(&patients, 0, 0).unwrap().is_empty());
    }

    #[test]
    fn what_is_of_other_patients_is_kept() {
        let slices = vec![("p2", 0), ("p1", 0), ("p2", 1), ("p3", 0), ("p1", 1)];
        let parted = part(slices.clone(), |slice| slice.0, 3, 1).unwrap();
        assert_eq!(parted, Parted { kept: vec![("p2", 0), ("p2", 1), ("p3", 0)], left_out: vec!["p1".to_owned()] });
        let parted = part(slices.clone(), |slice| slice.0, 0, 0).unwrap();
        assert_eq!(parted, Parted { kept: slices, left_out: Vec::new() });
    }

    #[test]
    fn a_fold_that_is_none_is_refused_by_its_key() {
        let patients = BTreeSet::from(PATIENTS);
        for (folds, fold, key) in [(1, 1, "folds"), (6, 1, "folds"), (0, 1, "folds"), (2, 0, "fold"), (2, 3, "fold")] {
            assert_eq!(dealt(&patients, folds, fold).unwrap_err().0, key, "{fold} of {folds}");
        }
    }
}
