//! Jobs under faults: what the job master does when sources, commits and users come at the wrong moment.

mod alignment;
mod checkpoints;
mod commit;
mod dead_letters;
mod edits;
mod ended;
mod full_disk;
mod function_examples;
mod functions;
mod groups;
mod host;
mod infer;
mod listing;
mod lookups;
mod memory;
mod moved;
mod owner;
mod processing_time;
mod query;
mod restart;
mod s3;
mod savepoint;
mod scripted;
#[cfg(feature = "wasm")]
mod wasm;
mod watermarks;
