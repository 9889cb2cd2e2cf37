//! Shards that need each other's results on the way: each step of a greedy search begins with what all found in the one before.
//!
//! They work side by side and exchange what they find through files, a round after the other. What a shard has found of a round stays,
//! so that one that was stopped, and is started again, catches up without doing anything twice.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::part::{MadeBy, Part, PartError, path, read_all, write};
use super::{Shard, interleaved};
use crate::io::stop;

/// Between two looks for the others' files.
const LOOK: Duration = Duration::from_millis(50);
/// After so long a wait, who is waited for is said.
const PATIENCE: Duration = Duration::from_secs(20);

/// The process alone, or with others.
pub struct Together(Option<Group>);

struct Group {
    out: PathBuf,
    shard: Shard,
    made_by: MadeBy,
    rounds: usize,
}

impl Together {
    /// One process that does everything.
    pub fn alone() -> Self {
        Self(None)
    }

    /// The process `shard` of those that make `out` by what `made_by` says.
    pub fn among(out: &Path, shard: Shard, made_by: MadeBy) -> Self {
        Self(Some(Group { out: out.to_owned(), shard, made_by, rounds: 0 }))
    }

    /// Whether the piece at `place` is done here.
    pub fn takes(&self, place: usize) -> bool {
        self.0.as_ref().is_none_or(|group| group.shard.takes(place))
    }

    /// Whether there are others.
    pub fn is_dealt_out(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the result is written here.
    pub fn leads(&self) -> bool {
        self.takes(0)
    }

    /// What all find of their pieces in this round, in the order of the pieces, from what `own` finds of those that are done here;
    /// `None` where the command is to end, or `own` gives nothing.
    ///
    /// # Errors
    /// [`PartError`] where files cannot be read or written, or are of something else.
    pub fn gather<T>(&mut self, own: impl FnOnce() -> Option<Vec<T>>) -> Result<Option<Vec<T>>, PartError>
    where
        T: Serialize + DeserializeOwned,
    {
        match &mut self.0 {
            None => Ok(own()),
            Some(group) => group.gather(own),
        }
    }
}

impl Group {
    fn gather<T>(&mut self, own: impl FnOnce() -> Option<Vec<T>>) -> Result<Option<Vec<T>>, PartError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.rounds += 1;
        let round = path(&self.out, self.shard).with_file_name(format!("round-{:04}", self.rounds));
        if !path(&round, self.shard).exists() {
            let Some(content) = own() else { return Ok(None) };
            write(&round, self.shard, &Part { made_by: self.made_by.clone(), content })?;
        }
        let (began, mut said) = (Instant::now(), false);
        loop {
            match read_all::<Vec<T>>(&round, &self.made_by) {
                Err(PartError::Missing { missing, .. }) => {
                    if stop::asked() {
                        return Ok(None);
                    }
                    if !said && began.elapsed() > PATIENCE {
                        said = true;
                        let missing = missing.join(", ");
                        eprintln!(
                            "note: waiting for --shard {missing}: all shards of this command work at the same time"
                        );
                    }
                    sleep(LOOK);
                }
                all => return Ok(Some(interleaved(all?))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_find_what_all_have_found_and_one_that_comes_again_catches_up() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let out = folder.join("mask.json");
        let made_by = MadeBy { version: "1".into(), arguments: vec![], inputs: vec![] };
        let work = |number: usize, asked: &mut usize| {
            let mut together = Together::among(&out, format!("{number}/3").parse().unwrap(), made_by.clone());
            assert_eq!(together.leads(), number == 1);
            let mut round = |factor: usize| {
                let own: Vec<usize> =
                    (0..5).filter(|&place| together.takes(place)).map(|place| place * factor).collect();
                let found = together.gather(|| {
                    *asked += 1;
                    Some(own)
                });
                found.unwrap().unwrap()
            };
            [round(1), round(10)]
        };
        let expected = [vec![0, 1, 2, 3, 4], vec![0, 10, 20, 30, 40]];
        std::thread::scope(|scope| {
            let all: Vec<_> = (1..=3).map(|number| scope.spawn(move || work(number, &mut 0))).collect();
            all.into_iter().for_each(|one| assert_eq!(one.join().unwrap(), expected));
        });
        let mut asked = 0;
        assert_eq!((work(2, &mut asked), asked), (expected, 0), "nothing is found twice");
    }

    #[test]
    fn alone_everything_is_done_here() {
        let mut together = Together::alone();
        assert!(together.leads() && (0..9).all(|place| together.takes(place)));
        assert_eq!(together.gather(|| Some(vec![3, 1])).unwrap(), Some(vec![3, 1]));
        assert_eq!(together.gather(|| None::<Vec<u8>>).unwrap(), None);
    }
}
