//! A line policy begins as a fixed order of lines, and only what is surely better takes its place; through the binary, on small
//! phantoms.

use std::fs;
use std::path::Path;

use kscout_tests::Ran;
use kscout_tests::format1::as_format1;
use kscout_tests::job::Job;
use serde_json::{Value, json};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 32;
/// A slice of a patient that validates.
const SLICE: &str = "patient005/2";

/// Phantoms of `patients`, every fifth of whom validates, and a segmenter that has learned next to nothing.
fn phantoms(patients: usize) -> Job {
    let job = Job::new(EXE, patients, 1, SIDE);
    job.train_segmenter("reward", &["steps=2", "batch=2", "validate_lines=[32]"], &[]).succeeded();
    job
}

fn train(job: &Job, out: &str, keys: &[&str], options: &[&str]) -> Ran {
    let fixed = ["updates=2", "episodes=4", "min_budget=3", "max_budget=6", "validate_every=1", "validate_lines=[3,6]"];
    job.train_line_policy(("reward", out), &[&fixed, keys].concat(), options)
}

/// A file as `kscout train mask` writes it, with these lines.
fn mask(job: &Job, name: &str, lines: &[usize]) -> String {
    let provenance = json!({
        "command": "kscout train mask", "segmenter": "reward", "data": "data", "protocol": "scanner",
        "reconstruction": "zero-filled", "seed": 1, "score": "dice", "nearest": 32, "volumes": [], "slices": 0
    });
    let scores = vec![0.5; lines.len()];
    let mask = json!({
        "format": "kscout learned mask 1", "width": SIDE, "lines": lines, "scores": scores, "provenance": provenance
    });
    job.write(name, &mask.to_string())
}

fn record(job: &Job, checkpoint: &str) -> Value {
    serde_json::from_slice(&fs::read(job.path(checkpoint) + "/checkpoint.json").unwrap()).unwrap()
}

/// The rows of a run's log by column, without its seconds.
fn log(job: &Job, out: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let text = fs::read_to_string(job.path(out) + "/log.csv").unwrap();
    let mut rows: Vec<Vec<String>> = text.lines().map(|row| row.split(',').map(str::to_owned).collect()).collect();
    rows.iter_mut().for_each(|row| drop(row.remove(1)));
    (rows.remove(0), rows)
}

fn export(job: &Job, policy: &str, out: &str) -> Ran {
    let [data, reward, policy, out] = ["data", "reward", policy, out].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &reward, "--line-policy", &policy, "--data", &data, "--out", &out])
}

/// The lines that the file `model` measures of a slice, and all that `scan` says.
fn scan(job: &Job, model: &str, budget: usize) -> (Vec<usize>, String) {
    let [model, data] = [model, "data"].map(|name| job.path(name));
    let said = job.run(&["scan", &model, "--data", &data, "--slice", SLICE, "--budget", &budget.to_string()]);
    let said = said.succeeded();
    let lines = said.lines().find_map(|line| line.strip_prefix("lines   ")).expect("lines");
    (lines.split(' ').map(|line| line.parse().unwrap()).collect(), said)
}

/// From the centre outwards, without the lines that `first` has.
fn centre_out_after(first: &[usize]) -> Vec<usize> {
    let all = (1..=SIDE).map(|n| if n % 2 == 0 { SIDE / 2 - n / 2 } else { SIDE / 2 + n / 2 });
    first.iter().copied().chain(all.filter(|line| !first.contains(line))).collect()
}

