//! The `values` connector: tables whose rows a test registered, and sinks whose rows it reads back.
//!
//! It has the flags of the in-memory table of Flink's planner tests. Data lies in a [`ValuesStore`] that is handed to the
//! factory: nothing is global. A source reads the data set of its option `data-id`, or of its table's name.

mod lookup;
mod options;
mod reader;
mod split_log;
mod store;
mod vectors;
mod writer;

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_connector::factory::{
    ChangelogMode, ConnectorFactory, MetadataKey, Registry, TableContext, TableLookup, TableSink, TableSource,
    VectorSearch,
};
use flott_connector::table::Column;
use flott_core::options::{ConfigOption, Options};
use flott_core::types::arrow_field;
use flott_core::{ChangeBatch, Error, LogicalType, Result};

use lookup::ValuesLookup;
use options::*;
use reader::{Loaded, ValuesSource};
use split_log::SplitLogSource;
pub use store::{Phase, ValuesStore};
use vectors::ValuesSearch;
use writer::ValuesSink;

/// The connector, over one store.
pub struct Values {
    identifier: &'static str,
    store: ValuesStore,
}

impl Values {
    /// Tables of this store.
    pub fn new(store: ValuesStore) -> Values {
        Values::named("values", store)
    }

    /// The same under another name, so that a job can have tables of several stores.
    pub fn named(identifier: &'static str, store: ValuesStore) -> Values {
        Values { identifier, store }
    }
}

impl Values {
    /// The name of a table's data set. Rows that its DDL holds become one.
    fn data_set(&self, context: &TableContext) -> String {
        let options = &context.table.options;
        let name = options.get(DATA_ID.key).unwrap_or(&context.identifier.object).to_string();
        if let Some(rows) = options.get(ROWS.key) {
            let rows: Vec<&str> = rows.split(';').map(str::trim).filter(|r| !r.is_empty()).collect();
            let name = format!("{name}({})", rows.join("; "));
            let none: [&str; 0] = [];
            if !self.store.has_data(&name) {
                self.store.insert_rows(&name, &rows, &none);
            }
            return name;
        }
        name
    }
}

