//! Whether a sigma ends a word: Java's rule for lower case, which looks for letters in the words of its BreakIterator.

use std::sync::OnceLock;

use regex::Regex;

/// A word: letters, with at most one sign between two of them, and numbers beside them; marks belong to what is before them.
/// Ideographs and kana are words of their own, of letters without case.
const WORD: &str = r"(?x) (?: <letters> )? (?: <number> <letters> )* <number>?";
const LETTERS: &str = r#"(?: <letter>+ (?: [\p{Pd}\p{Pc}\u{2027}"'.] <marks> <letter>+ )* )"#;
const NUMBER: &str = r#"(?: <digit>+ (?: [,."'\u{66B}] <marks> <digit>+ )* )"#;
const LETTER: &str = r"(?: [[\p{L}\p{Mc}]--[\p{Han}\p{Hiragana}\p{Katakana}]] <marks> )";
const DIGIT: &str = r"(?: \p{N} <marks> )";
const MARKS: &str = r"[\p{Mn}\p{Me}\p{Cf}]*";
/// Letters with case, and what looks like them.
const CASED: &str = r"[\p{Lu}\p{Ll}\p{Lt}\u{2B0}-\u{2B8}\u{2C0}\u{2C1}\u{2E0}-\u{2E4}\u{345}\u{37A}\u{1D2C}-\u{1D61}\u{2160}-\u{217F}\u{24B6}-\u{24E9}]";

/// Words and letters with case.
fn patterns() -> Option<&'static (Regex, Regex)> {
    static PATTERNS: OnceLock<Option<(Regex, Regex)>> = OnceLock::new();
    const PARTS: [(&str, &str); 5] =
        [("<letters>", LETTERS), ("<number>", NUMBER), ("<letter>", LETTER), ("<digit>", DIGIT), ("<marks>", MARKS)];
    let word = || PARTS.iter().fold(WORD.to_string(), |text, (name, part)| text.replace(name, part));
    PATTERNS.get_or_init(|| Regex::new(&word()).ok().zip(Regex::new(CASED).ok())).as_ref()
}

/// Whether there is a letter before the sigma that begins at this byte, and none behind it, in its word.
pub(super) fn is_final(text: &str, at: usize) -> bool {
    let Some((words, cased)) = patterns() else { return false };
    let Some(word) = words.find_iter(text).find(|w| w.end() > at) else { return false };
    let behind = at + 'Σ'.len_utf8();
    cased.is_match(&text[word.start().min(at)..at]) && !cased.is_match(&text[behind..word.end().max(behind)])
}
