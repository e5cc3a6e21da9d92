//! From a table's DDL to a source or a sink: `kafka` and `upsert-kafka`.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_connector::dead_letter::InvalidRecords;
use flott_connector::factory::{
    ChangelogMode, ConnectorFactory, MetadataKey, Registry, TableContext, TableSink, TableSource,
};
use flott_connector::sink::DeliveryGuarantee;
use flott_connector::staged;
use flott_connector::table::{Column, ColumnKind};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::arrow_field;
use flott_core::{Error, Result, time_text};

use crate::columns::{self, KeyValue};
use crate::group::GroupOffsets;
use crate::offsets::{Bounded, Startup};
use crate::options;
use crate::properties::Properties;
use crate::record::RecordPlan;
use crate::rows::{Metadata, Origin, RowPlan, metadata_keys};
use crate::scan::{KafkaSource, Scan};
use crate::target::{KafkaSink, Partitioner, Target};
use crate::topics::Topics;

/// Rows appended to topics.
#[derive(Debug, Clone, Copy, Default)]
pub struct KafkaFactory;

/// Rows by key: the last record of a key counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpsertKafkaFactory;

/// The changes of a format. A key, and a value of `upsert-kafka`, is not itself a change.
fn insert_only_where(must_be: bool, format: &columns::Format, key: &'static str) -> Result<ChangelogMode> {
    let mode = format.factory.changelog_mode();
    if must_be && !mode.is_insert_only() {
        let name = format.factory.identifier();
        return Err(Error::user(format!(
            "Format '{name}' cannot be used for '{key}' here, because '{name}' is not in insert-only mode."
        ))
        .with("option", key)
        .hint("Use a format of single rows, such as 'json'"));
    }
    Ok(mode)
}

/// Rows that are only appended have no key.
fn check_primary_key(context: &TableContext, upsert: bool) -> Result<()> {
    let given = &context.table.options;
    let format = given.get(options::FORMAT.key).or(given.get(options::VALUE_FORMAT.key)).unwrap_or_default();
    let appends = context.registry.format(format).is_ok_and(|f| f.changelog_mode().is_insert_only());
    if upsert || context.table.schema.primary_key.is_none() || !appends {
        return Ok(());
    }
    let table = &context.identifier.object;
    Err(Error::user(format!(
        "The Kafka table '{table}' with '{format}' format doesn't support defining PRIMARY KEY constraint on the table, because it can't guarantee the semantic of primary key."
    ))
    .with("table", table)
    .hint("Use the connector 'upsert-kafka', or remove the PRIMARY KEY"))
}

/// Offsets are given by partition, so that there can be one topic only.
fn check_specific(topics: &Topics, startup: &Startup, bounded: &Bounded) -> Result<()> {
    for (is_specific, option) in [
        (matches!(startup, Startup::Specific(_)), options::STARTUP_OFFSETS.key),
        (matches!(bounded, Bounded::Specific(_)), options::BOUNDED_OFFSETS.key),
    ] {
        if is_specific && topics.single().is_none() {
            return Err(Error::user("Currently Kafka source only supports specific offset for single topic.")
                .with("option", option)
                .hint("Name one topic, or use another mode"));
        }
    }
    Ok(())
}

