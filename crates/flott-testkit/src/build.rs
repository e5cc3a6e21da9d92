//! Change batches from text rows and from values.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::*;
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, ListArray, MapArray, NullArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use flott_core::types::{
    TYPE_METADATA_KEY, TypeKind, arrow_field, from_arrow_field, map_entries, map_entries_key, map_key_field,
};
use flott_core::{ChangeBatch, Error, LogicalType, Result, RowKinds};

use crate::row_parser::{Value, parse_row};

/// A batch from columns as DDL writes them (`"a INT, ts TIMESTAMP(3) NOT NULL"`) and rows as Flink prints them
/// (`"+I[1, 2020-01-01T00:00]"`). Panics where a text is wrong: it is a test's own.
#[track_caller]
pub fn batch(columns: &str, rows: &[impl AsRef<str>]) -> ChangeBatch {
    match try_batch(columns, rows) {
        Ok(batch) => batch,
        Err(e) => panic!("{e}"),
    }
}

/// Like [`batch`], for a schema that is there.
#[track_caller]
pub fn batch_of(schema: &SchemaRef, rows: &[impl AsRef<str>]) -> ChangeBatch {
    match try_batch_of(schema, rows) {
        Ok(batch) => batch,
        Err(e) => panic!("{e}"),
    }
}

/// A schema from columns as DDL writes them. Panics where the text is wrong.
#[track_caller]
pub fn schema(columns: &str) -> SchemaRef {
    match try_schema(columns) {
        Ok(schema) => schema,
        Err(e) => panic!("{e}"),
    }
}

/// [`batch`] with an error instead of a panic.
pub fn try_batch(columns: &str, rows: &[impl AsRef<str>]) -> Result<ChangeBatch> {
    try_batch_of(&try_schema(columns)?, rows)
}

/// [`schema`] with an error instead of a panic. `VARCHAR` without a length is `STRING`, as in DDL.
pub fn try_schema(columns: &str) -> Result<SchemaRef> {
    if columns.trim().is_empty() {
        return Ok(Arc::new(Schema::empty()));
    }
    let row: LogicalType = format!("ROW<{}>", with_lengths(columns)).parse()?;
    match row.kind {
        TypeKind::Row(fields) | TypeKind::Structured(_, fields) => {
            Ok(Arc::new(Schema::new(fields.iter().map(|f| arrow_field(&f.name, &f.data_type)).collect::<Vec<_>>())))
        }
        _ => Err(Error::user(format!("'{columns}' is not a list of columns"))),
    }
}

/// `VARCHAR` and `VARBINARY` without a length are the longest in DDL, but of length 1 in a type's own text form.
fn with_lengths(columns: &str) -> String {
    let mut out = String::new();
    let mut rest = columns;
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (head, tail) =
            if word == 0 { rest.split_at(rest.chars().next().map_or(1, char::len_utf8)) } else { rest.split_at(word) };
        out.push_str(match head.to_ascii_uppercase().as_str() {
            "VARCHAR" if !tail.trim_start().starts_with('(') => "STRING",
            "VARBINARY" if !tail.trim_start().starts_with('(') => "BYTES",
            _ => head,
        });
        rest = tail;
    }
    out
}

/// [`batch_of`] with an error instead of a panic.
pub fn try_batch_of(schema: &SchemaRef, rows: &[impl AsRef<str>]) -> Result<ChangeBatch> {
    let types = types_of(schema)?;
    let refs: Vec<&LogicalType> = types.iter().collect();
    let mut kinds = Vec::with_capacity(rows.len());
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let (kind, row) = parse_row(&refs, row.as_ref())?;
        kinds.push(kind);
        values.push(row);
    }
    ChangeBatch::new(record_batch(schema, &values)?, kinds.into_iter().collect::<RowKinds>())
}

/// The Flink types of a schema's columns.
pub(crate) fn types_of(schema: &SchemaRef) -> Result<Vec<LogicalType>> {
    let unknown = |f: &Field| Error::user(format!("column '{}' has no Flink type", f.name())).with("column", f.name());
    schema.fields().iter().map(|f| from_arrow_field(f).ok_or_else(|| unknown(f))).collect()
}

/// Rows of values as columns of a schema.
pub fn record_batch(schema: &SchemaRef, rows: &[Vec<Value>]) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (i, field) in schema.fields().iter().enumerate() {
        let values: Vec<&Value> = rows.iter().map(|r| r.get(i).unwrap_or(&Value::Null)).collect();
        columns.push(column(field, &values).map_err(|e| e.with("column", field.name()))?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The same columns, all nullable at every depth (the declared type stays in the metadata). Flink lets a source's rows
/// break a `NOT NULL` and checks at the sink; rows of tests do so on purpose.
pub fn relaxed_schema(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|f| relaxed(f)).collect::<Vec<_>>()))
}

