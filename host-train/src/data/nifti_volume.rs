//! NIfTI volumes as `f32` in the file's own order, x fastest.

use std::path::Path;

use nifti::{DataElement, InMemNiftiVolume, NiftiError, NiftiObject, NiftiType, NiftiVolume as _, ReaderOptions};

use super::DataError;

/// A three-dimensional NIfTI volume, scaled by the header's slope and intercept.
#[derive(Clone, Debug)]
pub struct NiftiVolume {
    /// Voxels along x, y and z.
    pub dim: [usize; 3],
    /// Distance of neighbouring voxels along x, y and z in mm.
    pub spacing_mm: [f32; 3],
    /// Voxels, x fastest, then y, then z.
    pub voxels: Vec<f32>,
}

impl NiftiVolume {
    /// Reads a `.nii` or `.nii.gz` file.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let broken = |reason: String| DataError::Nifti { path: path.to_path_buf(), reason };
        let object = ReaderOptions::new().read_file(path).map_err(|e| broken(explain(&e)))?;
        let header = object.header().clone();
        let volume = object.into_volume();
        let dim = three_axes(volume.dim()).map_err(broken)?;
        let spacing_mm = [header.pixdim[1], header.pixdim[2], header.pixdim[3]];
        if let Some(axis) = spacing_mm.iter().position(|&s| !(s.is_finite() && s > 0.0)) {
            return Err(broken(format!("pixdim[{}] is {}, not a length in mm", axis + 1, spacing_mm[axis])));
        }
        let (slope, intercept) = (header.scl_slope, header.scl_inter);
        let mut voxels = to_f32(volume).map_err(|e| broken(explain(&e)))?;
        // NIfTI-1: a slope of zero means that there is no scaling.
        if slope != 0.0 && slope.is_finite() && intercept.is_finite() {
            voxels.iter_mut().for_each(|v| *v = *v * slope + intercept);
        }
        if voxels.len() != dim.iter().product::<usize>() {
            return Err(broken(format!("{} voxels for dimensions {dim:?}", voxels.len())));
        }
        Ok(Self { dim, spacing_mm, voxels })
    }

    /// The plane at `z`, row-major `[y][x]`.
    pub fn plane(&self, z: usize) -> &[f32] {
        let plane = self.dim[0] * self.dim[1];
        &self.voxels[z * plane..(z + 1) * plane]
    }

    /// Where the voxel with this index lies, for messages.
    pub fn position(&self, index: usize) -> String {
        let [nx, ny, _] = self.dim;
        format!("x={}, y={}, z={}", index % nx, index / nx % ny, index / (nx * ny))
    }

    /// The shape in words, for messages.
    pub fn shape(&self) -> String {
        format!("{}x{}x{}", self.dim[0], self.dim[1], self.dim[2])
    }
}

fn three_axes(dim: &[u16]) -> Result<[usize; 3], String> {
    match *dim {
        [x, y] => Ok([x.into(), y.into(), 1]),
        [x, y, z, ref rest @ ..] if rest.iter().all(|&n| n == 1) => Ok([x.into(), y.into(), z.into()]),
        _ => Err(format!("dimensions {dim:?}; expected one volume of three axes (x, y, z)")),
    }
}

// The crate's own conversion scales inside the stored integer type, which loses fractions; so values are converted first.
fn to_f32(volume: InMemNiftiVolume) -> Result<Vec<f32>, NiftiError> {
    match volume.data_type() {
        NiftiType::Uint8 => typed(volume, |v: u8| f32::from(v)),
        NiftiType::Int8 => typed(volume, |v: i8| f32::from(v)),
        NiftiType::Uint16 => typed(volume, |v: u16| f32::from(v)),
        NiftiType::Int16 => typed(volume, |v: i16| f32::from(v)),
        NiftiType::Uint32 => typed(volume, |v: u32| v as f32),
        NiftiType::Int32 => typed(volume, |v: i32| v as f32),
        NiftiType::Uint64 => typed(volume, |v: u64| v as f32),
        NiftiType::Int64 => typed(volume, |v: i64| v as f32),
        NiftiType::Float32 => typed(volume, |v: f32| v),
        NiftiType::Float64 => typed(volume, |v: f64| v as f32),
        other => Err(NiftiError::UnsupportedDataType(other)),
    }
}

fn typed<T: DataElement>(volume: InMemNiftiVolume, to: impl Fn(T) -> f32) -> Result<Vec<f32>, NiftiError> {
    Ok(volume.into_nifti_typed_data::<T>()?.into_iter().map(to).collect())
}

fn explain(error: &NiftiError) -> String {
    match error {
        NiftiError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file is cut off; copy it again".to_string()
        }
        NiftiError::Io(e) => e.to_string(),
        NiftiError::IncompatibleLength(got, expected) => {
            format!("the file is cut off: {got} of {expected} bytes of voxels; copy it again")
        }
        NiftiError::UnsupportedDataType(kind) => format!("voxel type {kind:?}; expected real numbers"),
        other => other.to_string(),
    }
}
