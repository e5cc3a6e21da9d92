//! HEAD, manifests, bundles: small records with a checksum. The first byte says what the rest is; with one of them the checksum
//! fits, so that what is behind it is reached.

use std::fmt::Debug;

use flott_state::manifest::{HEAD_VERSION, Head, MANIFEST_VERSION, Manifest};
use flott_state::record;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rows;

/// Version of a bundle's layout.
const BUNDLE_VERSION: u32 = 2;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    match first {
        b'h' => drop(round::<Head>("head", HEAD_VERSION, &with_checksum("head", HEAD_VERSION, rest))),
        b'm' => {
            if let Some(manifest) =
                round::<Manifest>("manifest", MANIFEST_VERSION, &with_checksum("manifest", MANIFEST_VERSION, rest))
            {
                manifest.files();
                manifest.has_output();
                assert!(manifest.new_bytes() <= manifest.state_bytes(), "more is new than there is");
            }
        }
        b'b' => drop(rows::given(flott::fuzzing::bundle(&with_checksum("bundle", BUNDLE_VERSION, rest)))),
        _ => drop(round::<Manifest>("manifest", MANIFEST_VERSION, rest)),
    }
}

fn with_checksum(kind: &str, version: u32, json: &[u8]) -> Vec<u8> {
    let mut record = format!("flott {kind} {version} {:08x}\n", crc32fast::hash(json)).into_bytes();
    record.extend_from_slice(json);
    record
}

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(kind: &str, version: u32, bytes: &[u8]) -> Option<T> {
    let value: T = rows::given(record::decode(kind, version, "it", bytes))?;
    let again = record::encode(kind, version, &value).unwrap_or_else(|e| panic!("a record cannot be written: {e}"));
    let read: T =
        record::decode(kind, version, "it", &again).unwrap_or_else(|e| panic!("a record cannot be read again: {e}"));
    assert_eq!(read, value, "a record that is stored again");
    Some(value)
}
