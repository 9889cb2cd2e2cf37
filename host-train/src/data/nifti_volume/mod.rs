//! NIfTI volumes as `f32` in the file's own order, x fastest, and label volumes on the grid of one.
//!
//! Read are single files (`.nii`, `.nii.gz`), NIfTI-1 and NIfTI-2, in both byte orders, compressed or not whatever their
//! names say. A file is read whole, or refused in words: also where a checksum does not match, and where it would take more
//! memory than allowed, before any is taken.
//!
//! `header`: the bytes; `stream`: unpacking; `geometry`: sizes and place; `voxels`: values; `write`: labels.

mod geometry;
mod header;
mod stream;
#[cfg(test)]
mod tests;
mod voxels;
mod write;

use std::io::{self, Read};
use std::path::Path;

use super::affine::Affine;
use super::axes::Axes;
use super::{CLASSES, DataError};
use geometry::Geometry;
use header::Header;
use stream::Stream;
use voxels::{Scale, VoxelType};

/// How large a file may be unpacked, and its voxels in memory at four bytes each, where nobody says otherwise: 0.5 GiB, or 512
/// x 512 x 512 voxels.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 29;

/// How far from a whole number a label may be: programs that store real numbers as scaled integers round them.
const LABEL_TOLERANCE: f64 = 0.01;

/// A three-dimensional NIfTI volume, scaled by the header's slope and intercept.
#[derive(Clone, Debug)]
pub struct NiftiVolume {
    /// Voxels along x, y and z; a two-dimensional file is one plane.
    pub dim: [usize; 3],
    /// Distance of neighbouring voxels along x, y and z in mm; 1 along the z axis that a two-dimensional file lacks.
    pub spacing_mm: [f32; 3],
    /// Voxels, x fastest, then y, then z.
    pub voxels: Vec<f32>,
    /// What a user should know of the file, a sentence each: where its header contradicts itself, and what was taken.
    pub notes: Vec<String>,
    affine: Option<Affine>,
    header: Header,
}

/// Where a volume's voxels lie.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Voxels along x, y and z.
    pub dim: [usize; 3],
    /// Their distances in mm.
    pub spacing_mm: [f32; 3],
    /// Where they lie in space, where the file says so.
    pub affine: Option<Affine>,
}

impl Place {
    /// Bytes that the voxels take in memory, at four each.
    pub fn bytes(&self) -> u64 {
        self.dim.iter().fold(4, |bytes, &n| bytes.saturating_mul(n as u64))
    }
}

