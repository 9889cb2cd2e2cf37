//! What a run goes on with, and how it ends: the inputs that it began with, the network that it keeps, and signals that come at the
//! beginning, at the end, or while nobody reads what it says.

use std::fs;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

use kscout_tests::Ran;
use kscout_tests::format1::as_format1;
use kscout_tests::job::Job;
use kscout_tests::moment::{moments, run_to};
use serde_json::{Value, json};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 32;

/// Phantoms of `patients`, every fifth of whom validates, and the segmenter `reward`, which has learned next to nothing.
fn phantoms(patients: usize) -> Job {
    let job = Job::new(EXE, patients, 1, SIDE);
    train_segmenter(&job, "reward", &[]).succeeded();
    job
}

/// Two steps of a training, in any of the options of which `@` stands for the job's folder.
fn train(job: &Job, what: &str, out: &str, keys: &[&str], options: &[&str]) -> Ran {
    let options: Vec<String> = options.iter().map(|word| word.replace('@', &job.path(""))).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    job.train(what, out, keys, &options)
}

fn train_segmenter(job: &Job, out: &str, options: &[&str]) -> Ran {
    train(job, "segmenter", out, &["steps=2", "batch=2", "validate_every=2", "validate_lines=[8]"], options)
}

fn train_classifier(job: &Job, out: &str, options: &[&str]) -> Ran {
    let keys = ["steps=1", "batch=2", "validate_every=1", "validate_lines=[8]"];
    train(job, "classifier", out, &keys, options)
}

fn train_policy(job: &Job, out: &str, keys: &[&str], options: &[&str]) -> Ran {
    let few = ["updates=2", "episodes=2", "min_budget=3", "max_budget=4", "validate_every=1", "validate_lines=[3]"];
    train(job, "line-policy", out, &[&few, keys].concat(), options)
}

fn train_slices(job: &Job, out: &str, options: &[&str]) -> Ran {
    train(job, "slice-policy", out, &SLICES, options)
}

const SLICES: [&str; 7] =
    ["copies=1", "warm_steps=2", "warm_batch=8", "updates=2", "episodes=2", "validate_every=1", "validate_lines=[4]"];

fn record(job: &Job, checkpoint: &str) -> Value {
    serde_json::from_slice(&fs::read(job.path(checkpoint) + "/checkpoint.json").unwrap()).unwrap()
}

fn change(job: &Job, checkpoint: &str, change: impl FnOnce(&mut Value)) {
    let mut changed = record(job, checkpoint);
    change(&mut changed);
    job.write(&format!("{checkpoint}/checkpoint.json"), &changed.to_string());
}

/// What a run has written: its checkpoints and its log.
fn written(job: &Job, run: &str) -> Vec<Option<Vec<u8>>> {
    let files = ["last/checkpoint.json", "last/weights.bpk", "best/checkpoint.json", "best/weights.bpk", "log.csv"];
    files.iter().map(|file| fs::read(job.path(&format!("{run}/{file}"))).ok()).collect()
}

/// Goes on with the run `out`, which is to be refused with these words and to leave everything as it was.
#[track_caller]
fn refused(job: &Job, out: &str, ran: impl FnOnce() -> Ran, words: &[&str]) {
    let before = written(job, out);
    ran().refused(&[&[out, "another --out"], words].concat());
    assert_eq!(written(job, out), before, "{words:?}: something was written");
}

/// Another phantom of the same size, in the folder `other`.
fn other_data(job: &Job) {
    let other = job.path("other");
    job.run(&["data", "phantom", &other, "--patients", "5", "--seed", "9", "--size", "32"]).succeeded();
}

/// A file of masks that are all of one line.
fn masks(job: &Job, name: &str, line: usize) -> String {
    let manifest: Value = serde_json::from_slice(&fs::read(job.path("data/manifest.json")).unwrap()).unwrap();
    let slices = manifest["slices"].as_array().unwrap().iter();
    let rows = slices.map(|slice| format!("{}/{},{line}\n", slice["patient"].as_str().unwrap(), slice["slice"]));
    job.write(name, &format!("slice,lines\n{}", rows.collect::<String>()))
}

