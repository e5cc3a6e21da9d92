//! A job in several processes on one machine: `docs/rfcs/0007-several-processes.md`.
//!
//! The coordinator starts the others (`pool`), each proves that it belongs to the job (`greeting`), is told what to run and
//! plans it itself ([`worker`]), and meets the others (`mesh`). From then on `workers` is to the job's coordinator what
//! an attempt in its own process would be.

mod connection;
mod counters;
mod error_text;
pub(crate) mod frame;
pub(crate) mod greeting;
mod mesh;
pub(crate) mod message;
pub(crate) mod pool;
pub mod worker;
pub(crate) mod workers;

use std::process::Command;
use std::sync::Arc;

pub use connection::Heartbeat;

/// Makes the command that starts a worker process: one that reads a [`worker::Invitation`] from its standard input and
/// calls [`worker::run`].
pub type WorkerCommand = Arc<dyn Fn() -> Command + Send + Sync>;

/// How a job runs in several processes.
#[derive(Clone)]
pub struct ProcessOptions {
    /// This one and those that it starts.
    pub processes: usize,
    /// Starts one.
    pub command: WorkerCommand,
    /// What this process was built from: others are refused.
    pub build: String,
    /// Keep-alive.
    pub heartbeat: Heartbeat,
    /// What workers plan the job from. It may hold secrets.
    pub bundle: String,
}
