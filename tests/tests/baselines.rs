//! `kscout train mask` and `kscout eval --baselines`, through the binary, on a small phantom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kscout_tests::Ran;
use kscout_tests::job::Job;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// A phantom data set and a barely trained segmenter.
fn job() -> Job {
    let job = Job::new(EXE, 5, 3, 64);
    let small = ["steps=12", "batch=4", "warmup=2", "validate_every=12", "validate_lines=[64]"];
    job.train_segmenter("reward", &small, &[]).succeeded();
    job
}

fn learn_mask(job: &Job, options: &[&str]) -> Ran {
    let [data, reward] = ["data", "reward"].map(|name| job.path(name));
    job.run(&[&["train", "mask", "--segmenter", &reward, "--data", &data][..], options].concat())
}

fn eval(job: &Job, options: &[&str]) -> Ran {
    let [data, reward, out] = ["data", "reward", "eval"].map(|name| job.path(name));
    let usual = [
        "eval",
        "--reward-model",
        &reward,
        "--data",
        &data,
        "--out",
        &out,
        "--budgets",
        "3,6",
        "--panels",
        "0",
        "--force",
    ];
    job.run(&[&usual[..], options].concat())
}

/// Exports the segmenter.
fn export(job: &Job) -> String {
    let [data, reward, file] = ["data", "reward", "base.kscout"].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &reward, "--data", &data, "--out", &file]).succeeded();
    file
}

/// Evaluates three baselines at six lines into `folder`, on the exported segmenter.
fn eval_into(job: &Job, folder: &str, options: &[&str]) -> Ran {
    let [data, model, out] = ["data", "base.kscout", folder].map(|name| job.path(name));
    let usual = ["eval", "--model", &model, "--data", &data, "--out", &out, "--budgets", "6", "--panels", "2"];
    job.run(&[&usual[..], &["--baselines", "centre-out,random,one-step-oracle"], options].concat())
}

fn json(path: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).expect("valid JSON")
}

