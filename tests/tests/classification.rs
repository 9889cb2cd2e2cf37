//! Classifiers as reward models, and ASMR's policy, through the binary, on small phantoms.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use kscout::train::classifier::load_classifier;
use kscout_core::Complex32;
use kscout_core::kspace::Pattern;
use kscout_tests::format1::as_format1;
use kscout_tests::job::Job;
use kscout_tests::{Ran, run};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// Phantoms of 32 by 32 pixels in a folder of their own, and the patients' groups as labels.
fn phantoms(patients: usize) -> Job {
    let job = Job::new(EXE, patients, 1, 32);
    let (data, labels) = (job.path("data"), job.path("labels.csv"));
    job.run(&["data", "labels", &data, "--from", "group", "--out", &labels]).succeeded();
    job
}

/// The same pictures as PNG files without masks, imported. The phantoms stay in `phantoms`.
fn without_masks(patients: usize) -> Job {
    let job = phantoms(patients);
    fs::rename(job.path("data"), job.path("phantoms")).unwrap();
    for entry in fs::read_dir(job.path("phantoms")).unwrap().map(Result::unwrap) {
        if !entry.path().is_dir() {
            continue;
        }
        let images = Path::new(&job.path("tree")).join(entry.file_name()).join("images");
        fs::create_dir_all(&images).unwrap();
        for picture in fs::read_dir(entry.path().join("images")).unwrap().map(Result::unwrap) {
            fs::copy(picture.path(), images.join(picture.file_name())).unwrap();
        }
    }
    let (tree, data) = (job.path("tree"), job.path("data"));
    let said = job.run(&["data", "import", &tree, &data, "--format", "png", "--size", "32"]).succeeded();
    assert!(said.contains("no masks"), "{said}");
    job
}

/// A classifier of `labels`, in the folder `out`.
fn train_classifier(job: &Job, out: &str, labels: &str, keys: &[&str]) -> Ran {
    let labels = job.path(labels);
    let fixed = ["batch=8", "warmup=4", "validate_every=20", "validate_lines=[32,6]"];
    job.train("classifier", out, &[&fixed, keys].concat(), &["--labels", &labels, "--resume"])
}

/// `labels.csv` without the patient that validates.
fn labels_of_training(job: &Job) -> String {
    let labels = fs::read_to_string(job.path("labels.csv")).unwrap();
    let lines: Vec<&str> = labels.lines().filter(|line| !line.contains("005")).collect();
    job.write("training.csv", &(lines.join("\n") + "\n"))
}

fn train_segmenter(job: &Job, out: &str) {
    job.train_segmenter(out, &["steps=2", "batch=2", "validate_lines=[32]"], &[]).succeeded();
}

/// A policy that learns next to nothing, in the folder `out`.
fn train_policy(job: &Job, out: &str, options: &[&str], keys: &[&str]) -> Ran {
    let fixed = ["updates=1", "episodes=2", "min_budget=3", "max_budget=4", "epochs=1", "validate_lines=[3]"];
    job.train("line-policy", out, &[&fixed, keys].concat(), options)
}

fn checkpoint(folder: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new(folder).join("checkpoint.json")).unwrap()).unwrap()
}

/// The header and the last row of a run's log.
fn log(folder: &str) -> (String, Vec<String>) {
    let text = fs::read_to_string(Path::new(folder).join("log.csv")).unwrap();
    let header = text.lines().next().unwrap().to_owned();
    (header, text.lines().last().unwrap().split(',').map(str::to_owned).collect())
}

#[test]
fn the_groups_of_a_data_set_become_binary_labels() {
    let job = phantoms(5);
    let text = fs::read_to_string(job.path("labels.csv")).unwrap();
    assert_eq!(text.lines().next(), Some("patient,DCM,HCM,MINF,NOR,RV"));
    assert_eq!(text.lines().count(), 6);
    for line in text.lines().skip(1) {
        let ones = line.split(',').skip(1).filter(|&cell| cell == "1").count();
        assert_eq!(ones, 1, "{line}: one group a patient");
    }
}

