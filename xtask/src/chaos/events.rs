//! What happens to the processes of a job.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::proxy::Network;
use super::servers::Kind;
use super::{Pipeline, Rng};
use crate::Failure;

/// The kill points of the checkpoint protocol that a run passes by itself, K0 to K11.
const POINTS: [&str; 12] = [
    "before_barrier",
    "mid_snapshot",
    "after_snapshot_before_prepare",
    "after_precommit_before_decided",
    "torn_decided",
    "after_decided_before_commit",
    "mid_commit",
    "after_commit_before_record",
    "after_commit_before_source_ack",
    "during_restore",
    "during_second_restore",
    "during_retention_gc",
];
/// Those of them where nothing is being committed, and all that was committed before is whole: there a mistake shows.
pub(super) const BETWEEN_COMMITS: [&str; 4] = [
    "after_precommit_before_decided",
    "after_decided_before_commit",
    "after_commit_before_record",
    "after_commit_before_source_ack",
];
/// Those that a run passes where a user asks for it, with what the command is told to do: K12 and K13.
const ASKED: [(&str, &[&str]); 2] = [("during_savepoint", &["savepoint"]), ("drain", &["stop", "--drain"])];
/// Those that the second process passes itself.
const POINTS_OF_SECOND: [&str; 3] = ["before_barrier", "mid_snapshot", "after_snapshot_before_prepare"];

/// No point of the protocol: once an observer has seen something new.
pub(super) const OUTPUT: &str = "output";

/// The kill point of this name.
pub(super) fn point(name: &str) -> Result<&'static str, Failure> {
    let known = POINTS.into_iter().chain([OUTPUT]).find(|p| *p == name);
    known.ok_or_else(|| format!("no run passes '{name}' by itself; there are {}, and {OUTPUT}", POINTS.join(", ")))
}

