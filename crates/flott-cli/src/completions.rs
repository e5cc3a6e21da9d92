//! `flott completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use flott::Error;

use crate::exit::Failure;
use crate::{Cli, output};

#[derive(Args)]
#[command(after_help = "\
Where they go:
  bash  flott completions bash > ~/.local/share/bash-completion/completions/flott
  zsh   flott completions zsh > ~/.zfunc/_flott        (a folder of $fpath)
  fish  flott completions fish > ~/.config/fish/completions/flott.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn print(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "flott", &mut text);
    let text = String::from_utf8(text).map_err(|e| Error::internal("completions are not text").caused_by(e))?;
    Ok(output::out(&text)?)
}
