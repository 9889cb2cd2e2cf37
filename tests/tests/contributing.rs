//! What `CONTRIBUTING.md` shows of adding a thing: two files each, and listings that fit the files.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that adding one thing may touch.
const MOST_FILES: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The listing of each thing that can be added, by its heading.
fn listings() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let section = text.split("\n## Adding a thing\n").nth(1).expect("the section on adding things");
    let things = section.split("\n### ").skip(1);
    let listing = |thing: &str| {
        let (heading, rest) = thing.split_once('\n').unwrap();
        let listing = rest.split("```diff\n").nth(1).and_then(|rest| rest.split("\n```").next());
        (heading.to_owned(), listing.unwrap_or_else(|| panic!("{heading}: no listing")).to_owned())
    };
    things.map(listing).collect()
}

/// The files of a listing, each with its parts.
fn files(listing: &str) -> Vec<(&str, Vec<&str>)> {
    let files = listing.split("+++ ").filter(|file| !file.is_empty());
    files
        .map(|file| {
            let (name, rest) = file.split_once('\n').unwrap();
            (name, rest.split("@@\n").filter(|part| !part.trim().is_empty()).collect())
        })
        .collect()
}

#[test]
fn everything_that_can_be_added_is_shown_and_takes_two_files_at_most() {
    let listings = listings();
    let headings: Vec<&str> = listings.iter().map(|(heading, _)| heading.as_str()).collect();
    assert_eq!(headings, ["A network", "A reward", "A policy", "A reader", "A pattern", "A reconstruction"]);
    for (heading, listing) in &listings {
        let count = files(listing).len();
        assert!((1..=MOST_FILES).contains(&count), "{heading}: {count} files");
    }
}

#[test]
fn the_listings_fit_the_files() {
    for (heading, listing) in listings() {
        for (name, parts) in files(&listing) {
            let path = root().join(name);
            if !path.exists() {
                assert!(path.parent().unwrap().is_dir(), "{heading}: no folder for {name}");
                assert!(parts.iter().all(|part| part.lines().all(|line| line.starts_with('+'))), "{heading}: {name}");
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut rest = text.as_str();
            for part in parts {
                let before = |line: &str| line.strip_prefix([' ', '-']).map(|line| format!("{line}\n"));
                let there: String = part.lines().filter_map(before).collect();
                let place = rest.find(&there);
                assert!(!there.is_empty() && place.is_some(), "{heading}: {name} has not, in this order:\n{there}");
                rest = &rest[place.unwrap() + there.len()..];
            }
        }
    }
}
