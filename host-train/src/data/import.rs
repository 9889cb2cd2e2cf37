//! Making a data set: patients in parallel, written beside the destination and renamed when complete.

use std::fs;
use std::path::Path;

use super::in_turn::in_turn;
use super::intensity::to_levels;
use super::losses::{Cut, losses, missing_classes};
use super::manifest::{FORMAT_VERSION, MANIFEST_FILE};
use super::nifti_volume::DEFAULT_MAX_BYTES;
use super::notes::{Note, Remark, in_sentences};
use super::{Axes, CLASSES, DataError, Manifest, Phase, SliceRecord, Split, SplitRule, png_file};
use crate::io::whole::replace_folder;

/// Who is told how far an import is; `()` is for nobody.
pub trait Progress: Sync {
    /// How many patients there are.
    fn begin(&self, patients: u64);
    /// One more of them is done.
    fn advance(&self);
}

impl Progress for () {
    fn begin(&self, _: u64) {}
    fn advance(&self) {}
}

/// The manifest's note on intensities.
const INTENSITY: &str = "16-bit, linear per volume: negative values to 0, the maximum to 65535; times \
                         intensity_per_level gives the source's value";

/// Lengths in mm that a pixel can have.
pub const PIXEL_MM: std::ops::RangeInclusive<f32> = 0.1..=20.0;
/// Distances in mm that neighbouring slices can have.
pub const SLICE_MM: std::ops::RangeInclusive<f32> = 0.1..=100.0;

/// Lengths in mm that a pixel of a source can have; others are mistakes, as of a wrong unit.
pub const SOURCE_MM: std::ops::RangeInclusive<f32> = 0.01..=50.0;

/// Geometry and split of an import.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// In-plane spacing in mm; `None` keeps the source's.
    pub spacing_mm: Option<f32>,
    /// Whether pixels of a source that says nothing of its spacing may be taken as they are, for pixels of that spacing:
    /// so where nobody asked for a spacing. Otherwise such a source is refused.
    pub assume_spacing: bool,
    /// The source's own spacing along x and y in mm, for PNG files; `None` where their manifest says it, or nobody knows.
    pub source_spacing_mm: Option<[f32; 2]>,
    /// Distance of slices in mm, for PNG files; `None` where their manifest says it, or nobody knows.
    pub slice_distance_mm: Option<f32>,
    /// How large a NIfTI file may be, as of [`NiftiVolume::read_within`](super::nifti_volume::NiftiVolume::read_within), and the
    /// files together that are worked on at the same time.
    pub max_bytes: u64,
    /// Height and width of the output in pixels.
    pub size: usize,
    /// How patients are assigned to splits.
    pub split: SplitRule,
    /// Whether ACDC's patients are kept too that are another's scan again ([`DROPPED`](super::acdc::DROPPED)).
    pub keep_all: bool,
    /// Whether a data set that is already there may be replaced.
    pub force: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            spacing_mm: Some(1.5),
            assume_spacing: true,
            source_spacing_mm: None,
            slice_distance_mm: None,
            max_bytes: DEFAULT_MAX_BYTES,
            size: 128,
            split: SplitRule::Auto,
            keep_all: false,
            force: false,
        }
    }
}

impl ImportOptions {
    /// Checks the geometry.
    pub fn check(&self) -> Result<(), DataError> {
        if !(32..=512).contains(&self.size) || !self.size.is_power_of_two() {
            let reason = format!("{} pixels; expected 32, 64, 128, 256 or 512, which the transforms need", self.size);
            return Err(DataError::Option { option: "--size", reason });
        }
        let length = |option: &'static str, mm: f32, range: &std::ops::RangeInclusive<f32>, or: &str| {
            let reason = || format!("{mm} mm; expected {} to {} mm{or}", range.start(), range.end());
            if range.contains(&mm) { Ok(()) } else { Err(DataError::Option { option, reason: reason() }) }
        };
        let source = self.source_spacing_mm.into_iter().flatten();
        self.spacing_mm.map_or(Ok(()), |mm| length("--spacing", mm, &PIXEL_MM, ", or `native`"))?;
        source.into_iter().try_for_each(|mm| length("--source-spacing", mm, &PIXEL_MM, ""))?;
        self.slice_distance_mm.map_or(Ok(()), |mm| length("--slice-distance", mm, &SLICE_MM, ""))
    }

    /// Refuses what only PNG files need, for files that say it themselves.
    pub fn expect_no_source_geometry(&self) -> Result<(), DataError> {
        let given = [
            ("--source-spacing", self.source_spacing_mm.is_some()),
            ("--slice-distance", self.slice_distance_mm.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                let reason = "is for PNG files; NIfTI files say it themselves".to_string();
                Err(DataError::Option { option, reason })
            }
            None => Ok(()),
        }
    }
}

