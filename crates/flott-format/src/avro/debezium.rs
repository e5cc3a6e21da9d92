//! debezium-avro-confluent: changes of a database's table, each message with the row before and after it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use flott_connector::factory::ChangelogMode;
use flott_connector::format::{
    Decoding, Encoder, EncoderFactory, FormatContext, FormatFactory, MessageDecoder, MessageDecoderFactory, Messages,
    RecordPosition,
};
use flott_connector::infer::Infer;
use flott_connector::schema_registry::{KnownSchemas, SchemaRegistry, SchemaRegistryFactory};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::{TypeKind, arrow_field};
use flott_core::{ChangeBatch, Error, Result, RowKind};

use super::confluent::{
    OLD_SCHEMA, OLD_SUBJECT, RegisteredEncoding, SCHEMA, SUBJECT, check_columns, no_files, options_with, text_of,
};
use super::derive;
use super::infer::AvroInference;
use super::message::{at, each};
use super::registry::{Framed, head};
use super::root::Resolved;
use super::schema::AvroSchema;
use crate::builder::{ColumnBuilder, Rows, Values};

const NAME: &str = "debezium-avro-confluent";
/// Places of the envelope's columns.
const BEFORE: usize = 0;
const AFTER: usize = 1;
const OPERATION: usize = 2;

/// The format `debezium-avro-confluent`.
pub struct DebeziumAvroFormat {
    registries: Arc<dyn SchemaRegistryFactory>,
    options: &'static [ConfigOption],
}

impl DebeziumAvroFormat {
    /// With this kind of registry.
    pub fn new(registries: Arc<dyn SchemaRegistryFactory>) -> DebeziumAvroFormat {
        let options = options_with(&*registries, &[SUBJECT, OLD_SUBJECT, SCHEMA, OLD_SCHEMA]);
        DebeziumAvroFormat { registries, options }
    }
}

fn schema_of(columns: &Fields, options: &Options) -> Result<AvroSchema> {
    match text_of(options, &SCHEMA, &OLD_SCHEMA) {
        Some(text) => {
            AvroSchema::parse(text).map_err(|e| e.with("option", format!("debezium-avro-confluent.{}", SCHEMA.key)))
        }
        None => derive::envelope_of(columns),
    }
}

/// `before` and `after` with these columns, and `op`. What is NOT NULL in the table may be absent in an image.
fn envelope(columns: &Fields) -> SchemaRef {
    let relaxed: Fields = columns.iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let image = |name: &str| Field::new(name, DataType::Struct(relaxed.clone()), true);
    Arc::new(Schema::new(vec![image("before"), image("after"), arrow_field("op", &TypeKind::STRING.nullable())]))
}

impl FormatFactory for DebeziumAvroFormat {
    fn identifier(&self) -> &'static str {
        NAME
    }

    fn options(&self) -> &'static [ConfigOption] {
        self.options
    }

    fn changelog_mode(&self) -> ChangelogMode {
        ChangelogMode::ALL
    }

    fn decoding(&self, _context: &FormatContext) -> Result<Decoding> {
        Err(no_files(NAME))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        let reader = Arc::new(schema_of(context.declared.fields(), &context.options)?);
        let envelope = envelope(context.schema.fields());
        Resolved::new(Arc::clone(&reader), &Rows::new(&envelope)?, &reader)
            .map_err(|e| e.with("option", format!("debezium-avro-confluent.{}", SCHEMA.key)))?;
        let registry = self.registries.open(&context.options)?;
        Ok(Arc::new(DebeziumDecoding { schema: Arc::clone(&context.schema), envelope, reader, registry }))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(AvroInference { is_envelope: true, registries: Some(Arc::clone(&self.registries)) }))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        let schema = schema_of(context.schema.fields(), &context.options)?;
        let envelope = envelope(context.schema.fields());
        check_columns(&schema, &envelope)?;
        let registered = RegisteredEncoding::new(NAME, context, schema, &*self.registries)?;
        Ok(Arc::new(DebeziumEncoding { registered, envelope }))
    }
}

struct DebeziumDecoding {
    schema: SchemaRef,
    envelope: SchemaRef,
    reader: Arc<AvroSchema>,
    registry: Arc<dyn SchemaRegistry>,
}

impl MessageDecoderFactory for DebeziumDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        Ok(Box::new(DebeziumDecoder {
            schema: Arc::clone(&self.schema),
            framed: Framed::new(Arc::clone(&self.registry), Arc::clone(&self.reader)),
            rows: Rows::new(&self.envelope)?,
            places: vec![],
        }))
    }
}

struct DebeziumDecoder {
    schema: SchemaRef,
    framed: Framed,
    rows: Rows,
    /// Of each row: its kind, the image, and the message.
    places: Vec<(RowKind, usize, usize)>,
}

/// The last text of a column.
fn last_text(column: &ColumnBuilder) -> Option<&[u8]> {
    match &column.values {
        Values::Bytes { offsets, data } if column.is_last_valid() => match offsets[..] {
            [.., start, end] => data.get(start as usize..end as usize),
            _ => None,
        },
        _ => None,
    }
}

