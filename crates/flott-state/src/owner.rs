//! Which process an attempt runs in. It decides nothing: HEAD's generation does. It tells people whom they take a job
//! over from.

use std::fmt;
use std::path::Path;

use flott_core::clock::SystemClock;
use serde::{Deserialize, Serialize};

/// The process that an attempt of a job runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process id.
    pub process: u32,
    /// The machine's name.
    pub host: String,
    /// The machine's start that it belongs to, where the system tells it: after another one its number says nothing. Two
    /// machines that share a name differ in it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// When it took the job over, in ms since the epoch.
    pub since_ms: i64,
    /// When the process was started, in ticks since the machine's start, where the system tells it: another process of the
    /// same number has another time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
}

impl Owner {
    /// This process, now.
    pub fn this_process() -> Owner {
        let process = std::process::id();
        let since_ms = SystemClock::shared().now_ms();
        Owner { process, host: host(), boot: boot(), since_ms, started: start_of(process) }
    }

    /// Whether it is this very process.
    pub fn is_this_process(&self) -> bool {
        self.process == std::process::id() && self.is_of_this_boot() && self.is_as_old_as(self.process)
    }

    /// Whether the process that has the number now is the one that had it then. One that cannot be told apart is.
    fn is_as_old_as(&self, process: u32) -> bool {
        match (self.started, start_of(process)) {
            (Some(then), Some(now)) => then == now,
            _ => true,
        }
    }

    fn is_of_this_boot(&self) -> bool {
        self.host == host() && (self.boot.is_none() || self.boot == boot())
    }

    /// Whether a process of this number runs on this machine; `None` where nobody can tell from here: it is on another
    /// machine, or on this one before it was started anew, unless that is another one of the same name. It may make somebody
    /// ask the user, and never decides who has the job, which is HEAD's to say.
    pub fn seems_alive(&self) -> Option<bool> {
        let processes = Path::new("/proc");
        (self.is_of_this_boot() && processes.join("self").exists()).then(|| {
            processes.join(self.process.to_string()).exists()
                && !has_ended(self.process)
                && self.is_as_old_as(self.process)
        })
    }
}

/// `process 17 on host-a`
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)
    }
}

/// The machine's name.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    if name.trim().is_empty() { "an unnamed host".to_string() } else { name.trim().to_string() }
}

/// A word of what Linux tells of a process, counted from the third one on: the second may hold anything in brackets.
fn word_of(process: u32, word: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(word)?.to_string())
}

/// When a process was started: the 22nd word.
fn start_of(process: u32) -> Option<u64> {
    word_of(process, 19)?.parse().ok()
}

/// Whether a process has ended and only nobody has asked how yet, as in a container without a first process that does.
fn has_ended(process: u32) -> bool {
    word_of(process, 0).is_some_and(|state| state == "Z" || state == "X")
}

/// What Linux draws by chance when it starts.
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_string()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_those_elsewhere_are_unknown() {
        let this = Owner::this_process();
        assert!(this.is_this_process());
        assert_eq!(this.seems_alive(), Some(true));
        // Greater than any number that Linux gives.
        assert_eq!(Owner { process: u32::MAX, ..this.clone() }.seems_alive(), Some(false));
        assert_eq!(Owner { host: "elsewhere".to_string(), ..this.clone() }.seems_alive(), None);
        // Its number has been given away again.
        let older = Owner { started: Some(1), ..this.clone() };
        assert!(!older.is_this_process() && older.seems_alive() == Some(false));
        // Of a build that did not say it.
        assert!(Owner { started: None, ..this.clone() }.is_this_process());
        let before = Owner { boot: Some("another".to_string()), ..this };
        assert!(before.seems_alive().is_none() && !before.is_this_process());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_has_ended_is_dead_though_nobody_has_waited_for_it() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
        let owner = Owner { process: child.id(), started: start_of(child.id()), ..Owner::this_process() };
        assert_eq!(owner.seems_alive(), Some(true));
        child.kill().expect("killed");
        while !has_ended(child.id()) {
            std::thread::yield_now();
        }
        assert_eq!(owner.seems_alive(), Some(false));
        child.wait().expect("ended");
    }
}
