//! LIKE, SIMILAR TO and regular expressions. Matching takes linear time: no backtracking, so no look-around.
//!
//! Java's dialect is translated: `\d \w \s \b` and POSIX classes are ASCII there, `\Q..\E` quotes. What would silently
//! mean something else (possessive quantifiers) is refused. `$` matches at the very end only.

mod like;
mod regexp;
mod regexp_count;
mod regexp_extract;
mod regexp_extract_all;
mod regexp_instr;
mod regexp_replace;
mod regexp_substr;
mod similar;

use std::cell::RefCell;
use std::ops::Range;

use arrow_array::types::Int32Type;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};
use regex::{Captures, Match, Regex};

use crate::argument::{Primitive, Text, build, build_text};
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, ScalarFunction};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    like::LIKE,
    similar::SIMILAR,
    regexp::REGEXP,
    regexp_replace::REGEXP_REPLACE,
    regexp_extract::REGEXP_EXTRACT,
    regexp_substr::REGEXP_SUBSTR,
    regexp_count::REGEXP_COUNT,
    regexp_instr::REGEXP_INSTR,
    regexp_extract_all::REGEXP_EXTRACT_ALL,
];

/// The largest compiled regular expression, in bytes.
pub const MAX_REGEX_BYTES: usize = 1 << 20;

/// How many patterns a thread keeps compiled, where a column gives them.
const CACHED_PATTERNS: usize = 64;

/// Compiles a pattern; `None` is one that is none, by which the result is NULL.
type Compile = fn(&str) -> Result<Option<Regex>>;

/// A pattern that is compiled once where it is constant, and kept for a while where a column gives it.
pub(super) enum Pattern {
    Constant(Option<Regex>),
    Column(Text, Compile),
}

thread_local! {
    /// Texts, how they are compiled, and what they are; `None`: no pattern.
    static COMPILED: RefCell<Vec<(String, usize, Option<Regex>)>> = const { RefCell::new(Vec::new()) };
}

impl Pattern {
    /// Calls with the pattern of a row; `None` where that is NULL or no pattern.
    pub(super) fn with<T>(&self, row: usize, f: impl FnOnce(&Regex) -> T) -> Result<Option<T>> {
        let (text, compile) = match self {
            Pattern::Constant(regex) => return Ok(regex.as_ref().map(f)),
            Pattern::Column(text, compile) => (text, compile),
        };
        let Some(text) = text.get(row) else { return Ok(None) };
        COMPILED.with_borrow_mut(|kept| {
            let dialect = *compile as usize;
            if let Some(at) = kept.iter().position(|k| k.1 == dialect && k.0 == text) {
                return Ok(kept[at].2.as_ref().map(f));
            }
            let regex = compile(text)?;
            if kept.len() == CACHED_PATTERNS {
                kept.remove(0);
            }
            let answer = regex.as_ref().map(f);
            kept.push((text.to_string(), dialect, regex));
            Ok(answer)
        })
    }
}

/// The pattern argument: compiled while planning where it is constant, so that one that cannot be used is told at once.
pub(super) fn constant_pattern(a: &Arguments, compile: Compile) -> Result<Option<Option<Regex>>> {
    a.values[1].text().map(compile).transpose()
}

pub(super) fn pattern(
    constant: &Option<Option<Regex>>,
    value: &datafusion_expr::ColumnarValue,
    compile: Compile,
) -> Result<Pattern> {
    Ok(match (constant, Text::of(value)?) {
        (Some(regex), _) => Pattern::Constant(regex.clone()),
        (None, Text::Constant(None)) => Pattern::Constant(None),
        (None, Text::Constant(Some(text))) => Pattern::Constant(compile(&text)?),
        (None, text) => Pattern::Column(text, compile),
    })
}

fn unusable(e: regex::Error, shown: &str) -> Error {
    Error::user(format!("'{shown}' is not a usable regular expression"))
        .hint("Look-around and back references are not supported: matching takes linear time")
        .caused_by(e)
}

fn compiled(translated: &str) -> std::result::Result<Regex, regex::Error> {
    regex::RegexBuilder::new(translated).size_limit(MAX_REGEX_BYTES).build()
}

fn build_regex(translated: &str, shown: &str) -> Result<Regex> {
    compiled(translated).map_err(|e| unusable(e, shown))
}

