//! The options of orc: those of the writer that Flink passes on and that have a meaning here. Others are refused by name.

use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result};

use super::stream::{CHUNK_BYTES_MAX, Codec, Compression};

/// The options of orc.
pub static OPTIONS: &[ConfigOption] = &[COMPRESS, COMPRESS_SIZE, STRIPE_SIZE];

const COMPRESS: ConfigOption = ConfigOption::optional(
    "compress",
    OptionType::Enum(&["NONE", "ZLIB", "SNAPPY", "LZ4", "ZSTD"]),
    Some("ZLIB"),
    "How streams are compressed. Files that are read say themselves how they are.",
);
const COMPRESS_SIZE: ConfigOption = ConfigOption::optional(
    "compress.size",
    OptionType::Long,
    Some("262144"),
    "Bytes of a chunk that is compressed, up to 8388607.",
);
const STRIPE_SIZE: ConfigOption = ConfigOption::optional(
    "stripe.size",
    OptionType::Long,
    Some("67108864"),
    "Bytes of a stripe, before they are compressed; a stripe is held in memory until it is written.",
);

/// The options' values.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrcOptions {
    pub(super) compression: Compression,
    pub(super) stripe_bytes: usize,
}

impl OrcOptions {
    /// Reads and checks them.
    pub(super) fn parse(options: &Options) -> Result<OrcOptions> {
        if let Some(value) = options.get(COMPRESS.key) {
            COMPRESS.check(COMPRESS.key, value)?;
        }
        let codec = match options.text(&COMPRESS).unwrap_or_default().to_ascii_uppercase().as_str() {
            "NONE" => Codec::None,
            "SNAPPY" => Codec::Snappy,
            "LZ4" => Codec::Lz4,
            "ZSTD" => Codec::Zstd,
            _ => Codec::Zlib,
        };
        let bytes = |option: &ConfigOption, max: usize| -> Result<usize> {
            let value = options.long(option)?.unwrap_or(0);
            usize::try_from(value).ok().filter(|v| (1..=max).contains(v)).ok_or_else(|| {
                Error::user(format!("Option 'orc.{}' must be from 1 to {max}, but was: {value}", option.key))
                    .with("option", format!("orc.{}", option.key))
            })
        };
        Ok(OrcOptions {
            compression: Compression { codec, chunk_bytes: bytes(&COMPRESS_SIZE, CHUNK_BYTES_MAX)? },
            stripe_bytes: bytes(&STRIPE_SIZE, 1 << 30)?,
        })
    }
}
