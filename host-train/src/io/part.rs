//! What is half written, or made on the way: taken away when its process ends, and swept where that process could not.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The hidden name `.NAME.SUFFIX` beside `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{suffix}"));
    path.with_file_name(name)
}

/// The folder that `path` lies in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes a file or a folder, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Flushes the names in a folder to the disk, where the system can.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if cannot_sync(error.kind()) => Ok(()),
        synced => synced,
    }
}

/// Whether the names in a folder cannot be flushed at all: some network file systems do not do that, and a folder that this user may
/// write into, but not read, cannot even be opened for it.
fn cannot_sync(why: ErrorKind) -> bool {
    matches!(why, ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

/// What this process takes away when it ends before its time.
static LEFTOVERS: Mutex<Vec<Leftover>> = Mutex::new(Vec::new());

/// See [`LEFTOVERS`].
#[derive(PartialEq)]
pub(super) enum Leftover {
    /// A file, or a folder with all that is in it.
    Part(PathBuf),
    /// A folder, unless something is in it.
    Folder(PathBuf),
}

pub(super) fn leftovers() -> MutexGuard<'static, Vec<Leftover>> {
    LEFTOVERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has something taken away should a signal end the process.
pub(super) fn remember(leftover: Leftover) {
    leftovers().push(leftover);
}

/// Undoes [`remember`].
pub(super) fn forget(leftover: &Leftover) {
    leftovers().retain(|other| other != leftover);
}

/// Takes away everything half made, the newest first, and from then on keeps others from renaming: for a process that ends now.
/// Threads may still be writing, so what resists is tried a few times, and otherwise swept later.
pub(super) fn clear_up() {
    let mut all = leftovers();
    for leftover in all.drain(..).rev() {
        match leftover {
            Leftover::Part(path) => drop((0..3).find(|_| remove(&path).is_ok())),
            Leftover::Folder(path) => drop(fs::remove_dir(path)),
        }
    }
    std::mem::forget(all);
}

/// Folders that were made for something, and go away again with nothing in them unless it came to be.
pub(super) struct Folders {
    made: Vec<PathBuf>,
}

impl Folders {
    /// Makes `folder`, with those above it.
    pub fn make(folder: &Path) -> io::Result<Self> {
        let missing = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let folders = Self { made: missing.map(Path::to_path_buf).collect() };
        folders.made.iter().rev().for_each(|path| remember(Leftover::Folder(path.clone())));
        // Somebody else may be taking such a folder away at this moment.
        let made = (0..100).find_map(|_| match fs::create_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            made => Some(made),
        });
        made.unwrap_or(Err(ErrorKind::NotFound.into()))?;
        for path in &folders.made {
            sync_folder(parent(path))?;
        }
        Ok(folders)
    }

    /// What they were made for is there.
    pub fn keep(mut self) {
        self.made.drain(..).for_each(|path| forget(&Leftover::Folder(path)));
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for path in self.made.drain(..) {
            // One that holds something stays.
            let _ = fs::remove_dir(&path);
            forget(&Leftover::Folder(path));
        }
    }
}

/// Something half written, which goes away unless it takes its place.
pub(super) struct Part {
    /// Where it is written.
    pub path: PathBuf,
    /// What is locked, where the system can lock such.
    _lock: Option<File>,
}

impl Part {
    /// A file beside `path`, to be written.
    pub fn file(path: &Path) -> io::Result<(Self, File)> {
        let part = Self::make(path, |part| {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(part)?;
            Ok(Some(file))
        })?;
        let file = OpenOptions::new().write(true).open(&part.path)?;
        Ok((part, file))
    }

    /// A folder beside `path`, to be filled.
    pub fn folder(path: &Path) -> io::Result<Self> {
        Self::make(path, |part| {
            fs::create_dir(part)?;
            Ok(open_to_lock(part).ok())
        })
    }

    fn make(path: &Path, create: impl Fn(&Path) -> io::Result<Option<File>>) -> io::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        if path.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "names no file or folder that can be written"));
        }
        sweep(parent(path));
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = beside(path, &format!("{}.{number}.part", std::process::id()));
            match create(&path) {
                Ok(lock) => {
                    remember(Leftover::Part(path.clone()));
                    // Where there are no locks, nobody sweeps either.
                    let _ = lock.as_ref().map(File::lock);
                    let part = Self { path, _lock: lock };
                    if part._lock.as_ref().is_none_or(|lock| is_at(lock, &part.path)) {
                        return Ok(part);
                    }
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Renames by `rename`, while no signal can end the process.
    pub fn take_place(&self, rename: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let _held = leftovers();
        rename(&self.path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already where it has taken its place; or what it replaced lies there now.
        let _ = remove(&self.path);
        forget(&Leftover::Part(self.path.clone()));
    }
}

/// Opens a file or a folder for its lock.
#[cfg(unix)]
fn open_to_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(!path.is_dir()).open(path)
}

#[cfg(not(unix))]
fn open_to_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Whether `file` is what `path` names now.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(own), Ok(there)) => number(own) == number(there),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(super) fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Removes what dead processes have left half written in `folder`, once.
fn sweep(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    if !SWEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(folder.to_owned()) {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in
        entries.flatten().filter(|entry| is_part(&entry.file_name().to_string_lossy())).map(|entry| entry.path())
    {
        let Ok(file) = open_to_lock(&path) else { continue };
        // A lock that cannot be had, for whatever reason, says that somebody may be writing.
        if let Ok(()) = file.try_lock()
            && is_at(&file, &path)
        {
            let _ = remove(&path);
        }
    }
}

/// Whether a name is that of a part: `.NAME.PROCESS.N.part`.
fn is_part(name: &str) -> bool {
    let is_number = |text: Option<&str>| text.is_some_and(|text| text.parse::<u32>().is_ok());
    let mut words = name.rsplit('.');
    name.starts_with('.') && words.next() == Some("part") && is_number(words.next()) && is_number(words.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_flushed_at_all_is_no_failure_but_a_disk_that_fails_is() {
        for cannot in [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::PermissionDenied] {
            assert!(cannot_sync(cannot), "{cannot}");
        }
        for failure in [ErrorKind::NotFound, ErrorKind::StorageFull, ErrorKind::Other] {
            assert!(!cannot_sync(failure), "{failure}");
        }
        assert_eq!(sync_folder(Path::new("not there")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
