//! What an operator does, as data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion_physical_expr::PhysicalExpr;
use flott_connector::sink::Sink;
use flott_connector::source::Source;
use flott_connector::table::ObjectIdentifier;
use flott_connector::watermark_options::WatermarkAlignment;
use flott_core::types::LogicalType;

use crate::changelog_function::ChangelogFunctionSpec;
use crate::group::{
    ChangelogNormalizeSpec, GroupAggregateSpec, IncrementalAggregateSpec, MiniBatchAssignerSpec, SinkMaterializeSpec,
};
use crate::join::{IntervalJoinSpec, RegularJoinSpec, TemporalJoinSpec, UnnestSpec, WindowJoinSpec};
use crate::lookup::LookupJoinSpec;
use crate::match_recognize::MatchSpec;
use crate::over::OverAggregateSpec;
use crate::rank::{DeduplicateSpec, RankSpec, WindowRankSpec};
use crate::sort::{SortSpec, TemporalSortSpec};
use crate::window::{WindowAggregateSpec, WindowTableFunctionSpec};

/// A physical expression over the columns of an operator's input.
pub type ExprRef = Arc<dyn PhysicalExpr>;

/// All operators that there are.
#[derive(Debug, Clone)]
pub enum OperatorSpec {
    /// Reads rows from outside.
    Source(SourceSpec),
    /// Projection and filter.
    Calc(CalcSpec),
    /// Generates watermarks from rows (sources that cannot do it per split).
    WatermarkAssigner(WatermarkSpec),
    /// All rows of all inputs.
    Union,
    /// A row for each element of a collection.
    Unnest(UnnestSpec),
    /// Changes as rows, or rows as changes.
    ChangelogFunction(ChangelogFunctionSpec),
    /// Joins two changelogs.
    Join(RegularJoinSpec),
    /// Joins rows that are near in time.
    IntervalJoin(IntervalJoinSpec),
    /// Joins rows of the same window.
    WindowJoin(WindowJoinSpec),
    /// Joins rows with the version of another table at their time.
    TemporalJoin(TemporalJoinSpec),
    /// Joins each row with the rows that a table outside has for it.
    LookupJoin(LookupJoinSpec),
    /// Several copies of each row with some columns nulled: GROUPING SETS.
    Expand(ExpandSpec),
    /// Adds window_start, window_end and window_time to each row (a window TVF that is not aggregated).
    WindowTableFunction(WindowTableFunctionSpec),
    /// Aggregates per window and key before the exchange; its output is partial.
    LocalWindowAggregate(WindowAggregateSpec),
    /// Merges what local aggregates made, and fires windows.
    GlobalWindowAggregate(WindowAggregateSpec),
    /// Both in one.
    WindowAggregate(WindowAggregateSpec),
    /// Aggregates per key without windows; emits changes.
    GroupAggregate(GroupAggregateSpec),
    /// Lets pass the watermarks that mini-batches need.
    MiniBatchAssigner(MiniBatchAssignerSpec),
    /// The rows of a mini-batch aggregated per key before the exchange; its output is partial.
    LocalGroupAggregate(GroupAggregateSpec),
    /// Merges what local aggregates made; emits changes.
    GlobalGroupAggregate(GroupAggregateSpec),
    /// Merges what local aggregates made of single buckets; its output is partial.
    IncrementalGroupAggregate(IncrementalAggregateSpec),
    /// Makes a changelog by key complete.
    ChangelogNormalize(ChangelogNormalizeSpec),
    /// Drops `-U` rows: who reads it works by key.
    DropUpdateBefore,
    /// Orders changes by a sink's primary key.
    SinkMaterialize(SinkMaterializeSpec),
    /// Top-N of each partition.
    Rank(RankSpec),
    /// One row for each key, by a time attribute.
    Deduplicate(DeduplicateSpec),
    /// Top-N of each window, or one row of each.
    WindowRank(WindowRankSpec),
    /// Aggregates over the rows up to each row.
    OverAggregate(OverAggregateSpec),
    /// All rows in order, when there are no more.
    Sort(SortSpec),
    /// Rows in the order of a time attribute.
    TemporalSort(TemporalSortSpec),
    /// Patterns of rows that follow each other.
    Match(MatchSpec),
    /// Writes rows to the outside.
    Sink(SinkSpec),
}

