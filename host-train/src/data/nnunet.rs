//! nnU-Net's layout: `imagesTr/NAME_0000.nii.gz`, `labelsTr/NAME.nii.gz`, and `dataset.json` where it is there.
//!
//! A name such as `patient001_frame01` or `patient001_ED` is a frame of a patient; any other name is a patient of its own. Of
//! a patient's two frames the first is end-diastole, unless the LV is larger in the second.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::CLASS_NAMES;
use super::acdc::{acdc_number, dropped};
use super::folder::{stem, visible};
use super::formats::Format;
use super::import::{ImportOptions, Imported, Progress};
use super::nifti_import::{self, Scan, Subject};
use super::{DataError, Phase};
use crate::shown::shown;

/// nnU-Net's layout.
pub const FORMAT: Format = Format {
    name: "nnunet",
    about: "imagesTr/NAME_0000.nii.gz and labelsTr/NAME.nii.gz, classes 0 to 3: background, RV, myocardium, LV",
    is_certain: is_layout,
    import,
};

const LAYOUT: &str = "imagesTr/NAME_0000.nii.gz and, if there are masks, labelsTr/NAME.nii.gz";

/// Whether a folder has the layout.
pub fn is_layout(src: &Path) -> bool {
    src.join("imagesTr").is_dir()
}

/// Imports `src` into the data set `dst`. Cases without a label are left out, unless no case has one: then the data set has
/// no masks.
///
/// # Errors
/// [`DataError`] names the file or option.
pub fn import(src: &Path, dst: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<Imported, DataError> {
    options.check()?;
    let folder = src.join("imagesTr");
    if !folder.is_dir() {
        return Err(DataError::MissingFolder {
            path: folder,
            hint: "nnU-Net's layout has its images there; name the folder that holds imagesTr and labelsTr",
        });
    }
    check_description(&src.join("dataset.json"))?;
    let images = cases(&folder, "_0000")?;
    let labels = src.join("labelsTr");
    let labels = if labels.is_dir() { cases(&labels, "")? } else { BTreeMap::new() };
    if images.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    if let Some((name, label)) = labels.iter().find(|(name, _)| !images.contains_key(*name)) {
        let image = folder.join(format!("{name}_0000.nii.gz"));
        return Err(DataError::LabelWithoutImage { label: label.clone(), image });
    }
    let mut left_out = Vec::new();
    let mut subjects = Vec::new();
    let mut notes = Vec::new();
    let patients = by_patient(&images, &folder)?;
    let numbers: BTreeSet<u32> = patients.keys().filter_map(|name| acdc_number(name)).collect();
    let acdc = is_acdc(src, &numbers);
    for (name, frames) in patients {
        if let Some(reason) = dropped(&name, |number| numbers.contains(&number)).filter(|_| !options.keep_all) {
            if acdc {
                left_out.push((name, reason.to_string()));
                continue;
            }
            notes.push(format!("{name}: kept, as nothing says that this is ACDC; of ACDC's it would be {reason}"));
        }
        let mut scans = Vec::new();
        for (phase, case) in frames.in_phases {
            match labels.get(&case) {
                None if !labels.is_empty() => left_out.push((case, "no label in labelsTr".to_string())),
                label => scans.push(Scan { phase, image: images[&case].clone(), label: label.cloned() }),
            }
        }
        if !scans.is_empty() {
            let phases_by_order = frames.by_order;
            subjects.push(Subject { name, group: String::new(), scans, phases_by_order });
        }
    }
    if subjects.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    let imported = nifti_import::import(dst, "nnunet", &subjects, options, progress)?;
    notes.extend(imported.notes);
    Ok(Imported { dropped: left_out, notes, ..imported })
}

/// Whether the patients are evidently ACDC's: the folder's name or `dataset.json` says so, or that has the names which nnU-Net
/// gives ACDC's classes, or all of the training set are there.
fn is_acdc(src: &Path, numbers: &BTreeSet<u32>) -> bool {
    let name = src.canonicalize().unwrap_or_else(|_| src.to_path_buf());
    let name = name.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let description = fs::read(src.join("dataset.json")).unwrap_or_default();
    let description = String::from_utf8_lossy(&description).to_ascii_lowercase();
    let classes = ["\"rv\"", "\"mlv\"", "\"lvc\""].iter().all(|class| description.contains(class));
    name.contains("acdc")
        || description.contains("acdc")
        || classes
        || (1..=100).all(|number| numbers.contains(&number))
}

/// The volumes of a folder by case, whose names end in `channel`.
fn cases(folder: &Path, channel: &str) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut found = BTreeMap::new();
    for (path, name) in visible(folder)? {
        let Some(stem) = stem(&name, "nii.gz").or_else(|| stem(&name, "nii")).filter(|_| path.is_file()) else {
            continue;
        };
        let Some(case) = stem.strip_suffix(channel).filter(|case| !case.is_empty()) else {
            let reason =
                format!("expected a name like patient001_frame01{channel}.nii.gz: images of one channel, 0000");
            return Err(DataError::Layout { path, reason });
        };
        if let Some(other) = found.insert(case.to_string(), path.clone()) {
            let reason = format!("is there twice, also as {}; which one is it?", other.display());
            return Err(DataError::Layout { path, reason });
        }
    }
    Ok(found)
}

