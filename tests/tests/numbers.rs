//! Every number that a person can give, in a configuration and on the command line: one that has no sense is refused by name,
//! with what was expected, before any work. Keys and options are those that the program has, so that a new one is among them.

use std::process::Command;

use clap::error::ErrorKind;
use kscout::command_line;
use kscout::config::{self, Config};
use kscout::rl::PolicyConfig;
use kscout::rl::volume::VolumeConfig;
use kscout::train::{ClassifierConfig, SegmenterConfig};
use kscout_tests::job::Job;
use toml::{Table, Value};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// Numbers that make sense nowhere, or in few places.
const ABSURD: [&str; 13] = [
    "nan",
    "inf",
    "-inf",
    "-1",
    "-0.5",
    "0",
    "1e308",
    "1e-308",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "",
];

/// Keys that 0 has a sense for, or next to nothing, and others for which one of the larger numbers has.
fn has_a_sense(task: &str, key: &str, value: &str) -> bool {
    const NONE_IS_FINE: [&str; 35] = [
        "network_width",
        "crop",
        "warmup",
        "stop_patience",
        "folds",
        "fold",
        "stop_at",
        "seed",
        "warm_steps",
        "reward.delay_step",
        "clip_norm",
        "clip_value",
        "max_minutes",
        "dice_weight",
        "class_weights",
        "focal_gamma",
        "weight_decay",
        "momentum",
        "min_learning_rate",
        "min_delta",
        "ema_decay",
        "dropout",
        "masks.full",
        "masks.centre",
        "masks.partial",
        "masks.recorded",
        "gamma",
        "gae_lambda",
        "value_weight",
        "entropy_weight",
        "target_kl",
        "reward.lambda1",
        "reward.lambda2",
        "reward.class_weights",
        "lambda1",
    ];
    const NOT_OF_AUGMENT: [&str; 6] = ["cells", "count", "spacing", "min_period", "max_period", "max_minutes"];
    let last = key.rsplit('.').next().unwrap();
    let augments = key.starts_with("augment.") && !NOT_OF_AUGMENT.contains(&last);
    let none = NONE_IS_FINE.contains(&key) || augments || (task == "slice-policy" && key == "updates");
    let is_whole = NONE_IS_FINE[..10].contains(&key) || key == "updates";
    match value {
        "0" => none,
        // Next to nothing is nothing where that is fine; a limit must be one.
        "1e-308" => {
            let tiny = none && !is_whole && !["clip_norm", "clip_value", "max_minutes"].contains(&key);
            tiny || ["head_weights", "lambda2"].contains(&key)
        }
        "2147483648" | "9223372036854775807" => ["seed", "loss_scale"].contains(&key),
        _ => false,
    }
}

/// The task's every number, set to every absurd one.
fn refuses_absurd_numbers<C: Config>(task: &str) -> usize {
    let defaults = Table::try_from(C::default()).unwrap();
    let declared: Vec<&str> = C::keys().iter().map(|key| key.name).collect();
    let numbers = config::numbers_of::<C>();
    for key in &numbers {
        let default = value_of(&defaults, key);
        let is_text = default.as_array().is_some_and(Vec::is_empty) && !declared.contains(&key.as_str());
        if is_text {
            assert_eq!(key, "labels", "{task}: the numbers of `{key}` have no range");
            continue;
        }
        assert!(declared.contains(&key.as_str()), "{task}: the number `{key}` has no range");
        for absurd in ABSURD {
            let given = match default {
                Value::Array(list) => {
                    let others = list.iter().skip(1).map(|value| format!(", {value}")).collect::<String>();
                    format!("[{absurd}{others}]")
                }
                _ => absurd.to_owned(),
            };
            // A list with nothing before the comma is no list, and an empty one has a test of its own.
            if !(default.is_array() && absurd.is_empty()) {
                expect::<C>(task, key, &given, has_a_sense(task, key, absurd));
            }
        }
    }
    for name in declared {
        assert!(numbers.iter().any(|key| key == name), "{task}: `{name}` is no key");
    }
    numbers.len()
}

/// Loads the configuration with one key set; it is accepted, or refused by the key's name.
fn expect<C: Config>(task: &str, key: &str, value: &str, accepted: bool) {
    match config::load::<C>(None, &[format!("{key}={value}")]) {
        Ok(_) => assert!(accepted, "{task}: {key}={value} is accepted"),
        Err(error) => {
            let message = error.to_string();
            assert!(!accepted, "{task}: {message}");
            let named = message.contains(&format!("`{key}`")) || message.contains(&format!(", {key}`"));
            assert!(named && message.contains(" must "), "{task}: {key}={value}: {message}");
        }
    }
}

