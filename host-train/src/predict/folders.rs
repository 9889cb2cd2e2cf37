//! Which files are segmented, and what their results are called: those of folders too.
//!
//! Of a folder these are its images, also those in folders below: every volume that is not of labels by its name or its
//! folder's, as [`names`](crate::data::names) has it, no series of ACDC's, and no further channel of nnU-Net's; where there
//! are none, its pictures likewise. nnU-Net's `NAME_0000` is called `NAME`. Results go into one folder where the names differ,
//! else into folders like those of the images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::input::{InputError, is_image, is_png, name_of};
use crate::data::names::{Found, files_below, is_label, is_series, stem, without_channel};

/// A file to be segmented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The file.
    pub path: PathBuf,
    /// By what its results are named, in the folder of results; with `/` in folders below.
    pub name: String,
}

/// What there is to do.
#[derive(Debug, Default)]
pub struct Tasks {
    /// The files, in the order that they were named, those of a folder by name.
    pub tasks: Vec<Task>,
    /// What a user should know of a folder, a sentence each.
    pub notes: Vec<(PathBuf, String)>,
}

/// The files of these arguments, each a file or a folder; results that lie in `out` already are no images.
pub fn gather(arguments: &[PathBuf], out: &Path) -> Result<Tasks, InputError> {
    let mut all = Tasks::default();
    for path in arguments {
        if path.is_dir() {
            of_folder(path, out, &mut all)?;
        } else if path.exists() {
            all.tasks.push(Task { path: path.clone(), name: name_of(path)? });
        } else {
            return Err(InputError::Gone(path.clone()));
        }
    }
    let mut names: BTreeMap<(&str, bool), &Path> = BTreeMap::new();
    for Task { path, name } in &all.tasks {
        // What is named alike would be written to one file; a volume's results are other files than a picture's.
        if let Some(other) = names.insert((name, is_png(path)), path) {
            let (first, second, name) = (other.to_path_buf(), path.clone(), name.clone());
            return Err(InputError::Twice { first, second, name });
        }
    }
    Ok(all)
}

fn of_folder(folder: &Path, out: &Path, all: &mut Tasks) -> Result<(), InputError> {
    let mut found = files_below(folder, is_image)?;
    if let Ok(out) = out.canonicalize()
        && folder.canonicalize().is_ok_and(|folder| out != folder)
    {
        found.retain(|file| file.path.canonicalize().map_or(true, |path| !path.starts_with(&out)));
    }
    if found.iter().any(|file| !is_png(&file.path)) {
        let is_picture = |file: &&Found| is_png(&file.path) && !is_of_labels(file);
        let left_out = match found.iter().filter(is_picture).count() {
            0 => None,
            1 => Some("1 picture beside volumes is left out; name it to segment it too".to_string()),
            count => Some(format!("{count} pictures beside volumes are left out; name them to segment them too")),
        };
        all.notes.extend(left_out.map(|note| (folder.to_path_buf(), note)));
        found.retain(|file| !is_png(&file.path));
    }
    let total = found.len();
    found.retain(|file| !is_of_labels(file));
    let labels = total - found.len();
    let channels = further_channels(&found);
    found.retain(|file| !channels.contains(&file.path));
    if found.is_empty() {
        return Err(InputError::NoImages { path: folder.to_path_buf(), labels });
    }
    if !channels.is_empty() {
        let files = match channels.len() {
            1 => "1 file is a further channel".to_string(),
            count => format!("{count} files are further channels"),
        };
        let note = format!("{files} (NAME_0001, ...); only the first is segmented");
        all.notes.push((folder.to_path_buf(), note));
    }
    let numbered = numbered(&found);
    let name = |file: &Found| {
        let stem = stem(&file.path);
        if numbered.contains(file.folder()) { stem } else { without_channel(&stem).to_string() }
    };
    let names: BTreeSet<String> = found.iter().map(name).collect();
    let differ = names.len() == found.len();
    all.tasks.extend(found.iter().map(|file| {
        let name = name(file);
        let deep = file.folder().join(&name).to_string_lossy().into_owned();
        Task { path: file.path.clone(), name: if differ { name } else { deep } }
    }));
    Ok(())
}

