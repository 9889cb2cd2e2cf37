//! Making a data set: patients in parallel, written beside the destination and renamed when complete.

use std::fs;
use std::path::Path;

use indicatif::ProgressStyle;
use rayon::prelude::*;

use super::intensity::to_levels;
use super::manifest::{FORMAT_VERSION, MANIFEST_FILE};
use super::{DataError, Manifest, Phase, SliceRecord, Split, SplitRule, png_tree};
use crate::io::whole::replace_folder;

/// How far an import is, for people to watch; `Progress::hidden()` shows nothing.
pub use indicatif::ProgressBar as Progress;

/// The manifest's note on intensities.
const INTENSITY: &str = "16-bit, linear per volume: negative values to 0, the maximum to 65535; times \
                         intensity_per_level gives the source's value";

/// Geometry and split of an import.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// In-plane spacing in mm; `None` keeps the source's.
    pub spacing_mm: Option<f32>,
    /// Height and width of the output in pixels.
    pub size: usize,
    /// How patients are assigned to splits.
    pub split: SplitRule,
    /// Whether a data set that is already there may be replaced.
    pub force: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { spacing_mm: Some(1.5), size: 128, split: SplitRule::Auto, force: false }
    }
}

impl ImportOptions {
    /// Checks the geometry.
    pub fn check(&self) -> Result<(), DataError> {
        if !(32..=512).contains(&self.size) || !self.size.is_power_of_two() {
            let reason = format!("{} pixels; expected 32, 64, 128, 256 or 512, which the transforms need", self.size);
            return Err(DataError::Option { option: "--size", reason });
        }
        match self.spacing_mm {
            Some(mm) if !(0.1..=20.0).contains(&mm) => {
                let reason = format!("{mm} mm; expected 0.1 to 20 mm, or `native`");
                Err(DataError::Option { option: "--spacing", reason })
            }
            _ => Ok(()),
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

/// A progress bar over patients, with rate and time left; the import sets its length.
pub fn progress_bar(message: &'static str) -> Progress {
    let style = ProgressStyle::with_template("{msg} [{bar:32}] {pos}/{len} patients, {per_sec}, {eta} left");
    let bar = Progress::new(0).with_message(message);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Prepares every patient by `prepare`, in parallel, and writes the data set `dst`, `source` being where they come from and
/// whether they have masks; on failure nothing is left behind.
pub fn write_dataset<T: Sync>(
    dst: &Path,
    (source, masks): (&str, bool),
    options: &ImportOptions,
    patients: &[T],
    bar: &Progress,
    prepare: impl Fn(&T) -> Result<PreparedPatient, DataError> + Sync,
) -> Result<Manifest, DataError> {
    check_destination(dst, options.force)?;
    replace_folder(
        dst,
        |error| DataError::io(dst, "write")(error),
        |new| {
            let write = |patient: &T| {
                let records = write_patient(new, &prepare(patient)?, options.size)?;
                bar.inc(1);
                Ok(records)
            };
            let records: Vec<Vec<SliceRecord>> = patients.par_iter().map(write).collect::<Result<_, DataError>>()?;
            let mut slices: Vec<SliceRecord> = records.into_iter().flatten().collect();
            slices.sort_by(|a, b| (&a.patient, a.slice).cmp(&(&b.patient, b.slice)));
            let manifest = Manifest {
                format_version: FORMAT_VERSION,
                source: source.to_string(),
                size: [options.size as u32; 2],
                spacing_mm: shared_spacing(&slices),
                axes: None,
                intensity: INTENSITY.to_string(),
                masks,
                slices,
            };
            manifest.write(new)?;
            Ok(manifest)
        },
    )
}

fn shared_spacing(slices: &[SliceRecord]) -> Option<[f32; 2]> {
    let in_plane = |record: &SliceRecord| [record.spacing_mm[0], record.spacing_mm[1]];
    let first = in_plane(slices.first()?);
    slices.iter().all(|record| in_plane(record) == first).then_some(first)
}

fn write_patient(root: &Path, patient: &PreparedPatient, size: usize) -> Result<Vec<SliceRecord>, DataError> {
    let folder = root.join(&patient.name);
    let (images, labels) = (folder.join("images"), folder.join("labels"));
    let has_masks = patient.volumes.iter().any(|volume| !volume.labels.is_empty());
    for path in [&images, &labels].into_iter().take(1 + usize::from(has_masks)) {
        fs::create_dir_all(path).map_err(DataError::io(path, "make the folder"))?;
    }
    let mut records = Vec::new();
    for volume in &patient.volumes {
        let (pictures, level) = to_levels(&volume.images).ok_or_else(|| DataError::Blank { path: folder.clone() })?;
        for (i, (levels, &z)) in pictures.into_iter().zip(&volume.z).enumerate() {
            let slice = records.len() as u32;
            png_tree::write_image(&images.join(format!("{slice}.png")), size, size, levels)?;
            if let Some(label) = volume.labels.get(i) {
                png_tree::write_label(&labels.join(format!("{slice}.png")), size, size, label.clone())?;
            }
            records.push(SliceRecord {
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
    }
    Ok(records)
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