fn relaxed(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::List(e) => DataType::List(Arc::new(relaxed(e))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| Arc::new(relaxed(f))).collect()),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(kv) if kv.len() == 2 => {
                let entry = match field.metadata().get(TYPE_METADATA_KEY).is_some_and(|t| t.starts_with("MULTISET")) {
                    true => vec![relaxed(&kv[0]).with_nullable(false), relaxed(&kv[1])],
                    false => vec![map_entries_key(relaxed(map_key_field(kv))), relaxed(&kv[1])],
                };
                let entry = DataType::Struct(Fields::from(entry));
                DataType::Map(Arc::new(Field::new(entries.name(), entry, false)), *sorted)
            }
            _ => field.data_type().clone(),
        },
        other => other.clone(),
    };
    Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone())
}

fn column(field: &Field, values: &[&Value]) -> Result<ArrayRef> {
    if !field.is_nullable() && values.contains(&&Value::Null) {
        return Err(Error::data("NULL in a NOT NULL column").hint("Declare the column nullable or change the row"));
    }
    array(field.data_type(), values)
}

fn mismatch(value: &Value, t: &DataType) -> Error {
    Error::internal(format!("{value:?} for a column of {t}"))
}

fn array(t: &DataType, values: &[&Value]) -> Result<ArrayRef> {
    let nulls = || NullBuffer::from_iter(values.iter().map(|v| **v != Value::Null));
    Ok(match t {
        DataType::Null => Arc::new(NullArray::new(values.len())),
        DataType::Boolean => {
            let cells = values.iter().map(|v| match v {
                Value::Null => Ok(None),
                Value::Boolean(b) => Ok(Some(*b)),
                other => Err(mismatch(other, t)),
            });
            Arc::new(cells.collect::<Result<BooleanArray>>()?)
        }
        DataType::Int8 => integers::<Int8Type>(t, values)?,
        DataType::Int16 => integers::<Int16Type>(t, values)?,
        DataType::Int32 => integers::<Int32Type>(t, values)?,
        DataType::Int64 => integers::<Int64Type>(t, values)?,
        DataType::Date32 => integers::<Date32Type>(t, values)?,
        DataType::Time32(TimeUnit::Millisecond) => integers::<Time32MillisecondType>(t, values)?,
        DataType::Time64(TimeUnit::Microsecond) => integers::<Time64MicrosecondType>(t, values)?,
        DataType::Time64(TimeUnit::Nanosecond) => integers::<Time64NanosecondType>(t, values)?,
        DataType::Timestamp(TimeUnit::Millisecond, _) => integers::<TimestampMillisecondType>(t, values)?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => integers::<TimestampMicrosecondType>(t, values)?,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => integers::<TimestampNanosecondType>(t, values)?,
        DataType::Interval(arrow_schema::IntervalUnit::YearMonth) => integers::<IntervalYearMonthType>(t, values)?,
        DataType::Duration(TimeUnit::Millisecond) => integers::<DurationMillisecondType>(t, values)?,
        DataType::Float32 => floats::<Float32Type>(t, values, |f| f as f32)?,
        DataType::Float64 => floats::<Float64Type>(t, values, |f| f)?,
        DataType::Decimal128(precision, scale) => {
            let cells = values.iter().map(|v| match v {
                Value::Null => Ok(None),
                Value::Decimal(d) => Ok(Some(*d)),
                other => Err(mismatch(other, t)),
            });
            let cells = cells.collect::<Result<Decimal128Array>>()?;
            Arc::new(cells.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Utf8 => {
            let mut builder = StringBuilder::new();
            for v in values {
                match v {
                    Value::Null => builder.append_null(),
                    Value::Text(s) => builder.append_value(s),
                    other => return Err(mismatch(other, t)),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::Binary => {
            let mut builder = BinaryBuilder::new();
            for v in values {
                match v {
                    Value::Null => builder.append_null(),
                    Value::Bytes(b) => builder.append_value(b),
                    other => return Err(mismatch(other, t)),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::List(element) => {
            let mut lengths = vec![];
            let mut elements = vec![];
            for v in values {
                let items: &[Value] = match v {
                    Value::Null => &[],
                    Value::List(items) => items,
                    other => return Err(mismatch(other, t)),
                };
                lengths.push(items.len());
                elements.extend(items);
            }
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::try_new(Arc::clone(element), offsets, column(element, &elements)?, Some(nulls()))?)
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(kv) = entries.data_type() else {
                return Err(Error::internal("a map without entries"));
            };
            let mut lengths = vec![];
            let (mut keys, mut items) = (vec![], vec![]);
            for v in values {
                let pairs: &[(Value, Value)] = match v {
                    Value::Null => &[],
                    Value::Map(pairs) => pairs,
                    other => return Err(mismatch(other, t)),
                };
                lengths.push(pairs.len());
                keys.extend(pairs.iter().map(|p| &p.0));
                items.extend(pairs.iter().map(|p| &p.1));
            }
            let pairs = map_entries(kv, column(map_key_field(kv), &keys)?, column(&kv[1], &items)?)?;
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, Some(nulls()), *sorted)?)
        }
        DataType::Struct(fields) if fields.is_empty() => {
            Arc::new(StructArray::new_empty_fields(values.len(), Some(nulls())))
        }
        DataType::Struct(fields) => {
            let mut columns = Vec::with_capacity(fields.len());
            for (i, field) in fields.iter().enumerate() {
                let cells = values.iter().map(|v| match v {
                    Value::Null => Ok(&Value::Null),
                    Value::Row(row) => Ok(row.get(i).unwrap_or(&Value::Null)),
                    other => Err(mismatch(other, t)),
                });
                let cells: Vec<&Value> = cells.collect::<Result<_>>()?;
                // Below a NULL row a NOT NULL field may be null.
                let broken = values.iter().zip(&cells).any(|(v, c)| **v != Value::Null && **c == Value::Null);
                if broken && !field.is_nullable() {
                    return Err(Error::data("NULL in a NOT NULL field").with("field", field.name()));
                }
                columns.push(array(field.data_type(), &cells)?);
            }
            Arc::new(StructArray::try_new(fields.clone(), columns, Some(nulls()))?)
        }
        other => return Err(Error::internal(format!("no Flink type lies in Arrow's {other}"))),
    })
}

fn integers<T: ArrowPrimitiveType>(t: &DataType, values: &[&Value]) -> Result<ArrayRef>
where
    T::Native: TryFrom<i64>,
{
    let cells = values.iter().map(|v| match v {
        Value::Null => Ok(None),
        Value::Integer(n) => T::Native::try_from(*n).map(Some).map_err(|_| mismatch(v, t)),
        other => Err(mismatch(other, t)),
    });
    let cells = cells.collect::<Result<Vec<Option<T::Native>>>>()?;
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(cells).with_data_type(t.clone())))
}

fn floats<T: ArrowPrimitiveType>(t: &DataType, values: &[&Value], cast: impl Fn(f64) -> T::Native) -> Result<ArrayRef> {
    let cells = values.iter().map(|v| match v {
        Value::Null => Ok(None),
        Value::Float(f) => Ok(Some(cast(*f))),
        other => Err(mismatch(other, t)),
    });
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(cells.collect::<Result<Vec<_>>>()?)))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn every_type_is_built() {
        let b = batch(
            "a BOOLEAN, b TINYINT, c SMALLINT, d INT NOT NULL, e BIGINT, f FLOAT, g DOUBLE, h CHAR(2), i STRING, j BYTES, \
             k DECIMAL(10, 2), l DATE, m TIME(0), n TIME(6), o TIMESTAMP(3), p TIMESTAMP(9), q TIMESTAMP_LTZ(6), \
             r INTERVAL YEAR TO MONTH, s INTERVAL DAY TO SECOND(3), t ARRAY<INT>, u MAP<STRING, INT>, v MULTISET<STRING>, \
             w ROW<x INT NOT NULL, y ARRAY<STRING>>, x TIMESTAMP(3) *ROWTIME* NOT NULL",
            &[
                "-U[true, 1, 2, 3, 4, 0.5, 1.5, ab, s, [1, 2], 1.50, 2020-01-01, 12:00, 12:00:00.000001, 2020-01-01T00:00, \
               2020-01-01T00:00:00.000000001, 2020-01-01T00:00:00Z, P1Y, PT1S, [1, null], {k=1}, {e=2}, +I[1, [p, q]], \
               2020-01-01T00:00]",
            ],
        );
        assert_eq!((b.num_rows(), b.rows.num_columns()), (1, 24));
        assert_eq!(b.kind(0), flott_core::RowKind::UpdateBefore);
    }

    #[test]
    fn nulls_are_kept_or_refused() {
        let b = batch("a INT, r ROW<x INT NOT NULL>, t ARRAY<INT>", &["+I[null, null, null]", "+I[1, +I[2], []]"]);
        assert_eq!(b.rows.column(1).null_count(), 1);
        assert!(b.kinds.is_none());
        let e = try_batch("a INT NOT NULL", &["+I[null]"]).expect_err("must be refused");
        assert!(e.to_string().starts_with("NULL in a NOT NULL column (column a)"), "{e}");
        let broken = schema("a ROW<id BIGINT NOT NULL, ab ARRAY<ARRAY<BIGINT NOT NULL> NOT NULL> NOT NULL> NOT NULL");
        assert!(try_batch_of(&broken, &["+I[+I[1, [[null]]]]"]).is_err());
        assert_eq!(batch_of(&relaxed_schema(&broken), &["+I[+I[1, [[null]]]]"]).num_rows(), 1);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        assert_eq!(batch("", &["+I[]", "+I[]"]).num_rows(), 2);
    }
}
