//! Golden vectors: where they lie, how they are stored, and weights that anyone can make again from their names.

use std::fs;
use std::path::{Path, PathBuf};

use kscout_core::rng::SplitMix64;

/// The folder of golden vectors: `KSCOUT_GOLDEN` where it is set, else `tests/golden`.
pub fn golden_dir() -> PathBuf {
    std::env::var_os("KSCOUT_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), PathBuf::from)
}

/// A `.npy` file of version 1: its header's text, and the bytes of its values.
pub struct Npy {
    /// Element type, order and shape, as NumPy writes them.
    pub header: String,
    /// The values, little-endian.
    pub data: Vec<u8>,
}

impl Npy {
    /// Reads a file.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Magic and version take eight bytes, the header's length two.
        let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        Self { header: String::from_utf8_lossy(&bytes[10..data]).into_owned(), data: bytes[data..].to_vec() }
    }

    /// The file of an array of f32.
    pub fn file(shape: &[usize], data: &[f32]) -> Vec<u8> {
        let shape: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let data: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()
    }

    /// The values of an array of f32.
    ///
    /// # Panics
    /// If the elements are of another type.
    pub fn f32s(&self) -> Vec<f32> {
        assert!(self.header.contains("'<f4'"), "not f32: {}", self.header);
        self.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}

/// Numbers in [-1, 1) by name: the state is FNV-1a 64 of `salt/name`, then SplitMix64, the top 24 bits of each output.
pub fn uniform(salt: &str, name: &str, count: usize) -> Vec<f32> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let base = format!("{salt}/{name}").bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut stream = SplitMix64::new(base);
    (0..count).map(|_| ((stream.next_u64() >> 40) as f64 / f64::from(1 << 23) - 1.0) as f32).collect()
}

/// A parameter by its PyTorch name: a scale and an offset of [`uniform`], by the last part of the name.
pub fn parameter(salt: &str, name: &str, shape: &[usize]) -> Vec<f32> {
    let u = uniform(salt, name, shape.iter().product());
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let spread = |f: &dyn Fn(f32) -> f32| u.iter().map(|&u| f(u)).collect();
    match leaf {
        "running_var" => spread(&|u| 1.0 + 0.5 * u),
        "running_mean" | "bias" => spread(&|u| 0.1 * u),
        "weight" if shape.len() == 1 || name.contains("layernorm") => spread(&|u| 1.0 + 0.1 * u),
        _ => {
            let scale = (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
            spread(&|u| scale * u)
        }
    }
}
