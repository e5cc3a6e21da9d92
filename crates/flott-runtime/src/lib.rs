//! The only crate that names timely: it turns a job graph into a dataflow and drives operators, sources and sinks.
//!
//! It knows nothing of checkpoint stores, commits or recovery: it is told when an epoch ends and where splits go
//! ([`api::TaskCommand`]), and reports snapshots, committables and failures ([`api::TaskEvent`]) to whoever runs it.
//!
//! Read first: [`api`], then `docs/rfcs` for the time layout.

pub mod api;
pub mod metrics;

pub use api::{AttemptOptions, Restored, TaskCommand, TaskEvent};