impl NiftiVolume {
    /// Reads a file that takes no more than [`DEFAULT_MAX_BYTES`].
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::read_within(path, DEFAULT_MAX_BYTES)
    }

    /// Reads a file that has at most `max_bytes` unpacked, and voxels that take no more in memory at four bytes each. Where it
    /// says that it has more, nothing is allocated for them.
    pub fn read_within(path: &Path, max_bytes: u64) -> Result<Self, DataError> {
        let volume = Stream::open(path).map_err(|error| explain(&error)).and_then(|stream| parse(stream, max_bytes));
        volume.map_err(|reason| DataError::Nifti { path: path.to_path_buf(), reason })
    }

    /// Reads a file's bytes, as [`read_within`](Self::read_within) does.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn from_bytes(bytes: &[u8], max_bytes: u64) -> Result<Self, String> {
        let stream = Stream::new(bytes, Some(bytes.len() as u64)).map_err(|error| explain(&error))?;
        parse(stream, max_bytes)
    }

    /// Reads a file's header alone, and where it says that its voxels lie.
    pub fn read_place(path: &Path) -> Result<Place, DataError> {
        let head = Stream::open(path).map_err(|error| explain(&error)).and_then(|mut stream| Head::read(&mut stream));
        let place = |head: Head| {
            let Geometry { spacing_mm, affine, .. } = Geometry::of(&head.header, head.dim, head.rank)?;
            Ok(Place { dim: head.dim, spacing_mm, affine })
        };
        head.and_then(place).map_err(|reason| DataError::Nifti { path: path.to_path_buf(), reason })
    }

    /// Where its voxels lie.
    pub fn place(&self) -> Place {
        Place { dim: self.dim, spacing_mm: self.spacing_mm, affine: self.affine }
    }

    /// The voxels as classes, each the whole number that it is within 0.01 of; `path` is named where one is not below
    /// [`CLASSES`] or further from any.
    pub fn classes(&self, path: &Path) -> Result<Vec<u8>, DataError> {
        let class = |(index, &value): (usize, &f32)| {
            let (exact, nearest) = (f64::from(value), f64::from(value).round());
            if (exact - nearest).abs() <= LABEL_TOLERANCE && (0.0..CLASSES as f64).contains(&nearest) {
                return Ok(nearest as u8);
            }
            Err(DataError::LabelValue { path: path.to_path_buf(), value, position: self.position(index) })
        };
        self.voxels.iter().enumerate().map(class).collect()
    }

    /// Where the file places its voxels. From the sform where its code is above 0, else from the qform; `None` where the file
    /// has neither.
    pub fn affine(&self) -> Option<Affine> {
        self.affine
    }

    /// Towards which side of the patient each axis counts; `None` where the file does not say.
    pub fn axes(&self) -> Option<Axes> {
        self.affine.as_ref().map(Axes::of)
    }

    /// Writes classes, x fastest, as a volume of bytes with this volume's dimensions, spacing and place in space: version,
    /// qform, sform and units are those of its header. `path` ends in `.nii`, or in `.nii.gz` for a compressed file, which is
    /// written beside its place and renamed; missing folders are made. After an error, `path` is as it was.
    pub fn write_classes(&self, path: &Path, classes: &[u8]) -> Result<(), DataError> {
        let extension = nifti_extension(path).ok_or_else(|| DataError::Destination {
            path: path.to_path_buf(),
            reason: "is no name of a NIfTI file; end it in .nii or .nii.gz",
        })?;
        if classes.len() != self.dim.iter().product::<usize>() {
            let reason = format!("{} classes for dimensions {:?}", classes.len(), self.dim);
            return Err(DataError::Nifti { path: path.to_path_buf(), reason });
        }
        let compressed = extension.ends_with("gz");
        let header = write::label_header(&self.header);
        write::write(path, &header, classes, compressed).map_err(DataError::io(path, "write"))
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

    /// Refuses more slices than `max_bytes` hold, resampled to `side` by `side` pixels at four bytes each: a file of many tiny
    /// ones becomes a large volume. `path` is named.
    pub fn expect_slices_within(path: &Path, slices: usize, side: usize, max_bytes: u64) -> Result<(), DataError> {
        let bytes = [side, side, 4].iter().fold(slices as u64, |bytes, &n| bytes.saturating_mul(n as u64));
        if bytes <= max_bytes {
            return Ok(());
        }
        let what =
            format!("of {slices} slices, which become {side}x{side} pixels each ({} GiB in memory),", gib(bytes));
        Err(DataError::Nifti { path: path.to_path_buf(), reason: too_large(&what, max_bytes) })
    }

    /// The shape in words, for messages.
    pub fn shape(&self) -> String {
        format!("{}x{}x{}", self.dim[0], self.dim[1], self.dim[2])
    }
}

