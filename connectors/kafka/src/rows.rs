//! From records to rows: key and value through their formats, metadata beside them.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int32Builder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMillisecondArray,
    UInt32Array, make_array,
};
use arrow_schema::{DataType, Field, SchemaRef};
use flott_connector::dead_letter::{DeadLetter, DeadLetters, InvalidRecords, TolerantDecoder};
use flott_connector::factory::MetadataKey;
use flott_connector::format::{MessageDecoderFactory, RecordPosition};
use flott_connector::schema_registry::KnownSchemas;
use flott_core::types::{LogicalType, TypeKind};
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds};

/// Bytes of a key or a value at most: as many as formats take in one record.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;

/// A metadata column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    Topic,
    Partition,
    Headers,
    HeaderList,
    LeaderEpoch,
    Offset,
    Timestamp,
    TimestampType,
}

impl Metadata {
    pub(crate) fn of(key: &str) -> Option<Metadata> {
        Some(match key {
            "topic" => Metadata::Topic,
            "partition" => Metadata::Partition,
            "headers" => Metadata::Headers,
            "header-list" => Metadata::HeaderList,
            "leader-epoch" => Metadata::LeaderEpoch,
            "offset" => Metadata::Offset,
            "timestamp" => Metadata::Timestamp,
            "timestamp-type" => Metadata::TimestampType,
            _ => return None,
        })
    }
}

/// What both connectors offer.
pub(crate) fn metadata_keys() -> Vec<MetadataKey> {
    let key =
        |key: &'static str, data_type: LogicalType, writable| MetadataKey { key: key.into(), data_type, writable };
    let parsed = |text: &str| text.parse().unwrap_or_else(|_| TypeKind::BYTES.not_null());
    vec![
        key("topic", TypeKind::STRING.not_null(), true),
        key("partition", TypeKind::Int.not_null(), false),
        key("headers", parsed("MAP<STRING, BYTES> NOT NULL"), true),
        key("header-list", parsed("ARRAY<ROW<`key` STRING, `value` BYTES>> NOT NULL"), true),
        key("leader-epoch", TypeKind::Int.nullable(), false),
        key("offset", TypeKind::BigInt.not_null(), false),
        key("timestamp", TypeKind::timestamp_ltz(3).not_null(), true),
        key("timestamp-type", TypeKind::STRING.not_null(), false),
    ]
}

/// Where a column of the output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Column of the decoded value.
    Value(usize),
    /// Column of the decoded key.
    Key(usize),
    Metadata(Metadata),
}

/// How rows are made, shared by all readers.
pub(crate) struct RowPlan {
    pub(crate) schema: SchemaRef,
    pub(crate) origins: Vec<Origin>,
    pub(crate) value: Arc<dyn MessageDecoderFactory>,
    /// Where a column needs it, and where NULL values delete.
    pub(crate) key: Option<Arc<dyn MessageDecoderFactory>>,
    /// `upsert-kafka`: `+U`, and `-D` for a NULL value.
    pub(crate) upsert: bool,
    pub(crate) invalid: InvalidRecords,
}

impl RowPlan {
    pub(crate) fn needs(&self, metadata: Metadata) -> bool {
        self.origins.contains(&Origin::Metadata(metadata))
    }
}

/// A record as the client hands it over.
pub(crate) struct Incoming<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) offset: i64,
    /// Milliseconds; -1 where there is none.
    pub(crate) timestamp_ms: i64,
    pub(crate) timestamp_type: &'static str,
    pub(crate) leader_epoch: Option<i32>,
    /// Empty where nobody asks for them.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Makes the rows of one partition.
pub(crate) struct RowDecoder {
    plan: Arc<RowPlan>,
    topic: String,
    partition: i32,
    origin: Arc<str>,
    value: TolerantDecoder,
    key: Option<TolerantDecoder>,
    dead_letters: DeadLetters,
    /// Rows decoded since the last batch.
    values: u32,
    keys: u32,
    /// Of each row: its value (none of a deletion), its key, its record. None where all three are just counted.
    places: Option<Vec<(Option<u32>, u32, u32)>>,
    records: u32,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    timestamp_types: Vec<&'static str>,
    leader_epochs: Vec<Option<i32>>,
    headers: Vec<Vec<(String, Option<Vec<u8>>)>>,
    skipped: u64,
}

impl RowDecoder {
    pub(crate) fn new(plan: Arc<RowPlan>, topic: &str, partition: i32) -> Result<RowDecoder> {
        let decoder =
            |factory: &Arc<dyn MessageDecoderFactory>| TolerantDecoder::new(Arc::clone(factory), plan.invalid);
        let key = plan.key.as_ref().map(decoder).transpose()?;
        Ok(RowDecoder {
            value: decoder(&plan.value)?,
            key,
            dead_letters: DeadLetters::default(),
            topic: topic.to_string(),
            partition,
            origin: format!("{topic}-{partition}").into(),
            values: 0,
            keys: 0,
            places: None,
            records: 0,
            offsets: vec![],
            timestamps: vec![],
            timestamp_types: vec![],
            leader_epochs: vec![],
            headers: vec![],
            skipped: 0,
            plan,
        })
    }

