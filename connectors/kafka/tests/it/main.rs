//! The connectors against a real broker (`cargo xtask services up kafka`); skipped where none runs.

mod avro;
mod commit;
mod damage;
mod ends;
mod options;
mod outage;
mod protobuf;
mod read;
mod security;
mod support;
mod write;
