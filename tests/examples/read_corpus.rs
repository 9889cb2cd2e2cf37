//! Gives every file of some folders to a reader, as its fuzzer does: `read_corpus READER FOLDER...`. `fuzz/coverage.sh` calls it.

use std::fs;
use std::process::ExitCode;

use kscout::fuzz::reader;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, folders)) = arguments.split_first() else {
        eprintln!("read_corpus READER FOLDER...");
        return ExitCode::FAILURE;
    };
    let Some(read) = reader(name) else {
        eprintln!("{name}: no reader of this name");
        return ExitCode::FAILURE;
    };
    let (mut files, mut accepted) = (0, 0);
    for folder in folders {
        for entry in fs::read_dir(folder).expect("a folder of files") {
            let bytes = fs::read(entry.expect("an entry").path()).expect("a file");
            accepted += usize::from(read(&bytes));
            files += 1;
        }
    }
    println!("{name}: {files} files, {accepted} accepted");
    ExitCode::SUCCESS
}
