//! States, positions and committables as a checkpoint holds them: JSON under a version.

use flott_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Versioned;

/// The stored form of a value.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal("a state cannot be written").caused_by(e))
}

/// Reads the stored form again. `what` is it, for messages: `position in a topic`.
///
/// # Errors
/// `Data` where the bytes are damaged.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::data(format!("a stored {what} is damaged")).caused_by(e).hint("Restore an older checkpoint")
    })
}

/// Refuses a layout of another version than this one (VER-2 of docs/spec/connector.md).
///
/// # Errors
/// `User`, with both versions.
pub fn check_version(stored: &Versioned, known: u32, what: &str) -> Result<()> {
    if stored.version == known {
        return Ok(());
    }
    Err(Error::user(format!("a stored {what} has version {}, and this Flott reads version {known}", stored.version))
        .hint("Restore with the Flott that wrote it, or a newer one"))
}
