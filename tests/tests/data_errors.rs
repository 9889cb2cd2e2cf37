//! Bad data is named, and leaves everything as it was.

use std::fs;
use std::path::{Path, PathBuf};

use kscout::data::import::ImportOptions;
use kscout::data::{DataError, Dataset, Info, acdc, png_tree};
use kscout_tests::acdc_tree::{Volume, file, image, write_patient};

const SIZE: usize = 32;

struct Sandbox {
    tmp: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        write_patient(&tmp.path().join("src"), "patient001", "NOR");
        write_patient(&tmp.path().join("src"), "patient002", "DCM");
        Self { tmp }
    }

    fn src(&self) -> PathBuf {
        self.tmp.path().join("src")
    }

    fn dst(&self) -> PathBuf {
        self.tmp.path().join("out/dst")
    }

    fn nifti(&self, frame: u32, truth: bool) -> PathBuf {
        self.src().join("patient002").join(file("patient002", frame, truth))
    }

    fn import(&self) -> Result<(), DataError> {
        self.import_with(false)
    }

    fn import_with(&self, force: bool) -> Result<(), DataError> {
        let options = ImportOptions { size: SIZE, force, ..ImportOptions::default() };
        acdc::import(&self.src(), &self.dst(), &options, &()).map(|_| ())
    }

    /// Imports, expects a failure that leaves nothing behind, and returns its words.
    fn failure(&self) -> String {
        let error = self.import().unwrap_err().to_string();
        assert!(!self.tmp.path().join("out").exists(), "a failed import left something behind");
        error
    }
}

#[track_caller]
fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "`{error}` does not say `{word}`");
    }
}

#[test]
fn a_missing_source_folder() {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.src()).unwrap();
    assert_says(&sandbox.failure(), &["src", "no such folder"]);
}

#[test]
fn a_source_without_patients() {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.src()).unwrap();
    fs::create_dir_all(sandbox.src().join("notes")).unwrap();
    assert_says(&sandbox.failure(), &["src", "no slices found", "patientNNN"]);
}

#[test]
fn a_volume_that_is_cut_off() {
    let sandbox = Sandbox::new();
    let bytes = image().bytes();
    fs::write(sandbox.nifti(9, false), &bytes[..bytes.len() - 7]).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame09.nii", "cut off"]);
    fs::write(sandbox.nifti(9, false), &bytes[..100]).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame09.nii", "cut off"]);
}

#[test]
fn a_compressed_volume_that_is_cut_off() {
    let sandbox = Sandbox::new();
    let plain = sandbox.nifti(9, false);
    fs::remove_file(&plain).unwrap();
    // A gzip header and a stored block that promises 5000 bytes and ends after 1000.
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(5000u16.to_le_bytes());
    bytes.extend((!5000u16).to_le_bytes());
    bytes.extend(&image().bytes()[..1000]);
    fs::write(plain.with_extension("nii.gz"), &bytes).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame09.nii.gz", "cut off"]);
}

#[test]
fn a_file_that_is_no_volume() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.nifti(9, false), vec![b'x'; 4000]).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame09.nii", "not a readable NIfTI volume"]);
}

#[test]
fn an_image_without_label_and_a_label_without_image() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.nifti(1, true)).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame01.nii: image without label", "patient002_frame01_gt.nii"]);
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.nifti(1, false)).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame01_gt.nii: label without image"]);
}

#[test]
fn a_label_value_above_three() {
    let sandbox = Sandbox::new();
    let bad = Volume::new([40, 32, 2], |x, y, z| if (x, y, z) == (11, 5, 1) { 4.0 } else { 0.0 });
    fs::write(sandbox.nifti(1, true), bad.bytes()).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame01_gt.nii", "label value 4", "x=11, y=5, z=1", "0 to 3"]);
}

#[test]
fn a_label_of_another_shape() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.nifti(1, true), Volume::new([40, 30, 2], |_, _, _| 0.0).bytes()).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame01_gt.nii", "40x30x2", "40x32x2"]);
}

