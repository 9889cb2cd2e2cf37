//! Results that come into a folder together, whatever else it holds.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::moment::{kill_moment, moment};
use super::part::{Folders, Part, parent, remove, sync_folder};
use super::whole::{is_refused, resolved, swap, sync_tree};

/// Has `fill` write into a folder beside `path`, and brings what it has written into the folder `path`, in the place of the files
/// there that `earlier` names, below `path`, with `/`; other files stay. In one step where there are no others. Else file by file:
/// the `marks`, by which a reader knows a whole result, go first of all and come last, and what is not replaced goes before anything
/// comes, so that a kill leaves no result that is partly one and partly the other and has its marks. Errors are as those of
/// [`replace_folder`](super::whole::replace_folder).
pub fn fill_folder<T, E>(
    path: &Path,
    marks: &[&str],
    earlier: impl Fn(&Path) -> Result<Vec<String>, E>,
    failed: impl Fn(io::Error) -> E,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let path = &resolved(path).map_err(&failed)?;
    let folders = Folders::make(parent(path)).map_err(&failed)?;
    // A folder that is mounted, or whose neighbours are not ours, can only be filled from within.
    let within = || Part::folder(&path.join("results"));
    let beside = if is_mounted(path) { Err(ErrorKind::PermissionDenied.into()) } else { Part::folder(path) };
    let part = match beside {
        Err(error) if is_refused(&error) && path.is_dir() => within(),
        part => part,
    };
    let part = part.map_err(&failed)?;
    let made = fill(&part.path)?;
    sync_tree(&part.path).map_err(&failed)?;
    let old: Vec<PathBuf> = earlier(path)?.into_iter().map(|name| path.join(name)).collect();
    moment();
    let bring = |part: &Path| {
        if must_stay(path)? || holds_others(path, part, &old)? {
            merge(part, path, marks, &old)
        } else {
            swap(path, part)
        }
    };
    part.take_place(bring).and_then(|()| sync_folder(parent(path))).map_err(&failed)?;
    folders.keep();
    drop(part);
    moment();
    Ok(made)
}

/// Whether the folder `path` is there and of another file system than the one around it.
#[cfg(unix)]
fn is_mounted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    path.is_dir() && device(path) != device(parent(path))
}

#[cfg(not(unix))]
fn is_mounted(_: &Path) -> bool {
    false
}

/// Whether `path` is the folder where this process stands, which must not go.
fn must_stay(path: &Path) -> io::Result<bool> {
    Ok(path.is_dir() && fs::canonicalize(path).ok() == std::env::current_dir().ok())
}

