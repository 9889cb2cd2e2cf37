//! Every file of `fuzz/corpus` goes through its reader, as the fuzzers give it: no panic, and accepted or refused as its name says.

use std::fs;
use std::path::{Path, PathBuf};

use kscout::fuzz::READERS;

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn files_whose_names_begin_with_good_are_accepted_and_those_with_bad_refused() {
    for (name, reader) in READERS {
        let files = corpus(name);
        let begins = |file: &Path, with: &str| file.file_name().unwrap().to_string_lossy().starts_with(with);
        for with in ["good", "bad"] {
            assert!(files.iter().any(|file| begins(file, with)), "{name}: no file that begins with `{with}`");
        }
        for file in &files {
            let accepted = reader(&fs::read(file).unwrap());
            let expected = begins(file, "good");
            assert!(expected || begins(file, "bad"), "{}: begin the name with good or bad", file.display());
            assert_eq!(accepted, expected, "{}", file.display());
        }
    }
}

#[test]
fn files_cut_short_or_with_a_byte_changed_make_no_reader_panic() {
    for (name, reader) in READERS {
        for file in corpus(name) {
            let bytes = fs::read(&file).unwrap();
            let step = (bytes.len() / 40).max(1);
            for end in (0..bytes.len()).step_by(step) {
                reader(&bytes[..end]);
                let mut changed = bytes.clone();
                changed[end] ^= 0x55;
                reader(&changed);
            }
        }
    }
}

#[test]
fn each_reader_has_a_fuzzer() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut found: Vec<String> = fs::read_dir(targets)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut readers: Vec<&str> = READERS.iter().map(|(name, _)| *name).collect();
    readers.sort_unstable();
    assert_eq!(found, readers);
}
