//! The main job through the binary, on a small phantom: data, two trainings, export, verification, evaluation, a scan.

use std::fs;
use std::path::{Path, PathBuf};

use kscout_tests::Ran;
use kscout_tests::job::Job;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// A phantom data set.
fn phantom() -> Job {
    Job::new(EXE, 5, 3, 64)
}

fn train_segmenter(job: &Job, out: &str, keys: &[&str]) -> Ran {
    let fixed = ["batch=4", "warmup=2", "validate_every=4", "validate_lines=[64,8]"];
    job.train_segmenter(out, &[&fixed, keys].concat(), &["--resume"])
}

fn train_policy(job: &Job, out: &str, keys: &[&str]) -> Ran {
    let fixed = ["updates=2", "episodes=4", "max_budget=8", "validate_every=2", "validate_lines=[6]"];
    job.train_line_policy(("reward", out), &[&fixed, keys].concat(), &["--resume"])
}

/// The file of `reward` and `policy`.
fn export(job: &Job) -> String {
    let [data, reward, policy] = ["data", "reward", "policy"].map(|name| job.path(name));
    let (out, onnx) = (job.path("heart.kscout"), job.path("heart.onnx"));
    let networks = ["--segmenter", &reward, "--line-policy", &policy];
    job.run(&[&["export", "--data", &data, "--out", &out, "--onnx", &onnx][..], &networks].concat()).succeeded();
    out
}

fn lines_of(path: impl AsRef<Path>) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn from_nothing_to_a_verified_scan() {
    let job = phantom();
    let data = job.path("data");
    let info = job.run(&["data", "info", &data]).succeeded();
    assert!(info.contains("phantom"), "{info}");
    let sampler = job.run(&["sampler", "--data", &data, "--out", &job.path("weights.csv")]).succeeded();
    assert!(sampler.contains("RV+MYO+LV"), "{sampler}");

    train_segmenter(&job, "reward", &["steps=8"]).succeeded();
    assert_eq!(lines_of(job.path("reward/log.csv")), 3, "a header and two validations");
    train_policy(&job, "policy", &[]).succeeded();
    let blob = export(&job);
    let again = job.path("again.onnx");
    job.run(&["export", "--from", &blob, "--onnx", &again]).succeeded();
    assert_eq!(fs::read(job.path("heart.onnx")).unwrap(), fs::read(&again).unwrap(), "with the file, and from it");

    let listing = job.run(&["inspect", &blob, "--json"]).succeeded();
    let listing: serde_json::Value = serde_json::from_str(&listing).expect("inspect --json prints JSON");
    assert_eq!(listing["width"], 64, "{listing}");

    let (reward, policy) = (job.path("reward"), job.path("policy"));
    let networks = ["--segmenter", &reward, "--line-policy", &policy, "--data", &data];
    let verify = [&["verify", &blob][..], &networks, &["--budgets", "8", "--limit", "4", "--tolerance", "1"]].concat();
    let verified = job.run(&verify).succeeded();
    assert!(verified.contains("digest"), "{verified}");

    let out = job.path("eval");
    let eval = ["eval", "--model", &blob, "--data", &data, "--budgets", "4,8", "--out", &out, "--panels", "1"];
    let table = job.run(&eval).succeeded();
    let patterns = ["centre-out", "equispaced", "variable-density", "partial-fourier", "random-low-bias", "random"];
    for method in patterns.iter().chain(&["policy", "full"]) {
        assert!(table.contains(method), "{table}");
    }
    // A header, and for full sampling and seven methods at two budgets a row for both volumes of the one patient.
    assert_eq!(lines_of(job.path("eval/results.csv")), 1 + 15 * 2);
    for file in ["results.json", "report.md", "ejection.csv", "dice.png", "lines_policy_4.png", "acdc/policy_8.csv"] {
        assert!(fs::metadata(job.path("eval").clone() + "/" + file).unwrap().len() > 0, "{file}");
    }

    let (picture, capture) = (job.path("scan.png"), job.path("slice.kscan"));
    let slice = ["--slice", "patient005/2", "--budget", "6"];
    let scan = [&["scan", &blob, "--data", &data][..], &slice, &["--out", &picture, "--capture", &capture]].concat();
    let first = job.run(&scan).succeeded();
    let second = job.run(&scan).succeeded();
    let digest = |text: &str| text.lines().find(|line| line.contains("digest")).map(str::to_owned);
    assert_eq!(digest(&first), digest(&second), "the same scan twice");
    let stored = fs::read(&capture).unwrap();
    let stored = kscout_core::capture::Capture::new_checked(&stored).expect("a readable capture");
    let hex = format!("{:016x}", stored.digest());
    assert!(digest(&first).unwrap().contains(&hex), "{first} does not show {hex}");
}

/// The last row of a run's log without its column of seconds.
fn last_row(log: String) -> String {
    let text = fs::read_to_string(log).unwrap();
    let mut cells: Vec<&str> = text.lines().last().unwrap().split(',').collect();
    cells.remove(1);
    cells.join(",")
}

#[test]
fn a_training_that_was_stopped_goes_on_as_if_it_had_not() {
    let job = phantom();
    train_segmenter(&job, "whole", &["steps=8"]).succeeded();
    train_segmenter(&job, "parts", &["steps=8", "stop_at=4"]).succeeded();
    // As a kill between the two renames of a checkpoint would leave it.
    fs::rename(job.path("parts/last"), job.path("parts/.last.old")).unwrap();
    train_segmenter(&job, "parts", &["steps=8"]).succeeded();
    assert_eq!(last_row(job.path("parts/log.csv")), last_row(job.path("whole/log.csv")));
    assert!(last_row(job.path("parts/log.csv")).starts_with("8,"));
}

