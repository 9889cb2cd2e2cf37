//! `kscout-targets BLOB SCAN ...`: agreement, then each captured scan. Status 0 only if all is as it should be.

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            println!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

fn run(paths: &[String]) -> Result<(), String> {
    print!("{}", kscout_targets::agreement()?);
    for pair in paths.chunks(2) {
        let [blob, scan] = pair else {
            return Err("a model without a scan".into());
        };
        let read = |path| fs::read(path).map_err(|error| format!("{path}: {error}"));
        print!("{}", kscout_targets::scan(&read(blob)?, &read(scan)?)?);
    }
    Ok(())
}
