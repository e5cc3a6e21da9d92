//! IPv4 addresses as numbers.

use arrow_array::types::Int64Type;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::shape::{entry, fit};
use super::{Arguments, Category, ScalarFunction};
use crate::argument::{Primitive, Text, build, build_text};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    entry(
        Category::String,
        "INET_ATON",
        "INET_ATON(address)",
        "The number of an IPv4 address such as `127.0.0.1`; NULL where it is none.",
        (1, 1),
        aton,
    ),
    entry(
        Category::String,
        "INET_NTOA",
        "INET_NTOA(number)",
        "The IPv4 address of a number; NULL where it has none.",
        (1, 1),
        ntoa,
    ),
];

fn aton(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    let resolved = Resolved::new(K::BigInt.nullable(), |args, rows| {
        let texts = Text::of(&args[0])?;
        build::<Int64Type>(args, rows, |i| Ok(texts.get(i).and_then(number_of)))
    });
    Ok(Some(resolved.infallible()))
}

/// One to four parts of a byte each. As in MySQL the last part is the last byte, however few there are: `127.1` is 127.0.0.1.
fn number_of(address: &str) -> Option<i64> {
    let mut bytes = vec![];
    for part in address.split('.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        bytes.push(i64::from(
            part.trim_start_matches('0')
                .parse::<u8>()
                .or_else(|e| if part.bytes().all(|b| b == b'0') { Ok(0) } else { Err(e) })
                .ok()?,
        ));
    }
    let last = bytes.pop()?;
    if bytes.len() > 3 {
        return None;
    }
    let first: i64 = bytes.iter().enumerate().map(|(i, b)| b << (24 - 8 * i)).sum();
    Some(first + last)
}

fn ntoa(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BigInt])? {
        return Ok(None);
    }
    let resolved = Resolved::new(K::STRING.nullable(), |args, rows| {
        let numbers = Primitive::<Int64Type>::of(&args[0])?;
        build_text(args, rows, |i, out| {
            let address = numbers.get(i).and_then(|n| u32::try_from(n).ok());
            out.append_option(address.map(|n| std::net::Ipv4Addr::from(n).to_string()));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn addresses_and_numbers() {
        for (address, expected) in [
            ("127.0.0.1", "2130706433"),
            ("255.255.255.255", "4294967295"),
            ("127.1", "2130706433"),
            ("127", "127"),
            ("1.2.3", "16908291"),
            ("01.02.03.004", "16909060"),
            ("0.0.0.0", "0"),
            ("256.0.0.1", "NULL"),
            ("16777216", "NULL"),
            ("1.65536", "NULL"),
            ("1.2.3.4.5", "NULL"),
            ("1.2.3.", "NULL"),
            (" 1.2.3.4", "NULL"),
            ("-1.2.3.4", "NULL"),
            ("a.b.c.d", "NULL"),
            ("", "NULL"),
        ] {
            check(&[("INET_ATON", &[(address, "STRING")], expected)]);
        }
        check(&[
            ("INET_NTOA", &[("2130706433", "BIGINT")], "127.0.0.1"),
            ("INET_NTOA", &[("5", "TINYINT")], "0.0.0.5"),
            ("INET_NTOA", &[("-1", "INT")], "NULL"),
            ("INET_NTOA", &[("4294967296", "BIGINT")], "NULL"),
            ("INET_NTOA", &[("NULL", "BIGINT")], "NULL"),
            ("INET_NTOA", &[("1.5", "DECIMAL(2, 1)")], "ERROR No match found"),
        ]);
    }
}