#[test]
fn a_segmenters_run_goes_on_with_the_data_masks_and_beginning_that_it_had() {
    let job = phantoms(5);
    other_data(&job);
    masks(&job, "a.csv", 16);
    masks(&job, "b.csv", 15);
    train(&job, "segmenter", "other-reward", &["steps=1", "batch=2", "validate_lines=[8]", "seed=2"], &[]).succeeded();

    let resume = |out: &str, options: &[&str]| train_segmenter(&job, out, &[&["--resume"], options].concat());
    let data = |more: &[&str]| {
        let keys = ["--set", "steps=2", "--set", "batch=2", "--set", "validate_lines=[8]"];
        let (other, out) = (job.path("other"), job.path("reward"));
        job.run(&[&["train", "segmenter", "--data", &other, "--out", &out, "--resume"], &keys[..], more].concat())
    };
    refused(&job, "reward", || data(&[]), &["began with --data", "/data (hash ", "/other (hash "]);
    refused(
        &job,
        "reward",
        || resume("reward", &["--init", "@other-reward"]),
        &["began without --init", "leave --init"],
    );
    refused(&job, "reward", || resume("reward", &["--masks", "@a.csv"]), &["began without --masks", "a.csv"]);
    resume("reward", &[]).succeeded();

    train_segmenter(&job, "tuned", &["--init", "@reward", "--masks", "@a.csv"]).succeeded();
    let with = |init: &str, masks: &str| resume("tuned", &["--init", init, "--masks", masks]);
    refused(&job, "tuned", || with("@other-reward", "@a.csv"), &["--init", "/reward (hash", "/other-reward (hash"]);
    refused(&job, "tuned", || with("@reward", "@b.csv"), &["--masks", "a.csv (hash", "b.csv (hash"]);
    refused(&job, "tuned", || resume("tuned", &[]), &["--masks", "a.csv (hash", "without"]);
    with("@reward", "@a.csv").succeeded();
    fs::rename(job.path("a.csv"), job.path("moved.csv")).unwrap();
    resume("tuned", &["--masks", "@moved.csv"]).succeeded();

    // As a version before wrote it.
    change(&job, "tuned/last", |record| drop(as_format1(record).remove("begun_with").unwrap()));
    resume("tuned", &["--masks", "@b.csv"]).succeeded();
}

#[test]
fn a_classifiers_run_goes_on_with_the_labels_that_it_had() {
    let job = phantoms(5);
    let labels = "patient,a\npatient001,1\npatient002,0\npatient003,1\npatient004,0\npatient005,1\n";
    job.write("labels.csv", labels);
    job.write("turned.csv", &labels.replace("patient002,0\npatient003,1", "patient003,1\npatient002,0"));
    job.write("others.csv", &labels.replace("patient002,0", "patient002,1"));
    train_classifier(&job, "run", &["--labels", "@labels.csv"]).succeeded();
    let resume = |labels: &str| train_classifier(&job, "run", &["--resume", "--labels", labels]);
    refused(&job, "run", || resume("@others.csv"), &["began with --labels", "labels.csv (hash", "others.csv (hash"]);
    resume("@turned.csv").succeeded();

    train_policy(&job, "policy", &[], &["--reward-model", "@run", "--labels", "@labels.csv"]).succeeded();
    let resume =
        |labels: &str| train_policy(&job, "policy", &[], &["--resume", "--reward-model", "@run", "--labels", labels]);
    refused(&job, "policy", || resume("@others.csv"), &["began with --labels", "others.csv"]);
    resume("@turned.csv").succeeded();
}