fn value_of<'a>(table: &'a Table, key: &str) -> &'a Value {
    let mut parts = key.split('.');
    let first = &table[parts.next().unwrap()];
    parts.fold(first, |value, part| &value[part])
}

#[test]
fn every_number_of_a_configuration_outside_its_sense_is_refused_by_its_key() {
    assert!(refuses_absurd_numbers::<SegmenterConfig>("segmenter") > 60);
    assert!(refuses_absurd_numbers::<ClassifierConfig>("classifier") > 40);
    assert!(refuses_absurd_numbers::<PolicyConfig>("line-policy") > 50);
    assert!(refuses_absurd_numbers::<VolumeConfig>("slice-policy") > 50);
}

#[test]
fn lists_have_their_length_and_no_number_of_lines_twice() {
    let long: Vec<String> = (1..=65).map(|lines| lines.to_string()).collect();
    let long = format!("[{}]", long.join(", "));
    for (value, accepted) in [("[]", true), ("[8]", true), ("[8, 16, 8]", false), (&*long, false), ("8", false)] {
        expect::<SegmenterConfig>("segmenter", "validate_lines", value, accepted);
        expect::<ClassifierConfig>("classifier", "validate_lines", value, accepted);
        expect::<PolicyConfig>("line-policy", "validate_lines", value, accepted);
        expect::<VolumeConfig>("slice-policy", "validate_lines", value, accepted && value != "[]");
    }
    for (value, accepted) in [("[0, 1, 0, 0]", true), ("[]", false), ("[1, 1, 1]", false), ("[0, 0, 0, 0]", false)] {
        expect::<SegmenterConfig>("segmenter", "class_weights", value, accepted);
    }
    for (value, accepted) in [("[1, 0, 0]", true), ("[]", false), ("[1, 1]", false), ("[0, 0, 0]", false)] {
        expect::<PolicyConfig>("line-policy", "reward.class_weights", value, accepted);
    }
    for (value, accepted) in [("[]", true), ("[1, 1, 1, 1, 1]", false), ("[0]", false)] {
        expect::<SegmenterConfig>("segmenter", "head_weights", value, accepted);
    }
}

/// A subcommand's words and an option's name.
type Place = (Vec<String>, String);

/// Every option that takes a value, of every subcommand.
fn options(command: &clap::Command, words: &[String]) -> Vec<Place> {
    let takes = |arg: &&clap::Arg| arg.get_action().takes_values() && arg.get_long().is_some();
    let own = command.get_arguments().filter(takes).map(|arg| (words.to_vec(), arg.get_long().unwrap().to_owned()));
    let below = command.get_subcommands().flat_map(|command| {
        let words = [words, &[command.get_name().to_owned()]].concat();
        options(command, &words)
    });
    own.chain(below).collect()
}

/// What is wrong with an option's value, where it is not accepted as such.
fn wrong_value((words, option): &Place, value: &str) -> Option<String> {
    let words = words.iter().map(String::as_str);
    let option = format!("--{option}");
    let arguments: Vec<&str> = std::iter::once("kscout").chain(words).chain([option.as_str(), value]).collect();
    let error = command_line().try_get_matches_from(&arguments).err()?;
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => Some(error.to_string()),
        ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict => None,
        _ => panic!("{arguments:?}: {error}"),
    }
}

/// Values that are absurd in most places and fine for these options.
fn is_accepted(option: &str, words: &[String], value: &str) -> bool {
    match (option, value) {
        // TOML, which the steps of `reproduce` write it in, has no larger ones.
        ("seed", "9223372036854775808") => words != ["reproduce"],
        ("seed", "0" | "2147483648" | "9223372036854775807") => true,
        ("panels" | "centre-first", "0") => true,
        // A bound may be as high as one likes.
        ("max-macs", "2147483648" | "9223372036854775807" | "9223372036854775808") => true,
        ("least-gain" | "tolerance" | "pixels" | "choices", "0" | "1e-308") => true,
        _ => false,
    }
}

