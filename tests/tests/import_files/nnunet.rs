//! nnU-Net's layout.

use std::fs;

use kscout::data::{Dataset, Phase, Split};
use kscout_tests::acdc_tree::Volume;

use super::{Folder, LPS, assert_alike, assert_says, image, label, placed};

#[test]
fn nnunets_layout_is_imported_by_patient() {
    let cases =
        ["patient004_frame01", "patient004_frame13", "patient005_frame02", "patient005_frame11", "heart_0010", "other"];
    let folder = Folder::nnunet(&cases);
    folder.write("src/dataset.json", "{\"channel_names\": {\"0\": \"cineMRI\"}, \"labels\": {\"background\": 0, \"RV\": 1, \"MLV\": 2, \"LVC\": 3}, \"numTraining\": 6, \"file_ending\": \".nii\"}");
    for options in [&[][..], &["--format", "nnunet"]] {
        let (_, data) = folder.imported(options);
        let names = |split| data.volumes(split).iter().map(|v| v.name()).collect::<Vec<_>>();
        assert_eq!(names(Split::Train), ["other", "patient004/ED", "patient004/ES"]);
        assert_eq!(names(Split::Val), ["heart_0010", "patient005/ED", "patient005/ES"]);
        assert_eq!(data.manifest().source, "nnunet");
        assert_eq!(data.manifest().axes.unwrap().to_string(), "LPS");
    }
    // The same patient as ACDC has them.
    let (_, acdc) = Folder::acdc().imported(&[]);
    let (_, own) = Folder::nnunet(&["patient001_frame01", "patient001_frame12"]).imported(&[]);
    assert_alike(&acdc, &own);
}

#[test]
fn acdcs_doubles_are_left_out_where_it_is_evidently_acdc() {
    let patients = ["patient055", "patient074", "patient076"].map(|patient| format!("{patient}_frame01"));
    let folder = Folder::nnunet(&patients.each_ref().map(String::as_str));
    let patients = |data: &Dataset| data.volumes(Split::Train).len() + data.volumes(Split::Val).len();
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["patient055: kept", "patient076: kept, as nothing says that this is ACDC", "patient074"]);
    assert_eq!(patients(&data), 3);
    folder.write("src/dataset.json", "{\"name\": \"ACDC\"}");
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["left out patient055", "left out patient076"]);
    assert_eq!(patients(&data), 1);
    let (said, data) = folder.imported(&["--keep-all"]);
    assert!(!said.contains("left out") && !said.contains("kept, as"), "{said}");
    assert_eq!(patients(&data), 3);
}

#[test]
fn cases_without_a_label_are_left_out_unless_none_has_one() {
    let folder = Folder::nnunet(&["patient001_frame01", "patient001_frame12", "patient002_frame01"]);
    fs::remove_file(folder.path("src/labelsTr/patient002_frame01.nii")).unwrap();
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["left out patient002_frame01: no label"]);
    assert_eq!((data.all().len(), data.manifest().masks), (6, true));
    fs::remove_dir_all(folder.path("src/labelsTr")).unwrap();
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["no masks"]);
    assert_eq!((data.all().len(), data.manifest().masks), (9, false));
}

#[test]
fn the_fuller_frame_is_end_diastole() {
    let folder = Folder::nnunet(&["patient090_frame04", "patient090_frame11"]);
    let small = Volume { voxels: label().voxels.iter().map(|&c| if c == 3.0 { 2.0 } else { c }).collect(), ..label() };
    folder.write("src/labelsTr/patient090_frame04.nii", placed(&small, LPS));
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["patient090/ED: the LV is larger in the later frame; taken for end-diastole"]);
    let lv = |phase| data.all().iter().filter(|s| s.phase == phase).flat_map(|s| &s.label).filter(|&&c| c == 3).count();
    assert!(lv(Phase::Ed) > 0 && lv(Phase::Es) == 0);
}

#[test]
fn an_nnunet_folder_that_does_not_fit_is_refused_with_the_file() {
    let two = &["patient001_frame01", "patient001_frame12"];
    let folder = Folder::nnunet(two);
    fs::remove_file(folder.path("src/imagesTr/patient001_frame12_0000.nii")).unwrap();
    folder.refused(&[], &["labelsTr/patient001_frame12.nii: label without image", "patient001_frame12_0000"]);
    let folder = Folder::nnunet(two);
    folder.write("src/imagesTr/patient001_frame01_0001.nii", placed(&image(), LPS));
    folder.refused(&[], &["patient001_frame01_0001.nii", "one channel"]);
    folder.refused(&["--format", "acdc"], &["patient001_frame01_0001.nii"]);
    let folder = Folder::nnunet(&["p1_frame01", "p1_frame02", "p1_frame03"]);
    folder.refused(&[], &["3 volumes of p1", "p1_frame01"]);
    for (json, words) in [
        ("{\"labels\": {\"background\": 0, \"LV\": 1, \"MYO\": 2, \"RV\": 3}}", "labels LV as 1; expected"),
        ("{\"labels\": {\"0\": \"background\", \"1\": \"LV\"}}", "labels LV as 1; expected"),
        ("{\"channel_names\": {\"0\": \"a\", \"1\": \"b\"}}", "2 channels"),
        ("{", "no valid JSON"),
    ] {
        let folder = Folder::nnunet(two);
        folder.write("src/dataset.json", json);
        folder.refused(&[], &["dataset.json", words]);
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("src/imagesTr")).unwrap();
    folder.refused(&[], &["src", "imagesTr/NAME_0000.nii.gz"]);
    folder.refused(&["--format", "acdc"], &["src"]);
    fs::remove_dir(folder.path("src/imagesTr")).unwrap();
    folder.refused(&["--format", "nnunet"], &["imagesTr", "no such folder"]);
}
