//! Output of an epoch before it is visible, for sinks whose outside cannot stage it: a log, to which a checkpoint's records are
//! written when it is decided.
//!
//! Writers put records into files beside the checkpoints ([`Staging`], [`StageBuilder`]); a committable names a file
//! ([`StagedFile`]). The committer writes the records ([`for_each`]) in as many parts as it takes, each together with a
//! [`Marker`] that says how far the output has come, in one step that the outside does as a whole or not at all. Where it
//! goes on ([`start`]) and what the next marker says ([`reached`]) is the same for all logs (docs/rfcs/0009-kafka-exactly-once.md).

mod content;
mod file;
mod group;
mod marker;
mod parts;

pub use content::{StageBuilder, StagedRecord, for_each};
pub use file::{STAGING_FOLDER, StagedFile, Staging, open};
pub use group::{Done, Group};
pub use marker::Marker;
pub use parts::{Limit, Place, Progress, reached, sort, start};
