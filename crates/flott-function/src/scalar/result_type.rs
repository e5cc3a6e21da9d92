//! Result types that Flink declares for what the kernels compute: lengths of texts, and NULL where Flink allows it.
//!
//! They were read off Apache Flink 2.3.0. A type says NOT NULL only where no NULL can come: `LPAD` and `REGEXP_REPLACE`,
//! which Flink declares NOT NULL and which give NULL for some texts, stay nullable.

use flott_core::LogicalType;
use flott_core::types::{MAX_LENGTH, TypeKind as K};

use crate::types::least_common_type;

/// The length of a text; none of another value.
fn length(of: &LogicalType) -> Option<u32> {
    match of.kind {
        K::Char(n) | K::VarChar(n) => Some(n),
        _ => None,
    }
}

/// The type of a call: `found` is the kernel's, `arguments` are the types as they were written.
pub(super) fn declared(name: &str, arguments: &[LogicalType], found: LogicalType) -> LogicalType {
    let nullable = arguments.iter().any(|t| t.nullable);
    let text = |kind: K, nullable: bool| LogicalType { kind, nullable };
    let first = arguments.first().and_then(length);
    match name {
        "MD5" => text(K::Char(32), nullable),
        "SHA1" => text(K::Char(40), nullable),
        "SHA224" => text(K::Char(56), nullable),
        "SHA256" => text(K::Char(64), nullable),
        "SHA384" => text(K::Char(96), nullable),
        "SHA512" => text(K::Char(128), nullable),
        "SHA2" => LogicalType { kind: K::VarChar(128), ..found },
        "TRIM" | "LTRIM" | "RTRIM" => text(first.map_or(K::STRING, K::VarChar), nullable),
        "SUBSTRING" | "LEFT" | "RIGHT" => text(first.map_or(K::STRING, K::VarChar), true),
        "OVERLAY" => {
            let lengths = first.zip(arguments.get(1).and_then(length));
            let both = lengths.map_or(MAX_LENGTH, |(a, b)| a.saturating_add(b).min(MAX_LENGTH));
            text(K::VarChar(both), nullable)
        }
        "ELT" => match arguments.get(1..).and_then(least_common_type) {
            Some(common) if common.kind.is_character() || common.kind.is_binary() => text(common.kind, true),
            _ => found,
        },
        "REPEAT" | "FROM_BASE64" | "ENCODE" | "DECODE" => found.with_nullable(nullable),
        "CHR" | "REVERSE" | "URL_ENCODE" | "DATE_FORMAT" | "FROM_UNIXTIME" | "TYPEOF" => found.with_nullable(true),
        "CONCAT_WS" | "IF" => {
            let nullable = nullable || found.nullable;
            found.with_nullable(nullable)
        }
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{call_of, constant, text};

    #[test]
    fn as_flink_declares_them() {
        let null = || constant("NULL", "STRING");
        for (name, arguments, declared) in [
            ("MD5", vec![text("abc")], "CHAR(32) NOT NULL"),
            ("SHA2", vec![text("abc"), constant("256", "INT")], "VARCHAR(128) NOT NULL"),
            ("TRIM", vec![text(" a ")], "VARCHAR(3) NOT NULL"),
            ("LTRIM", vec![null()], "STRING"),
            ("BTRIM", vec![text(" a ")], "STRING NOT NULL"),
            ("SUBSTRING", vec![text("abcdef"), constant("2", "INT")], "VARCHAR(6)"),
            ("LEFT", vec![text("abc"), constant("2", "INT")], "VARCHAR(3)"),
            ("OVERLAY", vec![text("abc"), text("XX"), constant("2", "INT")], "VARCHAR(5) NOT NULL"),
            ("ELT", vec![constant("2", "INT"), text("a"), text("b")], "CHAR(1)"),
            ("REPEAT", vec![text("ab"), constant("2", "INT")], "STRING NOT NULL"),
            ("REVERSE", vec![text("ab")], "STRING"),
            ("CHR", vec![constant("97", "INT")], "STRING"),
            ("CONCAT_WS", vec![text("-"), text("a"), null()], "STRING"),
            ("CONCAT_WS", vec![text("-"), text("a")], "STRING NOT NULL"),
            ("IF", vec![constant("NULL", "BOOLEAN"), constant("1", "INT"), constant("2", "INT")], "INT"),
        ] {
            assert_eq!(call_of(name, arguments).data_type.to_string(), declared, "{name}");
        }
    }
}