/// A volume ready to be written: planes of `size` by `size` pixels, intensities as in the source.
pub struct PreparedVolume {
    /// The phase of the cycle.
    pub phase: Phase,
    /// Distance of neighbouring voxels along x, y and z in mm.
    pub spacing_mm: [f32; 3],
    /// Each slice's place in the volume.
    pub z: Vec<u32>,
    /// Intensities, one plane a slice.
    pub images: Vec<Vec<f32>>,
    /// Classes, one plane a slice; none where there are no masks.
    pub labels: Vec<Vec<u8>>,
    /// What the crop cut off.
    pub cut: Cut,
    /// What there is to say about its files.
    pub remarks: Vec<Remark>,
}

impl PreparedVolume {
    /// Its name, as people see it.
    fn name(&self, patient: &str) -> String {
        match self.phase {
            Phase::Unknown => patient.to_string(),
            phase => format!("{patient}/{phase}"),
        }
    }
}

/// A patient ready to be written.
pub struct PreparedPatient {
    /// The folder's name.
    pub name: String,
    /// The diagnosis, or empty.
    pub group: String,
    /// The part of the data set.
    pub split: Split,
    /// Volumes, end-diastole first.
    pub volumes: Vec<PreparedVolume>,
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// The manifest as written.
    pub manifest: Manifest,
    /// Patients or files left out, each with the reason.
    pub dropped: Vec<(String, String)>,
    /// Slices whose label is background alone, of a data set with masks.
    pub empty_labels: usize,
    /// Classes that no slice of a data set with masks has.
    pub missing_classes: Vec<&'static str>,
    /// What else there is to know, a sentence each.
    pub notes: Vec<String>,
}

/// Where a data set's slices come from.
pub struct Origin<'a> {
    /// The layout's name.
    pub source: &'a str,
    /// Whether slices have masks.
    pub masks: bool,
    /// The directions that the volumes' axes were brought into, where they are known.
    pub axes: Option<Axes>,
}

/// Prepares every patient by `prepare`, in parallel as far as what `bytes` says of them stays within the options' `max_bytes`, and
/// writes the data set `dst`; on failure nothing is left behind.
pub fn write_dataset<T: Sync>(
    dst: &Path,
    origin: &Origin,
    options: &ImportOptions,
    patients: &[T],
    progress: &dyn Progress,
    bytes: impl Fn(&T) -> u64 + Sync,
    prepare: impl Fn(&T) -> Result<PreparedPatient, DataError> + Sync,
) -> Result<Imported, DataError> {
    check_destination(dst, options.force)?;
    replace_folder(
        dst,
        |error| DataError::io(dst, "write")(error),
        |new| {
            let write = |patient: &T| {
                let written = write_patient(new, &prepare(patient)?, options.size)?;
                progress.advance();
                Ok(written)
            };
            let written = in_turn(patients, options.max_bytes, bytes, write)?;
            let imported = summary(origin, options, &written);
            imported.manifest.write(new)?;
            Ok(imported)
        },
    )
}

