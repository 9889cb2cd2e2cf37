//! Every segmenter through the binary: a training of a few steps, the int8 file, and that file against what it was made of.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use kscout::train::segmenter::load_segmenter;
use kscout_tests::Ran;
use kscout_tests::job::Job;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

fn phantoms() -> Job {
    Job::new(EXE, 5, 3, 32)
}

/// Trains `network` into a folder of its name.
fn train(job: &Job, network: &str, steps: &str) -> Ran {
    let chosen = [format!("network={network}"), format!("steps={steps}")];
    let fixed = ["network_width=4", "batch=4", "learning_rate=1e-2", "warmup=2", "validate_lines=[32]"];
    job.train_segmenter(network, &[&chosen.each_ref().map(String::as_str)[..], &fixed].concat(), &[])
}

/// Exports and verifies; returns what `inspect` and `verify` say.
fn through_int8(job: &Job, network: &str, prune: &[&str]) -> (Value, Value) {
    let (data, reward) = (job.path("data"), job.path(network));
    let blob = job.path(&format!("{network}{}.kscout", prune.concat()));
    job.run(&[&["export", "--segmenter", &reward, "--data", &data, "--out", &blob], prune].concat()).succeeded();
    let verify = ["verify", &blob, "--segmenter", &reward, "--data", &data, "--budgets", "8", "--limit", "4", "--json"];
    let verified = job.run(&[&verify[..], &["--tolerance", "1"], prune].concat()).succeeded();
    let inspected = job.run(&["inspect", &blob, "--json"]).succeeded();
    let json = |text: String| serde_json::from_str(&text).expect("--json prints JSON");
    (json(inspected), json(verified))
}

/// Fast and naive kernels agree to the bit, and int8 finds what real numbers find, which is more than the background.
#[track_caller]
fn expect_agreement(what: &str, verified: &Value) {
    assert_eq!(verified["kernel_difference"], Value::Null, "{what}: {verified}");
    let budget = &verified["budgets"][0];
    let found = |dice: &Value| dice.as_array().unwrap().iter().filter_map(Value::as_f64).sum::<f64>();
    let (float, int8) = (found(&budget["dice_float"]), found(&budget["dice_int8"]));
    assert!(float > 0.3, "{what}: has learned to tell classes apart: {budget}");
    assert!((float - int8).abs() < 0.1, "{what}: {budget}");
    assert!(budget["classes_equal"].as_f64().unwrap() > 0.95, "{what}: {budget}");
}

#[test]
fn every_segmenter_trains_exports_and_agrees_with_its_file() {
    let job = phantoms();
    for network in ["unet", "unet-bilinear", "unetpp", "unext", "unext-s"] {
        train(&job, network, "60").succeeded();
        let (inspected, verified) = through_int8(&job, network, &[]);
        expect_agreement(network, &verified);
        assert!(inspected["provenance"].as_str().unwrap().contains(network), "{inspected}");
    }
}

#[test]
fn a_pruned_file_is_smaller_and_agrees_with_its_head() {
    let job = phantoms();
    train(&job, "unetpp", "60").succeeded();
    let mut before = 0;
    for level in ["1", "2", "3", "4"] {
        let (inspected, verified) = through_int8(&job, "unetpp", &["--prune", level]);
        expect_agreement(&format!("level {level}"), &verified);
        assert!(inspected["provenance"].as_str().unwrap().contains(&format!("pruned to head {level}")), "{inspected}");
        let macs = inspected["graphs"][0]["macs"].as_u64().unwrap();
        assert!(macs > before, "level {level}: {macs} multiply-accumulates, {before} one level up");
        before = macs;
    }
}

#[test]
fn a_network_that_cannot_be_pruned_so_is_refused() {
    let job = phantoms();
    train(&job, "unetpp", "1").succeeded();
    train(&job, "unext-s", "1").succeeded();
    let (data, blob) = (job.path("data"), job.path("x.kscout"));
    for (network, level, words) in [("unetpp", "5", ["--prune 5", "1 to 4"]), ("unext-s", "1", ["one head", "unetpp"])]
    {
        let reward = job.path(network);
        let export = ["export", "--segmenter", &reward, "--prune", level, "--data", &data, "--out", &blob];
        job.run(&export).refused(&words);
        assert!(!std::path::Path::new(&blob).exists());
    }
}

