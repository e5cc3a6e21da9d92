//! avro-confluent: rows whose messages name their schema in a registry.
//!
//! The schema of a message and the table's columns are compared once for each schema: fields are found by name, numbers
//! are widened, what the message lacks is NULL or the default of the schema that the option `schema` gives.

use std::sync::Arc;

use flott_connector::format::{
    Decoding, Encoder, EncoderFactory, FormatContext, FormatFactory, MessageDecoder, MessageDecoderFactory, Messages,
    RecordPosition,
};
use flott_connector::infer::Infer;
use flott_connector::schema_registry::{KnownSchemas, RegisteredSchema, SchemaRegistry, SchemaRegistryFactory};
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{ChangeBatch, Error, Result};

use super::infer::AvroInference;
use super::message::{each, only_inserts};
use super::options::TIMESTAMP_LEGACY;
use super::registry::{Framed, head};
use super::root::Resolved;
use super::schema::AvroSchema;
use super::{derive, write};
use crate::builder::Rows;

pub(super) const SUBJECT: ConfigOption = ConfigOption::optional(
    "subject",
    OptionType::String,
    None,
    "The subject under which the schema of a sink is registered. 'kafka' and 'upsert-kafka' take `<topic>-value` or `<topic>-key` where it is not set.",
);
pub(super) const SCHEMA: ConfigOption = ConfigOption::optional(
    "schema",
    OptionType::String,
    None,
    "The schema in Avro's JSON, instead of the one that the columns give: a sink writes it, a source takes the defaults of fields and their aliases from it. Its fields have to be the columns.",
);

pub(super) const OLD_SUBJECT: ConfigOption =
    ConfigOption::optional("schema-registry.subject", OptionType::String, None, "The older name of 'subject'.");
pub(super) const OLD_SCHEMA: ConfigOption =
    ConfigOption::optional("schema-registry.schema", OptionType::String, None, "The older name of 'schema'.");

/// An option by its name, or by its older one.
pub(super) fn text_of<'a>(options: &'a Options, option: &ConfigOption, older: &ConfigOption) -> Option<&'a str> {
    options.get(option.key).or(options.get(older.key))
}

/// The options of a format with a registry: the registry's and these.
pub(super) fn options_with(registry: &dyn SchemaRegistryFactory, own: &[ConfigOption]) -> &'static [ConfigOption] {
    // One table for each format of a process.
    Box::leak([registry.options(), own].concat().into_boxed_slice())
}

/// The format `avro-confluent`.
pub struct AvroConfluentFormat {
    registries: Arc<dyn SchemaRegistryFactory>,
    options: &'static [ConfigOption],
}

impl AvroConfluentFormat {
    /// With this kind of registry.
    pub fn new(registries: Arc<dyn SchemaRegistryFactory>) -> AvroConfluentFormat {
        let options = options_with(&*registries, &[SUBJECT, OLD_SUBJECT, SCHEMA, OLD_SCHEMA, TIMESTAMP_LEGACY]);
        AvroConfluentFormat { registries, options }
    }

    fn schema(&self, columns: &arrow_schema::Fields, options: &Options) -> Result<AvroSchema> {
        match text_of(options, &SCHEMA, &OLD_SCHEMA) {
            Some(text) => {
                AvroSchema::parse(text).map_err(|e| e.with("option", format!("avro-confluent.{}", SCHEMA.key)))
            }
            None => derive::schema_of(columns, options.bool(&TIMESTAMP_LEGACY)?),
        }
    }
}

pub(super) fn no_files(format: &str) -> Error {
    Error::user(format!("Format '{format}' reads and writes messages, and no files"))
        .with("option", "format")
        .hint("Use it with 'kafka' or 'upsert-kafka'; files hold their schema themselves with 'avro'")
}

impl FormatFactory for AvroConfluentFormat {
    fn identifier(&self) -> &'static str {
        "avro-confluent"
    }

    fn options(&self) -> &'static [ConfigOption] {
        self.options
    }

    fn decoding(&self, _context: &FormatContext) -> Result<Decoding> {
        Err(no_files(self.identifier()))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        let reader = Arc::new(self.schema(context.declared.fields(), &context.options)?);
        // What the given schema and the columns differ in is said here, and not by a message.
        Resolved::new(Arc::clone(&reader), &Rows::new(&context.schema)?, &reader)
            .map_err(|e| e.with("option", format!("avro-confluent.{}", SCHEMA.key)))?;
        let registry = self.registries.open(&context.options)?;
        Ok(Arc::new(ConfluentDecoding { context: context.clone(), reader, registry }))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(AvroInference { is_envelope: false, registries: Some(Arc::clone(&self.registries)) }))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        let schema = self.schema(context.schema.fields(), &context.options)?;
        check_columns(&schema, &context.schema)?;
        Ok(Arc::new(RegisteredEncoding::new(self.identifier(), context, schema, &*self.registries)?))
    }
}