/// The manifest of what was written, and what there is to say about it.
fn summary(origin: &Origin, options: &ImportOptions, written: &[Written]) -> Imported {
    let mut slices: Vec<SliceRecord> = written.iter().flat_map(|patient| patient.records.clone()).collect();
    slices.sort_by(|a, b| (&a.patient, a.slice).cmp(&(&b.patient, b.slice)));
    let cuts: Vec<(String, Cut)> = written.iter().flat_map(|patient| patient.cuts.clone()).collect();
    let voxels = std::array::from_fn(|class| written.iter().map(|patient| patient.voxels[class]).sum());
    Imported {
        manifest: Manifest {
            format_version: FORMAT_VERSION,
            source: origin.source.to_string(),
            size: [options.size as u32; 2],
            spacing_mm: shared_spacing(&slices),
            axes: origin.axes,
            intensity: INTENSITY.to_string(),
            masks: origin.masks,
            lost_to_crop: cuts.iter().any(|(_, cut)| *cut != Cut::default()).then(|| losses(&cuts)),
            slices,
        },
        dropped: Vec::new(),
        empty_labels: written.iter().map(|patient| patient.empty_labels).sum(),
        missing_classes: if origin.masks { missing_classes(&voxels) } else { Vec::new() },
        notes: in_sentences(written.iter().flat_map(|patient| &patient.notes)),
    }
}

fn shared_spacing(slices: &[SliceRecord]) -> Option<[f32; 2]> {
    let in_plane = |record: &SliceRecord| [record.spacing_mm[0], record.spacing_mm[1]];
    let first = in_plane(slices.first()?);
    slices.iter().all(|record| in_plane(record) == first).then_some(first)
}

/// What was written of a patient.
struct Written {
    records: Vec<SliceRecord>,
    cuts: Vec<(String, Cut)>,
    /// Voxels of each class in the slices as written.
    voxels: [u64; CLASSES],
    empty_labels: usize,
    notes: Vec<Note>,
}

fn write_patient(root: &Path, patient: &PreparedPatient, size: usize) -> Result<Written, DataError> {
    let folder = root.join(&patient.name);
    let (images, labels) = (folder.join("images"), folder.join("labels"));
    let has_masks = patient.volumes.iter().any(|volume| !volume.labels.is_empty());
    for path in [&images, &labels].into_iter().take(1 + usize::from(has_masks)) {
        fs::create_dir_all(path).map_err(DataError::io(path, "make the folder"))?;
    }
    let mut written =
        Written { records: Vec::new(), cuts: Vec::new(), voxels: [0; CLASSES], empty_labels: 0, notes: Vec::new() };
    for volume in &patient.volumes {
        let name = volume.name(&patient.name);
        let (pictures, level) = to_levels(&volume.images).ok_or_else(|| DataError::Blank { path: folder.clone() })?;
        for (i, (levels, &z)) in pictures.into_iter().zip(&volume.z).enumerate() {
            let slice = written.records.len() as u32;
            png_file::write_image(&images.join(format!("{slice}.png")), size, size, levels)?;
            if let Some(label) = volume.labels.get(i) {
                png_file::write_label(&labels.join(format!("{slice}.png")), size, size, label.clone())?;
                written.empty_labels += usize::from(label.iter().all(|&class| class == 0));
                label.iter().for_each(|&class| written.voxels[usize::from(class)] += 1);
            }
            written.records.push(SliceRecord {
                patient: patient.name.clone(),
                slice,
                phase: volume.phase,
                z,
                spacing_mm: volume.spacing_mm,
                group: patient.group.clone(),
                split: patient.split,
                intensity_per_level: level,
            });
        }
        let unlabelled = !volume.labels.is_empty() && volume.labels.iter().flatten().all(|&class| class == 0);
        let remarks = volume.remarks.iter().cloned().chain(unlabelled.then_some(Remark::NoClass));
        written.notes.extend(remarks.map(|remark| Note { volume: name.clone(), remark }));
        written.cuts.push((name, volume.cut));
    }
    Ok(written)
}

fn check_destination(path: &Path, force: bool) -> Result<(), DataError> {
    let refuse = |reason| Err(DataError::Destination { path: path.to_path_buf(), reason });
    if !path.exists() {
        return Ok(());
    }
    if !path.is_dir() {
        return refuse("is a file; name a folder for the data set");
    }
    let mut entries = fs::read_dir(path).map_err(DataError::io(path, "list"))?;
    if entries.next().is_none() {
        return Ok(());
    }
    match (force, path.join(MANIFEST_FILE).is_file()) {
        (true, true) => Ok(()),
        (true, false) => refuse("is not empty and holds no manifest.json, so --force does not replace it; remove it"),
        (false, _) => refuse("is not empty; name another folder, or replace the data set in it with --force"),
    }
}
