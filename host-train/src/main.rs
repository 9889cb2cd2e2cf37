//! The `kscout` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // `kscout ... | head` ends quietly, as other tools do.
    sigpipe::reset();
    match kscout::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
