//! A script file, and the session that it runs in.

use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use clap::Args;
use flott::{Error, FailPoints, Processes, Restore, Session, SessionBuilder};
use flott_core::error::Position;
use flott_core::suggest;

use crate::exit::Failure;

/// What commands over a script take.
#[derive(Args)]
pub(crate) struct ScriptArgs {
    /// The script; - is stdin
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// Settings of a session.
#[derive(Args, Default)]
pub(crate) struct SessionArgs {
    /// Set an option, as SET does
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    define: Vec<String>,
    /// Worker threads (parallelism.default); one per core where it is not said
    #[arg(short, long, value_name = "N")]
    parallelism: Option<u32>,
    /// The most memory that a job may take for state and rows, such as 2GiB (flott.memory.max); 0 is any
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
}

/// What the session does with checkpoints of earlier runs, and where jobs run.
#[derive(Default)]
pub(crate) struct Earlier {
    pub(crate) restore: Restore,
    pub(crate) allow_non_restored_state: bool,
    pub(crate) allow_lost_output: bool,
    /// Of a savepoint: `no-claim` or `claim`.
    pub(crate) claim_mode: Option<String>,
    /// Where Prometheus reads metrics.
    pub(crate) metrics_port: Option<String>,
    pub(crate) processes: Option<Processes>,
}

/// Told with an error of a statement that may need what jobs before it have not written yet.
pub(crate) const WAIT_FOR_INSERTS: &str = "If the statement needs what they write: SET 'table.dml-sync' = 'true' before the \
                                           INSERTs lets each be waited for.";

/// The text of a file that an argument names, without the byte-order mark that some editors write; `-` is stdin.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let file = if is_stdin(file) { Path::new("/dev/stdin") } else { file };
    let text = std::fs::read(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::of_arguments(missing(file)),
        std::io::ErrorKind::IsADirectory => Failure::of_arguments(
            Error::user(format!("'{}' is a folder, and no script", file.display())).hint("Name a file in it"),
        ),
        _ => Failure::of_arguments(Error::from(e)).with("script", file.display()),
    })?;
    if text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF]) {
        let error = Error::user("the script is UTF-16, not UTF-8")
            .hint("Save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW");
        return Err(Failure::of_arguments(error).with("script", file.display()));
    }
    let text = String::from_utf8(text)
        .map_err(|e| Failure::of_arguments(not_utf8("the script", &e, 1)).with("script", file.display()))?;
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_string).unwrap_or(text))
}

/// The error for a script that is not there, with one beside it that may be meant.
fn missing(file: &Path) -> Error {
    let error = Error::user(format!("there is no script '{}'", file.display()));
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else {
        return error.hint(format!("There is no folder '{}' either", folder.display()));
    };
    let names = entries.flatten().take(FILES_MAX).filter_map(|entry| entry.file_name().into_string().ok());
    let scripts: Vec<String> = names.filter(|name| name.ends_with(".sql")).collect();
    let wanted = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match suggest::nearest(&wanted, scripts.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("Did you mean '{}'?", file.with_file_name(near).display())),
        None => {
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
            error.hint(format!("Check the path; it was looked for in {}", folder.display()))
        }
    }
}

/// How many files of a folder are looked at for a name.
const FILES_MAX: usize = 10_000;

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Where a text stops being UTF-8, and on which byte. `first_line` is the number of the text's first line.
pub(crate) fn not_utf8(what: &str, error: &FromUtf8Error, first_line: u64) -> Error {
    let at = error.utf8_error().valid_up_to();
    let (good, rest) = error.as_bytes().split_at(at);
    let line_start = good.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let line = first_line + good[..line_start].iter().filter(|b| **b == b'\n').count() as u64;
    let column = String::from_utf8_lossy(&good[line_start..]).chars().count() as u64 + 1;
    let byte = rest.first().map_or_else(String::new, |b| format!(": byte {at} is 0x{b:02X}"));
    Error::user(format!("{what} is not UTF-8{byte}"))
        .at(Position { line, column })
        .hint("Save it as UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW")
}

