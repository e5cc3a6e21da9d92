//! avro-confluent and debezium-avro-confluent, with a registry in memory.

use std::sync::{Arc, Mutex};

use flott_connector::format::{FormatContext, FormatFactory, Messages};
use flott_connector::schema_registry::{RegisteredSchema, SchemaRegistry, SchemaRegistryFactory};
use flott_core::options::{ConfigOption, Options};
use flott_core::{ChangeBatch, Error, ErrorKind, Result, RowKind};
use flott_format::avro::{AvroConfluentFormat, DebeziumAvroFormat};

use crate::support::{context, messages, position, schema, shown};

/// Schemas by their number, and how often one was asked for.
#[derive(Default)]
struct InMemory {
    schemas: Mutex<Vec<RegisteredSchema>>,
    asked: Mutex<Vec<u32>>,
}

impl SchemaRegistry for InMemory {
    fn schema(&self, id: u32) -> Result<Arc<RegisteredSchema>> {
        self.asked.lock().unwrap().push(id);
        let schemas = self.schemas.lock().unwrap();
        schemas.get(id as usize).cloned().map(Arc::new).ok_or_else(|| Error::data(format!("no schema {id}")))
    }

    fn id(&self, subject: &str, schema: &RegisteredSchema) -> Result<u32> {
        assert_eq!(subject, "orders-value");
        let mut schemas = self.schemas.lock().unwrap();
        if let Some(id) = schemas.iter().position(|s| s == schema) {
            return Ok(id as u32);
        }
        schemas.push(schema.clone());
        Ok(schemas.len() as u32 - 1)
    }

    fn latest(&self, subject: &str) -> Result<Arc<RegisteredSchema>> {
        let newest = self.schemas.lock().unwrap().last().cloned().filter(|_| subject == "orders-value");
        newest.map(Arc::new).ok_or_else(|| Error::user(format!("no subject {subject}")))
    }
}

struct Fake(Arc<InMemory>);

impl SchemaRegistryFactory for Fake {
    fn options(&self) -> &'static [ConfigOption] {
        &[]
    }

    fn open(&self, _options: &Options) -> Result<Arc<dyn SchemaRegistry>> {
        Ok(self.0.clone())
    }
}

fn with(schemas: &[&str]) -> Arc<InMemory> {
    let schema = |text: &&str| RegisteredSchema { kind: "AVRO".into(), text: text.to_string(), references: vec![] };
    Arc::new(InMemory { schemas: Mutex::new(schemas.iter().map(schema).collect()), asked: Mutex::default() })
}

fn row(row: &str) -> FormatContext {
    context(row, row, &[("subject", "orders-value")])
}

fn written(format: &dyn FormatFactory, context: &FormatContext, rows: &ChangeBatch) -> Vec<Vec<u8>> {
    let mut out = Messages::default();
    format.encoding(context).unwrap().create().unwrap().encode_messages(rows, &mut out).unwrap();
    (0..out.len()).map(|i| out.get(i).unwrap().to_vec()).collect()
}

const OLD: &str =
    r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"int"},{"name":"gone","type":"string"}]}"#;
const NEW: &str = r#"{"type":"record","name":"Order","fields":[{"name":"note","type":["string","null"]},{"name":"id","type":"long"}]}"#;

/// Two writers with other schemas in one topic, each asked for once.
#[test]
fn each_message_is_read_with_its_schema() {
    let registry = with(&[OLD, NEW]);
    let format = AvroConfluentFormat::new(Arc::new(Fake(registry.clone())));
    let mut decoder = messages(&format, &row("ROW<id BIGINT NOT NULL, note STRING>"));
    let old = [&[0, 0, 0, 0, 0][..], &[14, 2, b'x']].concat();
    let new = [&[0, 0, 0, 0, 1][..], &[0, 4, b'h', b'i', 16]].concat();
    for message in [&old, &new, &old, &new] {
        assert_eq!(decoder.decode(Some(message), &position(0, 0)).unwrap(), 1);
    }
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 0);
    assert_eq!(shown(&decoder.flush().unwrap().rows), ["7|NULL", "8|hi", "7|NULL", "8|hi"]);
    assert_eq!(*registry.asked.lock().unwrap(), [0, 1]);
    // One that goes on where this one stopped need not ask.
    let known = decoder.known_schemas().unwrap().clone();
    let nobody = AvroConfluentFormat::new(Arc::new(Fake(with(&[]))));
    let mut restored = messages(&nobody, &row("ROW<id BIGINT NOT NULL, note STRING>"));
    restored.restore_schemas(&known);
    restored.decode(Some(&new), &position(0, 0)).unwrap();
    assert_eq!(shown(&restored.flush().unwrap().rows), ["8|hi"]);
    assert_eq!(restored.known_schemas(), Some(&known));
}

