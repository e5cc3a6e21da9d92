//! Messages that name their schema in a registry, as Confluent's serializers write them: a zero byte, the schema's number
//! in four bytes, the value.

use std::collections::HashMap;
use std::sync::Arc;

use flott_connector::format::RecordPosition;
use flott_connector::schema_registry::{KnownSchemas, RegisteredSchema, SchemaRegistry};
use flott_core::{Error, Result};

use super::RECORD_BYTES_MAX;
use super::message::{at, too_long};
use super::root::{Resolved, Rows};
use super::schema::AvroSchema;

/// Schemas that go into the state of a split: those that were used last.
const STATE_SCHEMAS_MAX: usize = 16;
/// Bytes before the value.
const HEAD: usize = 5;

/// Reads framed messages.
pub(super) struct Framed {
    registry: Arc<dyn SchemaRegistry>,
    /// The table's own schema.
    reader: Arc<AvroSchema>,
    /// How what each number stands for is read.
    resolved: HashMap<u32, Resolved>,
    last: Option<u32>,
    known: KnownSchemas,
    /// Numbers in the order of their first use.
    order: Vec<u32>,
}

/// Number and value.
fn parts(message: &[u8]) -> Result<(u32, &[u8])> {
    match message {
        [0, a, b, c, d, value @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), value)),
        [first, ..] if message.len() >= HEAD => Err(Error::data(format!(
            "The message begins with {first}, where messages of a schema registry begin with 0 and the number of their schema"
        ))
        .hint("Messages without a registry are read with 'avro'")),
        _ => Err(Error::data(format!("A message of {} bytes cannot name its schema", message.len()))),
    }
}

impl Framed {
    pub(super) fn new(registry: Arc<dyn SchemaRegistry>, reader: Arc<AvroSchema>) -> Framed {
        Framed { registry, reader, resolved: HashMap::new(), last: None, known: KnownSchemas::new(), order: vec![] }
    }

    /// Reads one message; false where it is NULL.
    pub(super) fn read(&mut self, message: &[u8], rows: &mut Rows, position: &RecordPosition) -> Result<bool> {
        if message.len() > RECORD_BYTES_MAX {
            return Err(at(too_long(), position));
        }
        let (id, value) = parts(message).map_err(|e| at(e, position))?;
        let named = |e: Error| at(e.with("schema id", id), position);
        if self.last != Some(id) {
            self.know(id, rows).map_err(named)?;
            self.last = Some(id);
        }
        match self.resolved.get(&id) {
            Some(resolved) => resolved.read_one(value, rows).map_err(named),
            None => Err(Error::internal("a schema was not resolved")),
        }
    }

    fn know(&mut self, id: u32, rows: &Rows) -> Result<()> {
        if self.resolved.contains_key(&id) {
            return Ok(());
        }
        let schema = match self.known.get(&id) {
            Some(schema) => Arc::new(schema.clone()),
            None => self.registry.schema(id)?,
        };
        if schema.kind != "AVRO" {
            return Err(Error::data(format!("The schema is of the kind {}, and not of Avro", schema.kind)));
        }
        let parsed = AvroSchema::parse_with(&schema.references, &schema.text)
            .map_err(|e| Error::data("The schema of the registry cannot be read").caused_by(e))?;
        self.resolved.insert(id, Resolved::new(Arc::new(parsed), rows, &self.reader)?);
        self.remember(id, &schema);
        Ok(())
    }

    fn remember(&mut self, id: u32, schema: &RegisteredSchema) {
        if self.known.insert(id, schema.clone()).is_none() {
            self.order.push(id);
            if self.order.len() > STATE_SCHEMAS_MAX {
                self.known.remove(&self.order.remove(0));
            }
        }
    }

    pub(super) fn known(&self) -> &KnownSchemas {
        &self.known
    }

    pub(super) fn restore(&mut self, schemas: &KnownSchemas) {
        schemas.iter().for_each(|(id, schema)| self.remember(*id, schema));
    }
}

/// What stands before each value.
pub(super) fn head(id: u32) -> [u8; HEAD] {
    let [a, b, c, d] = id.to_be_bytes();
    [0, a, b, c, d]
}
