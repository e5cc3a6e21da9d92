//! Top-N, deduplication and their windowed forms, as data.

use std::time::Duration;

use arrow_schema::SchemaRef;

use crate::group::MiniBatch;
use crate::sort::SortKey;

/// Which ranks stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankRange {
    /// From the first to the last of these, both counted from 1.
    Constant {
        /// The first.
        start: u64,
        /// The last.
        end: u64,
    },
    /// From 1 to the value of this column in the first row of the partition.
    Variable {
        /// SMALLINT, INT or BIGINT.
        column: usize,
    },
}

impl RankRange {
    /// Ranks before the first that stays.
    pub fn has_offset(self) -> bool {
        matches!(self, RankRange::Constant { start, .. } if start > 1)
    }

    /// The first row alone.
    pub fn is_top_1(self) -> bool {
        self == RankRange::Constant { start: 1, end: 1 }
    }
}

/// What is known of the input, and so what has to be kept of it (Flink's `RankProcessStrategy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankStrategy {
    /// Rows are only added: those in the range are kept.
    AppendFast,
    /// Rows are updated by a key, and only towards the front: those in the range are kept.
    UpdateFast {
        /// The columns of the key, which contain the partition's.
        primary_keys: Vec<usize>,
    },
    /// Rows come and go: all are kept.
    Retract,
}

/// `ROW_NUMBER() OVER (PARTITION BY .. ORDER BY ..)` between two bounds. Output: the input's columns, then the rank
/// (BIGINT) where it is shown.
#[derive(Debug, Clone)]
pub struct RankSpec {
    /// Columns that rows of a partition agree in.
    pub partition_keys: Vec<usize>,
    /// The order within a partition; rows that are equal in it stand in the order in which they came.
    pub order: Vec<SortKey>,
    /// The order is that of arrival: by processing time.
    pub by_arrival: bool,
    /// Which ranks stay.
    pub range: RankRange,
    /// How.
    pub strategy: RankStrategy,
    /// The rank is shown.
    pub output_rank_number: bool,
    /// Emit `-U` before each `+U`.
    pub update_before: bool,
    /// A partition that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}

/// Which row of a key stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The first.
    First,
    /// The last.
    Last,
}

/// One row for each key, by a time attribute. The input only adds rows.
#[derive(Debug, Clone)]
pub struct DeduplicateSpec {
    /// Columns that rows of a key agree in.
    pub keys: Vec<usize>,
    /// The column of event time; `None` is processing time.
    pub rowtime: Option<usize>,
    /// Which one.
    pub keep: Keep,
    /// Emit `-U` before each `+U`.
    pub update_before: bool,
    /// The first row of a key leaves as `+I` (else as `+U`, and where the time is the processing time, nothing is kept).
    pub insert: bool,
    /// When changes are shown; `None` is row by row.
    pub mini_batch: Option<MiniBatch>,
    /// Of a mini-batch the last change of a key alone (`table.exec.deduplicate.mini-batch.compact-changes-enabled`).
    pub compact: bool,
    /// A key that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}

impl DeduplicateSpec {
    /// Whether rows are only added. The first row by event time leaves when it is sure that none comes before it; in
    /// mini-batches, as in Flink, it leaves at once, and one that comes before it takes its place.
    pub fn appends(&self) -> bool {
        self.keep == Keep::First && self.mini_batch.is_none()
    }
}

/// Top-N of each window, or one row of each window, when the window ends. The input only adds rows.
#[derive(Debug, Clone)]
pub struct WindowRankSpec {
    /// Columns that rows of a partition agree in, without the window's.
    pub partition_keys: Vec<usize>,
    /// The order within a partition.
    pub order: Vec<SortKey>,
    /// Of rows that are equal in the order the last one stands first (a deduplication that keeps the last row).
    pub last_of_equals: bool,
    /// The first rank that stays, from 1.
    pub start: u64,
    /// The last rank that stays.
    pub end: u64,
    /// The rank is shown.
    pub output_rank_number: bool,
    /// The column with the window's end; `None`: one window of all rows, which ends with the input.
    pub window_end: Option<usize>,
    /// The column with the window's start, where rows of one partition agree in it too.
    pub window_start: Option<usize>,
    /// For a window over TIMESTAMP_LTZ: the session's zone, in which its end is local; else `None` (UTC).
    pub time_zone: Option<String>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}
