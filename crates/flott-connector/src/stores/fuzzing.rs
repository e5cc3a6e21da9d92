//! What the fuzz target of stores reaches: a store without a file.

use super::{Identity, Names, Secret, Store};
use flott_core::Result;

/// What is in a store of these bytes: what is trusted, and the key.
pub fn read(content: &[u8], password: Option<&str>, key_password: Option<&str>) -> (Result<String>, Result<Identity>) {
    const NAMES: Names = Names { location: "location", password: "password", key_password: "key.password" };
    let store = Store::new("bytes", password.map(Secret::new), key_password.map(Secret::new), NAMES);
    let trusted = store.trusted_in(content).map_err(|fault| store.error(fault));
    (trusted, store.identity_in(content).map_err(|fault| store.error(fault)))
}