impl ConnectorFactory for Values {
    fn identifier(&self) -> &'static str {
        self.identifier
    }

    fn description(&self) -> &'static str {
        "Rows that a test registered in memory."
    }

    fn options(&self) -> &'static [ConfigOption] {
        &OPTIONS
    }

    fn table_metadata(&self, options: &Options, _registry: &Registry) -> Result<Vec<MetadataKey>> {
        let readable = metadata_keys(options.get(READABLE_METADATA.key))?;
        let writable = metadata_keys(options.get(WRITABLE_METADATA.key))?;
        let mut keys: Vec<MetadataKey> = vec![];
        for (key, data_type) in readable.iter().chain(writable.iter().filter(|w| !readable.contains(w))) {
            let writable = writable.iter().any(|(w, _)| w == key);
            keys.push(MetadataKey { key: key.clone().into(), data_type: data_type.clone(), writable });
        }
        Ok(keys)
    }

    fn source_deletes_by_key(&self, options: &Options) -> bool {
        options.bool(&PRODUCES_DELETE_BY_KEY).unwrap_or(false)
    }

    fn sink_deletes_by_key(&self, options: &Options) -> bool {
        options.bool(&SUPPORTS_DELETE_BY_KEY).unwrap_or(false)
    }

    fn supports_watermark_push_down(&self, options: &Options) -> bool {
        options.bool(&WATERMARK_PUSH_DOWN).unwrap_or(false)
    }

    fn overwrites_in_streaming(&self) -> bool {
        true
    }

    /// As Flink's test table: it takes an INSERT OVERWRITE, and records the rows like any others.
    fn overwriting_sink(&self, context: &TableContext) -> Option<Result<TableSink>> {
        Some(self.sink(context))
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        context.validate_options(&OPTIONS, &[])?;
        let options = &context.table.options;
        let name = self.data_set(context);
        let name = name.as_str();
        let mode = changelog_mode(options.text(&CHANGELOG_MODE).unwrap_or("I"))?;
        if let Some(splits) = options.int(&SPLITS)? {
            let source = SplitLogSource {
                context: Arc::new(context.clone()),
                store: self.store.clone(),
                name: name.to_string(),
                splits: u32::try_from(splits).map_err(|_| Error::user("'splits' is not a number of splits"))?,
                stays_open: !options.bool(&BOUNDED)?,
            };
            return Ok(TableSource { source: Arc::new(source), changelog_mode: mode, parallelism: None });
        }
        let available = available_columns(context)?;
        let loaded = self.store.load(name, &available)?;
        let stays_open = !options.bool(&BOUNDED)? || !options.bool(&TERMINATING)?;
        let source = ValuesSource {
            rows: Loaded { rows: project(context, &available, loaded.rows)?, before: loaded.before },
            store: self.store.clone(),
            name: name.to_string(),
            stays_open,
            fails: options.bool(&FAILING_SOURCE)?,
            reader: self.store.new_reader(),
        };
        Ok(TableSource { source: Arc::new(source), changelog_mode: mode, parallelism: Some(1) })
    }

    fn lookup(&self, context: &TableContext, keys: &[String]) -> Option<Result<TableLookup>> {
        let options = &context.table.options;
        if options.bool(&DISABLE_LOOKUP).unwrap_or(false) {
            return None;
        }
        let make = || {
            context.validate_options(&OPTIONS, &[])?;
            let name = self.data_set(context);
            self.store.will_be_looked_up(&name);
            let source = ValuesLookup::new(context, &self.store, &name, keys)?;
            Ok(TableLookup { source: Arc::new(source), is_async: options.bool(&ASYNC)? })
        };
        Some(make())
    }

    fn vector_search(&self, context: &TableContext, search: &VectorSearch) -> Option<Result<TableLookup>> {
        let options = &context.table.options;
        if !options.bool(&VECTOR_SEARCH).unwrap_or(false) {
            return None;
        }
        let make = || {
            context.validate_options(&OPTIONS, &[])?;
            let name = self.data_set(context);
            self.store.will_be_looked_up(&name);
            let source = ValuesSearch::new(context, &self.store, &name, search)?;
            Ok(TableLookup { source: Arc::new(source), is_async: options.bool(&ASYNC)? })
        };
        Some(make())
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        context.validate_options(&OPTIONS, &[])?;
        let options = &context.table.options;
        let key = context.table.schema.primary_key.as_ref().map(|k| k.columns.clone()).unwrap_or_default();
        let changelog_mode = if options.bool(&SINK_INSERT_ONLY)? {
            ChangelogMode::INSERT_ONLY
        } else if let Some(mode) = options.get(SINK_MODE_ENFORCED.key) {
            changelog_mode(mode)?
        } else if key.is_empty() {
            ChangelogMode::ALL
        } else {
            ChangelogMode::UPSERT
        };
        let key = key.iter().map(|name| context.schema.index_of(name));
        let key: Vec<usize> = key.collect::<std::result::Result<_, _>>()?;
        let order = sink_order(context)?;
        let place = |column: usize| order.iter().position(|c| *c == column).unwrap_or(column);
        let key = key.into_iter().map(place).collect();
        self.store.register_sink(&context.identifier.object, key);
        let exactly_once = match options.text(&SINK_GUARANTEE) {
            Some("exactly-once") => true,
            None | Some("at-least-once") => false,
            Some(other) => {
                return Err(Error::user(format!("'{other}' is no guarantee"))
                    .with("option", SINK_GUARANTEE.key)
                    .hint("Use 'at-least-once' or 'exactly-once'"));
            }
        };
        let sink =
            ValuesSink { store: self.store.clone(), name: context.identifier.object.clone(), exactly_once, order };
        let parallelism = options.int(&SINK_PARALLELISM)?.and_then(|n| usize::try_from(n).ok());
        Ok(TableSink { sink: Arc::new(sink), changelog_mode, parallelism })
    }
}

