//! The recipes of the results, from data to tables, on a few synthetic hearts and with trainings of a few steps.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use kscout_tests::job::Job;
use kscout_tests::moment::run_to;
use kscout_tests::run;
use kscout_tests::tree::tree;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");

/// Makes the tables of `protocol`, checks that they hold what they are to, and that nothing is done twice.
fn reproduces([protocol, reconstruction, size]: [&str; 3], configs: &[&str], budgets: &[&str], files: &[&str]) {
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).display().to_string();
    let (data, out) = (path("data"), path("out"));
    run(EXE, ["data", "phantom", &data, "--patients", "5", "--seed", "3", "--size", size]).succeeded();
    let recipe = ["reproduce", "--protocol", protocol, "--reconstruction", reconstruction];
    let options = ["--data", &data, "--out", &out, "--quick"];
    let reproduce = [&recipe[..], &options, configs].concat();
    let printed = run(EXE, &reproduce).succeeded();
    let commands = run(EXE, [&reproduce[..], &["--dry-run"]].concat()).succeeded();
    let steps = commands.lines().filter(|line| line.starts_with("kscout ")).count();
    assert!(printed.contains(&format!("[{steps} of {steps}] kscout ")), "{printed}");

    let table = fs::read_to_string(path("out/compare.md")).unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().map(|row| row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    for budget in budgets {
        // Differences have eight columns, shares of the way to the oracle five.
        let of = |columns: usize, place: usize, method: &str| {
            let row = |row: &&Vec<&str>| row.len() == columns && row[0] == *budget && row[place].ends_with(method);
            rows.iter().filter(row).count()
        };
        for method in [":centre-out", ":by-position", ":learned-mask", ":partial-fourier"] {
            assert_eq!(
                [of(8, 3, method), of(5, 2, method)],
                [3, 3],
                "{method} at {budget} lines, three seeds: {table}"
            );
        }
        assert_eq!(
            [of(8, 3, ":allocation-oracle"), of(5, 3, ":allocation-oracle")],
            [3, 12],
            "{budget} lines: {table}"
        );
    }
    assert!(!table.contains("NaN"), "{table}");
    let report = fs::read_to_string(path("out/eval-policy-1/report.md")).unwrap();
    assert!(report.contains(&format!(" {reconstruction} images")), "{report}");
    assert_eq!(report.contains(" in 2 draws of phase and noise"), protocol == "scanner", "{report}");
    for file in files {
        let written = Path::new(&out).join(file);
        assert!(fs::metadata(&written).is_ok_and(|found| found.len() > 100), "{}", written.display());
    }
    assert_eq!(run(EXE, &reproduce).succeeded(), "", "all is done");
    let whole: Vec<&str> = reproduce.iter().copied().filter(|word| *word != "--quick").collect();
    run(EXE, &whole).refused(&["step `reward`", "other commands", "--out"]);
    fs::remove_file(path("out/done/compare")).unwrap();
    let again = run(EXE, &reproduce).succeeded();
    assert!(again.contains(" kscout compare ") && !again.contains("train"), "what is missing is made again: {again}");
}

#[test]
fn the_tables_of_the_scanner_protocol_come_out_of_data_and_configs() {
    let files = ["compare.png", "trade.md", "trade.png", "policy-1.kscout", "eval-policy-1/report.md"];
    // With the configurations that are built in: there is no folder of them where this test runs.
    assert!(!Path::new("configs").exists());
    reproduces(["scanner", "zero-filled", "128"], &[], &["6", "8", "12", "16", "24"], &files);
}

#[test]
fn the_tables_of_the_igs_protocol_come_out_of_data_and_configs() {
    let files = ["compare.png", "policy-3.kscout", "eval-mask/results.csv"];
    reproduces(["igs", "homodyne", "256"], &["--configs", CONFIGS], &["16", "32"], &files);
}

#[test]
fn the_commands_are_printed_from_an_empty_folder_and_their_configurations_are_found_there() {
    let folder = tempfile::tempdir().unwrap();
    let run_there = |words: &[&str]| {
        let output = Command::new(EXE).args(words).current_dir(folder.path()).output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    for protocol in ["scanner", "igs"] {
        let recipe = ["reproduce", "--protocol", protocol, "--data", "data", "--out", "out", "--dry-run"];
        let [commands, said] = run_there(&recipe);
        assert!(commands.lines().count() > 20 && said.is_empty(), "{commands}{said}");
        let configs: BTreeSet<&str> = commands.split_whitespace().filter(|word| word.contains(".toml")).collect();
        assert!(configs.len() >= 3, "{configs:?}");
        for config in configs {
            // What is missing is the data set, and no configuration.
            let train = if config.contains("policy") {
                ["train", "slice-policy", "--reward-model", "no"]
            } else {
                ["train", "segmenter", "--init", "no"]
            };
            let [_, said] = run_there(&[&train[..], &["--config", config, "--data", "data", "--out", "out"]].concat());
            assert!(said.contains("data") && !said.contains(".toml"), "{config}: {said}");
        }
    }
    let [_, said] =
        run_there(&["reproduce", "--protocol", "igs", "--data", "data", "--out", "out", "--configs", "none"]);
    assert!(said.contains("none/igs.toml") && said.contains("--configs"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
#[cfg(unix)]
fn a_step_that_was_cut_off_goes_on_by_what_it_was_begun_by_alone() {
    let job = Job::new(EXE, 5, 3, 128);
    for folder in ["configs", "other-configs"] {
        fs::create_dir(job.path(folder)).unwrap();
        for config in ["segmenter.toml", "tune.toml", "slice-policy.toml"] {
            fs::copy(Path::new(CONFIGS).join(config), job.path(&format!("{folder}/{config}"))).unwrap();
        }
    }
    let text = fs::read_to_string(job.path("configs/segmenter.toml")).unwrap();
    job.write("other-configs/segmenter.toml", &text.replace("momentum = 0.9", "momentum = 0.8"));
    let recipe = |data: &str, configs: &str, more: &str| {
        let folders = format!("--data NAME/{data} --configs NAME/{configs} --out NAME/out");
        job.words(&format!("reproduce --protocol scanner --quick {folders} {more}"))
    };
    let own = recipe("data", "configs", "");
    let stopped = |moment: &str, command: &[String]| {
        let (ran, code) = run_to(EXE, moment, command);
        assert!(code == Some(143) && ran.stderr.contains("step `reward`"), "{code:?}: {}", ran.stderr);
    };
    // Before the step has made anything; then as a kill leaves it when it has made all and is not marked as done.
    stopped("6:term", &own);
    let commands = run(EXE, recipe("data", "configs", "--dry-run")).succeeded();
    let step = commands.lines().find_map(|line| line.strip_prefix("kscout ")).unwrap();
    run(EXE, step.split(' ')).succeeded();

    let before = tree(Path::new(&job.path("out")));
    let words = ["step `reward`", "was begun there by other commands or configurations", "out/reward", "anew"];
    for other in [
        recipe("data", "configs", "--seed 2"),
        recipe("other-data", "configs", ""),
        recipe("data", "other-configs", ""),
    ] {
        run(EXE, &other).refused(&words);
        assert!(tree(Path::new(&job.path("out"))) == before, "{other:?} has written something");
    }
    stopped("2:term", &own);
    for made in ["out/reward", "out/done/reward"] {
        let _ = fs::remove_dir_all(job.path(made)).or_else(|_| fs::remove_file(job.path(made)));
    }
    stopped("6:term", &recipe("data", "configs", "--seed 2"));
    assert!(fs::read_to_string(job.path("out/done/reward.begun")).unwrap().contains("seed=2"));
}
