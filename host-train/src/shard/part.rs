//! The file that a shard leaves: what it did, by which command, on which inputs.
//!
//! `KSCTPART`, the CRC-32 of all that follows (little-endian), then [`MadeBy`] and the content, in postcard's encoding.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Shard;
use crate::io::whole::write_atomically;

const MAGIC: &[u8; 8] = b"KSCTPART";
const HEAD: usize = MAGIC.len() + 4;

/// What a part was made by. Parts are put together only where these are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The version of this program.
    pub version: String,
    /// The arguments of the command, but for the shard and for what changes no result.
    pub arguments: Vec<String>,
    /// The inputs, and what tells them from others: a checksum.
    pub inputs: Vec<(String, String)>,
}

/// What a shard has done.
pub struct Part<T> {
    /// By what.
    pub made_by: MadeBy,
    /// What came of it.
    pub content: T,
}

/// Why parts cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// There are none.
    #[error("{0}: no parts are there; they are made by the command of the result, with --shard 1/N to N/N")]
    None(PathBuf),
    /// Some are not there.
    #[error("{folder}: of {of} parts, these are missing: {}; make them by the same command with --shard", .missing.join(", "))]
    Missing {
        /// The folder of the parts.
        folder: PathBuf,
        /// How many there are to be.
        of: usize,
        /// Those that are not there.
        missing: Vec<String>,
    },
    /// Parts of different divisions are there.
    #[error("{folder}: holds parts of {one} and of {other}; remove those that are not meant")]
    Divisions {
        /// The folder of the parts.
        folder: PathBuf,
        /// A number of shards.
        one: usize,
        /// Another.
        other: usize,
    },
    /// Two parts were made by different commands, versions or inputs.
    #[error(
        "{path}: was made by {what} than the command or the other parts; make it again by the same command on the same inputs, or remove the folder to begin anew"
    )]
    Differ {
        /// The part.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A file is no part, or damaged.
    #[error("{0}: is no part of a dealt out work, or is damaged; remove it and make it again")]
    Damaged(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl MadeBy {
    /// What differs, if anything does.
    fn differs(&self, other: &Self) -> Option<&'static str> {
        match () {
            () if self.version != other.version => Some("another version of kscout"),
            () if self.arguments != other.arguments => Some("other arguments"),
            () if self.inputs != other.inputs => Some("other inputs"),
            () => None,
        }
    }
}

/// The folder of the parts of `out`.
fn folder(out: &Path) -> PathBuf {
    let mut name = out.file_name().map_or_else(Default::default, ToOwned::to_owned);
    name.push(".parts");
    out.with_file_name(name)
}

/// Whether parts of `out` are there, all or some.
pub fn has_parts(out: &Path) -> bool {
    !matches!(paths(out), Err(PartError::None(_)))
}

/// Where the part of `shard` lies.
pub fn path(out: &Path, shard: Shard) -> PathBuf {
    folder(out).join(format!("{}-of-{}", shard.number, shard.of))
}

/// Writes a part of what is to become `out`.
///
/// # Errors
/// [`PartError::Io`].
pub fn write<T: Serialize>(out: &Path, shard: Shard, part: &Part<T>) -> Result<PathBuf, PartError> {
    let path = path(out, shard);
    let mut bytes = [MAGIC.as_slice(), &[0; 4]].concat();
    bytes = postcard::to_extend(&part.made_by, bytes).expect("a part is encoded into memory");
    bytes = postcard::to_extend(&part.content, bytes).expect("a part is encoded into memory");
    let crc = crc32fast::hash(&bytes[HEAD..]);
    bytes[MAGIC.len()..HEAD].copy_from_slice(&crc.to_le_bytes());
    write_atomically(&path, &bytes).map_err(|source| PartError::Io { path: path.clone(), source })?;
    Ok(path)
}

/// What the parts of `out` were made by: that of the first.
///
/// # Errors
/// Where there are none, or one is missing or damaged.
pub fn made_by(out: &Path) -> Result<MadeBy, PartError> {
    let first = paths(out)?.into_iter().next().ok_or_else(|| PartError::None(folder(out)))?;
    Ok(decoded::<()>(&first)?.made_by)
}

/// All parts of `out`, in order, if they were made by what `expected` says.
///
/// # Errors
/// [`PartError`] names the part that is missing, damaged or of something else.
pub fn read_all<T: DeserializeOwned>(out: &Path, expected: &MadeBy) -> Result<Vec<T>, PartError> {
    let mut contents = Vec::new();
    for path in paths(out)? {
        let part = decoded::<T>(&path)?;
        if let Some(what) = part.made_by.differs(expected) {
            return Err(PartError::Differ { path, what });
        }
        contents.push(part.content);
    }
    Ok(contents)
}

/// The parts of `out`, all of them, in order.
fn paths(out: &Path) -> Result<Vec<PathBuf>, PartError> {
    let folder = folder(out);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PartError::None(folder)),
        Err(source) => return Err(PartError::Io { path: folder, source }),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<Shard> = names.filter_map(|name| name.replacen("-of-", "/", 1).parse().ok()).collect();
    found.sort_unstable();
    let Some(of) = found.first().map(|shard| shard.of) else { return Err(PartError::None(folder)) };
    if let Some(other) = found.iter().find(|shard| shard.of != of) {
        return Err(PartError::Divisions { folder, one: of, other: other.of });
    }
    let all = (1..=of).map(|number| Shard { number, of });
    let missing: Vec<String> = all.clone().filter(|shard| !found.contains(shard)).map(|s| s.to_string()).collect();
    if missing.is_empty() {
        Ok(all.map(|shard| path(out, shard)).collect())
    } else {
        Err(PartError::Missing { folder, of, missing })
    }
}

