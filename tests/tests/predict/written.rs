//! What is written, over what, and who reads it.

use std::fs;

use kscout_tests::acdc_tree::{Volume, label};

use super::{Sandbox, heart};

#[test]
fn overlays_are_a_picture_a_slice() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    fs::copy(sandbox.path("data/patient001/images/0.png"), sandbox.path("slice.png")).unwrap();
    for _ in 0..2 {
        sandbox.predict(&["heart.nii", "slice.png"], &["--overlay"]).succeeded();
        assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz", "slice_overlay.png", "slice_seg.png"]);
    }
    let names: Vec<String> = sandbox.overlays().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["0.png", "1.png"]);
    assert!(sandbox.overlays()[1].1.len() > 1000);
}

#[test]
fn overlays_of_a_volume_with_fewer_slices_replace_all_of_an_earlier_one() {
    let sandbox = Sandbox::new();
    for slices in [2, 1] {
        let volume = Volume::new([70, 66, slices], |x, y, z| f32::from(x * (z + 1) % 31) + f32::from(y));
        sandbox.write("heart.nii", volume.bytes());
        sandbox.predict(&["heart.nii"], &["--overlay"]).succeeded();
        assert_eq!(sandbox.overlays().len(), usize::from(slices));
    }
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);
}

#[test]
fn an_error_in_writing_leaves_what_an_earlier_run_wrote() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.predict(&["heart.nii"], &["--overlay"]).succeeded();
    let (segmentation, overlays) = (fs::read(sandbox.path("out/heart_seg.nii.gz")).unwrap(), sandbox.overlays());

    // A folder in the segmentation's place: nothing is written at all.
    fs::rename(sandbox.path("out/heart_seg.nii.gz"), sandbox.path("kept.nii.gz")).unwrap();
    fs::create_dir(sandbox.path("out/heart_seg.nii.gz")).unwrap();
    sandbox
        .predict(&["heart.nii"], &["--overlay", "--undersample", "centre-out:4"])
        .refused(&["heart_seg.nii.gz", "write"]);
    assert!(sandbox.overlays() == overlays, "the overlays have changed");
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);

    // A file in the overlays' place: the segmentation is written, and the file stays.
    fs::remove_dir(sandbox.path("out/heart_seg.nii.gz")).unwrap();
    fs::remove_dir_all(sandbox.path("out/heart_overlay")).unwrap();
    sandbox.write("out/heart_overlay", "mine");
    sandbox.predict(&["heart.nii"], &["--overlay"]).refused(&["heart_overlay", "cannot be written"]);
    assert_eq!(fs::read_to_string(sandbox.path("out/heart_overlay")).unwrap(), "mine");
    assert!(fs::read(sandbox.path("out/heart_seg.nii.gz")).unwrap() == segmentation, "another segmentation");
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);
}

#[test]
fn a_bad_file_does_not_keep_a_good_one() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.nii", "bad");
    sandbox.write("heart.nii", heart());
    sandbox.predict(&["bad.nii", "heart.nii"], &["--overlay"]).refused(&["bad.nii", "1 of 2 inputs"]);
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);
}

#[test]
fn what_predict_writes_metrics_reads() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("truth")).unwrap();
    let truth = Volume { spacing_mm: [1.5, 1.5, 10.0], ..label() };
    for name in ["patient001_frame01", "patient001_frame09"] {
        sandbox.write(&format!("{name}.nii"), Volume::new([40, 32, 2], |x, y, _| f32::from(x * y % 97)).bytes());
        sandbox.write(&format!("truth/{name}_gt.nii"), truth.bytes());
    }
    sandbox.predict(&["patient001_frame01.nii", "patient001_frame09.nii"], &[]).succeeded();
    let [truth, out] = ["truth", "out"].map(|name| sandbox.job.path(name));
    let said = sandbox.job.run(&["metrics", &truth, &out]).succeeded();
    assert!(said.contains("Paired 2 volumes of 1 patients (1 ED, 1 ES"), "{said}");
}