#[test]
fn what_cannot_be_read_says_why_and_where() {
    let format = AvroConfluentFormat::new(Arc::new(Fake(with(&[OLD, "\"int\"", "{"]))));
    let mut decoder = messages(&format, &row("ROW<id INT NOT NULL, note STRING>"));
    for (message, part, kind) in [
        (&[0u8, 0, 0, 0][..], "4 bytes cannot name its schema", ErrorKind::Data),
        (b"{\"id\":1}", "begins with 123", ErrorKind::Data),
        (&[0, 0, 0, 0, 9, 1], "no schema 9", ErrorKind::Data),
        (&[0, 0, 0, 0, 1, 1], "expecting a record", ErrorKind::Data),
        (&[0, 0, 0, 0, 2, 1], "cannot be read", ErrorKind::Data),
        (&[0, 0, 0, 0, 0], "ends", ErrorKind::Data),
    ] {
        let e = decoder.decode(Some(message), &position(0, 6)).expect_err(part);
        assert!(e.to_string().contains(part), "{e}");
        assert_eq!((e.kind(), e.context("row")), (kind, Some("7")), "{e}");
        assert_eq!(decoder.flush().unwrap().rows.num_rows(), 0);
    }
    let mut decoder = messages(&format, &row("ROW<id STRING>"));
    let e = decoder.decode(Some(&[0, 0, 0, 0, 0, 2, 2, b'x']), &position(0, 0)).expect_err("another type");
    assert!(e.to_string().contains("found int, expecting STRING"), "{e}");
    assert_eq!((e.context("column"), e.context("schema id")), (Some("id"), Some("0")));
    let e = format.decoding(&row("ROW<id INT>")).err().expect("no files");
    assert!(e.to_string().contains("no files"), "{e}");
    let no_subject = context("ROW<id INT>", "ROW<id INT>", &[]);
    let e = format.encoding(&no_subject).err().expect("no subject");
    assert!(e.to_string().contains("Option 'avro-confluent.subject' is required for serialization"), "{e}");
}

/// A given schema is written, and its defaults are read where a message lacks a field.
#[test]
fn a_given_schema_is_used() {
    let given = r#"{"type":"record","name":"O","fields":[{"name":"id","type":"int"},{"name":"state","type":{"type":"enum","name":"S","symbols":["NEW","PAID"]},"default":"PAID"},{"name":"tags","type":{"type":"array","items":"string"},"default":["a"]}]}"#;
    let registry = with(&[OLD]);
    let format = AvroConfluentFormat::new(Arc::new(Fake(registry.clone())));
    let c = context(
        "ROW<id INT NOT NULL, state STRING NOT NULL, tags ARRAY<STRING NOT NULL> NOT NULL>",
        "ROW<id INT NOT NULL, state STRING NOT NULL, tags ARRAY<STRING NOT NULL> NOT NULL>",
        &[("subject", "orders-value"), ("schema", given)],
    );
    let mut decoder = messages(&format, &c);
    decoder.decode(Some(&[0, 0, 0, 0, 0, 14, 2, b'x']), &position(0, 0)).unwrap();
    let rows = decoder.flush().unwrap().rows;
    assert_eq!(shown(&rows), ["7|PAID|[a]"]);
    let messages = written(&format, &c, &ChangeBatch::append(rows));
    assert_eq!(messages, [[0, 0, 0, 0, 1, 14, 2, 2, 2, b'a', 0]]);
    assert_eq!(registry.schemas.lock().unwrap()[1].text, given);
    let other = context("ROW<id STRING>", "ROW<id STRING>", &[("subject", "orders-value"), ("schema", OLD)]);
    let e = format.message_decoding(&other).err().expect("another type");
    assert!(e.to_string().contains("found int, expecting STRING"), "{e}");
    let e = format.encoding(&other).err().expect("too few columns");
    assert!(e.to_string().contains("2 fields, and the row has 1 columns"), "{e}");
}