/// Whether the folder `path` holds anything that is neither of `old` nor has a name that a file of the folder `new` has.
fn holds_others(path: &Path, new: &Path, old: &[PathBuf]) -> io::Result<bool> {
    if !path.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let (place, twin) = (entry.path(), new.join(entry.file_name()));
        let is_known = if entry.file_type()?.is_dir() {
            (twin.is_dir() || old.iter().any(|file| file.starts_with(&place))) && !holds_others(&place, &twin, old)?
        } else {
            // A link to a folder is somebody's own.
            !place.is_dir() && (twin.is_file() || old.contains(&place))
        };
        if !is_known {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves all files of the folder `from` to the same places in `to`, in the place of `old`.
fn merge(from: &Path, to: &Path, marks: &[&str], old: &[PathBuf]) -> io::Result<()> {
    marks.iter().try_for_each(|mark| remove(&to.join(mark)))?;
    sync_folder(to)?;
    kill_moment();
    let is_replaced = |file: &&PathBuf| file.strip_prefix(to).is_ok_and(|name| from.join(name).is_file());
    let gone: Vec<&PathBuf> = old.iter().filter(|file| !is_replaced(file)).collect();
    gone.iter().try_for_each(|file| remove(file))?;
    for folder in gone.iter().map(|file| parent(file)).collect::<BTreeSet<_>>() {
        sync_folder(folder)?;
        // One that nothing is left in goes too.
        let _ = if folder == to { Ok(()) } else { fs::remove_dir(folder) };
    }
    kill_moment();
    bring(from, to, &|name| marks.iter().any(|mark| name == *mark))?;
    kill_moment();
    for mark in marks.iter().filter(|mark| from.join(mark).is_file()) {
        fs::rename(from.join(mark), to.join(mark))?;
    }
    sync_folder(to)
}

/// Moves the files of the folder `from` but those whose names `stay` names, and all below it, to the same places in `to`.
fn bring(from: &Path, to: &Path, stay: &dyn Fn(&std::ffi::OsStr) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let (from, place) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            fs::create_dir_all(&place)?;
            bring(&from, &place, &|_| false)?;
        } else if !stay(&name) {
            fs::rename(from, place)?;
        }
    }
    sync_folder(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files and folders below `folder`, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                found.extend(names(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
            }
            found.push(name);
        }
        found.sort();
        found
    }

    const MARKS: [&str; 2] = ["first-mark", "mark"];

    /// Fills `path` with files `new` of this text, in the place of `old` ones that are there.
    fn fill(path: &Path, text: &str, new: &[&str], old: &[&str]) -> io::Result<()> {
        let there = |path: &Path| {
            let is_there = |name: &&&str| path.join(name).exists();
            Ok(old.iter().filter(is_there).map(|name| name.to_string()).collect())
        };
        fill_folder(
            path,
            &MARKS,
            there,
            |error| error,
            |part| {
                fs::create_dir(part.join("acdc"))?;
                new.iter().try_for_each(|name| fs::write(part.join(name), text))
            },
        )
    }

    #[test]
    fn what_else_a_folder_holds_stays() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let path = tmp.join("scores");
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        fill(&path, "old", &["a", "acdc/b", "mark"], &[]).unwrap();
        fill(&path, "new", &["a", "acdc/b", "mark"], &[]).unwrap();
        assert_eq!(
            (names(&path), read("acdc/b")),
            (["a", "acdc", "acdc/b", "mark"].map(String::from).into(), "new".into())
        );
        fs::write(path.join("acdc/mine"), "mine").unwrap();
        fill(&path, "newer", &["acdc/b", "mark"], &[]).unwrap();
        assert_eq!(["a", "acdc/b", "mark", "acdc/mine"].map(read), ["new", "newer", "newer", "mine"]);
        fill(&path, "newest", &["acdc/c/d"], &[]).unwrap_err();
        assert_eq!((read("mark"), names(tmp)[0].as_str()), ("newer".into(), "scores"));
    }

    #[test]
    fn earlier_results_go_with_the_folders_that_they_leave_empty() {
        let old = ["picture", "other/table", "acdc/b", "mark"];
        for mine in [None, Some("mine"), Some("acdc/mine")] {
            let tmp = tempfile::tempdir().unwrap();
            let tmp = tmp.path();
            let path = tmp.join("scores");
            fs::create_dir_all(path.join("other")).unwrap();
            fs::create_dir(path.join("acdc")).unwrap();
            old.iter().chain(&mine).for_each(|name| fs::write(path.join(name), "old").unwrap());
            fill(&path, "new", &["a", "first-mark"], &old).unwrap();
            let mut expected: Vec<&str> = ["a", "acdc", "first-mark"].into_iter().chain(mine).collect();
            expected.sort_unstable();
            assert_eq!(names(&path), expected, "{mine:?}");
        }
    }

    #[test]
    fn results_that_break_off_on_the_way_are_of_one_kind_and_have_no_mark() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let path = tmp.join("scores");
        fs::create_dir_all(path.join("a")).unwrap();
        let old = ["picture", "table", "mark"];
        old.iter().for_each(|name| fs::write(path.join(name), "old").unwrap());
        // A folder in the place of a file ends the move.
        fill(&path, "new", &["a", "first-mark"], &old).unwrap_err();
        assert!(names(&path).iter().all(|name| ["a", "acdc"].contains(&name.as_str())), "{:?}", names(&path));
    }
}
