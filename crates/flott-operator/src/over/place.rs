//! Functions of a row's place in its partition, where the whole partition is there.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::UInt32Builder;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch};
use arrow_schema::DataType;
use arrow_select::take::take;
use arrow_select::zip::zip;
use flott_core::types::arrow_type;
use flott_core::{Error, Result};
use flott_graph::{OverCall, OverFunction};

use super::frame::Peers;

/// The results of a function for rows in order.
pub(super) fn results(
    call: &OverCall,
    rows: &RecordBatch,
    partitions: &[Range<usize>],
    peers: &Peers,
) -> Result<ArrayRef> {
    let n = rows.num_rows();
    let whole = |of: &dyn Fn(&Range<usize>, usize) -> usize| whole(n, partitions, &arrow_type(&call.result), of);
    Ok(match call.function {
        OverFunction::RowNumber => whole(&|p, row| row - p.start + 1),
        OverFunction::Rank => whole(&|p, row| peers.starts[row] - p.start + 1),
        OverFunction::DenseRank => {
            let mut ranks = Vec::with_capacity(n);
            for partition in partitions {
                let mut rank = 0i64;
                for row in partition.clone() {
                    rank += i64::from(peers.starts[row] == row);
                    ranks.push(rank);
                }
            }
            Arc::new(Int64Array::from(ranks))
        }
        OverFunction::PercentRank => real(n, partitions, |p, row| match p.len() {
            1 => 0.0,
            many => (peers.starts[row] - p.start) as f64 / (many - 1) as f64,
        }),
        OverFunction::CumeDist => real(n, partitions, |p, row| (peers.ends[row] - p.start) as f64 / p.len() as f64),
        OverFunction::Ntile(buckets) => {
            let buckets = usize::try_from(buckets).ok().filter(|b| *b > 0);
            let buckets = buckets.ok_or_else(|| Error::user("NTILE needs a number of buckets that is above zero"))?;
            let bucket = |p: &Range<usize>, row: usize| {
                let (size, larger) = (p.len() / buckets, p.len() % buckets);
                // The first ones have one row more.
                let (at, in_larger) = (row - p.start, larger * (size + 1));
                1 + if at < in_larger { at / (size + 1) } else { larger + (at - in_larger) / size.max(1) }
            };
            whole(&bucket)
        }
        OverFunction::Lag(offset) => lag(call, &|_| offset, &call.arguments, rows, partitions)?,
        OverFunction::LagBy { lead } => {
            let [value, offset, default @ ..] = call.arguments.as_slice() else {
                return Err(Error::internal(format!("{} without a distance", call.name)));
            };
            let offsets = rows.column(*offset);
            let offsets = offsets
                .as_any()
                .downcast_ref::<Int64Array>()
                .ok_or_else(|| Error::internal(format!("a distance of the type {}", offsets.data_type())))?;
            let of = |row: usize| {
                let offset = if offsets.is_valid(row) { offsets.value(row) } else { 0 };
                if lead { offset.saturating_neg() } else { offset }
            };
            let arguments: Vec<usize> = std::iter::once(value).chain(default).copied().collect();
            lag(call, &of, &arguments, rows, partitions)?
        }
        OverFunction::Aggregate(_) => return Err(Error::internal("an aggregate is no function of a place")),
    })
}

fn whole(
    n: usize,
    partitions: &[Range<usize>],
    result: &DataType,
    of: &dyn Fn(&Range<usize>, usize) -> usize,
) -> ArrayRef {
    let mut values = Vec::with_capacity(n);
    for partition in partitions {
        values.extend(partition.clone().map(|row| of(partition, row) as i64));
    }
    match result {
        DataType::Int32 => Arc::new(Int32Array::from_iter_values(values.into_iter().map(|v| v as i32))),
        _ => Arc::new(Int64Array::from(values)),
    }
}

fn real(n: usize, partitions: &[Range<usize>], of: impl Fn(&Range<usize>, usize) -> f64) -> ArrayRef {
    let mut values = Vec::with_capacity(n);
    for partition in partitions {
        values.extend(partition.clone().map(|row| of(partition, row)));
    }
    Arc::new(Float64Array::from(values))
}

/// The values of rows at distances, which each row says itself.
fn lag(
    call: &OverCall,
    offset: &dyn Fn(usize) -> i64,
    arguments: &[usize],
    rows: &RecordBatch,
    partitions: &[Range<usize>],
) -> Result<ArrayRef> {
    let [value, default @ ..] = arguments else {
        return Err(Error::internal(format!("{} without an argument", call.name)));
    };
    let mut from = UInt32Builder::with_capacity(rows.num_rows());
    for partition in partitions {
        for row in partition.clone() {
            let other =
                i64::try_from(row).ok().and_then(|r| r.checked_sub(offset(row))).and_then(|r| usize::try_from(r).ok());
            from.append_option(other.filter(|r| partition.contains(r)).map(|r| r as u32));
        }
    }
    let from = from.finish();
    let taken = take(rows.column(*value), &from, None)?;
    let Some(default) = default.first() else { return Ok(taken) };
    let there: BooleanArray = (0..from.len()).map(|row| Some(from.is_valid(row))).collect();
    Ok(zip(&there, &taken, rows.column(*default))?)
}
