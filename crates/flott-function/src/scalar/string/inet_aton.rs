//! INET_ATON: the number of an IPv4 address such as `127.0.0.1`; NULL where it is none.

use arrow_array::types::Int64Type;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::{Text, build};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const INET_ATON: ScalarFunction = ScalarFunction {
    name: "INET_ATON",
    syntax: "INET_ATON(address)",
    description: "The number of an IPv4 address such as `127.0.0.1`; NULL where it is none.",
    documentation: "A BIGINT. As in MySQL an address may have less than four parts, of which the last one fills the \
         rest. NULL gives NULL.",
    examples: &[
        Example { sql: "INET_ATON('127.0.0.1')", result: "2130706433" },
        Example { sql: "INET_ATON('127.1')", result: "2130706433" },
        Example { sql: "INET_ATON('256.0.0.1')", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: aton,
};

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