/// Fields that were renamed are found by the names that the given schema has for them, also inside of others.
#[test]
fn aliases_of_a_given_schema_are_used() {
    let given = r#"{"type":"record","name":"O","fields":[{"name":"id","aliases":["key","nr"],"type":"int"},{"name":"gone","aliases":["id"],"type":["null","string"],"default":null},{"name":"in","type":["null",{"type":"record","name":"I","fields":[{"name":"x","aliases":["old"],"type":"int"}]}],"default":null}]}"#;
    let first = r#"{"type":"record","name":"P","fields":[{"name":"in","type":{"type":"record","name":"I","fields":[{"name":"old","type":"int"}]}},{"name":"nr","type":"int"}]}"#;
    // A name counts before an alias.
    let second = r#"{"type":"record","name":"P","fields":[{"name":"key","type":"string"},{"name":"id","type":"int"}]}"#;
    let format = AvroConfluentFormat::new(Arc::new(Fake(with(&[first, second]))));
    let row = "ROW<id INT NOT NULL, gone STRING, `in` ROW<x INT NOT NULL>>";
    let mut decoder = messages(&format, &context(row, row, &[("schema", given)]));
    decoder.decode(Some(&[0, 0, 0, 0, 0, 10, 14]), &position(0, 0)).unwrap();
    decoder.decode(Some(&[0, 0, 0, 0, 1, 2, b'k', 16]), &position(0, 0)).unwrap();
    assert_eq!(shown(&decoder.flush().unwrap().rows), ["7|NULL|{x: 5}", "8|NULL|NULL"]);
}

