//! From the columns of a file to those of the table.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, new_null_array};
use arrow_cast::CastOptions;
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use flott_core::types::{from_arrow_field, map_entries, map_key_field, map_keys};
use flott_core::{Error, Result};

use super::zone::Zone;
use crate::builder::primitive;
use crate::text::time::per_second;

/// Brings a column of a file to the type of the table. `instant` says that its timestamps are instants, so that a
/// TIMESTAMP is read in `zone`.
pub(super) fn adapt(
    array: &ArrayRef,
    wanted: &Field,
    column: &str,
    instant: bool,
    zone: Option<&Zone>,
) -> Result<ArrayRef> {
    let adapted = adapt_type(array, wanted, column, instant, zone)?;
    if !wanted.is_nullable() && adapted.null_count() > 0 && !matches!(adapted.data_type(), DataType::Null) {
        return Err(Error::data(format!("NULL in the file, but the column is declared {} NOT NULL", shown(wanted)))
            .with("column", column)
            .hint("Declare the column without NOT NULL"));
    }
    Ok(adapted)
}

fn adapt_type(array: &ArrayRef, wanted: &Field, column: &str, instant: bool, zone: Option<&Zone>) -> Result<ArrayRef> {
    let (from, to) = (array.data_type(), wanted.data_type());
    match (from, to) {
        (DataType::Timestamp(unit, _), DataType::Timestamp(to_unit, to_zone)) => {
            let zone = zone.filter(|_| instant && to_zone.is_none());
            timestamps(array, *unit, *to_unit, to, zone).map_err(|e| e.with("column", column))
        }
        _ if from == to => Ok(array.clone()),
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = adapt(list.values(), element, column, instant, zone)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(element.clone(), offsets, values, nulls)?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let DataType::Struct(kv) = entries.data_type() else { return Err(mismatch(from, wanted, column)) };
            if kv.len() != 2 {
                return Err(mismatch(from, wanted, column));
            }
            let keys = adapt(map_keys(map), map_key_field(kv), column, instant, zone)?;
            let values = adapt(map.values(), &kv[1], column, instant, zone)?;
            let pairs = map_entries(kv, keys, values)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let rows = array.as_struct();
            let columns = fields
                .iter()
                .map(|f| {
                    let path = format!("{column}.{}", f.name());
                    let Some(child) = rows.column_by_name(f.name()) else {
                        return absent(f, &path, rows.fields()).map(|()| new_null_array(f.data_type(), rows.len()));
                    };
                    // Below a NULL row a NOT NULL field has no value: what stands there is never seen.
                    if !f.is_nullable() && child.null_count() > 0 && rows.null_count() > 0 {
                        let child = arrow_select_fill(child, rows)?;
                        return adapt(&child, f, &path, instant, zone);
                    }
                    adapt(child, f, &path, instant, zone)
                })
                .collect::<Result<Vec<_>>>()?;
            if columns.is_empty() {
                return Ok(Arc::new(StructArray::new_empty_fields(rows.len(), rows.nulls().cloned())));
            }
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?))
        }
        _ if same_family(from, to) => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            arrow_cast::cast_with_options(array, to, &options).map_err(|e| {
                Error::data(format!("A value of type {from} in the file does not fit {}", shown(wanted)))
                    .with("column", column)
                    .caused_by(e)
            })
        }
        _ => Err(mismatch(from, wanted, column)),
    }
}

/// The child of rows, with its NULLs below NULL rows replaced where that is all of them; else unchanged.
fn arrow_select_fill(child: &ArrayRef, rows: &StructArray) -> Result<ArrayRef> {
    let (Some(of_child), Some(of_rows)) = (child.nulls(), rows.nulls()) else { return Ok(child.clone()) };
    let inside = (0..rows.len()).any(|i| of_child.is_null(i) && of_rows.is_valid(i));
    if inside {
        return Ok(child.clone());
    }
    Ok(arrow_array::make_array(child.to_data().into_builder().nulls(None).build()?))
}

