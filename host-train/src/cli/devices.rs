//! `kscout devices`.

use clap::Args;

use super::Failure;
use crate::device::Kind;
use crate::eval::table::{Align, Table};

/// `kscout devices`.
#[derive(Args)]
pub struct DevicesArgs {}

impl DevicesArgs {
    /// Lists what this build and this machine have.
    pub fn run(self) -> Result<(), Failure> {
        let mut table = Table::new([("--device", Align::Left), ("what it is", Align::Left)]);
        let mut missing = Vec::new();
        for kind in Kind::ALL {
            let found = kind.described();
            if found.is_empty() {
                missing.push(kind);
            }
            for (name, description) in found {
                table.push([name, description]);
            }
        }
        print!("{}", table.to_text());
        let (not_found, not_built): (Vec<_>, Vec<_>) = missing.into_iter().partition(|kind| kind.is_built());
        for kind in not_found {
            println!("{}: none found; it needs {}", kind.name(), kind.needs());
        }
        if !not_built.is_empty() {
            let names: Vec<_> = not_built.iter().map(|kind| kind.name()).collect();
            println!("Not in this build: {}", names.join(", "));
            println!("With one of them: cargo build --release -p kscout --features NAME");
        }
        Ok(())
    }
}
