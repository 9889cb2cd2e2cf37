//! A file that is needed for a moment.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::part::{Leftover, forget, remember, remove};

/// A file of this process's own in the system's folder for such, which goes away with this or with the process.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new file, to be written.
    ///
    /// # Errors
    /// What the system says.
    pub fn file() -> io::Result<(Self, File)> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let name = format!("kscout-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    remember(Leftover::Part(path.clone()));
                    return Ok((Self(path), file));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.0);
        forget(&Leftover::Part(self.0.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_others_each_time_and_go_away() {
        let files = [Scratch::file().unwrap(), Scratch::file().unwrap()];
        let paths = files.each_ref().map(|(scratch, _)| scratch.path().to_owned());
        assert!(paths[0] != paths[1] && paths.iter().all(|path| path.is_file()));
        drop(files);
        assert!(!paths.iter().any(|path| path.exists()));
    }
}
