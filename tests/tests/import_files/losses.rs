//! What is cut off or never occurs, and the manifest that remembers it.

use std::fs;

use kscout::data::Manifest;
use kscout_tests::acdc_tree::Volume;
use kscout_tests::run;

use super::{DIM, EXE, Folder, LPS, assert_says, placed};

#[test]
fn what_the_crop_cuts_off_is_said_and_remembered() {
    let folder = Folder::acdc();
    // Of 40 columns the crop keeps 4 to 35; of RV columns 2 to 5, two of four are lost, in ES alone.
    let moved = Volume::new(DIM, |x, y, _| if (2..6).contains(&x) && y < 20 { 1.0 } else { 0.0 });
    folder.write("src/patient001/patient001_frame12_gt.nii", placed(&moved, LPS));
    let (said, data) = folder.imported(&["--size", "32"]);
    // RV of the heart: 4 x 10 pixels in 3 slices; of the moved one, 4 x 20 in 3, of which 2 columns and 2 rows go.
    let lost = "cut off by the crop: RV 132 of 360 voxels (36.7 %), most in patient001/ES (132 of 240)";
    assert_says(&said, &[lost, "slices without any label: 0 of 6", "--size"]);
    assert_eq!(data.manifest().lost_to_crop.as_ref().unwrap().len(), 1);
    let dst = folder.path("dst");
    let info = |json: &[&str]| run(EXE, ["data", "info", dst.to_str().unwrap()].iter().chain(json)).stdout;
    assert_says(&info(&[]), &[lost, "slices without any label: 0 of 6", "axes LPS"]);
    let json: serde_json::Value = serde_json::from_str(&info(&["--json"])).unwrap();
    assert_eq!(json["lost_to_crop"][0]["worst"], "patient001/ES");
    assert_eq!(json["lost_to_crop"][0]["voxels"], 132);
    let (said, _) = folder.imported(&[]);
    assert_says(&said, &["cut off by the crop: no voxel of any class"]);
}

#[test]
fn classes_and_labels_that_never_occur_are_said() {
    let folder = Folder::nnunet(&["patient001", "patient002"]);
    let bare = Volume::new(DIM, |x, _, z| if x == 20 && z > 0 { 3.0 } else { 0.0 });
    folder.write("src/labelsTr/patient001.nii", placed(&bare, LPS));
    folder.write("src/labelsTr/patient002.nii", placed(&Volume::new(DIM, |_, _, _| 0.0), LPS));
    let (said, _) = folder.imported(&[]);
    let words = ["slices without any label: 4 of 6", "classes that never occur: RV, myocardium"];
    assert_says(&said, &words);
    assert_says(&said, &["note: patient002: no voxel of the label is of any class"]);
    let info = run(EXE, ["data", "info", folder.path("dst").to_str().unwrap()]);
    assert_says(&info.stdout, &words);
}

#[test]
fn an_older_manifest_is_still_read() {
    let folder = Folder::acdc();
    folder.imported(&[]);
    let path = folder.path("dst/manifest.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = json.as_object_mut().unwrap();
    assert!(fields.remove("lost_to_crop").is_some() && fields.remove("axes").is_some());
    fs::write(&path, json.to_string()).unwrap();
    let manifest = Manifest::read(&folder.path("dst")).unwrap();
    assert_eq!((manifest.lost_to_crop, manifest.axes), (None, None));
    let info = run(EXE, ["data", "info", folder.path("dst").to_str().unwrap()]).stdout;
    assert!(!info.contains("cut off"), "{info}");
}
