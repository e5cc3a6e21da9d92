//! When a file is closed before its checkpoint comes.

use std::time::Duration;

use flott_connector::storage::StorageLocation;
use flott_core::{Error, Result};

use crate::options;

/// An object larger than 5 GiB cannot be copied in one request; a file may exceed its limit by the last batch.
pub(crate) const OBJECT_BYTES_MAX: u64 = 4 << 30;
/// An upload has 10,000 parts at most, which is 78 GiB.
pub const UPLOAD_BYTES_MAX: u64 = 64 << 30;

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
        let max = if location.multipart.is_some() { UPLOAD_BYTES_MAX } else { OBJECT_BYTES_MAX };
        if location.local.is_none() && self.bytes > max {
            let max_gb = max >> 30;
            return Err(Error::user(format!("files in an object store can have {max_gb} gb at most"))
                .with("option", options::ROLL_SIZE.key)
                .hint(format!("Use '{max_gb} gb' or less")));
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
