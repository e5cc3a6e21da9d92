//! Records that cannot be read: what becomes of them (`scan.invalid-records`), and the rows that they are in a dead-letter
//! table (`scan.dead-letter.table`).
//!
//! Such rows leave the source by its second port, beside the others and before the same barriers: they are part of the
//! epoch, and a sink that is exactly-once has each of them once.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use flott_core::clock::SystemClock;
use flott_core::config_option as option;
use flott_core::options::{OptionType, Options};
use flott_core::types::{LogicalType, TypeKind, arrow_schema};
use flott_core::{ChangeBatch, Error, ErrorKind, Result};

use crate::format::{MessageDecoder, MessageDecoderFactory, RecordPosition};
use crate::schema_registry::KnownSchemas;

option!(
    INVALID_RECORDS,
    "scan.invalid-records",
    OptionType::Enum(&["fail", "skip", "dead-letter"]),
    Some("fail"),
    "What becomes of records that the format cannot read: `fail` ends the job with the record's place, `skip` counts and drops them, `dead-letter` writes them into `scan.dead-letter.table`."
);
option!(
    TABLE,
    "scan.dead-letter.table",
    OptionType::String,
    None,
    "The table for records that cannot be read, where `scan.invalid-records` = `dead-letter`. Its columns are some of `topic` STRING, `partition` INT, `offset` BIGINT, `part` STRING (`key` or `value`), `key` BYTES, `value` BYTES, `error` STRING, `time` TIMESTAMP_LTZ(3), in any order. They are part of the checkpoint as all rows are."
);

/// What becomes of records that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InvalidRecords {
    /// The job fails.
    #[default]
    Fail,
    /// They are counted and dropped.
    Skip,
    /// They are rows of another table.
    DeadLetter,
}

impl InvalidRecords {
    /// As the table says.
    pub fn of(options: &Options) -> Result<InvalidRecords> {
        let policy = options.text(&INVALID_RECORDS).unwrap_or("fail").to_ascii_lowercase();
        let found = match policy.as_str() {
            "skip" => InvalidRecords::Skip,
            "dead-letter" => InvalidRecords::DeadLetter,
            _ => InvalidRecords::Fail,
        };
        match (found, options.text(&TABLE)) {
            (InvalidRecords::DeadLetter, None) => {
                Err(Error::user(format!("'{}' = 'dead-letter' needs a table for the records", INVALID_RECORDS.key))
                    .with("option", TABLE.key)
                    .hint(format!("CREATE TABLE one and name it in '{}'", TABLE.key)))
            }
            (InvalidRecords::Fail | InvalidRecords::Skip, Some(table)) => {
                Err(Error::user(format!("'{}' = '{table}' has no effect: nothing is written there", TABLE.key))
                    .with("option", TABLE.key)
                    .hint(format!("Set '{}' = 'dead-letter', or remove it", INVALID_RECORDS.key)))
            }
            (found, _) => Ok(found),
        }
    }
}

/// The table of a source's dead letters, where it has one.
pub fn table(options: &Options) -> Result<Option<String>> {
    let is_wanted = InvalidRecords::of(options)? == InvalidRecords::DeadLetter;
    Ok(options.text(&TABLE).filter(|_| is_wanted).map(str::to_string))
}

/// The columns that a dead letter has.
pub fn columns() -> [(&'static str, LogicalType); 8] {
    [
        ("topic", TypeKind::STRING.not_null()),
        ("partition", TypeKind::Int.nullable()),
        ("offset", TypeKind::BigInt.not_null()),
        ("part", TypeKind::STRING.not_null()),
        ("key", TypeKind::BYTES.nullable()),
        ("value", TypeKind::BYTES.nullable()),
        ("error", TypeKind::STRING.not_null()),
        ("time", TypeKind::timestamp_ltz(3).not_null()),
    ]
}

/// [`columns`] as a schema.
pub fn schema() -> SchemaRef {
    let columns = columns();
    arrow_schema(columns.iter().map(|(name, t)| (*name, t)))
}

/// A record that cannot be read.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// Topic or stream.
    pub topic: &'a str,
    /// Its partition, where it has some.
    pub partition: Option<i32>,
    /// Its place there.
    pub offset: i64,
    /// `key` or `value`.
    pub part: &'a str,
    /// As it was stored.
    pub key: Option<&'a [u8]>,
    /// As it was stored.
    pub value: Option<&'a [u8]>,
}