/// A source of a job.
#[derive(Clone)]
pub struct SourceSpec {
    /// The table, for messages and metrics.
    pub table: ObjectIdentifier,
    /// Makes enumerator and readers; produces the node's schema.
    pub source: Arc<dyn Source>,
    /// Watermarks, generated per split and merged.
    pub watermark: Option<WatermarkSpec>,
    /// The most subtasks that make sense.
    pub parallelism: Option<usize>,
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSpec").field("table", &self.table).field("watermark", &self.watermark).finish()
    }
}

/// How watermarks come from rows (Flink's `WATERMARK FOR rowtime AS expression`).
#[derive(Debug, Clone)]
pub struct WatermarkSpec {
    /// The event time over the input's columns (a timestamp; NULL is an error).
    pub rowtime: ExprRef,
    /// The watermark of a row (a timestamp; NULL gives none).
    pub expression: ExprRef,
    /// The watermark comes from the source itself (`SOURCE_WATERMARK()`).
    pub from_source: bool,
    /// The source takes the strategy over (Flink's `SupportsWatermarkPushDown`), so that watermarks may lie before 1970;
    /// Flink's operator behind a source counts from zero.
    pub pushed_down: bool,
    /// A watermark is emitted at once when it has moved by more than this, and after so long at the latest
    /// (`pipeline.auto-watermark-interval`).
    pub interval: Duration,
    /// Somebody behind shows rows together with the watermark (`CURRENT_WATERMARK(..)`).
    pub is_shown: bool,
    /// After so long without a row the input is idle (`table.exec.source.idle-timeout`); `None` is never.
    pub idle_timeout: Option<Duration>,
    /// Whom the source waits for (`scan.watermark.alignment.*`).
    pub alignment: Option<WatermarkAlignment>,
}

/// Projection and filter. The filter sees the input's columns.
#[derive(Debug, Clone)]
pub struct CalcSpec {
    /// One expression for each output column.
    pub projection: Vec<ExprRef>,
    /// Rows where it is true stay.
    pub filter: Option<ExprRef>,
}

/// For each row one copy per entry: `None` is NULL, `Some(i)` input column i, and the last column is the expand id.
#[derive(Debug, Clone)]
pub struct ExpandSpec {
    /// Output columns (without the id) of each copy.
    pub projections: Vec<Vec<Option<usize>>>,
    /// The `$e` of each copy (BIGINT), from which GROUPING() is computed.
    pub expand_ids: Vec<i64>,
    /// The copies of a row stand one behind another, where their order can be seen; else those of a batch may come one
    /// kind after the other.
    pub row_by_row: bool,
}

/// What a sink does with NULL in a NOT NULL column (`table.exec.sink.not-null-enforcer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NotNullEnforcer {
    /// Fail the job.
    #[default]
    Error,
    /// Drop the row.
    Drop,
}

/// What a sink does with text longer than its column (`table.exec.sink.type-length-enforcer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TypeLengthEnforcer {
    /// Write it as it is.
    #[default]
    Ignore,
    /// Trim and pad.
    TrimPad,
    /// Fail the job.
    Error,
}

/// Where a sink looks for NULLs and lengths below the top level (`table.exec.sink.nested-constraint-enforcer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NestedEnforcer {
    /// Nowhere.
    #[default]
    Ignore,
    /// In the fields of rows.
    Rows,
    /// In the fields of rows, the elements of arrays, and the keys and values of maps.
    RowsAndCollections,
}

/// What a sink demands of its rows.
#[derive(Debug, Clone, Default)]
pub struct SinkConstraints {
    /// The columns' types: their nullability and lengths are enforced. Empty demands nothing.
    pub columns: Vec<LogicalType>,
    /// What to do with NULL where NOT NULL is declared.
    pub not_null: NotNullEnforcer,
    /// What to do with long and short texts.
    pub type_length: TypeLengthEnforcer,
    /// Whether to look into rows and collections.
    pub nested: NestedEnforcer,
}

/// A sink of a job.
#[derive(Clone)]
pub struct SinkSpec {
    /// The table, for messages and metrics.
    pub table: ObjectIdentifier,
    /// Makes writers and a committer; consumes the node's schema.
    pub sink: Arc<dyn Sink>,
    /// What it demands of its rows.
    pub constraints: SinkConstraints,
}

impl fmt::Debug for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSpec").field("table", &self.table).field("constraints", &self.constraints).finish()
    }
}