fn source(context: &TableContext, upsert: bool) -> Result<TableSource> {
    let own = if upsert { options::UPSERT } else { options::KAFKA };
    columns::validate(context, own)?;
    check_primary_key(context, upsert)?;
    let given = &context.table.options;
    let properties = Properties::of(given)?;
    let places = KeyValue::of(context, upsert)?;
    let fields = context.schema.fields();
    let physical: Vec<&Column> = context.table.schema.physical().collect();
    let data_columns = fields.len().saturating_sub(context.metadata_keys.len());
    // Columns of the decoded value, in the order in which they are wanted.
    let mut in_value: Vec<usize> = vec![];
    let mut origins = vec![];
    // Metadata that the value's format reads, and the places of their columns.
    let (mut of_value, mut of_value_at): (Vec<String>, Vec<usize>) = (vec![], vec![]);
    let value_keys = columns::value_metadata(given, &context.registry);
    for (i, field) in fields.iter().enumerate() {
        if let Some(key) = context.metadata_keys.get(i.wrapping_sub(data_columns)) {
            if let Some(name) = value_keys.iter().any(|k| k.key == *key).then(|| key.strip_prefix("value.")).flatten() {
                of_value.push(name.to_string());
                of_value_at.push(origins.len());
                origins.push(Origin::Value(0));
                continue;
            }
            let metadata = Metadata::of(key).ok_or_else(|| {
                let known = metadata_keys().into_iter().chain(value_keys.clone());
                let known: Vec<String> = known.map(|k| k.key.into_owned()).collect();
                Error::user(format!("Unknown metadata key '{key}'"))
                    .with("column", field.name())
                    .hint(format!("There are {}", known.join(", ")))
            })?;
            origins.push(Origin::Metadata(metadata));
            continue;
        }
        let number = physical.iter().position(|c| c.name == *field.name());
        let number = number.ok_or_else(|| Error::internal(format!("'{}' is no column of the table", field.name())))?;
        let of_key = places.key.iter().position(|(k, _)| *k == number);
        // Where a column is in both, the value's counts, as in Flink; a deletion has only a key.
        let by_key = of_key.filter(|_| upsert || !places.value.contains(&number));
        if let Some(k) = by_key {
            origins.push(Origin::Key(k));
        } else {
            in_value.push(number);
            origins.push(Origin::Value(in_value.len() - 1));
        }
    }
    // Behind the columns.
    of_value_at.iter().enumerate().for_each(|(n, at)| origins[*at] = Origin::Value(in_value.len() + n));
    let value_key = columns::value_format_key(context)?;
    let value_field = |i: &usize| arrow_field(&physical[*i].name, &physical[*i].data_type);
    let wanted: SchemaRef = Arc::new(Schema::new(in_value.iter().map(value_field).collect::<Vec<_>>()));
    let value = columns::format(context, value_key, wanted, places.value_schema(context))?;
    let mode = insert_only_where(upsert, &value, value_key)?;
    let value = value.factory.message_decoding_with(&value.context, &of_value)?;
    let key = if places.key.is_empty() {
        None
    } else {
        // All of it, whoever asks for what: a record whose key cannot be read is invalid.
        let schema = places.key_schema(context);
        let key = columns::format(context, options::KEY_FORMAT.key, Arc::clone(&schema), schema)?;
        insert_only_where(true, &key, options::KEY_FORMAT.key)?;
        Some(key.factory.message_decoding(&key.context)?)
    };
    let startup = if upsert { Startup::Earliest } else { Startup::of(given, &properties)? };
    let bounded = Bounded::of(given, &properties)?;
    let topics = Topics::of(given)?;
    check_specific(&topics, &startup, &bounded)?;
    let plan = RowPlan {
        schema: Arc::clone(&context.schema),
        origins,
        value,
        key,
        upsert,
        invalid: InvalidRecords::of(given)?,
    };
    let scan = Scan {
        table: context.identifier.object.clone(),
        group: GroupOffsets::of(&context.identifier.object, &properties).map(Arc::new),
        topics,
        properties,
        startup,
        bounded,
        discovery: given.duration(&options::DISCOVERY_INTERVAL)?.filter(|i| !i.is_zero()),
        plan: Arc::new(plan),
    };
    let upserts = ChangelogMode { insert: false, update_before: false, update_after: true, delete: true };
    Ok(TableSource {
        source: Arc::new(KafkaSource(Arc::new(scan))),
        changelog_mode: if upsert { upserts } else { mode },
        parallelism: given.positive(&options::SCAN_PARALLELISM)?,
    })
}