/// Whether a file holds labels, or was made of one that does, by its names.
fn is_of_labels(file: &Found) -> bool {
    let stem = stem(&file.path);
    let is_drawn = |name: &str| name.ends_with("_overlay");
    let drawn = is_drawn(&stem) || file.folder().iter().any(|name| is_drawn(&name.to_string_lossy()));
    drawn || is_label(&stem) || is_series(&stem) || file.is_in_label_folder()
}

/// A name's last number, as nnU-Net writes a channel's, and what is before it.
fn channel(file: &Found) -> Option<(PathBuf, u32)> {
    let stem = stem(&file.path);
    let (name, number) = stem.rsplit_once('_')?;
    let is_channel = number.len() == 4 && number.bytes().all(|digit| digit.is_ascii_digit());
    Some((file.folder().join(name), is_channel.then(|| number.parse().ok())??))
}

/// nnU-Net's images of another channel than the first: in its folders alone, as elsewhere `NAME_0001` is the second of many.
fn further_channels(found: &[Found]) -> BTreeSet<PathBuf> {
    let first: BTreeSet<PathBuf> =
        found.iter().filter_map(channel).filter(|(_, number)| *number == 0).map(|(name, _)| name).collect();
    let is_nnunet = |folder: &Path| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        ["imagestr", "imagests", "imagesval"].contains(&name.as_str())
    };
    // A folder may be named by `.`, which is no name.
    let is_in_nnunet =
        |folder: &Path| is_nnunet(folder) || folder.canonicalize().is_ok_and(|folder| is_nnunet(&folder));
    let is_further = |file: &&Found| {
        let further = channel(file).is_some_and(|(name, number)| number > 0 && first.contains(&name));
        further && file.path.parent().is_some_and(is_in_nnunet)
    };
    found.iter().filter(is_further).map(|file| file.path.clone()).collect()
}

