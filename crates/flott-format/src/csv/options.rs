//! The options of csv.

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

/// Flink's options of csv.
pub static OPTIONS: &[ConfigOption] = &[
    FIELD_DELIMITER,
    DISABLE_QUOTE_CHARACTER,
    QUOTE_CHARACTER,
    ALLOW_COMMENTS,
    IGNORE_PARSE_ERRORS,
    ARRAY_ELEMENT_DELIMITER,
    ESCAPE_CHARACTER,
    NULL_LITERAL,
    WRITE_BIGDECIMAL_IN_SCIENTIFIC_NOTATION,
    TRIM_SPACES,
    IGNORE_TRAILING_UNMAPPABLE,
    ALLOW_TRAILING_COMMA,
    FAIL_ON_MISSING_COLUMNS,
    EMPTY_STRING_AS_NULL,
    IGNORE_FIRST_LINE,
];

const FIELD_DELIMITER: ConfigOption = ConfigOption::optional(
    "field-delimiter",
    OptionType::String,
    Some(","),
    "The character between fields. Java escapes such as '\\t' or '\\u0001' are understood.",
);
const DISABLE_QUOTE_CHARACTER: ConfigOption = ConfigOption::optional(
    "disable-quote-character",
    OptionType::Boolean,
    Some("false"),
    "Quotes are ordinary characters: fields cannot be enclosed in them. Excludes 'quote-character'.",
);
const QUOTE_CHARACTER: ConfigOption = ConfigOption::optional(
    "quote-character",
    OptionType::String,
    Some("\""),
    "The character that encloses fields which contain delimiters, line breaks or quotes; a quote inside is doubled.",
);
const ALLOW_COMMENTS: ConfigOption = ConfigOption::optional(
    "allow-comments",
    OptionType::Boolean,
    Some("false"),
    "Skips lines that start with '#', and empty lines.",
);
const IGNORE_PARSE_ERRORS: ConfigOption = ConfigOption::optional(
    "ignore-parse-errors",
    OptionType::Boolean,
    Some("false"),
    "Reads a field that does not fit its type as NULL, a record with too few fields with NULL at its end, and skips a record that is malformed or has too many fields, instead of failing.",
);
const ARRAY_ELEMENT_DELIMITER: ConfigOption = ConfigOption::optional(
    "array-element-delimiter",
    OptionType::String,
    Some(";"),
    "The character between the elements of an ARRAY or the fields of a ROW.",
);
const ESCAPE_CHARACTER: ConfigOption = ConfigOption::optional(
    "escape-character",
    OptionType::String,
    None,
    "The character that takes the special meaning from the one behind it. Off where it is not set.",
);
const NULL_LITERAL: ConfigOption = ConfigOption::optional(
    "null-literal",
    OptionType::String,
    None,
    "The text that stands for NULL when reading and writing. Without it NULL is written as nothing, and an empty text is an empty string when read, and no number.",
);
const WRITE_BIGDECIMAL_IN_SCIENTIFIC_NOTATION: ConfigOption = ConfigOption::optional(
    "write-bigdecimal-in-scientific-notation",
    OptionType::Boolean,
    Some("true"),
    "Writes decimals that are multiples of ten in scientific notation (100000 as 1E+5).",
);
const TRIM_SPACES: ConfigOption = ConfigOption::optional(
    "trim-spaces",
    OptionType::Boolean,
    Some("false"),
    "Removes blanks around fields that are not enclosed in quotes. Only for reading.",
);
const IGNORE_TRAILING_UNMAPPABLE: ConfigOption = ConfigOption::optional(
    "ignore-trailing-unmappable",
    OptionType::Boolean,
    Some("false"),
    "Ignores fields behind the last column instead of failing. Only for reading.",
);
const ALLOW_TRAILING_COMMA: ConfigOption = ConfigOption::optional(
    "allow-trailing-comma",
    OptionType::Boolean,
    Some("true"),
    "Allows one delimiter behind the last field. Only for reading.",
);
const FAIL_ON_MISSING_COLUMNS: ConfigOption = ConfigOption::optional(
    "fail-on-missing-columns",
    OptionType::Boolean,
    Some("false"),
    "Treats a record with too few fields as malformed, so that 'ignore-parse-errors' skips it instead of filling it up with NULL. Only for reading.",
);
pub(crate) const EMPTY_STRING_AS_NULL: ConfigOption =
    ConfigOption::optional("empty-string-as-null", OptionType::Boolean, Some("false"), "Reads an empty text as NULL.");
