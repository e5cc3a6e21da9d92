//! raw: one column that holds a message, or a line of a file, as it is.

mod charset;
mod decoder;
mod encoder;

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::types::from_arrow_field;
use flott_core::{Error, Result};

use self::charset::Charset;
use self::decoder::RawDecoding;
use self::encoder::RawEncoding;

/// The longest line or message.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// Flink's options of raw.
pub static OPTIONS: &[ConfigOption] = &[CHARSET, ENDIANNESS];

const CHARSET: ConfigOption = ConfigOption::optional(
    "charset",
    OptionType::String,
    Some("UTF-8"),
    "The encoding of text, by Java's names: UTF-8, US-ASCII, ISO-8859-1, UTF-16, UTF-16BE, UTF-16LE, UTF-32, GBK, GB18030, Big5, Shift_JIS, EUC-JP, EUC-KR, windows-1250 to windows-1258, ISO-8859-2 to ISO-8859-16 (without 9 to 12 and 14), KOI8-R and others. In UTF-16, UTF-32 and ISO-2022-JP there are messages and no files.",
);
const ENDIANNESS: ConfigOption = ConfigOption::optional(
    "endianness",
    OptionType::Enum(&["big-endian", "little-endian"]),
    Some("big-endian"),
    "The order of a number's bytes.",
);

/// The format `raw`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawFormat;

impl FormatFactory for RawFormat {
    fn identifier(&self) -> &'static str {
        "raw"
    }

    fn options(&self) -> &'static [ConfigOption] {
        OPTIONS
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        let decoding = RawDecoding::new(context)?;
        check_lines(&decoding.options)?;
        Ok(Decoding::Stream(Arc::new(decoding)))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Ok(Arc::new(RawDecoding::new(context)?))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        check_column(&context.schema)?;
        Ok(Arc::new(RawEncoding::new(RawOptions::parse(&context.options)?)))
    }
}

/// A byte that looks like a line break may be half of a character.
fn check_lines(options: &RawOptions) -> Result<()> {
    if options.charset.has_lines() {
        return Ok(());
    }
    Err(Error::user("Lines of a file cannot be told apart in this charset")
        .with("option", "raw.charset")
        .hint("Convert the file to UTF-8: iconv -t UTF-8"))
}

#[derive(Debug, Clone, Copy)]
struct RawOptions {
    charset: Charset,
    little_endian: bool,
}

impl RawOptions {
    fn parse(options: &Options) -> Result<RawOptions> {
        for option in OPTIONS {
            if let Some(value) = options.get(option.key) {
                option.check(option.key, value)?;
            }
        }
        let word = |option: &ConfigOption| options.text(option).unwrap_or_default().to_ascii_lowercase();
        let charset = Charset::of(options.text(&CHARSET).unwrap_or_default())?;
        Ok(RawOptions { charset, little_endian: word(&ENDIANNESS) == "little-endian" })
    }
}

fn check_column(schema: &SchemaRef) -> Result<()> {
    let [field] = &schema.fields()[..] else {
        let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        return Err(Error::user(format!(
            "The 'raw' format only supports single physical column. However the defined schema contains multiple physical columns: {}",
            names.join(", ")
        ))
        .hint("Keep one column, or use 'csv' or 'json'"));
    };
    match field.data_type() {
        DataType::Utf8
        | DataType::Binary
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64 => Ok(()),
        other => {
            let shown = from_arrow_field(field).map_or_else(|| other.to_string(), |t| t.to_string());
            Err(Error::user(format!("The 'raw' format doesn't supports '{shown}' as column type."))
                .with("column", field.name())
                .hint("Use STRING or BYTES"))
        }
    }
}
