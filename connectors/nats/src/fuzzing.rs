//! What the fuzz target reaches: what a delivered message says of itself, subjects, stored positions, the rows of messages.

use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::dead_letter::InvalidRecords;
use flott_connector::format::MessageDecoderFactory;
use flott_connector::schema_registry::KnownSchemas;
use flott_core::types::arrow_schema;
use flott_core::{ChangeBatch, LogicalType, Result};

use crate::api::{Delivery, Refusal, StreamInfo, of_stream};
use crate::record::{header_name, header_value};
use crate::rows::{Incoming, Metadata, Origin, RowDecoder, RowPlan, metadata_keys};
use crate::split::StreamSplit;
use crate::subject;

/// Everything that is read of a text from a server or a table.
pub fn texts(a: &str, b: &str) {
    Delivery::of(a);
    assert!(!subject::is_subject(a) || subject::is_filter(a), "a subject is no filter");
    assert_eq!(subject::overlap(a, b), subject::overlap(b, a), "filters overlap one way");
    if let (Ok(name), Ok(value)) = (header_name(a), header_value(b)) {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(name, value);
    }
}

/// Answers of a server.
pub fn answers(bytes: &[u8]) {
    drop(serde_json::from_slice::<StreamInfo>(bytes));
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(bytes) {
        drop(of_stream(refusal, "S"));
    }
}

/// A stored position, and how it would be stored again.
pub fn position(stored: &Versioned) -> Result<Versioned> {
    StreamSplit::decode(stored)?.encode()
}

/// The rows of some messages, with all metadata, and how many were skipped.
pub fn rows(
    value: Arc<dyn MessageDecoderFactory>,
    value_type: &LogicalType,
    messages: &[&[u8]],
) -> Result<(ChangeBatch, u64)> {
    let metadata = metadata_keys();
    let named = metadata.iter().map(|m| (m.key.as_ref(), &m.data_type));
    let schema = arrow_schema(std::iter::once(("v", value_type)).chain(named));
    let mut origins = vec![Origin::Value(0)];
    origins.extend(metadata.iter().filter_map(|m| Metadata::of(m.key.as_ref())).map(Origin::Metadata));
    let plan = Arc::new(RowPlan { schema, origins, value, invalid: InvalidRecords::Fail });
    let mut decoder = RowDecoder::new(plan, "S", &KnownSchemas::new())?;
    for (sequence, payload) in messages.iter().enumerate() {
        let sequence = sequence as u64;
        decoder.decode(Incoming { subject: "a.b", payload, headers: None, sequence, timestamp_ms: 0 })?;
    }
    decoder.flush().map(|(rows, skipped, _)| (rows, skipped))
}