#[test]
fn an_intensity_that_is_not_finite() {
    let sandbox = Sandbox::new();
    let bad = Volume::new([40, 32, 2], |x, y, z| if (x, y, z) == (3, 7, 0) { f32::NAN } else { 1.0 });
    fs::write(sandbox.nifti(9, false), bad.bytes()).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame09.nii", "NaN", "x=3, y=7, z=0"]);
}

#[test]
fn an_image_that_shows_nothing() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.nifti(9, false), Volume::new([40, 32, 2], |_, _, _| 0.0).bytes()).unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame09.nii", "no intensity above zero"]);
}

#[test]
fn an_info_file_that_is_missing_or_incomplete() {
    let sandbox = Sandbox::new();
    let info = sandbox.src().join("patient002/Info.cfg");
    fs::write(&info, "ED: 1\nGroup: NOR\n").unwrap();
    assert_says(&sandbox.failure(), &["Info.cfg", "key ES", "missing"]);
    fs::write(&info, "ED: first\nES: 9\n").unwrap();
    assert_says(&sandbox.failure(), &["Info.cfg", "key ED", "`first`"]);
    fs::remove_file(&info).unwrap();
    assert_says(&sandbox.failure(), &["patient002", "Info.cfg", "cannot read"]);
}

#[test]
fn a_frame_that_info_names_and_nobody_has() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.src().join("patient002/Info.cfg"), "ED: 1\nES: 12\n").unwrap();
    assert_says(&sandbox.failure(), &["patient002_frame12.nii"]);
}

#[test]
fn sizes_and_spacings_that_make_no_sense() {
    let sandbox = Sandbox::new();
    for (size, spacing_mm, option) in [(100, Some(1.5), "--size"), (128, Some(0.0), "--spacing")] {
        let options = ImportOptions { size, spacing_mm, ..ImportOptions::default() };
        let error = acdc::import(&sandbox.src(), &sandbox.dst(), &options, &()).unwrap_err();
        assert_says(&error.to_string(), &[option, "expected"]);
    }
}

#[test]
fn a_destination_in_use_is_kept_unless_forced() {
    let sandbox = Sandbox::new();
    sandbox.import().unwrap();
    let before = fs::read(sandbox.dst().join("manifest.json")).unwrap();
    assert_says(&sandbox.import().unwrap_err().to_string(), &["dst", "not empty", "--force"]);
    fs::remove_dir_all(sandbox.src().join("patient001")).unwrap();
    // A forced import that fails leaves the old data set as it was.
    fs::rename(sandbox.nifti(1, true), sandbox.tmp.path().join("aside")).unwrap();
    sandbox.import_with(true).unwrap_err();
    assert_eq!(fs::read(sandbox.dst().join("manifest.json")).unwrap(), before);
    fs::rename(sandbox.tmp.path().join("aside"), sandbox.nifti(1, true)).unwrap();
    sandbox.import_with(true).unwrap();
    assert_eq!(Dataset::open(sandbox.dst()).unwrap().all().len(), 4);
    let names: Vec<_> =
        fs::read_dir(sandbox.dst().parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["dst"], "nothing is left beside the data set");
}

#[test]
fn force_replaces_data_sets_only() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.dst()).unwrap();
    fs::write(sandbox.dst().join("thesis.tex"), "years of work").unwrap();
    assert_says(&sandbox.import_with(true).unwrap_err().to_string(), &["dst", "no manifest.json"]);
    assert!(sandbox.dst().join("thesis.tex").is_file());
}

#[test]
fn what_an_interrupted_run_left_is_cleared_away() {
    let sandbox = Sandbox::new();
    let partial = sandbox.dst().with_file_name(".dst.7.0.part");
    fs::create_dir_all(partial.join("patient099/images")).unwrap();
    sandbox.import().unwrap();
    assert!(!partial.exists() && !sandbox.dst().join("patient099").exists());
}

fn imported() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.import().unwrap();
    sandbox
}

fn open_failure(dir: &Path) -> String {
    Dataset::open(dir).unwrap_err().to_string()
}

#[test]
fn opening_a_data_set_with_a_file_missing() {
    let sandbox = imported();
    fs::remove_file(sandbox.dst().join("patient001/labels/2.png")).unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["patient001/images/2.png: image without label"]);
    let info = Info::of(&sandbox.dst()).unwrap();
    assert!(info.problems.iter().any(|problem| problem.contains("patient001/labels/2.png")), "{info}");
}

