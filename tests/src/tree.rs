//! What lies in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything below a folder, by name, hidden names too, folders without bytes; of a file its own bytes under no name. Empty
/// where there is nothing.
///
/// # Panics
/// If something there cannot be read.
pub fn tree(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    if path.is_file() {
        found.insert(PathBuf::new(), fs::read(path).unwrap());
    }
    for entry in fs::read_dir(path).into_iter().flatten().map(Result::unwrap) {
        let name = PathBuf::from(entry.file_name());
        found.insert(name.clone(), Vec::new());
        found.extend(tree(&entry.path()).into_iter().map(|(below, bytes)| (name.join(below), bytes)));
    }
    found
}

/// Names of what is half made or locked anywhere below a folder.
///
/// # Panics
/// If something there cannot be read.
pub fn hidden(path: &Path) -> Vec<PathBuf> {
    let is_hidden = |name: &Path| name.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    tree(path).into_keys().filter(|name| is_hidden(name)).collect()
}