#[test]
fn a_classifier_learns_what_can_be_seen() {
    // Five of them validate: with two an AUC says little.
    let job = phantoms(25);
    // Whether a slice is near the base, where the heart is wide, or near the apex.
    let manifest: Value = serde_json::from_str(&fs::read_to_string(job.path("data/manifest.json")).unwrap()).unwrap();
    let slices = manifest["slices"].as_array().unwrap();
    let most = slices.iter().map(|slice| slice["z"].as_u64().unwrap()).max().unwrap();
    let row = |slice: &Value| {
        let high = u8::from(slice["z"].as_u64().unwrap() > most / 2);
        format!("{},{},{high}\n", slice["patient"].as_str().unwrap(), slice["slice"])
    };
    let rows: String = slices.iter().map(row).collect();
    job.write("ends.csv", &format!("patient,slice,high\n{rows}"));
    let plain = ["rotate", "scale", "shift", "gamma"].map(|kind| format!("augment.{kind}.probability=0"));
    let easy = [&["masks.full=1"][..], &plain.each_ref().map(String::as_str)].concat();
    train_classifier(&job, "classifier", "ends.csv", &[&easy[..], &["steps=80", "learning_rate=1e-3"]].concat())
        .succeeded();
    let (header, last) = log(&job.path("classifier"));
    assert_eq!(header, "step,seconds,loss,auc_high_32,log_p_32,auc_high_6,log_p_6");
    let [loss, auc] = [2, 3].map(|column| last[column].parse::<f64>().unwrap());
    assert!(loss < 0.6 && auc > 0.7, "loss {loss}, AUC {auc}; a guess has ln 2 and 0.5");
    let meta = checkpoint(&job.path("classifier/last"));
    assert_eq!((&meta["network"], &meta["labels"][0]), (&Value::from("resnet18"), &Value::from("high")));
}

#[test]
fn a_classifier_that_was_stopped_goes_on_as_if_it_had_not() {
    let job = phantoms(5);
    let set = ["steps=4", "labels=[\"NOR\",\"RV\"]"];
    train_classifier(&job, "whole", "labels.csv", &set).succeeded();
    train_classifier(&job, "parts", "labels.csv", &[&set[..], &["stop_at=2"]].concat()).succeeded();
    train_classifier(&job, "parts", "labels.csv", &set).succeeded();
    let ((header, whole), (_, parts)) = (log(&job.path("whole")), log(&job.path("parts")));
    // The loss is a mean since the last validation, of which the stopped run had one more.
    let scores = header.split(',').position(|name| name == "auc_NOR_32").unwrap();
    assert_eq!(whole[scores..], parts[scores..]);
    let other = train_classifier(&job, "whole", "labels.csv", &["steps=8", "labels=[\"DCM\"]"]);
    other.refused(&["learned from the labels NOR, RV", "DCM", "--out"]);
    let more = [&set[..], &["steps=8", "validate_lines=[32]"]].concat();
    train_classifier(&job, "whole", "labels.csv", &more).refused(&["log.csv", "auc_NOR_6", "validate_lines"]);
}

