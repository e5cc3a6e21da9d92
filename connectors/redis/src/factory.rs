//! From a table's DDL to a sink.

use std::sync::Arc;

use arrow_schema::Schema;
use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSink};
use flott_connector::format::FormatContext;
use flott_connector::table::{Column, ColumnKind};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::arrow_field;
use flott_core::{Error, Result};

use crate::access::{Access, wrong};
use crate::options;
use crate::target::{Keeping, RedisSink, Target};

/// Rows in a Redis server.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisFactory;

fn keeping(context: &TableContext, columns: &[&Column]) -> Result<Keeping> {
    let given = &context.table.options;
    let data_type = given.text(&options::DATA_TYPE).unwrap_or_default().to_ascii_lowercase();
    let key = context.table.schema.primary_key.as_ref();
    if data_type == "list" {
        if key.is_some() {
            return Err(wrong(&options::DATA_TYPE, "A list appends rows, and cannot guarantee the PRIMARY KEY")
                .hint("Remove the PRIMARY KEY, or set 'data-type' = 'string' or 'hash'"));
        }
        let name = given.get(options::KEY.key).filter(|k| !k.is_empty());
        let name = name.ok_or_else(|| wrong(&options::KEY, "A list needs 'key', the key that it has"))?;
        return Ok(Keeping::List(name.to_string()));
    }
    if given.contains(options::KEY.key) {
        return Err(wrong(&options::KEY, "'key' is for lists").hint("Set 'key.prefix'; the PRIMARY KEY follows it"));
    }
    let Some(key) = key else {
        return Err(Error::user(format!("A table of the data type '{data_type}' needs a PRIMARY KEY"))
            .with("option", options::DATA_TYPE.key)
            .hint("Add PRIMARY KEY (..) NOT ENFORCED: its columns make the key, or set 'data-type' = 'list'"));
    };
    let place = |name: &String| columns.iter().position(|c| c.name == *name);
    let places: Option<Vec<usize>> = key.columns.iter().map(place).collect();
    let places = places.ok_or_else(|| Error::internal("a column of the PRIMARY KEY is none of the table"))?;
    Ok(if data_type == "hash" { Keeping::Hash(places) } else { Keeping::String(places) })
}

fn sink(context: &TableContext) -> Result<TableSink> {
    let given = &context.table.options;
    let format_keys: &[&str] = if given.contains(options::FORMAT.key) { &[options::FORMAT.key] } else { &[] };
    context.validate_options(options::ALL, format_keys)?;
    let persisted: Vec<&Column> = context.table.schema.columns.iter().filter(|c| c.is_persisted()).collect();
    if let Some(column) = persisted.iter().find(|c| c.kind != ColumnKind::Physical) {
        return Err(Error::user("The connector 'redis' has no metadata").with("column", &column.name));
    }
    let keeping = keeping(context, &persisted)?;
    let value = match (&keeping, given.contains(options::FORMAT.key)) {
        (Keeping::Hash(_), false) => None,
        (Keeping::Hash(_), true) => {
            return Err(wrong(&options::FORMAT, "A hash has a field for each column, and no format"));
        }
        _ => {
            let (factory, format_options) = context.format(options::FORMAT.key)?;
            if !factory.changelog_mode().is_insert_only() {
                return Err(wrong(&options::FORMAT, "A format of changes cannot be kept in Redis")
                    .hint("Use a format of single rows, such as 'json'"));
            }
            let fields: Vec<_> = persisted.iter().map(|c| arrow_field(&c.name, &c.data_type)).collect();
            let schema = Arc::new(Schema::new(fields));
            let format = FormatContext {
                schema: Arc::clone(&schema),
                declared: schema,
                options: format_options,
                local_time_zone: context.local_time_zone(),
            };
            Some(factory.encoding(&format)?)
        }
    };
    let ttl_ms = match given.duration(&options::TTL)?.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)) {
        Some(0) => return Err(wrong(&options::TTL, "'ttl' must be a millisecond or more")),
        ttl => ttl,
    };
    let delimiter = given.text(&options::KEY_DELIMITER).unwrap_or_default().to_string();
    if delimiter.is_empty() || delimiter.contains('%') {
        return Err(wrong(&options::KEY_DELIMITER, "'key.delimiter' must not be empty or hold '%'"));
    }
    let retries = given.int(&options::RETRIES)?.unwrap_or(0);
    let appends = matches!(keeping, Keeping::List(_));
    let target = Target {
        access: Access::of(given)?,
        keeping,
        value,
        prefix: given.text(&options::KEY_PREFIX).unwrap_or_default().to_string(),
        delimiter,
        ttl_ms,
        retries: u32::try_from(retries)
            .map_err(|_| wrong(&options::RETRIES, "'sink.max-retries' must not be less than 0"))?,
    };
    Ok(TableSink {
        sink: Arc::new(RedisSink(Arc::new(target))),
        changelog_mode: if appends { ChangelogMode::INSERT_ONLY } else { ChangelogMode::UPSERT },
        parallelism: given.positive(&options::SINK_PARALLELISM)?,
    })
}

impl ConnectorFactory for RedisFactory {
    fn identifier(&self) -> &'static str {
        "redis"
    }

    fn description(&self) -> &'static str {
        "Keeps the last row of each key in a Redis server, as a string or a hash, or appends rows to a list. See \
         [redis.md](redis.md)."
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::ALL
    }

    fn sink_deletes_by_key(&self, _options: &Options) -> bool {
        true
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        sink(context)
    }
}
