//! Finds the pickle in the zip archive that `torch.save` writes.
//!
//! Only what is needed to look into it before the tensors are read: the archive's table of contents, and entries that are
//! stored as they are. Layout: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.

use std::io::{self, Read, Seek, SeekFrom, Write};

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;

/// A comment of 65535 bytes may follow the end record.
const MAX_TAIL: u64 = END_BYTES as u64 + 0xffff;

/// No table of contents here is larger: a network has a few hundred tensors.
const MAX_TABLE: usize = 64 << 20;

/// What an archive says of its pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pickle {
    /// Where its bytes are in the file.
    Stored {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// It is compressed, which `torch.save` never does.
    Compressed,
    /// There is none.
    None,
}

/// Looks for `data.pkl` in the archive `file`.
///
/// # Errors
/// `UnexpectedEof` where the table of contents is not where it has to be: the archive is cut short.
pub(super) fn find_pickle(file: &mut (impl Read + Seek)) -> io::Result<Pickle> {
    let Table { bytes, .. } = table_of_contents(file)?;
    Ok(match outermost(&bytes)? {
        Some((_, entry)) if half(entry, 10) == 0 => {
            stored(file, u64::from(word(entry, 20)), u64::from(word(entry, 42)))?
        }
        Some(_) => Pickle::Compressed,
        None => Pickle::None,
    })
}

/// Writes the archive `file` to `out` with other bytes for its `data.pkl`, which come behind all else; `false`, and nothing that
/// could be read, where it has none or its places would take more than four bytes.
///
/// # Errors
/// As [`find_pickle`], and what the system says.
pub(super) fn with_pickle(file: &mut (impl Read + Seek), pickle: &[u8], out: &mut impl Write) -> io::Result<bool> {
    let Table { start, bytes: mut table } = table_of_contents(file)?;
    let Some((path, entry)) = outermost(&table)? else { return Ok(false) };
    let (path, record) = (path.to_vec(), table.len() - entry.len());
    let sizes = [pickle.len() as u64, start + (LOCAL_BYTES + path.len() + pickle.len()) as u64, table.len() as u64];
    let [Ok(length), Ok(new_start), Ok(table_bytes)] = sizes.map(u32::try_from) else { return Ok(false) };
    let Ok(count) = u16::try_from(entries(&table).count()) else { return Ok(false) };
    // Without a record of lengths behind the bytes, stored as it is.
    let flags = half(&table, record + 8) as u16 & !8;
    let numbers = [crc32fast::hash(pickle), length, length].map(u32::to_le_bytes).concat();
    let names = [(path.len() as u16).to_le_bytes(), [0; 2]].concat();
    let local = [LOCAL, &[20, 0], &flags.to_le_bytes(), &[0; 6], &numbers, &names, &path].concat();
    table[record + 8..record + 10].copy_from_slice(&flags.to_le_bytes());
    table[record + 16..record + 28].copy_from_slice(&numbers);
    table[record + 42..record + 46].copy_from_slice(&(start as u32).to_le_bytes());
    let counts = [count, count].map(u16::to_le_bytes).concat();
    let end = [END, &[0; 4], &counts, &table_bytes.to_le_bytes(), &new_start.to_le_bytes(), &[0; 2]].concat();
    file.rewind()?;
    io::copy(&mut file.take(start), out)?;
    [&local[..], pickle, &table, &end].into_iter().try_for_each(|bytes| out.write_all(bytes))?;
    Ok(true)
}

/// The path and the record of the outermost `data.pkl`, which the reader of the tensors chooses.
fn outermost(table: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let mut best: Option<(&[u8], &[u8])> = None;
    for entry in entries(table) {
        let (path, entry) = entry?;
        let is_pickle = path == b"data.pkl" || path.ends_with(b"/data.pkl");
        if is_pickle && best.is_none_or(|(shortest, _)| path.len() < shortest.len()) {
            best = Some((path, entry));
        }
    }
    Ok(best)
}

/// The names of all entries.
///
/// # Errors
/// As [`find_pickle`].
pub(super) fn names(file: &mut (impl Read + Seek)) -> io::Result<Vec<String>> {
    let Table { bytes, .. } = table_of_contents(file)?;
    entries(&bytes).map(|entry| entry.map(|(path, _)| String::from_utf8_lossy(path).into_owned())).collect()
}

/// The entries of a table of contents: the path of each, and its record.
fn entries(table: &[u8]) -> impl Iterator<Item = io::Result<(&[u8], &[u8])>> {
    let mut rest = table;
    std::iter::from_fn(move || {
        if !(rest.starts_with(ENTRY) && rest.len() >= ENTRY_BYTES) {
            return None;
        }
        let entry = rest;
        let (name, extra, comment) = (half(entry, 28), half(entry, 30), half(entry, 32));
        let Some(path) = entry.get(ENTRY_BYTES..ENTRY_BYTES + name) else {
            rest = &[];
            return Some(Err(cut_short()));
        };
        match entry.get(ENTRY_BYTES + name + extra + comment..) {
            Some(behind) => rest = behind,
            None => {
                rest = &[];
                return Some(Err(cut_short()));
            }
        }
        Some(Ok((path, entry)))
    })
}

