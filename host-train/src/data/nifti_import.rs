//! What the imports of NIfTI layouts share: a patient's volumes read, brought into one order of axes, resampled and cut.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::alignment::{GridOf, onto_image};
use super::import::{
    ImportOptions, Imported, Origin, PreparedPatient, PreparedVolume, Progress, SOURCE_MM, write_dataset,
};
use super::losses::Cut;
use super::nifti_volume::{NiftiVolume, Place};
use super::notes::Remark;
use super::orientation::Orientation;
use super::resample::Resampler;
use super::{Axes, DataError, Phase};

/// A volume's files.
pub struct Scan {
    /// The phase of the cycle.
    pub phase: Phase,
    /// The image.
    pub image: PathBuf,
    /// Its label; `None` in data without masks.
    pub label: Option<PathBuf>,
}

/// A patient's files.
pub struct Subject {
    /// The patient's name.
    pub name: String,
    /// The diagnosis, or empty.
    pub group: String,
    /// Volumes, end-diastole first.
    pub scans: Vec<Scan>,
    /// Whether the phases of two volumes are known only by the order of their frames.
    pub phases_by_order: bool,
}

/// Imports patients into the data set `dst`, which has masks if any of them has; `source` is the layout's name.
///
/// # Errors
/// [`DataError`] names the file.
pub fn import(
    dst: &Path,
    source: &str,
    subjects: &[Subject],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported, DataError> {
    options.check()?;
    options.expect_no_source_geometry()?;
    progress.begin(subjects.len() as u64);
    let read = |subject: &Subject| subject.scans.iter().map(|scan| NiftiVolume::read_place(&scan.image)).collect();
    let places: Vec<Vec<Place>> = subjects.par_iter().map(read).collect::<Result<_, DataError>>()?;
    let axes = common_axes(places.iter().flatten());
    let masks = subjects.iter().flat_map(|subject| &subject.scans).any(|scan| scan.label.is_some());
    let origin = Origin { source, masks, axes };
    let splits = options.split.deal(subjects.iter().map(|subject| subject.name.as_str()));
    let sum = |sum: u64, place| sum.saturating_add(bytes(place, axes, options.size));
    let sizes = places.iter().map(|places| places.iter().fold(0, sum));
    let subjects: Vec<(&Subject, u64)> = subjects.iter().zip(sizes).collect();
    let prepare = |&(subject, _): &(&Subject, u64)| {
        let (group, split) = (subject.group.clone(), splits.of(&subject.name));
        Ok(PreparedPatient { name: subject.name.clone(), group, split, volumes: prepare(subject, axes, options)? })
    };
    let mut imported = write_dataset(dst, &origin, options, &subjects, progress, |(_, bytes)| *bytes, prepare)?;
    imported.notes.extend(splits.note());
    Ok(imported)
}

/// The directions that the axes of most volumes have, of those that say clearly how they lie; of equally many, the first
/// volume's.
fn common_axes<'a>(places: impl Iterator<Item = &'a Place>) -> Option<Axes> {
    let own: Vec<Option<Axes>> = places.map(|place| Orientation::of(place).axes).collect();
    let count = |axes: Axes| own.iter().filter(|other| **other == Some(axes)).count();
    let mut most: Option<(Axes, usize)> = None;
    for axes in own.iter().flatten().copied() {
        if most.is_none_or(|(found, _)| found != axes) && count(axes) > most.map_or(0, |(_, count)| count) {
            most = Some((axes, count(axes)));
        }
    }
    most.map(|(axes, _)| axes)
}

/// Bytes of a volume and its label in memory, with the slices of `side` by `side` pixels that become of it.
fn bytes(place: &Place, axes: Option<Axes>, side: usize) -> u64 {
    let (order, _) = Orientation::of(place).into_order(axes);
    let slices = Place { dim: [side, side, order.axes(place.dim)[2]], ..*place };
    place.bytes().saturating_mul(2).saturating_add(slices.bytes())
}

/// A patient's volumes, end-diastole first.
fn prepare(subject: &Subject, axes: Option<Axes>, options: &ImportOptions) -> Result<Vec<PreparedVolume>, DataError> {
    let prepared = subject.scans.iter().map(|scan| prepare_volume(scan, axes, options));
    let mut volumes = prepared.collect::<Result<Vec<_>, _>>()?;
    if let (true, [first, second]) = (subject.phases_by_order, &mut volumes[..])
        && lv_ml(second) > LARGER * lv_ml(first)
    {
        std::mem::swap(&mut first.phase, &mut second.phase);
        second.remarks.push(Remark::LaterFrameIsFuller);
        volumes.swap(0, 1);
    }
    Ok(volumes)
}

