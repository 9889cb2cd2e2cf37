//! Numbers that cannot mislead: `verify` fails where it should, results are not overwritten, and tables say what their means leave
//! out.

use std::fs;
use std::path::Path;

use kscout::data::Dataset;
use kscout::data::png_tree::write_label;
use kscout_core::model::{Model, OperatorRepr, blob};
use kscout_tests::format1::as_format1;
use kscout_tests::job::Job;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 32;

/// A phantom, the segmenters `one` and `other`, and the file of the first.
fn job() -> Job {
    let job = Job::new(EXE, 5, 3, SIDE);
    for (name, seed) in [("one", "seed=1"), ("other", "seed=2")] {
        let keys = ["network_width=4", "batch=4", "learning_rate=1e-2", "warmup=2", "validate_lines=[32]", seed];
        job.train_segmenter(name, &[&keys[..], &["steps=60"]].concat(), &[]).succeeded();
    }
    export(&job, "one", "one.kscout");
    job
}

fn export(job: &Job, reward: &str, file: &str) -> String {
    let [data, reward, file] = ["data", reward, file].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &reward, "--data", &data, "--out", &file]).succeeded();
    file
}

fn verify(job: &Job, file: &str, reward: &str, options: &[&str]) -> kscout_tests::Ran {
    let [data, file, reward] = ["data", file, reward].map(|name| job.path(name));
    let usual = ["verify", &file, "--segmenter", &reward, "--data", &data, "--budgets", "8,16"];
    job.run(&[&usual[..], options].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

/// What `inspect` says of which weights the file's segmenter was made from.
fn hash_in(job: &Job, file: &str) -> Value {
    let inspected = json(&job.run(&["inspect", &job.path(file), "--json"]).succeeded());
    inspected["graphs"][0]["weights_hash"].clone()
}

/// The file with every weight of its last convolution 0 and the checksum made right.
fn without_a_head(file: &str, out: &str) {
    let mut bytes = fs::read(file).unwrap();
    let model = Model::new_checked(&bytes).unwrap();
    let nodes = model.segmenter().unwrap();
    let weights = nodes.nodes().filter_map(|node| match node.op {
        OperatorRepr::Conv2d(conv) => Some((conv.weights.as_ptr() as usize, conv.weights.len())),
        _ => None,
    });
    let (start, length) = weights.last().expect("a convolution");
    let start = start - bytes.as_ptr() as usize;
    bytes[start..start + length].fill(0);
    let checksum = blob::checksum(&bytes);
    bytes[blob::CHECKSUM_FIELD].copy_from_slice(&checksum.to_le_bytes());
    fs::write(out, bytes).unwrap();
}

#[test]
fn verify_passes_an_honest_file_and_fails_one_of_other_weights_or_broken_numbers() {
    let job = job();
    let said = verify(&job, "one.kscout", "one", &[]).succeeded();
    for words in ["at most 0.02", "at least 95 %", "passed", "same class: pixels", "digest"] {
        assert!(said.contains(words), "`{words}` is missing: {said}");
    }
    assert!(!said.contains("FAILED") && !said.contains("worth") && !said.contains("behind"), "{said}");
    let told = json(&verify(&job, "one.kscout", "one", &["--json"]).succeeded());
    let checks = told["checks"].as_array().unwrap();
    assert!(checks.len() == 2 && checks.iter().all(|check| check["passed"] == true), "{told}");

    // Another checkpoint, by its hash, however alike its numbers are.
    verify(&job, "one.kscout", "other", &["--tolerance", "1", "--pixels", "0"]).refused(&[
        "other",
        "not the checkpoint that the segmenter in",
        "one.kscout was made from",
        "hash",
    ]);
    // The right checkpoint and hash, but weights that were lost on the way into the file.
    without_a_head(&job.path("one.kscout"), &job.path("broken.kscout"));
    assert_eq!(hash_in(&job, "broken.kscout"), hash_in(&job, "one.kscout"));
    let broken = verify(&job, "broken.kscout", "one", &[]);
    assert!(broken.stdout.contains("FAILED"), "measured values and bars are printed first: {}", broken.stdout);
    broken.refused(&["int8 does not do what the networks do in f32", "Dice, difference", "(at most 0.02)"]);
    verify(&job, "broken.kscout", "one", &["--tolerance", "1", "--pixels", "0"]).succeeded();

    for number in ["nan", "-nan", "inf", "-inf", "-0.1", "1.5", "1e308", "x"] {
        for option in ["--tolerance", "--pixels", "--choices"] {
            let given = format!("{option}={number}");
            verify(&job, "one.kscout", "one", &[&given]).refused(&[option, number]);
        }
    }
}

#[test]
fn a_checkpoint_and_the_files_made_of_it_have_one_hash() {
    let job = job();
    let record = |name: &str| job.path(&format!("{name}/last/checkpoint.json"));
    let stored = json(&fs::read_to_string(record("one")).unwrap())["weights_hash"].clone();
    assert_eq!(stored, hash_in(&job, "one.kscout"));
    let text = job.run(&["inspect", &job.path("one.kscout")]).succeeded();
    assert!(text.contains(&format!("weights of hash {}", stored.as_str().unwrap())), "{text}");
    assert!(text.contains("axes: not known"), "{text}");

    // A record of before does not have it; it is that of the weights all the same.
    let mut old = json(&fs::read_to_string(record("one")).unwrap());
    as_format1(&mut old).remove("weights_hash");
    old["axis_codes"] = "LPS".into();
    fs::write(record("one"), old.to_string()).unwrap();
    export(&job, "one", "old.kscout");
    assert_eq!(hash_in(&job, "old.kscout"), stored);
    let inspected = json(&job.run(&["inspect", &job.path("old.kscout"), "--json"]).succeeded());
    assert_eq!(inspected["axes"], "LPS");

    // Weights of one checkpoint beside the record of another.
    fs::copy(job.path("one/last/weights.bpk"), job.path("other/last/weights.bpk")).unwrap();
    let [data, other, out] = ["data", "other", "mixed.kscout"].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &other, "--data", &data, "--out", &out])
        .refused(&["weights.bpk", "checkpoint.json"]);
    old["axis_codes"] = "LLS".into();
    fs::write(record("one"), old.to_string()).unwrap();
    let one = job.path("one");
    job.run(&["export", "--segmenter", &one, "--data", &data, "--out", &out]).refused(&[
        "checkpoint.json",
        "LLS",
        "LPS",
    ]);
}

