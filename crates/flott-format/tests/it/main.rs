//! Formats from the outside: text in, rows out, and back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod avro;
mod csv;
mod json;
mod orc;
mod parquet;
mod protobuf;
mod random;
mod raw;
mod registry;
mod support;
