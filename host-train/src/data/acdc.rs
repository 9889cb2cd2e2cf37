//! The ACDC challenge's training set (O. Bernard et al., IEEE TMI 37(11), 2018): a folder a patient with `Info.cfg` and,
//! for end-diastole and end-systole, a volume and its label as NIfTI.

use std::fs;
use std::path::{Path, PathBuf};

use super::import::{ImportOptions, PreparedPatient, PreparedVolume, Progress, write_dataset};
use super::nifti_volume::NiftiVolume;
use super::png_tree::patient_folders;
use super::resample::Resampler;
use super::split::patient_number;
use super::{DataError, Manifest, Phase};

/// Patients of the training set that an import leaves out, and why.
pub const DROPPED: [(u32, &str); 2] = [
    (76, "the same scan as patient074, with another observer's labels"),
    (55, "the same scan as patient118 of the official test set"),
];

const LAYOUT: &str = "patientNNN folders with Info.cfg, patientNNN_frameNN.nii.gz and patientNNN_frameNN_gt.nii.gz";

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// The manifest as written.
    pub manifest: Manifest,
    /// Patients left out, each with the reason.
    pub dropped: Vec<(String, &'static str)>,
}

type Patients = (Vec<PathBuf>, Vec<(String, &'static str)>);

/// The patient folders of `src` in order, and those that [`DROPPED`] leaves out.
fn find_patients(src: &Path) -> Result<Patients, DataError> {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (folder, name) in patient_folders(src, LAYOUT)? {
        match DROPPED.iter().find(|(number, _)| patient_number(&name) == Some(*number)) {
            Some((_, reason)) => dropped.push((name, *reason)),
            None => kept.push(folder),
        }
    }
    Ok((kept, dropped))
}

/// Imports the patients below `src` into the data set `dst`. The bar's length is set here.
pub fn import(src: &Path, dst: &Path, options: &ImportOptions, bar: &Progress) -> Result<Imported, DataError> {
    options.check()?;
    let (patients, dropped) = find_patients(src)?;
    if patients.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    bar.set_length(patients.len() as u64);
    let manifest = write_dataset(dst, ("acdc", true), options, &patients, bar, |folder| prepare(folder, options))?;
    Ok(Imported { manifest, dropped })
}

/// The keys of `Info.cfg` that are used.
pub struct InfoCfg {
    /// The frame of end-diastole.
    pub end_diastole: u32,
    /// The frame of end-systole.
    pub end_systole: u32,
    /// The diagnosis, or empty.
    pub group: String,
}

impl InfoCfg {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = fs::read_to_string(path).map_err(DataError::io(path, "read"))?;
        let bad = |key, reason: String| DataError::InfoCfg { path: path.to_path_buf(), key, reason };
        let value = |key: &'static str| {
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            pairs.map(|(k, v)| (k.trim(), v.trim())).find(|(k, _)| *k == key).map(|(_, v)| v)
        };
        let frame = |key: &'static str| {
            let text = value(key).ok_or_else(|| bad(key, "missing; expected a frame number".to_string()))?;
            text.parse().map_err(|_| bad(key, format!("`{text}` is not a frame number")))
        };
        Ok(Self {
            end_diastole: frame("ED")?,
            end_systole: frame("ES")?,
            group: value("Group").unwrap_or_default().to_string(),
        })
    }
}

fn prepare(folder: &Path, options: &ImportOptions) -> Result<PreparedPatient, DataError> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let info = InfoCfg::read(&folder.join("Info.cfg"))?;
    check_pairs(folder)?;
    let mut volumes = Vec::new();
    for (phase, frame) in [(Phase::Ed, info.end_diastole), (Phase::Es, info.end_systole)] {
        let image = existing(folder.join(format!("{name}_frame{frame:02}.nii.gz")));
        let label = existing(folder.join(format!("{name}_frame{frame:02}_gt.nii.gz")));
        if !image.is_file() && label.is_file() {
            return Err(DataError::LabelWithoutImage { label, image });
        }
        if image.is_file() && !label.is_file() {
            return Err(DataError::ImageWithoutLabel { image, label });
        }
        volumes.push(prepare_volume(&image, &label, phase, options)?);
    }
    let split = options.split.split_of(&name);
    Ok(PreparedPatient { name, group: info.group, split, volumes })
}

/// Every label of the folder needs its image, also one that `Info.cfg` does not name: it says that a file got lost.
fn check_pairs(folder: &Path) -> Result<(), DataError> {
    for entry in fs::read_dir(folder).map_err(DataError::io(folder, "list"))? {
        let label = entry.map_err(DataError::io(folder, "list"))?.path();
        let Some(name) = label.file_name().and_then(|n| n.to_str()) else { continue };
        if name.ends_with("_gt.nii.gz") || name.ends_with("_gt.nii") {
            let image = existing(label.with_file_name(name.replace("_gt.nii", ".nii")));
            if !image.is_file() {
                return Err(DataError::LabelWithoutImage { label, image });
            }
        }
    }
    Ok(())
}

/// The path itself, or the file beside it with or without compression where only that exists.
fn existing(path: PathBuf) -> PathBuf {
    let compressed = path.extension().is_some_and(|e| e == "gz");
    let other = if compressed { path.with_extension("") } else { path.with_extension("nii.gz") };
    if !path.exists() && other.exists() { other } else { path }
}

fn prepare_volume(
    image_path: &Path,
    label_path: &Path,
    phase: Phase,
    options: &ImportOptions,
) -> Result<PreparedVolume, DataError> {
    let image = NiftiVolume::read(image_path)?;
    let label = NiftiVolume::read(label_path)?;
    if image.dim != label.dim {
        return Err(DataError::Shape {
            path: label_path.to_path_buf(),
            found: label.shape(),
            other: image_path.to_path_buf(),
            expected: image.shape(),
        });
    }
    if let Some(index) = image.voxels.iter().position(|v| !v.is_finite()) {
        let (path, value) = (image_path.to_path_buf(), image.voxels[index]);
        return Err(DataError::NotFinite { path, value, position: image.position(index) });
    }
    if image.voxels.iter().all(|v| *v <= 0.0) {
        return Err(DataError::Blank { path: image_path.to_path_buf() });
    }
    let classes = label.classes(label_path)?;
    let [nx, ny, nz] = image.dim;
    let [sx, sy, sz] = image.spacing_mm;
    let resampler = Resampler::new([nx, ny], [sx, sy], options.spacing_mm, options.size);
    Ok(PreparedVolume {
        phase,
        spacing_mm: [options.spacing_mm.unwrap_or(sx), options.spacing_mm.unwrap_or(sy), sz],
        z: (0..nz as u32).collect(),
        images: (0..nz).map(|z| resampler.image(image.plane(z))).collect(),
        labels: classes.chunks_exact(nx * ny).map(|plane| resampler.label(plane)).collect(),
    })
}
