//! The `kscout` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match kscout::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
