//! Runs that are killed, or told to end, at exact moments: before and after every write, rename, row of a log and step. A training goes
//! on and ends with the same weights and the same log; any other command leaves what was there before, or what it was to make.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use kscout::rl::agent::{Agent, ScoutActorCritic};
use kscout::rl::volume::load_slice_policy;
use kscout::train::checkpoint::load_weights;
use kscout::train::classifier::load_classifier;
use kscout::train::segmenter::load_segmenter;
use kscout_tests::job::Job;
use kscout_tests::moment::{moments, run_to};
use kscout_tests::run;
use kscout_tests::tree::{hidden, tree};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
/// Moments at which a command is ended, spread evenly over it.
const MOMENTS: usize = 20;
/// What ends it, in turn, and the exit status that tells so.
const ENDS: [(&str, Option<i32>); 4] = [("kill", None), ("term", Some(143)), ("int", Some(130)), ("term2", Some(143))];

/// Every parameter and running statistic.
fn values(network: &impl Module) -> Vec<u32> {
    struct Collect(Vec<u32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().into_data().try_into_vec::<f32>().unwrap();
            self.0.extend(values.into_iter().map(f32::to_bits));
        }
    }
    let mut collect = Collect(Vec::new());
    network.visit(&mut collect);
    collect.0
}

/// What a run has come to: the weights of `last` and `best`, what `last` says, and the log without its seconds.
#[derive(Debug, PartialEq)]
struct Outcome {
    weights: [Option<Vec<u32>>; 2],
    said: Vec<Value>,
    log: Vec<String>,
}

impl Outcome {
    fn of(run: &Path) -> Self {
        let weights = ["last", "best"].map(|name| run.join(name)).map(|dir| dir.exists().then(|| weights(&dir)));
        let said = description(&run.join("last"));
        let said =
            ["step", "score", "best", "best_step", "standing", "progress", "since", "row"].map(|key| match key {
                "row" => without_seconds(said["row"].as_str().unwrap_or_default()).into(),
                _ => said[key].clone(),
            });
        let log = fs::read_to_string(run.join("log.csv")).unwrap();
        Self { weights, said: said.into(), log: log.lines().map(without_seconds).collect() }
    }
}

fn description(checkpoint: &Path) -> Value {
    serde_json::from_slice(&fs::read(checkpoint.join("checkpoint.json")).unwrap()).unwrap()
}

fn weights(checkpoint: &Path) -> Vec<u32> {
    let device = Device::flex();
    match description(checkpoint)["kind"].as_str().unwrap() {
        "classifier" => values(&load_classifier(checkpoint, &device).unwrap().0.network),
        // What the policy has learned, whether or not the run keeps it.
        "line-policy" => values(&load_weights(checkpoint, ScoutActorCritic::new([32, 32], &device)).unwrap()),
        "slice-policy" => values(&load_slice_policy(checkpoint, &device).unwrap().0),
        _ => values(&load_segmenter(checkpoint, None, &device).unwrap().0),
    }
}

/// A row without its second column.
fn without_seconds(row: &str) -> String {
    let columns = row.split(',').enumerate().filter(|&(place, _)| place != 1);
    columns.map(|(_, column)| column).collect::<Vec<_>>().join(",")
}

/// `MOMENTS` of 1 to `last`, or all where there are fewer.
fn some(last: usize) -> Vec<usize> {
    let count = MOMENTS.min(last);
    (0..count).map(|i| 1 + i * last / count).collect()
}

/// A data set of phantoms and a barely trained segmenter.
fn job() -> Job {
    let job = Job::new(EXE, 5, 4, 32);
    let keys = ["steps=2", "batch=2", "warmup=1", "validate_every=2", "validate_lines=[8]"];
    job.train_segmenter("reward", &keys, &[]).succeeded();
    job
}

/// The command that a stopped run prints, on a line of its own.
#[track_caller]
fn printed_command(stderr: &str) -> String {
    let line = stderr.lines().skip_while(|line| !line.ends_with("To go on:")).nth(1);
    line.unwrap_or_else(|| panic!("no command in: {stderr}")).trim().to_owned()
}