/// By how much the LV of one frame must be larger than that of another for the fuller one to be known: observers differ by
/// less.
const LARGER: f64 = 1.05;

/// The volume of the LV in the slices as prepared, in ml; 0 without a label.
fn lv_ml(volume: &PreparedVolume) -> f64 {
    let voxels = volume.labels.iter().flatten().filter(|&&class| class == 3).count();
    voxels as f64 * volume.spacing_mm.iter().map(|&mm| f64::from(mm)).product::<f64>() / 1000.0
}

fn prepare_volume(scan: &Scan, axes: Option<Axes>, options: &ImportOptions) -> Result<PreparedVolume, DataError> {
    let image = NiftiVolume::read_within(&scan.image, options.max_bytes)?;
    expect_picture(&image, &scan.image)?;
    let mut remarks: Vec<Remark> = image.notes.iter().cloned().map(Remark::Words).collect();
    let label = match &scan.label {
        Some(path) => {
            let label = NiftiVolume::read_within(path, options.max_bytes)?;
            Some(label_on(FileOf { volume: &image, path: &scan.image }, FileOf { volume: &label, path }, &mut remarks)?)
        }
        None => None,
    };
    // Image and label into the order of the data set.
    let orientation = Orientation::of(&image.place());
    let (order, remark) = orientation.into_order(axes);
    remarks.extend(remark);
    let (voxels, label) = (order.apply(&image.voxels, image.dim), label.map(|label| order.apply(&label, image.dim)));
    let ([nx, ny, nz], [sx, sy, sz]) = (order.axes(image.dim), order.axes(image.spacing_mm));
    NiftiVolume::expect_slices_within(&scan.image, nz, options.size, options.max_bytes)?;
    let resampler = Resampler::new([nx, ny], [sx, sy], options.spacing_mm, options.size);
    let mut cut = Cut::default();
    let labels = label.map(|label| {
        let planes = label.chunks_exact(nx * ny);
        planes.clone().for_each(|plane| resampler.count(plane, &mut cut));
        planes.map(|plane| resampler.label(plane)).collect()
    });
    Ok(PreparedVolume {
        phase: scan.phase,
        spacing_mm: [options.spacing_mm.unwrap_or(sx), options.spacing_mm.unwrap_or(sy), sz],
        z: (0..nz as u32).collect(),
        images: voxels.chunks_exact(nx * ny).map(|plane| resampler.image(plane)).collect(),
        labels: labels.unwrap_or_default(),
        cut,
        remarks,
    })
}

/// A volume and the file that it was read from.
#[derive(Clone, Copy)]
struct FileOf<'a> {
    volume: &'a NiftiVolume,
    path: &'a Path,
}

/// The classes of a label on its image's grid.
fn label_on(image: FileOf<'_>, label: FileOf<'_>, remarks: &mut Vec<Remark>) -> Result<Vec<u8>, DataError> {
    let [from, to] = [label, image].map(|FileOf { volume, path }| GridOf {
        path,
        dim: volume.dim,
        spacing_mm: volume.spacing_mm,
        affine: volume.affine(),
    });
    let FileOf { volume: label, path } = label;
    let (reorder, remark) = onto_image(from, to)?;
    remarks.extend(remark);
    for note in &label.notes {
        let remark = Remark::Words(note.clone());
        // A label has its header from the image most often.
        if !remarks.contains(&remark) {
            remarks.push(Remark::Words(format!("label: {note}")));
        }
    }
    Ok(reorder.apply(&label.classes(path)?, label.dim))
}

/// Refuses an image that no slice can be made of.
///
/// # Errors
/// [`DataError`] for values that are no numbers, none above zero, and voxels of sizes that none have.
pub fn expect_picture(image: &NiftiVolume, path: &Path) -> Result<(), DataError> {
    let path = path.to_path_buf();
    if let Some(index) = image.voxels.iter().position(|v| !v.is_finite()) {
        return Err(DataError::NotFinite { path, value: image.voxels[index], position: image.position(index) });
    }
    if image.voxels.iter().all(|v| *v <= 0.0) {
        return Err(DataError::Blank { path });
    }
    if let Some(mm) = image.spacing_mm.iter().find(|mm| !SOURCE_MM.contains(mm)) {
        let (low, high) = (SOURCE_MM.start(), SOURCE_MM.end());
        let reason = format!("voxels of {mm} mm; expected {low} to {high} mm: is its unit of length right?");
        return Err(DataError::Nifti { path, reason });
    }
    Ok(())
}