    /// Takes over what a decoder before it has looked up.
    pub(crate) fn restore_schemas(&mut self, value: &KnownSchemas, key: &KnownSchemas) {
        self.value.restore_schemas(value);
        if let Some(decoder) = &mut self.key {
            decoder.restore_schemas(key);
        }
    }

    /// What value and key have looked up in a registry.
    pub(crate) fn known_schemas(&self) -> (Option<&KnownSchemas>, Option<&KnownSchemas>) {
        (self.value.known_schemas(), self.key.as_ref().and_then(TolerantDecoder::known_schemas))
    }

    /// Rows that wait.
    pub(crate) fn rows(&self) -> usize {
        self.places.as_ref().map_or(self.values as usize, Vec::len)
    }

    /// So many records have been read again, for those that cannot be read, that the batch had better end.
    pub(crate) fn is_costly(&self, most: usize) -> bool {
        self.value.is_costly(most) || self.key.as_ref().is_some_and(|k| k.is_costly(most))
    }

    /// A record that no format is asked to read. Where it becomes a dead letter, that has its place and not what is too large.
    fn refuse_large(&mut self, record: &Incoming<'_>, part: &'static str, bytes: usize) -> Result<()> {
        let (partition, offset) = (self.partition, record.offset);
        let error = Error::data(format!(
            "The {part} of a record is {bytes} bytes large, and at most {RECORD_BYTES_MAX} are read (RECORD_BYTES_MAX)"
        ))
        .hint("'scan.invalid-records' says what becomes of such records");
        if self.plan.invalid == InvalidRecords::Fail {
            return Err(error
                .with("topic", &self.topic)
                .with("partition", partition)
                .with("offset", offset)
                .with("part", part));
        }
        if self.plan.invalid == InvalidRecords::DeadLetter {
            let small = |bytes: Option<&'_ [u8]>| bytes.filter(|b| b.len() <= RECORD_BYTES_MAX).map(<[u8]>::to_vec);
            let (key, value) = (small(record.key), small(record.value));
            let (topic, partition) = (self.topic.as_str(), Some(partition));
            let letter = DeadLetter { topic, partition, offset, part, key: key.as_deref(), value: value.as_deref() };
            self.dead_letters.push(letter, &error);
        }
        self.skipped += 1;
        Ok(())
    }

    /// Decodes one record.
    pub(crate) fn decode(&mut self, record: Incoming<'_>) -> Result<()> {
        for (part, bytes) in [("value", record.value), ("key", record.key)] {
            let bytes = bytes.map_or(0, <[u8]>::len);
            if bytes > RECORD_BYTES_MAX {
                return self.refuse_large(&record, part, bytes);
            }
        }
        let position = RecordPosition {
            origin: Arc::clone(&self.origin),
            row: 0,
            offset: u64::try_from(record.offset).unwrap_or(0),
            row_is_exact: false,
        };
        let (topic, partition, offset) = (&self.topic, self.partition, record.offset);
        let named = |e: Error, what: &str| {
            e.with("topic", topic).with("partition", partition).with("offset", offset).with("part", what)
        };
        let deletes = self.plan.upsert && record.value.is_none();
        let values =
            if deletes { 0 } else { self.value.decode(record.value, &position).map_err(|e| named(e, "value"))? as u32 };
        let keys = match &mut self.key {
            Some(key) => key.decode(record.key, &position).map_err(|e| named(e, "key"))? as u32,
            None => 1,
        };
        let of_value = self.value.take_failed().map(|e| (e, "value"));
        let of_key = self.key.as_mut().and_then(TolerantDecoder::take_failed).map(|e| (e, "key"));
        if let Some((error, part)) = of_value.or(of_key).filter(|_| self.plan.invalid == InvalidRecords::DeadLetter) {
            let (topic, partition) = (self.topic.as_str(), Some(partition));
            let letter = DeadLetter { topic, partition, offset, part, key: record.key, value: record.value };
            self.dead_letters.push(letter, &error);
        }
        let (value, key, number) = (self.values, self.keys, self.records);
        if values != 1 || keys != 1 || deletes || self.places.is_some() {
            let before = || (0..value).map(|i| (Some(i), i, i)).collect();
            let places = self.places.get_or_insert_with(before);
            // As in Flink: each key of the record with each of its values.
            for k in 0..keys {
                if deletes {
                    places.push((None, key + k, number));
                }
                places.extend((0..values).map(|v| (Some(value + v), key + k, number)));
            }
        }
        // A key that cannot be read takes its values with it, as in Flink.
        if values == 0 && record.value.is_some() || keys == 0 && (values > 0 || deletes) {
            self.skipped += 1;
        }
        self.values += values;
        self.keys += keys;
        self.records += 1;
        let plan = &self.plan;
        if plan.needs(Metadata::Offset) {
            self.offsets.push(record.offset);
        }
        if plan.needs(Metadata::Timestamp) {
            self.timestamps.push(record.timestamp_ms);
        }
        if plan.needs(Metadata::TimestampType) {
            self.timestamp_types.push(record.timestamp_type);
        }
        if plan.needs(Metadata::LeaderEpoch) {
            self.leader_epochs.push(record.leader_epoch);
        }
        if plan.needs(Metadata::Headers) || plan.needs(Metadata::HeaderList) {
            self.headers.push(record.headers);
        }
        Ok(())
    }

