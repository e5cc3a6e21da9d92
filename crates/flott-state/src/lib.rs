//! State between operators and disk: sealed columnar runs, snapshot files, and the checkpoint store with its HEAD.
//!
//! An operator's state is a set of immutable runs plus a mutable delta. A barrier seals the delta into a run, which is
//! cheap; writing the runs that no earlier checkpoint holds happens elsewhere. So checkpoints are incremental by
//! construction.
//!
//! A checkpoint is a manifest, written once; deciding it is one compare-and-swap of the lineage's HEAD
//! (`docs/rfcs/0001-checkpoint-protocol.md`).
//!
//! Read first: [`run::StateRun`], [`store::CheckpointStore`], [`manifest::Manifest`].
#![forbid(unsafe_code)]

pub mod manifest;
pub mod owner;
pub mod run;
pub mod savepoint;
pub mod snapshot_file;
pub mod storage;
pub mod store;

pub use flott_connector::record;
pub use run::{OperatorSnapshot, RestoredRun, RestoredState, StateRun};
pub use savepoint::Savepoint;
pub use storage::CheckpointStorage;
pub use store::CheckpointStore;
