//! The nouns that every part of Flott shares, and nothing that does work with them.
//!
//! What it is: Flink's logical types and their Arrow form ([`types`]), change batches ([`ChangeBatch`], [`RowKind`]),
//! [`Watermark`]s, checkpoint ids, option tables, errors, and the doors through which time, chance and names enter
//! ([`clock`], [`rng`], [`id`]).
//!
//! What it is not: no IO, no async, no SQL, no expression evaluation. Everything depends on this crate, so it stays
//! small and changes slowly.
//!
//! Read first: [`types::LogicalType`], [`ChangeBatch`], [`Error`].
//!
//! ```
//! use flott_core::types::LogicalType;
//! let t: LogicalType = "ROW<id BIGINT NOT NULL, tags ARRAY<STRING>>".parse().expect("a Flink type");
//! assert_eq!(t.to_string(), "ROW<`id` BIGINT NOT NULL, `tags` ARRAY<STRING>>");
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod batch;
pub mod bitmap;
pub mod checkpoint;
pub mod clock;
pub mod error;
pub mod failpoint;
pub mod id;
pub mod java_number;
pub mod key_group;
pub mod memory_size;
pub mod options;
pub mod process_memory;
pub mod rng;
pub mod row_kind;
pub mod secret;
pub mod session_zone;
pub mod suggest;
pub mod time_text;
pub mod types;
pub mod variant;
pub mod watermark;

pub use batch::ChangeBatch;
pub use checkpoint::{CheckpointId, DecidedCheckpoint, Generation};
pub use error::{Error, ErrorKind, Result};
pub use failpoint::{FailPoint, FailPoints};
pub use row_kind::{RowKind, RowKinds};
pub use secret::Secret;
pub use session_zone::SessionZone;
pub use types::LogicalType;
pub use watermark::Watermark;
