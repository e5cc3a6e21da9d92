//! The options of avro.

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

use super::codec::{self, Codec};

/// Flink's options of avro.
pub static OPTIONS: &[ConfigOption] = &[CODEC, ENCODING, TIMESTAMP_LEGACY, FAST_READ];

const CODEC: ConfigOption = ConfigOption::optional(
    "codec",
    OptionType::Enum(codec::NAMES),
    Some("snappy"),
    "How the blocks of files are compressed. Files that are read say themselves how they are. Messages are not compressed.",
);
const ENCODING: ConfigOption = ConfigOption::optional(
    "encoding",
    OptionType::Enum(&["binary", "json"]),
    Some("binary"),
    "The encoding of messages: binary is compact, json can be read by people. Files are always binary.",
);
pub(super) const TIMESTAMP_LEGACY: ConfigOption = ConfigOption::optional(
    "timestamp_mapping.legacy",
    OptionType::Boolean,
    Some("true"),
    "Writes TIMESTAMP (up to 3 digits) as Avro's instant 'timestamp-millis', as Flink did before 1.19, and refuses TIMESTAMP_LTZ. Without it TIMESTAMP is 'local-timestamp-millis' or '-micros', and TIMESTAMP_LTZ is 'timestamp-millis' or '-micros'.",
);
const FAST_READ: ConfigOption = ConfigOption::optional(
    "open.fastread",
    OptionType::Boolean,
    Some("false"),
    "Chooses between two readers in Flink. Accepted for compatibility: there is one reader here, which decodes straight into columns.",
);

/// The options' values.
#[derive(Debug, Clone, Copy)]
pub(super) struct AvroOptions {
    pub(super) codec: Codec,
    pub(super) json: bool,
    pub(super) legacy_timestamps: bool,
}

impl AvroOptions {
    /// Reads and checks them.
    pub(super) fn parse(options: &Options) -> Result<AvroOptions> {
        for option in [&CODEC, &ENCODING] {
            if let Some(value) = options.get(option.key) {
                option.check(option.key, value)?;
            }
        }
        options.bool(&FAST_READ)?;
        let word = |option: &ConfigOption| options.text(option).unwrap_or_default().to_ascii_lowercase();
        Ok(AvroOptions {
            codec: Codec::of(&word(&CODEC)).ok_or_else(|| Error::internal("a codec without a name"))?,
            json: word(&ENCODING) == "json",
            legacy_timestamps: options.bool(&TIMESTAMP_LEGACY)?,
        })
    }
}
