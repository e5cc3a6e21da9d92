//! A folder with scripts and data, and the command run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A scratch folder.
pub(crate) struct Place(TempDir);

/// What a run printed and left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, text).expect("a file");
        file
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flott"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub(crate) fn flott(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().expect("flott runs"))
    }

    /// Runs a script to the end.
    pub(crate) fn run(&self, script: &str) -> Ran {
        self.write("job.sql", script);
        self.flott(&["run", "job.sql", "-p", "2"])
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("flott starts")
    }

    /// The lines of all visible files of a table's folder, sorted.
    pub(crate) fn rows(&self, folder: &str) -> Vec<String> {
        let mut rows = vec![];
        let Ok(files) = std::fs::read_dir(self.path().join(folder)) else { return rows };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if !name.starts_with(['.', '_']) && file.path().is_file() {
                let text = std::fs::read_to_string(file.path()).expect("text");
                rows.extend(text.lines().map(str::to_string));
            }
        }
        rows.sort();
        rows
    }
}

pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

/// Another process needs a while.
#[expect(clippy::disallowed_methods, reason = "the test waits for another process")]
pub(crate) fn rest(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Waits until something holds, for half a minute at most.
#[expect(clippy::disallowed_methods, reason = "the test waits for another process")]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited too long for {what}");
        rest(20);
    }
}
