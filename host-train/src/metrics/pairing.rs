//! Which prediction belongs to which ground truth, by the names of their files.
//!
//! The NIfTI files of two folders, those in folders below too, less images that lie beside their labels: see `labels_of`.
//! Files pair by what is left of their names without the words that say what they are (`owner`): `NAME_gt`, `NAME_seg`,
//! nnU-Net's `NAME_0000`, BIDS's `sub-01_dseg`. Several rules are tried, strict ones first (`Rule`), each on the files that
//! those before have left: the same name in the same folder; the same name in any; the folder's name, where files are called
//! alike in folders of patients; patient and phase, so that `patient001_ED` pairs with `patient001_frame01_gt`. Where a rule
//! gives a file more than one counterpart, both are named and nothing is compared.
//!
//! A name that ends in `_ED` or `_ES` says its phase. One that ends in `_frameNN` gets it from an `Info.cfg` beside it;
//! without one, of a patient's two frames the lower is end-diastole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::data::acdc::InfoCfg;
use crate::data::names::{Found, files_below, is_generic, is_label, is_series, owner, stem, without_channel};
use crate::data::nifti_volume::nifti_extension;
use crate::data::{DataError, Phase};

/// How many names a message lists of each side.
const LISTED: usize = 8;

/// Why files could not be paired.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// A folder could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A folder without volumes.
    #[error("{}: no label volumes; expected .nii or .nii.gz files in it or in folders below (PNG files are not compared)", .0.display())]
    Nothing(PathBuf),
    /// Two files for one volume.
    #[error("{} and {} both could belong to {}; keep one of them", first.display(), second.display(), whose.display())]
    Twice {
        /// A file.
        first: PathBuf,
        /// Another file of the same side.
        second: PathBuf,
        /// The file of the other side.
        whose: PathBuf,
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
    /// The ground truth's file name without extension, as the ACDC challenge names a volume; with its folder where that is a
    /// patient's and the name nobody's.
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

/// What two files must have in common to be a pair, strict rules first.
#[derive(Clone, Copy)]
enum Rule {
    /// Folder and name.
    Place,
    /// Folder and [`owner`].
    Owner,
    /// [`owner`], in whatever folders.
    Name,
    /// The folder of files that are called alike in folders of patients, or the name of a file elsewhere that is the folder's.
    Folder,
    /// Patient and phase.
    Phase,
}

impl Rule {
    const ALL: [Self; 5] = [Self::Place, Self::Owner, Self::Name, Self::Folder, Self::Phase];

    /// What counts of a file; `None` where it has nothing that this rule could be applied to.
    fn key(self, labels: &LabelFile) -> Option<String> {
        let LabelFile { found, key, patient, phase, .. } = labels;
        let folder = found.folder().to_string_lossy();
        let generic = is_generic(key);
        match self {
            Self::Place => Some(format!("{folder}/{}", stem(&found.path))),
            Self::Owner => Some(format!("{folder}/{}", if generic { "" } else { key })),
            Self::Name => (!generic).then(|| key.clone()),
            Self::Folder if generic => found.folder().file_name().map(|name| name.to_string_lossy().into_owned()),
            Self::Folder => Some(key.clone()),
            Self::Phase => (*phase != Phase::Unknown).then(|| format!("{patient} {phase}")),
        }
    }

    /// The places of those truths and predictions, of the ones that are still there, that this rule makes pairs.
    fn pairs(
        self,
        truths: &[Option<LabelFile>],
        predictions: &[Option<LabelFile>],
    ) -> Result<Vec<(usize, usize)>, PairingError> {
        let (of_truths, of_predictions) = (self.by_key(truths), self.by_key(predictions));
        let mut pairs = Vec::new();
        for (key, those) in &of_truths {
            match (&those[..], of_predictions.get(key).map_or(&[][..], Vec::as_slice)) {
                ([(truth, _)], [(prediction, _)]) => pairs.push((*truth, *prediction)),
                // Several on both sides: another rule may tell them apart.
                ([_, _, ..], [_, _, ..]) => {}
                ([(_, first), (_, second), ..], [(_, other), ..]) => return Err(twice([first, second], other)),
                ([(_, other), ..], [(_, first), (_, second), ..]) => return Err(twice([first, second], other)),
                _ => {}
            }
        }
        Ok(pairs)
    }

    fn by_key(self, files: &[Option<LabelFile>]) -> BTreeMap<String, Vec<(usize, &LabelFile)>> {
        let mut by_key: BTreeMap<String, Vec<(usize, &LabelFile)>> = BTreeMap::new();
        for (place, labels) in files.iter().enumerate() {
            let keyed = labels.as_ref().and_then(|labels| Some((self.key(labels)?, labels)));
            keyed.into_iter().for_each(|(key, labels)| by_key.entry(key).or_default().push((place, labels)));
        }
        by_key
    }
}

/// The pairs of two folders, by name with numbers in their natural order. Every file must have its counterpart.
pub fn pair_folders(truths: &Path, predictions: &Path) -> Result<Vec<Pair>, PairingError> {
    let files = |folder| Ok::<_, PairingError>(volumes(folder)?.into_iter().map(Some).collect::<Vec<_>>());
    let (mut truths, mut predictions) = (files(truths)?, files(predictions)?);
    let mut pairs = Vec::new();
    for rule in Rule::ALL {
        for (truth, prediction) in rule.pairs(&truths, &predictions)? {
            let both = truths[truth].take().zip(predictions[prediction].take());
            pairs.extend(both.map(|(truth, prediction)| Pair::of(truth, prediction)));
        }
    }
    let left = |files: Vec<Option<LabelFile>>| {
        let mut left: Vec<LabelFile> = files.into_iter().flatten().collect();
        left.sort_by_cached_key(|labels| natural(&labels.key));
        left.into_iter().map(|labels| labels.found.path).collect::<Vec<PathBuf>>()
    };
    let (truths, predictions) = (left(truths), left(predictions));
    if !(truths.is_empty() && predictions.is_empty()) {
        return Err(PairingError::LeftOver { truths, predictions });
    }
    pairs.sort_by_cached_key(|pair: &Pair| natural(&pair.name));
    Ok(pairs)
}

fn twice([first, second]: [&LabelFile; 2], whose: &LabelFile) -> PairingError {
    let [first, second, whose] = [first, second, whose].map(|labels| labels.found.path.clone());
    PairingError::Twice { first, second, whose }
}

impl Pair {
    /// The pair of two files that the user put together.
    pub fn of_files(truth: &Path, prediction: &Path) -> Self {
        Self::of(LabelFile::named(truth), LabelFile::named(prediction))
    }

    fn of(truth: LabelFile, prediction: LabelFile) -> Self {
        let name = stem(&truth.found.path);
        // What is called alike in many folders is named by them too.
        let name = if is_generic(&truth.key) { truth.found.folder().join(name).display().to_string() } else { name };
        Self {
            name,
            phase: if truth.phase == Phase::Unknown { prediction.phase } else { truth.phase },
            patient: truth.patient,
            truth: truth.found.path,
            prediction: prediction.found.path,
        }
    }
}

/// A file of labels, and what its name says.
struct LabelFile {
    found: Found,
    /// What is left of the name: [`owner`].
    key: String,
    patient: String,
    phase: Phase,
    frame: Option<u32>,
}

impl LabelFile {
    fn named(path: &Path) -> Self {
        Self::of(Found { relative: PathBuf::from(path.file_name().unwrap_or_default()), path: path.to_path_buf() })
    }

    fn of(found: Found) -> Self {
        let key = owner(&stem(&found.path));
        // In a folder of a patient's own, the phase alone may be the name.
        let (patient, last) = key.rsplit_once('_').unwrap_or(("", &key));
        let frame = last.strip_prefix("frame").and_then(|number| number.parse().ok());
        let phase = match last.to_ascii_lowercase().as_str() {
            "ed" => Phase::Ed,
            "es" => Phase::Es,
            _ => Phase::Unknown,
        };
        let patient = if phase == Phase::Unknown && frame.is_none() { key.as_str() } else { patient };
        let subject = patient.split('_').next().filter(|word| word.starts_with("sub-"));
        let patient = match found.folder().to_string_lossy() {
            folder if is_generic(patient) && !folder.is_empty() => folder.into_owned(),
            _ if patient.is_empty() => key.clone(),
            _ => subject.unwrap_or(patient).to_string(),
        };
        Self { patient, found, key, phase, frame }
    }
}

/// The label volumes of a folder, with their phases.
fn volumes(folder: &Path) -> Result<Vec<LabelFile>, PairingError> {
    let found = files_below(folder, |path| nifti_extension(path).is_some())?;
    let mut volumes: Vec<LabelFile> = labels_of(found).into_iter().map(LabelFile::of).collect();
    if volumes.is_empty() {
        return Err(PairingError::Nothing(folder.to_path_buf()));
    }
    find_phases(&mut volumes)?;
    Ok(volumes)
}

/// The files that may be labels. Left out are ACDC's series; what lies in other folders where some are named after labels
/// (`labelsTr`, `derivatives`), unless it is called labels itself; and in each folder the image of labels that lie beside it:
/// `NAME` beside `NAME_gt`, `NAME_0000` beside `NAME`, `image` beside `label`.
fn labels_of(mut found: Vec<Found>) -> Vec<Found> {
    found.retain(|file| !is_series(&stem(&file.path)));
    let says_so = |file: &Found| is_label(&stem(&file.path));
    if found.iter().any(Found::is_in_label_folder) {
        found.retain(|file| file.is_in_label_folder() || says_so(file));
    }
    /// How much a name says that it is of labels, of files of the same owner.
    fn rank(stem: &str) -> u8 {
        if is_label(stem) { 2 } else { u8::from(without_channel(stem) == stem) }
    }
    let place = |file: &Found| {
        let owner = owner(&stem(&file.path));
        (file.folder().to_path_buf(), if is_generic(&owner) { String::new() } else { owner })
    };
    let mut best: BTreeMap<(PathBuf, String), u8> = BTreeMap::new();
    for file in &found {
        let best = best.entry(place(file)).or_default();
        *best = rank(&stem(&file.path)).max(*best);
    }
    found.retain(|file| best.get(&place(file)).is_none_or(|&best| rank(&stem(&file.path)) == best));
    found
}

/// Gives volumes that are named by their frames their phases.
fn find_phases(volumes: &mut [LabelFile]) -> Result<(), DataError> {
    let mut frames: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut in_folder: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for labels in volumes.iter() {
        if let Some(frame) = labels.frame {
            frames.entry(labels.patient.clone()).or_default().insert(frame);
        }
        let folder = labels.found.path.with_file_name("Info.cfg");
        in_folder.entry(folder).or_default().insert(labels.patient.clone());
    }
    // An `Info.cfg` among the files of several patients would say nothing of most of them.
    in_folder.retain(|info, patients| patients.len() == 1 && info.is_file());
    for labels in volumes {
        let Some(frame) = labels.frame else { continue };
        let info = labels.found.path.with_file_name("Info.cfg");
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

    /// The labels among these files.
    fn labels(files: &[&str]) -> Vec<String> {
        let found = files.iter().map(|name| Found { relative: name.into(), path: name.into() }).collect();
        labels_of(found).into_iter().map(|file| file.relative.display().to_string()).collect()
    }

    #[test]
    fn images_beside_their_labels_are_left_out() {
        assert_eq!(labels(&["p/p_4d.nii", "p/p_frame01.nii", "p/p_frame01_gt.nii.gz"]), ["p/p_frame01_gt.nii.gz"]);
        assert_eq!(labels(&["imagesTr/a_0000.nii", "labelsTr/a.nii"]), ["labelsTr/a.nii"]);
        assert_eq!(labels(&["a_0000.nii", "a.nii", "b.nii"]), ["a.nii", "b.nii"]);
        assert_eq!(labels(&["a/image.nii", "a/label.nii", "b/seg.nii"]), ["a/label.nii", "b/seg.nii"]);
        assert_eq!(
            labels(&["sub-1/sub-1_T1w.nii", "derivatives/sub-1/sub-1_dseg.nii"]),
            ["derivatives/sub-1/sub-1_dseg.nii"]
        );
        assert_eq!(labels(&["sub-1/sub-1_T1w.nii", "sub-1/sub-1_dseg.nii"]), ["sub-1/sub-1_dseg.nii"]);
        assert_eq!(labels(&["a_0000.nii", "b_0000.nii"]), ["a_0000.nii", "b_0000.nii"], "nothing else to take");
    }

    #[test]
    fn a_name_says_patient_and_phase_or_frame() {
        let ed = |key: &str| (key.to_string(), "patient001".to_string(), Phase::Ed, None);
        assert_eq!(named("gt/patient001_ED.nii.gz"), ed("patient001_ED"));
        assert_eq!(named("patient001_ed_seg.nii"), ed("patient001_ed"));
        let frame = ("patient001_frame12".to_string(), "patient001".to_string(), Phase::Unknown, Some(12));
        assert_eq!(named("patient001_frame12_gt.nii.gz"), frame);
        assert_eq!(named("sub-01_ses-2_dseg.nii.gz").1, "sub-01");
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
