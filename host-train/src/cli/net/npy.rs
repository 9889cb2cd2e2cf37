//! Arrays in NumPy's `.npy` files.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use npyz::{DType, NpyFile, NpyHeader, Order, WriterBuilder};

use crate::io::whole::write_atomically;

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
        let format = |error: io::Error| NpyError::Format { path: path.to_owned(), message: error.to_string() };
        let header = NpyHeader::from_reader(&mut reader).map_err(format)?;
        let got = bytes.saturating_sub(reader.stream_position().map_err(io)?);
        let (shape, order, element) = (header.shape().to_vec(), header.order(), header.dtype());
        let size = match &element {
            DType::Plain(plain) => plain.num_bytes().unwrap_or(0),
            _ => 0,
        };
        let expected = shape.iter().fold(size as u128, |product, &extent| product.saturating_mul(u128::from(extent)));
        if expected > u128::from(got) {
            return Err(NpyError::CutShort { path: path.to_owned(), shape, expected, got });
        }
        let elements = NpyFile::with_header(header, reader);
        let data = match elements.try_data::<f32>() {
            Ok(values) => values.collect::<io::Result<Vec<f32>>>().map_err(io)?,
            Err(elements) => match elements.try_data::<f64>() {
                Ok(values) => values.map(|value| value.map(|v| v as f32)).collect::<io::Result<_>>().map_err(io)?,
                Err(_) => return Err(NpyError::Elements { path: path.to_owned(), found: element.descr() }),
            },
        };
        let shape: Vec<usize> = shape.into_iter().map(|extent| extent as usize).collect();
        Ok(match order {
            Order::C => Self { shape, data },
            Order::Fortran => Self { data: to_c_order(&shape, &data), shape },
        })
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

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kscout-npy-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// An `.npy` file of the element type `descr`.
        fn file(&self, descr: &str, fortran: bool, shape: &str, data: &[u8]) -> PathBuf {
            let fortran = if fortran { "True" } else { "False" };
            let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
            let path = self.0.join("a.npy");
            let length = (header.len() as u16).to_le_bytes();
            fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_array_is_read_back_as_it_was_written() {
        let folder = Folder::new("round");
        let array = Array { shape: vec![2, 1, 3], data: vec![1.0, -2.5, 3.0, f32::MIN_POSITIVE, 5.0, 6.0] };
        array.write(&folder.0.join("b.npy")).unwrap();
        assert_eq!(Array::read(&folder.0.join("b.npy")).unwrap(), array);
    }

    #[test]
    fn doubles_big_endian_numbers_and_fortran_order_are_read() {
        let folder = Folder::new("orders");
        let bytes: Vec<u8> = [1f64, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let array = Array::read(&folder.file(">f8", true, "(2, 3)", &bytes)).unwrap();
        assert_eq!(array, Array { shape: vec![2, 3], data: vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0] });
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused() {
        let folder = Folder::new("refused");
        let says = |path: PathBuf, words: &str| {
            let error = Array::read(&path).unwrap_err().to_string();
            assert!(error.contains("a.npy") && error.contains(words), "{error}");
        };
        says(
            folder.file("<f4", false, "(2, 2)", &[0; 15]),
            "cut short: an array of [2, 2] takes 16 bytes, 15 are there",
        );
        says(folder.file("<f4", false, "(9223372036854775807, 9223372036854775807)", &[]), "cut short");
        says(folder.file("<i4", false, "(1,)", &[0; 4]), "elements of type '<i4'");
        fs::write(folder.0.join("a.npy"), b"<html>").unwrap();
        says(folder.0.join("a.npy"), "not an .npy file");
    }
}
