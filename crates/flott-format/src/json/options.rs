//! The options of json.

use std::sync::Arc;

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

/// Flink's options of json.
pub static OPTIONS: &[ConfigOption] = &[
    FAIL_ON_MISSING_FIELD,
    IGNORE_PARSE_ERRORS,
    TIMESTAMP_FORMAT,
    MAP_NULL_KEY_MODE,
    MAP_NULL_KEY_LITERAL,
    ENCODE_DECIMAL_AS_PLAIN_NUMBER,
    ENCODE_IGNORE_NULL_FIELDS,
    DECODE_JSON_PARSER_ENABLED,
];

const FAIL_ON_MISSING_FIELD: ConfigOption = ConfigOption::optional(
    "fail-on-missing-field",
    OptionType::Boolean,
    Some("false"),
    "Fails where an object lacks a column's field, instead of reading it as NULL.",
);
const IGNORE_PARSE_ERRORS: ConfigOption = ConfigOption::optional(
    "ignore-parse-errors",
    OptionType::Boolean,
    Some("false"),
    "Reads a field that does not fit its type as NULL and skips a record that is no JSON, instead of failing.",
);
const TIMESTAMP_FORMAT: ConfigOption = ConfigOption::optional(
    "timestamp-format.standard",
    OptionType::Enum(&["SQL", "ISO-8601"]),
    Some("SQL"),
    "How timestamps are spelled: SQL is 'yyyy-MM-dd HH:mm:ss.s{precision}', ISO-8601 is 'yyyy-MM-ddTHH:mm:ss.s{precision}'. TIMESTAMP_LTZ ends with 'Z' in both.",
);
const MAP_NULL_KEY_MODE: ConfigOption = ConfigOption::optional(
    "map-null-key.mode",
    OptionType::Enum(&["FAIL", "DROP", "LITERAL"]),
    Some("FAIL"),
    "What to do with a NULL key when writing a map: FAIL ends the job, DROP leaves the entry out, LITERAL writes 'map-null-key.literal' instead.",
);
const MAP_NULL_KEY_LITERAL: ConfigOption = ConfigOption::optional(
    "map-null-key.literal",
    OptionType::String,
    Some("null"),
    "The key to write for a NULL key where 'map-null-key.mode' is LITERAL.",
);
const ENCODE_DECIMAL_AS_PLAIN_NUMBER: ConfigOption = ConfigOption::optional(
    "encode.decimal-as-plain-number",
    OptionType::Boolean,
    Some("false"),
    "Writes all decimals as plain numbers instead of possible scientific notation (0.000000027 instead of 2.7E-8).",
);
const ENCODE_IGNORE_NULL_FIELDS: ConfigOption = ConfigOption::optional(
    "encode.ignore-null-fields",
    OptionType::Boolean,
    Some("false"),
    "Leaves out fields that are NULL when writing.",
);
const DECODE_JSON_PARSER_ENABLED: ConfigOption = ConfigOption::optional(
    "decode.json-parser.enabled",
    OptionType::Boolean,
    Some("true"),
    "Chooses between two parsers in Flink. Accepted for compatibility: there is one parser here, and it never builds a tree.",
);

/// What becomes of a map's NULL key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NullKeys {
    Fail,
    Drop,
    Literal(Arc<str>),
}

/// The options' values.
#[derive(Debug, Clone)]
pub(crate) struct JsonOptions {
    pub(crate) fail_on_missing_field: bool,
    pub(crate) ignore_parse_errors: bool,
    /// ISO-8601, with a `T`; else SQL, with a blank.
    pub(crate) iso_timestamps: bool,
    pub(crate) plain_decimals: bool,
    pub(crate) ignore_null_fields: bool,
    pub(crate) null_keys: NullKeys,
}

impl JsonOptions {
    /// Reads and checks them.
    pub(crate) fn parse(options: &Options) -> Result<JsonOptions> {
        for option in [&TIMESTAMP_FORMAT, &MAP_NULL_KEY_MODE] {
            if let Some(value) = options.get(option.key) {
                option.check(option.key, value)?;
            }
        }
        let parsed = JsonOptions {
            fail_on_missing_field: options.bool(&FAIL_ON_MISSING_FIELD)?,
            ignore_parse_errors: options.bool(&IGNORE_PARSE_ERRORS)?,
            iso_timestamps: options.text(&TIMESTAMP_FORMAT).is_some_and(|t| t.eq_ignore_ascii_case("ISO-8601")),
            plain_decimals: options.bool(&ENCODE_DECIMAL_AS_PLAIN_NUMBER)?,
            ignore_null_fields: options.bool(&ENCODE_IGNORE_NULL_FIELDS)?,
            null_keys: match options.text(&MAP_NULL_KEY_MODE).map(str::to_ascii_uppercase).as_deref() {
                Some("DROP") => NullKeys::Drop,
                Some("LITERAL") => NullKeys::Literal(options.text(&MAP_NULL_KEY_LITERAL).unwrap_or("null").into()),
                _ => NullKeys::Fail,
            },
        };
        if parsed.fail_on_missing_field && parsed.ignore_parse_errors {
            return Err(Error::user("fail-on-missing-field and ignore-parse-errors shouldn't both be true.")
                .with("option", "json.fail-on-missing-field")
                .hint("Remove one of 'json.fail-on-missing-field' and 'json.ignore-parse-errors'"));
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_are_refused() {
        for (options, part) in [
            (&[("timestamp-format.standard", "RFC")][..], "expected one of SQL, ISO-8601"),
            (&[("map-null-key.mode", "SKIP")], "expected one of FAIL, DROP, LITERAL"),
            (&[("fail-on-missing-field", "true"), ("ignore-parse-errors", "true")], "shouldn't both be true"),
            (&[("ignore-parse-errors", "1")], "expected 'true' or 'false'"),
        ] {
            let e = JsonOptions::parse(&options.iter().copied().collect()).expect_err(part).to_string();
            assert!(e.contains(part), "{e}");
        }
        let iso = [("timestamp-format.standard", "iso-8601")].into_iter().collect();
        assert!(JsonOptions::parse(&iso).expect("valid").iso_timestamps);
    }
}
