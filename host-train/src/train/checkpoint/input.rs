//! What a run began with, so that it goes on with the same.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::identity::WeightsHash;
use crate::data::{Dataset, Labels};

/// The option whose checkpoint a run needs at its beginning alone.
const INIT: &str = "--init";

/// Something that a run began with. Its hash counts, wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The option that named it, such as `--reward-model`.
    pub option: String,
    /// Where it lay.
    pub path: String,
    /// Of a data set the CRC-32 of its manifest, of a checkpoint the [`WeightsHash`], of a file the CRC-32 of what it says.
    pub crc: u32,
}

impl Input {
    /// The option of the network that scans are scored by.
    pub(super) const REWARD_MODEL: &str = "--reward-model";

    fn new(option: &str, path: &Path, crc: u32) -> Self {
        Self { option: option.to_owned(), path: path.display().to_string(), crc }
    }

    /// The data set.
    pub fn data(data: &Dataset) -> Self {
        Self::new("--data", data.dir(), data.manifest().crc())
    }

    /// The network that scans are scored by.
    pub fn reward(path: &Path, weights: WeightsHash) -> Self {
        Self::new(Self::REWARD_MODEL, path, weights.get())
    }

    /// The network that the weights began as.
    pub fn init(path: &Path, weights: WeightsHash) -> Self {
        Self::new(INIT, path, weights.get())
    }

    /// What is learned or scored by, of the labels that count.
    pub fn labels(labels: &Labels) -> Self {
        Self::new("--labels", labels.path(), labels.crc())
    }

    /// A file of masks, by its bytes.
    pub fn masks(path: &Path, bytes: &[u8]) -> Self {
        Self::new("--masks", path, crc32fast::hash(bytes))
    }
}

/// Inputs of one option, before and now.
pub(super) type Other<'a> = (Vec<&'a Input>, Vec<&'a Input>);

/// What a run that began with `old` may not go on with of `new`: the inputs of the first option where they differ. The network that the
/// weights began as may be left out.
pub(super) fn other<'a>(old: &'a [Input], new: &'a [Input]) -> Option<Other<'a>> {
    let of = |inputs: &'a [Input], option: &str| -> Vec<&'a Input> {
        inputs.iter().filter(|input| input.option == option).collect()
    };
    let crcs = |inputs: &[&Input]| -> Vec<u32> { inputs.iter().map(|input| input.crc).collect() };
    let pairs = old.iter().chain(new).map(|input| (of(old, &input.option), of(new, &input.option)));
    let is_left_out = |old: &[&Input], new: &[&Input]| new.is_empty() && old.iter().all(|input| input.option == INIT);
    let mut differing = pairs.filter(|(old, new)| crcs(old) != crcs(new) && !is_left_out(old, new));
    differing.next()
}

/// What is wrong with going on with `new` where a run began with `old`, inputs of one option, and what to do.
pub(super) fn refusal(old: &[Input], new: &[Input]) -> String {
    let option = old.iter().chain(new).map(|input| input.option.as_str()).next().unwrap_or_default();
    let one = |input: &Input| format!("{} (hash {:08x})", crate::shown::shown(&input.path), input.crc);
    let all = |inputs: &[Input]| inputs.iter().map(one).collect::<Vec<_>>().join(" and ");
    let begun = if old.is_empty() { format!("without {option}") } else { format!("with {option} {}", all(old)) };
    let now = if new.is_empty() { "without".into() } else { format!("with {}", all(new)) };
    let option = crate::shown::shown(option);
    let instead = match (old.is_empty(), option.to_string() == INIT) {
        (false, false) => "give what it began with".into(),
        _ => format!("leave {option} out"),
    };
    format!("began {begun}, and is to go on {now}; {instead}, or choose another --out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(option: &str, path: &str, crc: u32) -> Input {
        Input::new(option, Path::new(path), crc)
    }

    #[track_caller]
    fn says(old: &[Input], new: &[Input]) -> Option<String> {
        let own = |inputs: Vec<&Input>| inputs.into_iter().cloned().collect::<Vec<_>>();
        other(old, new).map(|(old, new)| refusal(&own(old), &own(new)))
    }

    #[test]
    fn what_a_run_began_with_counts_wherever_it_lies() {
        let old = [input("--data", "a", 1), input("--reward-model", "r", 2)];
        assert_eq!(says(&old, &[input("--data", "moved/a", 1), input("--reward-model", "moved/r", 2)]), None);
        assert_eq!(
            says(&old, &[input("--data", "a", 1), input("--reward-model", "s", 0x89ab_cdef)]).unwrap(),
            "began with --reward-model r (hash 00000002), and is to go on with s (hash 89abcdef); give what it began with, or choose \
             another --out"
        );
        let data = says(&old, &[input("--data", "a", 3), input("--reward-model", "r", 2)]).unwrap();
        assert!(
            data.starts_with("began with --data a (hash 00000001), and is to go on with a (hash 00000003)"),
            "{data}"
        );
    }

    #[test]
    fn what_is_left_out_or_added_is_said() {
        let (masks, more) = (input("--masks", "m", 1), input("--masks", "n", 2));
        let both = [masks.clone(), more.clone()];
        assert_eq!(says(&both, &both), None);
        let said = says(&both, std::slice::from_ref(&more)).unwrap();
        assert!(said.contains("--masks m (hash 00000001) and n (hash 00000002), and is to go on with n"), "{said}");
        let said = says(&both, &[]).unwrap();
        assert!(said.contains("and is to go on without; give what it began with"), "{said}");
        let said = says(&[], &[masks]).unwrap();
        assert!(
            said.starts_with("began without --masks, and is to go on with m (") && said.contains("leave --masks out")
        );
    }

    #[test]
    fn the_beginning_of_the_weights_may_be_left_out_but_not_be_another() {
        let init = [input("--init", "i", 1)];
        assert_eq!(says(&init, &[]), None);
        assert_eq!(says(&init, &init), None);
        assert!(says(&init, &[input("--init", "j", 2)]).unwrap().contains("leave --init out"));
        assert!(says(&[], &init).unwrap().contains("began without --init"));
    }
}
