//! Columns of Parquet files.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use async_trait::async_trait;
use flott_connector::infer::{Infer, Inferred, Sample, SampleKind};
use flott_core::options::Options;
use flott_core::types::{RowField, TypeKind};
use flott_core::{Error, LogicalType, Result};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::reader::failed;
use super::store::StoredFile;

/// Looks at footers.
pub(super) struct ParquetInference;

#[async_trait]
impl Infer for ParquetInference {
    fn wants(&self) -> SampleKind {
        SampleKind::File
    }

    async fn infer(&self, sample: &Sample, _options: &Options) -> Result<Inferred> {
        let Sample::File { store, path, size } = sample else {
            return Err(Error::internal("parquet takes files"));
        };
        let mut input = StoredFile { store: Arc::clone(store), path: path.clone(), size: *size };
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load_async(&mut input, options).await.map_err(|e| failed(e, path))?;
        let mut inferred = Inferred::default();
        for field in metadata.schema().fields() {
            if let Some(data_type) = of(field, field.name(), &mut inferred.notes) {
                inferred.columns.push(RowField::new(field.name(), data_type));
            }
        }
        Ok(inferred)
    }
}

/// `None` where a table has no such type; the notes say so.
fn of(field: &Field, path: &str, notes: &mut Vec<String>) -> Option<LogicalType> {
    let digits = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    let kind = match field.data_type() {
        DataType::Boolean => TypeKind::Boolean,
        DataType::Int8 => TypeKind::TinyInt,
        DataType::Int16 | DataType::UInt8 => TypeKind::SmallInt,
        DataType::Int32 | DataType::UInt16 => TypeKind::Int,
        DataType::Int64 | DataType::UInt32 => TypeKind::BigInt,
        DataType::UInt64 => TypeKind::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => TypeKind::Float,
        DataType::Float64 => TypeKind::Double,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            TypeKind::Decimal { precision: *precision, scale: scale.unsigned_abs() }
        }
        DataType::Utf8 => TypeKind::STRING,
        DataType::Binary | DataType::FixedSizeBinary(_) => TypeKind::BYTES,
        DataType::Date32 => TypeKind::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => TypeKind::Time(digits(unit)),
        DataType::Timestamp(unit, None) => TypeKind::timestamp(digits(unit)),
        DataType::Timestamp(unit, Some(_)) => TypeKind::timestamp_ltz(digits(unit)),
        DataType::List(element) => TypeKind::Array(Box::new(of(element, &format!("{path}[]"), notes)?)),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return None };
            let key = of(pair.first()?, &format!("{path}.key"), notes)?;
            let value = of(pair.get(1)?, &format!("{path}.value"), notes)?;
            TypeKind::Map(Box::new(key), Box::new(value))
        }
        DataType::Struct(fields) => {
            let fields: Vec<RowField> = fields
                .iter()
                .filter_map(|f| of(f, &format!("{path}.{}", f.name()), notes).map(|t| RowField::new(f.name(), t)))
                .collect();
            if fields.is_empty() {
                return None;
            }
            TypeKind::Row(fields)
        }
        other => {
            notes.push(format!("{path}: left out, a table has no type like {other}"));
            return None;
        }
    };
    Some(LogicalType { kind, nullable: field.is_nullable() })
}
