//! What `kscout train` and its options were called before: old commands and options do what they did, and the commands say the new
//! name; old keys, configurations and what a configuration once chose are refused with the new name.

use std::fs;

use clap::error::ErrorKind;
use kscout::command_line;
use kscout_tests::format1::as_format1;
use kscout_tests::job::Job;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

const SEGMENTER: [&str; 3] = ["steps=2", "batch=2", "validate_lines=[8]"];
const LINES: [&str; 5] = ["updates=1", "episodes=2", "min_budget=3", "max_budget=4", "validate_lines=[3]"];
const SLICES: [&str; 5] = ["updates=1", "episodes=2", "copies=1", "warm_steps=2", "validate_lines=[4]"];

/// Phantoms, labels of their patients, and a segmenter.
fn job() -> Job {
    let job = Job::new(EXE, 5, 3, 32);
    job.run_words("data labels NAME/data --out NAME/labels.csv").succeeded();
    job.train_segmenter("segmenter", &SEGMENTER, &[]).succeeded();
    job
}

fn checkpoint(job: &Job, run: &str) -> Value {
    serde_json::from_slice(&fs::read(job.path(run) + "/last/checkpoint.json").unwrap()).unwrap()
}

/// A training by its old name, then by its new one: the same weights, and a note that says the new name.
#[track_caller]
fn same(job: &Job, names: [&str; 2], chosen: &[&str], keys: &[&str], old: &[&str], new: &[&str]) {
    let [was, is] = names;
    let ran = job.train(was, "old", &[chosen, keys].concat(), old);
    let note = format!("note: `kscout train {was}` is called `kscout train {is}` now");
    assert!(ran.stderr.contains(&note), "{}", ran.stderr);
    ran.succeeded();
    let ran = job.train(is, "new", keys, new);
    assert!(!ran.stderr.contains("is called"), "{}", ran.stderr);
    ran.succeeded();
    assert_eq!(checkpoint(job, "old")["weights_hash"], checkpoint(job, "new")["weights_hash"], "{is}");
    for run in ["old", "new"] {
        fs::remove_dir_all(job.path(run)).unwrap();
    }
}

#[test]
fn the_old_names_of_trainings_train_the_same_and_say_the_new_ones() {
    let job = job();
    let [labels, segmenter] = ["labels.csv", "segmenter"].map(|name| job.path(name));
    same(&job, ["reward", "segmenter"], &[], &SEGMENTER, &[], &[]);
    let with_labels = ["--labels", &labels];
    same(&job, ["reward", "classifier"], &["kind=classification"], &SEGMENTER, &with_labels, &with_labels);
    same(&job, ["reward", "classifier"], &[], &SEGMENTER, &with_labels, &with_labels);
    let (old, new) = (["--reward", &segmenter], ["--reward-model", &segmenter]);
    same(&job, ["policy", "line-policy"], &[], &LINES, &old, &new);
    same(&job, ["policy", "slice-policy"], &["budget=volume"], &SLICES, &old, &new);
    let help = job.run(&["train", "--help"]).succeeded();
    let listed: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for name in ["segmenter", "classifier", "line-policy", "slice-policy", "mask"] {
        assert!(listed.contains(&name), "{help}");
    }
    assert!(!listed.contains(&"reward") && !listed.contains(&"policy"), "{help}");
}

