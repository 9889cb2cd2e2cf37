//! The ACDC challenge's training set (O. Bernard et al., IEEE TMI 37(11), 2018): a folder a patient with `Info.cfg` and,
//! for end-diastole and end-systole, a volume and its label as NIfTI.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::folder::{patient_folders, stem, visible};
use super::formats::Format;
use super::import::{ImportOptions, Imported, Progress};
use super::nifti_import::{self, Scan, Subject};
use super::{DataError, Phase};

pub use super::info_cfg::InfoCfg;

/// Patients of the training set that an import leaves out, and why.
pub const DROPPED: [(u32, &str); 2] = [
    (76, "the same scan as patient074, with another observer's labels"),
    (55, "the same scan as patient118 of the official test set"),
];

/// ACDC's own layout.
pub const FORMAT: Format = Format {
    name: "acdc",
    about: "patientNNN/patientNNN_frameNN.nii.gz, ..._gt.nii.gz and Info.cfg; or nnU-Net's layout, where SRC has it",
    is_certain: |_| false,
    import,
};

const LAYOUT: &str = "patientNNN folders with Info.cfg, patientNNN_frameNN.nii.gz and patientNNN_frameNN_gt.nii.gz, or the \
                      folders imagesTr and labelsTr of nnU-Net; for PNG files give --format png";

/// The groups of ACDC's patients.
const GROUPS: [&str; 5] = ["NOR", "MINF", "DCM", "HCM", "RV"];

/// Why a patient of ACDC is left out, by the name `patient` and three digits, if [`DROPPED`] says so. `has` says which other
/// patients are there: a scan is a double only beside its other.
pub(super) fn dropped(patient: &str, has: impl Fn(u32) -> bool) -> Option<&'static str> {
    let number = acdc_number(patient)?;
    let (_, reason) = DROPPED.iter().find(|(dropped, _)| number == *dropped)?;
    (number != 76 || has(74)).then_some(reason)
}

/// The number of a patient that is named as ACDC names its own: `patient` and three digits.
pub(super) fn acdc_number(patient: &str) -> Option<u32> {
    let lower = patient.to_ascii_lowercase();
    let digits = lower.strip_prefix("patient")?;
    let are_three = digits.len() == 3 && digits.bytes().all(|c| c.is_ascii_digit());
    digits.parse().ok().filter(|_| are_three)
}

/// Imports the patients below `src` into the data set `dst`.
///
/// # Errors
/// [`DataError`] names the file, key or option.
pub fn import(src: &Path, dst: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<Imported, DataError> {
    options.check()?;
    let (mut subjects, mut left_out) = (Vec::new(), Vec::new());
    let folders = patient_folders(src, LAYOUT, |folder| info_file(folder).is_file())?;
    let numbers: BTreeSet<u32> = folders.iter().filter_map(|(_, name)| acdc_number(name)).collect();
    for (folder, name) in folders {
        match dropped(&name, |number| numbers.contains(&number)) {
            Some(reason) if !options.keep_all && is_of_acdc(&folder) => left_out.push((name, reason.to_string())),
            _ => subjects.push(subject(&folder, name)?),
        }
    }
    if subjects.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    let imported = nifti_import::import(dst, "acdc", &subjects, options, progress)?;
    Ok(Imported { dropped: left_out, ..imported })
}

/// Whether a patient may be one of ACDC's: not where `Info.cfg` says a group that ACDC does not have.
fn is_of_acdc(folder: &Path) -> bool {
    let other =
        |info: InfoCfg| !info.group.is_empty() && !GROUPS.iter().any(|own| info.group.eq_ignore_ascii_case(own));
    !InfoCfg::read(&info_file(folder)).is_ok_and(other)
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
    fn only_acdc_s_own_names_are_left_out_and_doubles_only_beside_each_other() {
        let left_out = |name: &str| dropped(name, |number| number == 74).is_some();
        assert!(left_out("patient076") && left_out("Patient055"));
        for other in
            ["patient075", "patient76", "patient0076", "case_076", "subpatient076", "patient", "patient0\u{663}6"]
        {
            assert!(!left_out(other), "{other}");
        }
        assert!(dropped("patient076", |_| false).is_none() && dropped("patient055", |_| false).is_some());
    }
}
