//! Processes of a job: their signals, their children, their end.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::Failure;

const STEP: Duration = Duration::from_millis(2);

pub(super) fn signal(pid: u32, name: &str) -> Result<(), Failure> {
    let status =
        Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("kill -{name} {pid}: {status}")) }
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may have any characters.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// It has not ended; it may be stopped.
pub(super) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The processes that one has started and that live.
pub(super) fn children(of: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(state, parent)| parent == of && !matches!(state, 'Z' | 'X'))).collect()
}

/// Looks again and again; `false` where it does not come about in time.
pub(super) fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = crate::bench::measure::now();
    while !holds() {
        if started.elapsed() >= patience {
            return false;
        }
        pause(STEP);
    }
    true
}

#[expect(clippy::disallowed_methods, reason = "the harness waits for other processes")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// A connection that fails, rather than waits, where nothing comes for so long.
pub(super) fn connect(address: &str, patience: Duration) -> std::io::Result<TcpStream> {
    let address = address.parse::<SocketAddr>().map_err(std::io::Error::other)?;
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
