//! Aggregates over windows of rows, as data.

use std::time::Duration;

use arrow_schema::SchemaRef;
use flott_core::LogicalType;
use flott_core::types::TimeAttribute;

use crate::meaning::StateMeaning;
use crate::sort::SortKey;
use crate::window::AggregateCall;

/// Functions over the rows around each row of a partition. Output: the input's columns, then those of the functions.
#[derive(Debug, Clone)]
pub struct OverAggregateSpec {
    /// Columns that rows of a partition agree in.
    pub partition_keys: Vec<usize>,
    /// The order within a partition.
    pub order: Vec<SortKey>,
    /// How rows find their places in the order.
    pub arrival: OverArrival,
    /// The functions by their frames. One group, except where all rows are there before the first one leaves.
    pub groups: Vec<OverGroup>,
    /// Emit `-U` before each `+U`.
    pub update_before: bool,
    /// A partition that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
    /// What its state stands for.
    pub meaning: StateMeaning,
}

/// When rows are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverArrival {
    /// The order is this time attribute: rows only come, and one that has left does not change.
    Time(TimeAttribute),
    /// Rows come and go anywhere in the order, and what stands behind them changes.
    Anywhere,
    /// Everything has come when the input ends (`execution.runtime-mode = batch`).
    AtEnd,
}

/// Functions over one frame.
#[derive(Debug, Clone)]
pub struct OverGroup {
    /// The rows that each row sees.
    pub frame: OverFrame,
    /// The functions.
    pub calls: Vec<OverCall>,
}

/// One function, and the column of its results.
#[derive(Debug, Clone)]
pub struct OverCall {
    /// Which function.
    pub function: OverFunction,
    /// Columns of the input that it reads.
    pub arguments: Vec<usize>,
    /// Each value once (aggregates alone).
    pub distinct: bool,
    /// The type of the result.
    pub result: LogicalType,
    /// The output column's name.
    pub name: String,
}

/// A function over a window of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverFunction {
    /// An aggregate over the frame.
    Aggregate(flott_function::AggregateKind),
    /// 1, 2, 3, whatever rows are equal.
    RowNumber,
    /// Equal rows have one number, that of the first.
    Rank,
    /// Equal rows have one number, and none is left out.
    DenseRank,
    /// `(rank - 1) / (rows - 1)`
    PercentRank,
    /// The part of the rows that are not behind the row.
    CumeDist,
    /// The number of the row's bucket among so many of one size.
    Ntile(i64),
    /// The first argument of the row that is so far before (below zero: behind) this one, or the second argument where
    /// there is none.
    Lag(i64),
    /// The same at the distance that the second argument says; the third argument, if any, is what there is where there is
    /// none.
    LagBy {
        /// Behind the row and not before it.
        lead: bool,
    },
}

impl OverFunction {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            OverFunction::Aggregate(kind) => kind.name(),
            OverFunction::RowNumber => "ROW_NUMBER",
            OverFunction::Rank => "RANK",
            OverFunction::DenseRank => "DENSE_RANK",
            OverFunction::PercentRank => "PERCENT_RANK",
            OverFunction::CumeDist => "CUME_DIST",
            OverFunction::Ntile(_) => "NTILE",
            OverFunction::Lag(offset) if offset < 0 => "LEAD",
            OverFunction::LagBy { lead: true } => "LEAD",
            OverFunction::Lag(_) | OverFunction::LagBy { lead: false } => "LAG",
        }
    }
}

/// The rows that a row sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverFrame {
    /// ROWS: bounds count rows. Else RANGE: bounds are distances in the order, and equal rows see the same.
    pub rows: bool,
    /// Where they begin.
    pub lower: OverBound,
    /// Where they end.
    pub upper: OverBound,
}

/// An end of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverBound {
    /// The first row of the partition.
    UnboundedPreceding,
    /// So far before the row.
    Preceding(OverOffset),
    /// The row (of RANGE: and all that are equal to it).
    CurrentRow,
    /// So far behind the row.
    Following(OverOffset),
    /// The last row of the partition.
    UnboundedFollowing,
}

/// A distance, not below zero: rows, milliseconds or a number (`unscaled / 10^scale`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverOffset {
    /// Its digits.
    pub unscaled: i128,
    /// How many of them stand behind the point.
    pub scale: u8,
}

impl OverOffset {
    /// A whole number.
    pub fn whole(value: i64) -> OverOffset {
        OverOffset { unscaled: i128::from(value), scale: 0 }
    }

    /// As a whole number; what stands behind the point is cut.
    pub fn as_whole(self) -> i64 {
        let whole = self.unscaled / 10i128.checked_pow(u32::from(self.scale)).unwrap_or(i128::MAX);
        i64::try_from(whole).unwrap_or(i64::MAX)
    }
}

impl OverFrame {
    /// From the first row of the partition to the row.
    pub fn so_far(rows: bool) -> OverFrame {
        OverFrame { rows, lower: OverBound::UnboundedPreceding, upper: OverBound::CurrentRow }
    }

    /// The whole partition.
    pub const WHOLE: OverFrame =
        OverFrame { rows: false, lower: OverBound::UnboundedPreceding, upper: OverBound::UnboundedFollowing };

    /// Whether every row sees at least itself, as far as Flink's types know: a bound at a distance counts as empty.
    pub fn is_never_empty(&self) -> bool {
        matches!(self.lower, OverBound::UnboundedPreceding | OverBound::CurrentRow)
            && matches!(self.upper, OverBound::UnboundedFollowing | OverBound::CurrentRow)
    }
}

impl OverCall {
    /// As a call of an aggregate.
    pub fn aggregate(&self, kind: flott_function::AggregateKind, argument_type: Option<LogicalType>) -> AggregateCall {
        AggregateCall {
            kind,
            arguments: self.arguments.clone(),
            filter: None,
            distinct: self.distinct,
            result: self.result.clone(),
            argument_type,
            name: self.name.clone(),
        }
    }
}
