//! Files and folders that are either the old one or the new one, never half of either.
//!
//! [`fill`](super::fill) does so for folders that hold other things too.
//!
//! What is new is written beside its place, as `.NAME.PROCESS.N.part`, flushed to the disk and renamed; then the folder around it
//! is flushed, before anything old goes. A part is locked as long as its process writes it, so that parts of dead processes can
//! be told from those of living ones: they are swept when something is next written beside them.
//!
//! Whoever reads meanwhile, and whoever comes after a killed process, finds the old one or the new one. After a power cut so it is
//! too; but which of the two, even once writing has come back, depends on the folder's own flush: some network file systems have
//! none, nor has a folder that may be written but not read, and then the old one may be there again. Where that last flush fails, the
//! error comes with the new one in place; every earlier error leaves the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::moment::moment;
use super::part::{Folders, Part, beside, parent, remove, sync_folder};

/// Writes a file beside `path`, flushes it to the disk and renames it to `path`. Missing folders are made. After an
/// error, `path` is as it was, or new and whole where only the folder could not be flushed: see [above](self). A link is followed; a
/// device or a pipe is written as it is.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// [`write_atomically`] of what `fill` writes.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    if is_special(path) {
        return fill(&mut OpenOptions::new().write(true).open(path)?);
    }
    let path = &resolved(path)?;
    let folders = Folders::make(parent(path))?;
    let (part, mut file) = Part::file(path)?;
    moment();
    fill(&mut file)?;
    file.sync_all()?;
    moment();
    part.take_place(|part| fs::rename(part, path))?;
    moment();
    sync_folder(parent(path))?;
    folders.keep();
    moment();
    Ok(())
}

/// Makes a folder beside `path`, has `fill` write into it and puts it in the place of `path`, with all that is there. Missing
/// folders above are made. After an error, `path` is as it was, or new and whole where only the folder around it could not be flushed:
/// see [above](self). Where the system cannot exchange two folders in one step, a kill between two renames leaves what was there at
/// [`set_aside`]. Gives what `fill` gives, which may fail in its own way; [`io::Error`]s go through `failed`.
pub fn replace_folder<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let path = &resolved(path).map_err(&failed)?;
    let folders = Folders::make(parent(path)).map_err(&failed)?;
    put_back(path).map_err(&failed)?;
    let part = Part::folder(path).map_err(&failed)?;
    moment();
    let made = fill(&part.path)?;
    moment();
    sync_tree(&part.path).map_err(&failed)?;
    moment();
    part.take_place(|part| swap(path, part)).map_err(&failed)?;
    moment();
    sync_folder(parent(path)).map_err(&failed)?;
    folders.keep();
    // The new one is in place and on the disk. What cannot be removed now is swept the next time.
    let _ = remove(&set_aside(path));
    drop(part);
    moment();
    Ok(made)
}

/// Whether the system does not let this user write there.
pub(super) fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Where [`replace_folder`] keeps what it replaces until the new folder is in place.
pub fn set_aside(path: &Path) -> PathBuf {
    beside(path, "old")
}

/// `path`, or what it was where a replacement was cut off between two renames.
pub fn present(path: &Path) -> PathBuf {
    let aside = set_aside(path);
    if !path.exists() && aside.exists() { aside } else { path.to_owned() }
}

/// Whether `path` is there and neither a file nor a folder.
pub(super) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The path that is meant: links followed, and with a name at its end.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if path.file_name().is_none() || (is_link && path.exists()) {
        let found = fs::canonicalize(path)?;
        if found.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "names no file or folder that can be written"));
        }
        return Ok(found);
    }
    Ok(path.to_owned())
}

/// Brings back what a cut-off replacement has set aside.
fn put_back(path: &Path) -> io::Result<()> {
    let aside = set_aside(path);
    if !path.exists() && aside.is_dir() { fs::rename(aside, path) } else { Ok(()) }
}

/// Puts the folder `new` in the place of `path`.
pub(super) fn swap(path: &Path, new: &Path) -> io::Result<()> {
    if !path.exists() {
        return fs::rename(new, path);
    }
    if !path.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "something else than a folder has this name"));
    }
    if exchange(path, new).is_ok() {
        return Ok(());
    }
    let old = set_aside(path);
    remove(&old)?;
    fs::rename(path, &old)?;
    fs::rename(new, path).inspect_err(|_| drop(fs::rename(&old, path)))
}