#[test]
fn a_policy_learns_from_a_classifier() {
    let job = phantoms(5);
    train_classifier(&job, "classifier", "labels.csv", &["steps=2", "labels=[\"NOR\"]"]).succeeded();
    let (classifier, labels) = (job.path("classifier"), job.path("labels.csv"));
    let reward = ["--reward-model", &classifier, "--labels", &labels];
    for network in ["scout", "asmr"] {
        let set = [&format!("network={network}"), "reward.delay_step=2", "reward.scale=1"];
        train_policy(&job, network, &reward, &set).succeeded();
        let (header, last) = log(&job.path(network));
        let compared = "order_score,gain,gain_low,gain_high,kept";
        assert_eq!(header, format!("update,seconds,objective,entropy,kl,value_loss,auc_3,log_p_3,{compared}"));
        let log_p: f64 = last[7].parse().unwrap();
        assert!(log_p < 0.0, "{log_p} is a log-probability");
        assert_eq!(checkpoint(&job.path(&format!("{network}/last")))["network"], network);
    }
    let (data, policy, eval) = (job.path("data"), job.path("scout"), job.path("eval"));
    let what = ["eval", "--line-policy", &policy, "--data", &data, "--out", &eval, "--budgets", "3"];
    let table = run(EXE, [&what[..], &reward].concat()).succeeded();
    assert!(table.contains("AUC NOR") && table.contains("centre-out"), "{table}");
    let rows = fs::read_to_string(job.path("eval/diagnosis.csv")).unwrap();
    // One validation patient, so no two to rank: the areas are left empty.
    assert!(rows.starts_with("method,lines_per_slice,mean_auc,log_probability,auc_NOR\nfull,32,,-"), "{rows}");
    assert!(rows.lines().skip(1).all(|row| row.ends_with(',')), "{rows}");
    let patterns = Pattern::ALL.len();
    assert_eq!(rows.lines().count(), 1 + 1 + 1 + patterns, "a header, full sampling, the policy and the patterns");
    run(EXE, [&what[..], &reward[..2]].concat()).refused(&["--labels"]);
    run(EXE, [&what[..], &reward, &["--draws", "2"]].concat()).refused(&["--draws", "classifier"]);

    train_segmenter(&job, "segmenter");
    let go_on = |reward: &[&str], set: &[&str]| train_policy(&job, "scout", &[reward, &["--resume"]].concat(), set);
    go_on(&["--reward-model", &job.path("segmenter")], &[]).refused(&["learned from the labels NOR", "masks", "--out"]);
    go_on(&reward, &["reward.delay_step=2", "validate_lines=[4]"]).refused(&["log.csv", "auc_3", "validate_lines"]);

    train_policy(&job, "other", &reward, &["reward.delay_step=4"]).refused(&["reward.delay_step", "max_budget = 4"]);
    train_policy(&job, "other", &["--reward-model", &classifier], &[]).refused(&["--labels"]);
    let renamed = job.write("renamed.csv", "patient,normal\nphantom001,1\n");
    train_policy(&job, "other", &["--reward-model", &classifier, "--labels", &renamed], &[])
        .refused(&["no column `NOR`", "normal"]);
    let others = job.write("others.csv", "patient,NOR\nsomebody,1\n");
    let unknown =
        train_policy(&job, "other", &["--reward-model", &classifier, "--labels", &others], &["reward.delay_step=2"]);
    unknown.refused(&["others.csv", "train patients", &data, "named as in the data set"]);
    assert!(!Path::new(&job.path("other")).exists(), "nothing is left of what was refused");
}

#[test]
fn data_with_diagnoses_instead_of_masks_train_a_classifier_and_a_policy() {
    let job = without_masks(5);
    let (data, labels, classifier) = (job.path("data"), job.path("labels.csv"), job.path("classifier"));
    let info = run(EXE, ["data", "info", &data]).succeeded();
    assert!(info.contains("no masks") && info.contains("no problems found"), "{info}");
    assert!(!Path::new(&(data.clone() + "/patient001/labels")).exists());
    train_classifier(&job, "classifier", "labels.csv", &["steps=2", "labels=[\"NOR\"]"]).succeeded();
    let reward = ["--reward-model", &classifier, "--labels", &labels];
    train_policy(&job, "policy", &reward, &["reward.delay_step=2"]).succeeded();
    let (policy, eval) = (job.path("policy"), job.path("eval"));
    let what = ["eval", "--line-policy", &policy, "--data", &data, "--out", &eval, "--budgets", "3"];
    let table = run(EXE, [&what[..], &reward].concat()).succeeded();
    assert!(table.contains("AUC NOR") && table.contains("policy"), "{table}");
}

