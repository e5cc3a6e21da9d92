//! What an attempt draws by chance, and where it runs: the only part of taking a job over that is not the same every time.

use flott_core::id;

use crate::owner::Owner;

/// Marks an attempt in HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Two attempts that take a job over at once never write the same record.
    pub attempt: String,
    /// The lineage's name, where the attempt begins one.
    pub lineage: String,
    /// The process, for people.
    pub owner: Owner,
}

/// Makes an identity for each try to take a job over. A simulation has its own, so that it can be repeated.
pub type DrawIdentity = dyn Fn() -> Identity + Send + Sync;

impl Identity {
    /// A new one, of this process.
    pub fn draw() -> Identity {
        Identity { attempt: id::random_hex(), lineage: id::random_hex(), owner: Owner::this_process() }
    }
}