/// A regular expression of Java's dialect; a wrong one is an error.
pub(super) fn java(pattern: &str) -> Result<Regex> {
    match translated(pattern)? {
        Some(regex) => build_regex(&regex, pattern),
        None => {
            Err(Error::user(format!("'{pattern}' is not a usable regular expression"))
                .hint("Java cannot read it, either"))
        }
    }
}

/// The same for functions whose result is NULL where Java cannot read the pattern, either. What Java can read and Flott
/// cannot stays an error.
pub(super) fn java_or_null(pattern: &str) -> Result<Option<Regex>> {
    const WRONG: [&str; 5] = [
        "unclosed group",
        "unopened group",
        "unclosed character class",
        "repetition operator missing expression",
        "unrecognized escape sequence",
    ];
    let Some(regex) = translated(pattern)? else { return Ok(None) };
    match compiled(&regex) {
        Ok(regex) => Ok(Some(regex)),
        Err(regex::Error::Syntax(why)) if WRONG.iter().any(|w| why.contains(w)) => Ok(None),
        Err(e) => Err(unusable(e, pattern)),
    }
}

/// A regular expression of Java's dialect in ours; `None`: Java cannot read it.
fn translated(pattern: &str) -> Result<Option<String>> {
    let unusable = |why: &str| {
        Err(Error::user(format!("'{pattern}' is not a usable regular expression: {why}"))
            .hint("Write it without; matching takes linear time, so nothing is lost in speed"))
    };
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut class_depth = 0usize;
    let (mut quantified, mut in_braces) = (false, false);
    while let Some(c) = chars.next() {
        let was_quantified = std::mem::replace(&mut quantified, false);
        match c {
            '\\' => match chars.next() {
                None => return Ok(None),
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[a-zA-Z0-9_]"),
                Some('W') => out.push_str("[^a-zA-Z0-9_]"),
                Some('s') => out.push_str(r"[ \t\n\x0B\f\r]"),
                Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
                Some('h') => out.push_str(r"[ \t\u{A0}\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}]"),
                Some('H') => out.push_str(r"[^ \t\u{A0}\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}]"),
                Some('v') => out.push_str(r"[\n\x0B\f\r\u{85}\u{2028}\u{2029}]"),
                Some('V') => out.push_str(r"[^\n\x0B\f\r\u{85}\u{2028}\u{2029}]"),
                // A control character by its letter, and a character by its octal number, which ends below 0400.
                Some('c') => match chars.next() {
                    Some(c) if c.is_ascii() => out.push_str(&format!("\\x{{{:x}}}", c as u32 ^ 64)),
                    _ => return Ok(None),
                },
                Some('0') => {
                    let mut number = 0;
                    let mut length = 0;
                    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)).filter(|d| number * 8 + d < 256) {
                        if length == 3 {
                            break;
                        }
                        (number, length) = (number * 8 + digit, length + 1);
                        chars.next();
                    }
                    if length == 0 {
                        return Ok(None);
                    }
                    out.push_str(&format!("\\x{{{number:x}}}"));
                }
                Some('G') => return unusable("\\G is where the last match ended"),
                Some('X') => return unusable("\\X is a character with its marks"),
                Some('N') => return unusable("\\N names a character"),
                Some('k') if chars.peek() == Some(&'<') => return unusable("it refers back to a group"),
                Some('k') => return Ok(None),
                Some('b') if class_depth == 0 => out.push_str(r"(?-u:\b)"),
                Some('R') if class_depth == 0 => out.push_str(r"(?:\r\n|[\n\x0B\f\r\u{85}\u{2028}\u{2029}])"),
                Some('Z') if class_depth == 0 => out.push_str(r"\z"),
                Some('e') => out.push_str(r"\x1B"),
                Some('Q') => {
                    let mut quoted = String::new();
                    loop {
                        match chars.next() {
                            Some('\\') if chars.peek() == Some(&'E') => {
                                chars.next();
                                break;
                            }
                            Some(c) => quoted.push(c),
                            None => break,
                        }
                    }
                    out.push_str(&regex::escape(&quoted));
                }
                Some(p @ ('p' | 'P')) if chars.peek() == Some(&'{') => {
                    let name: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    const ASCII: [&str; 13] = [
                        "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank",
                        "Cntrl", "XDigit", "Space",
                    ];
                    if ASCII.contains(&name.as_str()) {
                        let not = if p == 'P' { "^" } else { "" };
                        out.push_str(&format!("[[:{not}{}:]]", name.to_ascii_lowercase()));
                    } else {
                        let name = match name.strip_prefix("Is").unwrap_or(&name) {
                            "javaLowerCase" => "Lowercase",
                            "javaUpperCase" => "Uppercase",
                            "javaAlphabetic" => "Alphabetic",
                            "javaLetter" | "Letter" => "L",
                            "javaDigit" | "Digit" => "Nd",
                            "Punctuation" => "P",
                            other => other,
                        };
                        out.push_str(&format!("\\{p}{{{name}}}"));
                    }
                }
                Some(c) if c.is_ascii_digit() && c != '0' => return unusable("it refers back to a group"),
                // Java lets any other punctuation be escaped.
                Some(c) if !c.is_ascii_alphanumeric() => out.push_str(&regex::escape(&c.to_string())),
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
            },
            '[' => {
                class_depth += 1;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if class_depth > 0 => {
                class_depth -= 1;
                out.push(']');
            }
            '{' if class_depth == 0 => {
                if !chars.peek().is_some_and(char::is_ascii_digit) {
                    return Ok(None);
                }
                in_braces = true;
                out.push(c);
            }
            '}' if class_depth == 0 && !in_braces => out.push_str(r"\}"),
            '(' if class_depth == 0 => {
                out.push(c);
                if chars.next_if_eq(&'?').is_some() {
                    out.push('?');
                    match chars.peek() {
                        Some('P') => return Ok(None),
                        Some('=' | '!') => return unusable("it looks ahead"),
                        Some('>') => return unusable("it has a group that does not backtrack"),
                        Some('<') => {
                            chars.next();
                            out.push('<');
                            if matches!(chars.peek(), Some('=' | '!')) {
                                return unusable("it looks behind");
                            }
                        }
                        _ => {}
                    }
                }
            }
            '*' | '+' | '?' | '}' if class_depth == 0 => {
                if c == '+' && was_quantified {
                    return unusable("it has a possessive quantifier");
                }
                in_braces = false;
                // A ? behind a quantifier makes it reluctant, and ends it.
                quantified = !(c == '?' && was_quantified);
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(Some(out))
}

/// What fits, one after the other as Java finds it: behind a part with a length one of no length may begin at once.
pub(super) fn matches<'r, 't>(regex: &'r Regex, text: &'t str) -> impl Iterator<Item = Match<'t>> + use<'r, 't> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let found = regex.find_at(text, from?)?;
        from = behind(text, found.range());
        Some(found)
    })
}

