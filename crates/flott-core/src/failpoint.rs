//! Named places where a test stops a process dead, so that a kill is in the phase and not near it.
//!
//! The names follow the checkpoint protocol's kill points K0 to K13. A registry belongs to one job, not to the process,
//! so that jobs in one test do not meet. In release builds without the feature `failpoints` [`FailPoints::hit`] is empty.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a stopped process looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

/// Where a process can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailPoint {
    /// K0: a checkpoint is about to start.
    BeforeBarrier,
    /// K1: some operators' state is written, some is not.
    MidSnapshot,
    /// K2: all state is written, no sink has prepared.
    AfterSnapshotBeforePrepare,
    /// K3: sinks are prepared, the manifest may be written, nothing is decided.
    AfterPrecommitBeforeDecided,
    /// K4: half of the HEAD record is on disk.
    TornDecided,
    /// K5: decided, nothing committed.
    AfterDecidedBeforeCommit,
    /// K6: some committables are committed.
    MidCommit,
    /// K7: all committed, not recorded.
    AfterCommitBeforeRecord,
    /// K8: recorded, sources not told.
    AfterCommitBeforeSourceAck,
    /// K9: a restore has begun.
    DuringRestore,
    /// K10: a restore after a failed restore has begun.
    DuringSecondRestore,
    /// K11: retention has removed a part of an old checkpoint.
    DuringRetentionGc,
    /// K12: a savepoint is being written.
    DuringSavepoint,
    /// K13: a job is draining.
    Drain,
}

impl FailPoint {
    /// All of them, K0 first.
    pub const ALL: [FailPoint; 14] = [
        FailPoint::BeforeBarrier,
        FailPoint::MidSnapshot,
        FailPoint::AfterSnapshotBeforePrepare,
        FailPoint::AfterPrecommitBeforeDecided,
        FailPoint::TornDecided,
        FailPoint::AfterDecidedBeforeCommit,
        FailPoint::MidCommit,
        FailPoint::AfterCommitBeforeRecord,
        FailPoint::AfterCommitBeforeSourceAck,
        FailPoint::DuringRestore,
        FailPoint::DuringSecondRestore,
        FailPoint::DuringRetentionGc,
        FailPoint::DuringSavepoint,
        FailPoint::Drain,
    ];

    /// `before_barrier`, `mid_snapshot`, …
    pub fn name(self) -> &'static str {
        match self {
            FailPoint::BeforeBarrier => "before_barrier",
            FailPoint::MidSnapshot => "mid_snapshot",
            FailPoint::AfterSnapshotBeforePrepare => "after_snapshot_before_prepare",
            FailPoint::AfterPrecommitBeforeDecided => "after_precommit_before_decided",
            FailPoint::TornDecided => "torn_decided",
            FailPoint::AfterDecidedBeforeCommit => "after_decided_before_commit",
            FailPoint::MidCommit => "mid_commit",
            FailPoint::AfterCommitBeforeRecord => "after_commit_before_record",
            FailPoint::AfterCommitBeforeSourceAck => "after_commit_before_source_ack",
            FailPoint::DuringRestore => "during_restore",
            FailPoint::DuringSecondRestore => "during_second_restore",
            FailPoint::DuringRetentionGc => "during_retention_gc",
            FailPoint::DuringSavepoint => "during_savepoint",
            FailPoint::Drain => "drain",
        }
    }

    /// The point with this name.
    pub fn from_name(name: &str) -> Option<FailPoint> {
        FailPoint::ALL.into_iter().find(|p| p.name() == name)
    }
}

#[derive(Debug)]
struct Armed {
    point: FailPoint,
    /// Stops at the n-th hit, from 1.
    at_hit: u64,
    hits: AtomicU64,
    /// Told the point's name before the process stops.
    report: PathBuf,
}

