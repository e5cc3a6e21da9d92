//! The Avro schema of a table, with Flink's rules and names.

use arrow_schema::{DataType, Field, Fields};
use flott_core::types::{TypeKind, from_arrow_field};
use flott_core::{Error, Result};

use super::schema::{AvroSchema, is_name};

/// Flink's name of the record.
const NAMESPACE: &str = "org.apache.flink.avro.generated";
const RECORD: &str = "record";

/// The schema of these columns. `legacy`: TIMESTAMP is an instant, as Flink has it where nothing else is asked for.
pub(crate) fn schema_of(columns: &Fields, legacy: bool) -> Result<AvroSchema> {
    AvroSchema::parse(&text_of(columns, legacy)?)
}

/// Debezium's envelope around them: a union with NULL of a record, as Flink derives it.
pub(crate) fn envelope_of(columns: &Fields) -> Result<AvroSchema> {
    // Both images have one name in Flink's schema too, but differ in nothing: the second is a reference.
    let image = |name: &str, namespace: &str| record(columns, name, namespace, true);
    let before = image("record_before", "")?;
    let after = image("record_after", "")?;
    AvroSchema::parse(&format!(
        r#"["null",{{"type":"record","name":"{RECORD}","namespace":"{NAMESPACE}","fields":[{{"name":"before","type":["null",{before}],"default":null}},{{"name":"after","type":["null",{after}],"default":null}},{{"name":"op","type":["null","string"],"default":null}}]}}]"#
    ))
}

fn text_of(columns: &Fields, legacy: bool) -> Result<String> {
    record(columns, RECORD, NAMESPACE, legacy)
}

