//! Values of type BITMAP: sets of 32-bit numbers, as serialised Roaring bitmaps.
//!
//! The bytes are those of the portable format with runs where they are shorter, so that equal sets are equal bytes: a
//! BITMAP can be a key. Numbers are INT in SQL; a negative one is shown as what its bits are without a sign, as Flink does.

use std::fmt::Write;

use crate::{Error, Result};

pub use roaring::RoaringBitmap;

/// The set of these bytes. Bytes that are none are an error of the data.
pub fn read(bytes: &[u8]) -> Result<RoaringBitmap> {
    RoaringBitmap::deserialize_from(bytes).map_err(|e| {
        Error::data(format!("Failed to deserialize bitmap from bytes: {e}"))
            .hint("Give the portable Roaring format, as BITMAP_TO_BYTES does")
    })
}

/// The bytes of a set.
pub fn write(set: &RoaringBitmap) -> Vec<u8> {
    let mut set = set.clone();
    // From one form to one form: an array, a bitmap or runs, whichever is shortest.
    set.remove_run_compression();
    set.optimize();
    let mut bytes = Vec::with_capacity(set.serialized_size());
    // Writing into memory never fails.
    set.serialize_into(&mut bytes).unwrap_or_default();
    bytes
}

/// Bytes of a set as text behind which only `...` follows.
pub const MAX_TEXT_BYTES: usize = 0x80000;

/// `{1,2,3}`
pub fn to_text(set: &RoaringBitmap) -> String {
    let mut text = String::from("{");
    for (i, n) in set.iter().enumerate() {
        if i > 0 {
            text.push(',');
            if text.len() > MAX_TEXT_BYTES {
                text.push_str("...");
                break;
            }
        }
        // Writing into a text never fails.
        write!(text, "{n}").unwrap_or_default();
    }
    text.push('}');
    text
}

/// The set that [`to_text`] shows.
pub fn from_text(text: &str) -> Option<RoaringBitmap> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let numbers = body.split(',').map(str::trim).filter(|n| !n.is_empty());
    numbers.map(|n| n.parse::<u32>().ok().or_else(|| n.parse::<i32>().ok().map(|n| n as u32))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_equal_bytes_however_they_came_about() {
        let range: RoaringBitmap = (1..=100_000).collect();
        let mut pieces = RoaringBitmap::new();
        (1..=200_000).for_each(|n| {
            pieces.insert(n);
        });
        pieces.remove_range(100_001..=200_000);
        assert_eq!(write(&range), write(&pieces));
        assert_eq!(write(&read(&write(&range)).expect("a set")), write(&range));
        assert!(write(&range).len() < 50, "runs are short");
    }

    /// Recorded from Flink 2.3: BITMAP_TO_BYTES of 1, 2, 3 and of 1 to 20.
    #[test]
    fn bytes_are_those_of_flink() {
        let bytes = |n: u32| write(&(1..=n).collect());
        let three = [0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0x10, 0, 0, 0, 1, 0, 2, 0, 3, 0];
        assert_eq!(bytes(3), three);
        assert_eq!(bytes(20), [0x3b, 0x30, 0, 0, 1, 0, 0, 0x13, 0, 1, 0, 1, 0, 0x13, 0]);
    }

    #[test]
    fn texts() {
        let set: RoaringBitmap = [5u32, 2_147_483_647, 2_147_483_648, 4_294_967_295].into_iter().collect();
        assert_eq!(to_text(&set), "{5,2147483647,2147483648,4294967295}");
        assert_eq!(from_text("{5, -1, 2147483647, 2147483648}"), Some(set));
        assert_eq!(from_text("{}"), Some(RoaringBitmap::new()));
        assert!(read(&[1, 2]).is_err() && from_text("{x}").is_none());
    }
}
