//! Which patient belongs to which part of a data set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The part of a data set a slice belongs to. Parts are whole patients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Networks are trained on these.
    Train,
    /// Choices are made, and the evaluation protocols are run, on these.
    Val,
    /// Held back.
    Test,
    /// Listed, never used.
    Dropped,
}

impl Split {
    /// Every split, in the order tables show them.
    pub const ALL: [Split; 4] = [Split::Train, Split::Val, Split::Test, Split::Dropped];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|split| split.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is none of train, val, test, dropped"))
    }
}

/// How an import assigns patients to splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitRule {
    /// By the number at the end of a patient's name: divisible by 5 is validation, the rest is training. Of patients without a
    /// number every fifth, by name, is validation.
    Auto,
    /// Every patient goes to one split.
    All(Split),
}

impl SplitRule {
    /// The splits of the `patients` of a data set.
    pub fn deal<'a>(self, patients: impl IntoIterator<Item = &'a str>) -> Splits {
        let persons: BTreeSet<&str> = patients.into_iter().map(person).collect();
        let unnumbered = persons.iter().filter(|person| last_digit(person).is_none());
        let place = |(place, person): (usize, &&str)| (person.to_string(), place);
        Splits { rule: self, unnumbered: unnumbered.enumerate().map(place).collect() }
    }
}

/// The splits of a data set's patients.
#[derive(Clone, Debug)]
pub struct Splits {
    rule: SplitRule,
    /// Persons whose names have no number, and their places among these.
    unnumbered: BTreeMap<String, usize>,
}

impl Splits {
    /// The split of one of the patients.
    pub fn of(&self, patient: &str) -> Split {
        let person = person(patient);
        let validates = match (self.rule, last_digit(person)) {
            (SplitRule::All(split), _) => return split,
            (SplitRule::Auto, Some(digit)) => digit % 5 == 0,
            (SplitRule::Auto, None) => self.unnumbered.get(person).is_some_and(|place| place % 5 == 4),
        };
        if validates { Split::Val } else { Split::Train }
    }

    /// What there is to say of patients without a number, whom their names alone do not put into a split.
    pub fn note(&self) -> Option<String> {
        let count = self.unnumbered.len();
        if self.rule != SplitRule::Auto || count == 0 {
            return None;
        }
        let mut validate: Vec<&str> = self.unnumbered.keys().map(String::as_str).skip(4).step_by(5).collect();
        let more = validate.len().saturating_sub(NAMED);
        validate.truncate(NAMED);
        let named = match (validate.is_empty(), more) {
            (true, _) => "none of so few".to_string(),
            (false, 0) => validate.join(", "),
            (false, more) => format!("{} and {more} more", validate.join(", ")),
        };
        let patients = if count == 1 { "patient has" } else { "patients have" };
        Some(format!(
            "{count} {patients} no number at the end of the name: of these every fifth, by name, is for validation: {named}"
        ))
    }
}

/// So many names are listed, then counted.
const NAMED: usize = 4;

impl FromStr for SplitRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let split = text.parse().ok().filter(|split| *split != Split::Dropped);
        split.map(Self::All).ok_or_else(|| format!("`{text}` is none of auto, train, val, test"))
    }
}

/// Who a patient's name stands for: in BIDS's names the subject, `sub-07` of `sub-07_ses-02`, whose sessions must not be in two
/// splits.
fn person(patient: &str) -> &str {
    match patient.strip_prefix("sub-") {
        Some(_) => patient.split('_').next().unwrap_or(patient),
        None => patient,
    }
}

/// The last digit of the number that a name ends in: 7 for `patient007`.
fn last_digit(name: &str) -> Option<u32> {
    name.chars().next_back().filter(char::is_ascii_digit)?.to_digit(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the patients that validate.
    fn validating<'a>(patients: &[&'a str]) -> Vec<&'a str> {
        let splits = SplitRule::Auto.deal(patients.iter().copied());
        patients.iter().copied().filter(|patient| splits.of(patient) == Split::Val).collect()
    }

    #[test]
    fn numbers_divisible_by_five_are_validation() {
        let numbered =
            ["patient005", "patient100", "patient001", "sub-10_ses-02", "sub-02_ses-10", "x99999999999999999995"];
        assert_eq!(validating(&numbered), ["patient005", "patient100", "sub-10_ses-02", "x99999999999999999995"]);
        assert_eq!(SplitRule::Auto.deal(numbered).note(), None);
    }

    #[test]
    fn of_names_without_a_number_every_fifth_is_validation_in_whatever_order_they_come() {
        let names = ["kim", "anna", "p5", "eva", "dora", "p1", "ben", "carl", "finn", "gina", "hugo", "ida", "jan"];
        assert_eq!(validating(&names), ["p5", "eva", "jan"]);
        let mut others = names;
        others.reverse();
        assert_eq!(validating(&others), ["jan", "eva", "p5"]);
        let note = SplitRule::Auto.deal(names).note().unwrap();
        assert!(note.starts_with("11 patients have no number") && note.ends_with(": eva, jan"), "{note}");
        assert!(SplitRule::Auto.deal(["anna"]).note().unwrap().ends_with("validation: none of so few"));
        assert_eq!(SplitRule::All(Split::Train).deal(names).note(), None);
    }

    #[test]
    fn sessions_of_one_subject_are_in_one_split() {
        let names: Vec<String> =
            "abcdef".chars().flat_map(|c| [1, 2].map(|session| format!("sub-{c}_ses-{session}"))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(validating(&names), ["sub-e_ses-1", "sub-e_ses-2"]);
    }

    #[test]
    fn a_forced_split_holds_for_every_patient() {
        assert_eq!("test".parse(), Ok(SplitRule::All(Split::Test)));
        assert_eq!(SplitRule::All(Split::Test).deal(["patient005"]).of("patient005"), Split::Test);
    }

    #[test]
    fn an_unknown_split_lists_the_known_ones() {
        let error = "validation".parse::<SplitRule>().unwrap_err();
        assert!(error.contains("auto, train, val, test"), "{error}");
    }
}