/// The guarantee that is named, or what fits: exactly-once where checkpoints are made while the job runs.
fn guarantee(context: &TableContext) -> Result<DeliveryGuarantee> {
    let given = &context.table.options;
    let named = given.text(&options::GUARANTEE).or(given.text(&options::SEMANTIC)).map(str::to_ascii_lowercase);
    Ok(match named.as_deref() {
        Some("exactly-once") => DeliveryGuarantee::ExactlyOnce,
        Some("none") => DeliveryGuarantee::None,
        Some(_) => DeliveryGuarantee::AtLeastOnce,
        None => {
            let interval = context.config.get("execution.checkpointing.interval").unwrap_or("10 s");
            match time_text::parse_duration(interval) {
                Ok(interval) if !interval.is_zero() => DeliveryGuarantee::ExactlyOnce,
                _ => DeliveryGuarantee::AtLeastOnce,
            }
        }
    })
}

fn partitioner(context: &TableContext, has_key: bool) -> Result<Partitioner> {
    let name = context.table.options.text(&options::PARTITIONER).unwrap_or_default();
    match name {
        "default" => Ok(Partitioner::Default),
        "fixed" => Ok(Partitioner::Fixed),
        "round-robin" if has_key => Err(Error::user(
            "Currently 'round-robin' partitioner only works when option 'key.fields' is not specified.",
        )
        .with("option", options::PARTITIONER.key)
        .hint("Remove 'sink.partitioner', or 'key.fields'")),
        "round-robin" => Ok(Partitioner::Default),
        other => Err(Error::user(format!("There is no partitioner '{other}'"))
            .with("option", options::PARTITIONER.key)
            .hint("There are default, fixed and round-robin; classes of Java cannot be loaded")),
    }
}

fn transaction_rows(options: &Options) -> Result<u64> {
    match options.long(&options::TRANSACTION_ROWS)?.map(u64::try_from) {
        Some(Ok(rows)) if rows > 0 => Ok(rows),
        _ => Err(Error::user("'sink.transaction.max-rows' must be more than 0")
            .with("option", options::TRANSACTION_ROWS.key)),
    }
}

fn buffer(options: &Options) -> Result<Option<(usize, std::time::Duration)>> {
    let rows = options.int(&options::BUFFER_ROWS)?.unwrap_or(0);
    let interval = options.duration(&options::BUFFER_INTERVAL)?.unwrap_or_default();
    match (usize::try_from(rows).unwrap_or(0), interval.is_zero()) {
        (0, true) => Ok(None),
        (rows, false) if rows > 0 => Ok(Some((rows, interval))),
        _ => Err(Error::user(
            "'sink.buffer-flush.max-rows' and 'sink.buffer-flush.interval' must be set to be greater than zero together to enable sink buffer flushing.",
        )
        .with("option", if rows > 0 { options::BUFFER_INTERVAL.key } else { options::BUFFER_ROWS.key })
        .hint("Set both, or none")),
    }
}

