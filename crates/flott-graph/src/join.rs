//! Joins, as data.

use std::time::Duration;

use arrow_schema::{Field, Schema, SchemaRef};
use flott_core::types::TimeAttribute;

use crate::spec::ExprRef;

/// Which rows a join gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Pairs.
    Inner,
    /// Pairs, and left rows without a partner.
    Left,
    /// Pairs, and right rows without a partner.
    Right,
    /// Pairs, and rows of either side without a partner.
    Full,
    /// Left rows with a partner.
    Semi,
    /// Left rows without a partner.
    Anti,
}

impl JoinKind {
    /// Flink's name, as EXPLAIN prints it.
    pub fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "InnerJoin",
            JoinKind::Left => "LeftOuterJoin",
            JoinKind::Right => "RightOuterJoin",
            JoinKind::Full => "FullOuterJoin",
            JoinKind::Semi => "LeftSemiJoin",
            JoinKind::Anti => "LeftAntiJoin",
        }
    }

    /// Whether left rows without a partner come out with NULLs on the right.
    pub fn pads_left_rows(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full)
    }

    /// Whether right rows without a partner come out with NULLs on the left.
    pub fn pads_right_rows(self) -> bool {
        matches!(self, JoinKind::Right | JoinKind::Full)
    }

    /// Whether only left rows come out.
    pub fn is_semi_or_anti(self) -> bool {
        matches!(self, JoinKind::Semi | JoinKind::Anti)
    }
}

/// What rows must fulfil to be partners. The columns of a pair are those of the left row, then those of the right.
#[derive(Debug, Clone)]
pub struct JoinCondition {
    /// Columns of the left input that must equal those of the right; both have the same types.
    pub left_keys: Vec<usize>,
    /// Columns of the right input, in the same order.
    pub right_keys: Vec<usize>,
    /// For each key whether NULL is no partner of NULL (`=`), or is one (`IS NOT DISTINCT FROM`).
    pub filter_nulls: Vec<bool>,
    /// What else must be true of a pair.
    pub rest: Option<ExprRef>,
    /// Columns of the left input.
    pub left_schema: SchemaRef,
    /// Columns of the right input.
    pub right_schema: SchemaRef,
}

impl JoinCondition {
    /// The columns of a pair; all may be NULL.
    pub fn pair_schema(&self) -> SchemaRef {
        let both = self.left_schema.fields().iter().chain(self.right_schema.fields());
        Schema::new(both.map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<Field>>()).into()
    }
}

/// What is known of the rows of an input of a regular join.
#[derive(Debug, Clone, Default)]
pub struct JoinInput {
    /// Columns of which no two rows have the same values: which row an update is of.
    pub unique_key: Option<Vec<usize>>,
    /// The input only adds rows.
    pub append_only: bool,
    /// A row that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
}

/// A row for each element of a collection. Output: the input's columns, the element's, its number.
#[derive(Debug, Clone)]
pub struct UnnestSpec {
    /// The column with the collection: an ARRAY, MAP or MULTISET.
    pub column: usize,
    /// A row without elements, or without one that the condition is true for, comes out once, with NULLs.
    pub outer: bool,
    /// A last column (INT) numbers the elements of a row from 1.
    pub with_ordinality: bool,
    /// The collection is a MULTISET: the elements are the keys of a map with their counts.
    pub is_multiset: bool,
    /// The elements are rows, whose fields become columns.
    pub is_row: bool,
    /// Which elements are taken (over the output's columns): where rows are padded it cannot stand behind.
    pub condition: Option<ExprRef>,
}

/// A join of two changelogs that keeps both.
#[derive(Debug, Clone)]
pub struct RegularJoinSpec {
    /// Which rows come out.
    pub kind: JoinKind,
    /// Who is a partner.
    pub condition: JoinCondition,
    /// The left input.
    pub left: JoinInput,
    /// The right input.
    pub right: JoinInput,
    /// Rows without a partner are shown when both inputs have ended, so that nothing is ever taken back
    /// (`execution.runtime-mode = batch`). Both inputs only add rows.
    pub final_only: bool,
}

/// A join of rows that are near in time: `right time + left_lower_ms <= left time <= right time + left_upper_ms`.
#[derive(Debug, Clone)]
pub struct IntervalJoinSpec {
    /// Inner, left, right or full.
    pub kind: JoinKind,
    /// Who is a partner, besides the times.
    pub condition: JoinCondition,
    /// Event time or processing time.
    pub attribute: TimeAttribute,
    /// The time column of the left input (of event time).
    pub left_time: usize,
    /// The time column of the right input.
    pub right_time: usize,
    /// The least that a left time may be beyond the right one.
    pub left_lower_ms: i64,
    /// The most that a left time may be beyond the right one.
    pub left_upper_ms: i64,
}

/// A join of rows of the same window.
#[derive(Debug, Clone)]
pub struct WindowJoinSpec {
    /// Which rows come out.
    pub kind: JoinKind,
    /// Who is a partner, besides the window.
    pub condition: JoinCondition,
    /// The column with the window's end, left.
    pub left_window_end: usize,
    /// The column with the window's end, right.
    pub right_window_end: usize,
    /// For windows of TIMESTAMP_LTZ: the session's zone, in which their ends are printed; else `None` (UTC).
    pub time_zone: Option<String>,
}

/// A join of each left row with the version of the right row that was valid at its time.
#[derive(Debug, Clone)]
pub struct TemporalJoinSpec {
    /// Inner or left.
    pub kind: JoinKind,
    /// Who is a partner, besides the times.
    pub condition: JoinCondition,
    /// The time column of the left input.
    pub left_time: usize,
    /// The time column of the right input: since when a version is valid.
    pub right_time: usize,
    /// A key that is not touched for so long is forgotten, with the rows that wait and all versions
    /// (`table.exec.state.ttl`).
    pub state_ttl: Option<Duration>,
}
