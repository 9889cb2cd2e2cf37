//! One process at a time writes a place: a second one is refused with the first one's process id.
//!
//! The lock is the system's own, on a hidden file `.NAME.lock` beside the place, so that it goes away with its process, however that
//! ends; the process id in the file is for people. The file is taken away when the process ends, and one that a killed process has
//! left is no obstacle. Over NFS the lock holds between machines from version 4 on; on file systems that know no locks
//! there is none, and a note says so.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::moment::moment;
use super::part::{Folders, Leftover, beside, forget, is_at, leftovers, parent};
use super::whole::{is_refused, is_special, resolved};

/// Why a place cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes it.
    #[error("{}: {} is writing there; wait until it has ended, or name another place", path.display(), process(*holder))]
    Held {
        /// The place.
        path: PathBuf,
        /// Who that is, if known.
        holder: Option<u32>,
    },
    /// Two results of one command have one name.
    #[error("{}: named twice; give each file a name of its own", .0.display())]
    Twice(PathBuf),
    /// The lock could not be made.
    #[error("{}: cannot be written: {source}", path.display())]
    Io {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn process(holder: Option<u32>) -> String {
    holder.map_or("another process".into(), |id| format!("process {id}"))
}

/// The right to write some places, for as long as this lives.
#[derive(Default)]
pub struct Locks(Vec<Lock>);

impl Locks {
    /// The right to write every place of `paths`, which are files or folders, there already or not.
    ///
    /// # Errors
    /// [`LockError`] says which place cannot be had, and who has it.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Self, LockError> {
        let mut locks = Self::default();
        for path in paths {
            let failed = |source| LockError::Io { path: path.to_owned(), source };
            // A device or a pipe is nobody's own.
            if is_special(path) {
                continue;
            }
            let place = lock_file(path).map_err(failed)?;
            if locks.0.iter().any(|lock| lock.path == place) {
                return Err(LockError::Twice(path.to_owned()));
            }
            locks.0.extend(Lock::take(place, path)?);
        }
        moment();
        Ok(locks)
    }
}

/// The file that is locked for `path`, the same whatever way `path` is written.
fn lock_file(path: &Path) -> io::Result<PathBuf> {
    let path = resolved(path)?;
    let folder = parent(&path);
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    Ok(beside(&folder.join(name), "lock"))
}

/// The file that is locked for a folder where none can be made beside it.
const WITHIN: &str = ".kscout.lock";

struct Lock {
    path: PathBuf,
    file: Option<File>,
    /// Dropped last, when the file in them is gone.
    _folders: Folders,
}

impl Lock {
    /// The lock on the file `lock` that stands for `path`; none where the system has no locks.
    fn take(lock: PathBuf, path: &Path) -> Result<Option<Self>, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        loop {
            let folders = Folders::make(parent(&lock)).map_err(failed)?;
            // A signal that ends the process waits until it is known whether there is a file to take away.
            let mut known = leftovers();
            let mut file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock) {
                Ok(file) => file,
                // Whoever had it has just gone, with the folder.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                // The folder around is somebody else's: everybody comes to lock the one within.
                Err(error) if is_refused(&error) && path.is_dir() && !lock.ends_with(WITHIN) => {
                    drop(known);
                    return Self::take(path.join(WITHIN), path);
                }
                Err(error) => return Err(failed(error)),
            };
            match file.try_lock() {
                Ok(()) => known.push(Leftover::Part(lock.clone())),
                Err(TryLockError::WouldBlock) => {
                    drop(known);
                    return Err(LockError::Held { path: path.to_owned(), holder: holder(&mut file) });
                }
                Err(TryLockError::Error(error)) => {
                    eprintln!("note: {}: no lock here ({error}); let one process alone write there", path.display());
                    return Ok(None);
                }
            }
            // Between opening and locking, whoever had it may have taken the file away.
            drop(known);
            if !is_at(&file, &lock) {
                forget(&Leftover::Part(lock.clone()));
                continue;
            }
            let own = Self { path: lock, file: Some(file), _folders: folders };
            return own.sign().map(Some).map_err(failed);
        }
    }

    /// Writes the process id.
    fn sign(mut self) -> io::Result<Self> {
        if let Some(file) = &mut self.file {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        }
        Ok(self)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: whoever opens it before finds, once it has the lock, that the file is another.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
        forget(&Leftover::Part(self.path.clone()));
        self.file = None;
    }
}

/// The process id in a lock file; the holder may be about to write it.
fn holder(file: &mut File) -> Option<u32> {
    (0..50).find_map(|_| {
        let mut text = String::new();
        file.rewind().ok()?;
        Read::by_ref(file).take(32).read_to_string(&mut text).ok()?;
        let id = text.strip_suffix('\n').and_then(|id| id.parse().ok());
        if id.is_none() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(path: &Path) -> Result<Locks, LockError> {
        Locks::of([path])
    }

    #[test]
    fn a_place_is_had_once_however_it_is_written_and_leaves_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let place = folder.join("deep/run");
        let first = lock(&place).unwrap();
        fs::create_dir(&place).unwrap();
        for other in
            [place.clone(), place.join("../run"), place.join("."), place.join("sub/.."), folder.join("./deep//run/")]
        {
            fs::create_dir_all(place.join("sub")).unwrap();
            let error = lock(&other).err().unwrap_or_else(|| panic!("{}", other.display())).to_string();
            assert!(error.contains(&format!("process {} is writing", std::process::id())), "{error}");
        }
        lock(&folder.join("deep/other")).unwrap();
        fs::remove_dir_all(&place).unwrap();
        drop(first);
        assert!(!folder.join("deep").exists(), "the folder that was made for the lock is gone with it");
        drop(lock(&place).unwrap());
    }

    #[test]
    fn what_a_dead_process_left_is_no_obstacle() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        fs::write(folder.join(".run.lock"), "4000000000000000000000\u{1b}[31m").unwrap();
        let held = lock(&folder.join("run")).unwrap();
        assert_eq!(fs::read_to_string(folder.join(".run.lock")).unwrap(), format!("{}\n", std::process::id()));
        drop(held);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn one_name_for_two_results_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let (a, b) = (folder.join("a"), folder.join("./a"));
        let error = Locks::of([a.as_path(), &b]).err().unwrap().to_string();
        assert!(error.contains("named twice"), "{error}");
        Locks::of([a.as_path(), &folder.join("b")]).unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }
}