#[test]
fn what_needs_masks_is_refused_without_them() {
    let job = without_masks(5);
    let (data, phantoms, segmenter) = (job.path("data"), job.path("phantoms"), job.path("segmenter"));
    let (blob, out) = (job.path("heart.kscout"), job.path("out"));
    let train = ["train", "segmenter", "--data", &phantoms, "--out", &segmenter];
    run(EXE, [&train[..], &["--set", "steps=1", "--set", "batch=2", "--set", "validate_lines=[]"]].concat())
        .succeeded();
    run(EXE, ["export", "--segmenter", &segmenter, "--data", &data, "--out", &blob]).succeeded();

    let no_masks = [&data, "has no masks", "labels/ folders", "classifier"];
    job.train_segmenter("out", &[], &[]).refused(&no_masks);
    train_policy(&job, "out", &["--reward-model", &segmenter], &[]).refused(&no_masks);
    for model in [["--reward-model", &segmenter], ["--model", &blob]] {
        run(EXE, [&["eval", "--data", &data, "--out", &out][..], &model].concat()).refused(&no_masks);
    }
    run(EXE, ["verify", &blob, "--segmenter", &segmenter, "--data", &data]).refused(&no_masks);
    run(EXE, ["sampler", "--data", &data]).refused(&no_masks);
    assert!(!Path::new(&out).exists(), "nothing is left of what was refused");
    let said = run(EXE, ["scan", &blob, "--data", &data, "--slice", "patient001/0", "--budget", "4"]).succeeded();
    assert!(said.contains("Dice    not known"), "{said}");
}

#[test]
fn without_labels_of_the_validation_patients_there_is_no_score() {
    let job = phantoms(5);
    let (data, labels, eval) = (job.path("data"), labels_of_training(&job), job.path("eval"));
    let set = ["steps=3", "labels=[\"NOR\"]"];
    train_classifier(&job, "unscored", "training.csv", &set).succeeded();
    assert_eq!(log(&job.path("unscored")).0, "step,seconds,loss");
    assert!(checkpoint(&job.path("unscored/last"))["score"].is_null());

    // Nor does it matter to the weights and statistics that are saved.
    train_classifier(&job, "scored", "labels.csv", &set).succeeded();
    let image: Vec<Complex32> = (0..32 * 32).map(|i| Complex32::new((i % 7) as f32, (i % 5) as f32)).collect();
    let opinion = |name: &str| {
        let (diagnoser, _) = load_classifier(Path::new(&job.path(name)), &Device::flex()).unwrap();
        diagnoser.predictions(&[&image]).unwrap()
    };
    assert_eq!(opinion("unscored"), opinion("scored"));

    let reward = ["--reward-model", &job.path("unscored"), "--labels", &labels];
    train_policy(&job, "policy", &reward, &["reward.delay_step=2"]).succeeded();
    assert_eq!(log(&job.path("policy")).0, "update,seconds,objective,entropy,kl,value_loss");
    assert!(checkpoint(&job.path("policy/last"))["score"].is_null());
    let what = ["eval", "--data", &data, "--out", &eval, "--budgets", "3"];
    run(EXE, [&what[..], &reward].concat()).refused(&["training.csv", "val patients", &data]);
    assert!(!Path::new(&eval).exists());
}

#[test]
fn a_policy_that_validates_at_no_number_of_lines_has_no_score() {
    let job = phantoms(5);
    train_segmenter(&job, "segmenter");
    train_policy(&job, "policy", &["--reward-model", &job.path("segmenter")], &["validate_lines=[]"]).succeeded();
    assert!(checkpoint(&job.path("policy/last"))["score"].is_null());
}

#[test]
fn asmrs_policy_is_for_the_host_alone() {
    let job = phantoms(5);
    train_segmenter(&job, "segmenter");
    let (data, segmenter, policy) = (job.path("data"), job.path("segmenter"), job.path("policy"));
    train_policy(&job, "policy", &["--reward-model", &segmenter], &["network=asmr"]).succeeded();
    assert!(log(&job.path("policy")).0.contains(",dice_3,order_score,"));
    // One patient validates, so that the run keeps the fixed order. As a run of before would have left it:
    let mut last = checkpoint(&job.path("policy/last"));
    as_format1(&mut last).remove("standing");
    fs::write(job.path("policy/last/checkpoint.json"), last.to_string()).unwrap();

    let (eval, networks) = (job.path("eval"), ["--segmenter", &segmenter, "--line-policy", &policy, "--data", &data]);
    let evaluate = |budgets| {
        run(
            EXE,
            [&["eval", "--reward-model", &segmenter][..], &networks[2..], &["--out", &eval, "--budgets", budgets]]
                .concat(),
        )
    };
    let table = evaluate("3,4").succeeded();
    assert!(table.contains("policy") && table.contains("centre-out"), "{table}");

    let blob = job.path("heart.kscout");
    let export = run(EXE, [&["export"][..], &networks, &["--out", &blob]].concat());
    export.refused(&["`asmr` policy runs on the host only", "`scout` is the one that can be exported"]);
    assert!(!Path::new(&blob).exists());
    run(EXE, ["export", "--segmenter", &segmenter, "--data", &data, "--out", &blob]).succeeded();
    run(EXE, [&["verify", &blob][..], &networks].concat()).refused(&["`scout` is the one that can be exported"]);
}

