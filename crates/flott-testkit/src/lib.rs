//! Tools that tests of other crates share.
//!
//! What it is: change batches from text rows ([`batch`]) and assertions on them ([`assert_rows!`]); the [`values`]
//! connector, whose tables hold rows that a test registered; a [`SourceHarness`] that runs a source without a runtime,
//! and a [`suite`] of what every source must keep.
//!
//! What it is not: part of the program. Only tests depend on it, so its builders panic with a readable message where a
//! test's text is wrong; each has a `try_` form for tests of errors.
//!
//! ```
//! use flott_testkit::{assert_rows, batch};
//! let b = batch("id INT, ts TIMESTAMP(3), tags ARRAY<STRING>", &["+I[1, 2020-01-01T00:00, [a, b]]", "-D[2, null, []]"]);
//! assert_rows!(b, ["+I[1, 2020-01-01T00:00, [a, b]]", "-D[2, null, []]"]);
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod assert;
mod build;
mod datetime_parser;
mod files;
pub mod http;
pub mod kafka;
pub mod nats;
mod ports;
mod row_parser;
pub mod services;
mod skipped;
mod source_harness;
pub mod suite;
mod table;
pub mod values;

pub use assert::{RowsOf, assert_rows_equal, rows_of};
pub use build::{batch, batch_of, record_batch, relaxed_schema, schema, try_batch, try_batch_of, try_schema};
pub use files::files_below;
pub use row_parser::{Value, parse_row, parse_value};
pub use skipped::skipped;
pub use source_harness::{SourceCheckpoint, SourceHarness, settle};
pub use table::{TableBuilder, writer_context};