/// Conversions that lose nothing or fail.
fn same_family(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Date32, Decimal128, Decimal256, FixedSizeBinary, Float32, Float64, Time32, Time64, Utf8};
    let is_decimal = |t: &DataType| matches!(t, Decimal128(..) | Decimal256(..));
    (from.is_integer() && (to.is_integer() || is_decimal(to)))
        || (matches!(from, DataType::Float16 | Float32) && matches!(to, Float32 | Float64))
        || (is_decimal(from) && is_decimal(to))
        || (matches!(from, Binary | FixedSizeBinary(_) | Utf8) && matches!(to, Binary | Utf8))
        || (matches!(from, Time32(_) | Time64(_)) && matches!(to, Time32(_) | Time64(_)))
        || (matches!(from, DataType::Int32) && matches!(to, Date32))
}

fn timestamps(
    array: &ArrayRef,
    from: TimeUnit,
    to: TimeUnit,
    data_type: &DataType,
    zone: Option<&Zone>,
) -> Result<ArrayRef> {
    let values: &[i64] = match from {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    };
    let converted =
        convert(values, array.nulls(), from, to, |seconds| zone.map_or(0, |z| z.offset_at_instant(seconds)))?;
    primitive(data_type, converted, array.nulls().cloned())
}

/// Timestamps in another unit, moved by as many seconds as `shift` says for each. Digits too many are cut.
pub(super) fn convert(
    values: &[i64],
    nulls: Option<&arrow_buffer::NullBuffer>,
    from: TimeUnit,
    to: TimeUnit,
    shift: impl Fn(i64) -> i64,
) -> Result<Vec<i64>> {
    let (from, to) = (per_second(from), per_second(to));
    let (up, down) = (i128::from((to / from).max(1)), i128::from((from / to).max(1)));
    values
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let moved = i128::from(*value) + i128::from(shift(value.div_euclid(from))) * i128::from(from);
            match i64::try_from((moved * up).div_euclid(down)) {
                Ok(value) => Ok(value),
                Err(_) if nulls.is_some_and(|n| n.is_null(i)) => Ok(0),
                Err(_) => {
                    let ms = i64::try_from(moved * 1_000 / i128::from(from)).unwrap_or(i64::MAX);
                    Err(Error::data(format!(
                        "{} is outside the years 1677 to 2262 that nanoseconds can hold",
                        flott_core::time_text::format_timestamp_ms(ms)
                    ))
                    .hint("Declare the column with a precision of 6 or less"))
                }
            }
        })
        .collect()
}

/// The Flink name of a field's type.
fn shown(field: &Field) -> String {
    from_arrow_field(field).map_or_else(|| field.data_type().to_string(), |t| t.summary_without_nullability())
}

fn mismatch(from: &DataType, wanted: &Field, column: &str) -> Error {
    Error::user(format!("The file holds {from}, but the column is declared {}", shown(wanted)))
        .with("column", column)
        .hint("Change the type in the table's declaration, and CAST in the query")
}

/// A column that the file lacks is NULL, as in Flink; an error where it must not be.
pub(super) fn absent(wanted: &Field, column: &str, there: &Fields) -> Result<()> {
    if wanted.is_nullable() {
        return Ok(());
    }
    Err(missing(column, &there.iter().map(|f| f.name().as_str()).collect::<Vec<_>>()))
}

fn missing(column: &str, there: &[&str]) -> Error {
    const SHOWN_MAX: usize = 20;
    let more = if there.len() > SHOWN_MAX { ", …" } else { "" };
    let there = &there[..there.len().min(SHOWN_MAX)];
    let hint = match flott_core::suggest::nearest(column, there.iter().copied()) {
        Some(near) => format!("Did you mean '{near}'? "),
        None => String::new(),
    };
    Error::user(format!("The file has no column '{column}', which is declared NOT NULL"))
        .with("column", column)
        .hint(format!("{hint}The file has: {}{more}", there.join(", ")))
}