#[test]
fn every_number_of_the_command_line_outside_its_sense_is_refused_by_its_option() {
    let numbers: Vec<Place> = options(&command_line(), &[])
        .into_iter()
        .filter(|option| {
            let some_number = ["8", "32", "0.5", "2"].iter().any(|number| wrong_value(option, number).is_none());
            (some_number || option.1 == "undersample") && wrong_value(option, "word").is_some()
        })
        .collect();
    assert!(numbers.len() >= 38, "{} options take numbers", numbers.len());
    for option in &numbers {
        let (words, name) = option;
        for absurd in ABSURD {
            let said = wrong_value(option, absurd);
            assert_eq!(said.is_none(), is_accepted(name, words, absurd), "{words:?} --{name} {absurd}: {said:?}");
            if let Some(said) = said {
                assert!(said.contains(&format!("--{name}")) && said.contains("expected"), "{words:?}: {said}");
            }
        }
    }
    let lines = |name: &str, value: &str| wrong_value(&(vec!["eval".to_owned()], name.to_owned()), value);
    assert!(lines("budgets", "8,16,8").unwrap().contains("--budgets 8,16,8: 8 comes twice"));
    assert!(lines("budgets", "8,,16").unwrap().contains("--budgets"));
    assert!(lines("budgets", "8,-1").unwrap().contains("--budgets 8,-1"));
    assert!(lines("budgets", "6, 8").is_none());
    for pair in ["centre-out:0", "centre-out:-1", "centre-out:nan", "centre-out:2147483648", "centre-out:"] {
        let said = wrong_value(&(vec!["predict".to_owned()], "undersample".to_owned()), pair).unwrap();
        assert!(said.contains("--undersample") && said.contains("1 to 512"), "{said}");
    }
}

/// Runs the binary; returns its exit code and what it said.
fn exits(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(EXE).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap_or_else(|| panic!("{arguments:?}: {}: {said}", output.status));
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    (code, said)
}

