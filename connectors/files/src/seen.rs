//! The files that a monitoring source has found so far.
//!
//! Flink keeps every path for ever, and so do we: a path that was read is never read again. The stored form is made of
//! compressed chunks that are never written anew, so that a checkpoint of a source with a million files costs little.

use std::collections::HashSet;

use flott_core::{Error, Result};

/// Paths of one chunk.
const CHUNK_PATHS: usize = 4_096;
/// A chunk's content at most, against damaged states.
const CHUNK_BYTES_MAX: usize = 64 << 20;
/// Fast, and paths of one folder shrink to a few bytes anyway.
const ZSTD_LEVEL: i32 = 1;

#[derive(Debug, Default)]
pub(crate) struct SeenFiles {
    paths: HashSet<Box<str>>,
    /// Full chunks: paths that end with a NUL, compressed.
    sealed: Vec<Vec<u8>>,
    recent: Vec<Box<str>>,
}

impl SeenFiles {
    /// True where the path is new; it no longer is then.
    pub(crate) fn insert(&mut self, path: &str) -> Result<bool> {
        if self.paths.contains(path) {
            return Ok(false);
        }
        self.paths.insert(path.into());
        self.recent.push(path.into());
        if self.recent.len() >= CHUNK_PATHS {
            self.sealed.push(compress(&self.recent)?);
            self.recent.clear();
        }
        Ok(true)
    }

    /// Each chunk with its length in front.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let last = compress(&self.recent)?;
        for chunk in self.sealed.iter().chain([&last]) {
            out.extend_from_slice(&(chunk.len() as u64).to_le_bytes());
            out.extend_from_slice(chunk);
        }
        Ok(())
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<SeenFiles> {
        let mut seen = SeenFiles::default();
        let damaged =
            || Error::data("the list of files of a filesystem source is damaged").hint("Restore an older checkpoint");
        // There is always a last chunk, which may be empty.
        if bytes.is_empty() {
            return Err(damaged());
        }
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
            let (chunk, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
            let text = zstd::bulk::decompress(chunk, CHUNK_BYTES_MAX).map_err(|e| damaged().caused_by(e))?;
            let text = String::from_utf8(text).map_err(|_| damaged())?;
            for path in text.split_terminator('\0') {
                seen.insert(path)?;
            }
            bytes = rest;
        }
        if bytes.is_empty() { Ok(seen) } else { Err(damaged()) }
    }
}

fn compress(paths: &[Box<str>]) -> Result<Vec<u8>> {
    let mut text = String::new();
    for path in paths {
        text.push_str(path);
        text.push('\0');
    }
    zstd::bulk::compress(text.as_bytes(), ZSTD_LEVEL)
        .map_err(|e| Error::internal("a list of files cannot be compressed").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_and_restored() {
        let mut seen = SeenFiles::default();
        let path = |i: usize| format!("/data/day=2024-01-{:02}/part-0123456789abcdef-{i}.csv", i % 28);
        for i in 0..20_000 {
            assert!(seen.insert(&path(i)).expect("inserted"));
        }
        let mut bytes = vec![];
        seen.encode(&mut bytes).expect("encoded");
        assert!(bytes.len() < 20_000 * 12, "{} bytes", bytes.len());
        let mut back = SeenFiles::decode(&bytes).expect("decoded");
        for i in 0..20_000 {
            assert!(!back.insert(&path(i)).expect("looked up"));
        }
        assert!(back.insert("/data/new").expect("inserted"));
        assert!(SeenFiles::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(SeenFiles::decode(&[9, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