#[test]
fn a_policys_run_goes_on_with_the_reward_model_data_and_order_that_it_had() {
    let job = phantoms(5);
    other_data(&job);
    train(&job, "segmenter", "other-reward", &["steps=1", "batch=2", "validate_lines=[8]", "seed=2"], &[]).succeeded();
    let mask = json!({
        "format": "kscout learned mask 1", "width": SIDE, "lines": [16, 3], "scores": [0.5, 0.5],
        "provenance": {
            "command": "kscout train mask", "segmenter": "reward", "data": "data", "protocol": "scanner",
            "reconstruction": "zero-filled", "seed": 1, "score": "dice", "nearest": 32, "volumes": [], "slices": 0
        }
    });
    job.write("mask.json", &mask.to_string());
    type Train = fn(&Job, &str, &[&str]) -> Ran;
    let lines: Train = |job, out, options| train_policy(job, out, &[], options);
    for (out, train) in [("lines", lines), ("slices", train_slices as Train)] {
        train(&job, out, &["--reward-model", "@reward"]).succeeded();
        let resume = |options: &[&str]| train(&job, out, &[&["--resume"], options].concat());
        let words = ["began with --reward-model", "/reward (hash ", "/other-reward (hash "];
        refused(&job, out, || resume(&["--reward-model", "@other-reward"]), &words);
        let order = ["another order there, ", "than now, 16 3 ", "--mask"];
        refused(&job, out, || resume(&["--reward-model", "@reward", "--mask", "@mask.json"]), &order);
        // The folder of the data set is given first, and the last one counts.
        let [data, other] = ["data", "other"].map(|name| job.path(name));
        fs::rename(&data, job.path("aside")).unwrap();
        fs::rename(&other, &data).unwrap();
        refused(&job, out, || resume(&["--reward-model", "@reward"]), &["began with --data", "/data (hash "]);
        fs::rename(&data, &other).unwrap();
        fs::rename(job.path("aside"), &data).unwrap();
        let hash = record(&job, "reward/last")["weights_hash"].as_str().unwrap().to_owned();
        let reward = record(&job, &format!("{out}/last"))["begun_with"][1].clone();
        let crc = reward["crc"].as_u64().unwrap();
        assert_eq!(
            (reward["option"].as_str(), format!("{crc:08x}")),
            (Some("--reward-model"), hash),
            "as in the exported file"
        );
        resume(&["--reward-model", "@reward/last"]).succeeded();
    }
}

/// A run whose updates change nothing, with a record that says that the network of update 1 was kept.
fn run_that_keeps_a_network(job: &Job) -> Value {
    train_policy(job, "policy", &["learning_rate=1e-12"], &["--reward-model", "@reward"]).succeeded();
    let kept = json!({ "update": 1, "measure": "Dice", "mean": 0.1, "low": 0.05, "high": 0.15, "patients": 8 });
    change(job, "policy/last", |last| {
        (last["best"], last["best_step"]) = (json!(0.5), json!(1));
        last["standing"]["kept"] = kept.clone();
        last["standing"]["most"] = kept.clone();
    });
    for file in ["weights.bpk", "checkpoint.json"] {
        fs::copy(job.path(&format!("policy/last/{file}")), job.path(&format!("policy/best/{file}"))).unwrap();
    }
    change(job, "policy/best", |best| {
        best["files"].as_object_mut().unwrap().remove("optimizer.bpk");
        best["step"] = json!(1);
        best["standing"]["acting"] = json!("network");
        best["standing"]["gain"] = kept.clone();
    });
    kept
}

fn resume_policy(job: &Job, keys: &[&str]) -> Ran {
    train_policy(job, "policy", &[&["learning_rate=1e-12"], keys].concat(), &["--reward-model", "@reward", "--resume"])
}

