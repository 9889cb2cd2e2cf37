//! Which patient belongs to which part of a data set.

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
        f.pad(match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
            Split::Dropped => "dropped",
        })
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
    /// By patient number: divisible by 5 is validation, the rest is training.
    Auto,
    /// Every patient goes to one split.
    All(Split),
}

impl SplitRule {
    /// The split of a patient, by the last number in its name; a name without a number counts as training.
    pub fn split_of(self, patient: &str) -> Split {
        match self {
            SplitRule::All(split) => split,
            SplitRule::Auto => match patient_number(patient) {
                Some(number) if number % 5 == 0 => Split::Val,
                _ => Split::Train,
            },
        }
    }
}

impl FromStr for SplitRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(SplitRule::Auto),
            "train" => Ok(SplitRule::All(Split::Train)),
            "val" => Ok(SplitRule::All(Split::Val)),
            "test" => Ok(SplitRule::All(Split::Test)),
            _ => Err(format!("`{text}` is none of auto, train, val, test")),
        }
    }
}

/// The number at the end of a patient's name: 7 for `patient007`; in BIDS's names the subject's, 7 for `sub-07_ses-02`, whose
/// sessions must not be in two splits.
pub fn patient_number(patient: &str) -> Option<u32> {
    let patient = match patient.strip_prefix("sub-") {
        Some(_) => patient.split('_').next().unwrap_or(patient),
        None => patient,
    };
    let digits = patient.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    patient[digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_divisible_by_five_are_validation() {
        assert_eq!(SplitRule::Auto.split_of("patient005"), Split::Val);
        assert_eq!(SplitRule::Auto.split_of("patient100"), Split::Val);
        assert_eq!(SplitRule::Auto.split_of("patient001"), Split::Train);
        assert_eq!(SplitRule::Auto.split_of("volunteer"), Split::Train);
        assert_eq!(SplitRule::Auto.split_of("sub-10_ses-02"), Split::Val);
        assert_eq!(SplitRule::Auto.split_of("sub-02_ses-10"), Split::Train);
    }

    #[test]
    fn a_forced_split_holds_for_every_patient() {
        assert_eq!("test".parse(), Ok(SplitRule::All(Split::Test)));
        assert_eq!(SplitRule::All(Split::Test).split_of("patient005"), Split::Test);
    }

    #[test]
    fn an_unknown_split_lists_the_known_ones() {
        let error = "validation".parse::<SplitRule>().unwrap_err();
        assert!(error.contains("auto, train, val, test"), "{error}");
    }
}
