//! raw: one column that holds a message, or a line of a file, as it is.

mod decoder;
mod encoder;

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::types::from_arrow_field;
use flott_core::{Error, Result};

use self::decoder::RawDecoding;
use self::encoder::RawEncoding;

/// The longest line or message.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// Flink's options of raw.
pub static OPTIONS: &[ConfigOption] = &[CHARSET, ENDIANNESS];

const CHARSET: ConfigOption = ConfigOption::optional(
    "charset",
    OptionType::Enum(&["UTF-8", "US-ASCII", "ISO-8859-1"]),
    Some("UTF-8"),
    "The encoding of text.",
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
        Ok(Decoding::Stream(Arc::new(RawDecoding::new(context)?)))
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        Ok(Arc::new(RawDecoding::new(context)?))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        check_column(&context.schema)?;
        Ok(Arc::new(RawEncoding::new(RawOptions::parse(&context.options)?)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Ascii,
    Latin1,
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
        let charset = match word(&CHARSET).as_str() {
            "us-ascii" => Charset::Ascii,
            "iso-8859-1" => Charset::Latin1,
            _ => Charset::Utf8,
        };
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
