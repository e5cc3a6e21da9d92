//! A command line that cannot be parsed: what is told of it, and as what.

use clap::error::ErrorKind;
use flott::Error;

use crate::output;

/// Tells what is wrong with the command line, and of a script without its command what to type.
pub(crate) fn wrong(e: &clap::Error) -> ! {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let unknown = matches!(e.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument);
    let script = args.iter().find(|arg| arg.ends_with(".sql")).filter(|_| unknown);
    let hint = script.map(|script| format!("To run a script: flott run {script}"));
    // Help and version are what was asked for.
    if e.use_stderr() && wants_log_lines(&args, std::env::var("FLOTT_LOG_FORMAT").ok()) {
        output::errors_as_log_lines();
        let error = Error::user(told(e));
        output::error(&match hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
        std::process::exit(e.exit_code());
    }
    if let Some(hint) = hint {
        drop(e.print());
        output::note(&format!("\n{hint}"));
        std::process::exit(e.exit_code());
    }
    e.exit()
}

/// Whether `--log-format json` is somewhere in what cannot be parsed as a whole; an argument is worth more than the environment.
fn wants_log_lines(args: &[String], environment: Option<String>) -> bool {
    let mut format = environment;
    let mut options = args.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = options.next() {
        if arg == "--log-format" {
            format = options.next().cloned();
        } else if let Some(value) = arg.strip_prefix("--log-format=") {
            format = Some(value.to_string());
        }
    }
    format.as_deref() == Some("json")
}

/// The text of an error as a message of one line.
fn told(e: &clap::Error) -> String {
    let text = e.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let paragraphs = text.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    let sentences: Vec<String> = paragraphs.filter(|p| !p.is_empty()).collect();
    sentences.join(". ").trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_asked_for_by_the_last_word_before_the_end_of_options() {
        let wants = |args: &str, environment: Option<&str>| {
            let args: Vec<String> = args.split(' ').map(str::to_string).collect();
            wants_log_lines(&args, environment.map(str::to_string))
        };
        for args in ["run --nope --log-format json", "--log-format=json rum", "--log-format text --log-format json"] {
            assert!(wants(args, None), "{args}");
        }
        for args in ["run --nope", "run --log-format", "--log-format=text json", "run -- --log-format json"] {
            assert!(!wants(args, None), "{args}");
        }
        assert!(wants("run", Some("json")) && !wants("run --log-format text", Some("json")));
    }
}