/// Gathers dead letters.
#[derive(Debug, Default)]
pub struct DeadLetters {
    topics: StringBuilder,
    partitions: Int32Builder,
    offsets: Int64Builder,
    parts: StringBuilder,
    keys: BinaryBuilder,
    values: BinaryBuilder,
    errors: StringBuilder,
    times: TimestampMillisecondBuilder,
    rows: usize,
}

impl DeadLetters {
    /// One more.
    pub fn push(&mut self, letter: DeadLetter<'_>, error: &Error) {
        self.topics.append_value(letter.topic);
        self.partitions.append_option(letter.partition);
        self.offsets.append_value(letter.offset);
        self.parts.append_value(letter.part);
        self.keys.append_option(letter.key);
        self.values.append_option(letter.value);
        self.errors.append_value(error.to_string());
        self.times.append_value(SystemClock::shared().now_ms());
        self.rows += 1;
    }

    /// Those since the last call.
    pub fn take(&mut self) -> Result<Option<RecordBatch>> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(None);
        }
        let schema = schema();
        let zone = match schema.field(7).data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.topics.finish()),
            Arc::new(self.partitions.finish()),
            Arc::new(self.offsets.finish()),
            Arc::new(self.parts.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            Arc::new(self.errors.finish()),
            Arc::new(self.times.finish().with_timezone_opt(zone)),
        ];
        Ok(Some(RecordBatch::try_new(schema, columns)?))
    }
}

/// Decodes messages, and where the policy is not to fail goes on behind one that cannot be read.
///
/// A decoder that has failed may hold half a row. So messages of the batch are kept, and after a failure a new decoder reads
/// those before it once more: valid input costs a copy, and only where some is invalid it is read again.
pub struct TolerantDecoder {
    factory: Arc<dyn MessageDecoderFactory>,
    decoder: Box<dyn MessageDecoder>,
    policy: InvalidRecords,
    kept: VecDeque<(Option<Vec<u8>>, RecordPosition)>,
    failed: Option<Error>,
    failures: usize,
}

impl TolerantDecoder {
    /// A decoder of this factory.
    pub fn new(factory: Arc<dyn MessageDecoderFactory>, policy: InvalidRecords) -> Result<TolerantDecoder> {
        let decoder = factory.create()?;
        Ok(TolerantDecoder { factory, decoder, policy, kept: VecDeque::new(), failed: None, failures: 0 })
    }

