//! The program, from its arguments to its exit code.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use super::Cli;
use crate::io::moment;
use crate::io::stop::{self, Stopped};
use crate::memory;
use crate::shown::{finish, lost_output, message, say};

/// Runs the program `kscout` with the arguments of this process.
pub fn program() -> ExitCode {
    memory::keep();
    let cli = Cli::read();
    let outlives = cli.outlives_terminal();
    let ended = cli.run();
    if outlives && ended.is_ok() {
        stop::over();
    }
    moment::report();
    let status = match ended {
        Ok(()) => status(outlives),
        Err(error) => match error.downcast_ref::<Stopped>() {
            Some(stopped) => {
                say(&stopped.to_string());
                ExitCode::from(stopped.status())
            }
            None => {
                say(&format!("error: {}", message(&error)));
                ExitCode::FAILURE
            }
        },
    };
    finish();
    status
}

/// How a command ends that has done its work: badly where part of what it printed did not arrive.
fn status(outlives: bool) -> ExitCode {
    let Some(error) = lost_output().filter(|error| !has_gone(error)) else { return ExitCode::SUCCESS };
    let lost = format!("standard output: {error}; part of what was to be printed is lost");
    say(&format!("{}: {lost}", if outlives { "note" } else { "error" }));
    // What a training was to make is there.
    if outlives { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether there was just nobody to read: `kscout ... | head` ends quietly, as other tools do, and so where a terminal was closed.
fn has_gone(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == ErrorKind::BrokenPipe || (cfg!(unix) && error.raw_os_error() == Some(EIO))
}
