//! What fuzz targets reach: rows of records, logins, stored positions.

use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::dead_letter::InvalidRecords;
use flott_connector::factory::MetadataKey;
use flott_connector::format::MessageDecoderFactory;
use flott_core::types::arrow_schema;
use flott_core::{ChangeBatch, LogicalType, Result};

use crate::jaas;
use crate::rows::{Incoming, Metadata, Origin, RowDecoder, RowPlan, metadata_keys};
use crate::split::PartitionSplit;

/// Module, user and password of a login.
pub fn login(text: &str) -> Result<(String, Option<String>, Option<String>)> {
    let login = jaas::parse(text)?;
    Ok((login.module, login.username, login.password.map(|p| p.reveal().to_string())))
}

/// A stored position, and how it would be stored again.
pub fn position(stored: &Versioned) -> Result<Versioned> {
    PartitionSplit::decode(stored)?.encode()
}

/// A record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// Makes rows of records: a key and a value column each, and all metadata.
pub struct Reading {
    plan: Arc<RowPlan>,
}

impl Reading {
    /// With these formats of one column each.
    pub fn new(
        value: (Arc<dyn MessageDecoderFactory>, &LogicalType),
        key: (Arc<dyn MessageDecoderFactory>, &LogicalType),
        upsert: bool,
    ) -> Reading {
        let metadata = metadata_keys();
        let named = metadata.iter().map(|MetadataKey { key, data_type, .. }| (key.as_ref(), data_type));
        let schema = arrow_schema([("k", key.1), ("v", value.1)].into_iter().chain(named));
        let mut origins = vec![Origin::Key(0), Origin::Value(0)];
        origins.extend(metadata.iter().filter_map(|m| Metadata::of(m.key.as_ref())).map(Origin::Metadata));
        Reading {
            plan: Arc::new(RowPlan {
                schema,
                origins,
                value: value.0,
                key: Some(key.0),
                upsert,
                invalid: InvalidRecords::Fail,
            }),
        }
    }

    /// The rows of some records, and how many of those were skipped. Stops at the first that cannot be read.
    pub fn read(&self, records: &[Record<'_>]) -> Result<(ChangeBatch, u64)> {
        let mut decoder = RowDecoder::new(Arc::clone(&self.plan), "t", 0)?;
        for (offset, record) in records.iter().enumerate() {
            let header = |value: Option<&[u8]>| ("h".to_string(), value.map(<[u8]>::to_vec));
            decoder.decode(Incoming {
                key: record.key,
                value: record.value,
                offset: offset as i64,
                timestamp_ms: -1,
                timestamp_type: "CreateTime",
                leader_epoch: None,
                headers: vec![header(record.key), header(record.value)],
            })?;
        }
        decoder.flush().map(|(rows, skipped, _)| (rows, skipped))
    }
}
