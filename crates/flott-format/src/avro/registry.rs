//! Messages that name their schema in a registry, as Confluent's serializers write them: a zero byte, the schema's number
//! in four bytes, the value.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use flott_connector::format::RecordPosition;
use flott_connector::schema_registry::{KnownSchemas, RegisteredSchema, SchemaRegistry};
use flott_core::{Error, Result};

use super::RECORD_BYTES_MAX;
use super::message::{at, too_long};
use super::root::Resolved;
use super::schema::AvroSchema;
use crate::builder::Rows;

/// Schemas that go into the state of a split: those that were used last.
const STATE_SCHEMAS_MAX: usize = 16;
/// Schemas that are held with how they are read; what is beyond is asked for and compared again.
pub(super) const HELD_SCHEMAS_MAX: usize = 256;
/// Bytes before the value.
const HEAD: usize = 5;

/// Reads framed messages.
pub(super) struct Framed {
    registry: Arc<dyn SchemaRegistry>,
    /// The table's own schema.
    reader: Arc<AvroSchema>,
    /// What each number stands for.
    held: HashMap<u32, Held>,
    /// Its numbers, the last used last.
    order: Vec<u32>,
    last: Option<u32>,
    /// Made when it is asked for.
    known: OnceCell<KnownSchemas>,
}

struct Held {
    schema: Arc<RegisteredSchema>,
    /// How its records are read; not yet where it comes from a state.
    resolved: Option<Resolved>,
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
        Framed { registry, reader, held: HashMap::new(), order: vec![], last: None, known: OnceCell::new() }
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
        match self.held.get(&id).and_then(|held| held.resolved.as_ref()) {
            Some(resolved) => resolved.read_one(value, rows).map_err(named),
            None => Err(Error::internal("a schema was not resolved")),
        }
    }

    /// Makes a schema the one that was used last.
    fn know(&mut self, id: u32, rows: &Rows) -> Result<()> {
        let held = self.held.get(&id);
        if held.is_none_or(|held| held.resolved.is_none()) {
            let schema = match held {
                Some(held) => Arc::clone(&held.schema),
                None => self.registry.schema(id)?,
            };
            if schema.kind != "AVRO" {
                return Err(Error::data(format!("The schema is of the kind {}, and not of Avro", schema.kind)));
            }
            let parsed = AvroSchema::parse_with(&schema.references, &schema.text)
                .map_err(|e| Error::data("The schema of the registry cannot be read").caused_by(e))?;
            let resolved = Some(Resolved::new(Arc::new(parsed), rows, &self.reader)?);
            self.held.insert(id, Held { schema, resolved });
        }
        self.used(id);
        Ok(())
    }

    fn used(&mut self, id: u32) {
        let place = self.order.iter().position(|other| *other == id);
        if let Some(place) = place {
            self.order.remove(place);
        }
        self.order.push(id);
        if self.order.len() > HELD_SCHEMAS_MAX {
            self.held.remove(&self.order.remove(0));
        }
        // Another order of the last ones is no other state.
        if place.is_none_or(|place| place + STATE_SCHEMAS_MAX < self.order.len()) {
            self.known = OnceCell::new();
        }
    }

    pub(super) fn known(&self) -> &KnownSchemas {
        self.known.get_or_init(|| {
            let last = self.order.iter().rev().take(STATE_SCHEMAS_MAX);
            last.filter_map(|id| Some((*id, self.held.get(id)?.schema.as_ref().clone()))).collect()
        })
    }

    pub(super) fn restore(&mut self, schemas: &KnownSchemas) {
        for (id, schema) in schemas {
            self.held.entry(*id).or_insert_with(|| Held { schema: Arc::new(schema.clone()), resolved: None });
            self.used(*id);
        }
    }
}

/// What stands before each value.
pub(super) fn head(id: u32) -> [u8; HEAD] {
    let [a, b, c, d] = id.to_be_bytes();
    [0, a, b, c, d]
}
