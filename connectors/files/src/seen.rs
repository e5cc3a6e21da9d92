//! The files that a monitoring source has found so far.
//!
//! Flink keeps every path for ever, and so do we: a path that was read is never read again. The stored form is made of
//! compressed chunks that are never written anew, so that a checkpoint of a source with a million files costs little.

use std::collections::HashMap;

use flott_core::{Error, Result};

/// Paths of one chunk.
const CHUNK_PATHS: usize = 4_096;
/// A chunk's content at most, against damaged states.
const CHUNK_BYTES_MAX: usize = 64 << 20;
/// Fast, and paths of one folder shrink to a few bytes anyway.
const ZSTD_LEVEL: i32 = 1;

#[derive(Debug, Default)]
pub(crate) struct SeenFiles {
    /// With the size that a listing has shown; `None` before one of this attempt has.
    paths: HashMap<Box<str>, Option<u64>>,
    /// Full chunks: paths that end with a NUL, compressed.
    sealed: Vec<Vec<u8>>,
    recent: Vec<Box<str>>,
}

/// What a listing says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It is new, and no longer is then.
    New,
    Known,
    /// It had so many bytes when it was listed before.
    Changed(u64),
}

impl SeenFiles {
    /// A listing shows a file.
    pub(crate) fn see(&mut self, path: &str, size: u64) -> Result<Sight> {
        match self.paths.get_mut(path) {
            None => self.insert(path, Some(size)).map(|()| Sight::New),
            Some(known) => Ok(match known.replace(size) {
                Some(before) if before != size => Sight::Changed(before),
                _ => Sight::Known,
            }),
        }
    }

    fn insert(&mut self, path: &str, size: Option<u64>) -> Result<()> {
        if self.paths.insert(path.into(), size).is_none() {
            self.recent.push(path.into());
        }
        if self.recent.len() >= CHUNK_PATHS {
            self.sealed.push(compress(&self.recent)?);
            self.recent.clear();
        }
        Ok(())
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
                seen.insert(path, None)?;
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
            assert_eq!(seen.see(&path(i), 1).expect("seen"), Sight::New);
        }
        let mut bytes = vec![];
        seen.encode(&mut bytes).expect("encoded");
        assert!(bytes.len() < 20_000 * 12, "{} bytes", bytes.len());
        let mut back = SeenFiles::decode(&bytes).expect("decoded");
        for i in 0..20_000 {
            assert_eq!(back.see(&path(i), 2).expect("seen"), Sight::Known, "its size was not stored");
        }
        assert_eq!(back.see("/data/new", 7).expect("seen"), Sight::New);
        for (size, sight) in [(7, Sight::Known), (9, Sight::Changed(7)), (9, Sight::Known)] {
            assert_eq!(back.see("/data/new", size).expect("seen"), sight);
        }
        assert!(SeenFiles::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(SeenFiles::decode(&[9, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