#[test]
fn a_mask_is_learned_and_every_baseline_is_evaluated() {
    let job = job();
    let mask = job.path("mask.json");
    let learned =
        learn_mask(&job, &["--out", &mask, "--budget", "4", "--volumes", "3", "--candidates", "12"]).succeeded();
    assert!(learned.contains("4 lines from 3 volumes"), "{learned}");
    let again = ["--out", &mask, "--budget", "6", "--volumes", "3", "--candidates", "12"];
    learn_mask(&job, &again).refused(&["mask.json", "--resume"]);
    let resumed = learn_mask(&job, &[&again[..], &["--resume"]].concat()).succeeded();
    assert!(resumed.contains("6 lines") && !resumed.contains("  4 lines: "), "only two lines are new: {resumed}");
    learn_mask(&job, &[&again[..], &["--resume", "--seed", "2"]].concat()).refused(&["mask.json", "another"]);
    let moved = job.path("moved.json");
    fs::copy(&mask, &moved).unwrap();
    let onward = ["--out", &moved, "--budget", "6", "--volumes", "3", "--candidates", "12", "--resume"];
    let reorder = [&onward[..], &["--reorder"]].concat();
    learn_mask(&job, &reorder).succeeded();
    let again = learn_mask(&job, &reorder).succeeded();
    assert!(!again.contains("joins") && !again.contains("better order"), "nothing is left to do: {again}");
    learn_mask(&job, &onward).refused(&["moved.json", "another"]);
    let [greedy, moved] = [&mask, &moved].map(|path| json(path));
    assert_eq!([&greedy, &moved].map(|mask| mask["provenance"]["reordered"] == true), [false, true]);
    let mean = |mask: &serde_json::Value| {
        let scores: Vec<f64> = mask["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    assert!(mean(&moved) >= mean(&greedy), "{moved} {greedy}");

    let told = json(&mask);
    let lines: Vec<u64> = told["lines"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap()).collect();
    assert!(lines.len() == 6 && lines.iter().all(|line| (26..=38).contains(line)), "{told}");
    assert_eq!(told["provenance"]["protocol"], "scanner");
    assert_eq!(told["provenance"]["volumes"].as_array().unwrap().len(), 3);

    let learned = ["learned-mask", "nearest-neighbour", "one-step-oracle", "mask-oracle", "allocation-oracle"];
    let list = format!("patterns,{}", learned.join(","));
    let options = ["--baselines", &list, "--mask", &mask, "--candidates", "8", "--neighbours", "3"];
    let table = eval(&job, &options).succeeded();
    for method in ["centre-out", "random-low-bias", "random"].iter().chain(&learned) {
        assert!(table.contains(method), "{method} is not in\n{table}");
    }
    let dice = |method: &str| job.mean_dice("eval", method, 6);
    assert!(dice("one-step-oracle") > dice("centre-out"), "{table}");
    assert!(dice("mask-oracle") > dice("centre-out"), "{table}");

    let one = eval(&job, &["--baselines", "centre-out", "--limit-volumes", "1"]).succeeded();
    assert!(one.contains("of 1 volume,") && !one.contains("random"), "{one}");
}

#[test]
fn an_exported_file_learns_the_mask_of_its_own_and_is_evaluated_with_it() {
    let job = job();
    let (data, file) = (job.path("data"), export(&job));
    let mask = job.path("mask.json");
    let learn = ["train", "mask", "--model", &file, "--data", &data, "--out", &mask, "--score", "soft-dice"];
    job.run(&[&learn[..], &["--budget", "3", "--volumes", "2", "--candidates", "6"]].concat()).succeeded();
    assert_eq!(json(&mask)["provenance"]["score"], "soft-dice");
    let out = job.path("eval");
    let eval = ["eval", "--model", &file, "--data", &data, "--out", &out, "--budgets", "3", "--panels", "0"];
    let table =
        job.run(&[&eval[..], &["--baselines", "learned-mask,centre-out", "--mask", &mask]].concat()).succeeded();
    assert!(table.contains("learned-mask"), "{table}");

    let scan = ["scan", &file, "--data", &data, "--slice", "patient005/2", "--mask", &mask, "--budget"];
    let said = job.run(&[&scan[..], &["2"]].concat()).succeeded();
    let lines = json(&mask)["lines"].as_array().unwrap()[..2].iter().map(|line| line.to_string()).collect::<Vec<_>>();
    assert!(said.contains(&format!("lines   {}\n", lines.join(" "))) && said.contains("by learned-mask"), "{said}");
    job.run(&[&scan[..], &["4"]].concat()).refused(&["mask.json", "3 lines, 4"]);
    job.run(&[&scan[..], &["2", "--pattern", "random"]].concat()).refused(&["--mask", "--pattern"]);
}

#[test]
fn what_does_not_fit_is_refused_by_name_before_any_work() {
    let job = job();
    let (mask, gone) = (job.path("mask.json"), job.path("gone.json"));
    learn_mask(&job, &["--out", &mask, "--budget", "0"]).refused(&["--budget 0", "1 to 512"]);
    learn_mask(&job, &["--out", &mask, "--budget", "9", "--candidates", "8"]).refused(&["--budget 9", "1 to 8"]);
    learn_mask(&job, &["--out", &mask, "--volumes", "0"]).refused(&["--volumes 0"]);
    learn_mask(&job, &["--out", &mask, "--score", "loss"]).refused(&["loss", "cross-entropy"]);
    assert!(!Path::new(&mask).exists());

    eval(&job, &["--baselines", "oracle"]).refused(&["oracle", "one-step-oracle"]);
    eval(&job, &["--baselines", "all"]).refused(&["--mask", "kscout train mask"]);
    eval(&job, &["--baselines", "by-position,one-step-oracle"]).refused(&[
        "by-position",
        "--positions",
        "train slice-policy",
    ]);
    eval(&job, &["--baselines", "by-position", "--positions", &gone]).refused(&["gone.json"]);
    eval(&job, &["--positions", &gone]).refused(&["gone.json", "by-position"]);
    eval(&job, &["--baselines", "learned-mask", "--mask", &gone]).refused(&["gone.json", "kscout train mask"]);
    eval(&job, &["--mask", &gone]).refused(&["gone.json", "learned-mask"]);
    eval(&job, &["--baselines", "one-step-oracle", "--candidates", "5"]).refused(&["--candidates 5", "6"]);
    let alike = ["--baselines", "nearest-neighbour", "--centre-first", "0"];
    eval(&job, &alike).refused(&["--centre-first 0", "1 to 64"]);
    eval(&job, &["--limit-volumes", "0"]).refused(&["--limit-volumes"]);
    let few = ["--out", &mask, "--budget", "4", "--volumes", "1", "--candidates", "6"];
    learn_mask(&job, &few).succeeded();
    let asked = ["--baselines", "learned-mask", "--mask", &mask];
    eval(&job, &asked).refused(&["mask.json", "orders 4 lines", "6 are asked for", "--budget 6"]);
    fs::write(&mask, fs::read_to_string(&mask).unwrap().replace("\"width\": 64", "\"width\": 128")).unwrap();
    eval(&job, &asked).refused(&["mask.json", "128", "64"]);
    assert!(!Path::new(&job.path("eval")).exists());
}

#[test]
fn evaluations_of_other_phase_and_noise_are_compared_together() {
    let job = job();
    export(&job);
    let folders = ["1", "2"].map(|seed| {
        eval_into(&job, seed, &["--seed", seed]).succeeded();
        job.path(seed)
    });
    let [centre, random, oracle] = ["centre-out", "random", "one-step-oracle"].map(|method| {
        let [first, second] = ["1", "2"].map(|seed| job.mean_dice(seed, method, 6));
        assert_ne!(first, second, "{method}: phase and noise are others");
        (format!("{}:{method}", folders.join(",")), (first + second) / 2.0)
    });
    let compare = ["compare", &centre.0, "--with", &random.0];
    let compared = job.run(&[&compare[..], &["--ceiling", &oracle.0]].concat()).succeeded();
    let row = compared.lines().find(|row| row.contains('[')).unwrap();
    for (name, mean) in [&centre, &random] {
        assert!(row.contains(&format!(" {mean:.4} ")), "{name}: the mean of both, {mean:.4}, is missing: {row}");
    }
    let share = 100.0 * (centre.1 - random.1) / (oracle.1 - random.1);
    assert!(compared.contains(&format!(" {share:.0} % [")), "{share} % is missing: {compared}");
    let dice = compared.lines().find(|row| row.contains(":one-step-oracle ")).unwrap();
    assert!(dice.ends_with(&format!(" {:.4}", oracle.1)), "the ceiling is in the table of Dice: {dice}");
    let wrong_way = ["compare", &centre.0, "--with", &oracle.0, "--ceiling", &random.0];
    let down = job.run(&wrong_way).succeeded();
    assert!(down.lines().any(|row| row.ends_with(" -")), "no share of a way down: {down}");
    job.run(&[&compare[..], &["--ceiling", &random.0]].concat()).refused(&["--ceiling", "only --with"]);

    let twice = format!("{0},{0}/.:random", folders[0]);
    job.run(&["compare", &twice, "--with", &centre.0]).refused(&["the same numbers", "--seed"]);
    let rows = fs::read_to_string(folders[1].clone() + "/results.csv").unwrap();
    let fewer: Vec<&str> = rows.lines().filter(|row| !row.contains(",ES,")).collect();
    fs::write(folders[1].clone() + "/results.csv", fewer.join("\n") + "\n").unwrap();
    job.run(&compare).refused(&["other volumes", "evaluate both alike"]);
}

/// A folder with the results of two hearts of two slices at 4 and 8 lines, one draw for each seed. The first heart is done after 4.
fn two_hearts(job: &Job, folder: &str, seeds: &[u64]) -> String {
    let mut rows = String::from(
        "method,lines_per_slice,slices,lines_measured,reconstruction,patient,phase,seed,dice_rv,dice_myo,dice_lv,ssim\n",
    );
    for seed in seeds {
        for (patient, lines, dice) in [("a", 4, 0.5), ("a", 8, 0.5), ("b", 4, 0.25), ("b", 8, 0.75)] {
            // Other draws, other numbers.
            let dice = dice + 0.001 * *seed as f64;
            let measured = 2 * lines;
            rows += &format!("policy,{lines},2,{measured},zero-filled,{patient},ED,{seed},{dice},{dice},{dice},0.5\n");
        }
    }
    let folder = job.path(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(format!("{folder}/results.csv"), rows).unwrap();
    folder
}

#[test]
fn what_stopping_could_save_is_told_by_foresight_and_by_other_draws_of_the_same_file() {
    let job = Job::new(EXE, 1, 1, 64);
    let stops = |folders: &str| {
        let table = job.run(&["compare", &format!("{folders}:policy"), "--stops"]).succeeded();
        let row = table.lines().find(|row| row.trim().starts_with("8 ")).unwrap();
        row.rsplit(" 0.").next().unwrap().split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let both = two_hearts(&job, "both", &[1, 2]);
    assert_eq!(stops(&both), "6.0 25 % 6.0 25 %", "4 lines for one heart, 8 for the other");
    let [one, other] = [3, 4].map(|seed| two_hearts(&job, &format!("seed-{seed}"), &[seed]));
    assert_eq!(stops(&one), "6.0 25 %", "one draw tells nothing of another");
    assert_eq!(stops(&format!("{one},{other}")), "6.0 25 %", "nor does that of another file");
}

#[test]
fn one_evaluation_of_two_draws_is_two_evaluations() {
    let job = job();
    export(&job);
    eval_into(&job, "both", &["--draws", "2"]).succeeded();
    let both = job.path("both");
    let folders = ["1", "2"].map(|seed| {
        eval_into(&job, seed, &["--seed", seed]).succeeded();
        job.path(seed)
    });
    for method in ["centre-out", "random", "one-step-oracle"] {
        let [first, second, mean] = ["1", "2", "both"].map(|folder| job.mean_dice(folder, method, 6));
        assert!((mean - (first + second) / 2.0).abs() < 1e-12, "{method}: {mean} of {first} and {second}");
    }
    let read = |folder: &str, file: &str| fs::read_to_string(format!("{folder}/{file}")).unwrap();
    for file in ["results.csv", "ejection.csv"] {
        let rows = |folder| read(folder, file).lines().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(rows(&both), &rows(&folders[0]) | &rows(&folders[1]), "{file} has the rows of both");
    }
    for file in ["acdc/one-step-oracle_6.csv", "acdc/full_64.csv"] {
        assert_eq!(read(&both, file), read(&folders[0], file), "{file} is of the first draw");
    }
    let panels = |folder: &str| -> BTreeMap<String, Vec<u8>> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let panels = names.filter(|name| name.starts_with("panel_"));
        panels.map(|name| (name.clone(), fs::read(format!("{folder}/{name}")).unwrap())).collect()
    };
    assert!(panels(&both).len() == 2 && panels(&both) == panels(&folders[0]), "panels are of the first draw");
    assert!(read(&both, "report.md").contains("2 volumes in 2 draws of phase and noise"));

    let [alone, pooled] = [both.clone(), folders.join(",")].map(|folders| format!("{folders}:centre-out"));
    let compared = job.run(&["compare", &alone, "--with", &pooled]).succeeded();
    assert!(compared.contains("+0.0000 [+0.0000, +0.0000]"), "{compared}");
    let uneven = format!("{both},{}:random", folders[1]);
    job.run(&["compare", &uneven, "--with", &pooled]).refused(&["--draws 1", "--draws 2", "use the same for both"]);
    eval_into(&job, "next", &["--draws", "2", "--seed", "2"]).succeeded();
    let overlapping = format!("{both},{}:random", job.path("next"));
    job.run(&["compare", &overlapping, "--with", &pooled]).refused(&["with seed 2: the same numbers as", "--seed 9"]);
    let one = format!("{}:centre-out", folders[0]);
    let noted = job.run(&["compare", &alone, "--with", &one]);
    assert!(noted.stderr.contains("a mean of 2 draws of phase and noise, "), "{}", noted.stderr);

    // Evaluations of before do not say their seed.
    for folder in &folders {
        let rows = read(folder, "results.csv");
        let column = rows.lines().next().unwrap().split(',').position(|name| name == "seed").unwrap();
        let without = |row: &str| {
            let cells = row.split(',').enumerate().filter(|(place, _)| *place != column);
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",") + "\n"
        };
        fs::write(format!("{folder}/results.csv"), rows.lines().map(without).collect::<String>()).unwrap();
    }
    assert_eq!(job.run(&["compare", &alone, "--with", &pooled]).succeeded(), compared, "they can still be read");
    eval_into(&job, "none", &["--draws", "0"]).refused(&["--draws 0"]);
    eval_into(&job, "none", &["--draws", "2", "--protocol", "igs"]).refused(&["--draws", "igs", "no phase or noise"]);
}