/// Types that a given schema would read or write with a loss are refused before anything runs.
#[test]
fn a_given_schema_loses_nothing() {
    let format = AvroConfluentFormat::new(Arc::new(Fake(with(&[]))));
    let of = |row: &str, kind: &str| {
        let schema = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind}}}]}}"#);
        context(row, row, &[("subject", "orders-value"), ("schema", &schema)])
    };
    let millis = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let micros = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
    let time = r#"{"type":"long","logicalType":"time-micros"}"#;
    for (row, kind, fits) in [
        ("ROW<a TIMESTAMP(3) NOT NULL>", millis, true),
        ("ROW<a TIMESTAMP(6) NOT NULL>", micros, true),
        ("ROW<a TIMESTAMP(6) NOT NULL>", millis, false),
        ("ROW<a TIMESTAMP_LTZ(9) NOT NULL>", micros, false),
        ("ROW<a TIME(9) NOT NULL>", time, false),
    ] {
        match format.encoding(&of(row, kind)) {
            Ok(_) => assert!(fits, "{row}"),
            Err(e) => {
                assert!(!fits && e.context("column") == Some("a"), "{row}: {e}");
                assert!(e.hint_text().is_some_and(|h| h.contains("fewer digits")), "{row}: {e:?}");
            }
        }
    }
    let e = format.message_decoding(&of("ROW<a MAP<INT, INT> NOT NULL>", r#"{"type":"map","values":"int"}"#)).err();
    let e = e.expect("keys are strings");
    assert!(e.to_string().contains("found map, expecting MAP<INT, INT>") && e.context("option").is_some(), "{e}");
}

/// The state has the schemas that were used last, and what is held beside it has a bound.
#[test]
fn schemas_that_were_used_last_are_kept() {
    let texts: Vec<String> = (0..300)
        .map(|i| format!(r#"{{"type":"record","name":"R{i}","fields":[{{"name":"id","type":"int"}}]}}"#))
        .collect();
    let registry = with(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let format = AvroConfluentFormat::new(Arc::new(Fake(registry.clone())));
    let mut decoder = messages(&format, &row("ROW<id INT NOT NULL>"));
    let mut use_schema = |id: u32| {
        decoder.decode(Some(&[&[0][..], &id.to_be_bytes(), &[2]].concat()), &position(0, 0)).unwrap();
        decoder.known_schemas().unwrap().keys().copied().collect::<Vec<u32>>()
    };
    for id in 0..16 {
        use_schema(id);
    }
    // The first is used again, so that the second makes room.
    use_schema(0);
    assert_eq!(use_schema(16), [&[0], &(2..=16).collect::<Vec<u32>>()[..]].concat());
    assert_eq!(registry.asked.lock().unwrap().len(), 17);
    for id in 17..300 {
        use_schema(id);
    }
    let asked = registry.asked.lock().unwrap().len();
    assert_eq!(
        use_schema(299 - 255),
        (285..300).chain([44]).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    assert_eq!(registry.asked.lock().unwrap().len(), asked);
    use_schema(1);
    assert_eq!(registry.asked.lock().unwrap().len(), asked + 1);
}

#[test]
fn changes_are_read_and_written() {
    let registry = with(&[]);
    let format = DebeziumAvroFormat::new(Arc::new(Fake(registry.clone())));
    let c = row("ROW<id INT NOT NULL, v STRING>");
    let batch = |ids: &[i32]| {
        let id = arrow_array::Int32Array::from(ids.to_vec());
        let v: arrow_array::StringArray = ids.iter().map(|i| (i % 2 == 1).then(|| format!("v{i}"))).collect();
        arrow_array::RecordBatch::try_new(schema("ROW<id INT NOT NULL, v STRING>"), vec![Arc::new(id), Arc::new(v)])
            .unwrap()
    };
    use RowKind::{Delete, Insert, UpdateAfter, UpdateBefore};
    let rows =
        ChangeBatch::new(batch(&[1, 1, 2, 2]), [Insert, UpdateBefore, UpdateAfter, Delete].into_iter().collect());
    let messages_out = written(&format, &c, &rows.unwrap());
    // As Flink derives it.
    let text = registry.schemas.lock().unwrap()[0].text.clone();
    assert!(text.starts_with(r#"["null",{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[{"name":"before","type":["null",{"type":"record","name":"record_before","#), "{text}");
    let mut decoder = messages(&format, &c);
    for message in &messages_out {
        assert_eq!(decoder.decode(Some(message), &position(0, 0)).unwrap(), 1);
    }
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 0);
    let back = decoder.flush().unwrap();
    assert_eq!(shown(&back.rows), ["1|v1", "1|v1", "2|NULL", "2|NULL"]);
    let kinds: Vec<RowKind> = (0..4).map(|i| back.kind(i)).collect();
    assert_eq!(kinds, [Insert, Delete, Insert, Delete]);
}

/// What Debezium itself writes: more fields than the table has, `op` u, and images that lack what has to be there.
#[test]
fn messages_of_debezium() {
    let envelope = r#"{"type":"record","name":"Envelope","namespace":"db.t","fields":[
        {"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"int"},{"name":"x","type":["null","string"]},{"name":"v","type":["null","string"]}]}]},
        {"name":"after","type":["null","Value"]},
        {"name":"source","type":{"type":"record","name":"S","namespace":"io","fields":[{"name":"lsn","type":["null","long"]}]}},
        {"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"]}]}"#;
    let format = DebeziumAvroFormat::new(Arc::new(Fake(with(&[envelope]))));
    let mut decoder = messages(&format, &row("ROW<v STRING NOT NULL, id INT>"));
    let value = |id: u8, v: &[u8]| [&[2, id * 2, 0][..], v].concat();
    let head = [0u8, 0, 0, 0, 0];
    let message = |before: &[u8], after: &[u8], op: u8| [&head[..], before, after, &[2, 8, 2, op, 0]].concat();
    let a = value(1, &[2, 2, b'a']);
    let b = value(1, &[2, 2, b'b']);
    let none = value(3, &[0]);
    assert_eq!(decoder.decode(Some(&message(&[0], &a, b'r')), &position(0, 0)).unwrap(), 1);
    assert_eq!(decoder.decode(Some(&message(&a, &b, b'u')), &position(0, 0)).unwrap(), 2);
    for (bytes, part) in [
        (message(&[0], &b, b'u'), "The \"before\" field of a message with \"op\" 'u' is null"),
        (message(&none, &[0], b'd'), "a row has no value for a column that is NOT NULL"),
        (message(&b, &b, b'x'), "'x' is no kind of change"),
    ] {
        let e = decoder.decode(Some(&bytes), &position(0, 4)).expect_err(part);
        assert!(e.to_string().contains(part) && e.context("row") == Some("5"), "{e}");
    }
    assert_eq!(decoder.decode(Some(&message(&b, &[0], b'd')), &position(0, 0)).unwrap(), 1);
    let batch = decoder.flush().unwrap();
    assert_eq!(shown(&batch.rows), ["a|1", "a|1", "b|1", "b|1"]);
    let kinds: Vec<RowKind> = (0..4).map(|i| batch.kind(i)).collect();
    assert_eq!(kinds, [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete]);
}
