//! A value that must not be seen.

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
