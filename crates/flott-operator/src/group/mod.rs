//! GROUP BY without windows: groups that change with every row, and what changes of their results.
//!
//! Read first: `aggregate` (what is emitted when), then `groups` (keys, accumulators, their life and their stored form), then
//! `local` and `incremental` (what stands before the exchange where mini-batches are aggregated in two phases).

pub mod aggregate;
pub(crate) mod groups;
pub mod incremental;
pub mod local;
pub mod mini_batch;
pub(crate) mod rounds;

pub use aggregate::GroupAggregate;
pub use incremental::IncrementalGroupAggregate;
pub use local::LocalGroupAggregate;
pub use mini_batch::MiniBatchAssigner;