/// Ends the training `command`, which is to write `NAME/OUT`, at its moments, goes on, and compares with a run that was left alone.
fn a_training_goes_on(job: &Job, command: &str, outcome: impl Fn(&Path) -> Outcome) {
    let in_folder = |name: &str| job.words(&command.replace("OUT", name));
    let of = |name: &str| PathBuf::from(job.path(name));
    let last = moments(EXE, in_folder("whole"));
    let whole = outcome(&of("whole"));
    assert!(last >= MOMENTS, "{last} moments");
    for (turn, moment) in some(last).into_iter().enumerate() {
        let (end, status) = ENDS[turn % ENDS.len()];
        let name = format!("part {moment}").replace(' ', "");
        let (ended, code) = run_to(EXE, &format!("{moment}:{end}"), in_folder(&name));
        let context = format!("{end} at moment {moment} of {last}: {command}\n{}", ended.stderr);
        assert!(code == status || (end != "kill" && ended.ok), "{context}: {code:?}");
        if end == "kill" {
            run(EXE, [in_folder(&name), vec!["--resume".into()]].concat()).succeeded();
        } else if !ended.ok {
            assert!(hidden(&of("")).is_empty(), "{context}: {:?}", hidden(&of("")));
            run("sh", ["-c", &printed_command(&ended.stderr)]).succeeded();
        }
        assert!(outcome(&of(&name)) == whole, "{context}: {:?} {:?}", outcome(&of(&name)).log, whole.log);
        assert!(hidden(&of(&name)).is_empty(), "{context}: {:?}", hidden(&of(&name)));
        fs::remove_dir_all(of(&name)).unwrap_or_else(|_| fs::remove_file(of(&name)).unwrap());
    }
}

#[test]
fn a_segmenters_training_goes_on_from_any_moment() {
    let command = "train segmenter --data NAME/data --out NAME/OUT --set steps=5 --set batch=2 --set warmup=1 --set validate_every=2 \
         --set validate_lines=[8,16] --set learning_rate=0.01 --set ema_decay=0.9 --set schedule=plateau --set plateau_patience=1 \
         --set optimizer=sgd";
    a_training_goes_on(&job(), command, Outcome::of);
}

#[test]
fn a_classifiers_training_goes_on_from_any_moment() {
    let job = job();
    run(EXE, job.words("data labels NAME/data --out NAME/labels.csv")).succeeded();
    let command = "train classifier --data NAME/data --labels NAME/labels.csv --out NAME/OUT --set steps=5 \
         --set batch=2 --set warmup=1 --set validate_every=2 --set validate_lines=[8]";
    a_training_goes_on(&job, command, Outcome::of);
}

#[test]
fn a_policys_training_goes_on_from_any_moment() {
    let command = "train line-policy --reward-model NAME/reward --data NAME/data --out NAME/OUT --set updates=5 --set episodes=2 \
         --set min_budget=3 --set max_budget=4 --set epochs=2 --set minibatch=3 --set validate_lines=[3] --set validate_every=2";
    a_training_goes_on(&job(), command, Outcome::of);
}

#[test]
fn a_slice_policys_training_goes_on_from_any_moment() {
    let command = "train slice-policy --reward-model NAME/reward --data NAME/data --out NAME/OUT --set copies=1 \
         --set warm_steps=4 --set warm_batch=16 --set updates=5 --set episodes=2 --set max_budget=8 --set validate_lines=[4,6] \
         --set validate_every=2";
    a_training_goes_on(&job(), command, Outcome::of);
}

#[test]
fn a_mask_is_learned_on_from_any_moment() {
    let command = "train mask --segmenter NAME/reward --data NAME/data --out NAME/OUT --volumes 1 --candidates 8 --budget 5 --reorder";
    let outcome = |path: &Path| {
        let mut mask: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        mask["provenance"]["command"] = Value::Null;
        Outcome { weights: [None, None], said: vec![mask], log: Vec::new() }
    };
    a_training_goes_on(&job(), command, outcome);
}

