//! From a table's DDL to a source or a sink.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_connector::dead_letter::InvalidRecords;
use flott_connector::factory::{ConnectorFactory, MetadataKey, Registry, TableContext, TableSink, TableSource};
use flott_connector::format::{FormatContext, FormatFactory};
use flott_connector::sink::DeliveryGuarantee;
use flott_connector::staged;
use flott_connector::table::{Column, ColumnKind};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::arrow_field;
use flott_core::{Error, Result, time_text};

use crate::access::Access;
use crate::options;
use crate::positions::{Bounded, Startup};
use crate::record::RecordPlan;
use crate::rows::{Metadata, Origin, RowPlan, metadata_keys};
use crate::scan::{NatsSource, Scan};
use crate::subject;
use crate::target::{NatsSink, Target};

/// Streams of NATS JetStream.
#[derive(Debug, Clone, Copy, Default)]
pub struct NatsFactory;

fn list(options: &Options, option: &ConfigOption) -> Vec<String> {
    let text = options.get(option.key).unwrap_or_default();
    text.split(';').map(str::trim).filter(|t| !t.is_empty()).map(str::to_string).collect()
}

/// Metadata that the format reads, as the table names it: `value.<key>`. None where the format is not known.
fn value_metadata(given: &Options, registry: &Registry) -> Vec<MetadataKey> {
    let name = given.get(options::FORMAT.key).unwrap_or_default();
    let keys = registry.format(name).map(|f| f.readable_metadata()).unwrap_or_default();
    keys.into_iter().map(|k| MetadataKey { key: format!("value.{}", k.key).into(), ..k }).collect()
}

fn format(
    context: &TableContext,
    wanted: SchemaRef,
    declared: SchemaRef,
) -> Result<(Arc<dyn FormatFactory>, FormatContext)> {
    let (factory, options) = context.format(options::FORMAT.key)?;
    let context = FormatContext { schema: wanted, declared, options, local_time_zone: context.local_time_zone() };
    Ok((factory, context))
}

