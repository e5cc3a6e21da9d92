//! Sources, sinks and operators in memory, and a coordinator that only collects what it is told.

mod coordinator;
mod graph;
mod operators;
mod sinks;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use flott_core::ChangeBatch;

pub(crate) use coordinator::*;
pub(crate) use graph::*;
pub(crate) use operators::*;
pub(crate) use sinks::*;
pub(crate) use sources::*;

/// Nothing here takes longer, unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// `k BIGINT, v BIGINT, ts TIMESTAMP(3)`
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]))
}

pub(crate) fn batch(rows: impl IntoIterator<Item = (i64, i64, i64)>) -> ChangeBatch {
    let rows: Vec<_> = rows.into_iter().collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(TimestampMillisecondArray::from(rows.iter().map(|r| r.2).collect::<Vec<_>>())),
    ];
    ChangeBatch::append(RecordBatch::try_new(schema(), columns).expect("columns fit"))
}

pub(crate) fn rows_of(batch: &ChangeBatch) -> Vec<(i64, i64, i64)> {
    let k = batch.rows.column(0).as_primitive::<Int64Type>();
    let v = batch.rows.column(1).as_primitive::<Int64Type>();
    let ts = batch.rows.column(2).as_primitive::<TimestampMillisecondType>();
    (0..batch.num_rows()).map(|i| (k.value(i), v.value(i), ts.value(i))).collect()
}
