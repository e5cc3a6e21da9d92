//! GROUP BY without windows: groups that change with every row, and what changes of their results.
//!
//! Read first: `aggregate` (what is emitted when), then `groups` (keys, accumulators, their life and their stored form).

pub mod aggregate;
pub(crate) mod groups;
pub(crate) mod rounds;

pub use aggregate::GroupAggregate;
