//! Formats from the outside: text in, rows out, and back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod csv;
mod json;
mod random;
mod support;
