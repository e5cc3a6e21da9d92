//! Columns under construction, for any Flink type, with a way back: a record that turns out to be wrong is undone.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, NullArray, RecordBatch, RecordBatchOptions, StringArray,
    StructArray, make_array,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, SchemaRef};
use flott_core::types::{TypeKind, from_arrow_field, map_entries, map_key_field};
use flott_core::{Error, Result};

/// Which values are present; holds nothing as long as all are.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    bits: Option<BooleanBufferBuilder>,
    len: usize,
}

impl Validity {
    /// Appends one.
    #[inline]
    pub(crate) fn push(&mut self, valid: bool) {
        match &mut self.bits {
            Some(bits) => bits.append(valid),
            None if valid => {}
            None => {
                let mut bits = BooleanBufferBuilder::new(self.len + 1);
                bits.append_n(self.len, true);
                bits.append(false);
                self.bits = Some(bits);
            }
        }
        self.len += 1;
    }

    fn truncate(&mut self, len: usize) {
        if let Some(bits) = &mut self.bits {
            bits.truncate(len);
        }
        self.len = len;
    }

    fn take(&mut self) -> Option<NullBuffer> {
        self.len = 0;
        self.bits.take().map(|mut bits| NullBuffer::new(bits.finish())).filter(|n| n.null_count() > 0)
    }
}

/// The values of a column under construction.
#[derive(Debug)]
pub(crate) enum Values {
    /// NULL type.
    Null,
    /// BOOLEAN.
    Bool(BooleanBufferBuilder),
    /// TINYINT.
    I8(Vec<i8>),
    /// SMALLINT.
    I16(Vec<i16>),
    /// INT, DATE, TIME(0-3), INTERVAL YEAR TO MONTH.
    I32(Vec<i32>),
    /// BIGINT, TIME(4-9), timestamps, INTERVAL DAY TO SECOND.
    I64(Vec<i64>),
    /// FLOAT.
    F32(Vec<f32>),
    /// DOUBLE.
    F64(Vec<f64>),
    /// DECIMAL.
    I128(Vec<i128>),
    /// Strings and bytes.
    Bytes {
        /// Ends of the values, the first is 0.
        offsets: Vec<i32>,
        /// Their bytes.
        data: Vec<u8>,
    },
    /// ARRAY.
    List {
        /// Ends of the values, the first is 0.
        offsets: Vec<i32>,
        /// Their elements.
        element: Box<ColumnBuilder>,
    },
    /// MAP and MULTISET.
    Map {
        /// Ends of the values, the first is 0.
        offsets: Vec<i32>,
        /// Keys, never null.
        key: Box<ColumnBuilder>,
        /// Values.
        value: Box<ColumnBuilder>,
    },
    /// ROW.
    Struct(Vec<ColumnBuilder>),
}

/// A column under construction.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    /// The column.
    pub(crate) field: Arc<Field>,
    /// Its Flink type.
    pub(crate) kind: TypeKind,
    /// Its values so far.
    pub(crate) values: Values,
    validity: Validity,
}

