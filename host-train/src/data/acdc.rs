//! The ACDC challenge's training set (O. Bernard et al., IEEE TMI 37(11), 2018): a folder a patient with `Info.cfg` and,
//! for end-diastole and end-systole, a volume and its label as NIfTI.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::folder::{patient_folders, stem, visible};
use super::import::{ImportOptions, Imported, Progress};
use super::nifti_import::{self, Scan, Subject};
use super::split::patient_number;
use super::{DataError, Phase};

pub use super::info_cfg::InfoCfg;

/// Patients of the training set that an import leaves out, and why.
pub const DROPPED: [(u32, &str); 2] = [
    (76, "the same scan as patient074, with another observer's labels"),
    (55, "the same scan as patient118 of the official test set"),
];

const LAYOUT: &str = "patientNNN folders with Info.cfg, patientNNN_frameNN.nii.gz and patientNNN_frameNN_gt.nii.gz, or the \
                      folders imagesTr and labelsTr of nnU-Net";

/// Why a patient is left out, if [`DROPPED`] says so.
pub(super) fn dropped(patient: &str) -> Option<&'static str> {
    let number = patient.to_ascii_lowercase().strip_prefix("patient").and_then(patient_number);
    DROPPED.iter().find(|(dropped, _)| number == Some(*dropped)).map(|(_, reason)| *reason)
}

/// Imports the patients below `src` into the data set `dst`. The bar's length is set here.
///
/// # Errors
/// [`DataError`] names the file, key or option.
pub fn import(src: &Path, dst: &Path, options: &ImportOptions, bar: &Progress) -> Result<Imported, DataError> {
    options.check()?;
    let (mut subjects, mut left_out) = (Vec::new(), Vec::new());
    for (folder, name) in patient_folders(src, LAYOUT, |folder| info_file(folder).is_file())? {
        match dropped(&name) {
            Some(reason) => left_out.push((name, reason.to_string())),
            None => subjects.push(subject(&folder, name)?),
        }
    }
    if subjects.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    let imported = nifti_import::import(dst, ("acdc", true), &subjects, options, bar)?;
    Ok(Imported { dropped: left_out, ..imported })
}

/// The folder's `Info.cfg`, in whatever letters.
fn info_file(folder: &Path) -> PathBuf {
    let files = visible(folder).unwrap_or_default();
    let found = files.into_iter().find(|(_, name)| name.eq_ignore_ascii_case("Info.cfg"));
    found.map_or_else(|| folder.join("Info.cfg"), |(path, _)| path)
}

/// A patient's frames: images and labels by frame.
#[derive(Default)]
struct Frames {
    images: BTreeMap<u32, PathBuf>,
    labels: BTreeMap<u32, PathBuf>,
}

impl Frames {
    /// The files `NAME_frameNN.nii.gz` and `NAME_frameNN_gt.nii.gz` of a folder, also uncompressed.
    fn of(folder: &Path, patient: &str) -> Result<Self, DataError> {
        let mut frames = Self::default();
        for (path, name) in visible(folder)? {
            let Some((frame, is_label)) = frame_of(&name, patient).filter(|_| path.is_file()) else { continue };
            let files = if is_label { &mut frames.labels } else { &mut frames.images };
            // A name comes before its compressed form, which is the one that counts where both are there.
            if let Some(other) = files.insert(frame, path.clone())
                && uncompressed(&other) != uncompressed(&path)
            {
                let reason = format!("frame {frame} is there twice, also as {}; which one is it?", other.display());
                return Err(DataError::Layout { path, reason });
            }
        }
        Ok(frames)
    }
}

/// A path in small letters without the ending of compressed files.
fn uncompressed(path: &Path) -> String {
    let name = path.to_string_lossy().to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).to_string()
}

/// The frame that a file's name says, and whether it is a label: `patient001_frame01_gt.nii.gz`.
fn frame_of(name: &str, patient: &str) -> Option<(u32, bool)> {
    let name = stem(name, "nii.gz").or_else(|| stem(name, "nii"))?.to_ascii_lowercase();
    let frame = name.strip_prefix(&patient.to_ascii_lowercase())?.strip_prefix("_frame")?;
    let (frame, is_label) = frame.strip_suffix("_gt").map_or((frame, false), |frame| (frame, true));
    let digits = frame.bytes().all(|c| c.is_ascii_digit());
    frame.parse().ok().filter(|_| digits).map(|frame| (frame, is_label))
}

/// A patient's files, by what `Info.cfg` says.
fn subject(folder: &Path, name: String) -> Result<Subject, DataError> {
    let path = info_file(folder);
    let info = InfoCfg::read(&path)?;
    let mut frames = Frames::of(folder, &name)?;
    let expected = |frame: u32, end: &str| folder.join(format!("{name}_frame{frame:02}{end}.nii.gz"));
    // Also a label that `Info.cfg` does not name needs its image: it says that a file got lost.
    if let Some((frame, label)) = frames.labels.iter().find(|(frame, _)| !frames.images.contains_key(frame)) {
        return Err(DataError::LabelWithoutImage { label: label.clone(), image: expected(*frame, "") });
    }
    let mut scans = Vec::new();
    for (key, phase, frame) in [("ED", Phase::Ed, info.end_diastole), ("ES", Phase::Es, info.end_systole)] {
        let Some(image) = frames.images.remove(&frame) else {
            let reason = format!("is frame {frame}, and there is no {}", expected(frame, "").display());
            return Err(DataError::InfoCfg { path, key, reason });
        };
        let Some(label) = frames.labels.remove(&frame) else {
            return Err(DataError::ImageWithoutLabel { image, label: expected(frame, "_gt") });
        };
        scans.push(Scan { phase, image, label: Some(label) });
    }
    Ok(Subject { name, group: info.group, scans, phases_by_order: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_known_by_their_names() {
        for (name, expected) in [
            ("patient001_frame01.nii.gz", Some((1, false))),
            ("patient001_frame01_gt.nii.gz", Some((1, true))),
            ("PATIENT001_Frame12_GT.NII.GZ", Some((12, true))),
            ("patient001_frame3.nii", Some((3, false))),
            ("patient001_4d.nii.gz", None),
            ("patient001_frame01_seg.nii.gz", None),
            ("patient002_frame01.nii.gz", None),
            ("patient001_frame+1.nii.gz", None),
            ("patient001_frame.nii.gz", None),
            ("patient001_frame99999999999.nii.gz", None),
            ("patient001_frame01.png", None),
        ] {
            assert_eq!(frame_of(name, "patient001"), expected, "{name}");
        }
    }

    #[test]
    fn only_acdc_s_own_names_are_left_out() {
        assert!(dropped("patient076").is_some() && dropped("Patient055").is_some());
        assert!(dropped("patient075").is_none() && dropped("case_76").is_none() && dropped("patient").is_none());
    }
}
