//! Aggregates over windows of rows.

mod fold;
mod non_time;

pub use non_time::NonTimeOver;