    /// As [`MessageDecoder::decode`]. A message that cannot be read has no rows, and [`failed`](Self::take_failed) says why.
    ///
    /// # Errors
    /// Of all kinds where the policy is to fail; otherwise all but those that are about the data.
    pub fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        match self.decoder.decode(message, position) {
            Err(e) if e.kind() == ErrorKind::Data && self.policy != InvalidRecords::Fail => {
                let decoder = self.factory.create()?;
                let broken = std::mem::replace(&mut self.decoder, decoder);
                if let Some(known) = broken.known_schemas() {
                    self.decoder.restore_schemas(known);
                }
                for (message, position) in &self.kept {
                    self.decoder.decode(message.as_deref(), position)?;
                }
                self.failed = Some(e);
                self.failures += 1;
                Ok(0)
            }
            Ok(rows) => {
                if self.policy != InvalidRecords::Fail {
                    self.kept.push_back((message.map(<[u8]>::to_vec), position.clone()));
                }
                Ok(rows)
            }
            Err(e) => Err(e),
        }
    }

    /// Why the last message could not be read, once.
    pub fn take_failed(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// So many messages have been read again since the last batch that it had better end.
    pub fn is_costly(&self, most: usize) -> bool {
        self.failures > 0 && self.failures.saturating_mul(self.kept.len()) >= most
    }

    /// As [`MessageDecoder::flush`].
    pub fn flush(&mut self) -> Result<ChangeBatch> {
        self.kept.clear();
        self.failures = 0;
        self.decoder.flush()
    }

    /// As [`MessageDecoder::known_schemas`].
    pub fn known_schemas(&self) -> Option<&KnownSchemas> {
        self.decoder.known_schemas()
    }

    /// As [`MessageDecoder::restore_schemas`].
    pub fn restore_schemas(&mut self, schemas: &KnownSchemas) {
        self.decoder.restore_schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, Int64Array};
    use arrow_schema::{Field, Schema};

    use super::*;

    /// Reads numbers. One that it cannot read leaves a half behind.
    #[derive(Default)]
    struct Numbers(Vec<i64>);

    impl MessageDecoder for Numbers {
        fn decode(&mut self, message: Option<&[u8]>, _: &RecordPosition) -> Result<usize> {
            let text = std::str::from_utf8(message.unwrap_or_default()).unwrap_or_default();
            if text == "away" {
                return Err(Error::unavailable("the registry is away"));
            }
            self.0.push(text.parse().unwrap_or(-1));
            if self.0.last() == Some(&-1) { Err(Error::data("no number")) } else { Ok(1) }
        }

        fn flush(&mut self) -> Result<ChangeBatch> {
            let column = Arc::new(Int64Array::from(std::mem::take(&mut self.0)));
            let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
            Ok(ChangeBatch::append(RecordBatch::try_new(Arc::new(schema), vec![column])?))
        }
    }

    struct OfNumbers;

    impl MessageDecoderFactory for OfNumbers {
        fn create(&self) -> Result<Box<dyn MessageDecoder>> {
            Ok(Box::new(Numbers::default()))
        }
    }

    fn position() -> RecordPosition {
        RecordPosition { origin: Arc::from("t"), row: 0, offset: 0, row_is_exact: false }
    }

    #[test]
    fn rows_before_and_behind_an_invalid_record_are_whole() {
        let mut decoder = TolerantDecoder::new(Arc::new(OfNumbers), InvalidRecords::Skip).expect("made");
        for (text, rows, fails) in [("1", 1, false), ("x", 0, true), ("2", 1, false), ("y", 0, true), ("3", 1, false)] {
            assert_eq!(decoder.decode(Some(text.as_bytes()), &position()).expect("tolerated"), rows);
            assert_eq!(decoder.take_failed().is_some(), fails, "{text}");
        }
        let away = decoder.decode(Some(b"away"), &position()).expect_err("not about the data");
        assert_eq!(away.kind(), ErrorKind::Unavailable);
        assert!(decoder.is_costly(6) && !decoder.is_costly(7));
        let rows = decoder.flush().expect("rows").rows;
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
        assert!(!decoder.is_costly(0), "a new batch");
        let mut strict = TolerantDecoder::new(Arc::new(OfNumbers), InvalidRecords::Fail).expect("made");
        assert!(strict.decode(Some(b"x"), &position()).is_err());
    }

    #[test]
    fn a_dead_letter_has_its_place_and_its_bytes() {
        let mut letters = DeadLetters::default();
        assert_eq!(letters.take().expect("nothing"), None);
        let letter =
            DeadLetter { topic: "t", partition: Some(3), offset: 7, part: "value", key: None, value: Some(b"{") };
        letters.push(letter, &Error::data("cut off"));
        let batch = letters.take().expect("made").expect("one");
        assert_eq!((batch.num_rows(), batch.schema()), (1, schema()));
        assert_eq!(batch.column(5).as_binary::<i32>().value(0), b"{");
        assert!(batch.column(4).is_null(0) && batch.column(6).as_string::<i32>().value(0).contains("cut off"));
        assert_eq!(letters.take().expect("nothing"), None);
    }

    #[test]
    fn a_policy_and_its_table_go_together() {
        let of = |pairs: &[(&str, &str)]| InvalidRecords::of(&pairs.iter().copied().collect::<Options>());
        assert_eq!(of(&[]).expect("the default"), InvalidRecords::Fail);
        assert_eq!(of(&[("scan.invalid-records", "skip")]).expect("known"), InvalidRecords::Skip);
        let both = [("scan.invalid-records", "dead-letter"), ("scan.dead-letter.table", "bad")];
        assert_eq!(of(&both).expect("known"), InvalidRecords::DeadLetter);
        assert!(of(&both[..1]).expect_err("no table").to_string().contains("needs a table"));
        assert!(of(&both[1..]).expect_err("no policy").to_string().contains("no effect"));
    }
}
