//! From rows to records: key and value through their formats, metadata as the table says.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::filter::filter_record_batch;
use flott_connector::format::{Encoder, EncoderFactory, Messages};
pub(crate) use flott_connector::staged::StagedRecord as Outgoing;
use flott_core::{ChangeBatch, Error, Result, RowKind};

use crate::topics::Topics;

/// Records that are looked at together.
const AT_ONCE: usize = 1_024;

/// How rows become records, shared by all writers.
pub(crate) struct RecordPlan {
    pub(crate) topics: Topics,
    /// The key's format and columns.
    pub(crate) key: Option<(Arc<dyn EncoderFactory>, Vec<usize>)>,
    /// The value's.
    pub(crate) value: (Arc<dyn EncoderFactory>, Vec<usize>),
    /// Columns with metadata.
    pub(crate) topic_column: Option<usize>,
    pub(crate) timestamp_column: Option<usize>,
    /// A map or a list.
    pub(crate) headers_column: Option<usize>,
    /// `upsert-kafka`: a deletion is a NULL value.
    pub(crate) upsert: bool,
    /// The value's format writes changes as they are.
    pub(crate) changes: bool,
}

/// Encodes the rows of one writer.
pub(crate) struct RecordEncoder {
    plan: Arc<RecordPlan>,
    key: Option<Box<dyn Encoder>>,
    value: Box<dyn Encoder>,
}

/// The records of a batch.
pub(crate) struct Records {
    plan: Arc<RecordPlan>,
    keys: Option<Messages>,
    values: Messages,
    rows: RecordBatch,
    /// Where rows are deletions: the value of each row that is none.
    places: Option<Vec<Option<usize>>>,
    timestamps: Option<Vec<Option<i64>>>,
}

impl RecordEncoder {
    pub(crate) fn new(plan: Arc<RecordPlan>) -> Result<RecordEncoder> {
        let key = plan.key.as_ref().map(|(factory, _)| factory.create()).transpose()?;
        Ok(RecordEncoder { key, value: plan.value.0.create()?, plan })
    }

    pub(crate) fn encode(&mut self, batch: &ChangeBatch) -> Result<Records> {
        let plan = Arc::clone(&self.plan);
        let deletes: Option<Vec<bool>> = match (&batch.kinds, plan.upsert) {
            (None, _) => None,
            (Some(_), false) if plan.changes => None,
            (Some(_), false) => return Err(Error::internal("the kafka sink takes only inserts")),
            (Some(kinds), true) => {
                Some(kinds.iter().map(|k| matches!(k, RowKind::Delete | RowKind::UpdateBefore)).collect())
            }
        };
        let part = |columns: &[usize]| Ok::<_, Error>(ChangeBatch::append(batch.rows.project(columns)?));
        if let Some((_, columns)) = plan.key.as_ref().filter(|_| plan.upsert) {
            check_key(&batch.rows, columns)?;
        }
        let keys = match (&mut self.key, &plan.key) {
            (Some(encoder), Some((_, columns))) => {
                let mut keys = Messages::default();
                encoder.encode_messages(&part(columns)?, &mut keys)?;
                Some(keys)
            }
            _ => None,
        };
        let mut values = Messages::default();
        let mut value_part = part(&plan.value.1)?;
        if plan.changes {
            value_part.kinds = batch.kinds.clone();
        }
        // Of a deletion there may be only the key: its value is no message, and is not made.
        let places = deletes.filter(|deletes| deletes.contains(&true)).map(|deletes| {
            value_part.rows = filter_record_batch(&value_part.rows, &deletes.iter().map(|d| Some(!d)).collect())?;
            let mut next = 0..;
            Ok::<_, Error>(deletes.iter().map(|deleted| if *deleted { None } else { next.next() }).collect())
        });
        let places = places.transpose()?;
        self.value.encode_messages(&value_part, &mut values)?;
        let timestamps = plan.timestamp_column.map(|c| milliseconds(batch.rows.column(c))).transpose()?;
        let records = Records { plan, keys, values, rows: batch.rows.clone(), places, timestamps };
        records.check()?;
        Ok(records)
    }
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// What has to be right before a record of the batch is written.
    fn check(&self) -> Result<()> {
        let Some(column) = self.plan.topic_column.filter(|_| self.plan.topics.single().is_none()) else {
            return Ok(());
        };
        let topics = self.rows.column(column).as_string::<i32>();
        let mut last = None;
        for row in 0..topics.len() {
            let topic = topics.is_valid(row).then(|| topics.value(row));
            if topic.is_some() && topic == last {
                continue;
            }
            match topic {
                Some(topic) if self.plan.topics.contains(topic) => last = Some(topic),
                Some(topic) => {
                    return Err(Error::data(format!("The topic '{topic}' is not one of the table's"))
                        .with("column", self.rows.schema_ref().field(column).name())
                        .hint("Name it in 'topic' or let 'topic-pattern' fit"));
                }
                None => {
                    return Err(Error::data("A row does not say to which topic it goes")
                        .with("column", self.rows.schema_ref().field(column).name())
                        .hint("The column must not be NULL"));
                }
            }
        }
        Ok(())
    }