pub(crate) const IGNORE_FIRST_LINE: ConfigOption = ConfigOption::optional(
    "ignore-first-line",
    OptionType::Boolean,
    Some("false"),
    "Skips the first line of each file (a header). Only for reading files.",
);

/// The options' values.
#[derive(Debug, Clone)]
pub(crate) struct CsvOptions {
    /// Between fields; several bytes where the character is not ASCII.
    pub(crate) delimiter: Vec<u8>,
    /// Encloses fields.
    pub(crate) quote: Option<u8>,
    /// Takes the meaning from the next character.
    pub(crate) escape: Option<u8>,
    /// Between elements.
    pub(crate) element_delimiter: Vec<u8>,
    /// Text of NULL.
    pub(crate) null_literal: Option<Vec<u8>>,
    pub(crate) allow_comments: bool,
    pub(crate) ignore_parse_errors: bool,
    pub(crate) scientific_decimals: bool,
    pub(crate) trim_spaces: bool,
    pub(crate) ignore_trailing_unmappable: bool,
    pub(crate) allow_trailing_comma: bool,
    pub(crate) fail_on_missing_columns: bool,
    pub(crate) empty_string_as_null: bool,
    pub(crate) ignore_first_line: bool,
}

impl CsvOptions {
    /// Reads and checks them.
    pub(crate) fn parse(options: &Options) -> Result<CsvOptions> {
        let disabled = options.bool(&DISABLE_QUOTE_CHARACTER)?;
        if disabled && options.contains(QUOTE_CHARACTER.key) {
            return Err(Error::user(
                "Format cannot define a quote character and disabled quote character at the same time.",
            )
            .with("option", "csv.quote-character")
            .hint("Remove one of 'csv.quote-character' and 'csv.disable-quote-character'"));
        }
        let parsed = CsvOptions {
            delimiter: character(options, &FIELD_DELIMITER, true)?.map_or(vec![b','], encoded),
            quote: if disabled { None } else { ascii(options, &QUOTE_CHARACTER)? },
            escape: ascii(options, &ESCAPE_CHARACTER)?,
            element_delimiter: character(options, &ARRAY_ELEMENT_DELIMITER, false)?.map_or(vec![b';'], encoded),
            null_literal: options.text(&NULL_LITERAL).map(|t| t.as_bytes().to_vec()),
            allow_comments: options.bool(&ALLOW_COMMENTS)?,
            ignore_parse_errors: options.bool(&IGNORE_PARSE_ERRORS)?,
            scientific_decimals: options.bool(&WRITE_BIGDECIMAL_IN_SCIENTIFIC_NOTATION)?,
            trim_spaces: options.bool(&TRIM_SPACES)?,
            ignore_trailing_unmappable: options.bool(&IGNORE_TRAILING_UNMAPPABLE)?,
            allow_trailing_comma: options.bool(&ALLOW_TRAILING_COMMA)?,
            fail_on_missing_columns: options.bool(&FAIL_ON_MISSING_COLUMNS)?,
            empty_string_as_null: options.bool(&EMPTY_STRING_AS_NULL)?,
            ignore_first_line: options.bool(&IGNORE_FIRST_LINE)?,
        };
        let special = [
            (FIELD_DELIMITER.key, (parsed.delimiter.len() == 1).then_some(parsed.delimiter[0])),
            (QUOTE_CHARACTER.key, parsed.quote),
            (ESCAPE_CHARACTER.key, parsed.escape),
        ];
        for (i, (key, byte)) in special.iter().enumerate() {
            if matches!(byte, Some(b'\n' | b'\r')) {
                return Err(Error::user(format!("Option 'csv.{key}' must not be a line break"))
                    .with("option", format!("csv.{}", *key)));
            }
            if let Some((other, _)) = special[..i].iter().find(|(_, b)| b.is_some() && b == byte) {
                return Err(Error::user(format!("Options 'csv.{other}' and 'csv.{key}' name the same character"))
                    .with("option", format!("csv.{}", *key))
                    .hint("Choose different characters"));
            }
        }
        Ok(parsed)
    }
}

