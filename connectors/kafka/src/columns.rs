//! Which columns are in the key and which in the value (`key.fields`, `value.fields-include`), as in Flink.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_connector::TableContext;
use flott_connector::factory::{MetadataKey, Registry};
use flott_connector::format::{FormatContext, FormatFactory};
use flott_connector::table::Column;
use flott_core::options::{ConfigOption, Options};
use flott_core::types::arrow_field;
use flott_core::{Error, Result};

use crate::options;

/// The physical columns of a table by their places.
#[derive(Debug, Clone)]
pub(crate) struct KeyValue {
    /// Columns of the key: number among the physical columns, and name in the key.
    pub(crate) key: Vec<(usize, String)>,
    /// Columns of the value.
    pub(crate) value: Vec<usize>,
    /// The key is the primary key, whose columns are never NULL.
    pub(crate) is_primary: bool,
}

impl KeyValue {
    /// `upsert`: the key is the primary key.
    pub(crate) fn of(context: &TableContext, upsert: bool) -> Result<KeyValue> {
        let physical: Vec<&Column> = context.table.schema.physical().collect();
        let given = &context.table.options;
        let wrong = |option: &ConfigOption, message: String, hint: &str| {
            Error::user(message).with("option", option.key).hint(hint.to_string())
        };
        let fields: Vec<String> = match (upsert, &context.table.schema.primary_key) {
            (true, Some(key)) => key.columns.clone(),
            (true, None) => {
                return Err(Error::user("'upsert-kafka' tables require to define a PRIMARY KEY constraint.")
                    .hint("Add PRIMARY KEY (..) NOT ENFORCED: its columns are the message's key"));
            }
            (false, _) => {
                let text = given.get(options::KEY_FIELDS.key).unwrap_or_default();
                text.split(';').map(str::trim).filter(|f| !f.is_empty()).map(str::to_string).collect()
            }
        };
        let has_format = given.contains(options::KEY_FORMAT.key);
        if has_format && fields.is_empty() {
            return Err(wrong(
                &options::KEY_FIELDS,
                "A key format 'key.format' requires the declaration of one or more of key fields using 'key.fields'."
                    .into(),
                "Name the key's columns in 'key.fields', or remove 'key.format'",
            ));
        }
        if !has_format && !fields.is_empty() {
            return Err(wrong(
                &options::KEY_FORMAT,
                "The option 'key.fields' can only be declared if a key format is defined using 'key.format'.".into(),
                "Set 'key.format', or remove 'key.fields'",
            ));
        }
        let prefix = given.get(options::KEY_FIELDS_PREFIX.key).unwrap_or_default();
        let include = given.text(&options::VALUE_FIELDS_INCLUDE).unwrap_or_default();
        options::VALUE_FIELDS_INCLUDE.check(options::VALUE_FIELDS_INCLUDE.key, include)?;
        let except_key = include.eq_ignore_ascii_case("EXCEPT_KEY");
        if !prefix.is_empty() && !except_key {
            return Err(wrong(
                &options::VALUE_FIELDS_INCLUDE,
                "A key prefix is not allowed when 'value.fields-include' is 'ALL'.".into(),
                "Set 'value.fields-include' = 'EXCEPT_KEY'",
            ));
        }
        let mut key = vec![];
        for field in &fields {
            let Some(index) = physical.iter().position(|c| c.name == *field) else {
                return Err(wrong(
                    &options::KEY_FIELDS,
                    format!("Could not find the field '{field}' in the table schema for usage in the key format."),
                    "A key field must be a physical column",
                ));
            };
            let Some(name) = field.strip_prefix(prefix) else {
                return Err(wrong(
                    &options::KEY_FIELDS_PREFIX,
                    format!("All fields in 'key.fields' must be prefixed with '{prefix}' but '{field}' is not."),
                    "Rename the column, or remove 'key.fields-prefix'",
                ));
            };
            key.push((index, name.to_string()));
        }
        let value: Vec<usize> =
            (0..physical.len()).filter(|i| !except_key || !key.iter().any(|(k, _)| k == i)).collect();
        Ok(KeyValue { key, value, is_primary: upsert })
    }

    /// The declared columns of the key, with their names there.
    pub(crate) fn key_schema(&self, context: &TableContext) -> SchemaRef {
        let physical: Vec<&Column> = context.table.schema.physical().collect();
        let field = |(i, name): &(usize, String)| {
            let field = arrow_field(name, &physical[*i].data_type);
            if self.is_primary { field.with_nullable(false) } else { field }
        };
        Arc::new(Schema::new(self.key.iter().map(field).collect::<Vec<_>>()))
    }

