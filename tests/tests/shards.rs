//! Work that is dealt out to several processes and put together again: the same bytes as by one; through the binary, on phantoms.

use std::fs;
use std::path::Path;
use std::process::Command;

use kscout_tests::job::Job;
use kscout_tests::run;
use kscout_tests::tree::tree;
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const ARRAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/slurm/array.sh");

/// Phantoms of ten patients, of whom two validate; a segmenter, a slice policy and an exported file of both.
fn job() -> Job {
    let job = Job::new(EXE, 10, 3, 32);
    let few = ["network_width=8", "steps=6", "batch=4", "warmup=1", "learning_rate=0.01", "validate_lines=[32]"];
    job.train_segmenter("reward", &few, &[]).succeeded();
    let slices = ["updates=0", "copies=1", "warm_steps=4", "warm_batch=8", "min_budget=3", "max_budget=8"];
    job.train_slice_policy(("reward", "policy"), &slices, &[]).succeeded();
    let export = "export --segmenter NAME/reward --slice-policy NAME/policy --data NAME/data --out NAME/model.kscout";
    job.run_words(export).succeeded();
    job
}

/// Runs `command` as a whole into `NAME/whole`, and in `of` parts, each by a process at the same time, into `NAME/parts`.
fn whole_and_in_parts(job: &Job, command: &str, of: usize) {
    job.run_words(&format!("{command} --out NAME/whole")).succeeded();
    let part = |number: usize| {
        let words = job.words(&format!("{command} --out NAME/parts --shard {number}/{of} --threads 1"));
        Command::new(EXE).args(words).output()
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (1..=of).map(|number| scope.spawn(move || part(number).unwrap())).collect();
        for part in parts {
            let output = part.join().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    });
    assert!(!Path::new(&job.path("parts")).exists(), "only parts so far");
    job.run_words("merge NAME/parts").succeeded();
}

#[test]
fn masks_that_two_processes_have_made_are_those_of_one() {
    let job = job();
    let by_policy = "masks --model NAME/model.kscout --data NAME/data --budgets 3,5";
    for command in [by_policy, &format!("{by_policy} --by-baseline --baselines nearest-neighbour")] {
        whole_and_in_parts(&job, command, 2);
        let [whole, parts] = ["whole", "parts"].map(|name| fs::read(job.path(name)).unwrap());
        assert!(whole.len() > 1000 && whole == parts, "{command}");
        ["whole", "parts"].iter().for_each(|name| fs::remove_file(job.path(name)).unwrap());
    }
}

#[test]
fn an_evaluation_by_three_processes_is_that_of_one_tables_and_pictures() {
    let job = job();
    let in_int8 = "eval --model NAME/model.kscout --data NAME/data --budgets 3,5 --draws 2 --panels 3 \
                   --baselines centre-out,random,allocation-oracle";
    let in_real_numbers = "eval --reward-model NAME/reward --data NAME/data --budgets 4 --baselines centre-out";
    for command in [in_int8, in_real_numbers] {
        whole_and_in_parts(&job, command, 3);
        let [whole, parts] = ["whole", "parts"].map(|name| tree(Path::new(&job.path(name))));
        assert!(whole.keys().any(|name| name.ends_with("results.csv")) && whole.len() > 6, "{:?}", whole.keys());
        let differing: Vec<_> = whole.iter().filter(|(name, bytes)| parts.get(*name) != Some(bytes)).collect();
        assert!(differing.is_empty() && parts.len() == whole.len(), "{command}: {:?}", differing[0].0);
        job.run_words("merge NAME/parts").refused(&["holds results already", "--force"]);
        job.run_words("merge NAME/parts --force").succeeded();
        ["whole", "parts", "parts.parts"].iter().for_each(|name| fs::remove_dir_all(job.path(name)).unwrap());
    }
}

#[test]
fn a_mask_that_three_processes_learn_side_by_side_is_that_of_one() {
    let job = job();
    let learn = "train mask --segmenter NAME/reward --data NAME/data --volumes 5 --candidates 16 --budget 6 --reorder";
    job.run_words(&format!("{learn} --out NAME/whole.json")).succeeded();
    let shard = |number: usize| job.words(&format!("{learn} --out NAME/parts.json --shard {number}/3 --threads 1"));
    let side_by_side = || {
        let start = |number| Command::new(EXE).args(shard(number)).spawn().unwrap();
        let mut all: Vec<_> = (1..=3).map(start).collect();
        all.iter_mut().for_each(|process| assert!(process.wait().unwrap().success()));
    };
    side_by_side();
    let mask = |name: &str| {
        let mut mask: Value = serde_json::from_slice(&fs::read(job.path(name)).unwrap()).unwrap();
        // The command is the process's own.
        assert!(mask["provenance"]["command"].take().as_str().unwrap().contains("train mask"));
        mask
    };
    assert_eq!(mask("parts.json"), mask("whole.json"));
    assert_eq!(mask("parts.json")["lines"].as_array().unwrap().len(), 6);
    // One that comes again finds what all have found, and the first writes the same mask once more.
    run(EXE, shard(2)).succeeded();
    run(EXE, shard(1).into_iter().chain(["--resume".into()])).succeeded();
    assert_eq!(mask("parts.json"), mask("whole.json"));
    run(EXE, job.words(&format!("{learn} --seed 2 --out NAME/parts.json --shard 2/3")))
        .refused(&["parts.json", "another segmenter, data, seed or options"]);
    fs::remove_file(job.path("parts.json")).unwrap();
    let other = run(EXE, job.words(&format!("{learn} --seed 2 --out NAME/parts.json --shard 2/3")));
    other.refused(&["round-0001", "other arguments"]);
}

