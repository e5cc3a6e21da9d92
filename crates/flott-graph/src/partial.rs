//! The rows between a local and a global aggregate: the one place that planner and operators agree on.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::types::arrow_type;
use flott_function::AggregateKind;

use crate::group::{GroupAggregateSpec, SplitLevel};
use crate::window::{AggregateCall, WindowAggregateSpec, WindowAssignment, WindowKind};

/// The column with the end of the slice.
pub const SLICE_END_COLUMN: &str = "$slice_end";
/// The column with the start of an attached window or a session.
pub const SLICE_START_COLUMN: &str = "$slice_start";

/// The schema of partial rows: the group keys (so `0..group_keys.len()` is what to exchange by), the end of the slice,
/// its start where that is told apart, the state of each aggregate, and a count of rows where no aggregate is one.
pub fn partial_schema(spec: &WindowAggregateSpec) -> SchemaRef {
    let input = &spec.input_schema;
    let mut fields: Vec<Field> =
        spec.group_keys.iter().filter_map(|k| input.fields().get(*k)).map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new(SLICE_END_COLUMN, DataType::Int64, false));
    let has_start = match &spec.assignment {
        WindowAssignment::Attached { start, .. } => start.is_some(),
        WindowAssignment::TimeColumn { kind, .. } => matches!(kind, WindowKind::Session { .. }),
    };
    if has_start {
        fields.push(Field::new(SLICE_START_COLUMN, DataType::Int64, false));
    }
    let mut counts_rows = false;
    for (number, call) in spec.aggregates.iter().enumerate() {
        let argument = call.argument(input);
        let argument = argument.as_ref();
        counts_rows |= call.counts_rows(argument);
        fields.extend(state_fields(number, call, argument, spec.keeps_values(call)));
    }
    if !counts_rows {
        fields.push(Field::new(format!("${}_rows_0", spec.aggregates.len()), DataType::Int64, true));
    }
    Arc::new(Schema::new(fields))
}

/// The schema of the rows between a local and a global aggregate without windows: the group keys (so `0..group_keys.len()` is
/// what to exchange by), the state of each aggregate, and a count of rows where rows may be taken away and no aggregate is one.
pub fn group_partial_schema(spec: &GroupAggregateSpec) -> SchemaRef {
    let input = &spec.input_schema;
    let mut fields: Vec<Field> =
        spec.group_keys.iter().filter_map(|k| input.fields().get(*k)).map(|f| f.as_ref().clone()).collect();
    let mut counts_rows = false;
    for (number, call) in spec.aggregates.iter().enumerate() {
        let argument = call.argument(input);
        let argument = argument.as_ref();
        counts_rows |= spec.counts_rows(call, argument);
        fields.extend(state_fields(number, call, argument, spec.retracts && !spec.only_grows(call)));
    }
    if spec.retracts && !counts_rows {
        fields.push(Field::new(format!("${}_rows_0", spec.aggregates.len()), DataType::Int64, true));
    }
    Arc::new(Schema::new(fields))
}

impl WindowAggregateSpec {
    /// Whether an aggregate keeps all values of a window, so that one of them can be taken away.
    pub fn keeps_values(&self, call: &AggregateCall) -> bool {
        self.retracts && !call.kind.takes_back()
    }

    /// Whether a window is kept in one piece: where rows may be taken away, the states of some aggregates do not add up.
    pub fn is_whole(&self) -> bool {
        self.retracts && self.aggregates.iter().any(|call| call.kind.takes_from_the_whole())
    }
}

impl GroupAggregateSpec {
    /// Whether what is taken away changes nothing of this aggregate: MIN and MAX over buckets that only get better.
    pub fn only_grows(&self, call: &AggregateCall) -> bool {
        self.level == SplitLevel::Final { retracts: false }
            && matches!(call.kind, AggregateKind::Min | AggregateKind::Max)
    }

    /// Whether an aggregate is a count of the rows of a group.
    pub fn counts_rows(&self, call: &AggregateCall, argument: Option<&Field>) -> bool {
        self.level != SplitLevel::Incremental && call.counts_rows(argument)
    }

    /// Whether a local aggregate can run before the exchange: as in Flink, whose FIRST_VALUE, LAST_VALUE and JSON_ARRAYAGG do
    /// not merge.
    pub fn can_merge(&self) -> bool {
        use AggregateKind as A;
        self.aggregates.iter().all(|call| match call.kind {
            A::FirstValue | A::LastValue | A::JsonArrayAgg | A::JsonArrayAggNullOnNull => false,
            // Made of others.
            A::StddevPop | A::StddevSamp | A::VarPop | A::VarSamp | A::ApproxCountDistinct => false,
            _ => true,
        })
    }
}