/// The groups of what fits, in the same order.
pub(super) fn captures<'r, 't>(regex: &'r Regex, text: &'t str) -> impl Iterator<Item = Captures<'t>> + use<'r, 't> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let found = regex.captures_at(text, from?)?;
        from = found.get(0).and_then(|whole| behind(text, whole.range()));
        Some(found)
    })
}

/// Where to look on behind a part that fits; `None` at the end.
fn behind(text: &str, found: Range<usize>) -> Option<usize> {
    if !found.is_empty() {
        return Some(found.end);
    }
    text[found.end..].chars().next().map(|c| found.end + c.len_utf8())
}

/// A regular expression that splits texts, as Java's `String.split`.
pub(super) struct Splitter(Option<Regex>, String);

/// A delimiter of Java's dialect; one without special characters needs no regular expression.
pub(super) fn splitter(delimiter: &str) -> Result<Splitter> {
    let plain = !delimiter.is_empty() && !delimiter.contains(['\\', '[', '(', '{', '.', '*', '+', '?', '|', '^', '$']);
    let regex = if plain { None } else { Some(java(delimiter)?) };
    Ok(Splitter(regex, delimiter.to_string()))
}

impl Splitter {
    /// The pieces, without empty ones at the end. A match of no length at the start makes no piece, as in Java.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut pieces: Vec<&str> = match &self.0 {
            None => text.split(self.1.as_str()).collect(),
            Some(regex) => {
                let mut pieces = vec![];
                let mut from = 0;
                for found in matches(regex, text).filter(|m| m.end() > 0) {
                    pieces.push(&text[from..found.start()]);
                    from = found.end();
                }
                pieces.push(&text[from..]);
                pieces
            }
        };
        // A text without a delimiter is one piece, whatever it is; one of nothing but delimiters has none.
        if pieces.len() > 1 {
            let kept = pieces.iter().rposition(|p| !p.is_empty()).map_or(0, |last| last + 1);
            pieces.truncate(kept);
        }
        pieces
    }

    /// The two sides of the first delimiter.
    pub(super) fn split_once<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        match &self.0 {
            None => text.split_once(self.1.as_str()),
            Some(regex) => {
                let found = matches(regex, text).find(|m| m.end() > 0);
                found.map(|m| (&text[..m.start()], &text[m.end()..]))
            }
        }
    }
}

