//! Memory that is free and that the allocator of the process still holds: the door to giving it back.

use std::sync::OnceLock;

static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Says how free memory is given back to the system: once, by who chooses the allocator of the process.
pub fn given_back_by(give_back: fn()) {
    // Whoever came first has chosen it.
    GIVE_BACK.get_or_init(|| give_back);
}

/// Gives free memory back, where somebody has said how. It may be called by any thread at any time.
pub fn give_back() {
    if let Some(give_back) = GIVE_BACK.get() {
        give_back();
    }
}
