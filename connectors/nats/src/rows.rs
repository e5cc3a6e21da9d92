//! From messages to rows: the payload through its format, metadata beside it.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, SchemaRef};
use async_nats::HeaderMap;
use flott_connector::dead_letter::{DeadLetter, DeadLetters, InvalidRecords, TolerantDecoder};
use flott_connector::factory::MetadataKey;
use flott_connector::format::{MessageDecoderFactory, RecordPosition};
use flott_connector::schema_registry::KnownSchemas;
use flott_core::types::{LogicalType, TypeKind};
use flott_core::{ChangeBatch, Result};

/// A metadata column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    Stream,
    Subject,
    Sequence,
    Timestamp,
    Headers,
    HeaderList,
}

impl Metadata {
    pub(crate) fn of(key: &str) -> Option<Metadata> {
        Some(match key {
            "stream" => Metadata::Stream,
            "subject" => Metadata::Subject,
            "sequence" => Metadata::Sequence,
            "timestamp" => Metadata::Timestamp,
            "headers" => Metadata::Headers,
            "header-list" => Metadata::HeaderList,
            _ => return None,
        })
    }
}

/// What the connector offers.
pub(crate) fn metadata_keys() -> Vec<MetadataKey> {
    let key =
        |key: &'static str, data_type: LogicalType, writable| MetadataKey { key: key.into(), data_type, writable };
    let parsed = |text: &str| text.parse().unwrap_or_else(|_| TypeKind::STRING.not_null());
    vec![
        key("stream", TypeKind::STRING.not_null(), false),
        key("subject", TypeKind::STRING.not_null(), true),
        key("sequence", TypeKind::BigInt.not_null(), false),
        key("timestamp", TypeKind::timestamp_ltz(3).not_null(), false),
        key("headers", parsed("MAP<STRING, STRING> NOT NULL"), true),
        key("header-list", parsed("ARRAY<ROW<`key` STRING, `value` STRING>> NOT NULL"), true),
    ]
}

/// Where a column of the output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Column of the decoded payload.
    Value(usize),
    Metadata(Metadata),
}

/// How rows are made, shared by all readers.
pub(crate) struct RowPlan {
    pub(crate) schema: SchemaRef,
    pub(crate) origins: Vec<Origin>,
    pub(crate) value: Arc<dyn MessageDecoderFactory>,
    pub(crate) invalid: InvalidRecords,
}

impl RowPlan {
    fn needs(&self, metadata: Metadata) -> bool {
        self.origins.contains(&Origin::Metadata(metadata))
    }
}

/// A message of the stream.
pub(crate) struct Incoming<'a> {
    pub(crate) subject: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) sequence: u64,
    pub(crate) timestamp_ms: i64,
}

/// Makes the rows of one part of a stream.
pub(crate) struct RowDecoder {
    plan: Arc<RowPlan>,
    stream: String,
    origin: Arc<str>,
    value: TolerantDecoder,
    dead_letters: DeadLetters,
    /// Of each row its message. None where each message has had one.
    places: Option<Vec<u32>>,
    rows: u32,
    messages: u32,
    subjects: Vec<String>,
    sequences: Vec<i64>,
    timestamps: Vec<i64>,
    headers: Vec<Vec<(String, String)>>,
    skipped: u64,
}

impl RowDecoder {
    pub(crate) fn new(plan: Arc<RowPlan>, stream: &str, schemas: &KnownSchemas) -> Result<RowDecoder> {
        let mut value = TolerantDecoder::new(Arc::clone(&plan.value), plan.invalid)?;
        value.restore_schemas(schemas);
        Ok(RowDecoder {
            value,
            dead_letters: DeadLetters::default(),
            stream: stream.to_string(),
            origin: stream.into(),
            places: None,
            rows: 0,
            messages: 0,
            subjects: vec![],
            sequences: vec![],
            timestamps: vec![],
            headers: vec![],
            skipped: 0,
            plan,
        })
    }

    pub(crate) fn known_schemas(&self) -> Option<&KnownSchemas> {
        self.value.known_schemas()
    }

    /// Rows that wait.
    pub(crate) fn rows(&self) -> usize {
        self.rows as usize
    }

    /// So many messages have been read again, for those that cannot be read, that the batch had better end.
    pub(crate) fn is_costly(&self, most: usize) -> bool {
        self.value.is_costly(most)
    }

