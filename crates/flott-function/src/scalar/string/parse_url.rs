//! PARSE_URL: HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY or USERINFO of a URL, or the value of a key of its
//! query.

use std::borrow::Cow;

use crate::example::Example;
use crate::scalar::shape::try_texts;
use crate::scalar::{Category, ScalarFunction};

pub(super) const PARSE_URL: ScalarFunction = ScalarFunction {
    name: "PARSE_URL",
    syntax: "PARSE_URL(url, part[, key])",
    description: "HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY or USERINFO of a URL, or the value of a key of its query.",
    documentation: "NULL where the text is no URL, has not that part, or an argument is NULL. The key is looked for \
         in QUERY alone.",
    examples: &[
        Example {
            sql: "PARSE_URL('http://u:p@flink.apache.org:80/path/p1.php?query=1&b=2#frag', 'HOST')",
            result: "flink.apache.org",
        },
        Example {
            sql: "PARSE_URL('http://u:p@flink.apache.org:80/path/p1.php?query=1&b=2#frag', 'QUERY')",
            result: "query=1&b=2",
        },
        Example {
            sql: "PARSE_URL('http://u:p@flink.apache.org:80/path/p1.php?query=1&b=2#frag', 'QUERY', 'b')",
            result: "2",
        },
        Example {
            sql: "PARSE_URL('http://u:p@flink.apache.org:80/path/p1.php?query=1&b=2#frag', 'QUERY', 'x')",
            result: "<NULL>",
        },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: |a| {
        if a.values.len() == 2 {
            try_texts(a, |[url, part]| Ok(Url::parse(url).and_then(|u| u.part(part))))
        } else {
            try_texts(a, |[url, part, key]| {
                let query = (part == "QUERY").then(|| Url::parse(url)?.query).flatten();
                Ok(query
                    .and_then(|q| q.split('&').find_map(|p| p.strip_prefix(key)?.strip_prefix('=')))
                    .map(Cow::Borrowed))
            })
        }
    },
};

/// The parts of a URL, as `java.net.URL` names them.
struct Url<'a> {
    protocol: &'a str,
    authority: &'a str,
    file: &'a str,
    query: Option<&'a str>,
    reference: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Option<Url<'a>> {
        let url = url.trim();
        let (protocol, rest) = url.split_once(':')?;
        // What java.net.URL knows; anything else is no URL to it.
        const KNOWN: [&str; 5] = ["http", "https", "ftp", "file", "jar"];
        if !KNOWN.iter().any(|k| k.eq_ignore_ascii_case(protocol)) {
            return None;
        }
        let (rest, reference) = match rest.split_once('#') {
            Some((rest, reference)) => (rest, Some(reference)),
            None => (rest, None),
        };
        let (authority, file) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let query = file.split_once('?').map(|(_, q)| q);
        Some(Url { protocol, authority, file, query, reference })
    }

    fn part(&self, name: &str) -> Option<Cow<'a, str>> {
        let user = self.authority.rsplit_once('@');
        Some(Cow::Borrowed(match name {
            "PROTOCOL" => return Some(Cow::Owned(self.protocol.to_ascii_lowercase())),
            "AUTHORITY" => self.authority,
            "USERINFO" => user?.0,
            "HOST" => {
                let host = user.map_or(self.authority, |(_, host)| host);
                match host.strip_prefix('[') {
                    Some(_) => &host[..=host.find(']')?],
                    None => host.split(':').next()?,
                }
            }
            "PATH" => self.file.split('?').next()?,
            "QUERY" => self.query?,
            "FILE" => self.file,
            "REF" => self.reference?,
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        const URL: &str = "http://userinfo@flink.apache.org:80/path?query=1&b=2#Ref";
        check(&[
            ("PARSE_URL", &[(URL, "STRING"), ("HOST", "STRING")], "flink.apache.org"),
            ("PARSE_URL", &[(URL, "STRING"), ("PATH", "STRING")], "/path"),
            ("PARSE_URL", &[(URL, "STRING"), ("QUERY", "STRING")], "query=1&b=2"),
            ("PARSE_URL", &[(URL, "STRING"), ("REF", "STRING")], "Ref"),
            ("PARSE_URL", &[(URL, "STRING"), ("PROTOCOL", "STRING")], "http"),
            ("PARSE_URL", &[(URL, "STRING"), ("FILE", "STRING")], "/path?query=1&b=2"),
            ("PARSE_URL", &[(URL, "STRING"), ("AUTHORITY", "STRING")], "userinfo@flink.apache.org:80"),
            ("PARSE_URL", &[(URL, "STRING"), ("USERINFO", "STRING")], "userinfo"),
            ("PARSE_URL", &[(URL, "STRING"), ("QUERY", "STRING"), ("b", "STRING")], "2"),
            ("PARSE_URL", &[(URL, "STRING"), ("QUERY", "STRING"), ("x", "STRING")], "NULL"),
            ("PARSE_URL", &[("no url", "STRING"), ("HOST", "STRING")], "NULL"),
        ]);
    }
}
