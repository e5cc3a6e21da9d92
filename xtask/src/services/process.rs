//! A process that outlives the command that has started it: its log, its pid, its end.
//!
//! A pid alone may belong to somebody else after a while, so that its start time is kept with it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Process, Ready};
use crate::{Failure, say};

const STEP: Duration = Duration::from_millis(50);
/// How long a process may take to end when it is asked to.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// Lines of a log that are shown.
const LOG_LINES: usize = 10;

pub(super) struct Running {
    name: String,
    folder: PathBuf,
    pid: u32,
    /// In the kernel's ticks since boot.
    started: u64,
    /// In the order of their starts.
    order: usize,
}

impl Running {
    /// Those that were started in a folder, in their order.
    pub(super) fn all(folder: &Path) -> Vec<Running> {
        let mut all = vec![];
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".pid") else { continue };
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
            if let [pid, started, order] = numbers[..] {
                let (pid, order) = (u32::try_from(pid).unwrap_or(0), usize::try_from(order).unwrap_or(0));
                all.push(Running { name: name.to_string(), folder: folder.to_path_buf(), pid, started, order });
            }
        }
        all.sort_by_key(|r| r.order);
        all
    }

    pub(super) fn start(name: &str, mut command: Command, folder: &Path) -> Result<Running, Failure> {
        let order = Running::all(folder).len();
        let log = fs::File::create(folder.join(format!("{name}.log"))).map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        // A group of its own: what ends this command at the terminal does not end it.
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0).spawn();
        let pid = child.map_err(|e| format!("{name} cannot be started: {e}"))?.id();
        let started = started(pid).ok_or_else(|| format!("{name} ended at once"))?;
        let running = Running { name: name.to_string(), folder: folder.to_path_buf(), pid, started, order };
        fs::write(running.pid_file(), format!("{pid} {started} {order}")).map_err(|e| e.to_string())?;
        Ok(running)
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join(format!("{}.pid", self.name))
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Sends a signal, where it is alive.
    pub(super) fn signal(&self, signal: &str) -> Result<(), Failure> {
        if !self.is_alive() {
            return Ok(());
        }
        let sent = Command::new("kill").args([signal, &self.pid.to_string()]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("kill {signal} {}: {status}", self.pid)),
            Err(e) => Err(format!("kill cannot be started: {e}")),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    pub(super) fn wait_until(&self, ready: &Ready, patience: Duration) -> Result<(), Failure> {
        let mut waited = Duration::ZERO;
        while waited < patience && self.is_alive() {
            if ready.holds(&self.log()) {
                return Ok(());
            }
            pause();
            waited += STEP;
        }
        let why = if self.is_alive() { format!("does not answer after {patience:?}") } else { "ended".to_string() };
        Err(format!("{} {why}:\n{}", self.name, self.log_end()))
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Asks it to end; one that does not is killed.
    pub(super) fn end(&self) -> Result<(), Failure> {
        for signal in ["-TERM", "-KILL"] {
            if !self.is_alive() {
                break;
            }
            let pid = self.pid.to_string();
            // It may end by itself meanwhile: what counts is that it is gone.
            drop(Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status());
            let mut waited = Duration::ZERO;
            while self.is_alive() && waited < END_PATIENCE {
                pause();
                waited += STEP;
            }
        }
        if self.is_alive() {
            return Err(format!("process {} ({}) does not end", self.pid, self.name));
        }
        drop(fs::remove_file(self.pid_file()));
        Ok(())
    }
}

impl Ready {
    fn holds(&self, log: &Path) -> bool {
        let (port, path, holds) = match self {
            Ready::Http { port, path, holds } => (port, path, holds),
            Ready::Log { holds } => return fs::read_to_string(log).is_ok_and(|text| text.contains(holds)),
        };
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", *port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())?;
            let mut answer = vec![];
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/") && answer.contains(holds))
    }
}

/// When a process was started; `None` where there is none, or one that has ended and that nobody has asked for.
fn started(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may have any characters.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "waits for other processes")]
fn pause() {
    std::thread::sleep(STEP);
}

impl Process {
    pub(super) fn new(name: &'static str, command: Command, ready: Ready) -> Process {
        say(&format!("+ {name}"));
        Process { name, command, ready }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_again_and_ended() {
        let folder = std::env::temp_dir().join(format!("flott-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut command = Command::new("sleep");
        command.arg("60");
        let running = Running::start("sleeper", command, &folder).expect("started");
        let found = Running::all(&folder);
        assert!(running.is_alive() && found.len() == 1 && found[0].pid == running.pid);
        // The same pid, of another process.
        let other = Running { started: 1, ..Running::all(&folder).remove(0) };
        assert!(!other.is_alive());
        found[0].end().expect("ended");
        assert!(!running.is_alive() && Running::all(&folder).is_empty());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