/// The constant of ESCAPE; where it may be empty, nothing is an escape then.
fn escape_of(a: &mut Arguments, may_be_empty: bool) -> Result<Option<char>> {
    let escape = match a.values.get(2).map(|e| e.text().map(str::to_string)) {
        None => None,
        Some(Some(text)) if text.is_empty() && may_be_empty => None,
        Some(Some(text)) if text.chars().count() == 1 && text != "\0" => text.chars().next(),
        Some(_) => return Err(Error::user("Invalid escape character").hint("ESCAPE takes a constant of one character")),
    };
    a.values.truncate(2);
    Ok(escape)
}

fn extract(a: &mut Arguments) -> Result<Option<Resolved>> {
    let constant = constant_pattern(a, java_or_null)?;
    if !fit(a, &[K::STRING, K::STRING, K::Int])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (text, pattern) = (Text::of(&args[0])?, pattern(&constant, &args[1], java_or_null)?);
        let group = args.get(2).map(Primitive::<Int32Type>::of).transpose()?;
        build_text(args, rows, |i, out| {
            let group = group.as_ref().map_or(Some(0), |g| g.get(i)).and_then(|g| usize::try_from(g).ok());
            let found = match (text.get(i), group) {
                (Some(t), Some(0)) => pattern.with(i, |r| r.find(t).map(|m| m.as_str()))?.flatten(),
                (Some(t), Some(g)) => pattern.with(i, |r| r.captures(t)?.get(g).map(|m| m.as_str()))?.flatten(),
                _ => None,
            };
            out.append_option(found);
            Ok(())
        })
    })))
}

fn to_int(a: &mut Arguments, f: fn(&Regex, &str) -> i32) -> Result<Option<Resolved>> {
    let constant = constant_pattern(a, java_or_null)?;
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::Int.nullable(), move |args, rows| {
        let (text, pattern) = (Text::of(&args[0])?, pattern(&constant, &args[1], java_or_null)?);
        build::<Int32Type>(args, rows, |i| match text.get(i) {
            Some(t) => pattern.with(i, |r| f(r, t)),
            None => Ok(None),
        })
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_rows_is_looked_at_once() {
        thread_local! {
            static CALLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
        }
        fn counted(pattern: &str) -> Result<Option<Regex>> {
            CALLS.set(CALLS.get() + 1);
            java_or_null(pattern)
        }
        let texts = arrow_array::StringArray::from(vec![Some("("), Some("b"), None, Some("("), Some("b")]);
        let pattern = Pattern::Column(Text::Column(texts), counted);
        let fits: Vec<_> = (0..5).map(|i| pattern.with(i, |r| r.is_match("abc")).expect("no error")).collect();
        assert_eq!(fits, [None, Some(true), None, None, Some(true)]);
        assert_eq!(CALLS.get(), 2);
    }

    #[test]
    fn refusals() {
        for wrong in ["a{,2}", "{", "\\y", "(?P<n>a)", "\\k", "x\\", "\\0", "["] {
            assert!(java_or_null(wrong).expect("no error").is_none(), "{wrong}");
        }
        for refused in ["(", "a(?=b)", "(?<!a)b", "(a)\\1", "a++b", "x\\", "(?>a)b", "\\Ga", "\\X", "a{,2}"] {
            assert!(java(refused).is_err(), "{refused}");
        }
        for (pattern, text, expected) in [
            ("a+?b", "aab", true),
            ("[a+]+", "+", true),
            ("a{2}", "aa", true),
            ("\\p{IsAlphabetic}", "ä", true),
            ("[^\\d]", "1", false),
            ("\\0110\\x65\\u006c", "Hel", true),
            ("^\\v\\cA$", "\u{2028}\u{1}", true),
            ("a}", "a}", true),
            ("(?<n>a){1,2}$", "aa", true),
            ("\\p{javaLowerCase}", "A", false),
        ] {
            assert_eq!(java(pattern).expect("a pattern").is_match(text), expected, "{pattern}");
        }
    }
}