#[test]
fn the_runs_of_a_sweep_are_those_that_are_made_one_by_one() {
    let job = job();
    let keys = "--set network_width=8 --set steps=2 --set batch=4 --set warmup=1 --set validate_lines=[32]";
    let train = format!("train segmenter --data NAME/data {keys}");
    whole_and_in_parts_of_a_sweep(&job, &format!("{train} --sweep seed=1,2,3"));
    job.run_words(&format!("{train} --set seed=2 --out NAME/alone")).succeeded();
    let weights = |folder: &str| {
        let checkpoint = fs::read(job.path(folder) + "/last/checkpoint.json").unwrap();
        let checkpoint: Value = serde_json::from_slice(&checkpoint).unwrap();
        checkpoint["weights_hash"].as_str().expect("a hash").to_owned()
    };
    for seed in 1..=3 {
        let run = format!("seed={seed}");
        assert_eq!(weights(&format!("whole/{run}")), weights(&format!("parts/{run}")), "{run}");
    }
    assert_eq!(weights("whole/seed=2"), weights("alone"));
    assert_ne!(weights("whole/seed=1"), weights("alone"));
    let [whole, parts] = ["whole", "parts"].map(|name| fs::read_to_string(job.path(name) + "/sweep.csv").unwrap());
    assert!(whole == parts && whole.lines().count() == 4, "{whole}{parts}");
    assert!(whole.starts_with("seed,step,score,folder\n1,2,"), "{whole}");
    // A bad value is told before the first run.
    job.run_words(&format!("{train} --sweep seed=1 --sweep batch=4,0 --out NAME/none")).refused(&["batch"]);
    assert!(!Path::new(&job.path("none")).exists());
    job.run_words(&format!("{train} --out NAME/none --shard 1/2")).refused(&["--shard", "--sweep KEY="]);
}

/// As [`whole_and_in_parts`], by the script for schedulers: the first part as Slurm starts it, the second as Kubernetes does.
fn whole_and_in_parts_of_a_sweep(job: &Job, command: &str) {
    job.run_words(&format!("{command} --out NAME/whole")).succeeded();
    let words = job.words(&format!("{command} --out NAME/parts"));
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "5"),
        ("SLURM_ARRAY_TASK_MIN", "5"),
        ("SLURM_ARRAY_TASK_MAX", "6"),
        ("SLURM_ARRAY_TASK_COUNT", "2"),
    ];
    let kubernetes = [("JOB_COMPLETION_INDEX", "1"), ("KSCOUT_SHARDS", "2")];
    for variables in [&slurm[..], &kubernetes] {
        let mut script = Command::new("bash");
        script.arg(ARRAY).args(&words).env("KSCOUT", EXE).envs(variables.iter().copied());
        let output = script.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    job.run_words("merge NAME/parts").succeeded();
}

#[test]
fn parts_that_do_not_go_together_are_refused_in_words() {
    let job = job();
    let masks = "masks --model NAME/model.kscout --data NAME/data --out NAME/masks.csv";
    job.run_words("merge NAME/masks.csv").refused(&["masks.csv.parts: no parts are there", "--shard 1/N"]);
    job.run_words(&format!("{masks} --budgets 3 --shard 2/2")).succeeded();
    job.run_words("merge NAME/masks.csv").refused(&["of 2 parts, these are missing: 1/2"]);
    job.run_words(&format!("{masks} --budgets 4 --shard 1/2")).succeeded();
    job.run_words("merge NAME/masks.csv").refused(&["2-of-2", "other arguments"]);
    job.run_words(&format!("{masks} --budgets 3 --shard 1/2 --threads 2")).succeeded();
    job.run_words("merge NAME/masks.csv").succeeded();
    // The model is another one by now.
    let export =
        "export --segmenter NAME/reward --slice-policy NAME/policy --data NAME/data --out NAME/model.kscout --seed 9";
    job.run_words(export).succeeded();
    job.run_words("merge NAME/masks.csv").refused(&["1-of-2", "other inputs"]);
    job.run_words(&format!("{masks} --shard 3/2")).refused(&["--shard", "expected I/N"]);
    let oracle = "--by-baseline --baselines mask-oracle --shard 1/2";
    job.run_words(&format!("{masks} {oracle}")).refused(&["mask-oracle learns from all volumes together"]);
}

#[test]
fn the_script_for_schedulers_says_where_it_runs() {
    let refused = |variables: &[(&str, &str)]| {
        let output = Command::new("bash").arg(ARRAY).args(["eval"]).envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&[]).contains("neither in a Slurm array"));
    assert!(refused(&[("JOB_COMPLETION_INDEX", "0")]).contains("KSCOUT_SHARDS"));
    let [first, last] = [("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_MAX", "5")];
    let some = [("SLURM_ARRAY_TASK_ID", "3"), first, last, ("SLURM_ARRAY_TASK_COUNT", "3")];
    assert!(refused(&some).contains("KSCOUT_SHARDS=N"));
    // Some of four again: kscout is asked for the third of four.
    let mut again = Command::new("bash");
    again.arg(ARRAY).arg("eval").envs(some).env("KSCOUT_SHARDS", "4").env("KSCOUT", "echo");
    assert_eq!(String::from_utf8_lossy(&again.output().unwrap().stdout), "eval --shard 3/4\n");
}
