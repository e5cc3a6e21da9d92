//! The page of the commands, from what `--help` is made of.

use clap::{Arg, Command, CommandFactory};

use crate::{Cli, exit};

/// All commands with their arguments, and the exit codes.
pub(super) fn page(head: String) -> String {
    let mut whole = Cli::command();
    whole.build();
    let mut text = head;
    text.push_str("\n`flott COMMAND --help` prints the same, `flott man [COMMAND]` a manual page.\n");
    let global: Vec<&Arg> = whole.get_arguments().filter(|a| a.is_global_set()).collect();
    for command in whole.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        text += &of(command, &global);
    }
    text.push_str("\n## Log lines\n\nEvery command takes these.\n\n");
    text += &table(&global);
    text + "\n## Exit codes\n\n```text\n" + exit::HELP + "\n```\n"
}

fn of(command: &Command, global: &[&Arg]) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|a| !a.is_hide_set() && a.get_id() != "help" && !global.iter().any(|g| g.get_id() == a.get_id()))
        .collect();
    let mut text = format!("\n## {}\n\n{about}.\n\n```text\n{usage}\n```\n", command.get_name());
    if !own.is_empty() {
        text.push('\n');
        text += &table(&own);
    }
    text
}

fn table(arguments: &[&Arg]) -> String {
    let mut text = "| Argument | Description |\n|---|---|\n".to_string();
    for argument in arguments {
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|v| !v.is_hide_set())
            .map(|v| v.get_name().to_string())
            .collect();
        let takes = argument.get_action().takes_values();
        let mut description = argument.get_help().map(ToString::to_string).unwrap_or_default();
        if takes && !values.is_empty() {
            description += &format!(" ({})", values.join(", "));
        }
        let mut shown = argument.to_string();
        if let (Some(short), Some(_)) = (argument.get_short(), argument.get_long()) {
            shown = format!("-{short}, {shown}");
        }
        let shown = shown.replace('|', "\\|");
        text += &format!("| `{shown}` | {} |\n", description.replace('|', "\\|"));
    }
    text
}