#[test]
fn numbers_that_only_the_data_can_refuse_are_refused_by_name_and_the_largest_run() {
    let job = Job::new(EXE, 5, 3, 32);
    let keys = ["steps=1", "batch=2", "warmup=0", "network_width=2", "validate_lines=[]"];
    job.train_segmenter("reward", &keys, &[]).succeeded();
    job.train_line_policy(("reward", "policy"), &["updates=1", "episodes=2", "max_budget=4", "validate_lines=[]"], &[])
        .succeeded();
    let policy = job.path("policy");
    let [data, reward, blob, out, csv] =
        ["data", "reward", "heart.kscout", "out", "out.csv"].map(|name| job.path(name));
    let largest = u64::MAX.to_string();
    let export = ["export", "--segmenter", &reward, "--data", &data, "--calibration", "4"];
    job.run(&[&export[..], &["--out", &blob, "--seed", &largest]].concat()).succeeded();
    let [one, with_policy] = ["one.kscout", "policy.kscout"].map(|name| job.path(name));
    for (calibration, file) in [("1", &one), ("64", &with_policy)] {
        let export = ["export", "--segmenter", &reward, "--line-policy", &policy, "--data", &data, "--out", file];
        let (code, said) = exits(&[&export[..], &["--calibration", calibration]].concat());
        assert!(code == 0 || (calibration == "1" && said.contains("--calibration")), "{said}");
    }
    let [mask, phantom, slice] = ["mask.json", "phantom", "slice.png"].map(|name| job.path(name));
    let image = format!("{data}/patient001/images/1.png");
    let learn = ["train", "mask", "--model", &blob, "--data", &data, "--out", &mask];
    let masks = ["masks", "--model", &blob, "--data", &data, "--out", &csv, "--by-baseline"];
    let eval = ["eval", "--model", &blob, "--data", &data, "--out", &out, "--force"];
    let verify = ["verify", &blob, "--segmenter", &reward, "--data", &data];
    let scan = ["scan", &blob, "--data", &data, "--slice", "patient001/1", "--out", &slice];
    let predict = ["predict", "--blob", &blob, "--out", &out, &image];

    for (command, options, named) in [
        (&learn[..], &["--budget", "33"][..], "--budget 33: expected 1 to 32"),
        (&learn, &["--budget", "4", "--candidates", "33"], "--candidates 33: expected 1 to 32"),
        (&learn, &["--budget", "4", "--candidates", "3"], "--budget 4: expected 1 to 3"),
        (&masks, &["--baselines", "centre-out", "--budgets", "8,33"], "--budgets: 33"),
        (&eval, &["--budgets", "512"], "--budgets: 512"),
        (&eval, &["--budgets", "8", "--candidates", "512"], "--candidates 512"),
        (&eval, &["--budgets", "8", "--candidates", "1"], "--candidates 1"),
        (&eval, &["--budgets", "8", "--centre-first", "512"], "--centre-first 512"),
        (&verify, &["--budgets", "8,512"], "--budgets"),
        (&verify, &["--budgets", "8", "--prune", "2"], "unext-s"),
        (&scan, &["--budget", "33"], "--budget 33: expected 1 to 32"),
        (&predict, &["--undersample", "centre-out:33"], "--undersample centre-out:33"),
    ] {
        let arguments = [command, options].concat();
        let (code, said) = exits(&arguments);
        assert!(code == 1 && said.contains(named), "{arguments:?}: {code}: {said}");
    }
    let least = ["--baselines", "centre-out,one-step-oracle,nearest-neighbour", "--candidates", "8", "--centre-first"];
    let eval_largest =
        ["--budgets", "8", "--limit-volumes", "1000000", "--neighbours", "1000000", "--panels", "1000000"];
    for (command, options) in [
        (&["data", "phantom", &phantom, "--patients", "1", "--size", "32", "--seed", &largest][..], &[][..]),
        (&learn, &["--budget", "2", "--candidates", "3", "--volumes", "1000000", "--seed", &largest]),
        (&masks, &["--baselines", "random", "--budgets", "1,32", "--seed", &largest]),
        (&[&eval[..], &eval_largest].concat(), &[&least[..], &["8", "--seed", &largest]].concat()),
        (&eval, &["--budgets", "1", "--panels", "0", "--draws", "2", "--seed", &largest, "--baselines", "random"]),
        (&verify, &["--budgets", "1,32", "--limit", "1", "--tolerance", "1", "--seed", &largest]),
        (&scan, &["--budget", "32", "--pattern", "random", "--seed", &largest]),
        (&predict, &["--undersample", "random:32", "--seed", &largest, "--spacing", "20"]),
        (&["bench", &blob, "--runs", "1", "--threads", "256"], &[]),
        (&["net", "info", "--arch", "unet", "--size", "32", "--width", "1", "--classes", "255"], &[]),
        (&["net", "info", "--arch", "unext", "--size", "32", "--width", "1", "--classes", "1"], &[]),
        (&["net", "info", "--arch", "unetpp", "--size", "32", "--width", "1", "--prune", "4"], &[]),
    ] {
        let arguments = [command, options].concat();
        let (code, said) = exits(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
    }
}

#[test]
fn configurations_for_128_columns_train_on_32_and_say_once_what_they_do() {
    let job = Job::new(EXE, 5, 3, 32);
    let [data, labels] = ["data", "labels.csv"].map(|name| job.path(name));
    job.run(&["data", "labels", &data, "--out", &labels]).succeeded();
    let header = |out: &str| {
        let log = std::fs::read_to_string(job.path(out) + "/log.csv").unwrap();
        log.lines().next().unwrap().split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let trains = |what: &str, out: &str, config: &str, keys: &[&str], options: &[&str], columns: &[&str]| {
        let ran = job.train(what, out, keys, &[&["--config", config], options].concat());
        let said = ran.stderr.clone();
        ran.succeeded();
        assert_eq!(said.matches("`validate_lines`").count(), 1, "{config}: {said}");
        assert!(said.contains(&format!("--config {config}: the built-in configuration {config}; ")), "{said}");
        let header = header(out);
        let scored: Vec<&str> = header.iter().map(String::as_str).filter(|name| name.ends_with(columns[0])).collect();
        assert_eq!(scored, columns[1..], "{config}");
        assert!(!header.iter().any(|name| name.ends_with("_128") || name.ends_with("_64")), "{header:?}");
    };
    let fast = ["steps=1", "batch=2", "warmup=0"];
    let keys = [&fast[..], &["network_width=2", "validate_lines=[128, 64, 16, 32]"]].concat();
    let columns = ["_32", "dice_rv_32", "dice_myo_32", "dice_lv_32"];
    trains("segmenter", "few", "segmenter.toml", &keys, &[], &columns);
    trains("segmenter", "reward", "segmenter.toml", &[&fast[..], &["network_width=2"]].concat(), &[], &columns);
    trains(
        "segmenter",
        "tuned",
        "igs.toml",
        &[&keys[..], &["crop=0", "validate_lines=[64, 16]"]].concat(),
        &[],
        &columns,
    );
    let classifier = ["--labels", &labels];
    let columns = ["log_p_32", "log_p_32"];
    trains("classifier", "classifier", "classifier.toml", &fast, &classifier, &columns);
    let reward = job.path("reward");
    let scored = ["--reward-model", &reward];
    let keys = ["updates=1", "episodes=2", "max_budget=4", "validate_lines=[128, 8]"];
    trains("line-policy", "policy", "line-policy.toml", &keys, &scored, &["_32", "dice_32"]);
    let keys = ["copies=1", "warm_steps=0", "updates=0", "validate_lines=[128, 6]"];
    trains("slice-policy", "slices", "slice-policy.toml", &keys, &scored, &["dice_32", "train_dice_32", "dice_32"]);
}
