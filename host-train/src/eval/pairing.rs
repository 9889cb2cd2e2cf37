//! Which prediction belongs to which ground truth, by the names of their files.
//!
//! A folder's NIfTI files count, and those one folder down, as in ACDC's `patientNNN/patientNNN_frameNN_gt.nii.gz`. A name
//! is read without its extension and without a last `_gt`, `_seg` or `_pred`; a file `NAME` beside a `NAME_gt` (or `_seg`,
//! `_pred`) is the image itself and left alone, as are ACDC's `_4d` series. Files pair by name; where names differ, by
//! patient and phase, so that `patient001_ED` pairs with `patient001_frame01_gt`.
//!
//! A name that ends in `_ED` or `_ES` says its phase. One that ends in `_frameNN` gets it from an `Info.cfg` beside it;
//! without one, of a patient's two frames the lower is end-diastole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::acdc::InfoCfg;
use crate::data::nifti_volume::nifti_extension;
use crate::data::{DataError, Phase};

/// Last parts of a name that say what a file is, not whose it is.
const ROLES: [&str; 3] = ["_gt", "_seg", "_pred"];
/// How many names a message lists of each side.
const LISTED: usize = 8;

/// Why files could not be paired.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// A folder could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A folder without volumes.
    #[error("{}: no label volumes; expected .nii or .nii.gz files in it or one folder down", .0.display())]
    Nothing(PathBuf),
    /// Two files for one volume.
    #[error("{} and {} both are {name}; keep one of them", first.display(), second.display())]
    Twice {
        /// The volume.
        name: String,
        /// A file.
        first: PathBuf,
        /// Another file.
        second: PathBuf,
    },
    /// Files that have no counterpart.
    #[error("{}", left_over(truths, predictions))]
    LeftOver {
        /// Ground truths without prediction.
        truths: Vec<PathBuf>,
        /// Predictions without ground truth.
        predictions: Vec<PathBuf>,
    },
}

fn left_over(truths: &[PathBuf], predictions: &[PathBuf]) -> String {
    let list = |what: &str, paths: &[PathBuf]| {
        let names: Vec<String> = paths.iter().take(LISTED).map(|path| path.display().to_string()).collect();
        let more = paths.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!paths.is_empty()).then(|| format!("{} {what}: {}{more}", paths.len(), names.join(", ")))
    };
    let both = [list("without a prediction", truths), list("without a ground truth", predictions)];
    let text = both.into_iter().flatten().collect::<Vec<_>>().join("; ");
    format!("{text}; remove or rename them, so that every file has its counterpart")
}

/// A prediction with its ground truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The ground truth's file name up to its first dot, as the ACDC challenge names a volume.
    pub name: String,
    /// The patient.
    pub patient: String,
    /// The phase of the cycle.
    pub phase: Phase,
    /// The ground truth.
    pub truth: PathBuf,
    /// The prediction.
    pub prediction: PathBuf,
}

/// The pairs of two folders, by name with numbers in their natural order. Every file must have its counterpart.
pub fn pair_folders(truths: &Path, predictions: &Path) -> Result<Vec<Pair>, PairingError> {
    let (truths, mut predictions) = (volumes(truths)?, volumes(predictions)?);
    let (mut pairs, mut unpaired) = (Vec::new(), Vec::new());
    for truth in truths {
        match predictions.iter().position(|prediction| prediction.key == truth.key) {
            Some(index) => pairs.push((truth, predictions.swap_remove(index))),
            None => unpaired.push(truth),
        }
    }
    let mut without_prediction = Vec::new();
    for truth in unpaired {
        let same = |other: &LabelFile| other.phase == truth.phase && other.patient == truth.patient;
        match predictions.iter().position(|other| truth.phase != Phase::Unknown && same(other)) {
            Some(index) => pairs.push((truth, predictions.swap_remove(index))),
            None => without_prediction.push(truth),
        }
    }
    if !(without_prediction.is_empty() && predictions.is_empty()) {
        let paths = |mut left: Vec<LabelFile>| {
            left.sort_by_cached_key(|labels| natural(&labels.key));
            left.into_iter().map(|labels| labels.path).collect()
        };
        return Err(PairingError::LeftOver { truths: paths(without_prediction), predictions: paths(predictions) });
    }
    let mut pairs: Vec<Pair> = pairs.into_iter().map(|(truth, prediction)| Pair::of(truth, prediction)).collect();
    pairs.sort_by_cached_key(|pair| natural(&pair.name));
    Ok(pairs)
}

impl Pair {
    /// The pair of two files that the user put together.
    pub fn of_files(truth: &Path, prediction: &Path) -> Self {
        Self::of(LabelFile::named(truth), LabelFile::named(prediction))
    }

    fn of(truth: LabelFile, prediction: LabelFile) -> Self {
        let name = truth.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            name: name.split('.').next().unwrap_or_default().to_string(),
            phase: if truth.phase == Phase::Unknown { prediction.phase } else { truth.phase },
            patient: truth.patient,
            truth: truth.path,
            prediction: prediction.path,
        }
    }
}

/// A file of labels, and what its name says.
struct LabelFile {
    path: PathBuf,
    /// The name without extension and role.
    key: String,
    patient: String,
    phase: Phase,
    frame: Option<u32>,
}

impl LabelFile {
    fn named(path: &Path) -> Self {
        let stem = stem(path);
        let key = without_role(&stem).to_string();
        let (patient, phase, frame) = match key.rsplit_once('_') {
            Some((patient, last)) if last.eq_ignore_ascii_case("ED") => (patient, Phase::Ed, None),
            Some((patient, last)) if last.eq_ignore_ascii_case("ES") => (patient, Phase::Es, None),
            Some((patient, last)) => match last.strip_prefix("frame").and_then(|number| number.parse().ok()) {
                Some(frame) => (patient, Phase::Unknown, Some(frame)),
                None => (key.as_str(), Phase::Unknown, None),
            },
            None => (key.as_str(), Phase::Unknown, None),
        };
        Self { path: path.to_path_buf(), patient: patient.to_string(), key, phase, frame }
    }
}

fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = nifti_extension(path).map_or(0, |extension| extension.len() + 1);
    name[..name.len() - extension].to_string()
}

fn without_role(stem: &str) -> &str {
    ROLES.iter().find_map(|role| stem.strip_suffix(role)).unwrap_or(stem)
}

/// The label volumes of a folder, with their phases.
fn volumes(folder: &Path) -> Result<Vec<LabelFile>, PairingError> {
    let mut found: Vec<LabelFile> = Vec::new();
    let mut inside = label_files(folder)?;
    for below in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        inside.extend(label_files(&below)?);
    }
    inside.sort();
    for path in inside {
        let labels = LabelFile::named(&path);
        if let Some(other) = found.iter().find(|other| other.key == labels.key) {
            return Err(PairingError::Twice { name: labels.key, first: other.path.clone(), second: path });
        }
        found.push(labels);
    }
    if found.is_empty() {
        return Err(PairingError::Nothing(folder.to_path_buf()));
    }
    find_phases(&mut found)?;
    Ok(found)
}

/// The files in one folder that may be labels: volumes, less those that are the image of another one.
fn label_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = entries(folder)?;
    files.retain(|path| path.is_file() && nifti_extension(path).is_some());
    let stems: BTreeSet<String> = files.iter().map(|path| stem(path)).collect();
    let is_image = |stem: &str| ROLES.iter().any(|role| stems.contains(&format!("{stem}{role}")));
    files.retain(|path| !stem(path).ends_with("_4d") && !is_image(&stem(path)));
    Ok(files)
}

/// What a folder holds, hidden entries aside.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder, "list"))? {
        let entry = entry.map_err(DataError::io(folder, "list"))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Gives volumes that are named by their frames their phases.
fn find_phases(volumes: &mut [LabelFile]) -> Result<(), DataError> {
    let mut frames: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut in_folder: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for labels in volumes.iter() {
        if let Some(frame) = labels.frame {
            frames.entry(labels.patient.clone()).or_default().insert(frame);
        }
        let folder = labels.path.with_file_name("Info.cfg");
        in_folder.entry(folder).or_default().insert(labels.patient.clone());
    }
    // An `Info.cfg` among the files of several patients would say nothing of most of them.
    in_folder.retain(|info, patients| patients.len() == 1 && info.is_file());
    for labels in volumes {
        let Some(frame) = labels.frame else { continue };
        let info = labels.path.with_file_name("Info.cfg");
        let [diastole, systole] = if in_folder.contains_key(&info) {
            let info = InfoCfg::read(&info)?;
            [Some(info.end_diastole), Some(info.end_systole)]
        } else {
            let frames = &frames[&labels.patient];
            if frames.len() == 2 { [frames.first().copied(), frames.last().copied()] } else { [None; 2] }
        };
        labels.phase = match Some(frame) {
            frame if frame == diastole => Phase::Ed,
            frame if frame == systole => Phase::Es,
            _ => Phase::Unknown,
        };
    }
    Ok(())
}

/// A name as texts and numbers, so that `patient2` comes before `patient10`.
fn natural(name: &str) -> Vec<(String, u128)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for c in name.chars() {
        match parts.last_mut() {
            Some((_, digits)) if c.is_ascii_digit() => digits.push(c),
            Some((text, digits)) if digits.is_empty() => text.push(c),
            _ if c.is_ascii_digit() => parts.push((String::new(), c.to_string())),
            _ => parts.push((c.to_string(), String::new())),
        }
    }
    parts.into_iter().map(|(text, digits)| (text, digits.parse().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> (String, String, Phase, Option<u32>) {
        let labels = LabelFile::named(Path::new(name));
        (labels.key, labels.patient, labels.phase, labels.frame)
    }

    #[test]
    fn a_name_says_patient_and_phase_or_frame() {
        let ed = |key: &str| (key.to_string(), "patient001".to_string(), Phase::Ed, None);
        assert_eq!(named("gt/patient001_ED.nii.gz"), ed("patient001_ED"));
        assert_eq!(named("patient001_ed_seg.nii"), ed("patient001_ed"));
        let frame = ("patient001_frame12".to_string(), "patient001".to_string(), Phase::Unknown, Some(12));
        assert_eq!(named("patient001_frame12_gt.nii.gz"), frame);
        let other = |name: &str| (name.to_string(), name.to_string(), Phase::Unknown, None);
        assert_eq!(named("heart_7.nii.gz"), other("heart_7"));
        assert_eq!(named("heart.nii"), other("heart"));
    }

    #[test]
    fn numbers_in_names_sort_by_their_size() {
        let mut names = ["patient10_ED", "patient9_ES", "patient9_ED", "patient010_ES"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["patient9_ED", "patient9_ES", "patient10_ED", "patient010_ES"]);
    }

    #[test]
    fn a_long_list_of_left_overs_is_cut_and_counted() {
        let truths: Vec<PathBuf> = (0..11).map(|n| PathBuf::from(format!("t{n}.nii"))).collect();
        let text = PairingError::LeftOver { truths, predictions: vec!["p.nii".into()] }.to_string();
        assert!(text.starts_with("11 without a prediction: t0.nii, "), "{text}");
        assert!(text.contains("t7.nii and 3 more; 1 without a ground truth: p.nii;"), "{text}");
        assert!(!text.contains("t8.nii"), "{text}");
    }
}
