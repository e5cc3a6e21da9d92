//! The connector suite: every connector that promises something, in an embedded job.

mod embedded;
mod files;
#[cfg(feature = "kafka")]
mod kafka;
mod objects;
mod sabotage;
mod values;
