//! Columns of JSON objects, those of databases' changes too.

use async_trait::async_trait;
use flott_connector::infer::{Infer, Inferred, Sample, SampleKind};
use flott_core::options::Options;
use flott_core::types::RowField;
use flott_core::{Error, Result};
use serde_json::Value;

use super::text::TextKind;
use super::{COLUMNS_MAX, DEPTH_MAX, Kind, Shape, check_sample, of_fields};
use crate::changelog_json::ChangelogJson;

/// Looks at JSON objects.
pub(crate) struct JsonInference {
    /// Whose messages they are, where they say how a table has changed.
    pub(crate) changes: Option<ChangelogJson>,
}

#[async_trait]
impl Infer for JsonInference {
    fn wants(&self) -> SampleKind {
        SampleKind::Records
    }

    async fn infer(&self, sample: &Sample, options: &Options) -> Result<Inferred> {
        match sample {
            Sample::Records(records) => {
                let mut shape = Shape::default();
                let mut seen = 0;
                for (i, record) in records.iter().enumerate().filter(|(_, r)| !r.trim_ascii().is_empty()) {
                    let value: Value = serde_json::from_slice(record).map_err(|e| {
                        Error::data("A record of the sample is no JSON").with("record", i + 1).caused_by(e)
                    })?;
                    for row in self.rows(value, options).map_err(|e| e.with("record", i + 1))? {
                        seen += 1;
                        shape.merge(of(row, 0));
                    }
                }
                check_sample(seen)?;
                columns(&shape)
            }
            Sample::File { .. } | Sample::Subject(_) => Err(Error::internal("json takes records")),
        }
    }
}

impl JsonInference {
    /// The rows that a message holds.
    fn rows(&self, value: Value, options: &Options) -> Result<Vec<Value>> {
        let Some(changes) = self.changes else {
            return match value {
                Value::Object(_) => Ok(vec![value]),
                Value::Array(rows) if rows.iter().all(Value::is_object) => Ok(rows),
                _ => Err(Error::data("A record of the sample is no JSON object")
                    .hint("Tables of format 'json' have a column for each key of an object; read others with 'raw'")),
            };
        };
        let has_schema = options.get("schema-include").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let mut value = match value {
            Value::Object(mut object) if has_schema => object.remove("payload").unwrap_or_default(),
            // A tombstone.
            Value::Null => return Ok(vec![]),
            other => other,
        };
        let places: &[&str] = match changes {
            ChangelogJson::Debezium | ChangelogJson::Ogg => &["after", "before"],
            ChangelogJson::Canal | ChangelogJson::Maxwell => &["data"],
        };
        let found = places.iter().find_map(|place| value.get_mut(place).filter(|v| !v.is_null()).map(Value::take));
        match found {
            Some(Value::Array(rows)) => Ok(rows),
            Some(row @ Value::Object(_)) => Ok(vec![row]),
            // Messages about the table itself hold no row.
            None if value.is_object() && value.get("type").or_else(|| value.get("op_type")).is_some() => Ok(vec![]),
            _ => {
                let error = Error::data(format!("A record of the sample has no '{}'", places.join("' or '")));
                let with_schema = value.get("payload").is_some_and(Value::is_object);
                Err(if with_schema {
                    error.hint("It holds its schema too: add --option debezium-json.schema-include=true")
                } else {
                    error.hint("It is no message of this format")
                })
            }
        }
    }
}

/// How many digits a whole number has.
fn digits(n: &serde_json::Number) -> u32 {
    u32::try_from(n.to_string().trim_start_matches('-').len()).unwrap_or(u32::MAX)
}

/// What one value is.
fn of(value: Value, depth: usize) -> Shape {
    let kind = match value {
        Value::Null => return Shape::default(),
        _ if depth > DEPTH_MAX => Kind::Mixed,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(n) if n.is_i64() => Kind::Integer { fits: true, digits: digits(&n) },
        Value::Number(n) if n.is_u64() => Kind::Integer { fits: false, digits: digits(&n) },
        Value::Number(_) => Kind::Double,
        Value::String(text) => Kind::Text(TextKind::of(&text)),
        Value::Array(elements) => {
            let mut shape = Shape::default();
            elements.into_iter().for_each(|element| shape.merge(of(element, depth + 1)));
            Kind::Array(Box::new(shape))
        }
        Value::Object(fields) => {
            of_fields(fields.into_iter().map(|(name, value)| (name, of(value, depth + 1))).collect())
        }
    };
    Shape::of(kind)
}

/// Columns of the objects, which have one spelling of timestamps.
fn columns(shape: &Shape) -> Result<Inferred> {
    let Some(Kind::Row(fields)) = &shape.kind else {
        return Err(Error::user("The objects of the sample have no keys, or too many, in common to be columns")
            .hint("Read each as one text with 'format' = 'raw' and take it apart with JSON_VALUE"));
    };
    if fields.is_empty() || fields.len() > COLUMNS_MAX {
        return Err(Error::user(format!("The sample has {} keys, which cannot be columns", fields.len())));
    }
    let spellings = spellings(shape);
    let (mut shape, mut inferred) = (shape.clone(), Inferred::default());
    match spellings {
        (false, false) | (true, false) => {}
        (false, true) => inferred.options.push(("timestamp-format.standard".to_string(), "ISO-8601".to_string())),
        (true, true) => {
            inferred.notes.push(
                "timestamps are spelled with a blank in some columns and with a T in others, and a table has one spelling: \
                 they are STRING"
                    .to_string(),
            );
            without_timestamps(&mut shape);
        }
    }
    if let Some(Kind::Row(fields)) = &shape.kind {
        for (name, shape) in fields {
            inferred.columns.push(RowField::new(name, shape.data_type(name, &mut inferred.notes)));
        }
    }
    Ok(inferred)
}

/// Whether there are timestamps with a blank, and with a `T`.
fn spellings(shape: &Shape) -> (bool, bool) {
    let all = |shapes: &mut dyn Iterator<Item = &Shape>| {
        shapes.map(spellings).fold((false, false), |a, b| (a.0 || b.0, a.1 || b.1))
    };
    match &shape.kind {
        Some(Kind::Text(TextKind::Timestamp { iso, .. })) => (!iso, *iso),
        Some(Kind::Array(inner) | Kind::Map(inner)) => spellings(inner),
        Some(Kind::Row(fields)) => all(&mut fields.iter().map(|(_, shape)| shape)),
        _ => (false, false),
    }
}

fn without_timestamps(shape: &mut Shape) {
    match &mut shape.kind {
        Some(Kind::Text(kind @ TextKind::Timestamp { .. })) => *kind = TextKind::Other,
        Some(Kind::Array(inner) | Kind::Map(inner)) => without_timestamps(inner),
        Some(Kind::Row(fields)) => fields.iter_mut().for_each(|(_, shape)| without_timestamps(shape)),
        _ => {}
    }
}