#[test]
fn what_gains_nothing_leaves_the_fixed_order_and_says_so_wherever_the_policy_is_used() {
    let job = phantoms(40);
    // Lines that nobody would think of, then the centre: the policy does not move.
    let first = [16, 3, 29, 15];
    let file = mask(&job, "mask.json", &first);
    let said = train(&job, "policy", &["learning_rate=1e-12"], &["--mask", &file]).succeeded();
    assert!(said.contains("learned-mask, Dice at 3 lines") && said.contains("centre-out, Dice at 3 lines"), "{said}");
    let kept = "the fixed order `learned-mask` is kept: the learned network gains +0.0000 [+0.0000, +0.0000] Dice (8 patients)";
    assert!(said.trim_end().ends_with(&format!("policy: update 2; {kept}")), "{said}");

    let (columns, rows) = log(&job, "policy");
    assert_eq!(columns[5..], ["dice_3", "dice_6", "order_score", "gain", "gain_low", "gain_high", "kept"]);
    for row in &rows {
        let mean = (row[5].parse::<f64>().unwrap() + row[6].parse::<f64>().unwrap()) / 2.0;
        assert!((mean - row[7].parse::<f64>().unwrap()).abs() < 2e-4, "{row:?}");
        assert_eq!(row[8..], ["0.0000", "0.0000", "0.0000", "fixed-order"]);
    }
    for checkpoint in ["policy/best", "policy/last"] {
        let standing = &record(&job, checkpoint)["standing"];
        assert_eq!(standing["acting"], "fixed-order", "{checkpoint}");
        assert!(kept.ends_with(standing["reason"].as_str().unwrap()), "{standing}");
    }

    let order = centre_out_after(&first);
    let mut files = Vec::new();
    let shown = "the fixed order of lines 16, 3, 29, 15, 17, 14, 18, 13 and on";
    for (name, out) in [("policy", "run.kscout"), ("policy/best", "best.kscout"), ("policy/last", "last.kscout")] {
        let exported = export(&job, name, out);
        assert!(exported.stderr.contains(kept), "{}", exported.stderr);
        exported.succeeded();
        files.push(fs::read(job.path(out)).unwrap());
        for budget in [1, 3, 6, 20, 32] {
            let (lines, said) = scan(&job, out, budget);
            assert_eq!(lines, order[..budget], "{name}");
            assert!(said.contains("by policy") && said.contains(shown), "{said}");
        }
    }
    assert!(files[0] == files[1] && files[1] == files[2], "one order, one file");
    let [data, reward, policy, model] = ["data", "reward", "policy", "run.kscout"].map(|name| job.path(name));
    let listing = job.run(&["inspect", &model]).succeeded();
    assert!(listing.contains(kept) && listing.contains(shown), "{listing}");
    let networks = ["--segmenter", &reward, "--line-policy", &policy, "--data", &data];
    let verify = [&["verify", &model][..], &networks, &["--budgets", "6,30", "--tolerance", "1"]].concat();
    let verified = job.run(&verify).succeeded();
    let alike = |lines: &str| {
        let row = verified.lines().find(|row| row.trim_start().starts_with(lines)).expect("a row");
        row.contains(" 100.00 % ")
    };
    assert!(verified.contains(shown) && alike("6 ") && alike("30 "), "{verified}");

    let baselines = ["--baselines", "learned-mask,centre-out", "--mask", &file, "--budgets", "2,4", "--panels", "0"];
    let evaluate = |out: &str, what: &[&str]| {
        let out = job.path(out);
        let table = job.run(&[&["eval", "--out", &out][..], what, &baselines].concat()).succeeded();
        assert!(table.contains(&format!("; the policy is {shown}")), "{table}");
    };
    evaluate("int8", &["--model", &model, "--data", &data]);
    evaluate("float", &["--reward-model", &reward, "--line-policy", &policy, "--data", &data]);
    for out in ["int8", "float"] {
        for budget in [2, 4] {
            let dice = |method: &str| job.mean_dice(out, method, budget);
            assert_eq!(dice("policy"), dice("learned-mask"), "{out} {budget}");
        }
        assert!(fs::read_to_string(job.path(out) + "/report.md").unwrap().contains(shown));
    }
    let masks = job.path("masks.csv");
    job.run(&["masks", "--model", &model, "--data", &data, "--out", &masks, "--budgets", "4"]).succeeded();
    let masks = fs::read_to_string(masks).unwrap();
    assert!(masks.lines().skip(1).all(|row| row.ends_with("16 3 29 15")), "{masks}");
}

#[test]
fn what_surely_gains_takes_the_place_of_a_bad_order() {
    let job = phantoms(40);
    let outside_in: Vec<usize> = centre_out_after(&[]).into_iter().rev().collect();
    let file = mask(&job, "mask.json", &outside_in);
    let keys = [
        "updates=24",
        "episodes=24",
        "max_budget=4",
        "validate_every=12",
        "validate_lines=[4]",
        "learning_rate=1e-2",
        "order_slope=0.05",
        "entropy_weight=0",
        "target_kl=0",
        "reward.lambda1=1",
        "reward.lambda2=0",
    ];
    let trained = train(&job, "policy", &keys, &["--mask", &file]);
    assert!(trained.stderr.contains("`centre-out` scores more than --mask"), "{}", trained.stderr);
    let said = trained.succeeded();
    assert!(
        said.contains("policy: update 24; the learned policy is kept: update ") && said.contains(" SSIM ("),
        "{said}"
    );
    let (columns, rows) = log(&job, "policy");
    assert_eq!(columns[5..7], ["ssim_4", "dice_4"]);
    let last = rows.last().unwrap();
    assert!(last.last().unwrap() == "network" && last[9].parse::<f64>().unwrap() > 0.0, "{last:?}");
    assert_eq!(record(&job, "policy/best")["standing"]["acting"], "network");

    // What was kept under another seed is compared anew, and stays where it gains under this one too.
    let weights = || fs::read(job.path("policy/best/weights.bpk")).unwrap();
    let (kept, before) = (weights(), record(&job, "policy/best"));
    let resumed = train(&job, "policy", &[&keys[..], &["seed=2"]].concat(), &["--mask", &file, "--resume"]);
    assert!(resumed.stderr.contains("scores so far do not compare"), "{}", resumed.stderr);
    let said = resumed.succeeded();
    assert!(said.contains(", kept so far, SSIM at 4 lines ") && said.contains("the learned policy is kept"), "{said}");
    let after = record(&job, "policy/best");
    assert_eq!((&after["standing"]["acting"], after["step"].clone()), (&json!("network"), before["step"].clone()));
    assert_ne!(after["standing"]["gain"], before["standing"]["gain"], "of the new validation");
    assert_eq!(after["weights_hash"], before["weights_hash"]);
    assert_eq!(weights().len(), kept.len());

    export(&job, "policy", "heart.kscout").succeeded();
    let (lines, said) = scan(&job, "heart.kscout", 4);
    assert!(lines != outside_in[..4] && !said.contains("fixed order"), "{said}");
    let model = job.path("heart.kscout");
    let listing: Value = serde_json::from_str(&job.run(&["inspect", &model, "--json"]).succeeded()).unwrap();
    assert!(listing["fixed_order"].is_null(), "{listing}");
}