#[test]
fn a_run_that_an_older_version_began_goes_on() {
    let job = job();
    let [labels, segmenter] = ["labels.csv", "segmenter"].map(|name| job.path(name));
    let of_before = |run: &str, key: &str, value: &str| {
        let mut said = checkpoint(&job, run);
        as_format1(&mut said);
        said["config"][key] = value.into();
        for input in said["begun_with"].as_array_mut().unwrap() {
            if input["option"] == "--reward-model" {
                input["option"] = "--reward".into();
            }
        }
        job.write(&format!("{run}/last/checkpoint.json"), &said.to_string());
    };
    let classifier = |more: &[&str], options: &[&str]| {
        job.train("classifier", "classifier", &[&SEGMENTER, more].concat(), &[&["--labels", &labels], options].concat())
    };
    classifier(&["stop_at=1"], &[]).succeeded();
    of_before("classifier", "kind", "classification");
    classifier(&[], &["--resume"]).succeeded();
    let slices = |more: &[&str], options: &[&str]| {
        job.train_slice_policy(("segmenter", "slices"), &[&SLICES, more].concat(), options)
    };
    slices(&[], &[]).succeeded();
    of_before("slices", "budget", "volume");
    slices(&["updates=2"], &["--resume"]).succeeded();
    // What it began with still counts.
    job.train_segmenter("other", &[&SEGMENTER[..], &["seed=2"]].concat(), &[]).succeeded();
    of_before("slices", "budget", "volume");
    let other = job.train_slice_policy(("other", "slices"), &SLICES, &["--resume"]);
    other.refused(&["began with --reward-model", &segmenter, "other"]);
}

#[test]
fn old_keys_and_configurations_are_refused_with_the_new_name() {
    let job = job();
    for (what, given, said) in [
        ("segmenter", ["--set", "masks.given=0.5"], ["`masks.given`", "is called `masks.recorded` now"]),
        ("segmenter", ["--config", "reward.toml"], ["--config reward.toml", "is called segmenter.toml now"]),
        ("line-policy", ["--config", "configs/policy.toml"], ["configs/policy.toml", "is called line-policy.toml now"]),
        ("slice-policy", ["--config", "volume-policy"], ["volume-policy", "is called slice-policy.toml now"]),
        ("segmenter", ["--config", "built-in:demo-reward"], ["demo-reward", "is called demo-segmenter.toml now"]),
        ("segmenter", ["--set", "kind=classification"], ["is for `kscout train classifier`", "`kind`"]),
        ("line-policy", ["--set", "budget=volume"], ["is for `kscout train slice-policy`", "`budget`"]),
    ] {
        let segmenter = job.path("segmenter");
        let scored = ["--reward-model", &segmenter];
        let options = [&given[..], if what.ends_with("policy") { &scored } else { &[] }].concat();
        job.train(what, "out", &[], &options).refused(&said);
    }
    assert!(!fs::exists(job.path("out")).unwrap(), "nothing is left of what was refused");
}

#[test]
fn what_was_chosen_by_a_key_is_refused_by_the_old_name_of_another_training() {
    let job = job();
    let segmenter = job.path("segmenter");
    for (old, config, key, new) in [
        ("policy", "demo-slices.toml", "`copies`", "`kscout train slice-policy`"),
        ("reward", "classifier.toml", "`dropout`", "`kscout train classifier`"),
    ] {
        let scored = ["--reward-model", &segmenter];
        let options = [&["--config", config][..], if old == "policy" { &scored } else { &[] }].concat();
        let ran = job.train(old, "out", &[], &options);
        assert!(!ran.stderr.contains("note: `kscout train"), "nothing has begun under another name: {}", ran.stderr);
        ran.refused(&[config, "line ", key, &format!("is a key of {new}: use that")]);
        assert!(!fs::exists(job.path("out")).unwrap());
    }
}

#[test]
fn the_old_options_are_those_of_today_by_another_name() {
    for (command, old, new) in [
        ("export --data d --out o", "--reward r --policy p", "--segmenter r --line-policy p"),
        ("verify f --data d", "--reward r --policy p", "--segmenter r --line-policy p"),
        ("eval --data d --out o", "--reward r --policy p", "--reward-model r --line-policy p"),
        ("train mask --data d --out o", "--reward r", "--segmenter r"),
        ("train line-policy --data d --out o", "--reward r", "--reward-model r"),
        ("train slice-policy --data d --out o", "--reward r", "--reward-model r"),
    ] {
        let read = |options: &str| {
            let line = format!("kscout {command} {options}");
            command_line().try_get_matches_from(line.split(' '))
        };
        assert_eq!(read(old).unwrap(), read(new).unwrap(), "{command}");
        let help = read("--help").unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{command}");
        let help = help.to_string();
        assert!(!help.contains("--reward ") && !help.contains("--policy "), "{command}: {help}");
    }
}
