//! What a segmenter was trained on, zero-filled images or homodyne ones, goes with it all the way, and the two are not mixed.

use std::fs;
use std::path::PathBuf;

use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

fn kscout(args: &[&str]) -> Ran {
    run(EXE, args)
}

/// A phantom, and two segmenters and policies that have hardly been trained: `zero` on zero-filled images, `half` on
/// half-homodyne ones.
struct Job {
    tmp: tempfile::TempDir,
}

impl Job {
    fn path(&self, name: &str) -> String {
        self.tmp.path().join(name).display().to_string()
    }

    fn new() -> Self {
        let job = Self { tmp: tempfile::tempdir().unwrap() };
        kscout(&["data", "phantom", &job.path("data"), "--patients", "5", "--seed", "3", "--size", "64"]).succeeded();
        job.reward("zero", "zero-filled", &[]).succeeded();
        job.reward("half", "half-homodyne", &[]).succeeded();
        job
    }

    fn reward(&self, out: &str, reconstruction: &str, more: &[&str]) -> Ran {
        let set = format!("reconstruction={reconstruction}");
        let (data, out) = (self.path("data"), self.path(out));
        let train = ["train", "reward", "--data", &data, "--out", &out, "--set", &set, "--set", "steps=1"];
        kscout(&[&train, &["--set", "batch=2", "--set", "validate_lines=[8]"][..], more].concat())
    }

    fn policy(&self, out: &str, reward: &str, more: &[&str]) -> Ran {
        let (data, out, reward) = (self.path("data"), self.path(out), self.path(reward));
        let train = ["train", "policy", "--data", &data, "--reward", &reward, "--out", &out, "--set", "updates=1"];
        let short = ["--set", "episodes=2", "--set", "max_budget=6", "--set", "validate_lines=[6]"];
        kscout(&[&train[..], &short, more].concat())
    }

    fn export(&self, reward: &str, policy: &str) -> Ran {
        let (data, reward, policy) = (self.path("data"), self.path(reward), self.path(policy));
        let out = self.path("heart.kscout");
        kscout(&["export", "--reward", &reward, "--policy", &policy, "--data", &data, "--out", &out])
    }
}

#[test]
fn a_homodyne_segmenter_stays_one_from_training_to_the_scan() {
    let job = Job::new();
    let data = job.path("data");
    job.policy("policy", "half", &[]).succeeded();
    job.export("half", "policy").succeeded();
    let blob = job.path("heart.kscout");
    let listing = kscout(&["inspect", &blob, "--json"]).succeeded();
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    assert_eq!(listing["reconstruction"], "half-homodyne");

    let networks = ["--reward", &job.path("half"), "--policy", &job.path("policy"), "--data", &data];
    let verify = [&["verify", &blob][..], &networks, &["--budgets", "6", "--limit", "2", "--tolerance", "1"]].concat();
    kscout(&verify).succeeded();

    let slice = ["--data", &data, "--slice", "patient005/2", "--budget", "6", "--pattern", "partial-fourier"];
    let said = kscout(&[&["scan", &blob][..], &slice].concat()).succeeded();
    assert!(said.contains("(half-homodyne)"), "{said}");

    for (out, what) in [("int8", &["--model", &blob][..]), ("f32", &networks[..4])] {
        let folder = job.path(out);
        let common = ["--data", &data, "--budgets", "6", "--panels", "1", "--out", &folder];
        let table = kscout(&[&["eval"][..], what, &common].concat()).succeeded();
        assert!(table.contains("half-homodyne images") && table.contains("partial-fourier"), "{table}");
        let report = fs::read_to_string(job.path(out) + "/report.md").unwrap();
        assert!(report.lines().next().unwrap().contains("half-homodyne"), "{report}");
        let rows = fs::read_to_string(job.path(out) + "/results.csv").unwrap();
        assert!(rows.lines().skip(1).all(|row| row.contains(",half-homodyne,")), "{rows}");
    }
}

#[test]
fn networks_of_two_reconstructions_are_not_put_together() {
    let job = Job::new();
    let (data, zero, half) = (job.path("data"), job.path("zero"), job.path("half"));
    job.policy("policy", "half", &[]).succeeded();
    let both = ["zero-filled images", "half-homodyne", "do not go together"];
    let said = ["half-homodyne images", "zero-filled", "do not go together"];

    job.export("zero", "policy").refused(&said);
    assert!(!PathBuf::from(job.path("heart.kscout")).exists());
    let policy = job.path("policy");
    let eval = ["eval", "--reward", &zero, "--policy", &policy, "--data", &data, "--out", &job.path("eval")];
    kscout(&eval).refused(&said);
    job.export("half", "policy").succeeded();
    let blob = job.path("heart.kscout");
    kscout(&["verify", &blob, "--reward", &zero, "--data", &data]).refused(&both);

    // A run does not go on with other images, nor a policy with another reward model's.
    job.reward("half", "zero-filled", &["--resume"]).refused(&said);
    job.policy("policy", "zero", &["--resume"]).refused(&said);
    // The complex image that this policy looks at is the zero-filled one.
    job.policy("asmr", "half", &["--set", "network=asmr"]).refused(&[&half, "half-homodyne", "network = \"scout\""]);
    assert!(!PathBuf::from(job.path("asmr")).exists());
}
