//! A URL with places for a row's values.

use arrow_array::{Array, RecordBatch};
use flott_connector::row_text::RowText;
use flott_core::{Error, Result};
use reqwest::Url;

use crate::options;

/// A piece of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A column that arrives.
    Column(usize),
}

/// A URL whose host is certain and whose path and query may hold values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// Without query and values, for messages: a query may hold a secret.
    pub(crate) shown: String,
}

fn wrong(message: impl Into<String>) -> Error {
    Error::user(message.into()).with("option", options::URL.key)
}

impl Template {
    /// `columns`: the names of those that arrive.
    pub(crate) fn parse(text: &str, columns: &[&str]) -> Result<Template> {
        let text = text.trim();
        let scheme = ["http://", "https://"].into_iter().find(|s| text.starts_with(s));
        let scheme = scheme.ok_or_else(|| {
            wrong("'url' must begin with http:// or https://").hint("Write 'url' = 'https://host/path'")
        })?;
        let host_end = text[scheme.len()..].find(['/', '?', '#']).map_or(text.len(), |end| scheme.len() + end);
        let host = &text[..host_end];
        if host.contains('@') {
            return Err(wrong("'url' has a user in it").hint("Set 'username' and 'password'"));
        }
        if host.contains(['{', '}']) {
            return Err(wrong("'url' has a column in its host").hint("Columns can stand in path and query"));
        }
        if text.contains('#') {
            return Err(wrong("'url' has a fragment (#), which no server gets"));
        }
        Url::parse(host).map_err(|e| wrong("'url' is no URL").caused_by(e))?;
        let mut parts = vec![Part::Text(host.to_string())];
        let mut rest = &text[host_end..];
        while let Some(begin) = rest.find(['{', '}']) {
            let end = rest[begin..].find('}').map(|end| begin + end).filter(|_| rest[begin..].starts_with('{'));
            let end = end.ok_or_else(|| wrong("A brace in 'url' has no other one").hint("Write '{column}'"))?;
            let name = &rest[begin + 1..end];
            let column = columns.iter().position(|c| *c == name).ok_or_else(|| {
                wrong(format!("'{name}' in 'url' is no column")).hint(format!("There are {}", columns.join(", ")))
            })?;
            parts.push(Part::Text(rest[..begin].to_string()));
            parts.push(Part::Column(column));
            rest = &rest[end + 1..];
        }
        parts.push(Part::Text(rest.to_string()));
        let shown = text.split('?').next().unwrap_or_default().to_string();
        Ok(Template { parts, shown })
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(*column),
            Part::Text(_) => None,
        })
    }

    /// The URL of a row.
    pub(crate) fn of(&self, rows: &RecordBatch, text: &RowText<'_>, row: usize) -> Result<Url> {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Column(column) => {
                    let failed = |what: &str| {
                        Error::data(format!("A value that belongs into the URL {what}"))
                            .with("column", rows.schema_ref().field(*column).name())
                    };
                    if rows.column(*column).is_null(row) {
                        return Err(failed("is NULL"));
                    }
                    let mut value = String::new();
                    text.write_value(*column, row, &mut value);
                    // These would be another place: `/a/../b` is `/b`.
                    if value.is_empty() || value == "." || value == ".." {
                        return Err(failed(&format!("is '{value}', which is no name in a path")));
                    }
                    escape(&value, &mut url);
                }
            }
        }
        Url::parse(&url).map_err(|e| Error::data("A row's URL is none").with("url", &self.shown).caused_by(e))
    }
}

/// All but the unreserved characters of RFC 3986.
fn escape(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use flott_testkit::batch;

    use super::*;

    #[test]
    fn values_are_escaped_and_cannot_leave_their_place() {
        let template = Template::parse("https://h:1/a/{s}/x?n={i}&key=CANARY", &["i", "s"]).expect("a template");
        assert_eq!(template.columns().collect::<Vec<_>>(), [1, 0]);
        assert_eq!(template.shown, "https://h:1/a/{s}/x");
        let rows = batch("i INT, s STRING", &["+I[1, a b/ü?#%]", "+I[2, ..]", "+I[3, null]", "+I[4, ]"]).rows;
        let text = RowText::new(&rows).expect("text");
        let url = template.of(&rows, &text, 0).expect("a URL");
        assert_eq!(url.as_str(), "https://h:1/a/a%20b%2F%C3%BC%3F%23%25/x?n=1&key=CANARY");
        for row in 1..4 {
            let error = template.of(&rows, &text, row).expect_err("no place");
            assert!(error.context("column").is_some() && !error.to_string().contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, part) in [
            ("ftp://h", "http://"),
            ("http://u:CANARY@h/", "has a user"),
            ("http://{i}.h/", "in its host"),
            ("http://h/{x}", "no column"),
            ("http://h/{i", "no other one"),
            ("http://h/i}", "no other one"),
            ("http://h/#a", "fragment"),
            ("http://", "no URL"),
        ] {
            let error = Template::parse(text, &["i"]).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains("CANARY"), "{error}");
        }
    }
}