#[test]
fn a_training_of_asmrs_policy_that_was_stopped_goes_on_as_if_it_had_not() {
    let job = phantoms(5);
    train_segmenter(&job, "segmenter");
    let reward = ["--reward-model", &job.path("segmenter"), "--resume"];
    let set = ["network=asmr", "updates=2", "validate_every=1"];
    train_policy(&job, "whole", &reward, &set).succeeded();
    train_policy(&job, "parts", &reward, &[&set[..], &["stop_at=1"]].concat()).succeeded();
    train_policy(&job, "parts", &reward, &set).succeeded();
    let (whole, parts) = (log(&job.path("whole")).1, log(&job.path("parts")).1);
    // All but the seconds, which come second.
    assert_eq!((&whole[0], &whole[2..]), (&parts[0], &parts[2..]));
}

#[test]
fn asmrs_policy_counts_to_59_lines() {
    let job = phantoms(5);
    let (wide, segmenter) = (job.path("wide"), job.path("segmenter"));
    run(EXE, ["data", "phantom", &wide, "--patients", "5", "--size", "64"]).succeeded();
    for set in ["max_budget=60", "validate_lines=[60]"] {
        let args = ["train", "line-policy", "--data", &wide, "--reward-model", &segmenter, "--out", &job.path("out")];
        run(EXE, [&args[..], &["--set", "network=asmr", "--set", set]].concat()).refused(&[
            "max_budget, validate_lines",
            "60 lines",
            "counts to 59",
        ]);
    }
}

#[test]
fn what_a_classifier_cannot_use_is_refused() {
    let job = phantoms(5);
    let data = job.path("data");
    job.train("classifier", "out", &[], &[]).refused(&["--labels <FILE.csv>"]);
    job.train_segmenter("out", &[], &["--labels", &job.path("labels.csv")])
        .refused(&["unexpected argument '--labels'"]);
    train_classifier(&job, "out", "labels.csv", &["kind=regression"]).refused(&["`kind`", "\"classification\""]);
    job.write("bad.csv", "patient,ill\nphantom001,1\nphantom002,perhaps\n");
    train_classifier(&job, "out", "bad.csv", &[]).refused(&[
        "bad.csv, line 3",
        "`perhaps`",
        "expected 0, 1 or nothing",
    ]);
    job.write("others.csv", "patient,ill\nsomebody,1\n");
    train_classifier(&job, "out", "others.csv", &[]).refused(&["others.csv", &data, "named as in the data set"]);
    train_classifier(&job, "out", "labels.csv", &["labels=[\"ill\"]"]).refused(&["no column `ill`", "DCM"]);
    train_classifier(&job, "out", "labels.csv", &["labels=[\"NOR\",\"NOR\"]"]).refused(&["NOR, NOR", "named once"]);
    train_classifier(&job, "out", "labels.csv", &["learning_rate=0"])
        .refused(&["`learning_rate`", "from 1e-12 to 100"]);
    train_classifier(&job, "out", "labels.csv", &["weight_decay=-1"]).refused(&["`weight_decay`", "from 0 to 100"]);
    train_classifier(&job, "out", "labels.csv", &["validate_lines=[0]"]).refused(&["`validate_lines`", "from 1 to "]);
    assert!(!Path::new(&job.path("out")).exists(), "nothing is left of what was refused");
}
