//! State between operators and disk: sealed columnar runs, snapshot files, and the checkpoint store with its HEAD.
//!
//! An operator's state is a set of immutable runs plus a mutable delta. A barrier seals the delta into a run, which is
//! cheap; writing the runs that no earlier checkpoint holds happens elsewhere. So checkpoints are incremental by
//! construction.
//!
//! Read first: [`run::StateRun`], [`run::OperatorSnapshot`].
#![forbid(unsafe_code)]

pub mod run;

pub use run::{OperatorSnapshot, RestoredRun, RestoredState, StateRun};
