//! Every error of the core prints on a host and, by `defmt`, on a microcontroller.

use std::fs;
use std::path::{Path, PathBuf};

/// The core's sources.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn every_error_of_the_core_has_a_format_for_defmt() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core-nostd/src");
    let texts: Vec<String> = sources(&core).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let ends = |c: char| !(c.is_alphanumeric() || c == '_');
    let implemented = texts.iter().flat_map(|text| text.split("impl core::error::Error for ").skip(1));
    let errors: Vec<&str> = implemented.filter_map(|rest| rest.split(ends).next()).collect();
    assert!(errors.len() >= 20, "{errors:?}");
    for error in errors {
        assert!(texts.iter().any(|text| derives(text, error)), "{error} derives no defmt::Format");
    }
}

/// Whether a type of this name is defined in `text`, with the derive among its attributes.
fn derives(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let is_its = |line: &str| {
        let rest = ["pub enum ", "pub struct "].iter().find_map(|item| line.strip_prefix(item)?.strip_prefix(name));
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let attributes = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    let derive = "#[cfg_attr(feature = \"defmt\", derive(defmt::Format))]";
    (0..lines.len()).any(|at| is_its(lines[at]) && attributes(at).any(|&line| line == derive))
}