/// The part in a file; with `()` as its content, the head alone.
fn decoded<T: DeserializeOwned>(path: &Path) -> Result<Part<T>, PartError> {
    let bytes = fs::read(path).map_err(|source| PartError::Io { path: path.to_owned(), source })?;
    let damaged = || PartError::Damaged(path.to_owned());
    let body = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(4)).ok_or_else(damaged)?;
    if crc32fast::hash(body.1).to_le_bytes() != body.0 {
        return Err(damaged());
    }
    let (made_by, content) = postcard::take_from_bytes::<MadeBy>(body.1).map_err(|_| damaged())?;
    let content = postcard::from_bytes(content).map_err(|_| damaged())?;
    Ok(Part { made_by, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_by_seed(seed: &str) -> MadeBy {
        MadeBy { version: "1".into(), arguments: vec!["eval".into(), seed.into()], inputs: vec![] }
    }

    fn written(out: &Path, shard: &str, seed: &str, content: Vec<f64>) -> PathBuf {
        write(out, shard.parse().unwrap(), &Part { made_by: made_by_seed(seed), content }).unwrap()
    }

    #[test]
    fn parts_come_back_in_order_once_all_are_there() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let out = folder.join("runs/eval");
        let read = || read_all::<Vec<f64>>(&out, &made_by_seed("1"));
        assert!(matches!(made_by(&out), Err(PartError::None(_))));
        written(&out, "2/3", "1", vec![0.1, f64::INFINITY]);
        written(&out, "1/3", "1", vec![]);
        let said = read().unwrap_err().to_string();
        assert!(said.contains("runs/eval.parts: of 3 parts, these are missing: 3/3;"), "{said}");
        let third = written(&out, "3/3", "1", vec![-0.0]);
        assert_eq!(read().unwrap(), [vec![], vec![0.1, f64::INFINITY], vec![-0.0]]);
        assert_eq!(made_by(&out).unwrap(), made_by_seed("1"));

        written(&out, "3/3", "2", vec![-0.0]);
        let said = read().unwrap_err().to_string();
        assert!(said.contains("3-of-3: was made by other arguments than"), "{said}");

        let mut bytes = fs::read(&third).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&third, bytes).unwrap();
        assert!(matches!(read(), Err(PartError::Damaged(path)) if path == third));
        written(&out, "1/2", "1", vec![]);
        assert!(matches!(read(), Err(PartError::Divisions { one: 2, other: 3, .. })));
    }
}