fn sink(context: &TableContext, upsert: bool) -> Result<TableSink> {
    let own = if upsert { options::UPSERT } else { options::KAFKA };
    columns::validate(context, own)?;
    check_primary_key(context, upsert)?;
    let given = &context.table.options;
    let properties = Properties::of(given)?;
    let places = KeyValue::of(context, upsert)?;
    // Columns arrive in the order of the DDL, those with metadata among them.
    let persisted: Vec<&Column> = context.table.schema.columns.iter().filter(|c| c.is_persisted()).collect();
    let arrives: Vec<usize> =
        persisted.iter().enumerate().filter(|(_, c)| c.kind == ColumnKind::Physical).map(|(i, _)| i).collect();
    let (mut topic_column, mut timestamp_column, mut headers_column) = (None, None, None);
    for (i, column) in persisted.iter().enumerate() {
        let Some(key) = column.metadata_key() else { continue };
        let slot = match Metadata::of(key) {
            Some(Metadata::Topic) => &mut topic_column,
            Some(Metadata::Timestamp) => &mut timestamp_column,
            Some(Metadata::Headers | Metadata::HeaderList) => &mut headers_column,
            _ => {
                return Err(Error::user(format!("The metadata '{key}' cannot be written"))
                    .with("column", &column.name)
                    .hint("Declare the column as VIRTUAL"));
            }
        };
        if slot.replace(i).is_some() {
            return Err(Error::user("'headers' and 'header-list' cannot both be written")
                .with("column", &column.name)
                .hint("Declare one of them as VIRTUAL"));
        }
    }
    let topics = Topics::of(given)?;
    if topics.single().is_none() && topic_column.is_none() {
        return Err(Error::user(
            "A sink with several topics needs the metadata column 'topic', which says to which a row goes",
        )
        .with("option", "topic")
        .hint("Name one topic, or declare: topic STRING NOT NULL METADATA"));
    }
    let value_key = columns::value_format_key(context)?;
    let value_schema = places.value_schema(context);
    let value = columns::format(context, value_key, Arc::clone(&value_schema), value_schema)?;
    let mode = insert_only_where(upsert, &value, value_key)?;
    let value = value.factory.encoding(&value.context)?;
    let key = if places.key.is_empty() {
        None
    } else {
        let schema = places.key_schema(context);
        let key = columns::format(context, options::KEY_FORMAT.key, Arc::clone(&schema), schema)?;
        insert_only_where(true, &key, options::KEY_FORMAT.key)?;
        Some((key.factory.encoding(&key.context)?, places.key.iter().map(|(i, _)| arrives[*i]).collect()))
    };
    let plan = RecordPlan {
        topics,
        key,
        value: (value, places.value.iter().map(|i| arrives[*i]).collect()),
        topic_column,
        timestamp_column,
        headers_column,
        upsert,
        changes: !mode.is_insert_only(),
    };
    let target = Target {
        partitioner: if upsert { Partitioner::Default } else { partitioner(context, plan.key.is_some())? },
        plan: Arc::new(plan),
        guarantee: guarantee(context)?,
        buffer: if upsert { buffer(given)? } else { None },
        transaction_prefix: given.text(&options::TRANSACTION_PREFIX).unwrap_or_default().to_string(),
        marker_topic: given.text(&options::MARKER_TOPIC).unwrap_or_default().to_string(),
        transaction_rows: transaction_rows(given)?,
        staging: staged::open(&context.config, &context.base_dir)?,
        asked: Arc::default(),
        fail_points: context.fail_points.clone(),
        properties,
    };
    Ok(TableSink {
        sink: Arc::new(KafkaSink(Arc::new(target))),
        changelog_mode: if upsert { ChangelogMode::UPSERT } else { mode },
        parallelism: given.positive(&options::SINK_PARALLELISM)?,
    })
}

impl ConnectorFactory for KafkaFactory {
    fn identifier(&self) -> &'static str {
        "kafka"
    }

    fn description(&self) -> &'static str {
        "Topics of Apache Kafka. The source reads each partition as a split, with its position in the checkpoint; the sink \
         appends rows, exactly once where checkpoints are made. See [kafka.md](kafka.md)."
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::KAFKA
    }

    fn metadata(&self) -> Vec<MetadataKey> {
        metadata_keys()
    }

    fn table_metadata(&self, options: &Options, registry: &Registry) -> Result<Vec<MetadataKey>> {
        Ok([metadata_keys(), columns::value_metadata(options, registry)].concat())
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        source(context, false)
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        sink(context, false)
    }
}

impl ConnectorFactory for UpsertKafkaFactory {
    fn identifier(&self) -> &'static str {
        "upsert-kafka"
    }

    fn description(&self) -> &'static str {
        "Topics of Apache Kafka that hold the last row of each key: a record replaces the one before with its key, and one \
         without a value deletes it. The table needs a PRIMARY KEY. See [kafka.md](kafka.md)."
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::UPSERT
    }

    fn metadata(&self) -> Vec<MetadataKey> {
        metadata_keys()
    }

    fn table_metadata(&self, options: &Options, registry: &Registry) -> Result<Vec<MetadataKey>> {
        Ok([metadata_keys(), columns::value_metadata(options, registry)].concat())
    }

    fn source_deletes_by_key(&self, _options: &Options) -> bool {
        true
    }

    fn sink_deletes_by_key(&self, _options: &Options) -> bool {
        true
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        source(context, true)
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        sink(context, true)
    }
}