/// Ends `command`, which is to write `NAME/out`, at its moments, where nothing is there and where `before` is: what it leaves is what was
/// there, or what it was to make.
fn a_command_leaves_all_or_nothing(job: &Job, command: &str, before: Option<&str>) {
    leaves_all_or_nothing(job, command, before, tree);
}

/// [`a_command_leaves_all_or_nothing`], as `tree` sees it.
fn leaves_all_or_nothing(
    job: &Job,
    command: &str,
    before: Option<&str>,
    tree: impl Fn(&Path) -> BTreeMap<PathBuf, Vec<u8>>,
) {
    let out = PathBuf::from(job.path("out"));
    let clear = || drop(fs::remove_dir_all(&out).or_else(|_| fs::remove_file(&out)));
    let begin = || {
        clear();
        before.map(|before| run(EXE, job.words(before)).succeeded());
        tree(&out)
    };
    let old = begin();
    let command = job.words(command);
    let last = moments(EXE, &command);
    let new = tree(&out);
    assert!(!new.is_empty() && new != old, "{command:?} makes nothing");
    for (turn, moment) in some(last).into_iter().enumerate() {
        for (end, status) in [ENDS[0], ENDS[1 + turn % 2]] {
            begin();
            let (ended, code) = run_to(EXE, &format!("{moment}:{end}"), &command);
            let context = format!("{end} at moment {moment} of {last}: {command:?}\n{}", ended.stderr);
            assert_eq!(code, status, "{context}");
            let mut left = tree(&out);
            // A process that is killed cannot take away what is half made; it is swept later, and hidden until then.
            left.retain(|name, _| !name.iter().any(|part| part.to_string_lossy().starts_with('.')));
            assert!(left == old || left == new, "{context}: {:?}", left.keys());
            if end != "kill" {
                assert!(
                    hidden(Path::new(&job.path(""))).is_empty(),
                    "{context}: {:?}",
                    hidden(Path::new(&job.path("")))
                );
            }
            if left == old && before.is_none() {
                run(EXE, &command).succeeded();
                assert!(tree(&out) == new, "{context}");
                assert!(
                    hidden(Path::new(&job.path(""))).is_empty(),
                    "{context}: {:?}",
                    hidden(Path::new(&job.path("")))
                );
            }
        }
    }
    clear();
}

#[test]
fn a_data_set_is_made_whole_or_not_at_all() {
    let job = job();
    let png = "data import --format png NAME/data NAME/out --size 32 --force";
    a_command_leaves_all_or_nothing(&job, png, None);
    a_command_leaves_all_or_nothing(&job, png, Some("data phantom NAME/out --patients 1 --size 32"));
    a_command_leaves_all_or_nothing(&job, "data phantom NAME/out --patients 2 --size 32", None);
}

#[test]
fn what_is_made_of_networks_is_made_whole_or_not_at_all() {
    let job = job();
    let export = "export --segmenter NAME/reward --data NAME/data --calibration 4 --out NAME/out";
    a_command_leaves_all_or_nothing(&job, export, None);
    a_command_leaves_all_or_nothing(&job, &format!("{export} --seed 2"), Some(export));
    run(EXE, job.words(&export.replace("NAME/out", "NAME/heart.kscout"))).succeeded();
    let predict = "predict --blob NAME/heart.kscout --out NAME/out NAME/data/patient001/images/3.png";
    a_command_leaves_all_or_nothing(&job, predict, None);
    let here = env!("CARGO_MANIFEST_DIR");
    let volume = format!("{here}/cases/nifti/reference.nii.gz");
    let predict = format!("predict --blob NAME/heart.kscout --overlay --out NAME/out {volume}");
    let only = |name: &str, path: &Path| {
        let is = |found: &Path| found.to_string_lossy().split('/').next().is_some_and(|first| first.contains(name));
        tree(path).into_iter().filter(|(found, _)| is(found)).collect::<BTreeMap<_, _>>()
    };
    // Two results, of which each is whole.
    leaves_all_or_nothing(&job, &predict, None, |path| only("_seg", path));
    leaves_all_or_nothing(&job, &predict, None, |path| only("_overlay", path));
    let import = format!("import --arch unext-s --weights {here}/golden/models/unext_s.pth --size 32 --out NAME/out");
    // Each import numbers the weights anew.
    let names = |path: &Path| tree(path).into_keys().map(|name| (name, Vec::new())).collect();
    leaves_all_or_nothing(&job, &import, None, names);
    a_command_leaves_all_or_nothing(&job, "export --from NAME/heart.kscout --onnx NAME/out", None);
    let masks = "masks --model NAME/heart.kscout --data NAME/data --by-baseline --baselines centre-out --budgets 4 --out NAME/out";
    a_command_leaves_all_or_nothing(&job, masks, None);
    let eval = format!("{EVAL} --panels 1");
    a_command_leaves_all_or_nothing(&job, &eval, None);
    a_command_leaves_all_or_nothing(&job, &format!("{EVAL} --seed 2 --panels 0 --force"), Some(&eval));
}

