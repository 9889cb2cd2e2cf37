//! The `kscout` binary.

use std::process::ExitCode;

use clap::Parser;
use kscout::io::moment;
use kscout::io::stop::Stopped;

fn main() -> ExitCode {
    // `kscout ... | head` ends quietly, as other tools do.
    sigpipe::reset();
    let ended = kscout::cli::Cli::parse().run();
    moment::report();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Stopped>() {
            Some(stopped) => {
                eprintln!("{stopped}");
                ExitCode::from(stopped.status())
            }
            None => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