impl AggregateCall {
    /// Whether it is a count of the rows of a group.
    pub fn counts_rows(&self, argument: Option<&Field>) -> bool {
        self.kind == AggregateKind::Count
            && !self.distinct
            && self.filter.is_none()
            && argument.is_none_or(|f| !f.is_nullable())
    }
}

/// The columns of one aggregate's state. `retracts`: rows may be taken away, also of those that came before this state.
fn state_fields(number: usize, call: &AggregateCall, argument: Option<&Field>, retracts: bool) -> Vec<Field> {
    let list = |t: DataType| DataType::List(Arc::new(Field::new("item", t, true)));
    let argument_type = argument.map_or(DataType::Null, |f| f.data_type().clone());
    let extreme = matches!(call.kind, AggregateKind::Min | AggregateKind::Max);
    let always_filled = argument.is_some_and(|f| !f.is_nullable()) && call.filter.is_none();
    let types = if call.distinct && !extreme {
        // Each value and how often it came.
        vec![list(argument_type), list(DataType::Int64)]
    } else {
        match call.kind {
            AggregateKind::Count => vec![DataType::Int64],
            AggregateKind::Sum if always_filled => vec![sum_type(&argument_type, false)],
            AggregateKind::Sum => vec![sum_type(&argument_type, false), DataType::Int64],
            AggregateKind::Sum0 => vec![sum_type(&argument_type, false)],
            AggregateKind::Avg => vec![sum_type(&argument_type, true), DataType::Int64],
            AggregateKind::Min | AggregateKind::Max if retracts => vec![list(argument_type), list(DataType::Int64)],
            AggregateKind::Min | AggregateKind::Max => vec![arrow_type(&call.result)],
            // What was taken away that is not among them, too.
            AggregateKind::SingleValue
            | AggregateKind::ListAgg
            | AggregateKind::ArrayAgg
            | AggregateKind::ArrayAggIgnoreNulls
                if retracts =>
            {
                vec![list(argument_type.clone()), list(argument_type)]
            }
            AggregateKind::JsonObjectAgg | AggregateKind::JsonObjectAggAbsentOnNull if retracts => {
                vec![list(DataType::Utf8); 4]
            }
            AggregateKind::WelfordM2 if retracts => {
                let moments = [DataType::Int64, DataType::Float64, DataType::Float64];
                [moments.clone(), moments].concat()
            }
            AggregateKind::FirstValue
            | AggregateKind::LastValue
            | AggregateKind::SingleValue
            | AggregateKind::ListAgg
            | AggregateKind::ArrayAgg
            | AggregateKind::ArrayAggIgnoreNulls
            | AggregateKind::JsonArrayAgg
            | AggregateKind::JsonArrayAggNullOnNull => vec![list(argument_type)],
            AggregateKind::Collect => vec![list(argument_type), list(DataType::Int64)],
            AggregateKind::JsonObjectAgg | AggregateKind::JsonObjectAggAbsentOnNull => {
                vec![list(DataType::Utf8), list(DataType::Utf8)]
            }
            AggregateKind::Percentile => {
                vec![list(DataType::Float64), list(DataType::Float64), list(DataType::Int64)]
            }
            AggregateKind::WelfordM2 => vec![DataType::Int64, DataType::Float64, DataType::Float64],
            AggregateKind::BitmapBuildAgg | AggregateKind::BitmapBuildCardinalityAgg => {
                vec![list(DataType::Int32), list(DataType::Int64)]
            }
            AggregateKind::BitmapAndAgg
            | AggregateKind::BitmapAndCardinalityAgg
            | AggregateKind::BitmapOrAgg
            | AggregateKind::BitmapOrCardinalityAgg => {
                vec![DataType::Int64, list(DataType::Int32), list(DataType::Int64)]
            }
            AggregateKind::BitmapXorAgg | AggregateKind::BitmapXorCardinalityAgg => {
                vec![DataType::Int64, DataType::Binary]
            }
            // Made of others.
            AggregateKind::StddevPop
            | AggregateKind::StddevSamp
            | AggregateKind::VarPop
            | AggregateKind::VarSamp
            | AggregateKind::ApproxCountDistinct => vec![],
        }
    };
    let name = |i: usize| format!("${number}_{}_{i}", call.name);
    types.into_iter().enumerate().map(|(i, t)| Field::new(name(i), t, true)).collect()
}

/// What a sum is kept in.
fn sum_type(argument: &DataType, for_average: bool) -> DataType {
    match argument {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::Float32 if for_average => DataType::Float64,
        DataType::Decimal128(_, s) => DataType::Decimal128(38, *s),
        other => other.clone(),
    }
}
