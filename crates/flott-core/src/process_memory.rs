//! What the runtime asks of whoever chose the allocator of the process.

use std::sync::OnceLock;

static ALLOCATOR: OnceLock<Allocator> = OnceLock::new();

/// What an allocator can do. It may be asked by any thread at any time, and again and again.
#[derive(Debug, Clone, Copy)]
pub struct Allocator {
    /// Gives memory that is free back to the system.
    pub give_back: fn(),
    /// From now on much memory is held, for long.
    pub becomes_large: fn(),
}

/// Says what the allocator can do: once, by who chooses it.
pub fn allocated_by(allocator: Allocator) {
    // Whoever came first has chosen it.
    ALLOCATOR.get_or_init(|| allocator);
}

/// Gives free memory back, where somebody has said how.
pub fn give_back() {
    if let Some(allocator) = ALLOCATOR.get() {
        (allocator.give_back)();
    }
}

/// Says that much memory is held, for long, to who wants to know.
pub fn becomes_large() {
    if let Some(allocator) = ALLOCATOR.get() {
        (allocator.becomes_large)();
    }
}