/// A patient's cases, end-diastole first.
struct Frames {
    in_phases: Vec<(Phase, String)>,
    /// Whether the phases are known by the order of frames alone.
    by_order: bool,
}

/// What a case's name says beside the patient's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Frame {
    Nothing,
    Number(u32),
    Phase(Phase),
}

fn by_patient(images: &BTreeMap<String, PathBuf>, folder: &Path) -> Result<BTreeMap<String, Frames>, DataError> {
    let mut patients: BTreeMap<String, Vec<(Frame, String)>> = BTreeMap::new();
    for case in images.keys() {
        let (patient, frame) = split_name(case);
        patients.entry(patient.to_string()).or_default().push((frame, case.clone()));
    }
    let in_phases = |(patient, mut cases): (String, Vec<(Frame, String)>)| {
        cases.sort();
        let frames: Vec<Frame> = cases.iter().map(|(frame, _)| *frame).collect();
        let phases = match frames[..] {
            [Frame::Phase(phase)] => vec![phase],
            [_] => vec![Phase::Unknown],
            [Frame::Phase(Phase::Ed), Frame::Phase(Phase::Es)] => vec![Phase::Ed, Phase::Es],
            [Frame::Number(a), Frame::Number(b)] if a != b => vec![Phase::Ed, Phase::Es],
            _ => {
                let names: Vec<&str> = cases.iter().map(|(_, case)| case.as_str()).take(4).collect();
                let more = if cases.len() > names.len() { ", ..." } else { "" };
                let reason = format!(
                    "{} volumes of {patient} ({}{more}); expected one, or end-diastole and end-systole, as of \
                     {patient}_frame01 and {patient}_frame12",
                    cases.len(),
                    names.join(", ")
                );
                return Err(DataError::Layout { path: folder.to_path_buf(), reason });
            }
        };
        let by_order = matches!(frames[..], [Frame::Number(_), Frame::Number(_)]);
        let in_phases = phases.into_iter().zip(cases).map(|(phase, (_, case))| (phase, case)).collect();
        Ok((patient, Frames { in_phases, by_order }))
    };
    patients.into_iter().map(in_phases).collect()
}

/// What stands between the parts of a name.
const SEPARATORS: [char; 3] = ['_', '-', '.'];

/// The patient's name in a case's, and what else it says. Whatever follows `patient001_`, it is the same patient, who must not
/// be in two splits.
fn split_name(case: &str) -> (&str, Frame) {
    let (patient, frame) = patient_and_frame(case);
    let acdc = case.split(SEPARATORS).next().filter(|start| is_acdc_name(start));
    (acdc.unwrap_or(patient), frame)
}

fn patient_and_frame(case: &str) -> (&str, Frame) {
    let before = |length: usize| {
        let head = case.get(..case.len() - length)?;
        let patient = head.trim_end_matches(SEPARATORS);
        (patient.len() < head.len() && !patient.is_empty()).then_some(patient)
    };
    let lower = case.to_ascii_lowercase();
    for (word, phase) in [("ed", Phase::Ed), ("es", Phase::Es)] {
        if let Some(patient) = before(word.len()).filter(|_| lower.ends_with(word)) {
            return (patient, Frame::Phase(phase));
        }
    }
    let digits = lower.len() - lower.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    if let Ok(number) = lower[lower.len() - digits..].parse() {
        let head = lower[..lower.len() - digits].trim_end_matches(SEPARATORS);
        let word = ["frame", "phase", "fr"].into_iter().find(|word| head.ends_with(word));
        let patient = word.and_then(|word| before(lower.len() - head.len() + word.len()));
        // `patient001_01` too is a frame of patient001.
        let acdc = || before(digits).filter(|patient| is_acdc_name(patient));
        if let Some(patient) = patient.or_else(acdc) {
            return (patient, Frame::Number(number));
        }
    }
    (case, Frame::Nothing)
}

/// Whether a name is `patient` and a number.
fn is_acdc_name(name: &str) -> bool {
    let number = name.to_ascii_lowercase().strip_prefix("patient").map(str::to_string);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
}

