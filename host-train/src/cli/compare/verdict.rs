//! Who is ahead, in sentences.

use super::Failure;
use super::read::{Read, Shared};
use crate::metrics::stats::{Bootstrap, ENOUGH_PATIENTS, Estimate, paired_difference};

/// A sentence for each number of lines that `first` and any of `others` have: where `first` stands.
///
/// # Errors
/// Patients that cannot be paired.
pub(super) fn verdict(first: &Read, others: &[Read]) -> Result<Vec<String>, Failure> {
    let mut sentences = Vec::new();
    for (lines, own) in &first.scores {
        let mut standing = Standing::default();
        for other in others {
            let Some(theirs) = other.scores.get(lines) else { continue };
            let [ours, theirs] = &Shared::of([own, theirs]).samples;
            let found = paired_difference(ours, theirs, &Bootstrap::default())?;
            standing.add(&other.short, &found.difference);
        }
        if let Some(words) = standing.in_words() {
            let (name, dice) = (&first.short, own.dice.mean);
            sentences.push(format!("At {lines} lines a slice {name} (mean Dice {dice:.4}) is {words}."));
        }
    }
    Ok(sentences)
}

/// The others, by where their interval lies; that of too few patients puts none ahead.
#[derive(Default)]
struct Standing {
    ahead: Vec<String>,
    level: Vec<String>,
    behind: Vec<String>,
}

impl Standing {
    fn add(&mut self, name: &str, difference: &Estimate) {
        let Estimate { mean, low, high, patients, .. } = *difference;
        let interval = |sign: f64| {
            let mut ends = [low * sign, high * sign];
            ends.sort_by(f64::total_cmp);
            format!("{name} by {:.4} [{:.4}, {:.4}]", mean * sign, ends[0], ends[1])
        };
        let enough = patients >= ENOUGH_PATIENTS;
        if enough && low > 0.0 {
            self.ahead.push(interval(1.0));
        } else if enough && high < 0.0 {
            self.behind.push(interval(-1.0));
        } else {
            self.level.push(format!("{name} ({mean:+.4} [{low:+.4}, {high:+.4}])"));
        }
    }

    fn in_words(&self) -> Option<String> {
        let part = |words: &str, names: &[String]| {
            (!names.is_empty()).then(|| {
                let (last, before) = names.split_last().expect("one at least");
                let before = before.join(", ");
                let names = if before.is_empty() { last.clone() } else { format!("{before} and {last}") };
                format!("{words} {names}")
            })
        };
        let parts =
            [part("ahead of", &self.ahead), part("not clearly apart from", &self.level), part("behind", &self.behind)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::{method, volumes};
    use super::*;

    fn words(differences: &[(&str, [f64; 3])]) -> Option<String> {
        let mut standing = Standing::default();
        for (name, [mean, low, high]) in differences {
            let (mean, low, high) = (*mean, *low, *high);
            standing.add(name, &Estimate { mean, low, high, patients: 20, values: 40 });
        }
        standing.in_words()
    }

    #[test]
    fn only_an_interval_away_from_0_puts_one_ahead() {
        let three = [("a", [0.02, 0.01, 0.03]), ("b", [0.01, -0.001, 0.02]), ("c", [-0.02, -0.03, -0.01])];
        let expected = "ahead of a by 0.0200 [0.0100, 0.0300]; not clearly apart from b (+0.0100 [-0.0010, +0.0200]); \
                        behind c by 0.0200 [0.0100, 0.0300]";
        assert_eq!(words(&three).unwrap(), expected);
    }

    #[test]
    fn too_few_patients_put_none_ahead() {
        for [mean, low, high] in [[0.02, 0.01, 0.03], [-0.02, -0.03, -0.01]] {
            let of = |patients| {
                let mut standing = Standing::default();
                standing.add("a", &Estimate { mean, low, high, patients, values: 40 });
                standing.in_words().unwrap()
            };
            let few = of(ENOUGH_PATIENTS - 1);
            assert!(few.starts_with("not clearly apart from a (") && !of(ENOUGH_PATIENTS).contains("apart"), "{few}");
        }
    }

    #[test]
    fn the_verdict_is_of_volumes_that_both_have() {
        let patients: Vec<String> = (0..9).map(|number| format!("p{number}")).collect();
        let ed: Vec<_> = patients.iter().map(|patient| (patient.as_str(), "ED", 0.9)).collect();
        let es: Vec<_> = patients.iter().map(|patient| (patient.as_str(), "ES", 0.7)).collect();
        let (both, ed) = (method("a", volumes(&[&ed[..], &es[..]].concat())), method("b", volumes(&ed)));
        let said = verdict(&both, &[ed]).unwrap();
        assert!(said[0].contains("not clearly apart from b (+0.0000 [+0.0000, +0.0000])"), "{said:?}");
    }

    #[test]
    fn names_are_listed_as_people_do() {
        let ahead = [0.02, 0.01, 0.03];
        let all = [("a", ahead), ("b", ahead), ("c", ahead)];
        let one = |name: &str| format!("{name} by 0.0200 [0.0100, 0.0300]");
        assert_eq!(words(&all).unwrap(), format!("ahead of {}, {} and {}", one("a"), one("b"), one("c")));
        assert_eq!(words(&[]), None);
    }
}
