//! What a message says beside its rows, as columns (Flink's `value.source.table` and the like).

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, MapArray, PrimitiveArray, StringArray, TimestampMillisecondArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, TimeUnit};
use flott_connector::factory::MetadataKey;
use flott_core::types::{LogicalType, TypeKind, arrow_field, map_keys};
use flott_core::{Error, Result};

use super::ChangelogJson;

/// How a column is made of a field of the message.
#[derive(Debug, Clone, Copy)]
enum Reading {
    AsItIs,
    /// A number of milliseconds since the epoch.
    Milliseconds,
    /// The same in seconds.
    Seconds,
    /// A time in words, in UTC.
    Words,
    /// An entry of a map.
    Entry(&'static str),
    /// An entry of a map that is a number of milliseconds.
    MillisecondsEntry(&'static str),
}

/// A metadata column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metadata {
    key: &'static str,
    data_type: &'static str,
    /// The message's field and how json shall read it.
    pub(super) field: &'static str,
    field_type: &'static str,
    /// Beside the payload, where there is one.
    pub(super) beside_payload: bool,
    reading: Reading,
}

const STRINGS: &str = "MAP<STRING, STRING>";
const LTZ: &str = "TIMESTAMP_LTZ(3)";

const fn of(
    key: &'static str,
    data_type: &'static str,
    field: &'static str,
    field_type: &'static str,
    reading: Reading,
) -> Metadata {
    Metadata { key, data_type, field, field_type, beside_payload: false, reading }
}

static DEBEZIUM: &[Metadata] = &[
    Metadata { beside_payload: true, ..of("schema", "STRING", "schema", "STRING", Reading::AsItIs) },
    of("ingestion-timestamp", LTZ, "ts_ms", "BIGINT", Reading::Milliseconds),
    of("source.timestamp", LTZ, "source", STRINGS, Reading::MillisecondsEntry("ts_ms")),
    of("source.database", "STRING", "source", STRINGS, Reading::Entry("db")),
    of("source.schema", "STRING", "source", STRINGS, Reading::Entry("schema")),
    of("source.table", "STRING", "source", STRINGS, Reading::Entry("table")),
    of("source.properties", STRINGS, "source", STRINGS, Reading::AsItIs),
];
static CANAL: &[Metadata] = &[
    of("database", "STRING", "database", "STRING", Reading::AsItIs),
    of("table", "STRING", "table", "STRING", Reading::AsItIs),
    of("sql-type", "MAP<STRING, INT>", "sqlType", "MAP<STRING, INT>", Reading::AsItIs),
    of("pk-names", "ARRAY<STRING>", "pkNames", "ARRAY<STRING>", Reading::AsItIs),
    of("ingestion-timestamp", LTZ, "ts", "BIGINT", Reading::Milliseconds),
    of("event-timestamp", LTZ, "es", "BIGINT", Reading::Milliseconds),
];
static MAXWELL: &[Metadata] = &[
    of("database", "STRING", "database", "STRING", Reading::AsItIs),
    of("table", "STRING", "table", "STRING", Reading::AsItIs),
    of("primary-key-columns", "ARRAY<STRING>", "primary_key_columns", "ARRAY<STRING>", Reading::AsItIs),
    of("ingestion-timestamp", LTZ, "ts", "BIGINT", Reading::Seconds),
];
static OGG: &[Metadata] = &[
    of("table", "STRING", "table", "STRING", Reading::AsItIs),
    of("primary-keys", "ARRAY<STRING>", "primary_keys", "ARRAY<STRING>", Reading::AsItIs),
    of("ingestion-timestamp", "TIMESTAMP_LTZ(6)", "current_ts", "STRING", Reading::Words),
    of("event-timestamp", "TIMESTAMP_LTZ(6)", "op_ts", "STRING", Reading::Words),
];

/// All of a format.
fn all(dialect: ChangelogJson) -> &'static [Metadata] {
    match dialect {
        ChangelogJson::Debezium => DEBEZIUM,
        ChangelogJson::Canal => CANAL,
        ChangelogJson::Maxwell => MAXWELL,
        ChangelogJson::Ogg => OGG,
    }
}

fn parsed(text: &str) -> LogicalType {
    text.parse().unwrap_or_else(|_| TypeKind::STRING.nullable())
}

/// The keys of a format and their types.
pub(super) fn keys(dialect: ChangelogJson) -> Vec<MetadataKey> {
    let key = |m: &Metadata| MetadataKey { key: m.key.into(), data_type: parsed(m.data_type), writable: false };
    all(dialect).iter().map(key).collect()
}

