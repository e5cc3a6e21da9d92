//! Small JSON records with a version and a checksum: HEAD, manifests, bundles, and what connectors keep beside their output.

use bytes::Bytes;
use flott_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// First word of every record.
const MAGIC: &str = "flott";

/// A record's text: one line `flott <kind> <version> <crc32>`, then JSON.
pub fn encode<T: Serialize>(kind: &str, version: u32, value: &T) -> Result<Bytes> {
    let json = serde_json::to_vec(value).map_err(|e| Error::internal("a record cannot be written").caused_by(e))?;
    let mut out = format!("{MAGIC} {kind} {version} {:08x}\n", crc32fast::hash(&json)).into_bytes();
    out.extend(json);
    Ok(out.into())
}

/// Reads a record. A wrong checksum, kind or version is an error that names `what`.
pub fn decode<T: DeserializeOwned>(kind: &str, version: u32, what: &str, bytes: &[u8]) -> Result<T> {
    let corrupt = |why: &str| Error::data(format!("{what} is corrupt: {why}"));
    let newline = bytes.iter().position(|b| *b == b'\n').ok_or_else(|| corrupt("no header"))?;
    let header = std::str::from_utf8(&bytes[..newline]).map_err(|_| corrupt("the header is not text"))?;
    let json = &bytes[newline + 1..];
    let words: Vec<&str> = header.split(' ').collect();
    let [magic, found_kind, found_version, crc] = words[..] else { return Err(corrupt("the header has other parts")) };
    if magic != MAGIC || found_kind != kind {
        return Err(corrupt(&format!("it is not a {kind} record")));
    }
    let found_version: u32 = found_version.parse().map_err(|_| corrupt("the version is not a number"))?;
    if found_version != version {
        return Err(Error::user(format!(
            "{what} has format version {found_version}; this build reads version {version}"
        ))
        .hint("Use the build of Flott that wrote it, or move it away to start over"));
    }
    // As text: another spelling of the same number is damage too.
    if crc != format!("{:08x}", crc32fast::hash(json)) {
        return Err(corrupt("its checksum does not fit"));
    }
    serde_json::from_slice(json).map_err(|e| corrupt("its fields do not fit").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = encode("test", 1, &vec![1u32, 2, 3]).expect("encodes");
        assert_eq!(decode::<Vec<u32>>("test", 1, "it", &bytes).expect("decodes"), [1, 2, 3]);
        for i in 0..bytes.len() * 8 {
            let mut b = bytes.to_vec();
            b[i / 8] ^= 1 << (i % 8);
            assert!(decode::<Vec<u32>>("test", 1, "it", &b).is_err(), "bit {i}");
        }
        for n in 0..bytes.len() {
            assert!(decode::<Vec<u32>>("test", 1, "it", &bytes[..n]).is_err(), "cut at {n}");
        }
        let e = decode::<Vec<u32>>("test", 2, "it", &bytes).expect_err("another version").to_string();
        assert!(e.contains("format version 1") && e.contains("reads version 2"), "{e}");
    }
}