const EVAL: &str = "eval --model NAME/heart.kscout --data NAME/data --budgets 4 --baselines centre-out --out NAME/out";

/// Where a folder holds other files too, results come into it one by one.
#[test]
fn results_that_come_among_other_files_are_whole_or_have_no_mark() {
    let job = job();
    run(EXE, job.words("export --segmenter NAME/reward --data NAME/data --calibration 4 --out NAME/heart.kscout"))
        .succeeded();
    let (out, again) = (PathBuf::from(job.path("out")), job.words(&format!("{EVAL} --seed 2 --panels 0 --force")));
    let begin = || {
        let _ = fs::remove_dir_all(&out);
        run(EXE, job.words(&format!("{EVAL} --panels 2"))).succeeded();
        fs::write(out.join("notes.txt"), "mine").unwrap();
        tree(&out)
    };
    let old = begin();
    let last = moments(EXE, &again);
    let new = tree(&out);
    let is_part_of =
        |left: &BTreeMap<_, _>, whole: &BTreeMap<_, _>| left.iter().all(|(name, of)| whole.get(name) == Some(of));
    let mut cut_off = 0;
    for moment in last - 6..=last {
        begin();
        run_to(EXE, &format!("{moment}:kill"), &again);
        let mut left = tree(&out);
        left.retain(|name, _| !name.iter().any(|part| part.to_string_lossy().starts_with('.')));
        assert!(left.contains_key(Path::new("notes.txt")));
        if left != old && left != new {
            let names: Vec<_> = left.keys().collect();
            assert!(is_part_of(&left, &old) || is_part_of(&left, &new), "moment {moment} of {last}: a mix: {names:?}");
            assert!(!left.contains_key(Path::new("results.json")), "moment {moment} of {last}: {names:?}");
            cut_off += 1;
        }
        run(EXE, &again).succeeded();
        assert!(tree(&out) == new, "moment {moment} of {last}");
    }
    assert!(cut_off >= 3, "{cut_off} of the last moments are on the way");
}

const REWARD: &str = "train segmenter --data NAME/data --out NAME/OUT --set steps=4 --set batch=2 --set validate_every=2 \
     --set validate_lines=[8]";

