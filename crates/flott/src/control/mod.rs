//! Local control of running jobs: a job whose session was told so listens on a Unix socket, through which other processes
//! of the same user ask it for savepoints, stop it and read its metrics.
//!
//! The sockets lie in one folder of the user, that nobody else may enter (`directory.rs`); what is said over them is
//! `protocol.rs`.

mod client;
mod directory;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod protocol;
mod server;

pub use client::{Listing, RunningJob, find, list, listing};
pub use protocol::JobDescription;
pub(crate) use server::{ControlSocket, after_failed_accept, serve};
