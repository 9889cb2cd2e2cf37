//! Names of files and patients, and the splits that follow from them.

use std::fs;

use kscout::data::Split;
use kscout::data::png_tree::write_label;

use super::{Folder, LPS, assert_alike, assert_says, image, label, placed};

#[test]
fn hidden_files_and_capitals_do_no_harm() {
    let (_, plain) = Folder::acdc().imported(&[]);
    let folder = Folder::acdc();
    for name in ["patient001_frame01.nii", "patient001_frame12_gt.nii", "patient001_frame99_gt.nii"] {
        folder.write(&format!("src/patient001/._{name}"), "macOS");
    }
    folder.write("src/.DS_Store", "macOS");
    folder.write("src/patient001/.DS_Store", "macOS");
    folder.write("src/._patient001", "macOS");
    folder.write("src/.patient002/Info.cfg", "ED: 1\nES: 2\n");
    let [old, new] =
        ["frame01_gt.nii", "Frame01_GT.NII"].map(|end| folder.path(&format!("src/patient001/patient001_{end}")));
    fs::rename(old, new).unwrap();
    let (_, data) = folder.imported(&[]);
    assert_alike(&plain, &data);

    let folder = Folder::nnunet(&["patient001_frame01", "patient001_frame12"]);
    folder.write("src/imagesTr/._patient001_frame01_0000.nii", "macOS");
    folder.write("src/labelsTr/._patient001_frame01.nii", "macOS");
    folder.write("src/labelsTr/.DS_Store", "macOS");
    let [old, new] = ["frame01.nii", "frame01.NII"].map(|end| folder.path(&format!("src/labelsTr/patient001_{end}")));
    fs::rename(old, new).unwrap();
    assert_alike(&plain, &folder.imported(&[]).1);

    let folder = Folder::png(&[("patient001", 3)]);
    let (_, plain) = folder.imported(&["--format", "png"]);
    folder.write("src/patient001/images/._0.png", "macOS");
    folder.write("src/patient001/labels/.DS_Store", "macOS");
    let [from, to] = ["images/1.png", "images/1.PNG"].map(|name| folder.path(&format!("src/patient001/{name}")));
    fs::rename(from, to).unwrap();
    let [from, to] = ["labels/2.png", "labels/002.png"].map(|name| folder.path(&format!("src/patient001/{name}")));
    fs::rename(from, to).unwrap();
    assert_alike(&plain, &folder.imported(&["--format", "png"]).1);
}

#[test]
fn of_patients_without_numbers_every_fifth_validates_in_every_layout() {
    let names = ["kim", "anna", "eva", "dora", "ben", "carl"];
    let pictures = Folder::png(&names.map(|name| (name, 1)));
    let acdc = Folder::new();
    for name in names {
        acdc.write(&format!("src/{name}/Info.cfg"), "ED: 1\nES: 12\nGroup: NOR\n");
        for frame in ["01", "12"] {
            acdc.write(&format!("src/{name}/{name}_frame{frame}.nii"), placed(&image(), LPS));
            acdc.write(&format!("src/{name}/{name}_frame{frame}_gt.nii"), placed(&label(), LPS));
        }
    }
    for (folder, format) in [(pictures, "png"), (acdc, "acdc"), (Folder::nnunet(&names), "nnunet")] {
        let (said, data) = folder.imported(&["--format", format]);
        assert_says(&said, &["note: 6 patients have no number", "every fifth, by name, is for validation: eva"]);
        let of = |split| data.slices(split).iter().map(|slice| slice.id.patient.clone()).collect::<Vec<_>>();
        assert!(of(Split::Val).iter().all(|patient| patient == "eva") && !of(Split::Val).is_empty(), "{format}");
        let (said, data) = folder.imported(&["--format", format, "--split", "train"]);
        assert!(!said.contains("number") && data.slices(Split::Val).is_empty(), "{said}");
    }
}

#[test]
fn a_data_set_s_own_pictures_keep_their_splits_unless_all_go_into_one() {
    let folder = Folder::png(&[("patient004", 1), ("patient005", 1), ("zoe", 1)]);
    folder.imported(&["--format", "png", "--split", "test"]);
    fs::remove_dir_all(folder.path("src")).unwrap();
    fs::rename(folder.path("dst"), folder.path("src")).unwrap();
    let (said, data) = folder.imported(&["--format", "png"]);
    assert!(data.slices(Split::Test).len() == 3 && !said.contains("number"), "{said}");
    let (_, data) = folder.imported(&["--format", "png", "--split", "val"]);
    assert_eq!(data.slices(Split::Val).len(), 3);
}

#[test]
fn patients_may_have_other_names() {
    let (_, plain) = Folder::png(&[("patient001", 2)]).imported(&["--format", "png"]);
    let (_, data) = Folder::png(&[("anna-07", 2), ("ben", 1)]).imported(&["--format", "png"]);
    assert_eq!(data.all().len(), 3);
    assert!(data.find("anna-07/1").unwrap().label == plain.all()[1].label);
}

#[test]
fn counts_that_differ_are_refused_with_the_file() {
    let png = &["--format", "png"];
    let folder = Folder::png(&[("patient001", 3)]);
    fs::remove_file(folder.path("src/patient001/labels/2.png")).unwrap();
    folder.refused(png, &["patient001/images/2.png: image without label"]);
    let folder = Folder::png(&[("patient001", 3)]);
    fs::remove_file(folder.path("src/patient001/images/2.png")).unwrap();
    folder.refused(png, &["patient001/labels/2.png: label without image"]);
    let folder = Folder::png(&[("patient001", 3)]);
    fs::copy(folder.path("src/patient001/images/2.png"), folder.path("src/patient001/images/02.png")).unwrap();
    folder.refused(png, &["slice 2 is there twice", "02.png"]);
    let folder = Folder::png(&[("patient001", 2), ("patient002", 0)]);
    let (said, _) = folder.imported(png);
    assert_says(&said, &["left out patient002: no slices"]);
    let folder = Folder::png(&[("patient001", 1)]);
    write_label(&folder.path("src/patient001/labels/0.png"), 16, 32, vec![0; 512]).unwrap();
    folder.refused(png, &["labels/0.png", "16x32", "32x32"]);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_refused_by_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bad = OsStr::from_bytes(b"patient\xff02");
    let folder = Folder::acdc();
    fs::create_dir(folder.path("src").join(bad)).unwrap();
    folder.refused(&[], &["patient", "02", "not valid UTF-8"]);
    let folder = Folder::png(&[("patient001", 1)]);
    fs::write(folder.path("src/patient001/images").join(OsStr::from_bytes(b"\xff.png")), "").unwrap();
    folder.refused(&["--format", "png"], &["images", ".png", "not valid UTF-8"]);
    let folder = Folder::nnunet(&["patient001"]);
    fs::write(folder.path("src/imagesTr").join(OsStr::from_bytes(b"a\xff_0000.nii")), "").unwrap();
    folder.refused(&[], &["imagesTr", "_0000.nii", "not valid UTF-8"]);
}
