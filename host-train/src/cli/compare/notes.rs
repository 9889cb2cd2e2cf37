//! What is to be known to read the tables.

use std::collections::BTreeSet;

use super::CompareArgs;
use super::read::Read;
use crate::eval::stats::few_patients;

/// Explains the columns, and says what is left out of means and which intervals are of too few patients.
pub fn of(arguments: &CompareArgs, read: &[Read]) -> Vec<String> {
    let scored = || read.iter().flat_map(|read| read.scores.values());
    let most = scored().map(|found| (found.dice.values, found.dice.patients)).max();
    let (volumes, patients) = most.unwrap_or_default();
    let mut notes =
        vec![format!("Dice: mean 3-D Dice of RV, MYO and LV, over {volumes} scans of volumes of {patients} patients.")];
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
    let fewest = scored().map(|found| found.dice.patients).min().unwrap_or_default();
    notes.extend(absent.into_iter().chain(few_patients(fewest)).map(|note| format!("note: {note}")));
    notes
}
