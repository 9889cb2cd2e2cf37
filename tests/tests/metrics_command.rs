//! `kscout metrics`: what it pairs, what it says, what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use kscout_tests::acdc_tree::Volume;
use kscout_tests::golden::{Npy, golden_dir};
use kscout_tests::{Ran, run};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const HEADER: &str = "Name,Dice LV,Volume LV,Err LV(ml),Dice RV,Volume RV,Err RV(ml),Dice MYO,Volume MYO,Err MYO(ml)";

/// A folder with `truth` and `prediction`.
struct Sandbox {
    tmp: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        Self { tmp: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn metrics(&self, truth: &str, prediction: &str, options: &[&str]) -> Ran {
        let paths = [self.path(truth), self.path(prediction)].map(|path| path.display().to_string());
        run(EXE, ["metrics", &paths[0], &paths[1]].into_iter().chain(options.iter().copied()))
    }

    /// Compares with `--out`, expects a refusal that says `words` and writes nothing.
    #[track_caller]
    fn refused(&self, truth: &str, prediction: &str, words: &[&str]) {
        let out = self.path("out.csv");
        self.metrics(truth, prediction, &["--out", out.to_str().unwrap()]).refused(words);
        assert!(!out.exists(), "a refused comparison wrote {}", out.display());
    }
}

/// Labels of 10x8 pixels and two slices, of 10 x 10 x 10 mm: 1 ml a voxel. The LV has `lv` voxels, the myocardium 4, the
/// RV `rv`.
fn labels(lv: u16, rv: u16) -> Volume {
    let volume = Volume::new([10, 8, 2], |x, y, z| {
        let index = x + 10 * y;
        match (z, index) {
            (0, index) if index < lv => 3.0,
            (1, index) if index < rv => 1.0,
            (1, index) if index >= 76 => 2.0,
            _ => 0.0,
        }
    });
    Volume { spacing_mm: [10.0; 3], ..volume }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("--json prints JSON")
}

/// A golden label array as a NIfTI file: NumPy's `[z][y][x]` is NIfTI's order.
fn golden_volume(name: &str) -> Vec<u8> {
    let labels = Npy::read(&golden_dir().join("metrics").join(name)).data;
    let at = |x: u16, y: u16, z: u16| f32::from(labels[usize::from(x + 20 * y + 480 * z)]);
    Volume { spacing_mm: [1.25, 1.5, 8.0], ..Volume::new([20, 24, 6], at) }.bytes()
}

#[test]
fn two_files_score_as_medpy_scores_them() {
    let sandbox = Sandbox::new();
    sandbox.write("truth.nii", golden_volume("labels_true.npy"));
    sandbox.write("prediction.nii", golden_volume("labels_pred.npy"));
    let found = json(&sandbox.metrics("truth.nii", "prediction.nii", &["--json"]).succeeded());
    let scores = &found["volumes"][0]["scores"];
    let golden = json(&fs::read_to_string(golden_dir().join("metrics/metrics.json")).unwrap());
    let classes = golden["labels"]["classes"].as_object().unwrap();
    for (structure, expected) in classes {
        for (metric, expected) in expected.as_object().unwrap() {
            let (found, expected) = (scores[structure][metric].as_f64(), expected.as_f64().unwrap());
            let close = found.is_some_and(|found| (found - expected).abs() < 1e-6);
            assert!(close, "{structure} {metric}: {found:?} instead of {expected}");
        }
    }
    assert_eq!(classes.len(), 3);
    assert!(found["cohort"].is_null(), "two files are no cohort");
    let table = sandbox.metrics("truth.nii", "prediction.nii", &[]).succeeded();
    for word in ["RV", "MYO", "LV", "0.8760", "16.87", "HD95 mm"] {
        assert!(table.contains(word), "{table}");
    }
}

/// Two patients: the first in ACDC's own layout, the second by phase; predictions in a flat folder.
fn cohort() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("truth/patient1/Info.cfg", "ED: 9\nES: 2\nGroup: NOR\n");
    sandbox.write("truth/patient1/patient1_frame02_gt.nii", labels(20, 10).bytes());
    sandbox.write("truth/patient1/patient1_frame09_gt.nii", labels(50, 40).bytes());
    sandbox.write("truth/patient1/patient1_frame09.nii", "an image, which is never read");
    sandbox.write("truth/patient1/patient1_4d.nii", "a series, which is never read");
    sandbox.write("truth/patient10_ED.nii", labels(60, 40).bytes());
    sandbox.write("truth/patient10_ES.nii", labels(30, 20).bytes());
    sandbox.write("prediction/patient1_ED.nii", labels(50, 40).bytes());
    sandbox.write("prediction/patient1_frame02_seg.nii", labels(25, 10).bytes());
    sandbox.write("prediction/patient10_frame01.nii", labels(60, 40).bytes());
    sandbox.write("prediction/patient10_frame07.nii", labels(30, 40).bytes());
    sandbox.write("prediction/notes.txt", "not a volume");
    sandbox
}

