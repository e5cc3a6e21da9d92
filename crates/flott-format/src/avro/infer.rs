//! Columns of Avro schemas: those of files and of registries, as Flink's `AvroSchemaConverter` names their types.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::infer::{Infer, Inferred, Sample, SampleKind};
use flott_connector::schema_registry::SchemaRegistryFactory;
use flott_core::options::Options;
use flott_core::types::{RowField, TypeKind};
use flott_core::{Error, LogicalType, Result};

use super::file_reader;
use super::schema::{AvroSchema, Logical, Node};

/// Looks at schemas: of files, or of a registry's subjects.
#[derive(Default)]
pub(crate) struct AvroInference {
    /// The schema's record is an envelope around the row before and after a change (Debezium).
    pub(crate) is_envelope: bool,
    /// Of messages that name their schema; `None`: files hold it.
    pub(crate) registries: Option<Arc<dyn SchemaRegistryFactory>>,
}

#[async_trait]
impl Infer for AvroInference {
    fn wants(&self) -> SampleKind {
        if self.registries.is_some() { SampleKind::Subject } else { SampleKind::File }
    }

    async fn infer(&self, sample: &Sample, options: &Options) -> Result<Inferred> {
        let schema = match (sample, &self.registries) {
            (Sample::File { store, path, size }, None) => file_reader::schema(store, path, *size).await?,
            (Sample::Subject(subject), Some(registries)) => {
                let registry = registries.open(options)?;
                let asked = subject.clone();
                // The call blocks its thread.
                let (answer, found) = futures::channel::oneshot::channel();
                std::thread::Builder::new()
                    .name("schema-registry".to_string())
                    .spawn(move || drop(answer.send(registry.latest(&asked))))?;
                let schema = found.await.map_err(|e| Error::internal("a request ended early").caused_by(e))??;
                if schema.kind != "AVRO" {
                    return Err(Error::user(format!("The schema of '{subject}' is of type {}, not AVRO", schema.kind))
                        .hint("Show a sample of the messages instead: flott infer kafka://HOST:PORT/TOPIC"));
                }
                AvroSchema::parse_with(&schema.references, &schema.text)?
            }
            _ => return Err(Error::internal("avro takes files, and subjects of a registry")),
        };
        let mut root = row_of(&schema, schema.root).unwrap_or(schema.root);
        if self.is_envelope {
            root = row_of_envelope(&schema)
                .ok_or_else(|| Error::user("The schema is no envelope of Debezium: it has no record 'after'"))?;
        }
        let mut inferred = Inferred::default();
        let Node::Record(fields) = schema.node(root) else {
            return Err(Error::user(format!("The schema is of type {}: a table needs a record", schema.name(root))));
        };
        let mut walk = Walk { schema: &schema, inside: vec![root], types: 0, notes: vec![] };
        for field in fields {
            let data_type = walk.of(field.node, &field.name);
            inferred.columns.extend(data_type.map(|t| RowField::new(&field.name, t)));
        }
        inferred.notes = walk.notes;
        Ok(inferred)
    }
}

fn row_of_envelope(schema: &AvroSchema) -> Option<usize> {
    let Node::Record(fields) = schema.node(row_of(schema, schema.root)?) else { return None };
    row_of(schema, fields.iter().find(|f| f.name == "after")?.node)
}

/// The record, also where there may be NULL instead: so Flink has the rows of files.
fn row_of(schema: &AvroSchema, node: usize) -> Option<usize> {
    match schema.node(node) {
        Node::Record(_) => Some(node),
        Node::Union(branches) => branches.iter().copied().find(|b| matches!(schema.node(*b), Node::Record(_))),
        _ => None,
    }
}

/// Types of a proposal: a record that is named several times has its fields at each place.
const TYPES_MAX: usize = 20_000;

/// A way through a schema.
struct Walk<'a> {
    schema: &'a AvroSchema,
    /// Records around the place.
    inside: Vec<usize>,
    types: usize,
    notes: Vec<String>,
}

impl Walk<'_> {
    /// `None` where a table has no such type; the notes say so.
    fn of(&mut self, node: usize, path: &str) -> Option<LogicalType> {
        let schema = self.schema;
        self.types += 1;
        if self.types > TYPES_MAX {
            if self.types == TYPES_MAX + 1 {
                self.notes.push(format!("{path}: left out with what follows, there are more than {TYPES_MAX} types"));
            }
            return None;
        }
        if self.inside.contains(&node) {
            self.notes.push(format!("{path}: left out, its type contains itself"));
            return None;
        }
        let kind = match (schema.node(node), schema.logical(node)) {
            (Node::Union(branches), _) => {
                let others: Vec<usize> = branches.iter().copied().filter(|b| *schema.node(*b) != Node::Null).collect();
                let nullable = others.len() < branches.len();
                let [one] = others[..] else {
                    self.notes.push(format!("{path}: left out, it may be of {} types", others.len()));
                    return None;
                };
                let data_type = self.of(one, path)?;
                return Some(LogicalType { nullable: nullable || data_type.nullable, ..data_type });
            }
            (Node::Null, _) => {
                self.notes.push(format!("{path}: left out, it is never anything but NULL"));
                return None;
            }
            (Node::Boolean, _) => TypeKind::Boolean,
            (Node::Int, Some(Logical::Date)) => TypeKind::Date,
            (Node::Int, Some(Logical::TimeMillis)) => TypeKind::Time(3),
            (Node::Int, _) => TypeKind::Int,
            (Node::Long, Some(Logical::TimeMicros)) => TypeKind::Time(6),
            (Node::Long, Some(Logical::Timestamp { per_second })) => TypeKind::timestamp(match per_second {
                1_000 => 3,
                1_000_000 => 6,
                _ => 9,
            }),
            (Node::Long, _) => TypeKind::BigInt,
            (Node::Float, _) => TypeKind::Float,
            (Node::Double, _) => TypeKind::Double,
            (Node::Bytes | Node::Fixed(_), Some(Logical::Decimal { scale })) if scale <= 38 => {
                TypeKind::Decimal { precision: 38, scale: u8::try_from(scale).unwrap_or(38) }
            }
            (Node::Bytes | Node::Fixed(_), _) => TypeKind::BYTES,
            (Node::String | Node::Enum(_), _) => TypeKind::STRING,
            (Node::Array(element), _) => TypeKind::Array(Box::new(self.of(*element, &format!("{path}[]"))?)),
            (Node::Map(value), _) => TypeKind::Map(
                Box::new(LogicalType { kind: TypeKind::STRING, nullable: false }),
                Box::new(self.of(*value, &format!("{path}.*"))?),
            ),
            (Node::Record(fields), _) => {
                self.inside.push(node);
                let mut of_row: Vec<RowField> = vec![];
                for f in fields {
                    let data_type = self.of(f.node, &format!("{path}.{}", f.name));
                    of_row.extend(data_type.map(|t| RowField::new(&f.name, t)));
                }
                self.inside.pop();
                let fields = of_row;
                if fields.is_empty() {
                    self.notes.push(format!("{path}: left out, no field of it is left"));
                    return None;
                }
                TypeKind::Row(fields)
            }
        };
        Some(LogicalType { kind, nullable: false })
    }
}
