//! The choices of `kscout train segmenter`, on a small phantom: what they do to a run, and that a run in parts is the same run.

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use kscout::net::Segmenter;
use kscout::train::checkpoint::{load_training_weights, read_meta};
use kscout::train::segmenter::load_segmenter;
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// A folder with a data set of 32x32 phantoms and runs on it.
struct Runs {
    tmp: tempfile::TempDir,
}

impl Runs {
    fn on_phantoms(more: &[&str]) -> Self {
        let runs = Self { tmp: tempfile::tempdir().unwrap() };
        let data = runs.path("data");
        let make = ["data", "phantom", &data, "--patients", "5", "--seed", "3", "--size", "32"];
        run(EXE, make.iter().chain(more)).succeeded();
        runs
    }

    fn path(&self, name: &str) -> String {
        self.tmp.path().join(name).display().to_string()
    }

    /// Trains, or goes on, in the folder `out`.
    fn train(&self, out: &str, set: &[&str]) -> Ran {
        let (data, out) = (self.path("data"), self.path(out));
        let mut args = vec!["train", "segmenter", "--data", &data, "--out", &out, "--resume"];
        let fixed = ["batch=4", "warmup=1", "validate_every=2", "validate_lines=[16]", "learning_rate=0.01"];
        for set in fixed.iter().chain(set) {
            args.extend(["--set", set]);
        }
        run(EXE, args)
    }

    fn rows(&self, out: &str) -> usize {
        fs::read_to_string(self.path(out) + "/log.csv").unwrap().lines().count() - 1
    }

    /// The mean loss in the last row of the log.
    fn loss(&self, out: &str) -> f64 {
        let log = fs::read_to_string(self.path(out) + "/log.csv").unwrap();
        log.lines().last().unwrap().split(',').nth(2).unwrap().parse().unwrap()
    }

    /// The network for use.
    fn network(&self, out: &str) -> Segmenter {
        load_segmenter(Path::new(&self.path(out)), None, &Device::flex()).unwrap().0
    }

    /// The network that training goes on with.
    fn network_in_training(&self, out: &str) -> Segmenter {
        load_training_weights(Path::new(&(self.path(out) + "/last")), self.network(out)).unwrap()
    }
}

/// Every parameter and running statistic.
fn values(network: &Segmenter) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().try_into_vec::<f32>().unwrap());
        }
    }
    let mut collect = Collect(Vec::new());
    network.visit(&mut collect);
    collect.0
}