#[test]
fn fewer_patients_than_8_give_no_sure_interval() {
    let job = phantoms(5);
    let said = train(&job, "policy", &["learning_rate=1e-2"], &[]).succeeded();
    assert!(said.contains("(1 patient), and fewer than 8 give no sure interval"), "{said}");
    let best = record(&job, "policy/best");
    assert_eq!(
        (&best["standing"]["acting"], &best["standing"]["order"]["name"]),
        (&json!("fixed-order"), &json!("centre-out"))
    );
    assert_eq!(best["score"], best["standing"]["order_score"]);

    let said = train(&job, "blind", &["validate_lines=[]"], &[]).succeeded();
    assert!(said.contains("the fixed order `centre-out` is kept: `validate_lines` names no number of lines"), "{said}");
    export(&job, "blind", "blind.kscout").succeeded();
    let (lines, said) = scan(&job, "blind.kscout", 9);
    assert!(lines == centre_out_after(&[])[..9] && said.contains("the fixed order `centre-out`"), "{said}");
}

#[test]
fn a_run_in_parts_keeps_what_the_whole_one_keeps_and_no_other_order() {
    let job = phantoms(5);
    let set = ["updates=4", "learning_rate=1e-2"];
    train(&job, "whole", &set, &[]).succeeded();
    train(&job, "parts", &[&set[..], &["stop_at=1"]].concat(), &[]).succeeded();
    train(&job, "parts", &set, &["--resume"]).succeeded();
    assert_eq!(log(&job, "parts"), log(&job, "whole"));
    for checkpoint in ["best", "last"] {
        let [parts, whole] = ["parts", "whole"].map(|out| record(&job, &format!("{out}/{checkpoint}")));
        assert_eq!(parts["standing"], whole["standing"], "{checkpoint}");
    }
    let file = mask(&job, "mask.json", &[16, 3]);
    train(&job, "parts", &set, &["--resume", "--mask", &file]).refused(&["parts", "another order", "--mask", "--out"]);

    // As a version before wrote it.
    let mut old = record(&job, "whole/last");
    as_format1(&mut old).remove("standing");
    fs::write(job.path("whole/last/checkpoint.json"), old.to_string()).unwrap();
    train(&job, "whole", &set, &["--resume"]).refused(&["whole", "fixed order", "--out"]);
    let exported = export(&job, "whole/last", "old.kscout");
    assert!(exported.stderr.contains("nothing says whether this policy beats a fixed order"), "{}", exported.stderr);
    exported.succeeded();
    // What no run writes.
    old["standing"] = record(&job, "whole/best")["standing"].clone();
    old["standing"]["order"]["lines"][0] = json!(31);
    fs::write(job.path("whole/last/checkpoint.json"), old.to_string()).unwrap();
    export(&job, "whole/last", "odd.kscout").refused(&["standing.order.lines", "no order of 32 lines"]);
    assert!(!Path::new(&job.path("odd.kscout")).exists());
}

#[test]
fn what_does_not_fit_an_order_is_refused_by_name() {
    let job = phantoms(5);
    let wide = mask(&job, "wide.json", &[16]).replace("wide", "gone");
    train(&job, "out", &[], &["--mask", &wide]).refused(&["gone.json", "kscout train mask"]);
    let text = fs::read_to_string(job.path("wide.json")).unwrap().replace("\"width\":32", "\"width\":64");
    let wide = job.write("wide.json", &text);
    train(&job, "out", &[], &["--mask", &wide]).refused(&["wide.json", "64 lines", "expected 32"]);
    for slope in ["0", "-1", "nan", "inf", "1e308"] {
        train(&job, "out", &[&format!("order_slope={slope}")], &[]).refused(&["order_slope", "0.01 to 10"]);
    }
    assert!(!Path::new(&job.path("out")).exists(), "nothing is left of what was refused");
}

#[test]
fn asmrs_policy_that_gains_nothing_is_a_fixed_order_that_a_device_can_take() {
    let job = phantoms(5);
    let keys = ["network=asmr", "updates=1", "episodes=2", "max_budget=4", "epochs=1", "validate_lines=[3]"];
    let said = train(&job, "policy", &keys, &[]).succeeded();
    assert!(said.contains("the fixed order `centre-out` is kept"), "{said}");
    export(&job, "policy", "heart.kscout").succeeded();
    assert_eq!(scan(&job, "heart.kscout", 12).0, centre_out_after(&[])[..12]);
}
