//! Patterns: a pattern, a line break, a text.

use flott_function::FunctionEnv;
use flott_function::scalar;

use super::expression::{batch, both_ways, column, evaluate, physical, shown};

/// Texts that are matched by the plain matcher: its time grows with the product.
const PLAIN_LENGTH_MAX: usize = 500;

pub(crate) fn run(data: &[u8]) {
    let Ok(all) = std::str::from_utf8(data) else { return };
    let (pattern, text) = all.split_once('\n').unwrap_or((all, "a text of some words, 12 and 7"));
    for name in [
        "LIKE",
        "SIMILAR",
        "REGEXP",
        "REGEXP_EXTRACT",
        "REGEXP_SUBSTR",
        "REGEXP_COUNT",
        "REGEXP_INSTR",
        "REGEXP_EXTRACT_ALL",
    ] {
        both_ways(name, text, &[pattern]);
    }
    both_ways("REGEXP_REPLACE", text, &[pattern, "<$1>"]);
    // The replacement is the input's, too.
    both_ways("REGEXP_REPLACE", text, &["[a-e]+|(x)", pattern]);
    both_ways("LIKE", text, &[pattern, "!"]);
    both_ways("SIMILAR", text, &[pattern, "!"]);
    if pattern.len() + text.len() < PLAIN_LENGTH_MAX && !pattern.contains('\\') {
        let call = scalar::call("LIKE", vec![column("a"), column("b")], &FunctionEnv::default());
        let call = call.unwrap_or_else(|| panic!("no LIKE")).unwrap_or_else(|e| panic!("LIKE: {e}"));
        let batch = batch(&[("a", vec![text]), ("b", vec![pattern])]);
        let found = physical(&call, &["a", "b"]).and_then(|e| evaluate(&e, &batch));
        let found = shown(&found.unwrap_or_else(|e| panic!("{text:?} LIKE {pattern:?}: {e}")), &call.data_type);
        let expected = if like(text, pattern) { "TRUE" } else { "FALSE" };
        assert_eq!(found[0].as_deref(), Some(expected), "{text:?} LIKE {pattern:?}");
    }
}

/// LIKE as it is defined: `_` is any character, `%` any of them.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Whether the pattern so far fits the first n characters.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for p in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        match p {
            '%' => {
                let mut any = false;
                for (n, f) in fits.iter().enumerate() {
                    any |= f;
                    next[n] = any;
                }
            }
            _ => {
                for (n, c) in text.iter().enumerate() {
                    next[n + 1] = fits[n] && (p == '_' || p == *c);
                }
            }
        }
        fits = next;
    }
    fits[text.len()]
}
