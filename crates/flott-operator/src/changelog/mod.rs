//! Operators over changelogs: normalisation by key, dropping `-U`, putting changes in a sink's order; and what keyed
//! operators share: the log of their state (`runs`), the life of keys (`lifetime`), rows by key (`rows`), mini-batches
//! (`gather`, `bundle_order`).

pub(crate) mod bundle_order;
pub(crate) mod drop_update_before;
pub(crate) mod gather;
pub(crate) mod lifetime;
pub(crate) mod materialize;
pub(crate) mod normalize;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod same;

pub use drop_update_before::DropUpdateBefore;
pub use materialize::SinkMaterialize;
pub use normalize::ChangelogNormalize;
