//! What a segmenter was trained on, zero-filled images or homodyne ones, goes with it all the way, and the two are not mixed.

use std::fs;
use std::path::PathBuf;

use kscout_tests::Ran;
use kscout_tests::job::Job;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// A phantom, and two segmenters that have hardly been trained: `zero` on zero-filled images, `half` on half-homodyne ones.
fn job() -> Job {
    let job = Job::new(EXE, 5, 3, 64);
    train_segmenter(&job, "zero", "zero-filled", &[]).succeeded();
    train_segmenter(&job, "half", "half-homodyne", &[]).succeeded();
    job
}

fn train_segmenter(job: &Job, out: &str, reconstruction: &str, options: &[&str]) -> Ran {
    let images = format!("reconstruction={reconstruction}");
    job.train_segmenter(out, &[&images, "steps=1", "batch=2", "validate_lines=[8]"], options)
}

fn train_policy(job: &Job, out: &str, reward: &str, options: &[&str]) -> Ran {
    job.train_line_policy((reward, out), &["updates=1", "episodes=2", "max_budget=6", "validate_lines=[6]"], options)
}

fn export(job: &Job, reward: &str, policy: &str) -> Ran {
    let [data, reward, policy, out] = ["data", reward, policy, "heart.kscout"].map(|name| job.path(name));
    job.run(&["export", "--segmenter", &reward, "--line-policy", &policy, "--data", &data, "--out", &out])
}

#[test]
fn a_homodyne_segmenter_stays_one_from_training_to_the_scan() {
    let job = job();
    let data = job.path("data");
    train_policy(&job, "policy", "half", &[]).succeeded();
    export(&job, "half", "policy").succeeded();
    let blob = job.path("heart.kscout");
    let listing = job.run(&["inspect", &blob, "--json"]).succeeded();
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    assert_eq!(listing["reconstruction"], "half-homodyne");

    let networks = ["--segmenter", &job.path("half"), "--line-policy", &job.path("policy"), "--data", &data];
    let verify = [&["verify", &blob][..], &networks, &["--budgets", "6", "--limit", "2", "--tolerance", "1"]].concat();
    job.run(&verify).succeeded();

    let slice = ["--data", &data, "--slice", "patient005/2", "--budget", "6", "--pattern", "partial-fourier"];
    let said = job.run(&[&["scan", &blob][..], &slice].concat()).succeeded();
    assert!(said.contains("(half-homodyne)"), "{said}");

    let in_real_numbers = ["--reward-model", networks[1], "--line-policy", networks[3]];
    for (out, what) in [("int8", &["--model", &blob][..]), ("f32", &in_real_numbers)] {
        let folder = job.path(out);
        let common = ["--data", &data, "--budgets", "6", "--panels", "1", "--out", &folder];
        let table = job.run(&[&["eval"][..], what, &common].concat()).succeeded();
        assert!(table.contains("half-homodyne images") && table.contains("partial-fourier"), "{table}");
        let report = fs::read_to_string(job.path(out) + "/report.md").unwrap();
        assert!(report.lines().next().unwrap().contains("half-homodyne"), "{report}");
        let rows = fs::read_to_string(job.path(out) + "/results.csv").unwrap();
        assert!(rows.lines().skip(1).all(|row| row.contains(",half-homodyne,")), "{rows}");
    }
}

#[test]
fn networks_of_two_reconstructions_are_not_put_together() {
    let job = job();
    let (data, zero, half) = (job.path("data"), job.path("zero"), job.path("half"));
    train_policy(&job, "policy", "half", &[]).succeeded();
    let both = ["zero-filled images", "half-homodyne", "do not go together"];
    let said = ["half-homodyne images", "zero-filled", "do not go together"];

    export(&job, "zero", "policy").refused(&said);
    assert!(!PathBuf::from(job.path("heart.kscout")).exists());
    let policy = job.path("policy");
    let eval = ["eval", "--reward-model", &zero, "--line-policy", &policy, "--data", &data, "--out", &job.path("eval")];
    job.run(&eval).refused(&said);
    export(&job, "half", "policy").succeeded();
    let blob = job.path("heart.kscout");
    job.run(&["verify", &blob, "--segmenter", &zero, "--data", &data]).refused(&both);

    // A run does not go on with other images, nor a policy with another reward model's.
    train_segmenter(&job, "half", "zero-filled", &["--resume"]).refused(&said);
    train_policy(&job, "policy", "zero", &["--resume"]).refused(&said);
    // The complex image that this policy looks at is the zero-filled one.
    train_policy(&job, "asmr", "half", &["--set", "network=asmr"]).refused(&[
        &half,
        "half-homodyne",
        "network = \"scout\"",
    ]);
    assert!(!PathBuf::from(job.path("asmr")).exists());
}

fn described(job: &Job, checkpoint: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(job.path(checkpoint) + "/checkpoint.json").unwrap()).unwrap()
}

#[test]
fn a_segmenter_is_relabelled_for_other_images_and_keeps_its_weights() {
    let job = job();
    let [data, zero, half, copy, blob] =
        ["data", "zero", "half", "copy/last", "heart.kscout"].map(|name| job.path(name));
    let relabel =
        |from: &str, out: &str| job.run(&["relabel", from, "--reconstruction", "half-homodyne", "--out", out]);
    let said = relabel(&zero, &copy).succeeded();
    assert!(said.contains("unext-s") && said.contains("for half-homodyne images"), "{said}");
    let [old, new] = ["zero/last", "copy/last"].map(|name| described(&job, name));
    assert_eq!(old["weights_hash"], new["weights_hash"]);
    assert_eq!((&new["reconstruction"], &new["step"]), (&"half-homodyne".into(), &1.into()));
    assert!(old["score"].is_number() && new["score"].is_null() && new["scoring"].is_null(), "{new}");
    relabel(&zero, &copy).succeeded();

    // It is what is exported, tuned and chosen for from here on.
    job.run(&["export", "--segmenter", &job.path("copy"), "--data", &data, "--out", &blob]).succeeded();
    train_segmenter(&job, "tuned", "half-homodyne", &["--init", &copy]).succeeded();
    train_policy(&job, "policy", "copy", &[]).succeeded();

    // Nothing else is written over, and nothing but a segmenter is copied.
    relabel(&zero, &half).refused(&["half", "there already"]);
    relabel(&copy, &copy).refused(&["copy/last", "there already"]);
    relabel(&job.path("policy"), &job.path("other")).refused(&["`scout`", "unext-s"]);
    assert!(!PathBuf::from(job.path("other")).exists());
}
