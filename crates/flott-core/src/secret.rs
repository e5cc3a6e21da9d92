//! A value that must not be seen.

use std::borrow::Cow;
use std::fmt;

/// A password, key or token. Neither `Debug` nor `Display` nor serialisation shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What is printed instead of a secret (Flink's own mask).
pub const MASK: &str = "******";

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The value, for the client library that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True for option keys whose values are masked in every output (Flink's `GlobalConfiguration.isSensitive` list, and more).
    pub fn is_sensitive_key(key: &str) -> bool {
        const PARTS: [&str; 15] = [
            // A registry client's properties in one text.
            "confluent.properties",
            "password",
            "secret",
            "token",
            "apikey",
            "api-key",
            "api.key",
            "access-key",
            "access.key",
            "service-key",
            "auth-params",
            "basic-auth",
            "basic.auth",
            "jaas.config",
            "keystore.key",
        ];
        let key = key.to_ascii_lowercase();
        PARTS.iter().any(|p| key.contains(p))
    }
}

/// A text with a mask for the password of each URL in it: of `https://name:password@host` the middle is not shown.
///
/// A password ends at the last @ before a slash, a space or a quote, so that one which is not escaped is hidden too.
pub fn mask_urls(text: &str) -> Cow<'_, str> {
    const BEGIN: &str = "://";
    let (mut out, mut copied) = (String::new(), 0);
    for (at, _) in text.match_indices(BEGIN) {
        let start = at + BEGIN.len();
        let rest = &text[start..];
        let end = rest.find(|c: char| c == '/' || c.is_whitespace() || "'\"`".contains(c)).unwrap_or(rest.len());
        let Some((user, _)) = rest[..end].rsplit_once('@') else { continue };
        let Some((name, password)) = user.split_once(':').filter(|(_, password)| !password.is_empty()) else {
            continue;
        };
        let from = start + name.len() + 1;
        out.push_str(&text[copied..from]);
        out.push_str(MASK);
        copied = from + password.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        for (text, masked) in [
            ("http://me:pw@h:1/x, https://a:1/b@c", "http://me:******@h:1/x, https://a:1/b@c"),
            (
                "'a' = 'http://x,http://é:p,@:w@h', 'http://u:q@i'",
                "'a' = 'http://x,http://é:******@h', 'http://u:******@i'",
            ),
            ("jdbc:postgresql://u:p@h/db", "jdbc:postgresql://u:******@h/db"),
            ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
            ("http://me@h, http://me:@h ://", "http://me@h, http://me:@h ://"),
        ] {
            assert_eq!(mask_urls(text), masked);
        }
    }
}
