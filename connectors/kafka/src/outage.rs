//! Outages of a cluster: each client of a job says of each broker, again and again, that it is away. It is told once, and once
//! when it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flott_core::clock::{Clock, SystemClock};
use parking_lot::Mutex;

/// Answers of other brokers say nothing of one that is away. It is back where nobody has missed it for so long: the library says the
/// same again after half a minute.
const MISSED: Duration = Duration::from_secs(60);
/// What was fetched before may be read so long after a broker was missed.
const FETCHED: Duration = Duration::from_secs(1);
/// What clients have to say of an outage that is over is heard for so long.
const ECHO: Duration = Duration::from_secs(5);

/// What lines of the library's log are about that has no connection.
const TEXTS: [&str; 6] =
    ["brokers are down", "Connect to", "Disconnected", "Failed to resolve", "Connection setup timed out", "timed out"];

/// Whether a line is about a broker that is away, and nothing else.
pub(crate) fn is_line(line: &str) -> bool {
    TEXTS.iter().any(|text| line.contains(text)) && !["SASL", "SSL"].iter().any(|word| line.contains(word))
}

/// Whether all of a client's brokers are away.
pub(crate) fn is_total(line: &str) -> bool {
    line.contains("brokers are down")
}

/// That of the clusters of this process with these servers.
pub(crate) fn of(servers: &str) -> Arc<Outage> {
    static ALL: Mutex<BTreeMap<String, Arc<Outage>>> = Mutex::new(BTreeMap::new());
    let mut all = ALL.lock();
    // Not those of jobs that have ended; an outage goes on while a job begins another attempt.
    all.retain(|_, outage| Arc::strong_count(outage) > 1 || outage.is_on.load(Ordering::Relaxed));
    let made = || Arc::new(Outage::new(servers, SystemClock::shared()));
    Arc::clone(all.entry(servers.to_string()).or_insert_with(made))
}

/// Whether brokers are away.
pub(crate) struct Outage {
    servers: String,
    clock: Arc<dyn Clock>,
    /// Whether there is one.
    is_on: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    since: Option<Duration>,
    last: Duration,
    /// All brokers are away.
    total: bool,
    ended: Option<Duration>,
}

impl Outage {
    fn new(servers: &str, clock: Arc<dyn Clock>) -> Outage {
        let (is_on, seen) = (AtomicBool::new(false), Mutex::default());
        Outage { servers: servers.to_string(), clock, is_on, seen }
    }

    /// A client misses a broker, or all of them; true where that is to be told.
    pub(crate) fn misses(&self, total: bool) -> bool {
        let now = self.clock.monotonic();
        let mut seen = self.seen.lock();
        if seen.ended.is_some_and(|ended| now.saturating_sub(ended) < ECHO) {
            return false;
        }
        let begins = seen.since.is_none();
        let since = seen.since.unwrap_or(now);
        *seen = Seen { since: Some(since), last: now, total: total || (seen.total && !begins), ended: None };
        self.is_on.store(true, Ordering::Relaxed);
        begins
    }

    /// A broker has answered.
    pub(crate) fn answered(&self) {
        if self.is_on.load(Ordering::Relaxed)
            && let Some(lasted) = self.ends()
        {
            let (servers, seconds) = (&self.servers, lasted.as_secs_f64());
            tracing::warn!("kafka: brokers of '{servers}' answer again, after {seconds:.1} s");
        }
    }

    /// How long the outage was, where it is over.
    fn ends(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut seen = self.seen.lock();
        let since = seen.since?;
        if now.saturating_sub(seen.last) < if seen.total { FETCHED } else { MISSED } {
            return None;
        }
        *seen = Seen { ended: Some(now), ..Seen::default() };
        self.is_on.store(false, Ordering::Relaxed);
        Some(now.saturating_sub(since))
    }
}

impl Default for Outage {
    fn default() -> Outage {
        Outage::new("", SystemClock::shared())
    }
}

#[cfg(test)]
mod tests {
    use flott_core::clock::ManualClock;

    use super::*;

    #[test]
    fn an_outage_begins_once_and_ends_once() {
        let clock = ManualClock::at_ms(0);
        let outage = Outage::new("h:1", clock.clone());
        assert!(outage.ends().is_none(), "there is none");
        assert!(outage.misses(false), "the first line");
        assert!(!outage.misses(true) && !outage.misses(false), "the others");
        clock.advance_ms(7_000);
        assert_eq!(outage.ends(), Some(Duration::from_secs(7)));
        assert!(outage.ends().is_none() && !outage.is_on.load(Ordering::Relaxed));
        // Another client has not said it yet.
        assert!(!outage.misses(true) && outage.ends().is_none());
        clock.advance_ms(5_000);
        assert!(outage.misses(true), "another one");
    }

    #[test]
    fn a_broker_among_several_is_missed_until_nobody_says_so() {
        let clock = ManualClock::at_ms(0);
        let outage = Outage::new("h:1,h:2", clock.clone());
        assert!(outage.misses(false));
        for _ in 0..5 {
            clock.advance_ms(30_000);
            assert!(outage.ends().is_none(), "the others answer");
            assert!(!outage.misses(false));
        }
        clock.advance_ms(60_000);
        assert_eq!(outage.ends(), Some(MISSED / 2 * 5 + MISSED));
    }

    #[test]
    fn lines_about_who_may_come_in_are_none_of_an_outage() {
        for line in [
            "[thrd:h:1/bootstrap]: h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms)",
            "[thrd:h:1/bootstrap]: 1/1 brokers are down",
            "[thrd:h:1/1]: h:1/1: Disconnected (after 100ms in state UP)",
        ] {
            assert!(is_line(line), "{line}");
        }
        for line in [
            "[thrd:sasl_ssl://h:1/bootstrap]: SASL authentication error: Authentication failed",
            "[thrd:ssl://h:1/bootstrap]: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
            "[thrd:main]: fatal error: fenced",
        ] {
            assert!(!is_line(line), "{line}");
        }
    }
}
