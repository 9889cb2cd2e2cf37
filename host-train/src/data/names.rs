//! What the names of files say: which are images and which labels, and whose they are.
//!
//! Known are the ways in which data sets are usually laid out: ACDC's (`NAME.nii.gz`, `NAME_gt.nii.gz`, series `NAME_4d`),
//! nnU-Net's (`imagesTr/NAME_0000.nii.gz`, `labelsTr/NAME.nii.gz`), BIDS (`sub-01/anat/sub-01_T1w.nii.gz`,
//! `derivatives/.../sub-01_dseg.nii.gz`), and plain folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use super::nifti_volume::nifti_extension;

/// Last words of a name that say that a file holds labels, after `_`, `-` or `.`.
const ROLES: [&str; 14] = [
    "gt",
    "seg",
    "pred",
    "label",
    "labels",
    "mask",
    "masks",
    "dseg",
    "segmentation",
    "prediction",
    "predictions",
    "groundtruth",
    "truth",
    "manual",
];
/// Beginnings of the names of folders that hold labels.
const LABEL_FOLDERS: [&str; 7] = ["labels", "label", "masks", "mask", "gt", "segmentations", "derivatives"];
/// Names that are no patient's, in folders that are.
const GENERIC: [&str; 8] = ["image", "img", "images", "volume", "vol", "scan", "data", "mri"];
/// How deep folders are searched.
const DEPTH: usize = 8;

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is, from the folder on.
    pub relative: PathBuf,
    /// The whole path.
    pub path: PathBuf,
}

impl Found {
    /// The folder that it lies in, from the folder that was searched on.
    pub fn folder(&self) -> &Path {
        self.relative.parent().unwrap_or(Path::new(""))
    }

    /// Whether one of the folders below the searched one holds labels by its name: `labelsTr`, `derivatives`, `masks`.
    pub fn is_in_label_folder(&self) -> bool {
        let is_label = |name: &str| {
            let letters = name.to_ascii_lowercase();
            let nnunet = ["labelstr", "labelsts", "labelsval"].contains(&letters.as_str());
            nnunet || LABEL_FOLDERS.contains(&letters.as_str())
        };
        self.folder().iter().any(|name| name.to_str().is_some_and(is_label))
    }
}

/// The files below a folder that `wanted` says, by path. Hidden files and folders are left out.
pub fn files_below(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<Found>, DataError> {
    let mut found = Vec::new();
    // Folders may be links to those above them.
    let mut seen = BTreeSet::new();
    let mut folders = vec![(folder.to_path_buf(), PathBuf::new(), 0)];
    while let Some((here, relative, depth)) = folders.pop() {
        let real = here.canonicalize().map_err(DataError::io(&here, "list"))?;
        if !seen.insert(real) {
            continue;
        }
        for entry in fs::read_dir(&here).map_err(DataError::io(&here, "list"))? {
            let entry = entry.map_err(DataError::io(&here, "list"))?;
            let (path, name) = (entry.path(), entry.file_name());
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let relative = relative.join(&name);
            if path.is_dir() && depth < DEPTH {
                folders.push((path, relative, depth + 1));
            } else if path.is_file() && wanted(&path) {
                found.push(Found { relative, path });
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file's name without the extension of a volume or picture.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let picture = path.extension().filter(|extension| extension.eq_ignore_ascii_case("png")).map(|_| "png");
    let extension = nifti_extension(path).or(picture).map_or(0, |extension| extension.len() + 1);
    name[..name.len() - extension].to_string()
}

/// A name without the words that say that it is of labels; the whole name where there are none, and nothing where there is
/// nothing else.
pub fn without_roles(stem: &str) -> &str {
    let mut rest = stem;
    loop {
        let begin = rest.rfind(['_', '-', '.']).map_or(0, |at| at + 1);
        if !ROLES.contains(&rest[begin..].to_ascii_lowercase().as_str()) {
            return rest;
        }
        rest = &rest[..begin.saturating_sub(1)];
    }
}

/// Whether a name says that it is of labels.
pub fn is_label(stem: &str) -> bool {
    without_roles(stem).len() < stem.len()
}

/// A name without nnU-Net's number of the first channel.
pub fn without_channel(stem: &str) -> &str {
    stem.strip_suffix("_0000").filter(|rest| !rest.is_empty()).unwrap_or(stem)
}

/// Whether it is ACDC's series of all frames.
pub fn is_series(stem: &str) -> bool {
    stem.ends_with("_4d")
}

/// What is left of a name when everything is taken away that says what kind of file it is: roles, nnU-Net's channel, and of
/// BIDS names (`sub-01_ses-2_T1w`) the last word and `desc-`, `label-` and `res-`.
pub fn owner(stem: &str) -> String {
    let rest = without_channel(without_roles(without_channel(stem)));
    if !rest.starts_with("sub-") {
        return rest.to_string();
    }
    let is_kind = |word: &&str| ["desc-", "label-", "res-"].iter().any(|kind| word.starts_with(kind));
    let words: Vec<&str> = rest.split('_').filter(|word| word.contains('-') && !is_kind(word)).collect();
    words.join("_")
}

/// Whether a name without roles is no patient's, but what any patient's image could be called.
pub fn is_generic(owner: &str) -> bool {
    owner.is_empty() || GENERIC.contains(&owner.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_a_name_without_extension() {
        let stems = ["a/b.c_gt.nii.gz", "b.NII", "c.PNG", "d.txt", "e.nii.gz.nii"].map(|name| stem(Path::new(name)));
        assert_eq!(stems, ["b.c_gt", "b", "c", "d.txt", "e.nii.gz"]);
    }

    #[test]
    fn roles_are_last_words() {
        for (name, rest) in [
            ("heart_gt", "heart"),
            ("heart_seg_pred", "heart"),
            ("heart-label", "heart"),
            ("heart.seg", "heart"),
            ("heart_GT", "heart"),
            ("label", ""),
            ("heart", "heart"),
            ("segheart", "segheart"),
            ("gt_heart", "gt_heart"),
            ("sub-01_label-LV_mask", "sub-01_label-LV"),
        ] {
            assert_eq!(without_roles(name), rest, "{name}");
            assert_eq!(is_label(name), rest != name, "{name}");
        }
    }

    #[test]
    fn an_owner_is_what_is_left() {
        for (name, left) in [
            ("patient001_frame01_0000", "patient001_frame01"),
            ("patient001_frame01_0000_seg", "patient001_frame01"),
            ("patient001_frame01_gt", "patient001_frame01"),
            ("heart_0001", "heart_0001"),
            ("_0000", "_0000"),
            ("sub-01_ses-2_T1w", "sub-01_ses-2"),
            ("sub-01_ses-2_desc-manual_label-LV_dseg", "sub-01_ses-2"),
            ("sub-01_run-3_bold_seg", "sub-01_run-3"),
            ("sub-01", "sub-01"),
        ] {
            assert_eq!(owner(name), left, "{name}");
        }
    }
}
