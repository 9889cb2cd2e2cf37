//! NIfTI volumes as `f32` in the file's own order, x fastest, and label volumes on the grid of one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ndarray::{ArrayView, IxDyn, ShapeBuilder};
use nifti::writer::WriterOptions;
use nifti::{
    DataElement, InMemNiftiVolume, NiftiError, NiftiHeader, NiftiObject, NiftiType, NiftiVolume as _, ReaderOptions,
};

use super::{CLASSES, DataError};

/// A three-dimensional NIfTI volume, scaled by the header's slope and intercept.
#[derive(Clone, Debug)]
pub struct NiftiVolume {
    /// Voxels along x, y and z; a two-dimensional file is one plane.
    pub dim: [usize; 3],
    /// Distance of neighbouring voxels along x, y and z in mm; 1 along the z axis that a two-dimensional file lacks.
    pub spacing_mm: [f32; 3],
    /// Voxels, x fastest, then y, then z.
    pub voxels: Vec<f32>,
    header: NiftiHeader,
}

impl NiftiVolume {
    /// Reads a `.nii` or `.nii.gz` file.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let broken = |reason: String| DataError::Nifti { path: path.to_path_buf(), reason };
        let object = ReaderOptions::new().read_file(path).map_err(|e| broken(explain(&e)))?;
        let header = object.header().clone();
        let volume = object.into_volume();
        let dim = three_axes(volume.dim()).map_err(broken)?;
        let spacing_mm = spacing_mm(&header).map_err(broken)?;
        let (slope, intercept) = (header.scl_slope, header.scl_inter);
        let mut voxels = to_f32(volume).map_err(|e| broken(explain(&e)))?;
        // NIfTI-1: a slope of zero means that there is no scaling.
        if slope != 0.0 && slope.is_finite() && intercept.is_finite() {
            voxels.iter_mut().for_each(|v| *v = *v * slope + intercept);
        }
        if voxels.len() != dim.iter().product::<usize>() {
            return Err(broken(format!("{} voxels for dimensions {dim:?}", voxels.len())));
        }
        Ok(Self { dim, spacing_mm, voxels, header })
    }

    /// The voxels as classes; `path` is named where one is not a whole number below [`CLASSES`].
    pub fn classes(&self, path: &Path) -> Result<Vec<u8>, DataError> {
        let class = |(index, &value): (usize, &f32)| {
            if value >= 0.0 && value < CLASSES as f32 && value.fract() == 0.0 {
                return Ok(value as u8);
            }
            Err(DataError::LabelValue { path: path.to_path_buf(), value, position: self.position(index) })
        };
        self.voxels.iter().enumerate().map(class).collect()
    }

    /// Where the file places its voxels: the rows of the matrix that takes (x, y, z, 1) to the scanner's or an atlas's
    /// coordinates in mm. From the sform where there is one, else from the qform; `None` where the file has neither.
    pub fn affine(&self) -> Option<[[f64; 4]; 3]> {
        let header = &self.header;
        let stored = if header.sform_code > 0 {
            [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from))
        } else if header.qform_code > 0 {
            qform(header)
        } else {
            return None;
        };
        Some(stored.map(|row| row.map(|length| length * unit_mm(header))))
    }

    /// Writes classes, x fastest, as a volume of bytes with this volume's dimensions, spacing and place in space: qform,
    /// sform and units are copied from its header. `path` ends in `.nii`, or in `.nii.gz` for a compressed file, which is
    /// written beside its place and renamed; missing folders are made. After an error, `path` is as it was.
    pub fn write_classes(&self, path: &Path, classes: &[u8]) -> Result<(), DataError> {
        let broken = |reason: String| DataError::Nifti { path: path.to_path_buf(), reason };
        let extension = nifti_extension(path).ok_or_else(|| DataError::Destination {
            path: path.to_path_buf(),
            reason: "is no name of a NIfTI file; end it in .nii or .nii.gz",
        })?;
        let dim: Vec<usize> = self.header.dim().map_err(|e| broken(e.to_string()))?.iter().map(|&n| n.into()).collect();
        let array = ArrayView::from_shape(IxDyn(&dim).f(), classes)
            .map_err(|_| broken(format!("{} classes for dimensions {dim:?}", classes.len())))?;
        let mut header = self.header.clone();
        // The window that an image is shown in, and what its values mean, are not those of its labels.
        (header.cal_min, header.cal_max, header.intent_code) = (0.0, 0.0, 0);
        header.set_description_str("kscout: 0 background, 1 RV, 2 MYO, 3 LV").map_err(|e| broken(e.to_string()))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(DataError::io(path, "make the folder of"))?;
        }
        // The writer cuts a name at its dots, so the file beside has none but the extension's.
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace('.', "_");
        let beside = path.with_file_name(format!(".{name}-{}.{extension}", std::process::id()));
        let written = WriterOptions::new(&beside)
            .reference_header(&header)
            .write_nifti(&array)
            .map_err(|error| match error {
                NiftiError::Io(error) => error,
                other => io::Error::other(other.to_string()),
            })
            .and_then(|()| File::open(&beside)?.sync_all())
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // The first error is the one worth reporting.
            let _ = fs::remove_file(&beside);
        }
        written.map_err(DataError::io(path, "write"))
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

/// The extension by which a file is known as NIfTI: `nii` or `nii.gz`.
pub fn nifti_extension(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    ["nii.gz", "nii"].into_iter().find(|extension| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.')))
}

/// The unit of the file's lengths in mm; files without one, as most are, are taken to be in mm.
fn unit_mm(header: &NiftiHeader) -> f64 {
    match header.xyzt_units & 7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    }
}

/// Distances of neighbouring voxels in mm.
fn spacing_mm(header: &NiftiHeader) -> Result<[f32; 3], String> {
    let axes = usize::from(header.dim[0]).min(3);
    let mut spacing_mm = [1.0; 3];
    for (axis, mm) in spacing_mm.iter_mut().enumerate().take(axes) {
        let stored = header.pixdim[axis + 1];
        *mm = (f64::from(stored) * unit_mm(header)) as f32;
        if !(mm.is_finite() && *mm > 0.0) {
            return Err(format!("pixdim[{}] is {stored}, not a length", axis + 1));
        }
    }
    Ok(spacing_mm)
}

/// The affine of a header's quaternion (NIfTI-1, method 2), in the file's unit of length.
fn qform(header: &NiftiHeader) -> [[f64; 4]; 3] {
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let handed = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let step = [1, 2, 3].map(|axis| f64::from(header.pixdim[axis]));
    let shift = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    std::array::from_fn(|row| {
        let [x, y, z] = rotation[row];
        [x * step[0], y * step[1], z * step[2] * handed, shift[row]]
    })
}

fn three_axes(dim: &[u16]) -> Result<[usize; 3], String> {
    match *dim {
        [x, y] => Ok([x.into(), y.into(), 1]),
        [x, y, z, ref rest @ ..] if rest.iter().all(|&n| n == 1) => Ok([x.into(), y.into(), z.into()]),
        [_, _, _, ..] => {
            Err(format!("dimensions {dim:?}: a series; expected one volume of three axes (x, y, z): take a frame out"))
        }
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
