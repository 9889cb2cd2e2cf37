//! `kscout net`: a look at a network by itself.

mod forward;
mod info;
mod npy;
mod npy_header;

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::Failure;
use crate::net::Arch;

/// The name of a segmenter.
fn segmenter() -> impl TypedValueParser<Value = Arch> {
    PossibleValuesParser::new(Arch::ALL.map(Arch::name)).try_map(|name| name.parse())
}

/// `kscout net`.
#[derive(Args)]
pub struct NetArgs {
    #[command(subcommand)]
    command: NetCommand,
}

#[derive(Subcommand)]
enum NetCommand {
    /// Run a network on images in an .npy file and write its logits.
    Forward(forward::ForwardArgs),
    /// List layers, parameters, multiply-accumulates and memory of a network.
    Info(info::InfoArgs),
}

impl NetArgs {
    /// Runs the subcommand.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            NetCommand::Forward(args) => args.run(),
            NetCommand::Info(args) => args.run(),
        }
    }
}

/// Reads an array as `net forward` does; gives its shape.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn read_npy(path: &Path) -> Result<Vec<usize>, Failure> {
    Ok(npy::Array::read(path)?.shape)
}
