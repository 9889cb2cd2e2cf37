//! The `kscout` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    kscout::program()
}
