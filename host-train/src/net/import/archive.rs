//! Finds the pickle in the zip archive that `torch.save` writes, to look into it before the tensors are read.
//!
//! By the library that the reader of the tensors opens archives with, so that both mean the same pickle.

use std::io::{self, Read, Seek, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

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
    let mut archive = open(file)?;
    let Some(pickle) = outermost(&archive) else { return Ok(Pickle::None) };
    let entry = archive.by_index_raw(pickle).map_err(damaged)?;
    Ok(match (entry.compression(), entry.data_start()) {
        (CompressionMethod::Stored, Some(offset)) => Pickle::Stored { offset, length: entry.size() },
        _ => Pickle::Compressed,
    })
}

/// Writes the archive `file` to `out` with other bytes for its `data.pkl`; `false`, and nothing that could be read, where it has
/// none.
///
/// # Errors
/// As [`find_pickle`], and what the system says.
pub(super) fn with_pickle(
    file: &mut (impl Read + Seek),
    bytes: &[u8],
    out: &mut (impl Write + Seek),
) -> io::Result<bool> {
    let mut archive = open(file)?;
    let Some(pickle) = outermost(&archive) else { return Ok(false) };
    let mut copy = ZipWriter::new(out);
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        if index == pickle {
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            copy.start_file(entry.name()?, stored)?;
            copy.write_all(bytes)?;
        } else {
            copy.raw_copy_file(entry)?;
        }
    }
    copy.finish()?;
    Ok(true)
}

/// The names of all entries.
///
/// # Errors
/// As [`find_pickle`].
pub(super) fn names(file: &mut (impl Read + Seek)) -> io::Result<Vec<String>> {
    Ok(names_in(&open(file)?).map(|(_, name)| name).collect())
}

/// Those entries' numbers and names whose names are texts.
fn names_in<R: Read + Seek>(archive: &ZipArchive<R>) -> impl Iterator<Item = (usize, String)> {
    archive.file_names().enumerate().filter_map(|(index, name)| Some((index, name.ok()?.into_owned())))
}

/// The number of the outermost `data.pkl`, which the reader of the tensors chooses.
fn outermost<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<usize> {
    let pickles = names_in(archive).filter(|(_, name)| name == "data.pkl" || name.ends_with("/data.pkl"));
    pickles.min_by_key(|(_, name)| name.len()).map(|(index, _)| index)
}

fn open<R: Read + Seek>(file: R) -> io::Result<ZipArchive<R>> {
    ZipArchive::new(file).map_err(damaged)
}

/// What is wrong with an archive as a whole is that its end is missing.
fn damaged(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        error => io::Error::new(io::ErrorKind::UnexpectedEof, error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An archive of entries that are stored as they are.
    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in entries {
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            writer.start_file(*name, stored).unwrap();
            writer.write_all(data).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn pickle(bytes: &[u8]) -> &[u8] {
        let Pickle::Stored { offset, length } = find_pickle(&mut Cursor::new(bytes)).unwrap() else { panic!("stored") };
        &bytes[offset as usize..][..length as usize]
    }

    #[test]
    fn the_outermost_pickle_is_found() {
        let bytes = archive(&[("m/a/data.pkl", b"inner"), ("m/data.pkl", b"outer"), ("m/data/0", b"1234")]);
        assert_eq!(pickle(&bytes), b"outer");
    }

    #[test]
    fn another_pickle_takes_the_place_of_the_outermost_one_and_all_else_stays() {
        let old = archive(&[("m/a/data.pkl", b"inner"), ("m/data.pkl", b"outer"), ("m/data/0", b"1234")]);
        let mut new = Cursor::new(Vec::new());
        assert!(with_pickle(&mut Cursor::new(&old), b"longer than it was", &mut new).unwrap());
        assert_eq!(pickle(new.get_ref()), b"longer than it was");
        let mut new = ZipArchive::new(new).unwrap();
        let mut content = |name: &str| io::read_to_string(new.by_name(name).unwrap()).unwrap();
        assert_eq!(["m/a/data.pkl", "m/data/0"].map(&mut content), ["inner", "1234"]);
        assert_eq!(names(&mut new.into_inner()).unwrap(), ["m/a/data.pkl", "m/data.pkl", "m/data/0"]);
        let mut none = Cursor::new(archive(&[("a.txt", b"x")]));
        assert!(!with_pickle(&mut none, b"", &mut Cursor::new(Vec::new())).unwrap());
    }

    #[test]
    fn an_archive_without_one_says_so() {
        assert_eq!(find_pickle(&mut Cursor::new(archive(&[("a.txt", b"x")]))).unwrap(), Pickle::None);
        // A record says how its entry is compressed: in its tenth byte, here by method 8.
        let mut compressed = archive(&[("m/data.pkl", b"x")]);
        let record = compressed.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        compressed[record + 10] = 8;
        assert_eq!(find_pickle(&mut Cursor::new(compressed)).unwrap(), Pickle::Compressed);
    }

    #[test]
    fn an_archive_that_is_cut_short_is_an_error_at_every_length() {
        let bytes = archive(&[("m/data.pkl", b"pickle")]);
        for length in 0..bytes.len() {
            let error = find_pickle(&mut Cursor::new(&bytes[..length])).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length} of {} bytes: {error}", bytes.len());
        }
    }
}
