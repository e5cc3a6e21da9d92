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
    /// When it took the job over, in ms since the epoch.
    pub since_ms: i64,
}

impl Owner {
    /// This process, now.
    pub fn this_process() -> Owner {
        Owner { process: std::process::id(), host: host(), since_ms: SystemClock::shared().now_ms() }
    }

    /// Whether it is this very process.
    pub fn is_this_process(&self) -> bool {
        self.process == std::process::id() && self.host == host()
    }

    /// Whether a process of this number runs on this machine; `None` where nobody can tell from here. A number may have
    /// been given away again: it may make somebody ask the user, and never decide who has the job, which is HEAD's to say.
    pub fn seems_alive(&self) -> Option<bool> {
        let processes = Path::new("/proc");
        (self.host == host() && processes.join("self").exists())
            .then(|| processes.join(self.process.to_string()).exists())
    }
}

/// `process 17 on host-a`
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)
    }
}

/// The machine's name.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    if name.trim().is_empty() { "an unnamed host".to_string() } else { name.trim().to_string() }
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
        assert_eq!(Owner { host: "elsewhere".to_string(), ..this }.seems_alive(), None);
    }
}