/// The physical columns, all of which a message holds.
fn declared(context: &TableContext) -> SchemaRef {
    let fields = context.table.schema.physical().map(|c| arrow_field(&c.name, &c.data_type));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Messages of a log are appended: nobody looks for the one before with the same key.
fn check_primary_key(context: &TableContext, appends: bool) -> Result<()> {
    if context.table.schema.primary_key.is_none() || !appends {
        return Ok(());
    }
    let table = &context.identifier.object;
    Err(Error::user(format!("The NATS table '{table}' appends rows, and cannot guarantee the PRIMARY KEY"))
        .with("table", table)
        .hint("Remove the PRIMARY KEY, or use a format of changes such as 'debezium-json'"))
}

fn source(context: &TableContext) -> Result<TableSource> {
    context.validate_options(options::ALL, &[options::FORMAT.key])?;
    let given = &context.table.options;
    let access = Access::of(given)?;
    let streams = list(given, &options::STREAM);
    if streams.is_empty() {
        return Err(Error::user("A source reads a stream: 'stream' is missing")
            .with("option", options::STREAM.key)
            .hint("Add 'stream' = '…' to the WITH clause; nats stream ls lists them"));
    }
    streams.iter().try_for_each(|s| subject::check_stream(s))?;
    check_distinct(&streams, &options::STREAM, |a, b| a == b)?;
    let subjects = list(given, &options::SUBJECT);
    if let Some(wrong) = subjects.iter().find(|s| !subject::is_filter(s)) {
        return Err(Error::user(format!("'{wrong}' is no subject"))
            .with("option", options::SUBJECT.key)
            .hint("Write it as in 'orders.eu', 'orders.*' or 'orders.>'"));
    }
    check_distinct(&subjects, &options::SUBJECT, subject::overlap)?;
    let physical: Vec<&Column> = context.table.schema.physical().collect();
    let fields = context.schema.fields();
    let data_columns = fields.len().saturating_sub(context.metadata_keys.len());
    let value_keys = value_metadata(given, &context.registry);
    let (mut wanted, mut of_value, mut origins) = (vec![], vec![], vec![]);
    for field in fields.iter().take(data_columns) {
        let column = physical.iter().find(|c| c.name == *field.name());
        let column = column.ok_or_else(|| Error::internal(format!("'{}' is no column of the table", field.name())))?;
        origins.push(Origin::Value(wanted.len()));
        wanted.push(arrow_field(&column.name, &column.data_type));
    }
    for key in &context.metadata_keys {
        if let Some(name) = value_keys.iter().any(|k| k.key == *key).then(|| key.strip_prefix("value.")).flatten() {
            // Behind the columns.
            origins.push(Origin::Value(wanted.len() + of_value.len()));
            of_value.push(name.to_string());
            continue;
        }
        let metadata = Metadata::of(key).ok_or_else(|| {
            let known = metadata_keys().into_iter().chain(value_keys.clone());
            let known: Vec<String> = known.map(|k| k.key.into_owned()).collect();
            Error::user(format!("Unknown metadata key '{key}'")).hint(format!("There are {}", known.join(", ")))
        })?;
        origins.push(Origin::Metadata(metadata));
    }
    let (factory, format) = format(context, Arc::new(Schema::new(wanted)), declared(context))?;
    let mode = factory.changelog_mode();
    check_primary_key(context, mode.is_insert_only())?;
    let value = factory.message_decoding_with(&format, &of_value)?;
    let scan = Scan {
        table: context.identifier.object.clone(),
        access: Arc::new(access),
        streams,
        subjects: if subjects.is_empty() { vec![None] } else { subjects.into_iter().map(Some).collect() },
        startup: Startup::of(given)?,
        bounded: Bounded::of(given)?,
        plan: Arc::new(RowPlan {
            schema: Arc::clone(&context.schema),
            origins,
            value,
            invalid: InvalidRecords::of(given)?,
        }),
    };
    Ok(TableSource {
        source: Arc::new(NatsSource(Arc::new(scan))),
        changelog_mode: mode,
        parallelism: given.positive(&options::SCAN_PARALLELISM)?,
    })
}

/// What is read twice would come twice.
fn check_distinct(parts: &[String], option: &ConfigOption, same: impl Fn(&str, &str) -> bool) -> Result<()> {
    for (i, a) in parts.iter().enumerate() {
        if let Some(b) = parts[i + 1..].iter().find(|b| same(a, b)) {
            return Err(Error::user(format!("'{a}' and '{b}' overlap: what is in both would be read twice"))
                .with("option", option.key)
                .hint("Name what no two of them have in common"));
        }
    }
    Ok(())
}

/// The guarantee that is named, or what fits: exactly-once where checkpoints are made while the job runs.
fn guarantee(context: &TableContext) -> Result<DeliveryGuarantee> {
    let named = context.table.options.text(&options::GUARANTEE).map(str::to_ascii_lowercase);
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

fn sink(context: &TableContext) -> Result<TableSink> {
    context.validate_options(options::ALL, &[options::FORMAT.key])?;
    let given = &context.table.options;
    let access = Access::of(given)?;
    let one = |option: &ConfigOption| {
        let mut all = list(given, option);
        if all.len() > 1 {
            return Err(Error::user(format!("A sink writes to one {}", option.key))
                .with("option", option.key)
                .hint("Name one; for several subjects declare: subject STRING NOT NULL METADATA"));
        }
        Ok(all.pop())
    };
    let (stream, subject) = (one(&options::STREAM)?, one(&options::SUBJECT)?);
    stream.iter().try_for_each(|s| subject::check_stream(s))?;
    if subject.as_ref().is_some_and(|s| !subject::is_subject(s)) {
        return Err(Error::user("'subject' is not one that messages can be sent to")
            .with("option", options::SUBJECT.key)
            .hint("A sink's subject has no '*' and no '>'"));
    }
    // Columns arrive in the order of the DDL, those with metadata among them.
    let persisted: Vec<&Column> = context.table.schema.columns.iter().filter(|c| c.is_persisted()).collect();
    let (mut subject_column, mut headers_column) = (None, None);
    for (i, column) in persisted.iter().enumerate() {
        let Some(key) = column.metadata_key() else { continue };
        let slot = match Metadata::of(key) {
            Some(Metadata::Subject) => &mut subject_column,
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
    if subject.is_none() && subject_column.is_none() {
        return Err(Error::user("Nothing says to which subject rows go")
            .with("option", options::SUBJECT.key)
            .hint("Set 'subject', or declare: subject STRING NOT NULL METADATA"));
    }
    let columns: Vec<usize> =
        persisted.iter().enumerate().filter(|(_, c)| c.kind == ColumnKind::Physical).map(|(i, _)| i).collect();
    let (factory, format) = format(context, declared(context), declared(context))?;
    let mode = factory.changelog_mode();
    check_primary_key(context, mode.is_insert_only())?;
    let value = factory.encoding(&format)?;
    let plan = RecordPlan {
        subject,
        value: (value, columns),
        subject_column,
        headers_column,
        changes: !mode.is_insert_only(),
    };
    let guarantee = guarantee(context)?;
    let is_exact = guarantee == DeliveryGuarantee::ExactlyOnce;
    if is_exact && stream.is_none() {
        return Err(Error::user("Exactly-once output needs 'stream': the markers are in it")
            .with("option", options::STREAM.key)
            .hint("Name the stream that has the subject, or set 'sink.delivery-guarantee' = 'at-least-once'"));
    }
    let marker_subject = match given.get(options::MARKER_SUBJECT.key) {
        Some(given) => given.to_string(),
        None => format!("flott.markers.{}", stream.as_deref().unwrap_or_default()),
    };
    if is_exact && !subject::is_subject(&marker_subject) {
        return Err(Error::user("'sink.marker-subject' is not one that messages can be sent to")
            .with("option", options::MARKER_SUBJECT.key)
            .hint("Write it without '*' and '>': a part that names the job follows"));
    }
    let target = Target {
        access: Arc::new(access),
        plan: Arc::new(plan),
        stream,
        guarantee,
        staging: is_exact.then(|| staged::open(&context.config, &context.base_dir)).transpose()?,
        marker_subject,
        batch_rows: given.positive(&options::BATCH_ROWS)?.unwrap_or(1) as u64,
        fail_points: context.fail_points.clone(),
    };
    Ok(TableSink {
        sink: Arc::new(NatsSink(Arc::new(target))),
        changelog_mode: mode,
        parallelism: given.positive(&options::SINK_PARALLELISM)?,
    })
}

impl ConnectorFactory for NatsFactory {
    fn identifier(&self) -> &'static str {
        "nats"
    }

    fn description(&self) -> &'static str {
        "Streams of NATS JetStream. The source reads each stream, or each subject of it that is named, with its position in the \
         checkpoint; the sink publishes rows to a subject. See [nats.md](nats.md)."
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::ALL
    }

    fn metadata(&self) -> Vec<MetadataKey> {
        metadata_keys()
    }

    fn table_metadata(&self, options: &Options, registry: &Registry) -> Result<Vec<MetadataKey>> {
        Ok([metadata_keys(), value_metadata(options, registry)].concat())
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        source(context)
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        sink(context)
    }
}
