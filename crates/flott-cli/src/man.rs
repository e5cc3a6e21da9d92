//! `flott man`

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use flott::Error;

use crate::exit::Failure;
use crate::{Cli, output};

#[derive(Args)]
#[command(after_help = "Read it with: flott man > flott.1 && man ./flott.1")]
pub(crate) struct ManArgs {
    /// The page of a command of flott, instead of the whole's
    command: Option<String>,
}

pub(crate) fn print(args: &ManArgs) -> Result<(), Failure> {
    let mut whole = Cli::command();
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name).filter(|c| !c.is_hide_set()).cloned();
            let found = found.ok_or_else(|| {
                let names: Vec<&str> =
                    whole.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name()).collect();
                let error = Error::user(format!("there is no command '{name}'"));
                Failure::of_arguments(error.hint(format!("There are {}", names.join(", "))))
            })?;
            found.display_name(format!("flott-{name}"))
        }
    };
    let mut text = vec![];
    // A command of flott has no version of its own.
    Man::new(command).source(concat!("flott ", env!("CARGO_PKG_VERSION"))).render(&mut text).map_err(Error::from)?;
    let text = String::from_utf8(text).map_err(|e| Error::internal("the page is not text").caused_by(e))?;
    Ok(output::out(&text)?)
}
