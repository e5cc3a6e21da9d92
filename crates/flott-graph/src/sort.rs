//! Orders, and operators that put rows in one, as data.

use arrow_schema::SchemaRef;
use flott_core::types::TimeAttribute;

/// A column that rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: usize,
    /// Least first.
    pub ascending: bool,
    /// NULL behind all values.
    pub nulls_last: bool,
}

/// `ORDER BY` of a bounded input: rows leave in order when it has ended.
#[derive(Debug, Clone)]
pub struct SortSpec {
    /// The order; rows that are equal in it keep theirs.
    pub order: Vec<SortKey>,
    /// So many rows at the front are left out.
    pub offset: u64,
    /// At most so many leave; `None` is all.
    pub fetch: Option<u64>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}

/// `ORDER BY` a time attribute: rows leave as time passes.
#[derive(Debug, Clone)]
pub struct TemporalSortSpec {
    /// Event time or processing time.
    pub attribute: TimeAttribute,
    /// The column of the time attribute.
    pub time_column: usize,
    /// The order behind the time.
    pub then: Vec<SortKey>,
    /// The schema of the input.
    pub input_schema: SchemaRef,
}