    /// The rows since the last call, how many records were skipped, and those of them that go to a table of their own.
    pub(crate) fn flush(&mut self) -> Result<(ChangeBatch, u64, Option<RecordBatch>)> {
        let values = self.value.flush()?;
        let keys = self.key.as_mut().map(TolerantDecoder::flush).transpose()?;
        let rows = self.rows();
        let places = self.places.take();
        let plan = Arc::clone(&self.plan);
        let of = |pick: fn(&(Option<u32>, u32, u32)) -> Option<u32>| -> Option<UInt32Array> {
            places.as_ref().map(|p| p.iter().map(pick).collect())
        };
        let (of_value, of_key, of_record) = (of(|p| p.0), of(|p| Some(p.1)), of(|p| Some(p.2)));
        let take = |column: &ArrayRef, places: &Option<UInt32Array>| -> Result<ArrayRef> {
            Ok(match places {
                None => Arc::clone(column),
                Some(places) => arrow_select::take::take(column, places, None)?,
            })
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.origins.len());
        for (origin, field) in plan.origins.iter().zip(plan.schema.fields()) {
            let column = match origin {
                Origin::Value(i) => filled(take(values.rows.column(*i), &of_value)?, field)?,
                Origin::Key(i) => match &keys {
                    Some(keys) => take(keys.rows.column(*i), &of_key)?,
                    None => return Err(Error::internal("a key column without a key format")),
                },
                Origin::Metadata(metadata) => take(&self.metadata(*metadata, field)?, &of_record)?,
            };
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&plan.schema), columns, &options)?;
        let kinds = if plan.upsert {
            let kind = |p: &(Option<u32>, u32, u32)| if p.0.is_none() { RowKind::Delete } else { RowKind::UpdateAfter };
            Some(match &places {
                None => RowKinds::repeat(RowKind::UpdateAfter, rows),
                Some(places) => places.iter().map(kind).collect(),
            })
        } else {
            match (&values.kinds, &of_value) {
                (Some(kinds), Some(places)) => Some(kinds.take(places)),
                (kinds, _) => kinds.clone(),
            }
        };
        (self.values, self.keys, self.records) = (0, 0, 0);
        let skipped = std::mem::take(&mut self.skipped);
        Ok((ChangeBatch { rows: batch, kinds }, skipped, self.dead_letters.take()?))
    }

    /// One value a record.
    fn metadata(&mut self, metadata: Metadata, field: &Field) -> Result<ArrayRef> {
        let n = self.records as usize;
        Ok(match metadata {
            Metadata::Topic => Arc::new(StringArray::from(vec![self.topic.as_str(); n])),
            Metadata::Partition => Arc::new(Int32Array::from(vec![self.partition; n])),
            Metadata::Offset => Arc::new(Int64Array::from(std::mem::take(&mut self.offsets))),
            Metadata::Timestamp => {
                let times = TimestampMillisecondArray::from(std::mem::take(&mut self.timestamps));
                match field.data_type() {
                    DataType::Timestamp(_, zone) => Arc::new(times.with_timezone_opt(zone.clone())),
                    _ => Arc::new(times),
                }
            }
            Metadata::TimestampType => Arc::new(StringArray::from(std::mem::take(&mut self.timestamp_types))),
            Metadata::LeaderEpoch => {
                let mut epochs = Int32Builder::with_capacity(n);
                std::mem::take(&mut self.leader_epochs).into_iter().for_each(|e| epochs.append_option(e));
                Arc::new(epochs.finish())
            }
            Metadata::Headers => {
                // Of headers with one name the last one counts.
                let last = |headers: &Vec<(String, Option<Vec<u8>>)>| {
                    let mut kept: Vec<(String, Option<Vec<u8>>)> = vec![];
                    for (name, value) in headers {
                        match kept.iter_mut().find(|(k, _)| k == name) {
                            Some(old) => old.1 = value.clone(),
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

/// Names and values as a map or a list of rows, as the column's type has it.
fn headers_array(records: &[Vec<(String, Option<Vec<u8>>)>], field: &Field) -> Result<ArrayRef> {
    let (mut names, mut values) = (StringBuilder::new(), BinaryBuilder::new());
    for (name, value) in records.iter().flatten() {
        names.append_value(name);
        values.append_option(value.as_deref());
    }
    flott_connector::headers::array(
        field,
        records.iter().map(Vec::len),
        Arc::new(names.finish()),
        Arc::new(values.finish()),
    )
}

/// A deletion has no values, also where the column is NOT NULL: whoever reads it looks only at the key.
fn filled(column: ArrayRef, field: &Field) -> Result<ArrayRef> {
    if field.is_nullable() || column.null_count() == 0 {
        return Ok(column);
    }
    let data = column.to_data().into_builder().nulls(None).build()?;
    Ok(make_array(data))
}