/// A table of contents, and where it stands in the file.
struct Table {
    start: u64,
    bytes: Vec<u8>,
}

fn table_of_contents(file: &mut (impl Read + Seek)) -> io::Result<Table> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail_start = length.saturating_sub(MAX_TAIL);
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    file.take(MAX_TAIL).read_to_end(&mut tail)?;
    let end = (0..=tail.len().saturating_sub(END_BYTES))
        .rev()
        .find(|&at| tail[at..].starts_with(END) && tail.len() - at >= END_BYTES)
        .ok_or_else(cut_short)?;
    let (bytes, start) = (word(&tail, end + 12), word(&tail, end + 16));
    if bytes as usize > MAX_TABLE || u64::from(start) + u64::from(bytes) > length {
        return Err(cut_short());
    }
    file.seek(SeekFrom::Start(u64::from(start)))?;
    let mut table = Table { start: start.into(), bytes: vec![0; bytes as usize] };
    file.read_exact(&mut table.bytes)?;
    Ok(table)
}

/// The place of an entry's bytes, behind its local header, whose extra field may differ from the table's.
fn stored(file: &mut (impl Read + Seek), length: u64, header: u64) -> io::Result<Pickle> {
    file.seek(SeekFrom::Start(header))?;
    let mut local = [0; LOCAL_BYTES];
    file.read_exact(&mut local)?;
    let names = half(&local, 26) + half(&local, 28);
    Ok(Pickle::Stored { offset: header + (LOCAL_BYTES + names) as u64, length })
}

/// The little-endian number of two bytes at `at`, which the caller knows to be inside.
fn half(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// The little-endian number of four bytes at `at`, which the caller knows to be inside.
fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the zip archive has no table of contents at its end")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An archive of entries that are stored as they are (their checksums left 0: nothing here reads them).
    fn archive(entries: &[(&str, &[u8], u16)]) -> Vec<u8> {
        let (mut bytes, mut table) = (Vec::new(), Vec::new());
        for (name, data, method) in entries {
            let header = bytes.len() as u32;
            let sizes = [(data.len() as u32).to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
            let start =
                [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 8], &sizes, &(name.len() as u16).to_le_bytes()];
            bytes.extend([&b"PK\x03\x04"[..], &start.concat(), &[0; 2], name.as_bytes(), data].concat());
            table.extend([ENTRY, &[20, 0], &start.concat(), &[0; 12], &header.to_le_bytes(), name.as_bytes()].concat());
        }
        let place = [(table.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        [bytes, table, END.to_vec(), vec![0; 8], place, vec![0; 2]].concat()
    }

    #[test]
    fn the_outermost_pickle_is_found() {
        let bytes = archive(&[("m/a/data.pkl", b"inner", 0), ("m/data.pkl", b"outer", 0), ("m/data/0", b"1234", 0)]);
        let Pickle::Stored { offset, length } = find_pickle(&mut Cursor::new(&bytes)).unwrap() else {
            panic!("stored")
        };
        assert_eq!(&bytes[offset as usize..][..length as usize], b"outer");
    }

    #[test]
    fn another_pickle_takes_the_place_of_the_outermost_one_and_all_else_stays() {
        let old = archive(&[("m/a/data.pkl", b"inner", 0), ("m/data.pkl", b"outer", 0), ("m/data/0", b"1234", 0)]);
        let mut new = Vec::new();
        assert!(with_pickle(&mut Cursor::new(&old), b"longer than it was", &mut new).unwrap());
        let Pickle::Stored { offset, length } = find_pickle(&mut Cursor::new(&new)).unwrap() else { panic!("stored") };
        assert_eq!(&new[offset as usize..][..length as usize], b"longer than it was");
        assert_eq!(names(&mut Cursor::new(&new)).unwrap(), ["m/a/data.pkl", "m/data.pkl", "m/data/0"]);
        let Table { start, .. } = table_of_contents(&mut Cursor::new(&old)).unwrap();
        assert_eq!(new[..start as usize], old[..start as usize], "everything is where it was");
        assert!(!with_pickle(&mut Cursor::new(archive(&[("a.txt", b"x", 0)])), b"", &mut Vec::new()).unwrap());
    }

    #[test]
    fn an_archive_without_one_says_so() {
        assert_eq!(find_pickle(&mut Cursor::new(archive(&[("a.txt", b"x", 0)]))).unwrap(), Pickle::None);
        assert_eq!(find_pickle(&mut Cursor::new(archive(&[("m/data.pkl", b"x", 8)]))).unwrap(), Pickle::Compressed);
    }

    #[test]
    fn an_archive_that_is_cut_short_is_an_error_at_every_length() {
        let bytes = archive(&[("m/data.pkl", b"pickle", 0)]);
        for length in 0..bytes.len() {
            assert!(find_pickle(&mut Cursor::new(&bytes[..length])).is_err(), "{length} of {} bytes", bytes.len());
        }
    }
}
