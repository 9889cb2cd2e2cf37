//! Long work that falls apart into pieces, dealt out to several machines.
//!
//! A process that is given the [`Shard`] I of N does every Nth piece, and leaves what came of them in a [`Part`], a file beside the
//! result. Once all N are there, the result is made of them, the same to the byte as by one process. Whoever starts the processes (a
//! Slurm array, a Kubernetes indexed job, a loop in a shell) is no matter of this crate.

mod part;
mod together;

use std::fmt;
use std::str::FromStr;

pub use part::{MadeBy, Part, PartError, has_parts, made_by, path, read_all, write};
pub use together::Together;

/// The most shards of one work.
pub const MOST: usize = 9999;

/// Which of the pieces a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// The shard's number, from 1.
    number: usize,
    /// How many shards there are.
    of: usize,
}

impl Shard {
    /// Whether the piece at `place`, counted from 0, is of this shard.
    pub fn takes(self, place: usize) -> bool {
        place % self.of == self.number - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) && of <= MOST => Ok(Self { number, of }),
            _ => Err(format!("expected I/N, such as 1/4, 2/4, 3/4 and 4/4, with N up to {MOST}")),
        }
    }
}

/// What all shards have done together, in the order of the pieces.
pub fn interleaved<T>(shards: Vec<Vec<T>>) -> Vec<T> {
    let mut shards: Vec<_> = shards.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(shards.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_of_one_shard_and_all_together_are_in_order() {
        for (pieces, of) in [(0, 1), (1, 3), (7, 3), (9, 3), (5, 8)] {
            let shards: Vec<Vec<usize>> = (1..=of)
                .map(|number| {
                    let shard: Shard = format!("{number}/{of}").parse().unwrap();
                    assert_eq!(shard.to_string(), format!("{number}/{of}"));
                    (0..pieces).filter(|&place| shard.takes(place)).collect()
                })
                .collect();
            assert_eq!(interleaved(shards), (0..pieces).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1/10000"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("expected I/N"), "{text}");
        }
    }
}
