//! BITMAP: bytes and texts.

use flott_core::bitmap::{from_text, read, to_text, write};

use crate::rows;

/// A text of a larger set is long.
const PRINTED_MAX: u64 = 10_000;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let set = if *first == b't' { std::str::from_utf8(rest).ok().and_then(from_text) } else { rows::given(read(rest)) };
    let Some(set) = set else { return };
    let again = read(&write(&set)).unwrap_or_else(|e| panic!("a set cannot be read again: {e}"));
    assert!(again == set, "a set that was written");
    if set.len() < PRINTED_MAX {
        assert!(from_text(&to_text(&set)).is_none_or(|printed| printed == set), "a set that was printed");
    }
}
