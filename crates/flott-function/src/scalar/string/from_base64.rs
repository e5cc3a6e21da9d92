//! FROM_BASE64: the text that is given in base 64.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flott_core::{Error, Result};

use crate::example::Example;
use crate::scalar::octets::try_octets;
use crate::scalar::{Category, ScalarFunction};

pub(super) const FROM_BASE64: ScalarFunction = ScalarFunction {
    name: "FROM_BASE64",
    syntax: "FROM_BASE64(text or bytes)",
    description: "The text that is given in base 64.",
    documentation: "The bytes are read as UTF-8. What is not base 64 is an error; NULL gives NULL.",
    examples: &[Example { sql: "FROM_BASE64('aGVsbG8gd29ybGQ=')", result: "hello world" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| try_octets(a, from_base64),
};

/// What Java's decoder takes: bits that are left over may be set.
const AS_JAVA: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn from_base64(text: &[u8]) -> Result<String> {
    let wrong = || {
        let shown: String = String::from_utf8_lossy(text).chars().take(100).collect();
        Error::data(format!("'{shown}' is not base 64"))
    };
    // Java's decoder needs no padding, but no half of one either.
    if text.ends_with(b"=") && !text.len().is_multiple_of(4) {
        return Err(wrong());
    }
    let bytes = AS_JAVA.decode(text).map_err(|_| wrong())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("FROM_BASE64", &[("aGVsbG8gd29ybGQ=", "STRING")], "hello world"),
            ("FROM_BASE64", &[("!", "STRING")], "ERROR not base 64"),
        ]);
    }
}
