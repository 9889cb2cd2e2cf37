//! Budgets that the slices of a volume share, through the binary, on a small phantom: a slice policy is trained, exported,
//! verified, evaluated, and a segmenter tuned to its masks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kscout_tests::job::Job;
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIZE: usize = 64;

/// A phantom data set and a barely trained segmenter.
fn job() -> Job {
    let job = Job::new(EXE, 5, 4, SIZE);
    train_segmenter(&job, "reward", &[]).succeeded();
    job
}

fn train_segmenter(job: &Job, out: &str, options: &[&str]) -> Ran {
    let small = ["steps=20", "batch=4", "warmup=2", "validate_every=20", "validate_lines=[8]"];
    job.train_segmenter(out, &small, options)
}

fn train_policy(job: &Job, out: &str, options: &[&str]) -> Ran {
    let small = [
        "copies=1",
        "warm_steps=60",
        "warm_batch=64",
        "updates=2",
        "episodes=4",
        "validate_every=1",
        "validate_lines=[4,6]",
        "max_budget=8",
    ];
    job.train_slice_policy(("reward", out), &small, options)
}

fn export(job: &Job, policy: &str, out: &str) -> String {
    let [data, reward, policy, out] = ["data", "reward", policy, out].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &reward, "--slice-policy", &policy, "--data", &data, "--out", &out]).succeeded();
    out
}

/// Lines by slice in a file of masks, in the order of its rows.
fn masks(path: &str) -> BTreeMap<String, Vec<Vec<u16>>> {
    let text = fs::read_to_string(path).unwrap();
    let mut masks: BTreeMap<String, Vec<Vec<u16>>> = BTreeMap::new();
    for row in text.lines().skip(1) {
        let (slice, lines) = row.split_once(',').unwrap();
        masks.entry(slice.into()).or_default().push(lines.split(' ').map(|line| line.parse().unwrap()).collect());
    }
    masks
}

