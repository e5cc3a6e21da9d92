//! MATCH_RECOGNIZE, as data.

use arrow_schema::SchemaRef;
use flott_core::types::TimeAttribute;

use crate::meaning::StateMeaning;
use crate::sort::SortKey;
use crate::spec::ExprRef;
use crate::window::AggregateCall;

/// Patterns of rows that follow each other. Output: the partition keys, then the measures; a row for each match.
#[derive(Debug, Clone)]
pub struct MatchSpec {
    /// Columns that rows of a partition agree in.
    pub partition_keys: Vec<usize>,
    /// Event time or processing time.
    pub attribute: TimeAttribute,
    /// The column of the time attribute.
    pub time_column: usize,
    /// The order of rows of one time.
    pub then: Vec<SortKey>,
    /// The pattern: these variables one behind the other.
    pub variables: Vec<PatternVariable>,
    /// A match takes less than so long.
    pub within_ms: Option<i64>,
    /// Where the next match may start.
    pub after_match: AfterMatch,
    /// The values that the measures read of a match.
    pub references: Vec<MatchReference>,
    /// The columns of the output behind the partition keys, over the columns that `references` make.
    pub measures: Vec<ExprRef>,
    /// The schema of those columns.
    pub reference_schema: SchemaRef,
    /// The schema of the input.
    pub input_schema: SchemaRef,
    /// What its state stands for.
    pub meaning: StateMeaning,
}

/// A variable of a pattern, which stands for rows that follow each other without a gap.
#[derive(Debug, Clone)]
pub struct PatternVariable {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub quantifier: PatternQuantifier,
    /// Which rows; `None` is any.
    pub condition: Option<PatternCondition>,
}

/// How many rows a variable stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternQuantifier {
    /// At least.
    pub at_least: u32,
    /// At most; `None` is any number.
    pub at_most: Option<u32>,
    /// It takes a row before the variable behind it does.
    pub greedy: bool,
}

impl PatternQuantifier {
    /// One row.
    pub const ONE: PatternQuantifier = PatternQuantifier { at_least: 1, at_most: Some(1), greedy: true };
}

/// What must be true of a row.
#[derive(Debug, Clone)]
pub struct PatternCondition {
    /// The values that it reads of the rows before, and of this one as the last row of its variable.
    pub references: Vec<MatchReference>,
    /// The condition, over the columns of the input and behind them those that `references` make.
    pub expression: ExprRef,
    /// The schema of all these columns.
    pub schema: SchemaRef,
}

/// A value of the rows that are matched.
#[derive(Debug, Clone)]
pub enum MatchReference {
    /// A column of one row: NULL where there are not so many rows.
    Row {
        /// Which rows are counted: those of one variable (by its place in the pattern), or all.
        variable: Option<usize>,
        /// From the first on, or from the last.
        first: bool,
        /// So many further.
        offset: usize,
        /// The column of the input.
        column: usize,
    },
    /// An aggregate over rows.
    Aggregate {
        /// Over which: as for `Row`.
        variable: Option<usize>,
        /// Which; its arguments are places in `arguments`.
        call: AggregateCall,
        /// Over the columns of the input.
        arguments: Vec<ExprRef>,
        /// The schema of the arguments.
        schema: SchemaRef,
    },
    /// The event time at which the match was found: `MATCH_ROWTIME()`.
    Rowtime,
}

/// Where the next match may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterMatch {
    /// Behind the match.
    PastLastRow,
    /// At the second row of the match.
    ToNextRow,
    /// At the first row of a variable, given by its place in the pattern.
    ToFirst(usize),
    /// At its last row.
    ToLast(usize),
}
