//! Coordinator and worker: who triggers checkpoints, hands out splits, decides, commits and recovers.
//!
//! Embedded is the cluster with a local transport: one coordinator, one worker in the same process.
//!
//! Read first: [`checkpoint::CheckpointCoordinator`] (what is complete, without any IO), [`job::JobMaster`] (the loop
//! that does what it says), [`control::JobHandle`], [`restart::RestartStrategy`].
#![forbid(unsafe_code)]

pub mod alignment;
pub mod checkpoint;
pub mod control;
pub mod enumerators;
pub mod finalize;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod job;
pub mod options;
mod planted;
pub mod process;
pub mod restart;
mod restore;
mod savepoints;
#[cfg(test)]
mod sim;
pub mod status;
pub mod waiting_readers;

pub use control::{
    Ending, JobClient, JobHandle, JobOutcome, JobState, OpenSavepoint, SavepointInfo, SavepointTarget, StopMode,
};
pub use enumerators::check_sources;
pub use job::{JobSpec, give_back, start};
pub use options::CheckpointOptions;
pub use restart::RestartStrategy;
pub use restore::{check_restorable, dropped_state, holds_state_of};
pub use status::JobStatus;