    pub(crate) fn decode(&mut self, message: Incoming<'_>) -> Result<()> {
        let position =
            RecordPosition { origin: Arc::clone(&self.origin), row: 0, offset: message.sequence, row_is_exact: false };
        let decoded = self.value.decode(Some(message.payload), &position).map_err(|e| {
            e.with("stream", &self.stream).with("subject", message.subject).with("sequence", message.sequence)
        })?;
        if let Some(error) = self.value.take_failed().filter(|_| self.plan.invalid == InvalidRecords::DeadLetter) {
            let (topic, offset) = (self.stream.as_str(), i64::try_from(message.sequence).unwrap_or(i64::MAX));
            let (part, value) = ("value", Some(message.payload));
            self.dead_letters.push(DeadLetter { topic, partition: None, offset, part, key: None, value }, &error);
        }
        let (rows, decoded) = (self.rows, u32::try_from(decoded).unwrap_or(u32::MAX));
        if decoded != 1 || self.places.is_some() {
            let places = self.places.get_or_insert_with(|| (0..rows).collect());
            places.extend(std::iter::repeat_n(self.messages, decoded as usize));
        }
        if decoded == 0 {
            self.skipped += 1;
        }
        self.rows += decoded;
        self.messages += 1;
        if self.plan.needs(Metadata::Subject) {
            self.subjects.push(message.subject.to_string());
        }
        if self.plan.needs(Metadata::Sequence) {
            self.sequences.push(i64::try_from(message.sequence).unwrap_or(i64::MAX));
        }
        if self.plan.needs(Metadata::Timestamp) {
            self.timestamps.push(message.timestamp_ms);
        }
        if self.plan.needs(Metadata::Headers) || self.plan.needs(Metadata::HeaderList) {
            self.headers.push(message.headers.map(listed).unwrap_or_default());
        }
        Ok(())
    }

    /// The rows since the last call, how many messages were skipped, and those of them that go to a table of their own.
    pub(crate) fn flush(&mut self) -> Result<(ChangeBatch, u64, Option<RecordBatch>)> {
        let values = self.value.flush()?;
        let places: Option<UInt32Array> = self.places.take().map(UInt32Array::from);
        let plan = Arc::clone(&self.plan);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.origins.len());
        for (origin, field) in plan.origins.iter().zip(plan.schema.fields()) {
            columns.push(match (origin, &places) {
                (Origin::Value(i), _) => Arc::clone(values.rows.column(*i)),
                (Origin::Metadata(metadata), None) => self.metadata(*metadata, field)?,
                (Origin::Metadata(metadata), Some(places)) => {
                    arrow_select::take::take(&self.metadata(*metadata, field)?, places, None)?
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows as usize));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&plan.schema), columns, &options)?;
        (self.rows, self.messages) = (0, 0);
        self.headers.clear();
        let skipped = std::mem::take(&mut self.skipped);
        Ok((ChangeBatch { rows, kinds: values.kinds }, skipped, self.dead_letters.take()?))
    }

    /// One value a message.
    fn metadata(&mut self, metadata: Metadata, field: &Field) -> Result<ArrayRef> {
        Ok(match metadata {
            Metadata::Stream => Arc::new(StringArray::from(vec![self.stream.as_str(); self.messages as usize])),
            Metadata::Subject => Arc::new(StringArray::from(std::mem::take(&mut self.subjects))),
            Metadata::Sequence => Arc::new(Int64Array::from(std::mem::take(&mut self.sequences))),
            Metadata::Timestamp => {
                let times = TimestampMillisecondArray::from(std::mem::take(&mut self.timestamps));
                match field.data_type() {
                    DataType::Timestamp(_, zone) => Arc::new(times.with_timezone_opt(zone.clone())),
                    _ => Arc::new(times),
                }
            }
            Metadata::Headers => {
                // Of headers with one name the last one counts.
                let last = |headers: &Vec<(String, String)>| {
                    let mut kept: Vec<(String, String)> = vec![];
                    for (name, value) in headers {
                        match kept.iter_mut().find(|(k, _)| k == name) {
                            Some(old) => old.1.clone_from(value),
                            None => kept.push((name.clone(), value.clone())),
                        }
                    }
                    kept
                };
                headers_array(&self.headers.iter().map(last).collect::<Vec<_>>(), field)?
            }
            Metadata::HeaderList => headers_array(&self.headers, field)?,
        })
    }
}

/// Names and values by name: a message has names in no order.
fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| (name.to_string(), v.as_str().to_string())))
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

/// Names and values as a map or a list of rows, as the column's type has it.
fn headers_array(messages: &[Vec<(String, String)>], field: &Field) -> Result<ArrayRef> {
    let (mut names, mut values) = (StringBuilder::new(), StringBuilder::new());
    for (name, value) in messages.iter().flatten() {
        names.append_value(name);
        values.append_value(value);
    }
    flott_connector::headers::array(
        field,
        messages.iter().map(Vec::len),
        Arc::new(names.finish()),
        Arc::new(values.finish()),
    )
}