/// Folders whose images are numbered, `NAME_0000` being the first of several and no channel.
fn numbered(found: &[Found]) -> BTreeSet<PathBuf> {
    let later = found.iter().filter(|file| channel(file).is_some_and(|(_, number)| number > 0));
    later.map(|file| file.folder().to_path_buf()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is gathered from a folder with these files.
    fn gathered(files: &[&str], out: &str) -> Result<Vec<(String, String)>, String> {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().to_owned();
        for file in files {
            fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            fs::write(folder.join(file), "").unwrap();
        }
        let tasks = gather(std::slice::from_ref(&folder), &folder.join(out));
        let relative = |path: &Path| path.strip_prefix(&folder).unwrap().display().to_string();
        let pair = |task: Task| (relative(&task.path), task.name);
        tasks.map(|tasks| tasks.tasks.into_iter().map(pair).collect()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn gives(files: &[&str], expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(path, name)| (path.to_string(), name.to_string())).collect();
        assert_eq!(gathered(files, "out"), Ok(expected));
    }

    #[test]
    fn images_of_the_usual_layouts() {
        gives(
            &[
                "patient001/Info.cfg",
                "patient001/patient001_4d.nii.gz",
                "patient001/patient001_frame01.nii.gz",
                "patient001/patient001_frame01_gt.nii.gz",
                "patient002/patient002_frame12.nii",
            ],
            &[
                ("patient001/patient001_frame01.nii.gz", "patient001_frame01"),
                ("patient002/patient002_frame12.nii", "patient002_frame12"),
            ],
        );
        gives(
            &[
                "imagesTr/a_0000.nii.gz",
                "imagesTr/b_0000.nii.gz",
                "imagesTr/b_0001.nii.gz",
                "labelsTr/a.nii.gz",
                "dataset.json",
            ],
            &[("imagesTr/a_0000.nii.gz", "a"), ("imagesTr/b_0000.nii.gz", "b")],
        );
        gives(
            &[
                "sub-01/anat/sub-01_T1w.nii.gz",
                "sub-02/anat/sub-02_T1w.nii.gz",
                "derivatives/manual/sub-01/anat/sub-01_dseg.nii.gz",
            ],
            &[("sub-01/anat/sub-01_T1w.nii.gz", "sub-01_T1w"), ("sub-02/anat/sub-02_T1w.nii.gz", "sub-02_T1w")],
        );
        gives(
            &["a/image.nii.gz", "a/label.nii.gz", "b/image.nii.gz", "out/a/image_seg.nii.gz", ".hidden.nii"],
            &[("a/image.nii.gz", "a/image"), ("b/image.nii.gz", "b/image")],
        );
    }

    #[test]
    fn numbered_images_are_all_taken() {
        gives(
            &["heart_0000.nii", "heart_0001.nii"],
            &[("heart_0000.nii", "heart_0000"), ("heart_0001.nii", "heart_0001")],
        );
    }

    #[test]
    fn pictures_are_taken_where_there_are_no_volumes() {
        gives(&["a.nii", "a.png"], &[("a.nii", "a")]);
        gives(
            &["p/images/0.png", "p/labels/0.png", "q/images/0.png", "q/0_overlay.png"],
            &[("p/images/0.png", "p/images/0"), ("q/images/0.png", "q/images/0")],
        );
    }

    /// What is gathered of `arguments`, in a folder with these files: names, and what is said.
    fn named(files: &[&str], arguments: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().to_owned();
        for file in files {
            fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            fs::write(folder.join(file), "").unwrap();
        }
        let arguments: Vec<PathBuf> = arguments.iter().map(|name| folder.join(name)).collect();
        let found = gather(&arguments, &folder.join("out"));
        let words = |tasks: Tasks| {
            let names = tasks.tasks.into_iter().map(|task| task.name).collect();
            (names, tasks.notes.into_iter().map(|(_, note)| note).collect())
        };
        found.map(words).map_err(|error| error.to_string())
    }

    #[test]
    fn a_folder_of_nnunet_is_one_however_it_is_named() {
        let files = ["imagesTs/a_0000.nii", "imagesTs/a_0001.nii", "imagesTs/below/x.txt"];
        for folder in ["imagesTs", "imagesTs/.", "imagesTs/below/.."] {
            let (names, notes) = named(&files, &[folder]).unwrap();
            assert_eq!(names, ["a"], "{folder}");
            assert_eq!(notes, ["1 file is a further channel (NAME_0001, ...); only the first is segmented"]);
        }
    }

    #[test]
    fn a_volume_and_a_picture_of_one_name_have_two_results() {
        let (names, _) = named(&["a.nii", "a.png"], &["a.nii", "a.png"]).unwrap();
        assert_eq!(names, ["a", "a"]);
        let error = named(&["a.png", "b/a.png"], &["a.png", "b/a.png"]).unwrap_err();
        assert!(error.contains("both would become a_seg"), "{error}");
    }

    #[test]
    fn pictures_beside_volumes_are_told() {
        let said = |files: &[&str]| named(files, &["."]).unwrap().1;
        assert_eq!(said(&["a.nii", "a.png"]), ["1 picture beside volumes is left out; name it to segment it too"]);
        let two = ["a.nii", "a.png", "b.png", "a_seg.png", "a_overlay/0.png"];
        assert_eq!(said(&two), ["2 pictures beside volumes are left out; name them to segment them too"]);
        assert_eq!(said(&["a.nii", "a_overlay/0.png"]), [""; 0]);
    }

    #[test]
    fn a_folder_without_images_and_names_that_collide() {
        let error = gathered(&["a_gt.nii", "labelsTr/b.nii", "notes.txt"], "out").unwrap_err();
        assert!(error.contains("no images") && error.contains("2 files of labels"), "{error}");
        let error = gathered(&["a.nii", "a.nii.gz"], "out").unwrap_err();
        assert!(error.contains("a.nii.gz") && error.contains("both would become a_seg"), "{error}");
    }
}
