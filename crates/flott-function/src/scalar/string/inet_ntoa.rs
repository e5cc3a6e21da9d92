//! INET_NTOA: the IPv4 address of a number; NULL where it has none.

use arrow_array::types::Int64Type;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::{Primitive, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const INET_NTOA: ScalarFunction = ScalarFunction {
    name: "INET_NTOA",
    syntax: "INET_NTOA(number)",
    description: "The IPv4 address of a number; NULL where it has none.",
    documentation: "Numbers from 0 to 4294967295 have one. NULL gives NULL.",
    examples: &[
        Example { sql: "INET_NTOA(2130706433)", result: "127.0.0.1" },
        Example { sql: "INET_NTOA(-1)", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: ntoa,
};

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