#[test]
fn a_kept_network_is_given_up_by_a_validation_alone() {
    let job = phantoms(40);
    let kept = run_that_keeps_a_network(&job);
    let before = written(&job, "policy");
    let said = resume_policy(&job, &[]).succeeded();
    assert!(said.contains("the learned policy is kept: update 1 gains +0.1000 [+0.0500, +0.1500]"), "{said}");
    assert_eq!(written(&job, "policy"), before, "nothing was validated");

    // Under another protocol nothing is known of it, until it is compared anew.
    let said = resume_policy(&job, &["protocol=igs"]).succeeded();
    let given_up =
        "the fixed order `centre-out` is kept: the learned network gains +0.0000 [+0.0000, +0.0000] Dice (8 patients)";
    assert!(said.contains("update 1, kept so far, Dice at 3 lines ") && said.contains(given_up), "{said}");
    assert!(said.trim_end().ends_with(given_up), "{said}");
    let best = record(&job, "policy/best");
    assert_eq!((&best["standing"]["acting"], &best["standing"]["kept"]), (&json!("fixed-order"), &Value::Null));

    // Where there is nothing to compare by, it stays.
    run_that_is_gone(&job);
    run_that_keeps_a_network(&job);
    let best = written(&job, "policy");
    fs::remove_file(job.path("policy/log.csv")).unwrap();
    change(&job, "policy/last", |last| last["row"] = json!(""));
    let said = resume_policy(&job, &["validate_lines=[]", "updates=3"]).succeeded();
    assert!(said.contains("the learned policy is kept: update 1 gains +0.1000"), "{said}");
    assert_eq!(written(&job, "policy")[2..4], best[2..4]);
    assert_eq!(record(&job, "policy/last")["standing"]["kept"], kept);
}

fn run_that_is_gone(job: &Job) {
    fs::remove_dir_all(job.path("policy")).unwrap();
}

#[test]
fn what_lies_in_the_place_of_the_best_is_not_overwritten_before_a_validation() {
    let job = phantoms(5);
    run_that_keeps_a_network(&job);
    // A network that is not this run's, which keeps the order.
    change(&job, "policy/last", |last| {
        (last["best"], last["best_step"]) = (Value::Null, Value::Null);
        last["standing"]["kept"] = Value::Null;
    });
    let before = written(&job, "policy");
    resume_policy(&job, &[]).succeeded();
    assert_eq!(written(&job, "policy"), before);
    resume_policy(&job, &["updates=3"]).succeeded();
    assert_eq!(record(&job, "policy/best")["standing"]["acting"], "fixed-order", "a validation has come");

    run_that_is_gone(&job);
    run_that_keeps_a_network(&job);
    fs::remove_dir_all(job.path("policy/best")).unwrap();
    let ran = resume_policy(&job, &[]);
    assert!(ran.stderr.contains("not the best checkpoint of this run"), "{}", ran.stderr);
    let said = ran.succeeded();
    assert!(said.contains("centre-out` is kept: the checkpoint of the network that was kept is not there"), "{said}");
    assert_eq!(record(&job, "policy/best")["standing"]["acting"], "fixed-order");
}