fn eval(job: &Job, out: &str, options: &[&str]) -> kscout_tests::Ran {
    let [data, model, out] = ["data", "one.kscout", out].map(|name| job.path(name));
    let usual = ["eval", "--model", &model, "--data", &data, "--out", &out, "--budgets", "6"];
    job.run(&[&usual[..], &["--baselines", "centre-out,random"], options].concat())
}

#[test]
fn results_are_replaced_only_where_that_is_asked_for() {
    let job = job();
    eval(&job, "eval", &["--panels", "1"]).succeeded();
    let results = job.path("eval/results.csv");
    let before = fs::read(&results).unwrap();
    fs::write(job.path("eval/notes.txt"), "mine").unwrap();
    eval(&job, "eval", &["--seed", "2"]).refused(&[&job.path("eval"), "results.csv", "--force"]);
    assert_eq!(fs::read(&results).unwrap(), before);
    eval(&job, "eval", &["--seed", "2", "--panels", "0", "--force"]).succeeded();
    assert_ne!(fs::read(&results).unwrap(), before);
    let names: Vec<String> = fs::read_dir(job.path("eval"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with("panel_")), "pictures of before are gone: {names:?}");
    assert!(names.contains(&"notes.txt".to_owned()), "{names:?}");

    // As a kill in the middle of the first tables leaves it.
    fs::create_dir_all(job.path("half/acdc")).unwrap();
    fs::write(job.path("half/acdc/centre-out_6.csv"), "Name").unwrap();
    eval(&job, "half", &[]).refused(&[&job.path("half"), "acdc/centre-out_6.csv", "--force"]);
    eval(&job, "half", &["--force"]).succeeded();
    assert!(Path::new(&job.path("half/report.md")).is_file());
}

/// Takes the LV, which the segmenter finds, out of all labels.
fn without_lv(data: &str) {
    let set = Dataset::open(Path::new(data)).unwrap();
    for split in [kscout::data::Split::Train, kscout::data::Split::Val, kscout::data::Split::Test] {
        for slice in set.slices(split) {
            let label = slice.label.iter().map(|&class| if class == 3 { 0 } else { class }).collect();
            let path = Path::new(data).join(format!("{}/labels/{}.png", slice.id.patient, slice.id.n));
            write_label(&path, slice.height, slice.width, label).unwrap();
        }
    }
}

