//! Volumes whose axes are stored in another order than those of the network's training data.

use std::fs;
use std::path::Path;

use kscout::data::nifti_volume::NiftiVolume;
use kscout::data::{Axes, Reorder};
use kscout_tests::acdc_tree::Volume;

use super::{SIDE, Sandbox};

/// The segmentation of one of the cases of NIfTI files, in the order `LPS`, and what was noted.
fn segmented_case(sandbox: &Sandbox, name: &str, network: &[&str], options: &[&str]) -> (Vec<u8>, String) {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/nifti").join(name);
    fs::copy(&case, sandbox.path(name)).unwrap();
    let ran = sandbox.predict_with(network, &[name], options);
    let noted = ran.stderr.clone();
    ran.succeeded();
    let (image, out) = (NiftiVolume::read(&case).unwrap(), sandbox.path("out").join(name.replace(".nii", "_seg.nii")));
    let labels = NiftiVolume::read(&out).unwrap();
    let place = |volume: &NiftiVolume| (volume.dim, volume.spacing_mm, volume.affine());
    assert_eq!(place(&labels), place(&image), "{name}: not in the file's own order");
    let reorder = image.axes().unwrap().to(Axes::LPS);
    (reorder.apply(&labels.classes(&out).unwrap(), labels.dim), noted)
}

#[test]
fn a_volume_is_segmented_alike_however_its_axes_are_stored() {
    let sandbox = Sandbox::new();
    let (model, blob) = (sandbox.job.path("model"), sandbox.job.path("model.kscout"));
    let assumed = "assumed of a network that does not say its own";
    for (trained, whose) in [(Some("LPS"), "the network's"), (None, assumed)] {
        sandbox.save_trained("model", 4, &sandbox.network, None, trained);
        sandbox.write("model.kscout", sandbox.blob(trained));
        for network in [["--model", &model], ["--blob", &blob]] {
            let (expected, noted) = segmented_case(&sandbox, "reference.nii.gz", &network, &[]);
            assert!(noted.is_empty(), "{noted}");
            assert!((0..4).filter(|class| expected.contains(class)).count() > 1, "one class alone tests nothing");
            for (name, stored) in [("canonical.nii.gz", "RAS"), ("slice_first.nii.gz", "SLP")] {
                let (found, noted) = segmented_case(&sandbox, name, &network, &[]);
                assert!(found == expected, "{name}, {network:?}: other classes than the reference's");
                let said = format!("note: {}: stored as {stored}; segmented as LPS, {whose}", sandbox.job.path(name));
                assert!(noted.starts_with(&said), "{noted}");
            }
        }
    }
}

#[test]
fn the_axes_of_the_training_data_are_the_checkpoint_s_or_the_user_s() {
    let sandbox = Sandbox::new();
    let model = sandbox.job.path("model");
    let network = ["--model", &model];
    let as_stored = |name| segmented_case(&sandbox, name, &network, &["--axes", "stored"]);
    let (reference, canonical) = (as_stored("reference.nii.gz"), as_stored("canonical.nii.gz"));
    assert!(reference.0 != canonical.0 && canonical.1.is_empty(), "{}", canonical.1);
    // A network of `RAS` sees the canonical file as it is stored, whoever says so.
    let told = segmented_case(&sandbox, "reference.nii.gz", &network, &["--axes", "RAS"]);
    assert!(told.0 == canonical.0 && told.1.contains("stored as LPS; segmented as RAS"), "{}", told.1);
    sandbox.save_trained("model", 4, &sandbox.network, None, Some("RAS"));
    assert!(segmented_case(&sandbox, "reference.nii.gz", &network, &[]).0 == canonical.0);
    assert!(segmented_case(&sandbox, "canonical.nii.gz", &network, &[]) == (canonical.0, String::new()));
    assert!(segmented_case(&sandbox, "reference.nii.gz", &network, &["--axes", "LPS"]).0 == reference.0);
    // Slices along another direction than the training data's stay slices.
    sandbox.save_trained("model", 4, &sandbox.network, None, Some("SLP"));
    let (found, noted) = segmented_case(&sandbox, "reference.nii.gz", &network, &[]);
    assert!(found == reference.0, "the slices were cut");
    assert!(noted.contains("its slices follow each other towards S, the training data's towards P"), "{noted}");
    for wrong in ["LLS", "up"] {
        sandbox.predict(&["reference.nii.gz"], &["--axes", wrong]).refused(&["--axes", "such as LPS", "`stored`"]);
    }
}

#[test]
fn what_a_checkpoint_does_not_say_of_axes_a_training_on_such_data_does() {
    let sandbox = Sandbox::new();
    let [data, trained] = ["five", "trained"].map(|name| sandbox.job.path(name));
    let size = SIDE.to_string();
    sandbox.job.run(&["data", "phantom", &data, "--patients", "5", "--size", &size]).succeeded();
    let manifest = sandbox.path("five/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"intensity\"", "\"axes\": \"RAS\", \"intensity\"", 1)).unwrap();
    let keys =
        ["network=unet", "network_width=4", "steps=2", "batch=2", "warmup=1", "validate_every=2", "validate_lines=[8]"];
    let keys = keys.iter().flat_map(|key| ["--set", key]);
    let train: Vec<&str> = ["train", "segmenter", "--data", &data, "--out", &trained].into_iter().chain(keys).collect();
    sandbox.job.run(&train).succeeded();
    let (_, noted) = segmented_case(&sandbox, "reference.nii.gz", &["--model", &trained], &[]);
    assert!(noted.contains("stored as LPS; segmented as RAS, the network's"), "{noted}");
}

#[test]
fn the_slices_of_a_volume_that_does_not_say_how_it_lies_may_be_along_any_axis() {
    let sandbox = Sandbox::new();
    let value = |x: u16, y: u16, z: u16| f32::from(x * (z + 1) % 31) + f32::from(y);
    let last = Volume { spacing_mm: [1.5, 1.5, 8.0], ..Volume::new([70, 66, 4], value) };
    let first = Volume { spacing_mm: [8.0, 1.5, 1.5], ..Volume::new([4, 70, 66], |z, x, y| value(x, y, z)) };
    sandbox.write("last.nii", last.bytes());
    sandbox.write("first.nii", first.bytes());
    let ran = sandbox.predict(&["last.nii", "first.nii"], &[]);
    assert!(ran.ok && ran.stderr.contains("first.nii: its first axis is taken as that of the slices"), "{ran:?}");
    let classes = |name: &str| {
        let path = sandbox.path(name);
        NiftiVolume::read(&path).unwrap().classes(&path).unwrap()
    };
    let (last, first) = (classes("out/last_seg.nii.gz"), classes("out/first_seg.nii.gz"));
    assert!(Reorder::last(0).apply(&first, [4, 70, 66]) == last, "other classes");
}
