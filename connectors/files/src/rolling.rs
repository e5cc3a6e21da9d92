//! When a file is closed before its checkpoint comes.

use std::time::Duration;

use flott_connector::storage::StorageLocation;
use flott_core::{Error, Result};

use crate::options;

/// An object larger than 5 GiB cannot be copied in one request; a file may exceed its limit by the last batch.
pub const OBJECT_BYTES_MAX: u64 = 4 << 30;

/// Flink's `sink.rolling-policy.*`.
#[derive(Debug, Clone)]
pub(crate) struct RollingPolicy {
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
    pub(crate) inactivity: Duration,
    /// How often the two are looked at.
    pub(crate) check: Duration,
}

impl RollingPolicy {
    pub(crate) fn check_for(&self, location: &StorageLocation) -> Result<()> {
        if location.local.is_none() && self.bytes > OBJECT_BYTES_MAX {
            return Err(Error::user("files in an object store can have 4 gb at most")
                .with("option", options::ROLL_SIZE.key)
                .hint("Use '4 gb' or less"));
        }
        Ok(())
    }

    pub(crate) fn is_full(&self, bytes: u64) -> bool {
        bytes >= self.bytes
    }

    /// Times as of one clock.
    pub(crate) fn is_old(&self, opened: Duration, written: Duration, now: Duration) -> bool {
        now.saturating_sub(opened) >= self.age || now.saturating_sub(written) >= self.inactivity
    }
}
