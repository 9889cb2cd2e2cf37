//! Checkpoints that an earlier version wrote: `golden/format1`, whose descriptions say no format.

use std::fs;
use std::path::{Path, PathBuf};

use kscout::train::checkpoint::{Kind, read_meta};
use kscout::train::{CheckpointError, Meta};
use kscout_core::kspace::Reconstruction;
use kscout_tests::Ran;
use kscout_tests::job::Job;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const KINDS: [&str; 4] = ["segmenter", "classifier", "line-policy", "slice-policy"];

fn golden(kind: &str) -> PathBuf {
    kscout_tests::golden_dir().join("format1").join(kind)
}

/// A copy of a checkpoint in the folder `to`, with empty files in place of weights that are too large to keep here.
fn copied(kind: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::write(to.join("weights.bpk"), b"").unwrap();
    for file in fs::read_dir(golden(kind)).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn meta(kind: &str) -> Result<Meta, CheckpointError> {
    let folder = tempfile::tempdir().unwrap();
    copied(kind, folder.path());
    read_meta(folder.path()).map(|(_, meta)| meta)
}

#[test]
fn a_description_of_each_kind_is_read() {
    let of = |kind: &str| meta(kind).unwrap();
    let [segmenter, classifier, line_policy, slice_policy] = KINDS.map(of);
    let Kind::Segmenter(record) = &segmenter.kind else { panic!("{segmenter:?}") };
    assert_eq!((record.spec.width, record.spec.classes, &record.trained_heads[..]), (1, 4, &[1][..]));
    assert_eq!(segmenter.weights_hash.unwrap().to_string(), "6686595e");
    let Kind::Classifier(record) = &classifier.kind else { panic!("{classifier:?}") };
    assert_eq!((record.network.name(), &record.labels[..2]), ("resnet18", &["DCM".to_owned(), "HCM".to_owned()][..]));
    let Kind::LinePolicy(record) = &line_policy.kind else { panic!("{line_policy:?}") };
    assert_eq!((record.network.as_str(), record.standing.as_ref().unwrap().order.lines.len()), ("scout", 32));
    let Kind::SlicePolicy(record) = &slice_policy.kind else { panic!("{slice_policy:?}") };
    assert!(record.line_order.is_empty() && record.held_out.is_empty());
    for (kind, meta) in KINDS.iter().zip([&segmenter, &classifier, &line_policy, &slice_policy]) {
        assert_eq!(([meta.height, meta.width], meta.reconstruction), ([32, 32], Reconstruction::ZeroFilled), "{kind}");
        let scoring = meta.scoring.as_ref().unwrap();
        assert_eq!((scoring.protocol.as_str(), scoring.seed, scoring.objective.lambda1), ("scanner", 1, 0.0), "{kind}");
        assert!(meta.begun_with.iter().all(|input| input.option != "--reward"), "{kind}");
    }
}

/// The data set that the checkpoints were trained on, and the segmenter's run in `run`.
fn job() -> Job {
    let job = Job::new(EXE, 5, 3, 32);
    copied("segmenter", Path::new(&job.path("run/last")));
    job
}

#[test]
fn the_weights_of_a_segmenter_and_a_slice_policy_are_exported() {
    let job = job();
    copied("slice-policy", Path::new(&job.path("slices")));
    let [data, run, slices, out] = ["data", "run", "slices", "old.kscout"].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &run, "--slice-policy", &slices, "--data", &data, "--out", &out]).succeeded();
    let inspected: Value = serde_json::from_str(&job.run(&["inspect", &out, "--json"]).succeeded()).unwrap();
    let hashes: Vec<&Value> =
        inspected["graphs"].as_array().unwrap().iter().map(|graph| &graph["weights_hash"]).collect();
    assert_eq!(hashes, ["6686595e", "3cd65024"], "{inspected}");
}

fn resume(job: &Job, keys: &[&str]) -> Ran {
    let usual = ["network=unet", "network_width=1", "steps=4", "batch=2", "warmup=1", "validate_every=2"];
    job.train_segmenter("run", &[&usual, keys].concat(), &["--resume"])
}

#[test]
fn a_run_goes_on_and_is_of_format_2_from_then_on() {
    let job = job();
    let ran = resume(&job, &["validate_lines=[8]"]);
    assert!(!ran.stderr.contains("do not compare"), "{}", ran.stderr);
    ran.succeeded();
    let said: Value = serde_json::from_slice(&fs::read(job.path("run/last/checkpoint.json")).unwrap()).unwrap();
    assert_eq!((&said["format"], &said["kind"], &said["step"]), (&2.into(), &"segmenter".into(), &4.into()));
    assert_eq!(fs::read_to_string(job.path("run/log.csv")).unwrap().lines().count(), 3, "with the row of before");

    let job = self::job();
    let ran = resume(&job, &["validate_lines=[8]", "seed=2"]);
    assert!(ran.stderr.contains("scores so far do not compare"), "{}", ran.stderr);
    ran.succeeded();
}

#[test]
fn a_description_that_lost_a_key_of_every_version_is_refused_by_it() {
    let folder = tempfile::tempdir().unwrap();
    for key in ["network", "height", "width", "step", "data", "config"] {
        copied("segmenter", folder.path());
        let path = folder.path().join("checkpoint.json");
        let mut said: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        said.as_object_mut().unwrap().remove(key).unwrap();
        fs::write(&path, said.to_string()).unwrap();
        let error = read_meta(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("missing field `{key}`")), "{error}");
    }
}