/// What a job can be made to do wrong, so that a harness shows that it finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// One row of 100,000 is not written.
    DropRow,
    /// An attempt that follows another writes its first rows twice.
    DuplicateOnRecovery,
    /// Output is committed before its checkpoint is decided, without the token that proves the decision.
    CommitBeforeDecided,
    /// Output counts as committed, and is recorded so, before it is: it is committed with the next checkpoint.
    AcknowledgeBeforeCommitted,
    /// Readers and enumerators of sources are told of a checkpoint once the readers' state is taken, before it is decided.
    AcknowledgeBeforeDecided,
}

impl Mistake {
    /// All of them, by name.
    pub const ALL: [(&'static str, Mistake); 5] = [
        ("drop-row", Mistake::DropRow),
        ("duplicate-on-recovery", Mistake::DuplicateOnRecovery),
        ("commit-before-decided", Mistake::CommitBeforeDecided),
        ("acknowledge-before-committed", Mistake::AcknowledgeBeforeCommitted),
        ("acknowledge-before-decided", Mistake::AcknowledgeBeforeDecided),
    ];
}

/// The fail points of one job: usually none is armed.
#[derive(Debug, Clone, Default)]
pub struct FailPoints {
    armed: Option<Arc<Armed>>,
    planted: Option<Mistake>,
}

impl FailPoints {
    /// None armed.
    pub fn none() -> FailPoints {
        FailPoints::default()
    }

    /// From `name` or `name:n` (the n-th hit) and a file or pipe that is told the name once the point is reached.
    pub fn armed(text: &str, report: impl Into<PathBuf>) -> Result<FailPoints, String> {
        let (name, hit) = text.split_once(':').unwrap_or((text, "1"));
        let point = FailPoint::from_name(name).ok_or_else(|| {
            let names: Vec<_> = FailPoint::ALL.iter().map(|p| p.name()).collect();
            format!("there is no fail point '{name}'; there are {}", names.join(", "))
        })?;
        let at_hit = hit.parse().map_err(|_| format!("'{hit}' is not a number of hits"))?;
        let armed = Armed { point, at_hit, hits: AtomicU64::new(0), report: report.into() };
        Ok(FailPoints { armed: Some(Arc::new(armed)), planted: None })
    }

    /// The same, with a mistake of this [name](Mistake::ALL).
    pub fn planting(self, name: &str) -> Result<FailPoints, String> {
        let found = Mistake::ALL.into_iter().find(|(n, _)| *n == name).map(|(_, mistake)| mistake);
        let mistake = found.ok_or_else(|| {
            let names = Mistake::ALL.map(|(name, _)| name);
            format!("there is no mistake '{name}'; there are {}", names.join(", "))
        })?;
        Ok(FailPoints { planted: Some(mistake), ..self })
    }

    /// The mistake that is planted; never one in builds without fail points.
    pub fn planted(&self) -> Option<Mistake> {
        self.planted.filter(|_| Self::compiled_in())
    }

    /// Whether fail points are compiled in.
    pub const fn compiled_in() -> bool {
        cfg!(any(debug_assertions, feature = "failpoints"))
    }

    /// Stops where this point is armed and its hit has come: the harness then kills the process, or another one and
    /// lets this one go on.
    #[inline]
    pub fn hit(&self, point: FailPoint) {
        if self.would_stop(point) {
            self.stop();
        }
    }

    /// True where [`hit`](Self::hit) would stop: for a point that first has to leave something half done.
    #[inline]
    pub fn would_stop(&self, point: FailPoint) -> bool {
        match &self.armed {
            Some(armed) if Self::compiled_in() && armed.point == point => {
                armed.hits.fetch_add(1, Ordering::SeqCst) + 1 == armed.at_hit
            }
            _ => false,
        }
    }

    /// Reports and stops, until there is a file beside the report whose name ends with `.go`.
    pub fn stop(&self) {
        let Some(armed) = &self.armed else { return };
        let written = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&armed.report)
            .and_then(|mut f| f.write_all(format!("{}\n", armed.point.name()).as_bytes()));
        drop(written);
        let go = armed.report.with_added_extension("go");
        while !go.exists() {
            std::thread::park_timeout(LOOK);
        }
    }
}
