//! Arrays in NumPy's `.npy` files.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;

use super::npy_header::Header;
use crate::io::whole::write_atomically;
use crate::shown::shown;

/// Why an array could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path}: not an .npy file ({message}); write it with numpy.save")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The elements are not floating-point numbers.
    #[error(
        "{path}: elements of type {found}; float32 and float64 are read (numpy.save(file, array.astype('float32')))"
    )]
    Elements {
        /// The file.
        path: PathBuf,
        /// The type, as NumPy writes it.
        found: String,
    },
    /// The file breaks off.
    #[error("{path}: cut short: an array of {shape:?} takes {expected} bytes, {got} are there")]
    CutShort {
        /// The file.
        path: PathBuf,
        /// The array's shape.
        shape: Vec<u64>,
        /// Bytes of its elements.
        expected: u128,
        /// Bytes behind the header.
        got: u64,
    },
}

/// An array of f32 in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
}

impl Array {
    /// Reads an array of f32 or f64, in C or Fortran order.
    pub fn read(path: &Path) -> Result<Self, NpyError> {
        let io = |source| NpyError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);
        let format = |message: String| NpyError::Format { path: path.to_owned(), message };
        let Header { shape, fortran, element } = Header::read(&mut reader).map_err(format)?;
        let decode: fn(&[u8]) -> Vec<f32> = match element.as_str() {
            "'<f4'" => |b: &[u8]| values(b, f32::from_le_bytes),
            "'>f4'" => |b: &[u8]| values(b, f32::from_be_bytes),
            "'<f8'" => |b: &[u8]| values(b, |v| f64::from_le_bytes(v) as f32),
            "'>f8'" => |b: &[u8]| values(b, |v| f64::from_be_bytes(v) as f32),
            _ => return Err(NpyError::Elements { path: path.to_owned(), found: shown(&element).to_string() }),
        };
        let size = if element.ends_with("8'") { 8u128 } else { 4 };
        let got = bytes.saturating_sub(reader.stream_position().map_err(io)?);
        let expected = shape.iter().fold(size, |product, &extent| product.saturating_mul(u128::from(extent)));
        if expected > u128::from(got) {
            return Err(NpyError::CutShort { path: path.to_owned(), shape, expected, got });
        }
        let shape = extents(&shape).ok_or_else(|| format("its extents are too large".into()))?;
        let mut bytes = vec![0; expected as usize];
        reader.read_exact(&mut bytes).map_err(io)?;
        let data = decode(&bytes);
        Ok(if fortran { Self { data: to_c_order(&shape, &data), shape } } else { Self { shape, data } })
    }

    /// Writes the array, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), NpyError> {
        let io = |source| NpyError::Io { path: path.to_owned(), source };
        let shape: Vec<u64> = self.shape.iter().map(|&extent| extent as u64).collect();
        let mut bytes = Vec::new();
        let mut writer =
            npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().map_err(io)?;
        writer.extend(self.data.iter().copied()).map_err(io)?;
        writer.finish().map_err(io)?;
        write_atomically(path, &bytes).map_err(io)
    }
}

/// The values of whole numbers of bytes.
fn values<const N: usize>(bytes: &[u8], value: fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
}

/// The extents, if their product is a number: beside one of 0 the others may be any.
fn extents(shape: &[u64]) -> Option<Vec<usize>> {
    let extents: Vec<usize> = shape.iter().map(|&extent| usize::try_from(extent).ok()).collect::<Option<_>>()?;
    extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent.max(1)))?;
    Some(extents)
}

/// `data` with the last index running fastest, from the first running fastest.
fn to_c_order(shape: &[usize], data: &[f32]) -> Vec<f32> {
    let strides = shape.iter().scan(1, |stride, &extent| Some(std::mem::replace(stride, *stride * extent)));
    let strides: Vec<usize> = strides.collect();
    let place = |mut index: usize| {
        let mut at = 0;
        for (&extent, &stride) in shape.iter().zip(&strides).rev() {
            at += index % extent * stride;
            index /= extent;
        }
        data[at]
    };
    (0..data.len()).map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// An `.npy` file of the element type `descr`.
        fn file(&self, descr: &str, fortran: bool, shape: &str, data: &[u8]) -> PathBuf {
            let fortran = if fortran { "True" } else { "False" };
            let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
            let path = self.0.path().join("a.npy");
            let length = (header.len() as u16).to_le_bytes();
            fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()).unwrap();
            path
        }
    }

    #[test]
    fn an_array_is_read_back_as_it_was_written() {
        let folder = Folder::new();
        let array = Array { shape: vec![2, 1, 3], data: vec![1.0, -2.5, 3.0, f32::MIN_POSITIVE, 5.0, 6.0] };
        array.write(&folder.0.path().join("b.npy")).unwrap();
        assert_eq!(Array::read(&folder.0.path().join("b.npy")).unwrap(), array);
    }

    #[test]
    fn doubles_big_endian_numbers_and_fortran_order_are_read() {
        let folder = Folder::new();
        let bytes: Vec<u8> = [1f64, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let array = Array::read(&folder.file(">f8", true, "(2, 3)", &bytes)).unwrap();
        assert_eq!(array, Array { shape: vec![2, 3], data: vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0] });
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused() {
        let folder = Folder::new();
        let says = |path: PathBuf, words: &str| {
            let error = Array::read(&path).unwrap_err().to_string();
            assert!(error.contains("a.npy") && error.contains(words), "{error}");
        };
        says(
            folder.file("<f4", false, "(2, 2)", &[0; 15]),
            "cut short: an array of [2, 2] takes 16 bytes, 15 are there",
        );
        says(folder.file("<f4", false, "(9223372036854775807, 9223372036854775807)", &[]), "cut short");
        says(folder.file("<f4", true, "(9223372036854775808, 4, 0)", &[]), "its extents are too large");
        says(folder.file("<i4", false, "(1,)", &[0; 4]), "elements of type '<i4'");
        fs::write(folder.0.path().join("a.npy"), b"<html>").unwrap();
        says(folder.0.path().join("a.npy"), "not an .npy file");
    }
}
