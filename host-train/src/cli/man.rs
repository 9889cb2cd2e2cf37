//! `kscout man`.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::{Failure, command_line};
use crate::io::lock::Locks;
use crate::io::whole::write_atomically;

/// `kscout man`.
#[derive(Args)]
#[command(after_help = "Example:\n  kscout man ~/.local/share/man/man1 && man kscout-train-segmenter")]
pub struct ManArgs {
    /// Folder for the pages, made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl ManArgs {
    /// Writes a page for the program and one for each command.
    pub fn run(self) -> Result<(), Failure> {
        let Self { folder } = self;
        let _locks = Locks::of([folder.as_path()])?;
        let failed = |error: io::Error| format!("{}: {error}", folder.display());
        // `help`, which clap adds, says what the pages say, and has none.
        let mut program = without_help(command_line());
        program.build();
        let pages = pages(&program).map_err(failed)?;
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for (name, page) in &pages {
            let path = folder.join(name);
            write_atomically(&path, page).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        println!("{}: {} pages", folder.display(), pages.len());
        Ok(())
    }
}

/// The command without the subcommand `help`, and so those under it.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// The pages of `command` and of all commands under it, each with the name of its file.
fn pages(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut all = vec![(man.get_filename(), page)];
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        all.extend(pages(inner)?);
    }
    Ok(all)
}
