//! A stream, the subject of it that is read, and how far.

use flott_connector::Versioned;
use flott_connector::schema_registry::KnownSchemas;
use flott_connector::source::SourceSplit;
use flott_connector::stored::{check_version, from_json, to_json};
use flott_core::Result;
use serde::{Deserialize, Serialize};

/// Version of the stored form.
const VERSION: u32 = 1;

/// A position in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamSplit {
    pub(crate) stream: String,
    /// Only messages of this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// The stream's sequence from which on it is yet to be read; 0 is wherever it begins.
    pub(crate) sequence: u64,
    /// The first sequence that is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<u64>,
    /// When the stream was made: positions in another of the same name mean nothing.
    pub(crate) created: String,
    /// Schemas that were looked up in a registry: a restore need not ask for them.
    #[serde(default, skip_serializing_if = "KnownSchemas::is_empty")]
    pub(crate) schemas: KnownSchemas,
}

/// The id of the part of a stream with a subject. A stream's name has no slash.
pub(crate) fn id_of(stream: &str, subject: Option<&str>) -> String {
    format!("{stream}/{}", subject.unwrap_or(">"))
}

impl StreamSplit {
    pub(crate) fn id(&self) -> String {
        id_of(&self.stream, self.subject.as_deref())
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.sequence >= end)
    }

    pub(crate) fn encode(&self) -> Result<Versioned> {
        Ok(Versioned::new(VERSION, to_json(self)?))
    }

    pub(crate) fn decode(stored: &Versioned) -> Result<StreamSplit> {
        check_version(stored, VERSION, "position in a stream")?;
        from_json(&stored.bytes, "position in a stream")
    }

    pub(crate) fn to_split(&self) -> Result<SourceSplit> {
        Ok(SourceSplit { id: self.id(), data: self.encode()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again_and_damaged_states_are_refused() {
        let split = StreamSplit {
            stream: "S".into(),
            subject: Some("a.*".into()),
            sequence: 17,
            end: Some(20),
            created: "2026-01-01T00:00:00Z".into(),
            schemas: KnownSchemas::new(),
        };
        let stored = split.encode().expect("stored");
        // The layout of version 1, for ever.
        let text = br#"{"stream":"S","subject":"a.*","sequence":17,"end":20,"created":"2026-01-01T00:00:00Z"}"#;
        assert_eq!(&stored.bytes[..], text);
        assert_eq!(StreamSplit::decode(&stored).expect("read"), split);
        for end in 0..stored.bytes.len() {
            let cut = Versioned::new(VERSION, stored.bytes.slice(..end));
            assert!(StreamSplit::decode(&cut).is_err(), "{end}");
        }
        let newer = Versioned::new(VERSION + 1, stored.bytes);
        assert!(StreamSplit::decode(&newer).expect_err("newer").to_string().contains("version 2"));
        assert_eq!(split.id(), "S/a.*");
    }
}
