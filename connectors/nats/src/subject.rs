//! Subjects and what they let through.

use flott_core::{Error, Result};

/// Whether a filter's text is one: parts with dots between them, `*` for one part, `>` for all further ones.
pub(crate) fn is_filter(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.iter().enumerate().all(|(i, part)| match *part {
        ">" => i + 1 == parts.len(),
        "*" => true,
        part => is_part(part),
    })
}

/// Whether a message can be sent to it.
pub(crate) fn is_subject(text: &str) -> bool {
    text.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || c == '*' || c == '>')
}

/// Whether some subject fits both.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}

/// A stream's name is a part of subjects of the API.
pub(crate) fn check_stream(name: &str) -> Result<()> {
    if is_part(name) && !name.contains(['.', '/', '\\']) {
        return Ok(());
    }
    Err(Error::user(format!("'{name}' is no name of a stream"))
        .with("option", "stream")
        .hint("A stream's name has no dots, spaces, slashes, '*' and '>'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_subjects() {
        for (text, filter, subject) in [
            ("a", true, true),
            ("a.b.c", true, true),
            ("a.*.c", true, false),
            ("a.>", true, false),
            (">", true, false),
            ("a.>.b", false, false),
            ("a..b", false, false),
            ("", false, false),
            ("a b", false, false),
            ("a*", false, false),
        ] {
            assert_eq!((is_filter(text), is_subject(text)), (filter, subject), "{text}");
        }
    }

    #[test]
    fn what_fits_both() {
        for (a, b, both) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a.*", "a.b", true),
            ("a.*", "*.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "b.>", false),
            (">", "a", true),
            ("a.*.c", "a.b.d", false),
        ] {
            assert_eq!((overlap(a, b), overlap(b, a)), (both, both), "{a} {b}");
        }
    }

    #[test]
    fn names_of_streams() {
        check_stream("ORDERS-1_x").expect("a name");
        for name in ["", "a.b", "a b", "a/b", "*", "a>"] {
            check_stream(name).expect_err(name);
        }
    }
}