    /// The declared columns of the value.
    pub(crate) fn value_schema(&self, context: &TableContext) -> SchemaRef {
        let physical: Vec<&Column> = context.table.schema.physical().collect();
        let field = |i: &usize| arrow_field(&physical[*i].name, &physical[*i].data_type);
        Arc::new(Schema::new(self.value.iter().map(field).collect::<Vec<_>>()))
    }
}

/// Metadata that the value's format reads, as the table names it: `value.<key>`. None where the format is not known.
pub(crate) fn value_metadata(given: &Options, registry: &Registry) -> Vec<MetadataKey> {
    let name = given.get(options::VALUE_FORMAT.key).or(given.get(options::FORMAT.key)).unwrap_or_default();
    let keys = registry.format(name).map(|f| f.readable_metadata()).unwrap_or_default();
    keys.into_iter().map(|k| MetadataKey { key: format!("value.{}", k.key).into(), ..k }).collect()
}

/// Formats whose schemas are in a registry.
const REGISTRY_FORMATS: [&str; 2] = ["avro-confluent", "debezium-avro-confluent"];

/// A format and what it is asked for.
pub(crate) struct Format {
    pub(crate) factory: Arc<dyn FormatFactory>,
    pub(crate) context: FormatContext,
}

/// Keys that name formats, where they are set: `key.format`, and `format` or `value.format`.
pub(crate) fn value_format_key(context: &TableContext) -> Result<&'static str> {
    let given = &context.table.options;
    match (given.contains(options::FORMAT.key), given.contains(options::VALUE_FORMAT.key)) {
        (true, false) => Ok(options::FORMAT.key),
        (false, true) => Ok(options::VALUE_FORMAT.key),
        (true, true) => Err(Error::user("'format' and 'value.format' are both set")
            .with("option", options::VALUE_FORMAT.key)
            .hint("They mean the same: remove one")),
        (false, false) => Err(Error::user("Missing required option 'format' or 'value.format'")
            .with("option", options::FORMAT.key)
            .hint(format!("Available formats: {}", context.registry.format_names().join(", ")))),
    }
}

/// The format that `key` names, with its options: `csv.x` for `format`, `key.csv.x` and `value.csv.x` for the others.
pub(crate) fn format(context: &TableContext, key: &str, wanted: SchemaRef, declared: SchemaRef) -> Result<Format> {
    let name = context.table.options.get(key).unwrap_or_default();
    let factory = context.registry.format(name).map_err(|e| e.with("option", key))?;
    let prefix = format!("{}{}.", key.strip_suffix("format").unwrap_or_default(), factory.identifier());
    let mut options = context.table.options.with_prefix(&prefix);
    // As Flink names the subject of a topic's schemas.
    if let Some(topic) = context.table.options.get("topic").filter(|t| !t.contains(';'))
        && REGISTRY_FORMATS.contains(&factory.identifier())
        && !options.contains("subject")
        && !options.contains("schema-registry.subject")
    {
        let part = if key == options::KEY_FORMAT.key { "key" } else { "value" };
        options.set("subject", format!("{}-{part}", topic.trim()));
    }
    let what = format!("format '{name}' ('{key}') of table '{}'", context.identifier.object);
    options.validate_below(&prefix, &what, factory.options())?;
    let context = FormatContext { schema: wanted, declared, options, local_time_zone: context.local_time_zone() };
    Ok(Format { factory, context })
}

/// Checks the table's options: the connector's own and those of its formats.
pub(crate) fn validate(context: &TableContext, own: &[ConfigOption]) -> Result<()> {
    let given = &context.table.options;
    let mut formats = vec![];
    for key in [options::FORMAT.key, options::VALUE_FORMAT.key, options::KEY_FORMAT.key] {
        if let Some(name) = given.get(key) {
            let format = context.registry.format(name).map_err(|e| e.with("option", key))?;
            formats.push((format!("{}{name}.", key.strip_suffix("format").unwrap_or_default()), format));
        }
    }
    let own_only = given
        .iter()
        .filter(|(k, _)| *k != "connector" && !k.starts_with("scan.watermark."))
        .filter(|(k, _)| !formats.iter().any(|(prefix, _)| k.starts_with(prefix.as_str())))
        .collect::<Options>();
    context.validate_watermark_options()?;
    context.validate_own(&own_only, own, &formats)
}