#[test]
fn folders_pair_by_name_and_else_by_patient_and_phase() {
    let sandbox = cohort();
    let found = json(&sandbox.metrics("truth", "prediction", &["--json"]).succeeded());
    let file = |path: &Value| Path::new(path.as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned();
    let pairs: Vec<(String, String, String)> = found["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| {
            (file(&volume["truth"]), file(&volume["prediction"]), volume["phase"].as_str().unwrap().to_string())
        })
        .collect();
    let expected = [
        ("patient1_frame02_gt.nii", "patient1_frame02_seg.nii", "ES"),
        ("patient1_frame09_gt.nii", "patient1_ED.nii", "ED"),
        ("patient10_ED.nii", "patient10_frame01.nii", "ED"),
        ("patient10_ES.nii", "patient10_frame07.nii", "ES"),
    ];
    assert_eq!(pairs, expected.map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())));
}

/// Files of `truth` and `prediction` that must pair, each truth with the prediction at its place in the list.
#[track_caller]
fn pair(truths: &[&str], predictions: &[&str]) {
    let sandbox = Sandbox::new();
    truths.iter().for_each(|name| drop(sandbox.write(&format!("truth/{name}"), labels(20, 10).bytes())));
    predictions.iter().for_each(|name| drop(sandbox.write(&format!("prediction/{name}"), labels(20, 10).bytes())));
    let found = json(&sandbox.metrics("truth", "prediction", &["--json"]).succeeded());
    let file = |side: &str, path: &Value| {
        Path::new(path.as_str().unwrap()).strip_prefix(sandbox.path(side)).unwrap().display().to_string()
    };
    let mut pairs: Vec<(String, String)> = found["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| (file("truth", &volume["truth"]), file("prediction", &volume["prediction"])))
        .collect();
    pairs.sort();
    let mut expected: Vec<(String, String)> =
        truths.iter().zip(predictions).map(|(truth, prediction)| (truth.to_string(), prediction.to_string())).collect();
    expected.sort();
    assert_eq!(pairs, expected);
}

#[test]
fn folders_pair_in_the_usual_layouts() {
    // nnU-Net's labels with predictions of it, and of a run on its images.
    pair(&["labelsTr/a_01.nii.gz", "labelsTr/a_02.nii.gz"], &["a_01.nii.gz", "a_02.nii"]);
    pair(&["a_01.nii", "a_02.nii"], &["a_01_0000_seg.nii", "a_02_0000.nii"]);
    pair(
        &["a_gt.nii", "b_label.nii", "c-mask.nii", "d_GT.nii"],
        &["a_pred.nii", "b_seg.nii", "c.nii", "x/d_0000_pred.nii"],
    );
    pair(
        &["sub-01/anat/sub-01_dseg.nii", "sub-02/anat/sub-02_dseg.nii"],
        &["sub-01_T1w_seg.nii", "sub-02_T1w_seg.nii"],
    );
    pair(
        &["sub-01/ses-1/sub-01_ses-1_desc-manual_dseg.nii", "sub-01/ses-2/sub-01_ses-2_desc-manual_dseg.nii"],
        &["sub-01_ses-1_T1w_seg.nii", "sub-01_ses-2_T1w_seg.nii"],
    );
    // Called alike in folders of patients.
    pair(&["p1/label.nii", "p2/label.nii"], &["p1/image_seg.nii", "p2/image_seg.nii"]);
    pair(&["p1/seg.nii", "p2/seg.nii"], &["p1.nii", "p2_pred.nii"]);
    pair(&["p1/ED_gt.nii", "p1/ES_gt.nii", "p2/ED_gt.nii"], &["p1/ED.nii", "p1/ES.nii", "p2_ED.nii"]);
    // Numbers that are no channels.
    pair(&["h_0000.nii", "h_0001.nii"], &["h_0000_seg.nii", "h_0001_seg.nii"]);
}

#[test]
fn images_beside_labels_are_left_alone() {
    let sandbox = Sandbox::new();
    for name in ["imagesTr/a_0000.nii", "labelsTr/a.nii", "prediction/a.nii"] {
        let bytes = if name.starts_with("images") { b"an image".to_vec() } else { labels(2, 2).bytes() };
        sandbox.write(&if name.starts_with("pred") { name.to_string() } else { format!("truth/{name}") }, bytes);
    }
    sandbox.metrics("truth", "prediction", &[]).succeeded();
}

#[test]
fn what_could_be_paired_in_two_ways_is_named() {
    let ambiguous = |truths: &[&str], predictions: &[&str], words: &[&str]| {
        let sandbox = Sandbox::new();
        truths.iter().for_each(|name| drop(sandbox.write(&format!("truth/{name}"), labels(2, 2).bytes())));
        predictions.iter().for_each(|name| drop(sandbox.write(&format!("prediction/{name}"), labels(2, 2).bytes())));
        sandbox.refused("truth", "prediction", &[words, &["keep one of them"]].concat());
    };
    ambiguous(&["a.nii"], &["a.nii", "a.nii.gz"], &["a.nii", "a.nii.gz"]);
    ambiguous(&["a.nii"], &["x/a_seg.nii", "y/a_seg.nii"], &["x/a_seg.nii", "y/a_seg.nii", "truth/a.nii"]);
    ambiguous(&["a_gt.nii", "a_label.nii"], &["a.nii"], &["a_gt.nii", "a_label.nii", "prediction/a.nii"]);
}

#[test]
fn means_say_over_how_many_volumes_they_go_and_leave_out_what_no_truth_has() {
    let sandbox = Sandbox::new();
    for (name, truth, prediction) in [("a", labels(20, 0), labels(20, 5)), ("b", labels(30, 0), labels(0, 0))] {
        sandbox.write(&format!("truth/{name}.nii"), truth.bytes());
        sandbox.write(&format!("prediction/{name}.nii"), prediction.bytes());
    }
    let ran = sandbox.metrics("truth", "prediction", &[]);
    assert!(ran.ok && ran.stderr.contains("note: no truth has any RV (predicted in 1 nevertheless)"), "{ran:?}");
    let row = |structure: &str| ran.stdout.lines().find(|line| line.contains(structure)).map(str::to_string);
    let lv: Vec<String> = row(" LV ").unwrap().split_whitespace().map(str::to_string).collect();
    // Dice of both volumes, distances of the one that has an LV on both sides.
    assert_eq!(lv[..8], ["all", "LV", "2", "0.5000", "0.5000", "0.00", "(1)", "0.00"], "{}", ran.stdout);
    assert_eq!(row(" RV "), None, "{}", ran.stdout);
    let found = json(&sandbox.metrics("truth", "prediction", &["--json"]).succeeded());
    assert_eq!(found["cohort"]["absent"][0], serde_json::json!({ "structure": "RV", "predicted_in": 1 }));
}

#[test]
fn folders_give_means_and_ejection_fractions() {
    let sandbox = cohort();
    let text = sandbox.metrics("truth", "prediction", &[]).succeeded();
    assert!(text.contains("Paired 4 volumes of 2 patients (2 ED, 2 ES, 0 of no known phase)"), "{text}");
    let found = json(&sandbox.metrics("truth", "prediction", &["--json"]).succeeded());
    let index = |name: &str| {
        let indices = found["cohort"]["indices"].as_array().unwrap();
        indices.iter().find(|index| index["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    // True: 100 (50 - 20) / 50 = 60 and 50; predicted: 50 and 50.
    let ef = index("LV EF");
    assert_eq!(ef["patients"][0]["truth"], 60.0);
    assert_eq!(ef["patients"][0]["predicted"], 50.0);
    assert_eq!(ef["agreement"]["bias"], -5.0);
    assert!(ef["agreement"]["correlation"].is_null(), "predictions do not vary: {ef}");
    let limit = 5.0 + 1.96 * 50f64.sqrt();
    assert!((ef["agreement"]["limits"][0].as_f64().unwrap() + limit).abs() < 1e-9, "{ef}");
    // The RV's end-systolic volumes: 10 and 20 ml, predicted 10 and 40.
    let rv = index("RV ESV");
    assert_eq!((&rv["agreement"]["bias"], &rv["agreement"]["correlation"]), (&10.0.into(), &1.0.into()));
    let means = found["cohort"]["means"].as_array().unwrap();
    let lv = means.iter().find(|row| row["phase"] == "ES" && row["structure"] == "LV").unwrap();
    let dice = (2.0 * 20.0 / 45.0 + 1.0) / 2.0;
    assert!((lv["dice"]["mean"].as_f64().unwrap() - dice).abs() < 1e-9, "{lv}");
    assert_eq!(lv["dice"]["patients"], 2);
}

#[test]
fn intervals_of_few_patients_are_said_to_be_in_json_too() {
    let few = |patients: &str| {
        format!("the intervals are of {patients}; of fewer than 8 they are too narrow, and say little")
    };
    let sandbox = cohort();
    let ran = sandbox.metrics("truth", "prediction", &["--json"]);
    assert!(ran.stderr.contains(&format!("note: {}\n", few("2 patients"))), "{}", ran.stderr);
    assert_eq!(json(&ran.succeeded())["cohort"]["notes"], serde_json::json!([few("2 patients")]));
    let text = sandbox.metrics("truth", "prediction", &[]);
    assert!(text.stderr.contains(&few("2 patients")), "limits of agreement are intervals: {}", text.stderr);
    let sandbox = Sandbox::new();
    for patients in 1..=8 {
        sandbox.write(&format!("truth/p{patients}.nii"), labels(20, 10).bytes());
        sandbox.write(&format!("prediction/p{patients}.nii"), labels(20, 10).bytes());
        let notes = json(&sandbox.metrics("truth", "prediction", &["--json"]).succeeded())["cohort"]["notes"].clone();
        let noun = if patients == 1 { "patient" } else { "patients" };
        let expected = if patients < 8 { vec![few(&format!("{patients} {noun}"))] } else { vec![] };
        assert_eq!(notes, serde_json::json!(expected));
    }
    // Of distances there is a value where both sides have the structure.
    sandbox.write("prediction/p8.nii", labels(20, 0).bytes());
    let found = json(&sandbox.metrics("truth", "prediction", &["--json"]).succeeded());
    assert_eq!(found["cohort"]["notes"], serde_json::json!([few("7 patients")]));
}

#[test]
fn out_is_the_challenge_s_table() {
    let sandbox = cohort();
    let out = sandbox.path("deep/acdc.csv");
    sandbox.metrics("truth", "prediction", &["--out", out.to_str().unwrap()]).succeeded();
    let dice = [40.0 / 45.0, 40.0 / 60.0];
    let expected = format!(
        "{HEADER}\npatient1_frame02_gt,{},25,5,1,10,0,1,4,0\npatient1_frame09_gt,1,50,0,1,40,0,1,4,0\n\
         patient10_ED,1,60,0,1,40,0,1,4,0\npatient10_ES,1,30,0,{},40,20,1,4,0\n",
        dice[0], dice[1]
    );
    assert_eq!(fs::read_to_string(out).unwrap(), expected);
}

#[test]
fn out_is_not_written_over_what_is_compared() {
    let sandbox = cohort();
    let truth = sandbox.path("truth/patient10_ED.nii");
    let before = fs::read(&truth).unwrap();
    let out = sandbox.path("prediction/../truth/patient10_ED.nii");
    for [truth, prediction] in [["truth", "prediction"], ["truth/patient10_ED.nii", "prediction/patient10_frame01.nii"]]
    {
        let ran = sandbox.metrics(truth, prediction, &["--out", out.to_str().unwrap()]);
        ran.refused(&["--out", "patient10_ED.nii", "would be lost"]);
    }
    assert_eq!(fs::read(&truth).unwrap(), before);
}

#[test]
fn what_one_or_both_lack_is_zero_or_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("truth.nii", labels(5, 0).bytes());
    sandbox.write("prediction.nii", labels(0, 0).bytes());
    let out = sandbox.path("out.csv");
    let options = ["--json", "--out", out.to_str().unwrap()];
    let found = json(&sandbox.metrics("truth.nii", "prediction.nii", &options).succeeded());
    let scores = &found["volumes"][0]["scores"];
    assert_eq!((&scores["LV"]["dice"], &scores["LV"]["iou"]), (&0.0.into(), &0.0.into()));
    for (structure, metric) in [("LV", "hd_mm"), ("LV", "hd95_mm"), ("LV", "assd_mm"), ("RV", "dice"), ("RV", "iou")] {
        assert!(scores[structure][metric].is_null(), "{structure} {metric}: {scores}");
    }
    assert_eq!(fs::read_to_string(out).unwrap(), format!("{HEADER}\ntruth,0,0,-5,,0,0,1,4,0\n"));
}

#[test]
fn a_file_without_counterpart_is_named_on_either_side() {
    let sandbox = cohort();
    fs::remove_file(sandbox.path("prediction/patient10_frame07.nii")).unwrap();
    sandbox.refused("truth", "prediction", &["without a prediction", "patient10_ES.nii"]);
    sandbox.write("prediction/patient11_ED.nii", labels(1, 1).bytes());
    sandbox.refused("truth", "prediction", &["patient10_ES.nii", "without a ground truth", "patient11_ED.nii"]);
}

#[test]
fn two_files_for_one_volume_and_none_at_all() {
    let sandbox = cohort();
    sandbox.write("prediction/again/patient1_ED_seg.nii", labels(1, 1).bytes());
    sandbox.refused("truth", "prediction", &["patient1_ED.nii", "again/patient1_ED_seg.nii", "keep one"]);
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.refused("truth", "empty", &["empty", "no label volumes", ".nii.gz", "folders below"]);
}

#[test]
fn a_missing_path_and_a_file_against_a_folder() {
    let sandbox = cohort();
    sandbox.refused("truth", "gone", &["gone", "no such file or folder"]);
    sandbox.refused("truth", "prediction/patient1_ED.nii", &["truth is a folder", "two files or two folders"]);
    sandbox.refused("truth/patient10_ED.nii", "prediction", &["prediction is a folder", "two files or two folders"]);
}

#[test]
fn volumes_of_other_shape_or_spacing() {
    let sandbox = Sandbox::new();
    sandbox.write("truth.nii", labels(5, 5).bytes());
    sandbox.write("shape.nii", Volume { spacing_mm: [10.0; 3], ..Volume::new([8, 10, 2], |_, _, _| 0.0) }.bytes());
    sandbox.refused("truth.nii", "shape.nii", &["shape.nii", "8x10x2", "truth.nii", "10x8x2"]);
    sandbox.write("spacing.nii", Volume { spacing_mm: [10.0, 10.5, 10.0], ..labels(5, 5) }.bytes());
    sandbox.refused("truth.nii", "spacing.nii", &["spacing.nii", "10x10.5x10 mm", "truth.nii", "10x10x10"]);
    sandbox.write("rounded.nii", Volume { spacing_mm: [10.0, 10.00001, 10.0], ..labels(5, 5) }.bytes());
    sandbox.metrics("truth.nii", "rounded.nii", &[]).succeeded();
}

#[test]
fn values_that_are_no_class() {
    let sandbox = Sandbox::new();
    sandbox.write("truth.nii", labels(5, 5).bytes());
    for (value, said) in [(1.5, "1.5"), (4.0, "4"), (-1.0, "-1"), (f32::NAN, "NaN")] {
        let mut bad = labels(5, 5);
        bad.voxels[10 * 8 + 23] = value;
        sandbox.write("bad.nii", bad.bytes());
        let said = format!("label value {said} at x=3, y=2, z=1");
        sandbox.refused("truth.nii", "bad.nii", &["bad.nii", &said, "0 to 3"]);
        sandbox.refused("bad.nii", "truth.nii", &["bad.nii", &said]);
    }
}

#[test]
fn files_that_are_cut_off_no_volume_or_a_series() {
    let sandbox = Sandbox::new();
    let bytes = labels(5, 5).bytes();
    sandbox.write("truth.nii", &bytes);
    sandbox.write("cut.nii", &bytes[..bytes.len() - 3]);
    sandbox.refused("truth.nii", "cut.nii", &["cut.nii", "cut off"]);
    sandbox.write("cut.nii.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 200]);
    sandbox.refused("truth.nii", "cut.nii.gz", &["cut.nii.gz", "cut off"]);
    sandbox.write("text.nii", "x".repeat(4000));
    sandbox.refused("truth.nii", "text.nii", &["text.nii", "not a readable NIfTI volume"]);
    let mut series = bytes.clone();
    series[40..50].copy_from_slice(&[4, 0, 10, 0, 8, 0, 1, 0, 2, 0]);
    sandbox.write("series.nii", &series);
    sandbox.refused("truth.nii", "series.nii", &["series.nii", "expected one volume of three axes"]);
}

#[test]
fn a_mirrored_prediction_within_half_a_slice_is_turned_and_one_beyond_is_noted() {
    let sandbox = Sandbox::new();
    // x runs the other way about the same middle; slices are of 20 mm, pixels of 10.
    let placed = |mirrored: bool, z: f32| {
        let cut = if mirrored { 9 } else { 0 };
        let volume = Volume::new([10, 8, 2], |x, y, _| if x.abs_diff(cut) < 3 && y < 4 { 3.0 } else { 0.0 });
        let mut bytes = Volume { spacing_mm: [10.0, 10.0, 20.0], ..volume }.bytes();
        bytes[254] = 1;
        let (x, begin) = if mirrored { (-10.0, 90.0) } else { (10.0, 0.0) };
        for (at, mm) in [(280, x), (292, begin), (300, 10.0), (320, 20.0), (324, z)] {
            bytes[at..at + 4].copy_from_slice(&f32::to_le_bytes(mm));
        }
        bytes
    };
    sandbox.write("truth.nii", placed(false, 0.0));
    for (z, turned) in [(0.0, true), (7.0, true), (-9.0, true), (11.0, false)] {
        sandbox.write("mirrored.nii", placed(true, z));
        let ran = sandbox.metrics("truth.nii", "mirrored.nii", &["--json"]);
        let said = if turned { "compared in the truth's order" } else { "lies elsewhere in space" };
        assert!(ran.stderr.contains(said) && ran.stderr.lines().count() == 1, "{z} mm: {ran:?}");
        let dice = json(&ran.succeeded())["volumes"][0]["scores"]["LV"]["dice"].as_f64();
        assert_eq!(dice, Some(if turned { 1.0 } else { 0.0 }), "{z} mm");
    }
    // The same order, and apart along the slices by less than half of one: nothing to say.
    sandbox.write("near.nii", placed(false, 7.0));
    let ran = sandbox.metrics("truth.nii", "near.nii", &[]);
    assert!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
}

#[test]
fn volumes_that_lie_elsewhere_are_compared_and_noted() {
    let sandbox = Sandbox::new();
    let placed = |x: f32| {
        let mut bytes = labels(5, 5).bytes();
        bytes[254] = 1;
        for (row, step) in [(280, x), (300, 10.0), (320, 10.0)] {
            bytes[row..row + 4].copy_from_slice(&f32::to_le_bytes(step));
        }
        bytes
    };
    sandbox.write("truth.nii", placed(10.0));
    sandbox.write("flipped.nii", placed(-10.0));
    let ran = sandbox.metrics("truth.nii", "flipped.nii", &[]);
    assert!(ran.ok && ran.stderr.contains("flipped.nii lies elsewhere in space than"), "{ran:?}");
    assert!(ran.stderr.contains("by up to 180.0 mm"), "{ran:?}");
    let ran = sandbox.metrics("truth.nii", "truth.nii", &[]);
    assert!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
}