    /// All of them, some at a time.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Result<Vec<Outgoing<'_>>>> {
        let piece = |from| (from..self.len().min(from + AT_ONCE)).map(|row| self.get(row)).collect();
        (0..self.len()).step_by(AT_ONCE).map(piece)
    }

    pub(crate) fn get(&self, row: usize) -> Result<Outgoing<'_>> {
        // As in Flink: of a table with one topic the column says nothing.
        let topic = self.plan.topics.single().or_else(|| {
            let topics = self.rows.column(self.plan.topic_column?).as_string::<i32>();
            topics.is_valid(row).then(|| topics.value(row))
        });
        Ok(Outgoing {
            topic,
            key: self.keys.as_ref().and_then(|k| k.get(row)),
            value: match &self.places {
                Some(places) => places[row].and_then(|place| self.values.get(place)),
                None => self.values.get(row),
            },
            timestamp_ms: self.timestamps.as_ref().and_then(|t| t[row]),
            headers: match self.plan.headers_column {
                Some(c) => headers(self.rows.column(c), row)?,
                None => vec![],
            },
        })
    }
}

/// A row without its primary key would replace, or delete, those of nobody knows which key.
fn check_key(rows: &RecordBatch, columns: &[usize]) -> Result<()> {
    match columns.iter().find(|c| rows.column(**c).null_count() > 0) {
        None => Ok(()),
        Some(column) => Err(Error::data("A row has NULL in a column of the primary key, and cannot be written by key")
            .with("column", rows.schema_ref().field(*column).name())
            .hint("Leave such rows out: WHERE the column IS NOT NULL")),
    }
}

/// The headers of a row, from a map or a list of rows.
fn headers(column: &ArrayRef, row: usize) -> Result<Vec<(&str, Option<&[u8]>)>> {
    let (names, values, entries) = flott_connector::headers::of_row(column, row)?;
    let (names, values) = (names.as_string::<i32>(), values.as_binary::<i32>());
    Ok(entries
        .filter(|i| names.is_valid(*i))
        .map(|i| (names.value(i), values.is_valid(i).then(|| values.value(i))))
        .collect())
}

/// A timestamp column in milliseconds.
fn milliseconds(column: &ArrayRef) -> Result<Vec<Option<i64>>> {
    macro_rules! of {
        ($t:ty, $ms:expr) => {
            column.as_primitive::<$t>().iter().map(|v| v.map($ms)).collect()
        };
    }
    Ok(match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => of!(TimestampSecondType, |v| v.saturating_mul(1_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of!(TimestampMillisecondType, |v| v),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of!(TimestampMicrosecondType, |v| v.div_euclid(1_000)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of!(TimestampNanosecondType, |v| v.div_euclid(1_000_000)),
        other => return Err(Error::internal(format!("a record's timestamp cannot be a {other}"))),
    })
}