/// A word of the shell in a script, which `flott sql -f` takes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShellWord {
    /// The script ends here.
    Quit,
    /// The list of commands.
    Help,
    /// Nothing: a script has no screen.
    Clear,
}

impl ShellWord {
    /// Where a statement is such a word alone.
    pub(crate) fn of(statement: &str) -> Option<ShellWord> {
        match statement.trim().to_ascii_uppercase().as_str() {
            "QUIT" | "EXIT" => Some(ShellWord::Quit),
            "HELP" => Some(ShellWord::Help),
            "CLEAR" => Some(ShellWord::Clear),
            _ => None,
        }
    }
}

/// The script's text, and a session whose paths start at its folder.
pub(crate) fn open(args: &ScriptArgs, earlier: Earlier) -> Result<(String, Session), Failure> {
    Ok((read(&args.file)?, session_of(args, earlier)?))
}

/// A session for a script, whose paths start at its folder.
pub(crate) fn session_of(args: &ScriptArgs, earlier: Earlier) -> Result<Session, Failure> {
    let folder = args.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = args.file.file_stem().filter(|_| !is_stdin(&args.file));
    let name = stem.map_or_else(|| "job".to_string(), |n| n.to_string_lossy().into_owned());
    builder(&args.session, folder, &name, earlier)?.one_script(true).build().map_err(Failure::of_arguments)
}

/// The session of a shell, whose paths start at a folder.
pub(crate) fn session(args: &SessionArgs, folder: &Path, name: &str, earlier: Earlier) -> Result<Session, Failure> {
    builder(args, folder, name, earlier)?.jobs_named_by_sinks(true).build().map_err(Failure::of_arguments)
}

fn builder(args: &SessionArgs, folder: &Path, name: &str, earlier: Earlier) -> Result<SessionBuilder, Failure> {
    let mut builder = Session::builder().base_dir(folder).name(name).restore(earlier.restore);
    builder = builder.allow_non_restored_state(earlier.allow_non_restored_state).fail_points(fail_points()?);
    builder = builder.control_sockets(true).allow_lost_output(earlier.allow_lost_output);
    if let Some(mode) = &earlier.claim_mode {
        builder = builder.option("execution.state-recovery.claim-mode", mode.replace('-', "_").to_uppercase());
    }
    if let Some(port) = &earlier.metrics_port {
        builder = builder.option("metrics.reporter.prom.port", port);
    }
    if let Some(processes) = earlier.processes {
        builder = builder.processes(processes);
    }
    for define in &args.define {
        let (key, value) = define.split_once('=').ok_or_else(|| {
            let error = Error::user(format!("'-D {define}' is not KEY=VALUE")).hint("Write -D parallelism.default=2");
            Failure::of_arguments(error)
        })?;
        builder = builder.option(key.trim(), value.trim());
    }
    if let Some(n) = args.parallelism {
        builder = builder.option("parallelism.default", n.to_string());
    }
    if let Some(size) = &args.memory {
        builder = builder.option("flott.memory.max", size);
    }
    Ok(builder)
}

/// For the kill harness: where this process is to stop, and what it is to do wrong.
fn fail_points() -> Result<FailPoints, Failure> {
    let (point, mistake) = (std::env::var("FLOTT_FAILPOINT").ok(), std::env::var("FLOTT_PLANTED").ok());
    if point.is_none() && mistake.is_none() {
        return Ok(FailPoints::none());
    }
    if !FailPoints::compiled_in() {
        let error = Error::user("this build has no fail points").hint("Build with --features failpoints");
        return Err(Failure::of_arguments(error));
    }
    let wrong = |text: String| Failure::of_arguments(Error::user(text));
    let report = std::env::var("FLOTT_FAILPOINT_REPORT").unwrap_or_else(|_| "/dev/null".to_string());
    let points = point.map_or(Ok(FailPoints::none()), |point| FailPoints::armed(&point, report)).map_err(wrong)?;
    mistake.map_or(Ok(points.clone()), |name| points.planting(&name)).map_err(wrong)
}

/// The runtime that sessions need.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Files are decoded and encoded here.
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).max(2))
        .enable_all()
        .build();
    Ok(runtime.map_err(|e| Error::unavailable("the runtime cannot be started").caused_by(e))?)
}
