//! `kscout merge`.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};

use super::shard::merging;
use super::{Cli, Failure};
use crate::shard::made_by;

/// `kscout merge`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  for i in 1 2 3 4; do kscout eval --model heart.kscout --data data/acdc128 --out runs/eval --shard $i/4; done\n  kscout merge runs/eval\n\nRun it in the folder in which the parts were made: what it needs besides them, the data above all, it finds by the paths of their command."
)]
pub struct MergeArgs {
    /// The file or folder that is to be made: --out of the command that made the parts, which lie in OUT.parts
    out: PathBuf,
    /// Replace results that are there
    #[arg(long)]
    force: bool,
}

impl MergeArgs {
    /// Runs the command of the parts, with what they hold instead of its long work.
    pub fn run(self) -> Result<(), Failure> {
        let words = merging(&made_by(&self.out)?, &self.out, self.force);
        let refused = |error: clap::Error| format!("{}: its parts cannot be put together: {error}", self.out.display());
        let matches = super::command_line().try_get_matches_from(words).map_err(refused)?;
        Cli::from_arg_matches(&matches).map_err(refused)?.command.run()
    }
}
