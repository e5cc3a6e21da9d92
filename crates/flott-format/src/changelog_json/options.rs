//! Their options: those of json, and which messages are meant.

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};
use regex::Regex;

use super::ChangelogJson;

const SCHEMA_INCLUDE: ConfigOption = ConfigOption::optional(
    "schema-include",
    OptionType::Boolean,
    Some("false"),
    "Messages carry a schema beside their payload (Kafka Connect's `value.converter.schemas.enable`).",
);
const IGNORE_PARSE_ERRORS: ConfigOption = ConfigOption::optional(
    "ignore-parse-errors",
    OptionType::Boolean,
    Some("false"),
    "Reads a field that does not fit its type as NULL and skips a message that cannot be understood, instead of failing.",
);
const TIMESTAMP_FORMAT: ConfigOption = ConfigOption::optional(
    "timestamp-format.standard",
    OptionType::Enum(&["SQL", "ISO-8601"]),
    Some("SQL"),
    "How timestamps are spelled, as in json.",
);
const MAP_NULL_KEY_MODE: ConfigOption = ConfigOption::optional(
    "map-null-key.mode",
    OptionType::Enum(&["FAIL", "DROP", "LITERAL"]),
    Some("FAIL"),
    "As in json: what to do with a NULL key when writing a map.",
);
const MAP_NULL_KEY_LITERAL: ConfigOption =
    ConfigOption::optional("map-null-key.literal", OptionType::String, Some("null"), "As in json.");
const PLAIN_DECIMALS: ConfigOption = ConfigOption::optional(
    "encode.decimal-as-plain-number",
    OptionType::Boolean,
    Some("false"),
    "Writes all decimals as plain numbers.",
);
const IGNORE_NULL_FIELDS: ConfigOption = ConfigOption::optional(
    "encode.ignore-null-fields",
    OptionType::Boolean,
    Some("false"),
    "Leaves out fields that are NULL when writing.",
);
const DATABASE_INCLUDE: ConfigOption = ConfigOption::optional(
    "database.include",
    OptionType::String,
    None,
    "A regular expression that whole names of databases have to fit; messages of others are left out.",
);
const TABLE_INCLUDE: ConfigOption = ConfigOption::optional(
    "table.include",
    OptionType::String,
    None,
    "A regular expression that whole names of tables have to fit; messages of others are left out.",
);

static PLAIN: &[ConfigOption] = &[
    IGNORE_PARSE_ERRORS,
    TIMESTAMP_FORMAT,
    MAP_NULL_KEY_MODE,
    MAP_NULL_KEY_LITERAL,
    PLAIN_DECIMALS,
    IGNORE_NULL_FIELDS,
];
static DEBEZIUM: &[ConfigOption] = &[
    SCHEMA_INCLUDE,
    IGNORE_PARSE_ERRORS,
    TIMESTAMP_FORMAT,
    MAP_NULL_KEY_MODE,
    MAP_NULL_KEY_LITERAL,
    PLAIN_DECIMALS,
    IGNORE_NULL_FIELDS,
];
static CANAL: &[ConfigOption] = &[
    IGNORE_PARSE_ERRORS,
    TIMESTAMP_FORMAT,
    DATABASE_INCLUDE,
    TABLE_INCLUDE,
    MAP_NULL_KEY_MODE,
    MAP_NULL_KEY_LITERAL,
    PLAIN_DECIMALS,
    IGNORE_NULL_FIELDS,
];

pub(super) fn of(dialect: ChangelogJson) -> &'static [ConfigOption] {
    match dialect {
        ChangelogJson::Debezium => DEBEZIUM,
        ChangelogJson::Canal => CANAL,
        ChangelogJson::Maxwell | ChangelogJson::Ogg => PLAIN,
    }
}

/// Their values.
#[derive(Debug, Clone)]
pub(super) struct ChangeOptions {
    pub(super) schema_include: bool,
    pub(super) ignore_parse_errors: bool,
    pub(super) database: Option<Regex>,
    pub(super) table: Option<Regex>,
    pub(super) without_nulls: bool,
    /// For json.
    pub(super) json: Options,
}

impl ChangeOptions {
    pub(super) fn parse(dialect: ChangelogJson, options: &Options) -> Result<ChangeOptions> {
        let regex = |option: &ConfigOption| {
            let pattern = options.get(option.key).filter(|_| dialect == ChangelogJson::Canal);
            let compiled = pattern.map(|p| {
                Regex::new(&format!("^(?:{p})$")).map_err(|e| {
                    Error::user(format!("'{p}' is not a usable regular expression"))
                        .with("option", format!("canal-json.{}", option.key))
                        .hint("Java's look-around and back references are not supported")
                        .caused_by(e)
                })
            });
            compiled.transpose()
        };
        let of_json = [
            IGNORE_PARSE_ERRORS,
            TIMESTAMP_FORMAT,
            MAP_NULL_KEY_MODE,
            MAP_NULL_KEY_LITERAL,
            PLAIN_DECIMALS,
            IGNORE_NULL_FIELDS,
        ];
        Ok(ChangeOptions {
            schema_include: dialect == ChangelogJson::Debezium && options.bool(&SCHEMA_INCLUDE)?,
            ignore_parse_errors: options.bool(&IGNORE_PARSE_ERRORS)?,
            without_nulls: options.bool(&IGNORE_NULL_FIELDS)?,
            database: regex(&DATABASE_INCLUDE)?,
            table: regex(&TABLE_INCLUDE)?,
            json: of_json
                .iter()
                .filter_map(|o| options.get(o.key).map(|v| (o.key.to_string(), v.to_string())))
                .collect(),
        })
    }
}
