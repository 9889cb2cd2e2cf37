//! Files and folders that are either the old one or the new one, never half of either.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file beside `path`, flushes it to the disk and renames it to `path`. Missing folders are made. After an
/// error, `path` is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display())))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one worth reporting.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Makes a folder beside `path`, has `fill` write into it and puts it in the place of `path`, with all that is there. Missing
/// folders above are made. After an error, `path` is as it was; after a kill between the two renames at the end, what was
/// there is at [`set_aside`]. `fill` may fail in its own way; [`io::Error`]s go through `failed`.
pub fn replace_folder<E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let (new, old) = (beside(path, "new"), set_aside(path));
    remove_folder(&new).and_then(|()| fs::create_dir_all(&new)).map_err(&failed)?;
    let replaced = fill(&new).and_then(|()| swap(path, &new, &old).map_err(&failed));
    if replaced.is_err() {
        // The first error is the one worth reporting.
        let _ = fs::remove_dir_all(&new);
    }
    replaced
}

/// Where [`replace_folder`] keeps what it replaces until the new folder is in place.
pub fn set_aside(path: &Path) -> PathBuf {
    beside(path, "old")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

fn swap(path: &Path, new: &Path, old: &Path) -> io::Result<()> {
    if path.exists() {
        if !path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "something else than a folder has this name"));
        }
        remove_folder(old)?;
        fs::rename(path, old)?;
        fs::rename(new, path).inspect_err(|_| drop(fs::rename(old, path)))?;
    } else {
        fs::rename(new, path)?;
    }
    // The new one is in place; what cannot be removed now is in the way the next time, and said then.
    let _ = remove_folder(old);
    Ok(())
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_and_nothing_else_is_left() {
        let folder = std::env::temp_dir().join(format!("kscout-atomic-{}", std::process::id()));
        let path = folder.join("deep/result.csv");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    /// An empty folder of a test's own.
    fn empty(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kscout-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn same(error: io::Error) -> io::Error {
        error
    }

    /// What a folder holds, and what its file `file` says.
    fn held(folder: &Path, file: &str) -> (Vec<String>, String) {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        (names, fs::read_to_string(folder.join(file)).unwrap())
    }

    #[test]
    fn folder_is_replaced_whole_and_nothing_else_is_left() {
        let tmp = empty("folder");
        let path = tmp.join("deep/pictures");
        replace_folder(&path, same, |new| fs::write(new.join("a"), "old")).unwrap();
        // What runs that were killed have left.
        fs::create_dir_all(tmp.join("deep/.pictures.new/x")).unwrap();
        fs::create_dir_all(tmp.join("deep/.pictures.old/x")).unwrap();
        replace_folder(&path, same, |new| fs::write(new.join("b"), "new")).unwrap();
        assert_eq!(held(&path, "b"), (vec!["b".to_string()], "new".to_string()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::remove_dir_all(tmp).unwrap();
    }

    #[test]
    fn folder_that_cannot_be_filled_or_placed_leaves_what_was_there() {
        let tmp = empty("no-folder");
        let (folder, file) = (tmp.join("pictures"), tmp.join("file"));
        replace_folder(&folder, same, |new| fs::write(new.join("a"), "old")).unwrap();
        fs::write(&file, "mine").unwrap();
        let half = |new: &Path| fs::write(new.join("b"), "new").and(Err(io::Error::other("disk full")));
        assert_eq!(replace_folder(&folder, same, half).unwrap_err().to_string(), "disk full");
        assert_eq!(held(&folder, "a"), (vec!["a".to_string()], "old".to_string()));
        let error = replace_folder(&file, same, |new| fs::write(new.join("b"), "new")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 2, "nothing is left beside them");
        fs::remove_dir_all(tmp).unwrap();
    }
}
