//! The classes are those that `kscout eval` scores.

use std::fs;

use kscout::data::import::ImportOptions;
use kscout::data::nifti_volume::NiftiVolume;
use kscout::data::png_tree::Grey;
use kscout::data::{Dataset, Slice, acdc};
use kscout_tests::acdc_tree::Volume;

use super::{NX, NY, Protocol, SIDE, Sandbox, heart};

/// The crop of the plane that the network saw, and whether all else is background.
fn cropped(plane: &[u8]) -> (Vec<u8>, bool) {
    let (nx, left, top) = (usize::from(NX), (usize::from(NX) - SIDE) / 2, (usize::from(NY) - SIDE) / 2);
    let inside =
        |index: usize| (left..left + SIDE).contains(&(index % nx)) && (top..top + SIDE).contains(&(index / nx));
    let crop = plane.iter().enumerate().filter(|(index, _)| inside(*index)).map(|(_, &class)| class).collect();
    (crop, plane.iter().enumerate().all(|(index, &class)| inside(index) || class == 0))
}

#[test]
fn a_volume_is_segmented_as_eval_does_on_its_own_grid() {
    let sandbox = Sandbox::new();
    sandbox.save_trained("model", 4, &sandbox.network, None, Some("LAS"));
    sandbox.write("model.kscout", sandbox.blob(Some("LAS")));
    // The same volume imported as a data set is what `kscout eval` would run on.
    let patient = sandbox.path("src/patient007");
    fs::create_dir_all(&patient).unwrap();
    fs::write(patient.join("Info.cfg"), "ED: 1\nES: 2\n").unwrap();
    let truth = Volume { dim: [NX, NY, 2], ..Volume::new([NX, NY, 2], |x, _, _| f32::from(x / 30)) };
    for frame in [1, 2] {
        fs::write(patient.join(format!("patient007_frame{frame:02}.nii")), heart()).unwrap();
        fs::write(patient.join(format!("patient007_frame{frame:02}_gt.nii")), truth.bytes()).unwrap();
    }
    let options = ImportOptions { size: SIDE, ..ImportOptions::default() };
    acdc::import(&sandbox.path("src"), &sandbox.path("imported"), &options, &()).unwrap();
    let data = Dataset::open(sandbox.path("imported")).unwrap();
    let slices: Vec<&Slice> = data.all().iter().take(2).collect();

    sandbox.write("heart.nii", heart());
    let image = NiftiVolume::read(&sandbox.path("heart.nii")).unwrap();
    let (blob, out) = (sandbox.job.path("model.kscout"), sandbox.path("out/heart_seg.nii.gz"));
    let undersampled = ["--undersample", "centre-out:12"];
    for (lines, undersample) in [(SIDE, &[][..]), (12, &undersampled[..])] {
        let [float, int8] = sandbox.as_evaluated(&slices, lines);
        for (expected, int8) in [(float, false), (int8, true)] {
            let ran = if int8 {
                sandbox.predict_with(&["--blob", &blob], &["heart.nii"], undersample)
            } else {
                sandbox.predict(&["heart.nii"], undersample)
            };
            let said = ran.succeeded();
            assert!(said.contains("heart_seg.nii.gz: 2 slices of 96x80, RV"), "{said}");
            let found = NiftiVolume::read(&out).unwrap();
            assert_eq!((found.dim, found.spacing_mm), (image.dim, image.spacing_mm));
            assert_eq!(found.affine(), image.affine());
            let classes = found.classes(&out).unwrap();
            for (z, (plane, expected)) in classes.chunks_exact(usize::from(NX * NY)).zip(&expected).enumerate() {
                let (crop, background) = cropped(plane);
                assert!(background, "outside the crop there is background");
                assert!(crop == *expected, "slice {z}, {lines} lines, int8 {int8}: other classes than eval's");
            }
        }
    }
}

#[test]
fn a_picture_is_segmented_as_eval_does() {
    let sandbox = Sandbox::new();
    let data = Dataset::open(sandbox.path("data")).unwrap();
    let slice = &data.all()[1];
    let name = format!("data/{}/images/{}.png", slice.id.patient, slice.id.n);
    let [float, int8] = sandbox.as_evaluated(&[slice], SIDE);
    let out = sandbox.path(&format!("out/{}_seg.png", slice.id.n));
    sandbox.predict(&[&name], &[]).succeeded();
    let (grey, classes) = Grey::read_label(&out).unwrap();
    assert_eq!((grey.width, grey.height), (SIDE, SIDE));
    assert!(classes == float[0], "other classes than eval's");
    let blob = sandbox.job.path("model.kscout");
    sandbox.predict_with(&["--blob", &blob], &[&name], &[]).succeeded();
    assert!(Grey::read_label(&out).unwrap().1 == int8[0], "other classes than eval's in int8");
}

#[test]
fn another_protocol_than_that_of_training_is_said_where_it_matters() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.save_trained("model", 4, &sandbox.network, Some(Protocol::scanner()), Some("LAS"));
    let note = "trained with the protocol `scanner`, this uses `igs`";
    let few = ["--undersample", "centre-out:8"];
    let said = sandbox.predict(&["heart.nii"], &few);
    assert!(said.ok && said.stderr.contains(note), "{said:?}");
    for options in [&[][..], &[few[0], few[1], "--protocol", "scanner"]] {
        let said = sandbox.predict(&["heart.nii"], options);
        assert!(said.ok && said.stderr.is_empty(), "{said:?}");
    }
}
