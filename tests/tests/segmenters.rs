//! Every segmenter through the binary: a training of a few steps, the int8 file, and that file against what it was made of.

use kscout_tests::{Ran, run};
use serde_json::Value;

fn kscout(args: &[&str]) -> Ran {
    run(env!("CARGO_BIN_EXE_kscout-under-test"), args)
}

/// A phantom data set in a folder of its own, for trainings and exports beside it.
struct Bench {
    tmp: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { tmp: tempfile::tempdir().unwrap() };
        let data = bench.path("data");
        kscout(&["data", "phantom", &data, "--patients", "5", "--seed", "3", "--size", "32"]).succeeded();
        bench
    }

    fn path(&self, name: &str) -> String {
        self.tmp.path().join(name).display().to_string()
    }

    fn train(&self, network: &str, steps: &str) -> Ran {
        let (data, out) = (self.path("data"), self.path(network));
        let (network, steps) = (format!("network={network}"), format!("steps={steps}"));
        let mut args = vec!["train", "reward", "--data", &data, "--out", &out];
        for set in [&network, &steps, "network_width=4", "batch=4", "warmup=2", "validate_lines=[32]"] {
            args.extend(["--set", set]);
        }
        kscout(&args)
    }

    /// Exports and verifies; returns what `inspect` and `verify` say.
    fn through_int8(&self, network: &str, prune: &[&str]) -> (Value, Value) {
        let (data, reward) = (self.path("data"), self.path(network));
        let blob = self.path(&format!("{network}{}.kscout", prune.concat()));
        kscout(&[&["export", "--reward", &reward, "--data", &data, "--out", &blob], prune].concat()).succeeded();
        let verify =
            ["verify", &blob, "--reward", &reward, "--data", &data, "--budgets", "8", "--limit", "4", "--json"];
        let verified = kscout(&[&verify[..], &["--tolerance", "1"], prune].concat()).succeeded();
        let inspected = kscout(&["inspect", &blob, "--json"]).succeeded();
        let json = |text: String| serde_json::from_str(&text).expect("--json prints JSON");
        (json(inspected), json(verified))
    }
}

#[test]
fn every_segmenter_trains_exports_and_agrees_with_its_file() {
    let bench = Bench::new();
    for network in ["unet", "unet-bilinear", "unetpp", "unext", "unext-s"] {
        bench.train(network, "6").succeeded();
        let (inspected, verified) = bench.through_int8(network, &[]);
        assert_eq!(verified["kernel_difference"], Value::Null, "{network}: {verified}");
        let equal = verified["budgets"][0]["classes_equal"].as_f64().unwrap();
        assert!(equal > 0.9, "{network}: int8 and real numbers agree on {equal} of the pixels");
        assert!(inspected["provenance"].as_str().unwrap().contains(network), "{inspected}");
    }
}

#[test]
fn a_pruned_file_is_smaller_and_agrees_with_its_head() {
    let bench = Bench::new();
    bench.train("unetpp", "4").succeeded();
    let mut before = 0;
    for level in ["1", "2", "3", "4"] {
        let (inspected, verified) = bench.through_int8("unetpp", &["--prune", level]);
        assert_eq!(verified["kernel_difference"], Value::Null, "level {level}: {verified}");
        assert!(verified["budgets"][0]["classes_equal"].as_f64().unwrap() > 0.9, "level {level}: {verified}");
        let macs = inspected["graphs"][0]["macs"].as_u64().unwrap();
        assert!(macs > before, "level {level}: {macs} multiply-accumulates, {before} one level up");
        before = macs;
    }
}

#[test]
fn a_network_that_cannot_be_pruned_so_is_refused() {
    let bench = Bench::new();
    bench.train("unetpp", "1").succeeded();
    bench.train("unext-s", "1").succeeded();
    let (data, blob) = (bench.path("data"), bench.path("x.kscout"));
    for (network, level, words) in [("unetpp", "5", ["--prune 5", "1 to 4"]), ("unext-s", "1", ["one head", "unetpp"])]
    {
        let reward = bench.path(network);
        let export = ["export", "--reward", &reward, "--prune", level, "--data", &data, "--out", &blob];
        kscout(&export).refused(&words);
        assert!(!std::path::Path::new(&blob).exists());
    }
}

/// The validation scores in the last row of a run's log.
fn scores(out: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{out}/log.csv")).unwrap();
    text.lines().last().unwrap().split(',').skip(3).map(str::to_owned).collect()
}

#[test]
fn a_training_begins_with_the_weights_it_is_given() {
    let bench = Bench::new();
    bench.train("unetpp", "4").succeeded();
    let (data, init, out) = (bench.path("data"), bench.path("unetpp"), bench.path("tuned"));
    let train = ["train", "reward", "--data", &data, "--out", &out, "--init", &init];
    let with = |set: &[&'static str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        kscout(&train.iter().copied().chain(set).collect::<Vec<_>>())
    };
    // A step too small to change anything, on a network without running statistics.
    let still = ["steps=1", "batch=4", "learning_rate=1e-12", "weight_decay=0", "validate_lines=[32]"];
    with(&[&["network=unetpp"], &still[..]].concat()).refused(&["unetpp of width 4", "unetpp of width 32"]);
    with(&[&["network=unet", "network_width=4"], &still[..]].concat())
        .refused(&["unetpp of width 4", "unet of width 4"]);
    assert!(!std::path::Path::new(&out).exists(), "refused before anything was written");
    with(&[&["network=unetpp", "network_width=4"], &still[..]].concat()).succeeded();
    assert_eq!(scores(&out), scores(&init));
}

#[test]
fn a_network_that_is_not_known_is_refused_with_those_that_are() {
    let bench = Bench::new();
    bench.train("unet3", "1").refused(&["unet3", "unet-bilinear", "network"]);
}

#[test]
fn bench_gives_the_time_of_each_network() {
    let bench = Bench::new();
    bench.train("unext-s", "1").succeeded();
    bench.through_int8("unext-s", &[]);
    let text = kscout(&["bench", &bench.path("unext-s.kscout"), "--runs", "3", "--json"]).succeeded();
    let times: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(times[0]["graph"], "segmenter", "{times}");
    assert!(times[0]["median_ms"].as_f64().unwrap() > 0.0, "{times}");
    assert!(times[0]["least_ms"].as_f64() <= times[0]["median_ms"].as_f64(), "{times}");
}