/// Words of a training that validates after every step, with its results in the folder `out`.
fn words(job: &Job, kind: &str, out: &str) -> Vec<String> {
    let (reward, keys) = (job.path("reward"), |keys: &str| keys.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let (what, keys) = match kind {
        "segmenter" => ("segmenter", keys("steps=2 batch=2 validate_every=1 validate_lines=[8]")),
        "classifier" => ("classifier", keys("steps=2 batch=2 validate_every=1 validate_lines=[8]")),
        "line policy" => ("line-policy", keys("updates=2 episodes=2 max_budget=4 validate_every=1 validate_lines=[3]")),
        _ => ("slice-policy", SLICES.map(str::to_owned).to_vec()),
    };
    let (data, out, labels) = (job.path("data"), job.path(out), job.path("labels.csv"));
    let mut words: Vec<String> = ["train", what, "--data", &data, "--out", &out].map(str::to_owned).to_vec();
    words.extend(keys.into_iter().flat_map(|key| ["--set".to_owned(), key]));
    match kind {
        "segmenter" => {}
        "classifier" => words.extend(["--labels".to_owned(), labels]),
        _ => words.extend(["--reward-model".to_owned(), reward]),
    }
    words
}

const TRAININGS: [&str; 4] = ["segmenter", "classifier", "line policy", "slice policy"];

fn all_trainings() -> Job {
    let job = phantoms(5);
    job.write("labels.csv", "patient,a\npatient001,1\npatient002,0\npatient005,1\n");
    job
}

#[test]
fn a_signal_after_the_last_step_changes_nothing() {
    let job = all_trainings();
    for kind in TRAININGS {
        let last = moments(EXE, words(&job, kind, &format!("whole {kind}")));
        for signal in ["term", "int", "term2"] {
            let (ended, code) =
                run_to(EXE, &format!("{last}:{signal}"), words(&job, kind, &format!("{signal} {kind}")));
            assert!(code == Some(0) && !ended.stderr.contains("To go on"), "{kind}: {code:?}: {}", ended.stderr);
            assert!(signal == "term2" || !ended.stdout.is_empty(), "{kind}: it says what it has come to");
        }
    }
}

#[test]
fn a_signal_while_the_first_checkpoint_is_saved_ends_only_after_it() {
    let job = all_trainings();
    for kind in ["line policy", "slice policy"] {
        let mut stopped = 0;
        for moment in 1..=14 {
            let out = format!("{moment} {kind}");
            let (ended, _) = run_to(EXE, &format!("{moment}:term"), words(&job, kind, &out));
            let is_saved = Path::new(&job.path(&out)).join("last").exists();
            assert_eq!(ended.stderr.contains("stopped at step 1; saved in"), is_saved, "{moment}: {}", ended.stderr);
            stopped += usize::from(is_saved);
        }
        assert!((5..14).contains(&stopped), "{kind}: {stopped} of 14 moments are of the first checkpoint or later");
    }
}

/// A pipe that takes nothing more, and its reader, who never comes.
#[cfg(target_os = "linux")]
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    const O_NONBLOCK: i32 = 0o4000;
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filler = fs::OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path).unwrap();
    for size in [4096, 1] {
        while filler.write(&[0; 4096][..size]).is_ok() {}
    }
    (reader, writer)
}

/// Starts a training whose output nobody reads; `moment` says what happens to it.
#[cfg(target_os = "linux")]
fn start_unread(words: &[String], moment: &str) -> (std::process::Child, std::io::PipeReader) {
    let (reader, writer) = full_pipe();
    let streams: [Stdio; 2] = [writer.try_clone().unwrap().into(), writer.into()];
    let [stdout, stderr] = streams;
    let mut command = Command::new(EXE);
    command.args(words).env(kscout_tests::moment::VARIABLE, moment).stdout(stdout).stderr(stderr);
    (command.spawn().unwrap(), reader)
}

/// The exit status of `child`; `None` of one that a minute and a half was not enough for, and which is killed then.
#[cfg(target_os = "linux")]
fn ended(mut child: std::process::Child) -> Option<i32> {
    let id = child.id().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || tell.send(child.wait().unwrap().code()));
    let code = told.recv_timeout(std::time::Duration::from_secs(90)).ok().flatten();
    if code.is_none() {
        drop(Command::new("kill").args(["-KILL", &id]).status());
    }
    waiting.join().unwrap().unwrap_or(());
    code
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_ends_a_training_whose_output_nobody_reads() {
    let job = all_trainings();
    // Before anything is printed: the second moment is that of the first step.
    for (signal, status) in [("term", 143), ("int", 130), ("term2", 143)] {
        let out = format!("unread {signal}");
        let (child, _reader) = start_unread(&words(&job, "segmenter", &out), &format!("2:{signal}"));
        assert_eq!(ended(child), Some(status), "{signal}");
        let saved = Path::new(&job.path(&out)).join("last").exists();
        assert_eq!(saved, signal != "term2", "{signal}: the step that was under way is saved");
    }
    // While it waits for its reader: after the first checkpoint, or, of a line policy, before.
    for kind in ["segmenter", "line policy"] {
        let (out, mark) = (format!("waiting {kind}"), if kind == "segmenter" { "best" } else { "" });
        let (child, _reader) = start_unread(&words(&job, kind, &out), "0:none");
        let (mark, begun) = (Path::new(&job.path(&out)).join(mark), std::time::Instant::now());
        while !mark.exists() && begun.elapsed().as_secs() < 90 {
            std::thread::yield_now();
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(ended(child), Some(143), "{kind}");
    }
}
