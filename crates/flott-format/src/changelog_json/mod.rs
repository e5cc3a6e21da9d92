//! debezium-json, canal-json, maxwell-json and ogg-json: messages that say how a table of a database has changed, with
//! the rules of Flink's formats.
//!
//! A message is decoded by json into an envelope with the rows before and after the change, whose columns are then put
//! together: no value is built one by one.

mod decoder;
mod encoder;
mod envelope;
mod metadata;
mod options;

use std::sync::Arc;

use flott_connector::factory::{ChangelogMode, MetadataKey};
use flott_connector::format::{Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoderFactory};
use flott_connector::infer::Infer;
use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

use self::decoder::ChangeDecoding;
use self::encoder::ChangeEncoding;
use self::options::ChangeOptions;
use crate::infer::JsonInference;
use crate::lines::Lines;

/// Who has written the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangelogJson {
    /// Debezium.
    Debezium,
    /// Alibaba's Canal.
    Canal,
    /// Zendesk's Maxwell.
    Maxwell,
    /// Oracle GoldenGate.
    Ogg,
}

impl ChangelogJson {
    /// All of them.
    pub const ALL: [ChangelogJson; 4] =
        [ChangelogJson::Debezium, ChangelogJson::Canal, ChangelogJson::Maxwell, ChangelogJson::Ogg];
}

impl FormatFactory for ChangelogJson {
    fn identifier(&self) -> &'static str {
        match self {
            ChangelogJson::Debezium => "debezium-json",
            ChangelogJson::Canal => "canal-json",
            ChangelogJson::Maxwell => "maxwell-json",
            ChangelogJson::Ogg => "ogg-json",
        }
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::of(*self)
    }

    fn changelog_mode(&self) -> ChangelogMode {
        ChangelogMode::ALL
    }

    fn decoding(&self, context: &FormatContext) -> Result<Decoding> {
        Ok(Decoding::Stream(Arc::new(Lines(self.message_decoding(context)?))))
    }

    fn readable_metadata(&self) -> Vec<MetadataKey> {
        metadata::keys(*self)
    }

    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>> {
        self.message_decoding_with(context, &[])
    }

    fn message_decoding_with(
        &self,
        context: &FormatContext,
        keys: &[String],
    ) -> Result<Arc<dyn MessageDecoderFactory>> {
        let options = ChangeOptions::parse(*self, &context.options)?;
        Ok(Arc::new(ChangeDecoding::new(*self, context, options, metadata::named(*self, keys)?)?))
    }

    fn inference(&self) -> Option<Arc<dyn Infer>> {
        Some(Arc::new(JsonInference { changes: Some(*self) }))
    }

    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>> {
        let options = ChangeOptions::parse(*self, &context.options)?;
        if options.schema_include {
            return Err(Error::user(
                "Debezium JSON serialization doesn't support 'debezium-json.schema-include' option been set to true.",
            )
            .with("option", "debezium-json.schema-include")
            .hint("Remove the option for a sink"));
        }
        Ok(Arc::new(ChangeEncoding::new(*self, context, &options)?))
    }
}