#[test]
fn a_run_whose_last_checkpoint_is_gone_or_damaged_is_never_begun_anew() {
    let job = job();
    let train = job.words(&REWARD.replace("OUT", "run"));
    let resume = [&train[..], &["--resume".into()]].concat();
    let begun = run(EXE, &resume);
    assert!(begun.stderr.contains("no run to go on with yet"), "{}", begun.stderr);
    begun.succeeded();
    run(EXE, &train).refused(&["run", "--resume"]);
    let (place, aside) = (PathBuf::from(job.path("run/last")), PathBuf::from(job.path("aside")));
    fs::rename(&place, &aside).unwrap();
    let refused = |words: &[&str]| {
        let before = tree(Path::new(&job.path("run")));
        run(EXE, &resume).refused(&[&["last", "best", "copy"], words].concat());
        assert!(tree(Path::new(&job.path("run"))) == before, "{words:?}: something was written");
    };
    refused(&["is missing"]);
    for name in ["weights.bpk", "optimizer.bpk", "checkpoint.json"] {
        let bytes = fs::read(aside.join(name)).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x10;
        for (kind, bytes) in
            [("missing", None), ("cut", Some(&bytes[..bytes.len() / 2])), ("flipped", Some(&flipped[..]))]
        {
            // A description that still reads well is what it says.
            if (name, kind) == ("checkpoint.json", "flipped") {
                continue;
            }
            fs::create_dir_all(&place).unwrap();
            for other in fs::read_dir(&aside).unwrap().map(Result::unwrap) {
                fs::copy(other.path(), place.join(other.file_name())).unwrap();
            }
            match bytes {
                Some(bytes) => fs::write(place.join(name), bytes).unwrap(),
                None => fs::remove_file(place.join(name)).unwrap(),
            }
            refused(&[name]);
            fs::remove_dir_all(&place).unwrap();
        }
    }
    fs::remove_dir_all(job.path("run/best")).unwrap();
    run(EXE, &resume).refused(&["log.csv", "checkpoints are gone"]);
    fs::remove_file(job.path("run/log.csv")).unwrap();
    run(EXE, &train).succeeded();
}

