//! What is to be known to read the tables.

use std::collections::BTreeSet;

use super::CompareArgs;
use super::read::{Read, Shared};
use crate::metrics::stats::few_patients;

/// Explains the columns, and says what is left out of means and which intervals are of too few patients. `read` begins with `firsts`.
pub fn of(arguments: &CompareArgs, firsts: &[Read], read: &[Read]) -> Vec<String> {
    let scored = || read.iter().flat_map(|read| read.scores.values());
    let most = scored().map(|found| (found.dice.values, found.dice.patients)).max();
    let (volumes, patients) = most.unwrap_or_default();
    let mut notes = vec![format!(
        "Dice: mean 3-D Dice (overlap with the truth, 0 to 1) of RV, MYO and LV, over {volumes} scans \
         of volumes of {patients} patients."
    )];
    if !arguments.with.is_empty() {
        notes.push(
            "difference: Dice of the method less that of what it is compared with, a mean over patients with its 95 % interval\n\
             (bootstrap over patients). better, worse: patients on whom the method has more, or less."
                .into(),
        );
    }
    if arguments.ceiling.is_some() {
        notes.push(
            "gap closed: how much of the difference in Dice between `from` and `to` the method closes; - where `to` is not clearly\n\
             above `from`."
                .into(),
        );
    }
    if arguments.stops {
        notes.push(
            "fewest lines: so many a slice, on average, could keep the Dice if it were known beforehand where the scan of each volume\n\
             should end. from other draws: if only other scans of the same hearts were known (an estimate)."
                .into(),
        );
    }
    let absent: BTreeSet<String> = read.iter().filter_map(|read| read.occurring.note()).collect();
    let few = few_patients(fewest_patients(firsts, &read[firsts.len()..]));
    notes.extend(absent.into_iter().chain(few).map(|note| format!("note: {note}")));
    notes
}

/// Fewest patients that any interval is of: of a method, or of two that are compared.
fn fewest_patients(firsts: &[Read], others: &[Read]) -> usize {
    let alone = firsts.iter().chain(others).flat_map(|read| read.scores.values()).map(|found| found.dice.patients);
    let paired = firsts.iter().flat_map(|first| others.iter().map(move |other| (first, other)));
    let paired = paired.flat_map(|(first, other)| {
        let both = first.scores.iter().filter_map(|(lines, own)| Some((own, other.scores.get(lines)?)));
        both.map(|(own, theirs)| Shared::of([own, theirs]).patients())
    });
    alone.chain(paired).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::{method, volumes};
    use super::*;

    #[test]
    fn patients_are_counted_of_pairs_too() {
        let a = method("a", volumes(&[("p1", "ED", 0.9), ("p2", "ED", 0.8), ("p3", "ED", 0.7)]));
        let b = method("b", volumes(&[("p2", "ED", 0.9), ("p3", "ED", 0.8), ("p4", "ED", 0.7)]));
        assert_eq!(fewest_patients(&[a], &[b]), 2);
    }
}