/// Column `name` of the rows of a method at so many lines.
fn column(results: &str, (method, lines): (&str, usize), name: &str) -> Vec<Option<f64>> {
    let place = results.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    let rows = results.lines().filter(|row| row.starts_with(&format!("{method},{lines},")));
    rows.map(|row| row.split(',').nth(place).unwrap().parse().ok()).collect()
}

#[test]
fn a_class_that_no_truth_has_is_left_out_and_few_patients_are_said() {
    let job = job();
    without_lv(&job.path("data"));
    let said = eval(&job, "eval", &[]).succeeded();
    let absent = "LV does not occur in the truth of these data: it is left out of all means";
    let few = "the intervals are of 1 patient; of fewer than 8";
    assert!(said.contains(absent) && said.contains(few), "{said}");
    let report = fs::read_to_string(job.path("eval/report.md")).unwrap();
    assert!(report.contains(absent) && report.contains(few), "{report}");
    let told = json(&fs::read_to_string(job.path("eval/results.json")).unwrap());
    let entries = told["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["method"] == "random").unwrap();
    assert!(entry["dice"][2].is_null() && entry["dice"][1].is_number(), "{entry}");

    let results = fs::read_to_string(job.path("eval/results.csv")).unwrap();
    let methods = [("full", SIDE), ("centre-out", 6), ("random", 6)];
    let found = |of| column(&results, of, "dice_lv").contains(&Some(0.0));
    assert!(methods.into_iter().any(found), "the LV is found where there is none: {results}");
    let means = methods.map(|(method, lines)| {
        let [rv, myo] = ["dice_rv", "dice_myo"].map(|name| column(&results, (method, lines), name));
        let of_volumes = rv.iter().zip(&myo).map(|(a, b)| (a.unwrap() + b.unwrap()) / 2.0);
        let mean = of_volumes.sum::<f64>() / myo.len() as f64;
        assert!((job.mean_dice("eval", method, lines) - mean).abs() < 1e-9, "{method}, {mean}: {told}");
        mean
    });

    let out = job.path("eval");
    let [first, second] = ["random", "centre-out"].map(|method| format!("{out}:{method}"));
    let compared = job.run(&["compare", &first, "--with", &second]).succeeded();
    assert!(
        compared.contains(&format!("{:.4}", means[2])) && compared.contains(absent) && compared.contains(few),
        "{compared}"
    );
    for words in ["worth", "behind by", "share of the way"] {
        assert!(!compared.contains(words), "{compared}");
    }

    let train = ["network_width=4", "batch=2", "steps=1", "validate_lines=[8]"];
    let trained = job.train_segmenter("third", &train, &[]);
    assert!(trained.stderr.contains(absent), "{}", trained.stderr);
    let log = fs::read_to_string(job.path("third/log.csv")).unwrap();
    let [head, row] = [0, 1].map(|line| log.lines().nth(line).unwrap().split(',').collect::<Vec<_>>());
    let lv = head.iter().position(|name| name.contains("_lv_")).unwrap();
    assert!(row[lv].is_empty() && !row[lv - 1].is_empty(), "{log}");
}

#[test]
fn compare_says_what_there_is_to_compare() {
    let job = job();
    eval(&job, "eval", &[]).succeeded();
    let out = job.path("eval");
    let centre = format!("{out}:centre-out");
    let methods = "has the methods full, centre-out, random";
    job.run(&["compare", &centre, "--with", &format!("{out}:nobody")]).refused(&["`nobody`", methods]);
    job.run(&["compare", &out]).refused(&[methods, "kscout compare", "--with"]);
    job.run(&["compare", &centre]).refused(&["--with", methods]);
    job.run(&["compare"]).refused(&["nothing to compare", "kscout eval", "--with"]);
    let compared = job.run(&["compare", &centre, "--with", &format!("{out}:random")]).succeeded();
    for words in ["compared with", "difference: Dice of the method less", "better, worse: patients", "1 patient"] {
        assert!(compared.contains(words), "`{words}` is missing: {compared}");
    }
}
