//! Windows and aggregates over them, as data.

use std::time::Duration;

use arrow_schema::{DataType, Field, Fields, Schema};
use flott_core::LogicalType;
use flott_core::types::TimeAttribute;
use flott_function::AggregateKind;

use crate::meaning::StateMeaning;

/// A window table function (Flink's TUMBLE, HOP, CUMULATE, SESSION). All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowKind {
    /// `[n * size + offset, (n + 1) * size + offset)`
    Tumble {
        /// Length.
        size_ms: i64,
        /// Shift of the start.
        offset_ms: i64,
    },
    /// A window of `size` every `slide`.
    Hop {
        /// Length; a multiple of the slide.
        size_ms: i64,
        /// Distance of the starts.
        slide_ms: i64,
        /// Shift of the start.
        offset_ms: i64,
    },
    /// Windows of one start that grow by `step` up to `max_size`.
    Cumulate {
        /// Length of the longest; a multiple of the step.
        max_size_ms: i64,
        /// Growth.
        step_ms: i64,
        /// Shift of the start.
        offset_ms: i64,
    },
    /// Ends after `gap` without a row of its key.
    Session {
        /// The gap.
        gap_ms: i64,
        /// Columns that rows of one session agree in.
        partition_keys: Vec<usize>,
    },
}

/// How rows find their windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowAssignment {
    /// By a time attribute.
    TimeColumn {
        /// Its column.
        column: usize,
        /// Event time or processing time.
        attribute: TimeAttribute,
        /// For TIMESTAMP_LTZ: the session's zone, in which windows are aligned and printed; else `None` (UTC).
        time_zone: Option<String>,
        /// Which windows.
        kind: WindowKind,
    },
    /// The row already carries its window (a window aggregate over the result of a window TVF).
    Attached {
        /// Column with the start, where there is one.
        start: Option<usize>,
        /// Column with the end.
        end: usize,
        /// Event time or processing time of the underlying window.
        attribute: TimeAttribute,
        /// As for `TimeColumn`.
        time_zone: Option<String>,
        /// The underlying window, for EXPLAIN and for the start where there is no column.
        kind: WindowKind,
    },
}

/// A column that a window adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowProperty {
    /// `window_start`, TIMESTAMP(3) NOT NULL.
    Start,
    /// `window_end`, TIMESTAMP(3) NOT NULL.
    End,
    /// `window_time` = end - 1 ms, a time attribute.
    Time,
}

/// A window TVF whose rows go on with their windows' columns appended: start, end, time.
#[derive(Debug, Clone)]
pub struct WindowTableFunctionSpec {
    /// Which windows.
    pub assignment: WindowAssignment,
}

/// One aggregate.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// Which function.
    pub kind: AggregateKind,
    /// Its arguments' columns (none for COUNT(*)).
    pub arguments: Vec<usize>,
    /// A BOOLEAN column: only rows where it is true count (`FILTER (WHERE ..)`).
    pub filter: Option<usize>,
    /// Each value once.
    pub distinct: bool,
    /// The type of the result.
    pub result: LogicalType,
    /// The type of the argument (the first), where there is one.
    pub argument_type: Option<LogicalType>,
    /// The output column's name.
    pub name: String,
}

impl AggregateCall {
    /// The field of what it aggregates; several arguments are one ROW. `None` for COUNT(*), and where a column is not there.
    pub fn argument(&self, input: &Schema) -> Option<Field> {
        let fields = self.arguments.iter().map(|i| input.fields().get(*i)).collect::<Option<Vec<_>>>()?;
        match fields.as_slice() {
            [] => None,
            [one] => Some(one.as_ref().clone()),
            [first, ..] => {
                let types = fields.iter().map(|f| f.data_type().clone());
                Some(Field::new(ARGUMENTS, DataType::Struct(fields_of_arguments(types)), first.is_nullable()))
            }
        }
    }
}

/// The name of the ROW of several arguments, and of each in it.
const ARGUMENTS: &str = "argument";

/// The fields of the ROW that several arguments of an aggregate are.
pub fn fields_of_arguments(types: impl Iterator<Item = DataType>) -> Fields {
    types.map(|t| Field::new(ARGUMENTS, t, true)).collect()
}

/// When a window shows results besides its end (`table.exec.emit.*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmitStrategy {
    /// Before the end, at this interval of processing time (zero: at every change).
    pub early_fire: Option<Duration>,
    /// After the end and within `allow_lateness`, at this interval (zero: at every late row).
    pub late_fire: Option<Duration>,
    /// State is kept so long after the end.
    pub allow_lateness: Duration,
}

/// A grouped aggregation over windows. Output: the group keys, the aggregates, the window properties.
#[derive(Debug, Clone)]
pub struct WindowAggregateSpec {
    /// The window stands in GROUP BY (a group window function): how plans name the operator.
    pub in_group_by: bool,
    /// Which windows.
    pub assignment: WindowAssignment,
    /// Columns of the input that rows of a group agree in (without the window).
    pub group_keys: Vec<usize>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// The window columns at the end of the output.
    pub properties: Vec<WindowProperty>,
    /// Early and late results.
    pub emit: EmitStrategy,
    /// Late rows leave by port 1 instead of being dropped (they are counted in both cases). One-phase only.
    pub late_output: bool,
    /// Changes inside a batch may be merged before they are emitted.
    pub merge_changes: bool,
    /// Rows may be taken away.
    pub retracts: bool,
    /// What its state stands for.
    pub meaning: StateMeaning,
    /// The schema of the rows before the local aggregate (what `group_keys` and arguments refer to).
    pub input_schema: arrow_schema::SchemaRef,
}