/// One cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// kill -9 of the only process, or of the first.
    Kill { at: Option<&'static str> },
    /// The same, at a point that it passes because somebody has asked for it by a command.
    KillAsked { at: &'static str, command: &'static [&'static str] },
    /// kill -9 of the second process, while the first stands at a point, or when it may.
    KillSecond { at: Option<&'static str> },
    /// kill -9 of the second process at a point of its own.
    KillSecondAtOwn(&'static str),
    /// SIGSTOP of the second process, for less time than anybody is missed after.
    Nap,
    /// SIGSTOP of the second process, until another is in its place.
    StopSecond,
    /// SIGSTOP of the second process, then kill -9 of the first; it wakes when a successor works.
    StopSecondKillFirst,
    /// SIGSTOP of the only process, or of the first, until a successor has taken over.
    Sleeper,
    /// What happens to a server that the job talks to, for a while.
    Server(Kind, Fault),
    /// The job stands with a transaction open until the broker ends it, because that took too long.
    TransactionTimedOut,
}

/// What can happen to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGSTOP.
    Stopped,
    /// kill -9; it is started again.
    Killed,
    /// What lies between the job and it.
    Network(Network),
}

const FAULTS: [Fault; 6] = [
    Fault::Stopped,
    Fault::Network(Network::Cut),
    Fault::Network(Network::HalfOpen),
    Fault::Killed,
    Fault::Network(Network::Delayed(50)),
    Fault::Network(Network::Throttled(500_000)),
];

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |at: &Option<&'static str>| at.unwrap_or("at random");
        match self {
            Event::Kill { at: point } => write!(f, "{}", at(point)),
            Event::KillAsked { at, .. } => f.write_str(at),
            Event::KillSecond { at: point } => write!(f, "second process killed, first {}", at(point)),
            Event::KillSecondAtOwn(point) => write!(f, "second process killed at its {point}"),
            Event::Nap => write!(f, "second process stopped for a moment"),
            Event::StopSecond => write!(f, "second process stopped until it is replaced"),
            Event::StopSecondKillFirst => write!(f, "second process stopped, first killed"),
            Event::Sleeper => write!(f, "a sleeper woken after its successor"),
            Event::TransactionTimedOut => write!(f, "transaction open for longer than the broker allows"),
            Event::Server(kind, fault) => {
                let what = match fault {
                    Fault::Stopped => "stopped for a while",
                    Fault::Killed => "killed and started again",
                    Fault::Network(Network::Whole) => "reached as ever",
                    Fault::Network(Network::Delayed(_)) => "reached late",
                    Fault::Network(Network::Throttled(_)) => "reached slowly",
                    Fault::Network(Network::HalfOpen) => "reached by connections that are half open",
                    Fault::Network(Network::Cut) => "cut off",
                };
                write!(f, "{} {what}", kind.name())
            }
        }
    }
}

/// All that can happen in a pipeline, one after another.
pub(super) struct Events {
    all: Vec<Event>,
    next: usize,
    /// How often the next one has come too late.
    late: u32,
}

/// An event that came too late for a job has another chance with the next, but not for ever.
const CHANCES: u32 = 10;

impl Events {
    /// From a drawn one on: few cycles do not always meet the same ones.
    pub(super) fn of(pipeline: Pipeline, rng: &mut Rng) -> Events {
        let mut all: Vec<Event> = POINTS.iter().map(|p| Event::Kill { at: Some(p) }).collect();
        all.extend(ASKED.iter().map(|(at, command)| Event::KillAsked { at, command }));
        // Between the points, so that few cycles meet some of both.
        let servers = pipeline.servers();
        let faults = FAULTS.iter().flat_map(|fault| servers.iter().map(|server| Event::Server(*server, *fault)));
        let mut others: VecDeque<Event> = faults.collect();
        if pipeline.writes_to(Kind::Kafka) {
            others.push_front(Event::TransactionTimedOut);
        }
        all = all.into_iter().flat_map(|event| [Some(event), others.pop_front()]).flatten().collect();
        all.extend(others);
        if pipeline.has_two_processes() {
            // While a restore begins there is no second process yet.
            let second = POINTS.iter().filter(|p| !p.starts_with("during_") || **p == "during_retention_gc");
            all.extend(second.map(|p| Event::KillSecond { at: Some(p) }));
            all.extend(POINTS_OF_SECOND.iter().map(|p| Event::KillSecondAtOwn(p)));
            all.extend([Event::Nap, Event::StopSecond, Event::StopSecondKillFirst]);
            // Few cycles are to meet all kinds.
            let kinds = all.len(); // 11 and it have no common divisor: the test sees to it.
            all = (0..kinds).map(|i| all[i * 11 % kinds]).collect();
        }
        let next = rng.below(all.len() as u64) as usize;
        Events { all, next, late: 0 }
    }

    pub(super) fn kinds(&self) -> u64 {
        self.all.len() as u64
    }

    pub(super) fn next(&self) -> Event {
        self.all[self.next % self.all.len()]
    }

    /// The next one, or what it takes that it can come about, behind what has happened last in this round: a restore restores a
    /// checkpoint, and a second one is of a job whose restore has ended before another checkpoint.
    pub(super) fn next_behind(&self, last: Option<Event>) -> Event {
        const FIRST_RESTORE: Event = Event::Kill { at: Some("during_restore") };
        const SECOND_RESTORE: Event = Event::Kill { at: Some("during_second_restore") };
        const CHECKPOINT: Event = Event::Kill { at: Some("after_decided_before_commit") };
        match self.next() {
            FIRST_RESTORE | SECOND_RESTORE if last.is_none() => CHECKPOINT,
            SECOND_RESTORE if last != Some(FIRST_RESTORE) => FIRST_RESTORE,
            next => next,
        }
    }

    /// To one that has not come about, where there is one.
    pub(super) fn turn_to_missed(&mut self, tally: &BTreeMap<String, u64>) {
        let is_missed = |i: &usize| !tally.contains_key(&self.all[i % self.all.len()].to_string());
        if let Some(next) = (self.next..self.next + self.all.len()).find(is_missed).filter(|next| *next != self.next) {
            (self.next, self.late) = (next, 0);
        }
    }

    /// After the next one has happened, or has come too late.
    pub(super) fn step(&mut self, happened: bool) {
        self.late += 1;
        if happened || self.late >= CHANCES {
            (self.next, self.late) = (self.next + 1, 0);
        }
    }

    /// What has not come about.
    pub(super) fn missed(&self, tally: &BTreeMap<String, u64>) -> Vec<String> {
        self.all.iter().map(Event::to_string).filter(|e| !tally.contains_key(e)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_turn() {
        for (_, pipeline) in Pipeline::ALL {
            let mut events = Events::of(pipeline, &mut Rng(1));
            let mut tally = BTreeMap::new();
            assert!(!events.missed(&tally).is_empty());
            for _ in 0..events.all.len() {
                tally.insert(events.next().to_string(), 1);
                events.step(true);
            }
            assert_eq!(events.missed(&tally), [""; 0]);
            assert_eq!(tally.len(), events.all.len(), "each has a name of its own");
        }
    }

    #[test]
    fn what_is_missed_has_what_it_needs() {
        let mut events = Events::of(Pipeline::Processes, &mut Rng(1));
        let all: BTreeMap<String, u64> = events.all.iter().map(|e| (e.to_string(), 1)).collect();
        let before = events.next;
        events.turn_to_missed(&all);
        assert_eq!(events.next, before, "nothing is missed");
        let mut tally = all.clone();
        tally.remove("during_second_restore");
        events.turn_to_missed(&tally);
        assert_eq!(events.next().to_string(), "during_second_restore");
        let mut last = None;
        let mut happened = vec![];
        while last != Some(events.next()) {
            last = Some(events.next_behind(last));
            happened.extend(last.map(|e| e.to_string()));
        }
        assert_eq!(happened, ["after_decided_before_commit", "during_restore", "during_second_restore"]);
    }
}
