//! Metrics equal the reference implementations: scikit-image for images, MedPy for segmentations.
//! `golden/metrics` holds their inputs and outputs.

use std::collections::BTreeSet;
use std::fs;

use kscout::metrics::dice::{LabelVolume, Structure};
use kscout::metrics::quality::{mse, nmse, psnr, ssim};
use kscout::metrics::scores::score_volume;
use kscout_tests::golden::{Npy, golden_dir};
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

/// An array of `golden/metrics`, of this shape.
fn npy(name: &str, shape: &str) -> Npy {
    let npy = Npy::read(&golden_dir().join("metrics").join(name));
    assert!(npy.header.contains(shape), "{name}: {}", npy.header);
    npy
}

fn read_image(name: &str) -> Vec<f32> {
    npy(name, "(24, 20)").f32s()
}

fn read_labels(name: &str) -> Vec<u8> {
    let npy = npy(name, "(6, 24, 20)");
    assert!(npy.header.contains("'|u1'"), "{name}: {}", npy.header);
    npy.data
}

fn golden() -> Value {
    let text = fs::read(golden_dir().join("metrics/metrics.json")).expect("metrics.json");
    serde_json::from_slice(&text).expect("metrics.json is JSON")
}

/// Every value of `expected` that is a number has a `found` of its name, and equals it.
fn assert_all_close(what: &str, found: &[(&str, f64)], expected: &Value) {
    let expected = expected.as_object().unwrap_or_else(|| panic!("{what}: not in metrics.json"));
    let names: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
    let compared: BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(compared, names, "{what}: metrics of this test and of metrics.json");
    for &(name, found) in found {
        let expected = expected[name].as_f64().unwrap_or_else(|| panic!("{what} {name}: no number"));
        assert!((found - expected).abs() < TOLERANCE, "{what} {name}: {found} instead of {expected}");
    }
}

#[test]
fn image_quality_equals_scikit_image() {
    let expected = &golden()["image"];
    let (reference, image) = (read_image("image.npy"), read_image("noisy.npy"));
    let range = expected["data_range"].as_f64().expect("data range");
    let found = [
        ("data_range", range),
        ("ssim_7x7_uniform", ssim(&reference, &image, 24, 20, range).unwrap()),
        ("psnr_db", psnr(&reference, &image, range).unwrap()),
        ("nmse", nmse(&reference, &image).unwrap().unwrap()),
        ("mse", mse(&reference, &image).unwrap()),
    ];
    assert_all_close("image", &found, expected);
}

#[test]
fn segmentation_scores_equal_medpy() {
    let expected = &golden()["labels"];
    let spacing = [0, 1, 2].map(|axis| expected["spacing_mm_zyx"][axis].as_f64().expect("spacing"));
    let pred = read_labels("labels_pred.npy");
    let truth = read_labels("labels_true.npy");
    let volume = |labels| LabelVolume::new(labels, [6, 24, 20], spacing).unwrap();
    let scores = score_volume(&volume(&pred), &volume(&truth)).unwrap();
    let classes: Vec<&String> = expected["classes"].as_object().expect("classes").keys().collect();
    assert_eq!(classes.len(), Structure::ALL.len(), "{classes:?}");
    for structure in Structure::ALL {
        let (name, scores) = (structure.name(), scores.of(structure));
        let found = [
            ("dice", scores.dice.expect("Dice")),
            ("iou", scores.iou.expect("IoU")),
            ("hd_mm", scores.hd_mm.expect("HD")),
            ("hd95_mm", scores.hd95_mm.expect("HD95")),
            ("assd_mm", scores.assd_mm.expect("ASSD")),
            ("volume_pred_ml", scores.volume_pred_ml),
            ("volume_true_ml", scores.volume_true_ml),
        ];
        assert_all_close(name, &found, &expected["classes"][name]);
    }
}