/// Mean SSIM over the volumes of a method at a budget.
fn mean_ssim(results: &str, method: &str, budget: &str) -> f64 {
    let text = fs::read_to_string(results).unwrap();
    let column = text.lines().next().unwrap().split(',').position(|name| name == "ssim").unwrap();
    let rows = text.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    let values: Vec<f64> =
        rows.filter(|row| row[..2] == [method, budget]).map(|row| row[column].parse().unwrap()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_slice_policy_goes_all_the_way() {
    let job = job();
    let trained = train_policy(&job, "slices", &[]).succeeded();
    for name in ["uniform, ", "by-position, ", "allocation-oracle, ", "update 0: ", "update 2: "] {
        assert!(trained.contains(name), "{name} is missing: {trained}");
    }
    train_policy(&job, "slices", &[]).refused(&["slices", "--resume"]);
    let file = export(&job, "slices", "heart.kscout");
    let (data, reward, policy) = (job.path("data"), job.path("reward"), job.path("slices"));

    let usual = ["verify", &file, "--segmenter", &reward, "--data", &data, "--budgets", "5", "--tolerance", "0.1"];
    let verified = job.run(&[&usual[..], &["--slice-policy", &policy]].concat()).succeeded();
    let row = verified.lines().find(|row| row.starts_with("slices chosen alike")).unwrap();
    let equal: f64 = row.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(equal > 80.0, "int8 decides as real numbers do: {verified}");
    let one = job.run(&[&usual[..], &["--slice-policy", &policy, "--limit", "1"]].concat());
    assert!(one.stdout.contains("The slice policy, over 1 whole volume: "), "{one:?}");
    let unseen = job.run(&[&usual[..], &["--limit", "1"]].concat()).stderr;
    assert!(unseen.contains("the file's slice policy was not compared; give --slice-policy DIR"), "{unseen}");

    let positions = job.path("slices/positions.json");
    let out = job.path("eval");
    let usual =
        ["eval", "--model", &file, "--data", &data, "--budgets", "5,7", "--panels", "0", "--force", "--out", &out];
    let baselines = ["--baselines", "centre-out,by-position,allocation-oracle", "--positions", &positions];
    job.run(&[&usual[..], &baselines].concat()).succeeded();
    let results: serde_json::Value = serde_json::from_slice(&fs::read(job.path("eval/results.json")).unwrap()).unwrap();
    let entries = results["entries"].as_array().unwrap();
    for method in ["policy", "centre-out", "by-position", "allocation-oracle"] {
        for budget in [5, 7] {
            let found = entries.iter().find(|entry| entry["method"] == method && entry["budget"] == budget).unwrap();
            let lines = found["lines"].as_f64().unwrap();
            assert!((lines - f64::from(budget)).abs() < 1e-9, "{method} spends the budget: {lines}");
        }
    }
    let dice = |method| job.mean_dice("eval", method, 7);
    assert!(dice("allocation-oracle") > dice("centre-out"), "who knows the truth does better");

    expect_comparisons(&job);

    let too_many = ["eval", "--reward-model", &reward, "--data", &data, "--budgets", "49", "--out", &out, "--force"];
    let by_position = ["--baselines", "by-position", "--positions", &positions];
    job.run(&[&too_many[..], &by_position].concat()).refused(&["by-position", "48 lines, 49"]);

    let stopped = job.run(&[&usual[..], &["--baselines", "centre-out", "--least-gain", "1000"]].concat()).succeeded();
    assert!(stopped.contains("Lines that the policy measured, a slice: 2.00 of 5, 2.00 of 7"), "{stopped}");
    job.run(&["compare", &format!("{out}:policy"), "--stops"]).refused(&["--stops", "ended after", "--least-gain"]);
}

/// `kscout compare` of the evaluation at 5 and 7 lines in the folder `eval`: tables, pictures, refusals.
fn expect_comparisons(job: &Job) {
    let out = job.path("eval");
    let [ours, theirs] = ["policy", "centre-out"].map(|method| format!("{out}:{method}"));
    let [table, plot, trade] = ["compare.md", "compare.png", "trade.png"].map(|name| job.path(name));
    let compare = ["compare", &ours, "--with", &theirs, "--out", &table, "--plot", &plot, "--trade", &trade];
    let compared = job.run(&compare).succeeded();
    // Beside the sentences that say who is ahead.
    let of_tables = || compared.lines().filter(|row| !row.starts_with("At "));
    let rows = |name: &str| of_tables().filter(|row| row.contains(name)).count();
    assert_eq!(
        rows("eval:centre-out"),
        1 + 4,
        "one in the table of Dice, one a budget in each other table: {compared}"
    );
    assert_eq!(rows("eval:policy"), 1 + 4, "{compared}");
    let dice: Vec<String> = [5, 7].map(|budget| format!("{:.4}", job.mean_dice("eval", "policy", budget))).into();
    let first: Vec<&str> = compared.lines().nth(2).unwrap().split_whitespace().collect();
    assert!(first[0].ends_with("eval:policy") && first[1..] == dice, "Dice at 5 and 7 lines, {dice:?}: {compared}");
    let ssim = mean_ssim(&job.path("eval/results.csv"), "policy", "7");
    let row = compared.lines().rev().find(|row| row.trim().starts_with("7 ") && row.contains("eval:policy")).unwrap();
    assert!(row.contains(&format!("{ssim:.4}")), "{ssim} is not in {row}");
    assert!(fs::read_to_string(table).unwrap().contains(" SSIM |"));
    for path in [plot, trade] {
        let png = fs::read(&path).unwrap();
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert!(png.starts_with(b"\x89PNG") && width > 1000, "{path}: {width} pixels wide");
    }
    let missing = format!("{out}:nobody");
    job.run(&["compare", &ours, "--with", &missing]).refused(&["results.csv", "nobody"]);
    let stops = job.run(&["compare", &ours, "--stops"]).succeeded();
    let first: Vec<&str> = stops.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!((first[0], &first[3..]), ("5", &["5.0", "0", "%"][..]), "nowhere to stop before the fewest: {stops}");
    job.run(&["compare", &ours]).refused(&["--with"]);
}

#[test]
fn a_segmenter_is_tuned_to_what_the_policy_measures() {
    let job = job();
    let mask = job.path("mask.json");
    let (data, reward) = (job.path("data"), job.path("reward"));
    let learn = ["train", "mask", "--segmenter", &reward, "--data", &data, "--out", &mask];
    job.run(&[&learn[..], &["--budget", "5", "--volumes", "2", "--candidates", "8"]].concat()).succeeded();
    train_policy(&job, "slices", &["--mask", &mask]).succeeded();
    let file = export(&job, "slices", "heart.kscout");
    let given = job.path("masks.csv");
    let write = ["masks", "--model", &file, "--data", &data, "--out", &given, "--budgets", "4,6"];
    assert!(job.run(&write).succeeded().contains("masks of policy"));

    let ignored = ["masks", "--model", &file, "--data", &data, "--out", &given, "--baselines", "centre-out"];
    job.run(&ignored).refused(&["--baselines", "--by-baseline"]);
    train_policy(&job, "centre", &[]).succeeded();
    let other = job.path("centre");
    job.run(&["verify", &file, "--segmenter", &reward, "--data", &data, "--budgets", "5", "--slice-policy", &other])
        .refused(&["another order"]);

    let masks = masks(&given);
    let learned: serde_json::Value = serde_json::from_slice(&fs::read(&mask).unwrap()).unwrap();
    let order: Vec<u16> = serde_json::from_value(learned["lines"].clone()).unwrap();
    let (mut first, mut second) = (0, 0);
    for (slice, lines) in &masks {
        assert_eq!(lines.len(), 2, "{slice}: one mask a budget");
        (first, second) = (first + lines[0].len(), second + lines[1].len());
        for lines in lines {
            let known = lines.len().min(order.len());
            assert_eq!(lines[..known], order[..known], "{slice}: lines come as the mask orders them");
        }
    }
    assert_eq!((first, second), (4 * masks.len(), 6 * masks.len()), "budgets are spent");

    let init = ["--init", &reward, "--masks", &given];
    train_segmenter(&job, "tuned", &init).succeeded();
    let text = fs::read_to_string(&given).unwrap();
    let short: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(&given, short).unwrap();
    train_segmenter(&job, "never", &init).refused(&["masks.csv", "no mask of training slice"]);
    fs::write(&given, text.replacen("\npatient", "\npatient001/0,99\npatient", 1)).unwrap();
    train_segmenter(&job, "never", &init).refused(&["masks.csv", "row 2", "99"]);
}

#[test]
fn the_recipe_of_the_results_is_made_of_commands_that_exist() {
    for recipe in [["scanner", "zero-filled"], ["igs", "zero-filled"], ["igs", "homodyne"]] {
        let of = ["reproduce", "--protocol", recipe[0], "--reconstruction", recipe[1]];
        let options = ["--seed", "7", "--data", "D", "--out", "O", "--dry-run"];
        let printed = run(EXE, [&of[..], &options].concat()).succeeded();
        let commands: Vec<&str> = printed.lines().filter(|line| line.starts_with("kscout ")).collect();
        assert!(commands.len() > 25, "{printed}");
        let first = commands[0];
        assert!(first.contains("--out O/reward ") && first.contains("seed=7"), "the first segmenter's: {first}");
        each_step_is_made_of_what_came_before(&commands);
    }
}

/// Every command is understood, and reads what an earlier one has written.
fn each_step_is_made_of_what_came_before(commands: &[&str]) {
    let mut made: Vec<String> = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        // What a step reads, an earlier one has made.
        for word in words.iter().skip(1).filter(|word| word.starts_with("O/")) {
            let path = word.split(':').next().unwrap();
            let written = ["--out", "--plot", "--trade"];
            let own = words.windows(2).any(|pair| written.contains(&pair[0]) && pair[1] == *word);
            assert!(
                own || made.iter().any(|made| path.starts_with(made.as_str())),
                "{word} is not made yet: {command}"
            );
        }
        made.extend(words.windows(2).filter(|pair| pair[0] == "--out").map(|pair| pair[1].to_owned()));
        // The folders are not there, so a command that is understood fails for that; one that is not is told its usage.
        let ran = run(EXE, &words[1..]);
        assert!(!ran.ok && !ran.stderr.contains("Usage"), "{command}: {}", ran.stderr);
    }
}

/// A data set of one volume, whose slices are those of the first patient of another over and over.
fn volume_of(slices: usize, from: &str, to: &str) {
    for kind in ["images", "labels"] {
        let [from, to] = [from, to].map(|dir| Path::new(dir).join("patient001").join(kind));
        fs::create_dir_all(&to).unwrap();
        let known = fs::read_dir(&from).unwrap().count();
        for slice in 0..slices {
            fs::copy(from.join(format!("{}.png", slice % known)), to.join(format!("{slice}.png"))).unwrap();
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let job = job();
    let refused = |set: &str, parts: &[&str]| {
        train_policy(&job, "never", &["--set", set]).refused(parts);
    };
    refused("min_budget=2", &["`min_budget`", "from 3 to ", "not 2"]);
    refused("validate_lines=[99]", &["validate_lines", "99"]);
    refused("sharpness=0.0", &["sharpness"]);
    refused("budget=slice", &["budget"]);
    let (data, reward, mask) = (job.path("data"), job.path("reward"), job.path("mask.json"));
    let out = job.path("never");
    let (slices, thick) = (job.path("slices"), job.path("thick"));
    volume_of(33, &data, &slices);
    job.run(&["data", "import", "--format", "png", "--size", "64", "--split", "train", &slices, &thick]).succeeded();
    job.run(&["train", "slice-policy", "--reward-model", &reward, "--data", &thick, "--out", &out])
        .refused(&["33 slices", "at most 32"]);
    job.run(&["train", "line-policy", "--reward-model", &reward, "--data", &data, "--out", &out, "--mask", &mask])
        .refused(&["mask.json", "kscout train mask"]);
    assert!(!fs::exists(&out).unwrap(), "nothing is written");
}
