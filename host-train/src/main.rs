//! The `kscout` binary.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use kscout::cli::Cli;
use kscout::io::moment;
use kscout::io::stop::Stopped;
use kscout::memory;
use kscout::shown::{lost_output, message};

fn main() -> ExitCode {
    memory::keep();
    let cli = Cli::read();
    let outlives = cli.outlives_terminal();
    let ended = cli.run();
    moment::report();
    if let Err(error) = ended {
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            say(&stopped.to_string());
            return ExitCode::from(stopped.status());
        }
        say(&format!("error: {}", message(&error)));
        return ExitCode::FAILURE;
    }
    let Some(error) = lost_output().filter(|error| !has_gone(error)) else { return ExitCode::SUCCESS };
    let lost = format!("standard output: {error}; part of what was to be printed is lost");
    say(&format!("{}: {lost}", if outlives { "note" } else { "error" }));
    // What a training was to make is there.
    if outlives { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says something on standard error. Where nobody takes that either, the exit status says it.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether there was just nobody to read: `kscout ... | head` ends quietly, as other tools do, and so where a terminal was closed.
fn has_gone(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == ErrorKind::BrokenPipe || (cfg!(unix) && error.raw_os_error() == Some(EIO))
}
