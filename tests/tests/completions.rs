//! What the program tells a shell and `man` of itself: every command and option that `--help` lists, and nothing hidden.

use std::fs;
use std::process::Command;

use clap::Command as CommandLine;
use kscout::command_line;
use kscout_tests::run;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// The commands that are listed, each with the words that lead to it.
fn listed() -> Vec<(Vec<String>, CommandLine)> {
    fn add(command: &CommandLine, path: &[String], all: &mut Vec<(Vec<String>, CommandLine)>) {
        all.push((path.to_vec(), command.clone()));
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            add(inner, &[path, &[inner.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    add(&command_line(), &["kscout".to_owned()], &mut all);
    all
}

/// What bash offers after `words`, with the script that is printed for it; `None` where there is no bash.
fn offered(script: &str, words: &[&str]) -> Option<Vec<String>> {
    let (all, last) = (words.join(" "), words.len() - 1);
    let ask = format!(
        "{script}\nCOMP_WORDS=({all}); [ ${{#COMP_WORDS[@]}} -gt {last} ] || COMP_WORDS+=(''); COMP_CWORD={last}\n"
    );
    let ask = format!("{ask}_kscout kscout \"${{COMP_WORDS[{last}]}}\" '' ; printf '%s\\n' \"${{COMPREPLY[@]}}\"");
    let output = Command::new("bash").args(["--noprofile", "--norc", "-c", &ask]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn every_shell_is_told_every_command_and_option() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(EXE, ["completions", shell]).succeeded();
        assert!(!script.contains("[... ") && !script.contains("merge-parts"), "{shell}: cut, or with what is hidden");
        for (path, command) in listed() {
            assert!(script.contains(path.last().unwrap()), "{shell}: {path:?}");
            for option in command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(|it| it.get_long())
            {
                assert!(script.contains(option), "{shell}: {path:?} --{option}");
            }
        }
    }
    run(EXE, ["completions", "tcsh"]).refused(&["tcsh", "bash"]);
}

#[test]
fn bash_completes_commands_and_options() {
    let script = run(EXE, ["completions", "bash"]).succeeded();
    let Some(trainings) = offered(&script, &["kscout", "train", ""]) else { return };
    for name in ["segmenter", "classifier", "line-policy", "slice-policy", "mask"] {
        assert!(trainings.iter().any(|offer| offer == name), "{trainings:?}");
    }
    for old in ["reward", "policy"] {
        assert!(!trainings.iter().any(|offer| offer == old), "{trainings:?}");
    }
    assert_eq!(offered(&script, &["kscout", "train", "seg"]).unwrap(), ["segmenter"]);
    let mut options = offered(&script, &["kscout", "train", "line-policy", "--re"]).unwrap();
    options.sort();
    assert_eq!(options, ["--resume", "--reward-model"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man/man1");
    let said = run(EXE, ["man", &out.display().to_string()]).succeeded();
    let commands = listed();
    assert!(said.contains(&format!("{} pages", commands.len())), "{said}");
    for (path, command) in &commands {
        let page =
            fs::read_to_string(out.join(path.join("-") + ".1")).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(page.contains(&format!(".TH {}", path.join("-"))), "{path:?}: {page}");
        for name in page.lines().filter_map(|line| line.strip_suffix("(1)")) {
            let listed = out.join(name.replace('\\', "") + ".1");
            assert!(listed.is_file(), "{path:?} lists {name}, which has no page");
        }
        for option in command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(|it| it.get_long()) {
            assert!(page.contains(&option.replace('-', "\\-")), "{path:?}: --{option}");
        }
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), commands.len(), "nothing else is left there");
}