fn encoded(c: char) -> Vec<u8> {
    c.to_string().into_bytes()
}

fn ascii(options: &Options, option: &ConfigOption) -> Result<Option<u8>> {
    match character(options, option, false)? {
        None => Ok(None),
        Some(c) if c.is_ascii() => Ok(Some(c as u8)),
        Some(c) => Err(Error::user(format!("Option 'csv.{}' must be an ASCII character, but was: {c}", option.key))
            .with("option", format!("csv.{}", option.key))),
    }
}

fn character(options: &Options, option: &ConfigOption, unescape: bool) -> Result<Option<char>> {
    let Some(given) = options.text(option) else { return Ok(None) };
    let text = if unescape { unescape_java(given) } else { Some(given.to_string()) };
    let text = text.unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(Some(c)),
        _ => Err(Error::user(format!(
            "Option 'csv.{}' must be a string with single character, but was: {given}",
            option.key
        ))
        .with("option", format!("csv.{}", option.key))),
    }
}

/// Java's escapes: `\t`, `\\`, `\u0001`, octal. `None` where they are wrong.
fn unescape_java(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => out.push('\\'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                while chars.next_if(|c| matches!(c, 'u' | '+')).is_some() {}
                let digits: String = chars.by_ref().take(4).collect();
                if digits.chars().count() != 4 {
                    return None;
                }
                out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
            }
            Some(d @ '0'..='7') => {
                let mut value = d as u32 - '0' as u32;
                let most = if d <= '3' { 2 } else { 1 };
                for _ in 0..most {
                    let Some(d) = chars.next_if(|c| ('0'..='7').contains(c)) else { break };
                    value = value * 8 + (d as u32 - '0' as u32);
                }
                out.push(char::from_u32(value)?);
            }
            Some(other) => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<CsvOptions> {
        CsvOptions::parse(&options.iter().copied().collect())
    }

    #[test]
    fn delimiters_are_unescaped() {
        for (text, bytes) in [
            (",", ","),
            ("\\t", "\t"),
            ("\t", "\t"),
            ("\\u0001", "\u{1}"),
            ("\\001", "\u{1}"),
            ("|", "|"),
            ("\\\\", "\\"),
            ("¦", "¦"),
        ] {
            assert_eq!(parse(&[("field-delimiter", text)]).expect(text).delimiter, bytes.as_bytes(), "{text}");
        }
    }

    #[test]
    fn wrong_options_are_refused() {
        for (options, part) in [
            (&[("field-delimiter", ";;")][..], "Option 'csv.field-delimiter' must be a string with single character"),
            (&[("field-delimiter", "")], "single character"),
            (&[("field-delimiter", "\\n")], "line break"),
            (&[("field-delimiter", "\"")], "same character"),
            (&[("quote-character", "ab")], "single character"),
            (&[("quote-character", "«")], "ASCII"),
            (&[("escape-character", "\"")], "same character"),
            (&[("quote-character", "'"), ("disable-quote-character", "true")], "at the same time"),
            (&[("ignore-parse-errors", "yes")], "expected 'true' or 'false'"),
        ] {
            let e = parse(options).expect_err(part).to_string();
            assert!(e.contains(part), "{e}");
        }
    }
}
