//! The Arrow form of Flink's types: what Arrow cannot say lies in the field's metadata under one key.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};

use super::*;

/// The one key of field metadata that we use; its value is the type's summary string.
pub const TYPE_METADATA_KEY: &str = "flott.type";

/// The Arrow type of a Flink type.
///
/// A MAP is an Arrow map whose keys may lie in a row of their own, see [`map_keys`]. `TIMESTAMP(p)` is in milliseconds for p <= 3, microseconds for p <= 6, else nanoseconds; strings are `Utf8`.
pub fn arrow_type(t: &LogicalType) -> DataType {
    let unit = |p: u8| match p {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    match &t.kind {
        TypeKind::Null => DataType::Null,
        TypeKind::Boolean => DataType::Boolean,
        TypeKind::TinyInt => DataType::Int8,
        TypeKind::SmallInt => DataType::Int16,
        TypeKind::Int => DataType::Int32,
        TypeKind::BigInt => DataType::Int64,
        TypeKind::Float => DataType::Float32,
        TypeKind::Double => DataType::Float64,
        TypeKind::Char(_) | TypeKind::VarChar(_) => DataType::Utf8,
        TypeKind::Binary(_) | TypeKind::VarBinary(_) | TypeKind::Variant | TypeKind::Bitmap => DataType::Binary,
        TypeKind::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        TypeKind::Date => DataType::Date32,
        TypeKind::Time(p) => match unit(*p) {
            TimeUnit::Millisecond => DataType::Time32(TimeUnit::Millisecond),
            unit => DataType::Time64(unit),
        },
        TypeKind::Timestamp(p, _) => DataType::Timestamp(unit(*p), None),
        TypeKind::TimestampLtz(p, _) => DataType::Timestamp(unit(*p), Some("UTC".into())),
        TypeKind::IntervalYearMonth(..) => DataType::Interval(IntervalUnit::YearMonth),
        TypeKind::IntervalDayTime(..) => DataType::Duration(TimeUnit::Millisecond),
        TypeKind::Array(e) => DataType::List(Arc::new(arrow_field("item", e))),
        TypeKind::Map(k, v) => map_of(map_entries_key(arrow_field("key", k)), v),
        // What a MULTISET counts is never NULL.
        TypeKind::Multiset(e) => map_of(arrow_field("key", e).with_nullable(false), &TypeKind::Int.not_null()),
        TypeKind::Row(fields) | TypeKind::Structured(_, fields) => {
            DataType::Struct(fields.iter().map(|f| Arc::new(arrow_field(&f.name, &f.data_type))).collect())
        }
    }
}

fn map_of(key: Field, value: &LogicalType) -> DataType {
    let entries = DataType::Struct(Fields::from(vec![key, arrow_field("value", value)]));
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}

/// A field of this name and type, with the type's summary in its metadata.
pub fn arrow_field(name: &str, t: &LogicalType) -> Field {
    Field::new(name, arrow_type(t), t.nullable).with_metadata([(TYPE_METADATA_KEY.to_string(), t.to_string())].into())
}

/// A schema of named types.
pub fn arrow_schema<'a>(columns: impl IntoIterator<Item = (&'a str, &'a LogicalType)>) -> SchemaRef {
    Arc::new(Schema::new(columns.into_iter().map(|(n, t)| arrow_field(n, t)).collect::<Vec<_>>()))
}

/// The Flink type of a field: from its metadata where that fits the Arrow type, else the nearest one.
/// `None` for Arrow types without a Flink counterpart.
pub fn from_arrow_field(field: &Field) -> Option<LogicalType> {
    if let Some(text) = field.metadata().get(TYPE_METADATA_KEY)
        && let Ok(t) = parse::printed(text)
        && arrow_type(&t).equals_datatype(field.data_type())
    {
        return Some(t.with_nullable(field.is_nullable()));
    }
    let digits = |u: &TimeUnit| match u {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    let kind = match field.data_type() {
        DataType::Null => TypeKind::Null,
        DataType::Boolean => TypeKind::Boolean,
        DataType::Int8 => TypeKind::TinyInt,
        DataType::Int16 | DataType::UInt8 => TypeKind::SmallInt,
        DataType::Int32 | DataType::UInt16 => TypeKind::Int,
        DataType::Int64 | DataType::UInt32 => TypeKind::BigInt,
        DataType::UInt64 => TypeKind::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => TypeKind::Float,
        DataType::Float64 => TypeKind::Double,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => TypeKind::STRING,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => TypeKind::BYTES,
        DataType::FixedSizeBinary(n) => TypeKind::Binary(u32::try_from(*n).ok()?),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) if *s >= 0 && *p <= MAX_DECIMAL_PRECISION => {
            TypeKind::Decimal { precision: *p, scale: *s as u8 }
        }
        DataType::Date32 | DataType::Date64 => TypeKind::Date,
        DataType::Time32(u) | DataType::Time64(u) => TypeKind::Time(digits(u)),
        DataType::Timestamp(u, None) => TypeKind::timestamp(digits(u)),
        DataType::Timestamp(u, Some(_)) => TypeKind::timestamp_ltz(digits(u)),
        DataType::Interval(IntervalUnit::YearMonth) => TypeKind::IntervalYearMonth(YearMonthResolution::YearToMonth, 2),
        DataType::Duration(TimeUnit::Millisecond) => TypeKind::IntervalDayTime(DayTimeResolution::DayToSecond, 2, 3),
        DataType::List(e) | DataType::LargeList(e) | DataType::FixedSizeList(e, _) | DataType::ListView(e) => {
            TypeKind::Array(Box::new(from_arrow_field(e)?))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(kv) if kv.len() == 2 => {
                TypeKind::Map(Box::new(from_arrow_field(map_key_field(kv))?), Box::new(from_arrow_field(&kv[1])?))
            }
            _ => return None,
        },
        DataType::Struct(fields) => TypeKind::Row(
            fields.iter().map(|f| Some(RowField::new(f.name(), from_arrow_field(f)?))).collect::<Option<Vec<_>>>()?,
        ),
        DataType::Dictionary(_, v) => {
            return from_arrow_field(&Field::new("", v.as_ref().clone(), field.is_nullable()));
        }
        _ => return None,
    };
    Some(LogicalType { kind, nullable: field.is_nullable() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_back_from_their_fields() {
        for text in [
            "BOOLEAN",
            "TINYINT NOT NULL",
            "CHAR(3)",
            "VARCHAR(9)",
            "STRING",
            "BYTES",
            "BINARY(4)",
            "VARIANT NOT NULL",
            "ARRAY<BITMAP>",
            "STRUCTURED<'com.example.User', `name` STRING NOT NULL, `age` INT> NOT NULL",
            "DECIMAL(38, 10)",
            "DATE",
            "TIME(3)",
            "TIMESTAMP(0)",
            "TIMESTAMP(9)",
            "TIMESTAMP(3) *ROWTIME*",
            "TIMESTAMP_LTZ(3) *PROCTIME* NOT NULL",
            "INTERVAL MONTH",
            "INTERVAL SECOND(3)",
            "ARRAY<VARCHAR(3) NOT NULL>",
            "MAP<CHAR(2) NOT NULL, INT>",
            "MULTISET<STRING NOT NULL>",
            "ROW<`a` INT NOT NULL, `b` ROW<`c` TIMESTAMP(3)>>",
        ] {
            let t: LogicalType = text.parse().expect("a type");
            assert_eq!(from_arrow_field(&arrow_field("x", &t)), Some(t.clone()), "{text}");
        }
    }
}
