//! Notes on files, on standard error.

use std::collections::BTreeMap;
use std::path::Path;

/// Says each note once, with the first file that it is about.
#[derive(Default)]
pub(super) struct Notes {
    /// How many more files each is about.
    more: BTreeMap<String, usize>,
}

impl Notes {
    /// Says a note on a file, unless it was said of another one.
    pub(super) fn say(&mut self, path: &Path, note: &str) {
        match self.more.get_mut(note) {
            Some(more) => *more += 1,
            None => {
                eprintln!("note: {}: {note}", path.display());
                self.more.insert(note.to_string(), 0);
            }
        }
    }

    /// Says of how many more files there would be the same to say.
    pub(super) fn finish(self) {
        for (note, more) in self.more.iter().filter(|(_, more)| **more > 0) {
            eprintln!("note: the same of {more} more file{}: {note}", if *more == 1 { "" } else { "s" });
        }
    }
}
