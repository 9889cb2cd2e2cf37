//! A file that is needed for a moment.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::TempPath;

use super::part::{Leftover, forget, remember, remove};

/// A file of this process's own in the system's folder for such, which goes away with this or with the process.
pub struct Scratch(TempPath);

impl Scratch {
    /// A new file, to be written.
    ///
    /// # Errors
    /// What the system says.
    pub fn file() -> io::Result<(Self, File)> {
        let prefix = format!("kscout-{}-", std::process::id());
        let (file, path) = tempfile::Builder::new().prefix(&prefix).tempfile()?.into_parts();
        remember(Leftover::Part(path.to_path_buf()));
        Ok((Self(path), file))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.0);
        forget(&Leftover::Part(self.0.to_path_buf()));
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
