//! SHA224, SHA256, SHA384, SHA512 and SHA2: the digests of SHA-2 in hexadecimal digits.

use arrow_array::types::Int32Type;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};
use md5::Digest;

use crate::argument::{Primitive, build_text};
use crate::example::Example;
use crate::scalar::octets::{Octets, of_octets};
use crate::scalar::shape::{fit, string_of};
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::text::hex;
use crate::udf::Resolved;

pub(super) const SHA224: ScalarFunction = ScalarFunction {
    name: "SHA224",
    syntax: "SHA224(text or bytes)",
    description: "The SHA-224 digest in 56 hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[Example { sql: "SHA224('abc')", result: "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" }],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(hex(&sha2::Sha224::digest(o)))),
};

pub(super) const SHA256: ScalarFunction = ScalarFunction {
    name: "SHA256",
    syntax: "SHA256(text or bytes)",
    description: "The SHA-256 digest in 64 hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[Example {
        sql: "SHA256('abc')",
        result: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(hex(&sha2::Sha256::digest(o)))),
};

pub(super) const SHA384: ScalarFunction = ScalarFunction {
    name: "SHA384",
    syntax: "SHA384(text or bytes)",
    description: "The SHA-384 digest in 96 hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[Example {
        sql: "SHA384('abc')",
        result: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    }],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(hex(&sha2::Sha384::digest(o)))),
};

pub(super) const SHA512: ScalarFunction = ScalarFunction {
    name: "SHA512",
    syntax: "SHA512(text or bytes)",
    description: "The SHA-512 digest in 128 hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[Example {
        sql: "SHA512('abc')",
        result: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    }],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(hex(&sha2::Sha512::digest(o)))),
};

pub(super) const SHA2: ScalarFunction = ScalarFunction {
    name: "SHA2",
    syntax: "SHA2(text or bytes, bits)",
    description: "The SHA-2 digest of 224, 256, 384 or 512 bits in hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL. Any other number of bits is an error.",
    examples: &[
        Example { sql: "SHA2('abc', 224)", result: "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
        Example { sql: "SHA2('abc', CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Hash,
    arity: (2, 2),
    resolve: sha2_of,
};

fn sha2_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    let binary = a.values[0].data_type.kind.is_binary();
    if !fit(a, &[if binary { K::BYTES } else { K::STRING }, K::Int])? {
        return Ok(None);
    }
    let check = |bits: i32| match bits {
        224 | 256 | 384 | 512 => Ok(bits),
        _ => Err(Error::user(format!("Unsupported algorithm: SHA-{bits}")).hint("SHA2 has 224, 256, 384 or 512 bits")),
    };
    if let Some(datafusion_common::ScalarValue::Int32(Some(bits))) = a.values[1].constant() {
        check(*bits)?;
    }
    Ok(Some(Resolved::new(string_of(a), move |args, rows| {
        let (text, bits) = (Octets::of(&args[0], binary)?, Primitive::<Int32Type>::of(&args[1])?);
        build_text(args, rows, |i, out| {
            let (Some(t), Some(bits)) = (text.get(i), bits.get(i)) else {
                out.append_null();
                return Ok(());
            };
            out.append_value(match check(bits)? {
                224 => hex(&sha2::Sha224::digest(t)),
                256 => hex(&sha2::Sha256::digest(t)),
                384 => hex(&sha2::Sha384::digest(t)),
                _ => hex(&sha2::Sha512::digest(t)),
            });
            Ok(())
        })
    })))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("SHA224", &[("test", "STRING")], "90a3ed9e32b2aaf4c61c410eb925426119e1a9dc53d4286ade99a809"),
            ("SHA256", &[("test", "STRING")], "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            (
                "SHA2",
                &[("test", "STRING"), ("256", "INT")],
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
            ("SHA2", &[("test", "STRING"), ("5", "INT")], "ERROR Unsupported algorithm"),
        ]);
    }
}