#[test]
fn opening_a_data_set_with_a_damaged_picture() {
    let sandbox = imported();
    let path = sandbox.dst().join("patient001/images/0.png");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["patient001/images/0.png", "not a readable grey PNG"]);
    fs::write(&path, b"no picture").unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["patient001/images/0.png", "not a readable grey PNG"]);
}

#[test]
fn opening_a_data_set_whose_label_is_no_class() {
    let sandbox = imported();
    let mut label = vec![0; SIZE * SIZE];
    label[5 * SIZE + 9] = 7;
    png_tree::write_label(&sandbox.dst().join("patient002/labels/1.png"), SIZE, SIZE, label).unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["patient002/labels/1.png", "label value 7", "x=9, y=5"]);
}

#[test]
fn opening_a_data_set_whose_slices_have_another_size() {
    let sandbox = imported();
    png_tree::write_label(&sandbox.dst().join("patient002/labels/1.png"), 16, 32, vec![0; 512]).unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["patient002/labels/1.png", "16x32", "32x32"]);
}

#[test]
fn opening_something_that_is_no_data_set() {
    let sandbox = Sandbox::new();
    assert_says(&open_failure(&sandbox.dst()), &["no such folder", "kscout data import"]);
    assert_says(&open_failure(&sandbox.src()), &["manifest.json", "kscout data import"]);
    fs::write(sandbox.src().join("manifest.json"), "{ \"format_version\": 1 ").unwrap();
    assert_says(&open_failure(&sandbox.src()), &["manifest.json", "not a valid manifest"]);
}

#[test]
fn a_manifest_from_the_future_and_one_that_leaves_the_folder() {
    let sandbox = imported();
    let path = sandbox.dst().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"format_version\": 1", "\"format_version\": 2")).unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["manifest.json", "format version 2", "reads 1"]);
    fs::write(&path, text.replace("\"patient001\"", "\"../patient001\"")).unwrap();
    assert_says(&open_failure(&sandbox.dst()), &["manifest.json", "`../patient001` is not a folder name"]);
}

#[test]
fn asking_for_a_slice_that_is_not_there() {
    let sandbox = imported();
    let data = Dataset::open(sandbox.dst()).unwrap();
    let failure = |name| data.find(name).unwrap_err().to_string();
    assert_says(&failure("patient001/9"), &["patient001/9", "slices 0 to 3"]);
    assert_says(&failure("pateint002/1"), &["no pateint002", "nearest name is patient002"]);
    assert_says(&failure("first"), &["first", "named like patient001/0"]);
}

#[test]
fn the_same_scan_under_two_names_is_reported() {
    let sandbox = imported();
    let info = Info::of(&sandbox.dst()).unwrap();
    assert_says(&info.to_string(), &["patient001 and patient002 share", "identical images"]);
}

#[test]
fn a_png_tree_with_odd_names_or_missing_files() {
    let sandbox = imported();
    let import = |sandbox: &Sandbox| {
        let options = ImportOptions { size: SIZE, ..ImportOptions::default() };
        let done = png_tree::import(&sandbox.dst(), &sandbox.tmp.path().join("png"), &options, &());
        done.unwrap_err().to_string()
    };
    let stray = sandbox.dst().join("patient001/images/first.png");
    fs::copy(sandbox.dst().join("patient001/images/0.png"), &stray).unwrap();
    assert_says(&import(&sandbox), &["first.png", "expected a name like 0.png"]);
    fs::remove_file(&stray).unwrap();
    fs::remove_file(sandbox.dst().join("patient001/images/0.png")).unwrap();
    assert_says(&import(&sandbox), &["patient001/labels/0.png: label without image"]);
    fs::remove_dir_all(sandbox.dst().join("patient001/images")).unwrap();
    assert_says(&import(&sandbox), &["patient001/images", "no such folder"]);
    let sandbox = imported();
    fs::remove_dir_all(sandbox.dst().join("patient002/labels")).unwrap();
    assert_says(&import(&sandbox), &["patient002/labels", "other patients have masks", "or to none"]);
    assert!(!sandbox.tmp.path().join("png").exists());
}