/// Exchanges two folders in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Flushes a folder and everything in it to the disk.
pub(super) fn sync_tree(folder: &Path) -> io::Result<()> {
    let entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.into_par_iter().try_for_each(|entry| {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            sync_tree(&path)
        } else {
            OpenOptions::new().write(true).open(path)?.sync_all()
        }
    })?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(error: io::Error) -> io::Error {
        error
    }

    /// Every name in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn file_is_replaced_and_nothing_else_is_left() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let path = tmp.join("deep/result.csv");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(path.parent().unwrap()), ["result.csv"]);
    }

    #[test]
    fn file_that_cannot_be_written_leaves_what_was_there() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let half = |file: &mut File| file.write_all(b"half").and(Err(io::Error::other("disk full")));
        let (old, new) = (tmp.join("old"), tmp.join("deep/new"));
        write_atomically(&old, b"old").unwrap();
        assert_eq!(write_with(&old, half).unwrap_err().to_string(), "disk full");
        assert_eq!(write_with(&new, half).unwrap_err().to_string(), "disk full");
        write_atomically(tmp, b"a folder has this name").unwrap_err();
        assert_eq!((names(tmp), fs::read(&old).unwrap()), (vec!["old".to_owned()], b"old".to_vec()));
    }

    #[test]
    fn folder_is_replaced_whole_and_nothing_else_is_left() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let path = tmp.join("deep/pictures");
        replace_folder(&path, same, |new| fs::write(new.join("a"), "old")).unwrap();
        replace_folder(&path, same, |new| fs::write(new.join("b"), "new")).unwrap();
        assert_eq!((names(&path), fs::read(path.join("b")).unwrap()), (vec!["b".to_owned()], b"new".to_vec()));
        assert_eq!(names(path.parent().unwrap()), ["pictures"]);
    }

    #[test]
    fn folder_that_cannot_be_filled_or_placed_leaves_what_was_there() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let (folder, file) = (tmp.join("pictures"), tmp.join("file"));
        replace_folder(&folder, same, |new| fs::write(new.join("a"), "old")).unwrap();
        fs::write(&file, "mine").unwrap();
        let half = |new: &Path| fs::write(new.join("b"), "new").and(Err::<(), _>(io::Error::other("disk full")));
        assert_eq!(replace_folder(&folder, same, half).unwrap_err().to_string(), "disk full");
        let error = replace_folder(&file, same, |new| fs::write(new.join("b"), "new")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert_eq!((names(&folder), fs::read(&file).unwrap()), (vec!["a".to_owned()], b"mine".to_vec()));
        assert_eq!(names(tmp), ["file", "pictures"]);
    }

    #[test]
    fn parts_of_dead_processes_are_swept_and_those_of_living_ones_are_left() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        for dead in [".a.png.7.0.part", ".b.8.11.part"] {
            fs::write(tmp.join(dead), "half").unwrap();
        }
        fs::create_dir_all(tmp.join(".last.9.2.part/x")).unwrap();
        for other in [".notes.part", "c.1.2.part", ".d.1.2.partial"] {
            fs::write(tmp.join(other), "mine").unwrap();
        }
        let living = tmp.join(".e.1.1.part");
        let held = File::create(&living).unwrap();
        held.lock().unwrap();
        fs::create_dir(tmp.join(".f.1.1.part")).unwrap();
        #[cfg(unix)]
        let folder = File::open(tmp.join(".f.1.1.part")).unwrap();
        #[cfg(unix)]
        folder.lock().unwrap();
        write_atomically(&tmp.join("new"), b"new").unwrap();
        assert_eq!(names(tmp), [".d.1.2.partial", ".e.1.1.part", ".f.1.1.part", ".notes.part", "c.1.2.part", "new"]);
    }

    #[test]
    fn what_a_cut_off_replacement_has_set_aside_is_found_and_put_back() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let path = tmp.join("run");
        fs::create_dir(set_aside(&path)).unwrap();
        fs::write(set_aside(&path).join("a"), "old").unwrap();
        assert_eq!(present(&path), set_aside(&path));
        let half = |_: &Path| Err::<(), _>(io::Error::other("disk full"));
        replace_folder(&path, same, half).unwrap_err();
        assert_eq!((names(tmp), fs::read(path.join("a")).unwrap()), (vec!["run".to_owned()], b"old".to_vec()));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_devices_written_as_they_are() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let (file, link, folder, to_folder) =
            (tmp.join("file"), tmp.join("link"), tmp.join("folder"), tmp.join("to-folder"));
        fs::write(&file, "old").unwrap();
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(&folder, &to_folder).unwrap();
        write_atomically(&link, b"new").unwrap();
        replace_folder(&to_folder, same, |new| fs::write(new.join("a"), "new")).unwrap();
        assert_eq!((fs::read(&file).unwrap(), names(&folder)), (b"new".to_vec(), vec!["a".to_owned()]));
        assert!(
            fs::symlink_metadata(&link).unwrap().is_symlink() && fs::symlink_metadata(&to_folder).unwrap().is_symlink()
        );
        write_atomically(Path::new("/dev/null"), b"gone").unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(write_atomically(Path::new("/dev/full"), b"x").unwrap_err().kind(), ErrorKind::StorageFull);
        }
    }
}
