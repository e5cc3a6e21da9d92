//! The connector suite: every connector that promises something, in an embedded job.

mod embedded;
mod files;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
mod objects;
#[cfg(feature = "redis")]
mod redis;
mod sabotage;
mod values;
