//! Rows of a partition in an order: Top-N, deduplication, their windowed forms, LIMIT and ORDER BY.
//!
//! What leaves, and in which order, is what Flink's operators of the same names emit. Read first: `changes`, `top_n`.

mod bundle;
mod changes;
mod first_n;
mod first_rowtime;
mod latest;
mod sort;
mod temporal_sort;
mod top_n;
mod updates;
mod window;

pub use bundle::Bundled;
pub use first_n::FirstN;
pub use first_rowtime::FirstByRowtime;
pub use latest::Latest;
pub use sort::Sort;
pub use temporal_sort::TemporalSort;
pub use top_n::TopN;
pub(crate) use top_n::types_of;
pub use window::WindowRank;
