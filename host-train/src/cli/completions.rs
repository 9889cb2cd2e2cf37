//! `kscout completions`.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::{Failure, command_line};

/// `kscout completions`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  kscout completions bash > ~/.local/share/bash-completion/completions/kscout\n  kscout completions zsh > ~/.zfunc/_kscout    # with ~/.zfunc in fpath\n  kscout completions fish > ~/.config/fish/completions/kscout.fish"
)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script.
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut listed(&command_line()), "kscout", &mut script);
        print!("{}", String::from_utf8(script)?);
        Ok(())
    }
}

/// What a shell needs to know of `command`, without the commands and options that are not listed.
fn listed(command: &Command) -> Command {
    let mut own = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().filter(|option| !option.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(listed));
    if let Some(about) = command.get_about() {
        own = own.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        own = own.version(version.to_owned());
    }
    own
}
