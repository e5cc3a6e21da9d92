//! Aggregates over windows of rows, as data.

use std::time::Duration;

use arrow_schema::SchemaRef;

use crate::sort::SortKey;
use crate::window::AggregateCall;

/// Aggregates over the rows of a partition up to each row, in an order that is none of time. Rows come and go, and what
/// stands behind them changes. Output: the input's columns, then the aggregates.
#[derive(Debug, Clone)]
pub struct OverAggregateSpec {
    /// Columns that rows of a partition agree in.
    pub partition_keys: Vec<usize>,
    /// The order within a partition.
    pub order: Vec<SortKey>,
    /// ROWS: each row has its own result. Else RANGE: rows that are equal in the order have one.
    pub rows: bool,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// Emit `-U` before each `+U`.
    pub update_before: bool,
    /// A partition that is not touched for so long is forgotten.
    pub state_ttl: Option<Duration>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}