#[test]
fn a_policy_training_that_was_stopped_goes_on_as_if_it_had_not() {
    let job = phantom();
    train_segmenter(&job, "reward", &["steps=2"]).succeeded();
    train_policy(&job, "whole", &["validate_every=1"]).succeeded();
    train_policy(&job, "parts", &["validate_every=1", "stop_at=1"]).succeeded();
    train_policy(&job, "parts", &["validate_every=1"]).succeeded();
    assert_eq!(last_row(job.path("parts/log.csv")), last_row(job.path("whole/log.csv")));
}

#[test]
fn a_run_does_not_go_on_with_images_of_another_size() {
    let job = phantom();
    train_segmenter(&job, "reward", &["steps=1"]).succeeded();
    let (data, out) = (job.path("small"), job.path("reward"));
    job.run(&["data", "phantom", &data, "--patients", "2", "--seed", "3", "--size", "32"]).succeeded();
    let resume = ["train", "segmenter", "--data", &data, "--out", &out, "--resume", "--set", "validate_lines=[8]"];
    job.run(&resume).refused(&["reward/last", "[64, 64]", "[32, 32]"]);
}

#[test]
fn a_run_in_the_way_is_not_overwritten() {
    let job = phantom();
    train_segmenter(&job, "reward", &["steps=1"]).succeeded();
    let before = fs::read(job.path("reward/last/weights.bpk")).unwrap();
    let (data, out) = (job.path("data"), job.path("reward"));
    let again = ["train", "segmenter", "--data", &data, "--out", &out, "--set", "validate_lines=[64]"];
    job.run(&again).refused(&[&out, "--resume"]);
    assert_eq!(fs::read(job.path("reward/last/weights.bpk")).unwrap(), before);
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_leaves_nothing() {
    let job = phantom();
    let (data, reward, policy) = (job.path("data"), job.path("reward"), job.path("policy"));
    let gone = job.path("gone");
    job.run(&["train", "segmenter", "--data", &gone, "--out", &reward]).refused(&[&gone]);
    job.run(&["data", "import", "--format", "acdc", &gone, &job.path("x")]).refused(&[&gone]);
    let typo = ["train", "segmenter", "--data", &data, "--out", &reward, "--set", "learning_rat=1"];
    job.run(&typo).refused(&["learning_rat", "did you mean `learning_rate`"]);
    let config = job.path("typo.toml");
    fs::write(&config, "[augment.rotate]\ndegree = 3\n").unwrap();
    job.run(&["train", "segmenter", "--data", &data, "--out", &reward, "--config", &config]).refused(&[
        "typo.toml",
        "augment.rotate.degree`",
        "augment.rotate.degrees",
    ]);
    let set = ["--set", "validate_lines=[64]", "--set", "augment.flip.probability=1.5"];
    let often = [&["--data", &data, "--out", &reward], &set[..]].concat();
    let said = ["augment.flip.probability", "must be a number from 0 to 1, not 1.5"];
    job.run(&[&["train", "segmenter"], &often[..]].concat()).refused(&said);
    job.run(&[&["train", "line-policy", "--reward-model", &gone], &often[..]].concat()).refused(&said);
    let flat = ["train", "segmenter", "--data", &data, "--out", &reward, "--set", "augment.flip=0.5"];
    job.run(&flat).refused(&["augment.flip=0.5", "is a section, with keys such as `augment.flip.probability`"]);
    job.run(&["train", "segmenter", "--data", &data, "--out", &reward, "--device", "cuda"])
        .refused(&["--features cuda"]);
    assert!(!PathBuf::from(&reward).exists(), "refused before anything was written");

    train_segmenter(&job, "reward", &["steps=1"]).succeeded();
    train_policy(&job, "policy", &[]).succeeded();
    let out = job.path("swapped.kscout");
    job.run(&["export", "--segmenter", &policy, "--data", &data, "--out", &out]).refused(&["scout", "unext-s"]);
    job.run(&["train", "line-policy", "--data", &data, "--reward-model", &policy, "--out", &gone])
        .refused(&["scout", "unext-s"]);
    let weights = job.path("reward/last/weights.bpk");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    job.run(&["export", "--segmenter", &reward, "--data", &data, "--out", &out]).refused(&["weights.bpk"]);
    assert!(!PathBuf::from(&out).exists() && !PathBuf::from(&gone).exists());
}

#[test]
fn a_model_with_any_byte_changed_is_refused() {
    let job = phantom();
    train_segmenter(&job, "reward", &["steps=1"]).succeeded();
    let (data, reward, out) = (job.path("data"), job.path("reward"), job.path("heart.kscout"));
    job.run(&["export", "--segmenter", &reward, "--data", &data, "--out", &out]).succeeded();
    let whole = fs::read(&out).unwrap();
    let mut damaged = whole.clone();
    for at in (0..whole.len()).step_by(997) {
        damaged[at] ^= 0x10;
        assert!(kscout_core::model::Model::new_checked(&damaged).is_err(), "byte {at}");
        damaged[at] = whole[at];
    }
    damaged[whole.len() / 2] ^= 1;
    fs::write(&out, &damaged).unwrap();
    let picture = job.path("scan.png");
    let scan = ["scan", &out, "--data", &data, "--slice", "patient005/2", "--budget", "4", "--out", &picture];
    job.run(&scan).refused(&["heart.kscout", "CRC-32", "damaged"]);
    assert!(!PathBuf::from(&picture).exists());
}