/// Those that are asked for.
pub(super) fn named(dialect: ChangelogJson, names: &[String]) -> Result<Vec<Metadata>> {
    let find = |name: &String| {
        all(dialect).iter().find(|m| m.key == *name).copied().ok_or_else(|| {
            let known: Vec<&str> = all(dialect).iter().map(|m| m.key).collect();
            Error::user(format!("Format '{}' has no metadata '{name}'", name_of(dialect)))
                .hint(format!("There are {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

fn name_of(dialect: ChangelogJson) -> &'static str {
    use flott_connector::format::FormatFactory;
    dialect.identifier()
}

impl Metadata {
    /// The message's field, for json.
    pub(super) fn json_field(&self) -> Field {
        arrow_field(self.field, &parsed(self.field_type))
    }

    /// The column.
    pub(super) fn column(&self) -> Field {
        arrow_field(self.key, &parsed(self.data_type))
    }

    /// Whether a message's text for the column can be read as it has to be; `None` where it may be any.
    pub(super) fn is_readable(&self, text: &str) -> Option<bool> {
        let wanted = match self.reading {
            Reading::Words => DataType::Timestamp(TimeUnit::Microsecond, None),
            Reading::MillisecondsEntry(_) => DataType::Int64,
            _ => return None,
        };
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        Some(cast_with_options(&StringArray::from(vec![text]), &wanted, &strict).is_ok())
    }

    /// The entry of the field's map that the column is of, where it is one that is read.
    pub(super) fn read_entry(&self) -> Option<&'static str> {
        match self.reading {
            Reading::MillisecondsEntry(name) => Some(name),
            _ => None,
        }
    }

    /// One value a message, of what json has read there. `lenient`: what is no time is NULL.
    pub(super) fn read(&self, field: &ArrayRef, lenient: bool) -> Result<ArrayRef> {
        let wanted = self.column();
        let strict = CastOptions { safe: lenient, ..CastOptions::default() };
        let wrong = |e: arrow_schema::ArrowError| {
            Error::data(format!("the field '{}' of a message is no time", self.field)).caused_by(e)
        };
        match self.reading {
            Reading::AsItIs => Ok(Arc::clone(field)),
            Reading::Milliseconds => Ok(milliseconds(field.as_primitive::<Int64Type>(), 1, &wanted)),
            Reading::Seconds => Ok(milliseconds(field.as_primitive::<Int64Type>(), 1_000, &wanted)),
            Reading::Words => {
                let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
                let times = cast_with_options(field, &plain, &strict).map_err(wrong)?;
                let times = times.as_primitive::<TimestampMicrosecondType>().clone();
                Ok(match wanted.data_type() {
                    DataType::Timestamp(_, zone) => Arc::new(times.with_timezone_opt(zone.clone())),
                    _ => Arc::new(times),
                })
            }
            Reading::Entry(name) => Ok(Arc::new(entry(field.as_map(), name))),
            Reading::MillisecondsEntry(name) => {
                let texts = entry(field.as_map(), name);
                let numbers = cast_with_options(&texts, &DataType::Int64, &strict).map_err(wrong)?;
                Ok(milliseconds(numbers.as_primitive::<Int64Type>(), 1, &wanted))
            }
        }
    }
}

fn milliseconds(numbers: &PrimitiveArray<Int64Type>, factor: i64, wanted: &Field) -> ArrayRef {
    let times: TimestampMillisecondArray = numbers.iter().map(|n| n.map(|n| n.wrapping_mul(factor))).collect();
    match wanted.data_type() {
        DataType::Timestamp(_, zone) => Arc::new(times.with_timezone_opt(zone.clone())),
        _ => Arc::new(times),
    }
}

/// The value of a key in each map.
fn entry(maps: &MapArray, key: &str) -> StringArray {
    let (keys, values) = (map_keys(maps).as_string::<i32>(), maps.values().as_string::<i32>());
    let mut found = StringBuilder::new();
    for row in 0..maps.len() {
        let (start, end) = (maps.value_offsets()[row] as usize, maps.value_offsets()[row + 1] as usize);
        let at = (start..end)
            .find(|i| maps.is_valid(row) && keys.is_valid(*i) && keys.value(*i) == key && values.is_valid(*i));
        found.append_option(at.map(|i| values.value(i)));
    }
    found.finish()
}
