//! Joins. What they share: rows in state as columns (`rows`), the rows of a key one behind another (`side`), pairs
//! that become output (`pairs`).
//!
//! Read first: `rows`, then `side`, then `regular`.

pub(crate) mod equality;
pub(crate) mod fates;
mod identity;
pub(crate) mod ids;
pub(crate) mod input;
pub(crate) mod interval;
pub(crate) mod lookup;
mod materialized;
pub(crate) mod pairs;
pub(crate) mod regular;
pub(crate) mod rows;
pub(crate) mod side;
pub(crate) mod temporal;
pub(crate) mod window;

pub use interval::IntervalJoin;
pub use lookup::LookupJoin;
pub use regular::RegularJoin;
pub use temporal::TemporalJoin;
pub use window::WindowJoin;
