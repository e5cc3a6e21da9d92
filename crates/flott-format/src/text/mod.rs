//! Values as text, with the rules of Java's and Flink's parsers and printers: shared by csv and json.

pub(crate) mod bound;
pub(crate) mod number;
pub(crate) mod time;

/// The longest piece of a user's text that an error message shows, in characters.
pub(crate) const SHOWN_TEXT_CHARS_MAX: usize = 100;

/// A user's text for a message: cut, and readable where it is not UTF-8.
pub(crate) fn shown(text: &[u8]) -> String {
    // Four bytes a character at most, so that a record of megabytes is not decoded for a message.
    let head = &text[..text.len().min(SHOWN_TEXT_CHARS_MAX * 4)];
    let decoded = String::from_utf8_lossy(head);
    let mut shown: String = decoded.chars().take(SHOWN_TEXT_CHARS_MAX).collect();
    if shown.len() < decoded.len() || head.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Java's `String.trim`: everything up to U+0020 goes.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text {
        if *first > b' ' {
            break;
        }
        text = rest;
    }
    while let [rest @ .., last] = text {
        if *last > b' ' {
            break;
        }
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_broken_text_is_cut_and_shown() {
        assert_eq!(shown(b"abc"), "abc");
        assert_eq!(shown(&[b'a'; 101]), format!("{}…", "a".repeat(100)));
        assert_eq!(shown(b"\xff"), "\u{fffd}");
        assert_eq!(shown(&[b'a'; 100]).chars().count(), 100);
    }

    #[test]
    fn trim_is_javas() {
        assert_eq!(trim(b" \t\x01a b\n "), b"a b");
        assert_eq!(trim(b"   "), b"");
        assert_eq!(trim("\u{a0}a".as_bytes()), "\u{a0}a".as_bytes());
    }
}