/// Text values are wrong, or longer together than Arrow's 32-bit offsets allow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl ColumnBuilder {
    /// An empty builder for a field of a Flink type.
    pub(crate) fn new(field: &Arc<Field>) -> Result<ColumnBuilder> {
        let logical = from_arrow_field(field).ok_or_else(|| {
            Error::user(format!("The type {} of column '{}' is not supported", field.data_type(), field.name()))
                .with("column", field.name())
        })?;
        let values = match field.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Values::I8(vec![]),
            DataType::Int16 => Values::I16(vec![]),
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Interval(_) => Values::I32(vec![]),
            DataType::Int64 | DataType::Time64(_) | DataType::Timestamp(..) | DataType::Duration(_) => {
                Values::I64(vec![])
            }
            DataType::Float32 => Values::F32(vec![]),
            DataType::Float64 => Values::F64(vec![]),
            DataType::Decimal128(..) => Values::I128(vec![]),
            DataType::Utf8 | DataType::Binary => Values::Bytes { offsets: vec![0], data: vec![] },
            DataType::List(element) => {
                Values::List { offsets: vec![0], element: Box::new(ColumnBuilder::new(element)?) }
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(kv) if kv.len() == 2 => Values::Map {
                    offsets: vec![0],
                    key: Box::new(ColumnBuilder::new(map_key_field(kv))?),
                    value: Box::new(ColumnBuilder::new(&kv[1])?),
                },
                _ => return Err(unsupported(field)),
            },
            DataType::Struct(fields) => {
                Values::Struct(fields.iter().map(ColumnBuilder::new).collect::<Result<Vec<_>>>()?)
            }
            _ => return Err(unsupported(field)),
        };
        Ok(ColumnBuilder { field: field.clone(), kind: logical.kind, values, validity: Validity::default() })
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.validity.len
    }

    /// Whether NULL is allowed.
    pub(crate) fn nullable(&self) -> bool {
        self.field.is_nullable()
    }

    /// Whether the last value is present.
    pub(crate) fn is_last_valid(&self) -> bool {
        match &self.validity.bits {
            Some(bits) => !bits.is_empty() && bits.get_bit(bits.len() - 1),
            None => true,
        }
    }

    /// Whether the value at a place is present.
    pub(crate) fn is_valid(&self, at: usize) -> bool {
        self.validity.bits.as_ref().is_none_or(|bits| at < bits.len() && bits.get_bit(at))
    }

    /// Marks the value just appended to `values` as present (or as NULL).
    #[inline]
    pub(crate) fn done(&mut self, valid: bool) {
        self.validity.push(valid);
    }

    /// Appends NULL; the caller has looked at [`nullable`](Self::nullable).
    pub(crate) fn push_null(&mut self) {
        match &mut self.values {
            Values::Null => {}
            Values::Bool(v) => v.append(false),
            Values::I8(v) => v.push(0),
            Values::I16(v) => v.push(0),
            Values::I32(v) => v.push(0),
            Values::I64(v) => v.push(0),
            Values::F32(v) => v.push(0.0),
            Values::F64(v) => v.push(0.0),
            Values::I128(v) => v.push(0),
            Values::Bytes { offsets, .. } | Values::List { offsets, .. } | Values::Map { offsets, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
            }
            Values::Struct(children) => children.iter_mut().for_each(ColumnBuilder::push_default),
        }
        self.validity.push(false);
    }

    /// A placeholder below a NULL row: NULL, or some value where NULL is not allowed.
    pub(crate) fn push_default(&mut self) {
        self.push_null();
        if !self.nullable() {
            self.validity.truncate(self.validity.len - 1);
            self.validity.push(true);
        }
    }

    /// Appends a string or bytes.
    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if let Values::Bytes { offsets, data } = &mut self.values {
            let end = i32::try_from(data.len() + bytes.len()).map_err(|_| TooLong)?;
            data.extend_from_slice(bytes);
            offsets.push(end);
            self.validity.push(true);
        }
        Ok(())
    }

    /// Takes back all values from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        match &mut self.values {
            Values::Null => {}
            Values::Bool(v) => v.truncate(len.min(v.len())),
            Values::I8(v) => v.truncate(len),
            Values::I16(v) => v.truncate(len),
            Values::I32(v) => v.truncate(len),
            Values::I64(v) => v.truncate(len),
            Values::F32(v) => v.truncate(len),
            Values::F64(v) => v.truncate(len),
            Values::I128(v) => v.truncate(len),
            Values::Bytes { offsets, data } => {
                offsets.truncate(len + 1);
                data.truncate(last(offsets));
            }
            Values::List { offsets, element } => {
                offsets.truncate(len + 1);
                element.truncate(last(offsets));
            }
            Values::Map { offsets, key, value } => {
                offsets.truncate(len + 1);
                key.truncate(last(offsets));
                value.truncate(last(offsets));
            }
            Values::Struct(children) => children.iter_mut().for_each(|c| c.truncate(len)),
        }
        if self.validity.len > len {
            self.validity.truncate(len);
        }
    }

    /// The column; the builder is empty afterwards. Fails on text that is not UTF-8 and on NULL in a NOT NULL column.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let len = self.validity.len;
        let nulls = self.validity.take();
        let data_type = self.field.data_type();
        Ok(match &mut self.values {
            Values::Null => Arc::new(NullArray::new(len)),
            Values::Bool(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
            Values::I8(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::I16(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::I32(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::I64(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::F32(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::F64(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::I128(v) => primitive(data_type, std::mem::take(v), nulls)?,
            Values::Bytes { offsets, data } => {
                bytes_array(data_type, std::mem::replace(offsets, vec![0]), std::mem::take(data), nulls)?
            }
            Values::List { offsets, element } => {
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                let field = element.field.clone();
                Arc::new(ListArray::try_new(field, offsets, element.finish()?, nulls)?)
            }
            Values::Map { offsets, key, value } => {
                let DataType::Map(entries, sorted) = data_type else { return Err(unsupported(&self.field)) };
                let DataType::Struct(fields) = entries.data_type() else { return Err(unsupported(&self.field)) };
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                let pairs = map_entries(fields, key.finish()?, value.finish()?)?;
                Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?)
            }
            Values::Struct(children) => {
                let DataType::Struct(fields) = data_type else { return Err(unsupported(&self.field)) };
                if children.is_empty() {
                    Arc::new(StructArray::new_empty_fields(len, nulls))
                } else {
                    let columns = children.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
                    Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?)
                }
            }
        })
    }
}

fn last(offsets: &[i32]) -> usize {
    offsets.last().map_or(0, |o| *o as usize)
}

fn unsupported(field: &Field) -> Error {
    Error::user(format!("The type {} of column '{}' is not supported by this format", field.data_type(), field.name()))
        .with("column", field.name())
}

/// A column of fixed-width values of an Arrow type with this native type.
pub(crate) fn primitive<T: arrow_buffer::ArrowNativeType>(
    data_type: &DataType,
    values: Vec<T>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let data = ArrayData::builder(data_type.clone())
        .len(values.len())
        .nulls(nulls)
        .add_buffer(Buffer::from_vec(values))
        .build()?;
    Ok(make_array(data))
}

/// A column of strings or bytes. Strings that are not UTF-8 are a data error.
pub(crate) fn bytes_array(
    data_type: &DataType,
    offsets: Vec<i32>,
    data: Vec<u8>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(match data_type {
        DataType::Utf8 => Arc::new(
            StringArray::try_new(offsets, data.into(), nulls)
                .map_err(|e| Error::data("a text is not valid UTF-8").caused_by(e))?,
        ),
        _ => Arc::new(BinaryArray::try_new(offsets, data.into(), nulls)?),
    })
}

/// Rows under construction.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    /// Their columns.
    pub(crate) columns: Vec<ColumnBuilder>,
    /// How many there are.
    pub(crate) rows: usize,
}

impl Rows {
    /// None yet.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Rows> {
        let columns = schema.fields().iter().map(ColumnBuilder::new).collect::<Result<Vec<_>>>()?;
        Ok(Rows { schema: Arc::clone(schema), columns, rows: 0 })
    }

    /// Takes back all rows from this one on, whole or not.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
    }

    /// The rows; there are none afterwards.
    pub(crate) fn take(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use flott_core::types::{LogicalType, arrow_field};

    fn builder(t: &str) -> ColumnBuilder {
        let t: LogicalType = t.parse().expect("a type");
        ColumnBuilder::new(&Arc::new(arrow_field("c", &t))).expect("a builder")
    }

    #[test]
    fn truncate_undoes_nested_values() {
        let mut b = builder("ARRAY<STRING>");
        b.push_null();
        if let Values::List { offsets, element } = &mut b.values {
            element.push_bytes(b"ab").expect("fits");
            element.push_null();
            offsets.push(2);
        }
        b.done(true);
        b.truncate(1);
        b.push_null();
        let array = b.finish().expect("an array");
        assert_eq!((array.len(), array.null_count()), (2, 2));
        assert_eq!(b.len(), 0);
    }

    #[test]
    fn every_type_finishes_after_nulls() {
        for t in [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "FLOAT",
            "DOUBLE",
            "STRING",
            "BYTES",
            "DECIMAL(10, 2)",
            "DATE",
            "TIME(0)",
            "TIME(9)",
            "TIMESTAMP(3)",
            "TIMESTAMP_LTZ(9)",
            "INTERVAL MONTH",
            "INTERVAL SECOND(3)",
            "ARRAY<INT>",
            "MAP<STRING, INT>",
            "MULTISET<STRING>",
            "ROW<a INT NOT NULL, b ROW<c STRING NOT NULL>>",
        ] {
            let mut b = builder(t);
            b.push_null();
            b.push_null();
            b.truncate(1);
            let array = b.finish().unwrap_or_else(|e| panic!("{t}: {e}"));
            assert_eq!((array.len(), array.null_count()), (1, 1), "{t}");
            assert_eq!(array.data_type(), b.field.data_type(), "{t}");
        }
    }
}
