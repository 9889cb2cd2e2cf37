//! Small ACDC-like folders, written byte by byte.

use std::fs;
use std::path::{Path, PathBuf};

/// Voxels of a test volume, x fastest.
pub struct Volume {
    pub dim: [u16; 3],
    pub spacing_mm: [f32; 3],
    pub slope: f32,
    pub intercept: f32,
    pub voxels: Vec<f32>,
}

impl Volume {
    /// A volume whose voxels are a function of x, y, z.
    pub fn new(dim: [u16; 3], voxel: impl Fn(u16, u16, u16) -> f32) -> Self {
        let mut voxels = Vec::new();
        for z in 0..dim[2] {
            for y in 0..dim[1] {
                voxels.extend((0..dim[0]).map(|x| voxel(x, y, z)));
            }
        }
        Self { dim, spacing_mm: [1.5, 1.5, 10.0], slope: 1.0, intercept: 0.0, voxels }
    }

    /// The bytes of a single-file NIfTI-1 volume of 32-bit floats, little-endian.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = vec![0u8; 352];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &348i32.to_le_bytes());
        let dim = [3, self.dim[0], self.dim[1], self.dim[2], 1, 1, 1, 1];
        dim.iter().enumerate().for_each(|(i, n)| put(40 + 2 * i, &n.to_le_bytes()));
        put(70, &16i16.to_le_bytes());
        put(72, &32i16.to_le_bytes());
        let pixdim = [1.0, self.spacing_mm[0], self.spacing_mm[1], self.spacing_mm[2]];
        pixdim.iter().enumerate().for_each(|(i, mm)| put(76 + 4 * i, &mm.to_le_bytes()));
        put(108, &352f32.to_le_bytes());
        put(112, &self.slope.to_le_bytes());
        put(116, &self.intercept.to_le_bytes());
        put(344, b"n+1\0");
        header.extend(self.voxels.iter().flat_map(|v| v.to_le_bytes()));
        header
    }
}

/// A label of 40x32 pixels and two slices: a column of each class.
pub fn label() -> Volume {
    Volume::new([40, 32, 2], |x, _, _| f32::from(x / 10))
}

/// An image of 40x32 pixels and two slices.
pub fn image() -> Volume {
    Volume::new([40, 32, 2], |x, y, z| f32::from(x + 100 * y) + 5000.0 * f32::from(z))
}

/// The four volumes of a patient, by file name without extension.
pub fn file(patient: &str, frame: u32, truth: bool) -> String {
    format!("{patient}_frame{frame:02}{}.nii", if truth { "_gt" } else { "" })
}

/// Writes a complete patient and returns its folder.
///
/// # Panics
/// If it cannot be written.
pub fn write_patient(root: &Path, patient: &str, group: &str) -> PathBuf {
    let folder = root.join(patient);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Info.cfg"), format!("ED: 1\nES: 9\nGroup: {group}\nHeight: 170.0\nNbFrame: 30\n")).unwrap();
    for frame in [1, 9] {
        fs::write(folder.join(file(patient, frame, false)), image().bytes()).unwrap();
        fs::write(folder.join(file(patient, frame, true)), label().bytes()).unwrap();
    }
    folder
}