fn largest_difference(a: &Segmenter, b: &Segmenter) -> f32 {
    values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_run_in_parts_keeps_momentum_average_plateau_and_patience() {
    let runs = Runs::on_phantoms(&[]);
    // No score is better by 1, so that the learning rate falls at every validation after the first.
    let set = [
        "steps=8",
        "optimizer=sgd",
        "nesterov=true",
        "schedule=plateau",
        "plateau_patience=1",
        "stop_patience=9",
        "min_delta=1",
        "ema_decay=0.9",
        "accumulate=2",
        "clip_norm=1",
        "clip_value=0.5",
    ];
    runs.train("whole", &set).succeeded();
    for stop_at in ["stop_at=3", "stop_at=6", "stop_at=0"] {
        runs.train("parts", &[&set[..], &[stop_at]].concat()).succeeded();
    }
    let meta = |out: &str| read_meta(Path::new(&runs.path(out))).unwrap().1;
    let (whole, parts) = (meta("whole"), meta("parts"));
    assert_eq!(parts.progress, whole.progress);
    assert_eq!((whole.progress.plateau.falls, whole.progress.stopping.waited, whole.progress.averaged), (3, 3, 8));
    assert_eq!(parts.score, whole.score);
    assert_eq!(values(&runs.network("parts")), values(&runs.network("whole")));
    assert_eq!(values(&runs.network_in_training("parts")), values(&runs.network_in_training("whole")));
    let apart = largest_difference(&runs.network("whole"), &runs.network_in_training("whole"));
    assert!(apart > 1e-3, "average and weights are {apart} apart");
}

#[test]
fn every_optimizer_goes_on_as_if_it_had_not_stopped() {
    let runs = Runs::on_phantoms(&[]);
    for optimizer in ["sgd", "adam", "adamw", "rmsprop"] {
        let (whole, parts) = (format!("whole-{optimizer}"), format!("parts-{optimizer}"));
        let optimizer = format!("optimizer={optimizer}");
        let set = ["steps=4", &optimizer, "network_width=5", "schedule=step", "decay_every=2", "loss=lovasz-dice"];
        runs.train(&whole, &set).succeeded();
        runs.train(&parts, &[&set[..], &["stop_at=2"]].concat()).succeeded();
        runs.train(&parts, &set).succeeded();
        assert_eq!(values(&runs.network(&parts)), values(&runs.network(&whole)), "{optimizer}");
    }
}

#[test]
fn parts_of_a_batch_add_up_to_the_whole() {
    let runs = Runs::on_phantoms(&[]);
    // No batch norm in this network, and a mean over pixels for a loss: nothing that a part would see differently.
    let set = ["steps=2", "network=unetpp", "network_width=2", "optimizer=sgd", "ema_decay=0"];
    runs.train("one", &[&set[..], &["loss=ce"]].concat()).succeeded();
    runs.train("four", &[&set[..], &["loss=ce", "accumulate=4"]].concat()).succeeded();
    runs.train("other", &[&set[..], &["loss=focal"]].concat()).succeeded();
    let apart = largest_difference(&runs.network("one"), &runs.network("four"));
    assert!(apart < 1e-6, "{apart} apart");
    let other = largest_difference(&runs.network("one"), &runs.network("other"));
    assert!(other > 1e-5, "another loss trains otherwise, but by {other}");
}

#[test]
fn a_run_ends_when_validation_gets_no_better_and_stays_ended() {
    let runs = Runs::on_phantoms(&[]);
    let set = ["steps=20", "stop_patience=2", "min_delta=1"];
    let said = runs.train("run", &set).succeeded();
    assert!(said.contains("ended at step 6"), "{said}");
    assert_eq!(runs.rows("run"), 3);
    let said = runs.train("run", &set).succeeded();
    assert!(said.contains("ended at step 6"), "{said}");
    assert_eq!(runs.rows("run"), 3, "no step more");
    runs.train("run", &["steps=8", "stop_patience=0"]).succeeded();
    assert_eq!(runs.rows("run"), 4, "it can be told to go on");
}

#[test]
fn waiting_for_a_better_score_needs_validation_slices() {
    let runs = Runs::on_phantoms(&["--split", "train"]);
    runs.train("run", &["steps=2", "schedule=plateau"]).refused(&["`schedule`", "validation slices"]);
    runs.train("run", &["steps=2", "stop_patience=1"]).refused(&["`stop_patience`", "validation slices"]);
    assert!(!Path::new(&runs.path("run")).exists());
    runs.train("run", &["steps=2"]).succeeded();
}

#[test]
fn a_choice_that_does_not_work_is_refused_by_its_key_and_leaves_nothing() {
    let runs = Runs::on_phantoms(&[]);
    runs.train("run", &["accumulate=3"]).refused(&["`accumulate`", "divisor of batch"]);
    runs.train("run", &["network=unetpp", "head_weights=[1,1]"]).refused(&["`head_weights`", "4 heads of unetpp"]);
    runs.train("run", &["loss=dice"]).refused(&["loss", "dice", "bce-dice"]);
    assert!(!Path::new(&runs.path("run")).exists());
}

#[test]
fn heads_that_are_not_supervised_do_not_learn() {
    let runs = Runs::on_phantoms(&[]);
    let head = |out: &str, level: usize| match runs.network(out) {
        Segmenter::UnetPp(network) => network.column[level - 1].head.weight.val().into_data(),
        other => panic!("{other:?}"),
    };
    let set = ["network=unetpp", "network_width=2"];
    for (out, more) in [("all", "deep_supervision=true"), ("last", "deep_supervision=false")] {
        for steps in ["1", "2"] {
            let (out, steps) = (format!("{out}{steps}"), format!("steps={steps}"));
            runs.train(&out, &[&set[..], &[&steps, more]].concat()).succeeded();
        }
    }
    for level in 1..=4 {
        assert_ne!(head("all1", level), head("all2", level), "head {level} learns");
        assert_eq!(head("last1", level) == head("last2", level), level < 4, "head {level}");
    }
}

#[test]
fn narrow_types_train_alike_and_keep_their_weights_in_f32() {
    let runs = Runs::on_phantoms(&[]);
    let set = ["steps=4", "validate_every=4"];
    runs.train("f32", &set).succeeded();
    for precision in ["bf16", "f16"] {
        let key = format!("precision={precision}");
        runs.train(precision, &[&set[..], &[&key]].concat()).succeeded();
        let (narrow, wide) = (runs.loss(precision), runs.loss("f32"));
        assert!((narrow / wide - 1.0).abs() < 0.05, "{precision}: {narrow}, in f32 {wide}");
        // A weight in a narrow type has zeros below.
        let fine = values(&runs.network(precision)).iter().filter(|v| v.to_bits() & 0x1fff != 0).count();
        assert!(fine > 100_000, "{precision}: {fine} values with more digits");
        runs.train(precision, &["steps=5", &key]).succeeded();
    }
}

#[test]
fn a_loss_scale_that_f16_cannot_hold_is_said() {
    let runs = Runs::on_phantoms(&[]);
    let set = ["steps=40", "batch=1", "validate_every=40", "precision=f16", "loss_scale=1e30", "clip_value=1"];
    runs.train("run", &set).refused(&["step 20", "f16", "`loss_scale`"]);
}

#[test]
fn any_number_of_threads_gives_the_same_weights() {
    let runs = Runs::on_phantoms(&[]);
    let hash = |out: &str, network: &str, threads: &str| {
        let (data, out) = (runs.path("data"), runs.path(out));
        let mut args = vec!["train", "segmenter", "--data", &data, "--out", &out, "--threads", threads];
        let keys =
            ["steps=3", "batch=4", "warmup=1", "validate_every=3", "validate_lines=[16]", "network_width=8", network];
        keys.iter().for_each(|key| args.extend(["--set", key]));
        run(EXE, args).succeeded();
        read_meta(Path::new(&out)).unwrap().1.weights_hash.expect("a hash")
    };
    for network in ["unext-s", "unet", "unetpp"] {
        let hashes = ["1", "2", "5"]
            .map(|threads| hash(&format!("{network}-{threads}"), &format!("network={network}"), threads));
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{network}: {hashes:?}");
    }
}
