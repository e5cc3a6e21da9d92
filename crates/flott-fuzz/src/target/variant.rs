//! VARIANT: made of JSON, and as bytes that somebody else has written.

use flott_core::variant::Variant;
use flott_function::variant::{parse_json, to_json};

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if *first == b'b' {
        let Some(value) = rows::given(Variant::read(rest)) else { return };
        rows::given(to_json(&value));
        rows::given(value.field("a").map(|_| ()));
        rows::given(value.element(1).map(|_| ()));
        return;
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let Ok(bytes) = parse_json(text, first & 1 == 1) else { return };
    let value = Variant::read(&bytes).unwrap_or_else(|e| panic!("what was made cannot be read: {e}"));
    let printed = to_json(&value).unwrap_or_else(|e| panic!("what was made cannot be printed: {e}"));
    // Beyond a DOUBLE there is no number that is JSON.
    if printed.contains("Infinity") {
        return;
    }
    // A number may be written in another way once; then it stays as it is.
    let round = |text: &str| {
        let again = parse_json(text, false).unwrap_or_else(|e| panic!("{text}: {e}"));
        let value = Variant::read(&again).unwrap_or_else(|e| panic!("{e}"));
        to_json(&value).unwrap_or_else(|e| panic!("{text}: {e}"))
    };
    let second = round(&printed);
    assert_eq!(round(&second), second, "what was printed of {printed}");
}
