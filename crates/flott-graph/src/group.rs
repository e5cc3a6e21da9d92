//! Operators over changelogs, as data: unbounded GROUP BY, normalisation by key, putting changes in order for a sink.

use std::time::Duration;

use arrow_schema::SchemaRef;

use crate::meaning::StateMeaning;
use crate::spec::ExprRef;
use crate::window::AggregateCall;

/// When an operator shows changes that it has gathered (`table.exec.mini-batch.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiniBatch {
    /// So long after the first row at the latest.
    pub latency: Duration,
    /// After so many rows at the latest.
    pub size_rows: usize,
}

/// How an operator shows the changes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Changes {
    /// One by one, as Flink does: what every row changed.
    #[default]
    Each,
    /// Those of a batch in one: where nobody can see the difference.
    Merged,
    /// Those of a mini-batch in one.
    Gathered(MiniBatch),
    /// One row for each key when the input ends (`execution.runtime-mode = batch`).
    Final,
}

/// Which level of a DISTINCT aggregation over two levels (`table.optimizer.distinct-agg.split.enabled`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SplitLevel {
    /// There is only this one.
    #[default]
    None,
    /// By the keys and buckets of the distinct values.
    Partial,
    /// By the keys, over the results of the buckets.
    Final {
        /// Whether rows of the buckets may be taken away. If not, their MIN only falls and their MAX only rises: what is
        /// taken away of those changes nothing.
        retracts: bool,
    },
    /// By the keys, over what an incremental aggregate made of the buckets: its counts are none of rows.
    Incremental,
}

/// Mini-batches at a source (`table.exec.mini-batch.allow-latency`): which watermarks pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiniBatchAssignerSpec {
    /// So long a batch is.
    pub interval: Duration,
    /// Somebody behind it works by event time: one watermark for each interval passes. Else none but the last.
    pub event_time: bool,
}

/// The first level of a DISTINCT aggregation over two levels that merges what local aggregates made, and hands on what that
/// changes of the second level's groups (`table.optimizer.incremental-agg-enabled`). It keeps the distinct values alone.
///
/// Input: the partial rows of `partial`. Output: the second level's keys (the first `group_keys` of the input), and the
/// states of its aggregates without DISTINCT ([`group_partial_schema`](crate::group_partial_schema) of `merged`).
#[derive(Debug, Clone)]
pub struct IncrementalAggregateSpec {
    /// The first level, over the rows before the local aggregate.
    pub partial: GroupAggregateSpec,
    /// The second level as it merges: the aggregates of the first one without DISTINCT and FILTER, by the second one's keys.
    pub merged: GroupAggregateSpec,
}

/// A grouped aggregation without windows. Output: the group keys, the aggregates.
///
/// In two phases (`table.optimizer.agg-phase-strategy`) the local one has
/// [`group_partial_schema`](crate::group_partial_schema), and both have this spec, whose columns are those of the rows before
/// the local one.
#[derive(Debug, Clone)]
pub struct GroupAggregateSpec {
    /// Columns of the input that rows of a group agree in. None: one group for all rows.
    pub group_keys: Vec<usize>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// The input may take rows away: rows are counted, and a group without rows is deleted.
    pub retracts: bool,
    /// Emit `-U` before each `+U`.
    pub update_before: bool,
    /// When changes are shown.
    pub changes: Changes,
    /// A group that is not touched for so long is forgotten (`table.exec.state.ttl`).
    pub state_ttl: Option<Duration>,
    /// Which of two levels it is.
    pub level: SplitLevel,
    /// What its state stands for.
    pub meaning: StateMeaning,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}

/// A changelog by key made complete: every row becomes `+I`, `-U`/`+U` or `-D` with the row that was there before.
#[derive(Debug, Clone)]
pub struct ChangelogNormalizeSpec {
    /// The columns of the key.
    pub key: Vec<usize>,
    /// Rows of the table for which it is not true do not exist for those behind it.
    pub filter: Option<ExprRef>,
    /// Emit `-U` before each `+U`.
    pub update_before: bool,
    /// When changes are shown.
    pub changes: Changes,
    /// A key that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
}

/// What a sink does where rows of several upsert keys have one primary key (`ON CONFLICT DO ..`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictStrategy {
    /// The last one is written, and where it goes, the one before it.
    #[default]
    Deduplicate,
    /// The job fails.
    Error,
    /// The first one stays.
    Nothing,
}

impl ConflictStrategy {
    /// The word of the clause.
    pub fn name(self) -> &'static str {
        match self {
            ConflictStrategy::Deduplicate => "DEDUPLICATE",
            ConflictStrategy::Error => "ERROR",
            ConflictStrategy::Nothing => "NOTHING",
        }
    }
}

/// Puts the changes of one primary key in the order in which their rows came, for a sink that keeps one row a key.
#[derive(Debug, Clone)]
pub struct SinkMaterializeSpec {
    /// The sink's primary key.
    pub primary_key: Vec<usize>,
    /// The upsert key of the input: which row an update is of. `None`: all columns.
    pub upsert_key: Option<Vec<usize>>,
    /// What to do where rows of several upsert keys meet.
    pub conflict: ConflictStrategy,
    /// A key that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
}
