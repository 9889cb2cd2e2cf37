//! Slice policies that learn from hearts which the segmenter has not learned from: `folds`, `fold` and `--held-out`.

use std::fs;

use kscout_tests::Ran;
use kscout_tests::job::Job;

/// Training patients 001 to 004, and 005 for validation.
fn job() -> Job {
    Job::new(env!("CARGO_BIN_EXE_kscout-under-test"), 5, 4, 32)
}

fn train_segmenter(job: &Job, out: &str, keys: &[&str], options: &[&str]) -> Ran {
    let small = ["steps=6", "batch=4", "warmup=2", "validate_every=6", "validate_lines=[8]"];
    job.train_segmenter(out, &[&small, keys].concat(), options)
}

fn train_policy(job: &Job, out: &str, held_out: &[&str], options: &[&str]) -> Ran {
    let keys = ["copies=1", "warm_steps=4", "warm_batch=16", "updates=0", "validate_lines=[4]"];
    let folders: Vec<String> = held_out.iter().map(|name| job.path(name)).collect();
    let folds = folders.iter().flat_map(|folder| ["--held-out", folder]);
    job.train_slice_policy(("reward", out), &keys, &folds.chain(options.iter().copied()).collect::<Vec<_>>())
}

/// The line of what a training said that begins with `word`.
fn said(output: &str, word: &str) -> String {
    output.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("no {word} in {output}")).into()
}

/// Dice of the training volumes in a policy's log, before any update.
fn train_dice(job: &Job, out: &str) -> String {
    let log = fs::read_to_string(job.path(&format!("{out}/log.csv"))).unwrap();
    let mut rows = log.lines().map(|row| row.split(',').map(str::to_owned).collect::<Vec<_>>());
    let place = rows.next().unwrap().iter().position(|name| name == "train_dice_4").unwrap();
    rows.next().unwrap()[place].clone()
}

#[test]
fn training_volumes_are_followed_by_a_segmenter_that_is_new_to_them() {
    let job = job();
    train_segmenter(&job, "reward", &[], &[]).succeeded();
    for fold in ["1", "2"] {
        let key = format!("fold={fold}");
        train_segmenter(&job, &format!("fold{fold}"), &["folds=2", &key], &[]).succeeded();
    }
    let text = fs::read(job.path("fold2/last/checkpoint.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(meta["left_out"], serde_json::json!(["patient002", "patient004"]));

    let known = train_policy(&job, "known", &[], &[]).succeeded();
    let new = train_policy(&job, "new", &["fold1", "fold2"], &[]).succeeded();
    train_policy(&job, "turned", &["fold2", "fold1"], &[]).succeeded();
    assert_eq!(said(&known, "uniform"), said(&new, "uniform"), "validation is the reward model's");
    assert_ne!(train_dice(&job, "known"), train_dice(&job, "new"), "training is the folds'");
    assert_eq!(train_dice(&job, "new"), train_dice(&job, "turned"), "whichever comes first");

    train_policy(&job, "new", &[], &["--resume"]).refused(&["new", "other held-out segmenters", "--held-out"]);
    train_policy(&job, "known", &["fold1", "fold2"], &["--resume"]).refused(&["known", "or with none"]);
    train_policy(&job, "new", &["fold2", "fold1"], &["--resume"]).succeeded();

    train_policy(&job, "twice", &["fold1", "fold2", "fold1"], &[]).refused(&["more than one", "patient001"]);
    train_segmenter(&job, "again", &["folds=2", "fold=1", "seed=9"], &[]).succeeded();
    train_policy(&job, "new", &["again", "fold2"], &["--resume"]).refused(&["other held-out segmenters"]);
    train_policy(&job, "half", &["fold1"], &[]).refused(&["--held-out", "patient002", "every fold"]);
    train_policy(&job, "none", &["reward"], &[]).refused(&["reward", "leaves out no patient", "folds"]);
    job.train_line_policy(("reward", "slice"), &[], &["--held-out", &job.path("fold1")])
        .refused(&["unexpected argument '--held-out'"]);
}

#[test]
fn a_fold_stays_what_it_is() {
    let job = job();
    train_segmenter(&job, "reward", &[], &[]).succeeded();
    let second = ["folds=2", "fold=2"];
    train_segmenter(&job, "fold", &second, &[]).succeeded();
    train_segmenter(&job, "fold", &["folds=2", "fold=1"], &["--resume"]).refused(&["fold", "other patients", "--out"]);
    train_segmenter(&job, "fold", &[], &["--resume"]).refused(&["fold", "other patients"]);

    let [all, fold] = ["reward", "fold"].map(|name| job.path(name));
    train_segmenter(&job, "tuned", &second, &["--init", &all]).refused(&["reward", "has learned from patient002"]);
    train_segmenter(&job, "tuned", &second, &["--init", &fold]).succeeded();
    train_segmenter(&job, "none", &["folds=5", "fold=1"], &[]).refused(&["config key `folds`", "2 to 4"]);
    assert!(!fs::exists(job.path("none")).unwrap(), "nothing is left of what was refused");
}