/// `I,UA,UB,D` in any order.
fn changelog_mode(text: &str) -> Result<ChangelogMode> {
    let mut mode = ChangelogMode { insert: false, update_before: false, update_after: false, delete: false };
    for kind in text.split(',').map(str::trim) {
        match kind {
            "I" => mode.insert = true,
            "UB" => mode.update_before = true,
            "UA" => mode.update_after = true,
            "D" => mode.delete = true,
            other => {
                return Err(Error::user(format!("Invalid ChangelogMode string: {text}"))
                    .hint(format!("'{other}' is none of I, UB, UA, D")));
            }
        }
    }
    Ok(mode)
}

/// `ts:TIMESTAMP(3),partition:INT`.
fn metadata_keys(text: Option<&str>) -> Result<Vec<(String, LogicalType)>> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(vec![]) };
    let mut keys = vec![];
    let (mut depth, mut start) = (0i32, 0);
    let mut ends: Vec<usize> = vec![];
    for (i, c) in text.char_indices() {
        match c {
            '(' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            ',' | ';' if depth == 0 => ends.push(i),
            _ => {}
        }
    }
    ends.push(text.len());
    for end in ends {
        let (key, data_type) = text[start..end].split_once(':').ok_or_else(|| {
            Error::user(format!("'{}' is not a metadata column", &text[start..end])).hint("Write key:TYPE,key:TYPE")
        })?;
        keys.push((key.trim().to_string(), data_type.parse()?));
        start = end + 1;
    }
    Ok(keys)
}

/// The columns of a sink as Flink hands them to one: the physical columns, then metadata in the order in which the connector
/// lists it.
fn sink_order(context: &TableContext) -> Result<Vec<usize>> {
    let writable = metadata_keys(context.table.options.get(WRITABLE_METADATA.key))?;
    let columns = context.table.schema.columns.iter().filter(|c| c.is_persisted());
    let place = |c: &Column| c.metadata_key().map(|key| writable.iter().position(|w| w.0 == key));
    let mut order: Vec<(Option<Option<usize>>, usize)> = columns.enumerate().map(|(i, c)| (place(c), i)).collect();
    order.sort();
    Ok(order.into_iter().map(|(_, column)| column).collect())
}

/// What a data row holds: the physical columns, then the readable metadata.
fn available_columns(context: &TableContext) -> Result<SchemaRef> {
    let metadata = metadata_keys(context.table.options.get(READABLE_METADATA.key))?;
    let physical = context.table.schema.physical().map(|c| arrow_field(&c.name, &c.data_type));
    let fields: Vec<_> = physical.chain(metadata.iter().map(|(key, t)| arrow_field(key, t))).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// The columns asked for. The produced schema differs from the planner's only where rows break a NOT NULL.
fn project(context: &TableContext, available: &SchemaRef, rows: ChangeBatch) -> Result<ChangeBatch> {
    let physical = context.table.schema.physical().count();
    let asked = context.schema.fields().len() - context.metadata_keys.len().min(context.schema.fields().len());
    let mut indices = vec![];
    for (i, field) in context.schema.fields().iter().enumerate() {
        let range = if i < asked { 0..physical } else { physical..available.fields().len() };
        let index = range.into_iter().find(|c| available.field(*c).name() == field.name());
        indices.push(index.ok_or_else(|| {
            Error::user(format!("the data of table '{}' has no column '{}'", context.identifier.object, field.name()))
                .hint("Name metadata columns in 'readable-metadata'")
        })?);
    }
    let projected = rows.rows.project(&indices)?;
    let have = projected.schema();
    let nullable = have.fields().iter().zip(context.schema.fields()).map(|(have, asked)| {
        if have.data_type() == asked.data_type() && (asked.is_nullable() || !have.is_nullable()) {
            asked.as_ref().clone()
        } else {
            have.as_ref().clone()
        }
    });
    let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(projected.num_rows()));
    let columns = projected.columns().to_vec();
    Ok(rows.with_rows(arrow_array::RecordBatch::try_new_with_options(schema, columns, &options)?))
}
