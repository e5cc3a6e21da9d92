//! Windows: rows go to slices, slices make up windows, windows fire as time passes.
//!
//! A slice is the greatest piece of time that belongs to the same windows throughout: a row is aggregated once, into
//! its slice, however many windows it is in. Read first: `assigner`, then `slices`, then `aggregate`.

pub(crate) mod accumulator;
pub mod aggregate;
pub(crate) mod aggregation;
pub(crate) mod assigner;
pub mod emit;
pub(crate) mod fire;
mod group_index;
pub mod group_table;
pub(crate) mod layout;
pub mod local;
pub mod partial;
pub(crate) mod room;
pub mod session;
pub(crate) mod sessions;
pub(crate) mod shared;
pub(crate) mod slices;
pub mod table_function;
pub mod time_zone;

pub use aggregate::WindowAggregate;
pub use emit::EmitWindowAggregate;
/// The schema of partial rows, which planner and operators share.
pub use flott_graph::partial_schema;
pub use local::LocalWindowAggregate;
pub use partial::check_retraction;
pub use session::SessionWindowAggregate;
pub use table_function::{SessionTableFunction, WindowTableFunction};
