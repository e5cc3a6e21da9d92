//! SQL texts without secrets, for whatever is stored or logged.

use flott_core::{Secret, secret};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::ast::position;
use super::dialect::FlinkDialect;
use super::source::SourceText;

/// The same text with a mask for the value of every `'key' = 'value'` (also in SET and in hints) whose key names a secret,
/// and for the passwords of URLs.
///
/// A text that has no tokens (an open quote) is masked whole.
pub fn mask_secrets(text: &str) -> String {
    mask(text, 0).map_or_else(|| secret::MASK.to_string(), |text| secret::mask_urls(&text).into_owned())
}

/// Hints are comments with tokens of their own; comments inside those hold nothing.
const MAX_NESTING: usize = 1;

fn mask(text: &str, nesting: usize) -> Option<String> {
    let tokens = Tokenizer::new(&FlinkDialect, text).tokenize_with_location().ok()?;
    let source = SourceText::new(text);
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut done = 0;
    let significant: Vec<_> = tokens
        .iter()
        .filter(|t| match &t.token {
            Token::Whitespace(sqlparser::tokenizer::Whitespace::MultiLineComment(_)) => true,
            Token::Whitespace(_) | Token::EOF => false,
            _ => true,
        })
        .collect();
    for (i, t) in significant.iter().enumerate() {
        if i < done {
            continue;
        }
        done = i + 1;
        let replacement = match &t.token {
            Token::Whitespace(sqlparser::tokenizer::Whitespace::MultiLineComment(comment)) => {
                let inner = if nesting < MAX_NESTING { mask(comment, nesting + 1) } else { None };
                format!("/*{}*/", inner.unwrap_or_else(|| secret::MASK.to_string()))
            }
            _ if i >= 2 && significant[i - 1].token == Token::Eq && is_secret_key(&significant, i - 2) => {
                // `SET key = some words` goes on to the end of the statement.
                if !matches!(t.token, Token::SingleQuotedString(_)) {
                    let rest = significant[i..].iter().position(|t| t.token == Token::SemiColon);
                    done = rest.map_or(significant.len(), |n| i + n);
                }
                format!("'{}'", secret::MASK)
            }
            _ => continue,
        };
        let last = significant[done - 1];
        let (start, end) = (source.offset(position(t.span.start)), source.offset(position(last.span.end)));
        out.push_str(text.get(copied..start)?);
        out.push_str(&replacement);
        copied = end;
    }
    out.push_str(text.get(copied..)?);
    Some(out)
}

/// `'s3.secret-key'`, or the words of `s3.secret-key` before an equals sign.
fn is_secret_key(tokens: &[&sqlparser::tokenizer::TokenWithSpan], last: usize) -> bool {
    if let Token::SingleQuotedString(key) = &tokens[last].token {
        return Secret::is_sensitive_key(key);
    }
    let mut key = String::new();
    for t in tokens[..=last].iter().rev() {
        match &t.token {
            Token::Word(w) if w.value.eq_ignore_ascii_case("SET") => break,
            Token::Word(w) => key.insert_str(0, &w.value),
            Token::Period => key.insert(0, '.'),
            Token::Minus => key.insert(0, '-'),
            _ => break,
        }
    }
    Secret::is_sensitive_key(&key)
}

#[cfg(test)]
mod tests {
    use super::mask_secrets;

    #[test]
    fn values_of_secret_keys_are_masked_and_nothing_else_changes() {
        for (text, masked) in [
            (
                "CREATE TABLE t (a INT) WITH ('password' = 'CANARY''x',\n  'url' = 'u')",
                "CREATE TABLE t (a INT) WITH ('password' = '******',\n  'url' = 'u')",
            ),
            ("SET 's3.secret-key' = 'CANARY'; SELECT 'é' -- x", "SET 's3.secret-key' = '******'; SELECT 'é' -- x"),
            ("SET s3.secret-key = CANARY + 'CANARY' ; RESET", "SET s3.secret-key = '******' ; RESET"),
            (
                "SELECT * FROM t /*+ OPTIONS('properties.sasl.jaas.config' = 'CANARY', 'a' = 'b') */",
                "SELECT * FROM t /*+ OPTIONS('properties.sasl.jaas.config' = '******', 'a' = 'b') */",
            ),
            ("SELECT 1 /* no secret */", "SELECT 1 /* no secret */"),
            (
                "SELECT 1 /*+ OPTIONS('a.url' = 'http://u:CANARY@h/p') */",
                "SELECT 1 /*+ OPTIONS('a.url' = 'http://u:******@h/p') */",
            ),
        ] {
            assert_eq!(mask_secrets(text), masked);
        }
        assert_eq!(mask_secrets("SET 'password' = 'CANARY"), "******");
    }
}