fn record(fields: &Fields, name: &str, namespace: &str, legacy: bool) -> Result<String> {
    let mut text = format!(r#"{{"type":"record","name":"{name}""#);
    if !namespace.is_empty() {
        text.push_str(&format!(r#","namespace":"{namespace}""#));
    }
    text.push_str(r#","fields":["#);
    for (i, field) in fields.iter().enumerate() {
        if !is_name(field.name()) {
            return Err(Error::user(format!("'{}' cannot be the name of a field in Avro", field.name()))
                .with("column", field.name())
                .hint("Avro's names have letters, digits and '_' only, and begin with no digit"));
        }
        if i > 0 {
            text.push(',');
        }
        let of_field = type_of(field, &format!("{name}_{}", field.name()), legacy)
            .map_err(|e| if e.context("column").is_some() { e } else { e.with("column", field.name()) })?;
        text.push_str(&format!(r#"{{"name":"{}","type":{of_field}"#, field.name()));
        if field.is_nullable() {
            text.push_str(r#","default":null"#);
        }
        text.push('}');
    }
    text.push_str("]}");
    Ok(text)
}

fn type_of(field: &Field, name: &str, legacy: bool) -> Result<String> {
    let Some(logical) = from_arrow_field(field) else {
        return Err(Error::user(format!("Unsupported to derive Schema for type: {}", field.data_type())));
    };
    let unsupported = || {
        Error::user(format!("Unsupported to derive Schema for type: {logical}"))
            .hint("Avro has no such type: cast it in the query, to STRING for instance")
    };
    let too_precise = |what: &str, precision: u8, most: u8| {
        let message = format!(
            "Avro does not support {what} type with precision: {precision}, it only supports precision less than {most}."
        );
        let hint = match (what, legacy) {
            ("TIMESTAMP", true) => {
                "Declare TIMESTAMP(3); or set 'avro.timestamp_mapping.legacy' = 'false', which has up to TIMESTAMP(6) outside arrays and maps"
            }
            _ => "Declare fewer digits, or cast in the query",
        };
        Error::user(message).hint(hint)
    };
    let logical_type = |base: &str, word: &str| format!(r#"{{"type":"{base}","logicalType":"{word}"}}"#);
    let text = match (&logical.kind, field.data_type()) {
        (TypeKind::Null, _) => return Ok(r#""null""#.to_string()),
        (TypeKind::Boolean, _) => r#""boolean""#.to_string(),
        (TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int, _) => r#""int""#.to_string(),
        (TypeKind::BigInt, _) => r#""long""#.to_string(),
        (TypeKind::Float, _) => r#""float""#.to_string(),
        (TypeKind::Double, _) => r#""double""#.to_string(),
        (TypeKind::Char(_) | TypeKind::VarChar(_), _) => r#""string""#.to_string(),
        (TypeKind::Binary(_) | TypeKind::VarBinary(_), _) => r#""bytes""#.to_string(),
        (TypeKind::Date, _) => logical_type("int", "date"),
        (TypeKind::Time(p), _) if *p <= 3 => logical_type("int", "time-millis"),
        (TypeKind::Time(p), _) => return Err(too_precise("TIME", *p, 3)),
        (TypeKind::Timestamp(p, _), _) => match (legacy, *p) {
            (true, 0..=3) => logical_type("long", "timestamp-millis"),
            (true, p) => return Err(too_precise("TIMESTAMP", p, 3)),
            (false, 0..=3) => logical_type("long", "local-timestamp-millis"),
            (false, 4..=6) => logical_type("long", "local-timestamp-micros"),
            (false, p) => return Err(too_precise("LOCAL TIMESTAMP", p, 6)),
        },
        (TypeKind::TimestampLtz(p, _), _) => match (legacy, *p) {
            (true, _) => {
                return Err(unsupported().hint(
                    "Set 'avro.timestamp_mapping.legacy' = 'false' (arrays and maps cannot hold this type in Avro)",
                ));
            }
            (false, 0..=3) => logical_type("long", "timestamp-millis"),
            (false, 4..=6) => logical_type("long", "timestamp-micros"),
            (false, p) => return Err(too_precise("TIMESTAMP", p, 6)),
        },
        (TypeKind::Decimal { precision, scale }, _) => {
            format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#)
        }
        // What is inside has the mapping of old and the record's own name, as in Flink.
        (TypeKind::Array(_), DataType::List(element)) => {
            format!(r#"{{"type":"array","items":{}}}"#, type_of(element, name, true)?)
        }
        (TypeKind::Map(key, _) | TypeKind::Multiset(key), DataType::Map(entries, _)) => {
            let DataType::Struct(pair) = entries.data_type() else { return Err(unsupported()) };
            if !key.kind.is_character() {
                let key = key.summary_without_nullability();
                return Err(Error::user(format!(
                    "Avro format doesn't support non-string as key type of map. The key type is: {key}"
                ))
                .hint("Declare the key as STRING and cast it in the query"));
            }
            // A multiset's counts are an INT of Java, which Flink declares nullable.
            let is_multiset = matches!(logical.kind, TypeKind::Multiset(_));
            let value =
                if is_multiset { pair[1].as_ref().clone().with_nullable(true) } else { pair[1].as_ref().clone() };
            format!(r#"{{"type":"map","values":{}}}"#, type_of(&value, name, true)?)
        }
        (TypeKind::Row(_), DataType::Struct(fields)) => record(fields, name, "", legacy)?,
        _ => return Err(unsupported()),
    };
    Ok(if field.is_nullable() { format!(r#"["null",{text}]"#) } else { text })
}

#[cfg(test)]
mod tests {
    use flott_testkit::schema;

    use super::*;

    #[test]
    fn schemas_are_those_of_flink() {
        let columns = "b BOOLEAN, t TINYINT NOT NULL, v STRING, d DECIMAL(20,4), da DATE, ti TIME(3) NOT NULL, \
                       a ARRAY<ROW<x INT>>, m MAP<STRING, BIGINT> NOT NULL, u MULTISET<STRING>, r ROW<y ROW<z STRING NOT NULL>>";
        let text = text_of(schema(columns).fields(), true).expect("a schema");
        let expected = r#"{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[{"name":"b","type":["null","boolean"],"default":null},{"name":"t","type":"int"},{"name":"v","type":["null","string"],"default":null},{"name":"d","type":["null",{"type":"bytes","logicalType":"decimal","precision":20,"scale":4}],"default":null},{"name":"da","type":["null",{"type":"int","logicalType":"date"}],"default":null},{"name":"ti","type":{"type":"int","logicalType":"time-millis"}},{"name":"a","type":["null",{"type":"array","items":["null",{"type":"record","name":"record_a","fields":[{"name":"x","type":["null","int"],"default":null}]}]}],"default":null},{"name":"m","type":{"type":"map","values":["null","long"]}},{"name":"u","type":["null",{"type":"map","values":["null","int"]}],"default":null},{"name":"r","type":["null",{"type":"record","name":"record_r","fields":[{"name":"y","type":["null",{"type":"record","name":"record_r_y","fields":[{"name":"z","type":"string"}]}],"default":null}]}],"default":null}]}"#;
        assert_eq!(text, expected);
        let times = schema("a TIMESTAMP(3), b TIMESTAMP(6), c TIMESTAMP_LTZ(2), d TIMESTAMP_LTZ(6)");
        let text = text_of(times.fields(), false).expect("a schema");
        for word in ["local-timestamp-millis", "local-timestamp-micros", "\"timestamp-millis\"", "\"timestamp-micros\""]
        {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn types_that_avro_lacks_are_refused_with_their_column() {
        for (columns, legacy, part) in [
            ("a TIMESTAMP(6)", true, "Avro does not support TIMESTAMP type with precision: 6"),
            ("a TIMESTAMP(9)", false, "Avro does not support LOCAL TIMESTAMP type with precision: 9"),
            ("a TIMESTAMP_LTZ(3)", true, "Unsupported to derive Schema for type: TIMESTAMP_LTZ(3)"),
            ("a ARRAY<TIMESTAMP_LTZ(3)>", false, "Unsupported to derive Schema"),
            ("a TIME(6)", true, "Avro does not support TIME type with precision: 6"),
            ("a MAP<INT, INT>", true, "non-string as key type of map. The key type is: INT"),
            ("a INTERVAL DAY", true, "Unsupported to derive Schema for type: INTERVAL DAY"),
            ("a VARIANT", true, "Unsupported to derive Schema for type: VARIANT"),
            ("a ROW<`x-y` INT>", true, "'x-y' cannot be the name of a field in Avro"),
        ] {
            let e = text_of(schema(columns).fields(), legacy).expect_err(columns);
            assert!(e.to_string().contains(part), "{e}");
            assert!(e.context("column").is_some() && e.hint_text().is_some(), "{columns}");
        }
    }
}