/// The extension by which a file is known as NIfTI: `nii` or `nii.gz`, in small letters or capitals.
pub fn nifti_extension(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    ["nii.gz", "nii"].into_iter().find(|extension| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.')))
}

/// A file's header, and its voxels along the three axes, of which the file has the first `rank`.
struct Head {
    header: Header,
    dim: [usize; 3],
    rank: usize,
}

impl Head {
    fn read(stream: &mut Stream) -> Result<Self, String> {
        let mut first = Vec::new();
        stream.by_ref().take(4).read_to_end(&mut first).map_err(|error| explain(&error))?;
        if first.is_empty() {
            return Err("an empty file; copy it again".to_string());
        }
        let first: [u8; 4] = first.try_into().map_err(|_| explain(&io::ErrorKind::UnexpectedEof.into()))?;
        let mut bytes = vec![0; Header::length(first)?];
        bytes[..4].copy_from_slice(&first);
        stream.read_exact(&mut bytes[4..]).map_err(|error| explain(&error))?;
        let header = Header::new_checked(bytes)?;
        let (dim, rank) = dimensions(&header)?;
        Ok(Self { header, dim, rank })
    }
}

fn parse(mut stream: Stream, max_bytes: u64) -> Result<NiftiVolume, String> {
    let Head { header, dim, rank } = Head::read(&mut stream)?;
    let kind = VoxelType::of_code(header.one(header.fields().datatype))?;
    let offset = voxel_offset(&header)?;
    let count = count_within(dim, kind, offset, max_bytes)?;
    let Geometry { spacing_mm, affine, notes } = Geometry::of(&header, dim, rank)?;
    let scale = scale(&header)?;

    let stored = count * kind.bytes();
    let past = || format!("vox_offset {offset} is past the end of the file");
    if !stream.may_have(offset) {
        return Err(past());
    }
    let cut = || format!("the file is cut off: it is too small for {stored} bytes of voxels; copy it again");
    if !stream.may_have(offset + stored) {
        return Err(cut());
    }
    let ended = |error: io::Error, words: &dyn Fn() -> String| match error.kind() {
        io::ErrorKind::UnexpectedEof => words(),
        _ => explain(&error),
    };
    stream.skip_to(offset).map_err(|error| ended(error, &past))?;
    let voxels = kind.read(&mut stream, count as usize, header.is_big_endian(), scale);
    let voxels = voxels.map_err(|error| ended(error, &cut))?;
    if !stream.finish(max_bytes).map_err(|error| explain(&error))? {
        return Err(too_large("unpacked", max_bytes));
    }
    Ok(NiftiVolume { dim, spacing_mm, voxels, notes, affine, header })
}

/// Voxels along the three axes, and how many of them the file has.
fn dimensions(header: &Header) -> Result<([usize; 3], usize), String> {
    let dim = |index: usize| header.number(header.fields().dim, index);
    let rank = dim(0);
    if !(1.0..=7.0).contains(&rank) {
        return Err(format!("dim[0] is {rank}; expected 1 to 7 dimensions"));
    }
    let stored: Vec<f64> = (1..=rank as usize).map(dim).collect();
    // Some programs leave the sizes of axes at 0 that they do not use.
    let size = |axis: usize| match stored.get(axis) {
        Some(&n) if axis < 2 || n != 0.0 => n,
        _ => 1.0,
    };
    let all = || stored.iter().map(f64::to_string).collect::<Vec<_>>().join("x");
    if stored.len() < 2 || (0..stored.len()).any(|axis| size(axis) < 1.0) {
        return Err(format!("dimensions {}; expected one volume of three axes (x, y, z)", all()));
    }
    if (3..stored.len()).any(|axis| size(axis) > 1.0) {
        let all = all();
        return Err(format!(
            "dimensions {all}: a series; expected one volume of three axes (x, y, z): take a frame out, in nibabel with \
             `image.slicer[..., 0]`"
        ));
    }
    // What does not fit is far above any limit on memory.
    Ok(([0, 1, 2].map(|axis| size(axis) as usize), stored.len()))
}

/// Where the voxels begin.
fn voxel_offset(header: &Header) -> Result<u64, String> {
    let (offset, first) = (header.one(header.fields().vox_offset), header.first_voxel());
    if offset.fract() != 0.0 || !(0.0..1e18).contains(&offset) {
        return Err(format!("vox_offset is {offset}; expected the byte where the voxels begin, {first} or more"));
    }
    if offset < first as f64 {
        return Err(format!("vox_offset is {offset}, inside the header; voxels begin at byte {first} or later"));
    }
    Ok(offset as u64)
}

/// How many voxels there are, where file and voxels stay within `max_bytes`.
fn count_within(dim: [usize; 3], kind: VoxelType, offset: u64, max_bytes: u64) -> Result<u64, String> {
    let count = dim.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
    let shape = dim.map(|n| n.to_string()).join("x");
    let count = count.filter(|count| count.checked_mul(8).is_some_and(|bytes| bytes < u64::MAX / 4));
    let count = count.ok_or_else(|| too_large(&format!("of {shape} voxels"), max_bytes))?;
    if count * kind.bytes().max(4) > max_bytes {
        let place = if kind.bytes() > 4 { "unpacked" } else { "in memory" };
        let gib = gib(count * kind.bytes().max(4));
        return Err(too_large(&format!("of {shape} voxels ({gib} GiB {place})"), max_bytes));
    }
    if offset.saturating_add(count * kind.bytes()) > max_bytes {
        return Err(too_large(&format!("with voxels from byte {offset} on"), max_bytes));
    }
    Ok(count)
}

fn too_large(what: &str, max_bytes: u64) -> String {
    format!(
        "a file {what} is above the limit of {} GiB; if it is what you mean, raise the limit (--max-gib)",
        gib(max_bytes)
    )
}

/// Bytes in GiB, in words: as many digits as tell apart what a limit tells apart, and no more.
pub fn gib(bytes: u64) -> String {
    let text = format!("{:.6}", bytes as f64 / f64::from(1 << 30));
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// How stored values are scaled; `None` where they are what they are. NIfTI: a slope of zero means that there is no scaling, and so
/// does one that is no number.
fn scale(header: &Header) -> Result<Option<Scale>, String> {
    let [slope, intercept] = [header.fields().scl_slope, header.fields().scl_inter].map(|field| header.one(field));
    if slope == 0.0 || !slope.is_finite() || (slope, intercept) == (1.0, 0.0) {
        return Ok(None);
    }
    match intercept.is_finite() {
        true => Ok(Some(Scale { slope, intercept })),
        false => Err(format!("scl_inter is {intercept} with a slope of {slope}; expected a number")),
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the file is cut off; copy it again".to_string(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            format!("the file is damaged ({error}); copy it again")
        }
        io::ErrorKind::OutOfMemory => "there is not enough memory for its voxels".to_string(),
        _ => error.to_string(),
    }
}
