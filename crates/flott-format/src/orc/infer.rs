//! Columns of ORC files.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::infer::{Infer, Inferred, Sample, SampleKind};
use flott_core::options::Options;
use flott_core::types::{MAX_LENGTH, RowField, TypeKind};
use flott_core::{Error, LogicalType, Result};

use super::meta::{Kind, Type};
use super::read;

/// Looks at footers.
pub(super) struct OrcInference;

#[async_trait]
impl Infer for OrcInference {
    fn wants(&self) -> SampleKind {
        SampleKind::File
    }

    async fn infer(&self, sample: &Sample, _options: &Options) -> Result<Inferred> {
        let Sample::File { store, path, size } = sample else {
            return Err(Error::internal("orc takes files"));
        };
        let types = read::types(Arc::clone(store), path, *size).await?;
        let mut inferred = Inferred::default();
        let Some(root) = types.first().filter(|t| t.kind == Kind::Struct) else {
            return Err(Error::user("The file holds no rows with columns").with("file", path));
        };
        for (name, child) in root.names.iter().zip(&root.children) {
            if let Some(data_type) = of(&types, *child, name, &mut inferred.notes) {
                inferred.columns.push(RowField::new(name, data_type));
            }
        }
        Ok(inferred)
    }
}

/// `None` where a table has no such type; the notes say so. All of ORC's types are nullable.
fn of(types: &[Type], id: usize, path: &str, notes: &mut Vec<String>) -> Option<LogicalType> {
    let of_type = types.get(id)?;
    let length = |length: Option<u64>| length.and_then(|n| u32::try_from(n).ok()).unwrap_or(MAX_LENGTH).min(MAX_LENGTH);
    let kind = match of_type.kind {
        Kind::Boolean => TypeKind::Boolean,
        Kind::Byte => TypeKind::TinyInt,
        Kind::Short => TypeKind::SmallInt,
        Kind::Int => TypeKind::Int,
        Kind::Long => TypeKind::BigInt,
        Kind::Float => TypeKind::Float,
        Kind::Double => TypeKind::Double,
        Kind::String => TypeKind::STRING,
        Kind::Varchar => TypeKind::VarChar(length(of_type.length_max)),
        Kind::Char => TypeKind::Char(length(of_type.length_max)),
        Kind::Binary => TypeKind::BYTES,
        Kind::Date => TypeKind::Date,
        Kind::Timestamp => TypeKind::timestamp(9),
        Kind::TimestampInstant => TypeKind::timestamp_ltz(9),
        Kind::Decimal => {
            let number = |n: Option<u64>, default| n.map_or(Some(default), |n| u8::try_from(n).ok());
            match (number(of_type.precision, 38), number(of_type.scale, 0)) {
                (Some(precision @ 1..=38), Some(scale)) if scale <= precision => TypeKind::Decimal { precision, scale },
                _ => {
                    notes.push(format!("{path}: left out, it has more than 38 digits"));
                    return None;
                }
            }
        }
        Kind::List => TypeKind::Array(Box::new(of(types, *of_type.children.first()?, &format!("{path}[]"), notes)?)),
        Kind::Map => {
            let key = of(types, *of_type.children.first()?, &format!("{path}.key"), notes)?;
            let value = of(types, *of_type.children.get(1)?, &format!("{path}.value"), notes)?;
            TypeKind::Map(Box::new(key), Box::new(value))
        }
        Kind::Struct => {
            let fields: Vec<RowField> = of_type
                .names
                .iter()
                .zip(&of_type.children)
                .filter_map(|(name, child)| {
                    of(types, *child, &format!("{path}.{name}"), notes).map(|t| RowField::new(name, t))
                })
                .collect();
            if fields.is_empty() {
                return None;
            }
            TypeKind::Row(fields)
        }
        Kind::Union => {
            notes.push(format!("{path}: left out, a table has no type like {}", of_type.name()));
            return None;
        }
    };
    Some(kind.into())
}
