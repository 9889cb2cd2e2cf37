//! Files, folders and networks: which are taken, and which are refused in words.

use std::fs;

use kscout_tests::acdc_tree::{Volume, label};

use super::{NX, NY, Sandbox, heart, network};

#[test]
fn files_that_cannot_be_segmented() {
    let sandbox = Sandbox::new();
    sandbox.write("text.nii.gz", "x".repeat(500));
    sandbox.refused(&["text.nii.gz"], &[], &["text.nii.gz", "not a readable NIfTI volume"]);
    sandbox.write("cut.nii", &heart()[..9000]);
    sandbox.refused(&["cut.nii"], &[], &["cut.nii", "cut off"]);
    let mut series = heart();
    series[40..50].copy_from_slice(&[4, 0, NX as u8, 0, NY as u8, 0, 1, 0, 2, 0]);
    sandbox.write("series.nii", series);
    sandbox.refused(&["series.nii"], &[], &["series.nii", "a series", "take a frame out"]);
    sandbox.write("nan.nii", Volume::new([40, 40, 1], |x, _, _| if x == 3 { f32::NAN } else { 1.0 }).bytes());
    sandbox.refused(&["nan.nii"], &[], &["nan.nii", "NaN", "x=3, y=0, z=0"]);
    sandbox.write("blank.nii", Volume::new([40, 40, 1], |_, _, _| -1.0).bytes());
    sandbox.refused(&["blank.nii"], &[], &["blank.nii", "no intensity above zero"]);
    for (mm, unit) in [(0.0015, 2), (1.5, 1), (3e38, 2), (1e-44, 2)] {
        let mut bytes = Volume { spacing_mm: [mm, mm, 10.0], ..Volume::new([40, 40, 1], |_, _, _| 1.0) }.bytes();
        bytes[123] = unit;
        sandbox.write("size.nii", bytes);
        sandbox.refused(&["size.nii"], &[], &["size.nii", "voxels of", "unit of length"]);
    }
    sandbox.write("picture.png", "no picture");
    sandbox.refused(&["picture.png"], &[], &["picture.png", "not a readable grey PNG"]);
    sandbox.write("photo.jpg", "a photo");
    sandbox.refused(&["photo.jpg"], &[], &["photo.jpg", "neither a NIfTI volume", ".png"]);
}

#[test]
fn names_are_checked_before_anything_is_segmented() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.refused(&["heart.nii", "gone.nii"], &[], &["gone.nii", "no such file or folder"]);
    fs::create_dir(sandbox.path("again")).unwrap();
    sandbox.write("again/heart.nii", heart());
    sandbox.refused(&["heart.nii", "again/heart.nii"], &[], &["again/heart.nii", "both would become heart_seg"]);
}

#[test]
fn folders_are_segmented_and_their_results_pair_again() {
    let sandbox = Sandbox::new();
    let image = Volume::new([40, 32, 2], |x, y, _| f32::from(x * y % 97)).bytes();
    for (images, labels) in [
        (
            &["a/imagesTr/p1_frame01_0000.nii", "a/imagesTr/p1_frame09_0000.nii"][..],
            &["a/labelsTr/p1_frame01.nii", "a/labelsTr/p1_frame09.nii"][..],
        ),
        (
            &["b/p1/p1_frame01.nii", "b/p1/p1_4d.nii", "b/p2/p2_frame02.nii"],
            &["b/p1/p1_frame01_gt.nii", "b/p2/p2_frame02_gt.nii"],
        ),
        (
            &["c/sub-01/anat/sub-01_T1w.nii", "c/sub-02/anat/sub-02_T1w.nii"],
            &["c/derivatives/manual/sub-01/anat/sub-01_dseg.nii", "c/derivatives/manual/sub-02/anat/sub-02_dseg.nii"],
        ),
        (&["d/p1/image.nii", "d/p2/image.nii"], &["d/p1/label.nii", "d/p2/label.nii"]),
        (&["e/p1.nii", "e/p2.nii"], &["e/p1_mask.nii", "e/p2_mask.nii"]),
    ] {
        let root = &images[0][..1];
        for name in images.iter().chain(labels) {
            fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
            sandbox.write(name, if labels.contains(name) { label().bytes() } else { image.clone() });
        }
        let _ = fs::remove_dir_all(sandbox.path("out"));
        let said = sandbox.predict(&[root], &[]).succeeded();
        assert_eq!(said.lines().count(), 2, "{root}: {said}");
        let [truth, out] = [root, "out"].map(|name| sandbox.job.path(name));
        let said = sandbox.job.run(&["metrics", &truth, &out]).succeeded();
        assert!(said.contains("Paired 2 volumes"), "{root}: {said}");
        // Another run finds the same images, also where its results lie among them.
        let inside = sandbox.job.path(&format!("{root}/results"));
        for _ in 0..2 {
            let ran = sandbox.job.run(&["predict", "--model", &sandbox.job.path("model"), "--out", &inside, &truth]);
            assert_eq!(ran.succeeded().lines().count(), 2, "{root}");
        }
    }
}

#[test]
fn folders_without_images_are_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("labels")).unwrap();
    sandbox.refused(&["labels"], &[], &["labels", "no images", ".nii.gz"]);
    sandbox.write("labels/a_gt.nii", label().bytes());
    sandbox.refused(&["labels"], &[], &["labels", "no images", "1 file of labels"]);
    sandbox.write("pair.hdr", [0; 348]);
    sandbox.refused(&["pair.hdr"], &[], &["pair.hdr", ".hdr/.img pair", "convert"]);
}

#[test]
fn files_above_the_limit_are_refused_unless_it_is_raised() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.refused(&["heart.nii"], &["--max-gib", "0.00005"], &["heart.nii", "96x80x2 voxels", "--max-gib"]);
    // Slices of 2x2 pixels become as large as the network's images.
    sandbox.write("thin.nii", Volume::new([2, 2, 100], |x, y, _| f32::from(1 + x + y)).bytes());
    let thin = ["thin.nii", "100 slices", "64x64 pixels each", "above the limit of 0.001 GiB"];
    sandbox.refused(&["thin.nii"], &["--max-gib", "0.001"], &thin);
    sandbox.predict(&["heart.nii"], &["--max-gib", "0.001"]).succeeded();
    for wrong in ["nan", "inf", "-1", "0", "1e308"] {
        let limit = format!("--max-gib={wrong}");
        sandbox.predict(&["heart.nii"], &[&limit]).refused(&["--max-gib", "GiB above 0"]);
    }
}

#[test]
fn networks_and_options_that_do_not_fit() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.refused(&["heart.nii"], &["--undersample", "centre-out:65"], &["centre-out:65", "1 to 64 lines"]);
    sandbox.refused(&["heart.nii"], &["--undersample", "spiral:16"], &["spiral"]);
    sandbox.refused(&["heart.nii"], &["--spacing", "0"], &["--spacing", "0.1 to 20 mm"]);
    sandbox.refused(&["heart.nii"], &["--prune", "2"], &["unet", "unetpp"]);
    sandbox.save("two", 2, &network(2, &sandbox.device, 0));
    let two = sandbox.job.path("two");
    sandbox.predict_with(&["--model", &two], &["heart.nii"], &[]).refused(&["two", "tells 2 classes apart", "4"]);
    sandbox.predict_with(&["--model", "gone"], &["heart.nii"], &[]).refused(&["gone", "no checkpoint"]);
    let heart = sandbox.job.path("heart.nii");
    sandbox.predict_with(&["--blob", &heart], &["heart.nii"], &[]).refused(&["heart.nii", "not a usable"]);
    assert_eq!(sandbox.out(), [""; 0]);
}