#[test]
fn a_log_is_cut_to_its_checkpoint_and_a_best_one_that_was_taken_away_is_said() {
    let job = job();
    let train = job.words(&REWARD.replace("OUT", "run"));
    run(EXE, &train).succeeded();
    let (log, path) = (job.path("run/log.csv"), PathBuf::from(job.path("run")));
    let whole = Outcome::of(&path);
    let text = fs::read_to_string(&log).unwrap();
    let resume = [&train[..], &["--resume".into()]].concat();
    for changed in [format!("{text}6,9,0.1,0,0,0\n8,"), text[..text.len() - 3].into(), text[..9].into(), String::new()]
    {
        fs::write(&log, &changed).unwrap();
        run(EXE, &resume).succeeded();
        let (header, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        let mended = fs::read_to_string(&log).unwrap();
        assert!(
            mended.starts_with(&format!("{header}\n")) && mended.ends_with(&format!("\n{last}\n")),
            "{changed}: {mended}"
        );
        fs::write(&log, &text).unwrap();
    }
    fs::write(&log, text.replace("loss", "lost")).unwrap();
    run(EXE, &resume).refused(&["log.csv", "lost"]);
    fs::write(&log, &text).unwrap();
    assert!(Outcome::of(&path) == whole);
    fs::remove_dir_all(path.join("best")).unwrap();
    let ran = run(EXE, &resume);
    assert!(path.join("best").exists() || ran.stderr.contains("best checkpoint"), "{}", ran.stderr);
    ran.succeeded();
}

#[test]
#[cfg(unix)]
fn a_recipe_takes_its_step_with_it() {
    use kscout::io::lock::Locks;

    let job = job();
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let reproduce = |options: &str| {
        let recipe = format!("reproduce --protocol scanner --data NAME/data --configs {configs} {options}");
        job.words(&recipe)
    };
    // The first moment has the lock, four are of the file that says what was begun, and the sixth has a step that has begun.
    let (stopped, code) = run_to(EXE, "6:term", reproduce("--quick --out NAME/out"));
    let out = PathBuf::from(job.path("out"));
    assert_eq!(code, Some(143), "{}", stopped.stderr);
    let again = printed_command(&stopped.stderr);
    assert!(again.contains(" reproduce ") && !again.contains("--resume"), "{again}");
    assert!(hidden(&out).is_empty() && !out.join("done/reward").exists(), "{:?}", tree(&out).keys());
    run(EXE, job.words("data phantom NAME/out --patients 1")).refused(&["not empty"]);

    let commands = run(EXE, reproduce("--dry-run --out NAME/killed")).succeeded();
    let steps = commands.split_whitespace().find_map(|word| word.strip_prefix("steps=")).unwrap();
    let (killed, code) = run_to(EXE, "6:kill", reproduce("--out NAME/killed"));
    assert_eq!(code, None, "{}", killed.stderr);
    // Output has come to its end, which the step writes to as well: it has ended, and its lock goes with it.
    let first = PathBuf::from(job.path("killed/reward"));
    while Locks::of([first.as_path()]).is_err() {
        std::thread::yield_now();
    }
    let last = first.join("last");
    let made = if last.exists() { description(&last)["step"].as_u64().unwrap() } else { 0 };
    assert!(made < steps.parse().unwrap(), "{made} of {steps} steps, which nobody waited for");
}

/// Runs the binary with its standard output and error going to `stdout` and `stderr`; its exit status.
#[cfg(unix)]
fn run_into(words: &[String], stdout: std::process::Stdio, stderr: std::process::Stdio) -> (Option<i32>, String) {
    let output = std::process::Command::new(EXE).args(words).stdout(stdout).stderr(stderr).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[cfg(unix)]
fn output_that_nobody_takes_ends_no_training_and_makes_nothing_panic() {
    use std::process::Stdio;

    let job = job();
    let gone = || Stdio::from(std::io::pipe().unwrap().1);
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let train = |name: &str| job.words(&REWARD.replace("OUT", name));
    let info = job.words("data info NAME/data");
    run(EXE, train("whole")).succeeded();
    let whole = Outcome::of(Path::new(&job.path("whole")));
    let expect_trained = |name: &str, (code, stderr): (Option<i32>, String)| {
        assert_eq!((code, stderr.contains("panicked")), (Some(0), false), "{name}: {stderr}");
        assert!(Outcome::of(Path::new(&job.path(name))) == whole, "{name}");
    };
    expect_trained("gone", run_into(&train("gone"), gone(), gone()));
    let (hung_up, code) = run_to(EXE, "3:hup", train("hung-up"));
    expect_trained("hung-up", (code, hung_up.stderr));
    assert_eq!(run_into(&info, gone(), Stdio::piped()), (Some(0), String::new()), "as with `| head`");
    assert_eq!(run_into(&info, gone(), gone()).0, Some(0));
    if !fs::exists("/dev/full").unwrap() {
        return;
    }
    let said = run_into(&train("full"), full(), Stdio::piped());
    assert!(said.1.contains("standard output"), "{}", said.1);
    expect_trained("full", said);
    expect_trained("both", run_into(&train("both"), full(), full()));
    let (code, said) = run_into(&info, full(), Stdio::piped());
    assert!(code == Some(1) && said.contains("standard output") && !said.contains("panicked"), "{code:?} {said}");
    assert_eq!(run_into(&info, full(), full()).0, Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_on_a_full_disk_is_named() {
    let job = job();
    run(EXE, job.words("export --segmenter NAME/reward --data NAME/data --calibration 4 --out NAME/heart.kscout"))
        .succeeded();
    let commands = [
        "export --from NAME/heart.kscout --onnx /dev/full",
        "export --segmenter NAME/reward --data NAME/data --calibration 4 --out /dev/full",
        "masks --model NAME/heart.kscout --data NAME/data --by-baseline --baselines centre-out --budgets 4 --out /dev/full",
        "scan NAME/heart.kscout --data NAME/data --slice patient001/3 --budget 4 --out /dev/full",
        "scan NAME/heart.kscout --data NAME/data --slice patient001/3 --budget 4 --capture /dev/full",
        "train mask --segmenter NAME/reward --data NAME/data --volumes 1 --candidates 4 --budget 2 --out /dev/full",
        "data labels NAME/data --out /dev/full",
        "sampler --data NAME/data --out /dev/full",
        "train segmenter --data NAME/data --set steps=1 --set batch=2 --set validate_lines=[8] --out /dev/full",
        "data phantom /dev/full --patients 1 --size 32",
        "eval --model NAME/heart.kscout --data NAME/data --budgets 4 --baselines centre-out --panels 0 --out /dev/full",
        "predict --blob NAME/heart.kscout --out /dev/full NAME/data/patient001/images/3.png",
    ];
    for command in commands {
        run(EXE, job.words(command)).refused(&["/dev/full"]);
    }
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device(), "a device is no file to be replaced");
}
