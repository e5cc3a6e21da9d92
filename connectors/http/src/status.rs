//! Sets of answers: `2xx;409`.

use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

/// A set of status codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes(Vec<(u16, u16)>);

impl Codes {
    pub(crate) fn parse(text: &str, option: &ConfigOption) -> Result<Codes> {
        let wrong = |code: &str| {
            Error::user(format!("'{code}' is no answer of HTTP"))
                .with("option", option.key)
                .hint("Write codes and classes, as in '2xx;409'")
        };
        let parts = text.split(';').map(str::trim).filter(|p| !p.is_empty());
        let ranges = parts.map(|part| {
            let (code, width) = match part.strip_suffix("xx") {
                Some(class) => (class.parse::<u16>().ok().and_then(|c| c.checked_mul(100)), 100),
                None => (part.parse().ok(), 1),
            };
            let code = code.filter(|c| (100..600).contains(c)).ok_or_else(|| wrong(part))?;
            Ok((code, code + width))
        });
        Ok(Codes(ranges.collect::<Result<_>>()?))
    }

    pub(crate) fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|(begin, end)| (*begin..*end).contains(&code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RETRY_CODES;

    #[test]
    fn codes_and_classes() {
        let codes = Codes::parse("408; 5xx", &RETRY_CODES).expect("codes");
        let found: Vec<u16> = [407, 408, 409, 499, 500, 503, 599].into_iter().filter(|c| codes.contains(*c)).collect();
        assert_eq!(found, [408, 500, 503, 599]);
        assert!(!Codes::parse("", &RETRY_CODES).expect("none").contains(200));
        for wrong in ["2x", "xx", "99", "600", "6xx", "65535xx", "abc"] {
            Codes::parse(wrong, &RETRY_CODES).expect_err(wrong);
        }
    }
}