struct ConfluentDecoding {
    context: FormatContext,
    reader: Arc<AvroSchema>,
    registry: Arc<dyn SchemaRegistry>,
}

impl MessageDecoderFactory for ConfluentDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        let framed = Framed::new(Arc::clone(&self.registry), Arc::clone(&self.reader));
        Ok(Box::new(ConfluentDecoder { framed, rows: Rows::new(&self.context.schema)? }))
    }
}

struct ConfluentDecoder {
    framed: Framed,
    rows: Rows,
}

impl MessageDecoder for ConfluentDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        let Some(message) = message else { return Ok(0) };
        self.framed.read(message, &mut self.rows, position).map(usize::from)
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        Ok(ChangeBatch::append(self.rows.take()?))
    }

    fn known_schemas(&self) -> Option<&KnownSchemas> {
        Some(self.framed.known())
    }

    fn restore_schemas(&mut self, schemas: &KnownSchemas) {
        self.framed.restore(schemas);
    }
}

/// Writes rows as messages of a schema that is registered when the first encoder is made.
pub(super) struct RegisteredEncoding {
    format: &'static str,
    schema: Arc<AvroSchema>,
    subject: String,
    registry: Arc<dyn SchemaRegistry>,
}

impl RegisteredEncoding {
    pub(super) fn new(
        format: &'static str,
        context: &FormatContext,
        schema: AvroSchema,
        registries: &dyn SchemaRegistryFactory,
    ) -> Result<RegisteredEncoding> {
        let Some(subject) = text_of(&context.options, &SUBJECT, &OLD_SUBJECT) else {
            return Err(Error::user(format!("Option '{format}.subject' is required for serialization"))
                .with("option", format!("{format}.subject"))
                .hint("Name the subject under which the schema is registered"));
        };
        let registry = registries.open(&context.options)?;
        Ok(RegisteredEncoding { format, schema: Arc::new(schema), subject: subject.to_string(), registry })
    }

    /// The number of the schema, and the schema.
    pub(super) fn registered(&self) -> Result<(u32, Arc<AvroSchema>)> {
        let schema = RegisteredSchema { kind: "AVRO".to_string(), text: self.schema.text.clone(), references: vec![] };
        let id = self.registry.id(&self.subject, &schema).map_err(|e| e.with("format", self.format))?;
        Ok((id, Arc::clone(&self.schema)))
    }
}

impl EncoderFactory for RegisteredEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        let (id, schema) = self.registered()?;
        Ok(Box::new(ConfluentEncoder { id, schema }))
    }

    fn file_extension(&self) -> &str {
        "avro"
    }
}

struct ConfluentEncoder {
    id: u32,
    schema: Arc<AvroSchema>,
}

impl Encoder for ConfluentEncoder {
    fn encode(&mut self, _rows: &ChangeBatch, _out: &mut Vec<u8>) -> Result<()> {
        Err(no_files("avro-confluent"))
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        only_inserts(rows, "avro-confluent")?;
        let Messages { bytes, ends } = out;
        let head = head(self.id);
        let begin = |bytes: &mut Vec<u8>| bytes.extend_from_slice(&head);
        each(&self.schema, rows, bytes, begin, |bytes| {
            ends.push((bytes.len(), true));
            Ok(())
        })
    }
}

/// Whether columns of this table can be written with a schema.
pub(super) fn check_columns(schema: &AvroSchema, columns: &arrow_schema::SchemaRef) -> Result<()> {
    let empty = arrow_array::RecordBatch::new_empty(Arc::clone(columns));
    let named: Vec<_> = columns.fields().iter().map(|f| f.name().as_str()).zip(empty.columns()).collect();
    let node = write::branches(schema, schema.root).map_or(schema.root, |(.., node)| node);
    write::record(schema, node, named.into_iter()).map(drop)
}
