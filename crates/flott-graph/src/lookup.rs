//! A lookup join, as data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use flott_connector::lookup::LookupPolicy;
pub use flott_connector::lookup::{Lookup, LookupRows, LookupSource};
pub use flott_connector::source::SubtaskInfo;
use flott_connector::table::ObjectIdentifier;

use crate::join::JoinKind;
use crate::spec::ExprRef;

/// Where a column of a lookup key comes from.
#[derive(Debug, Clone)]
pub enum LookupKey {
    /// A column of the input.
    Column(usize),
    /// The one value of this array.
    Constant(ArrayRef),
}

/// Lookups that are under way at a time (the hint LOOKUP, `table.exec.async-lookup.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncLookup {
    /// Rows leave in the order in which they came.
    pub ordered: bool,
    /// Of the input's rows none is a change of another.
    pub insert_only: bool,
    /// Rows that wait for their lookups at most.
    pub capacity: usize,
    /// A lookup that takes longer fails the attempt.
    pub timeout: Duration,
}

/// How a key without rows is asked for again (`retry-predicate` = `lookup_miss`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupRetry {
    /// The pause before each try.
    pub delay: Duration,
    /// Tries after the first.
    pub attempts_max: u32,
}

/// A join of each row with the rows that a table outside has for it at that moment.
///
/// The output's columns are those of the input, then `projection`.
#[derive(Clone)]
pub struct LookupJoinSpec {
    /// Inner or left.
    pub kind: JoinKind,
    /// The table, for messages.
    pub table: ObjectIdentifier,
    /// Makes lookups.
    pub source: Arc<dyn LookupSource>,
    /// Its cache and its tries.
    pub policy: LookupPolicy,
    /// For each column of the source's key.
    pub keys: Vec<LookupKey>,
    /// Rows of the input for which it is not true are not looked up, over the input's columns.
    pub pre_filter: Option<ExprRef>,
    /// The right columns, over the source's.
    pub projection: Vec<ExprRef>,
    /// Rows of the source for which it is not true are none, over the source's columns.
    pub filter: Option<ExprRef>,
    /// What else must be true of a pair, over the input's columns and then the right ones.
    pub rest: Option<ExprRef>,
    /// The columns of the input.
    pub left_schema: SchemaRef,
    /// The right columns; all may be NULL.
    pub right_schema: SchemaRef,
    /// Several lookups at a time.
    pub asynchronous: Option<AsyncLookup>,
    /// Whether a miss is tried again.
    pub retry: Option<LookupRetry>,
    /// What was found for a row is kept by these columns of the input, so that what takes the row back takes back the same
    /// (`table.optimizer.non-deterministic-update.strategy` = `TRY_RESOLVE`).
    pub materialize: Option<Vec<usize>>,
    /// How long it is kept where nobody touches it.
    pub state_ttl: Option<Duration>,
}

impl fmt::Debug for LookupJoinSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupJoinSpec")
            .field("kind", &self.kind)
            .field("table", &self.table)
            .field("keys", &self.keys)
            .field("asynchronous", &self.asynchronous)
            .field("retry", &self.retry)
            .field("materialize", &self.materialize)
            .finish_non_exhaustive()
    }
}