impl DebeziumDecoder {
    /// The rows of the message that was read last.
    fn last_rows(&self) -> Result<Vec<(RowKind, usize, usize)>> {
        let message = self.rows.rows - 1;
        let operation = last_text(&self.rows.columns[OPERATION]).map(String::from_utf8_lossy).unwrap_or_default();
        let wanted: &[(RowKind, usize)] = match &*operation {
            "c" | "r" => &[(RowKind::Insert, AFTER)],
            "u" => &[(RowKind::UpdateBefore, BEFORE), (RowKind::UpdateAfter, AFTER)],
            "d" => &[(RowKind::Delete, BEFORE)],
            other => return Err(Error::data(format!("'{other}' is no kind of change: c, r, u or d"))),
        };
        for (_, image) in wanted {
            let column = &self.rows.columns[*image];
            let name = column.field.name();
            if !column.is_last_valid() {
                return Err(Error::data(format!("The \"{name}\" field of a message with \"op\" '{operation}' is null")).hint(
                    "The table has to log whole rows: REPLICA IDENTITY FULL in PostgreSQL, binlog_row_image FULL in MySQL",
                ));
            }
            let Values::Struct(children) = &column.values else { continue };
            let lacking =
                self.schema.fields().iter().zip(children).find(|(f, c)| !f.is_nullable() && !c.is_last_valid());
            if let Some((field, _)) = lacking {
                return Err(Error::data("a row has no value for a column that is NOT NULL")
                    .with("column", field.name())
                    .hint("Declare the column nullable: a deletion may hold the key alone"));
            }
        }
        Ok(wanted.iter().map(|(kind, image)| (*kind, *image, message)).collect())
    }
}

impl MessageDecoder for DebeziumDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        // A tombstone says nothing that the deletion before it has not said.
        let Some(message) = message.filter(|m| !m.is_empty()) else { return Ok(0) };
        if !self.framed.read(message, &mut self.rows, position)? {
            return Ok(0);
        }
        match self.last_rows() {
            Ok(places) => {
                let count = places.len();
                self.places.extend(places);
                Ok(count)
            }
            Err(e) => {
                self.rows.rows -= 1;
                let rows = self.rows.rows;
                self.rows.columns.iter_mut().for_each(|c| c.truncate(rows));
                Err(at(e, position))
            }
        }
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        let decoded = self.rows.take()?;
        let places = std::mem::take(&mut self.places);
        let indices: Vec<(usize, usize)> = places.iter().map(|(_, image, message)| (*image, *message)).collect();
        let (before, after) = (decoded.column(BEFORE).as_struct(), decoded.column(AFTER).as_struct());
        let column = |c: usize| -> Result<ArrayRef> {
            Ok(interleave(&[before.column(c).as_ref(), after.column(c).as_ref()], &indices)?)
        };
        let columns = (0..self.schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        ChangeBatch::new(rows, places.iter().map(|(kind, ..)| *kind).collect())
    }

    fn known_schemas(&self) -> Option<&KnownSchemas> {
        Some(self.framed.known())
    }

    fn restore_schemas(&mut self, schemas: &KnownSchemas) {
        self.framed.restore(schemas);
    }
}

struct DebeziumEncoding {
    registered: RegisteredEncoding,
    envelope: SchemaRef,
}

impl EncoderFactory for DebeziumEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        let (id, schema) = self.registered.registered()?;
        Ok(Box::new(DebeziumEncoder { id, schema, envelope: Arc::clone(&self.envelope) }))
    }

    fn file_extension(&self) -> &str {
        "avro"
    }
}

struct DebeziumEncoder {
    id: u32,
    schema: Arc<AvroSchema>,
    envelope: SchemaRef,
}

impl DebeziumEncoder {
    /// An update is a deletion and an insert, as in Flink.
    fn envelopes(&self, rows: &ChangeBatch) -> Result<RecordBatch> {
        let is_addition: Vec<bool> = (0..rows.num_rows()).map(|row| rows.kind(row).is_addition()).collect();
        let image = |of_additions: bool| -> Result<ArrayRef> {
            let DataType::Struct(fields) = self.envelope.field(BEFORE).data_type() else {
                return Err(Error::internal("an envelope without rows"));
            };
            let nulls = is_addition.iter().map(|a| *a == of_additions).collect();
            let columns = rows.rows.columns().to_vec();
            Ok(Arc::new(arrow_array::StructArray::try_new(fields.clone(), columns, Some(nulls))?))
        };
        let operation: arrow_array::StringArray =
            is_addition.iter().map(|a| Some(if *a { "c" } else { "d" })).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.envelope), vec![image(false)?, image(true)?, Arc::new(operation)])?)
    }
}

impl Encoder for DebeziumEncoder {
    fn encode(&mut self, _rows: &ChangeBatch, _out: &mut Vec<u8>) -> Result<()> {
        Err(no_files(NAME))
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        let envelopes = ChangeBatch::append(self.envelopes(rows)?);
        let Messages { bytes, ends } = out;
        let head = head(self.id);
        let begin = |bytes: &mut Vec<u8>| bytes.extend_from_slice(&head);
        each(&self.schema, &envelopes, bytes, begin, |bytes| {
            ends.push((bytes.len(), true));
            Ok(())
        })
    }
}