/// What the segmenter in a run's folder says to an image of ones.
fn logits(run: &str) -> Vec<f32> {
    let device = Device::flex();
    let (network, _) = load_segmenter(Path::new(run), None, &device).unwrap();
    network.forward(Tensor::<4>::ones([1, 1, 32, 32], &device)).into_data().try_into_vec().unwrap()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_training_begins_with_the_weights_it_is_given() {
    let job = phantoms();
    train(&job, "unetpp", "4").succeeded();
    let (data, init, out) = (job.path("data"), job.path("unetpp"), job.path("tuned"));
    let fresh = job.path("fresh");
    let train = |out: &str, extra: &[&str], set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let train = ["train", "segmenter", "--data", &data, "--out", out];
        job.run(&train.into_iter().chain(extra.iter().copied()).chain(set).collect::<Vec<_>>())
    };
    let with = |set: &[&str]| train(&out, &["--init", &init], set);
    // A step too small to change anything, on a network without running statistics.
    let still = ["steps=1", "batch=4", "learning_rate=1e-12", "weight_decay=0", "validate_lines=[32]"];
    with(&[&["network=unetpp"], &still[..]].concat()).refused(&["unetpp of width 4", "unetpp of width 32"]);
    with(&[&["network=unet", "network_width=4"], &still[..]].concat())
        .refused(&["unetpp of width 4", "unet of width 4"]);
    assert!(!std::path::Path::new(&out).exists(), "refused before anything was written");
    let own = [&["network=unetpp", "network_width=4"], &still[..]].concat();
    with(&own).succeeded();
    train(&fresh, &[], &own).succeeded();
    let given = logits(&init);
    assert!(difference(&logits(&out), &given) < 1e-5, "the given weights");
    assert!(difference(&logits(&fresh), &given) > 1e-3, "without --init, others");
}

#[test]
fn a_checkpoint_takes_no_run_into_its_folder() {
    let job = phantoms();
    train(&job, "unext-s", "1").succeeded();
    let (data, checkpoint) = (job.path("data"), job.path("unext-s/last"));
    let train = ["train", "segmenter", "--data", &data, "--init", &checkpoint, "--out", &checkpoint];
    let set = ["--set", "network_width=4", "--set", "validate_lines=[32]"];
    job.run(&[&train[..], &set].concat()).refused(&["unext-s/last", "choose another --out"]);
}

#[test]
fn a_head_that_has_not_learned_is_not_exported() {
    let job = phantoms();
    let (data, out, blob) = (job.path("data"), job.path("alone"), job.path("x.kscout"));
    let train = ["train", "segmenter", "--data", &data, "--out", &out];
    let set =
        ["network=unetpp", "network_width=2", "deep_supervision=false", "steps=1", "batch=2", "validate_lines=[8]"];
    job.run(&train.into_iter().chain(set.iter().flat_map(|set| ["--set", set])).collect::<Vec<_>>()).succeeded();
    let export = ["export", "--segmenter", &out, "--data", &data, "--out", &blob];
    job.run(&[&export[..], &["--prune", "2"]].concat()).refused(&["--prune 2", "deep_supervision"]);
    job.run(&[&export[..], &["--prune", "4"]].concat()).succeeded();
}

#[test]
fn a_file_that_was_made_of_another_network_is_not_verified() {
    let job = phantoms();
    train(&job, "unetpp", "1").succeeded();
    through_int8(&job, "unetpp", &["--prune", "2"]);
    let (data, reward, blob) = (job.path("data"), job.path("unetpp"), job.path("unetpp--prune2.kscout"));
    job.run(&["verify", &blob, "--segmenter", &reward, "--data", &data]).refused(&["--segmenter", "--prune"]);
}

#[test]
fn a_network_that_is_not_known_is_refused_with_those_that_are() {
    let job = phantoms();
    train(&job, "unet3", "1").refused(&["unet3", "unet-bilinear", "network"]);
}

#[test]
fn bench_gives_the_times_of_a_segmentation_and_of_each_operator() {
    let job = phantoms();
    train(&job, "unext-s", "1").succeeded();
    through_int8(&job, "unext-s", &[]);
    for threads in ["1", "2"] {
        let arguments = ["bench", &job.path("unext-s.kscout"), "--runs", "3", "--threads", threads, "--json"];
        let times: Value = serde_json::from_str(&job.run(&arguments).succeeded()).unwrap();
        assert!(times["decision"].is_null(), "there is no policy: {times}");
        assert_eq!(times["graphs"][0]["graph"], "segmenter", "{times}");
        assert_eq!(times["graphs"][0]["operators"][0]["operator"], "Conv2d", "{times}");
        for time in [&times["segmentation"], &times["graphs"][0], &times["graphs"][0]["operators"][0]] {
            assert!(time["median_ms"].as_f64().unwrap() > 0.0, "{time}");
            assert!(time["least_ms"].as_f64() <= time["median_ms"].as_f64(), "{time}");
            assert!(time["portable_ms"].as_f64().unwrap() > 0.0, "{time}");
        }
    }
    job.run(&["bench", &job.path("unext-s.kscout"), "--threads", "0"]).refused(&["--threads", "1 to 256"]);
}