/// Refuses a description, where there is one, of several channels or of other classes.
fn check_description(path: &Path) -> Result<(), DataError> {
    if !path.is_file() {
        return Ok(());
    }
    let wrong = |reason: String| DataError::Layout { path: path.to_path_buf(), reason };
    let bytes = fs::read(path).map_err(DataError::io(path, "read"))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let description: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| wrong(format!("is no valid JSON: {error}")))?;
    let channels = ["channel_names", "modality"].into_iter().find_map(|key| description[key].as_object());
    if let Some(channels) = channels.filter(|channels| channels.len() > 1) {
        return Err(wrong(format!("images of {} channels; expected one", channels.len())));
    }
    for (key, value) in description["labels"].as_object().into_iter().flatten() {
        // The second version has names and numbers, the first numbers and names.
        let (name, number) = match (value.as_str(), value.as_u64()) {
            (Some(name), _) if key.parse::<u64>().is_ok() => (name, key.parse().ok()),
            (Some(text), _) => (key.as_str(), text.parse().ok()),
            (None, number) => (key.as_str(), number),
        };
        if let (Some(class), Some(number)) = (class_of(name), number)
            && class != number
        {
            let expected: Vec<String> =
                CLASS_NAMES.iter().enumerate().map(|(class, name)| format!("{class} {name}")).collect();
            let reason =
                format!("labels {} as {number}; expected {}: renumber the labels", shown(name), expected.join(", "));
            return Err(wrong(reason));
        }
    }
    Ok(())
}

/// The class that a label's name means, where it is known.
fn class_of(name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    let means = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if means(&["background"]) => Some(0),
        () if means(&["myo", "mlv", "lvm"]) => Some(2),
        () if means(&["rv", "right ventric"]) => Some(1),
        () if means(&["lv", "left ventric"]) => Some(3),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_patient_and_frame() {
        let number = Frame::Number;
        let (ed, es) = (Frame::Phase(Phase::Ed), Frame::Phase(Phase::Es));
        for (case, expected) in [
            ("patient001_frame01", ("patient001", number(1))),
            ("patient001_frame12", ("patient001", number(12))),
            ("Patient001_Frame12", ("Patient001", number(12))),
            ("patient001_01", ("patient001", number(1))),
            ("sub-01_frame-07", ("sub-01", number(7))),
            ("A0S9V9_ED", ("A0S9V9", ed)),
            ("patient001_es", ("patient001", es)),
            ("patient001-sax-ED", ("patient001", ed)),
            ("heart-sax-ED", ("heart-sax", ed)),
            ("case_0005", ("case_0005", Frame::Nothing)),
            ("case_00005_t1", ("case_00005_t1", Frame::Nothing)),
            ("patient001_t1", ("patient001", Frame::Nothing)),
            ("patient001", ("patient001", Frame::Nothing)),
            ("frame01", ("frame01", Frame::Nothing)),
            ("_frame01", ("_frame01", Frame::Nothing)),
            ("medved", ("medved", Frame::Nothing)),
            ("x_frame99999999999", ("x_frame99999999999", Frame::Nothing)),
            ("h\u{e9}ros_ED", ("h\u{e9}ros", ed)),
            ("\u{e9}", ("\u{e9}", Frame::Nothing)),
        ] {
            assert_eq!(split_name(case), expected, "{case}");
        }
    }

    type Cases = Vec<(Phase, String)>;

    fn patients(cases: &[&str]) -> Result<Vec<(String, Cases)>, String> {
        let images = cases.iter().map(|case| (case.to_string(), PathBuf::from(case))).collect();
        let found = by_patient(&images, Path::new("imagesTr")).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|(patient, frames)| (patient, frames.in_phases)).collect())
    }

    #[test]
    fn two_frames_are_the_two_phases_in_their_order() {
        let found = patients(&["p1_frame10", "p1_frame9", "p2_ES", "p2_ED", "p3_frame04", "p4"]).unwrap();
        let (ed, es, unknown) = (Phase::Ed, Phase::Es, Phase::Unknown);
        let of = |patient: &str, cases: &[(Phase, &str)]| {
            (patient.to_string(), cases.iter().map(|(phase, case)| (*phase, case.to_string())).collect::<Vec<_>>())
        };
        assert_eq!(
            found,
            [
                of("p1", &[(ed, "p1_frame9"), (es, "p1_frame10")]),
                of("p2", &[(ed, "p2_ED"), (es, "p2_ES")]),
                of("p3", &[(unknown, "p3_frame04")]),
                of("p4", &[(unknown, "p4")]),
            ]
        );
    }

    #[test]
    fn frames_that_are_not_two_phases_are_refused() {
        for cases in [
            &["p1_frame1", "p1_frame2", "p1_frame3"][..],
            &["p1_frame1", "p1_frame01"],
            &["p1_ED", "p1_frame01"],
            &["patient001_a", "patient001_b"],
        ] {
            let error = patients(cases).unwrap_err();
            assert!(error.contains(&format!("{} volumes of p", cases.len())) && error.contains(cases[0]), "{error}");
        }
    }

    #[test]
    fn class_names_are_understood() {
        for (name, class) in [
            ("background", Some(0)),
            ("RV", Some(1)),
            ("MLV", Some(2)),
            ("LVC", Some(3)),
            ("Myocardium", Some(2)),
            ("LV-Myo", Some(2)),
            ("left ventricle", Some(3)),
            ("right ventricular cavity", Some(1)),
            ("left atrium", None),
            ("scar", None),
        ] {
            assert_eq!(class_of(name), class, "{name}");
        }
    }
}
