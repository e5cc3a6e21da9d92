//! The contract of sources, sinks and formats: Flink's FLIP-27 source and Sink V2, in Rust.
//!
//! A connector depends on this crate, on `flott-core` and on its client library, and on nothing else of Flott. It
//! offers a [`ConnectorFactory`]; the façade puts the factories into a list.
//!
//! What crosses a process boundary is bytes with a version ([`Versioned`]): splits, committables, enumerator state.
//!
//! Read first: [`source::Source`], [`sink::Sink`], [`factory::ConnectorFactory`].
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod dead_letter;
pub mod factory;
pub mod format;
pub mod function;
pub mod headers;
pub mod infer;
pub mod ipc;
pub mod lookup;
pub mod lookup_full;
pub mod private_file;
pub mod record;
pub mod row_text;
mod s3;
pub mod schema_registry;
pub mod sink;
pub mod source;
pub mod staged;
pub mod storage;
pub mod stored;
#[cfg(feature = "stores")]
pub mod stores;
pub mod table;
pub mod watermark_options;

pub use factory::{ConnectorFactory, Registry, TableContext, TableSink, TableSource};
pub use source::Boundedness;

use bytes::Bytes;

/// Bytes with the version of their layout. A reader refuses versions that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versioned {
    /// Version of the layout of `bytes`.
    pub version: u32,
    /// The content.
    pub bytes: Bytes,
}

impl Versioned {
    /// Content in this layout.
    pub fn new(version: u32, bytes: impl Into<Bytes>) -> Versioned {
        Versioned { version, bytes: bytes.into() }
    }
}
