//! The binary part of the corpora: files and messages as Flott writes them. It is written anew by
//! `cargo test -p flott-fuzz -- --ignored writes_the_binary_corpora`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt16Array};
use arrow_schema::{DataType, Field, Schema};
use flott_connector::format::{FormatFactory, Messages};
use flott_connector::staged::{StageBuilder, StagedRecord};
use flott_core::{ChangeBatch, RowKind};
use flott_format::avro::AvroFormat;
use flott_format::json::JsonFormat;
use flott_format::orc::OrcFormat;
use flott_format::parquet::ParquetFormat;
use flott_fuzz::rows::{Table, check_pieces, context};
use flott_state::StateRun;

fn write(target: &str, name: &str, parts: &[&[u8]]) {
    let folder = flott_fuzz::target_of(target).expect("a target").corpus();
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), parts.concat()).expect("written");
}

/// Rows for the row types of files and Avro messages.
const ROWS: [(&str, &str); 4] = [
    (
        "ROW<a INT, b STRING, c DOUBLE>",
        "{\"a\":1,\"b\":\"x\",\"c\":1.5}\n{\"a\":null,\"b\":null,\"c\":-2}\n{\"a\":7,\"b\":\"text\",\"c\":0}",
    ),
    (
        "ROW<a BIGINT, b BOOLEAN, c FLOAT, d BYTES, e DECIMAL(20, 5), f SMALLINT>",
        "{\"a\":5,\"b\":true,\"c\":1.5,\"d\":\"YWJj\",\"e\":12.5,\"f\":7}\n{\"a\":6,\"b\":false,\"d\":\"\",\"e\":-1}",
    ),
    (
        "ROW<a DATE, c TIMESTAMP(3), d TIMESTAMP(6), e TIMESTAMP_LTZ(3)>",
        "{\"a\":\"2024-02-29\",\"c\":\"2024-02-29 12:00:00\",\"d\":\"2024-02-29 12:00:00.123456\",\"e\":\"2024-02-29 12:00:00Z\"}\n{}",
    ),
    (
        "ROW<a ARRAY<ROW<x INT, y STRING>>, b MAP<STRING, INT>, c ROW<x ROW<y ARRAY<INT>>>>",
        "{\"a\":[{\"x\":1,\"y\":\"s\"},null],\"b\":{\"k\":1,\"l\":null},\"c\":{\"x\":{\"y\":[1,2,null]}}}\n{\"a\":[],\"b\":{},\"c\":null}",
    ),
];

fn rows_of(row: &str, json: &str) -> RecordBatch {
    check_pieces(&Table::of(&JsonFormat, row, &[]), json.as_bytes()).expect("rows")
}

fn file(format: &dyn FormatFactory, row: &str, rows: &RecordBatch, options: &[(&str, &str)]) -> Vec<u8> {
    let encoding = format.encoding(&context(row, row, options)).expect("an encoding");
    let (mut encoder, mut out) = (encoding.create().expect("an encoder"), vec![]);
    encoder.encode(&ChangeBatch::append(rows.clone()), &mut out).expect("encoded");
    encoder.finish(&mut out).expect("finished");
    out
}

fn messages(format: &dyn FormatFactory, row: &str, rows: &RecordBatch) -> Vec<u8> {
    let encoding = format.encoding(&context(row, row, &[])).expect("an encoding");
    let mut out = Messages::default();
    encoding
        .create()
        .expect("an encoder")
        .encode_messages(&ChangeBatch::append(rows.clone()), &mut out)
        .expect("encoded");
    (0..out.len()).filter_map(|i| out.get(i)).flat_map(|m| [&[m.len() as u8][..], m].concat()).collect()
}

fn run_of(rows: u16) -> Arc<StateRun> {
    let schema = Schema::new(vec![
        StateRun::key_group_field(),
        Field::new("k", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt16Array::from_iter_values((0..rows).map(|r| r * 9 % 128))),
        Arc::new((0..rows).map(|r| (r % 3 > 0).then(|| format!("key {r}"))).collect::<StringArray>()),
        Arc::new(Int64Array::from_iter_values((0..rows).map(i64::from))),
    ];
    StateRun::seal("t", RecordBatch::try_new(Arc::new(schema), columns).expect("rows")).expect("a run")
}

const MODULE: &str = r#"(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "flott_alloc") (param $size i32) (result i32)
    (global.get $next) (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get $size)) (i32.const 7)) (i32.const -8))))
  (func (export "flott_free") (param i32 i32))
  (func (export "f") (param $arguments i32) (param $count i32) (param $rows i32) (param $result i32) (result i32)
    BODY))"#;

#[test]
#[ignore = "writes files into the source tree"]
fn writes_the_binary_corpora() {
    for (i, (row, json)) in ROWS.iter().enumerate() {
        let rows = rows_of(row, json);
        let first = [i as u8];
        write("parquet", &format!("file_{i}"), &[&first, &file(&ParquetFormat, row, &rows, &[])]);
        write("orc", &format!("file_{i}"), &[&first, &file(&OrcFormat, row, &rows, &[])]);
        let micros = [("timestamp_mapping.legacy", "false")];
        write("avro_file", &format!("file_{i}"), &[&first, &file(&AvroFormat, row, &rows, &micros)]);
    }
    for (name, codec) in [("snappy", "SNAPPY"), ("zstd", "ZSTD"), ("gzip", "GZIP"), ("plain", "UNCOMPRESSED")] {
        let (row, json) = ROWS[0];
        write("parquet", name, &[&[0], &file(&ParquetFormat, row, &rows_of(row, json), &[("compression", codec)])]);
    }
    for (name, codec) in [("none", "none"), ("snappy", "snappy"), ("zlib", "zlib"), ("zstd", "zstd")] {
        let (row, json) = ROWS[0];
        write("orc", name, &[&[0], &file(&OrcFormat, row, &rows_of(row, json), &[("compress", codec)])]);
    }
    for codec in ["null", "deflate", "snappy", "bzip2", "xz", "zstandard"] {
        let (row, json) = ROWS[0];
        write("avro_file", codec, &[&[0], &file(&AvroFormat, row, &rows_of(row, json), &[("codec", codec)])]);
    }
    for (i, row, json) in [
        (0, ROWS[0].0, ROWS[0].1),
        (
            1,
            "ROW<a BIGINT NOT NULL, b BOOLEAN NOT NULL, c FLOAT NOT NULL, d BYTES NOT NULL, e STRING NOT NULL>",
            "{\"a\":-5,\"b\":true,\"c\":1.5,\"d\":\"YWJj\",\"e\":\"x\"}",
        ),
        (
            2,
            "ROW<a DATE, b TIME(3), c TIMESTAMP(3), e DECIMAL(20, 5), f SMALLINT>",
            "{\"a\":\"2024-02-29\",\"b\":\"12:00:00\",\"c\":\"2024-02-29 12:00:00\",\"e\":12.5,\"f\":-3}",
        ),
        (
            3,
            "ROW<a ARRAY<ROW<x INT, y STRING>>, b MAP<STRING, INT>, c ROW<x ROW<y ARRAY<ARRAY<INT>>>>>",
            "{\"a\":[{\"x\":1,\"y\":\"s\"},null],\"b\":{\"k\":1},\"c\":{\"x\":{\"y\":[[1],[]]}}}",
        ),
        (4, "ROW<a ARRAY<ROW<x INT NOT NULL>>, b ARRAY<BOOLEAN NOT NULL>>", "{\"a\":[{\"x\":1}],\"b\":[true,false]}"),
    ] {
        write(
            "avro",
            &format!("row_{i}"),
            &[format!("{i}").as_bytes(), &messages(&AvroFormat, row, &rows_of(row, json))],
        );
    }
    let (content, _) = flott_state::snapshot_file::encode("f", &[run_of(5)]).expect("a file");
    write("state_file", "small", &[&[0, 60], &content[64..]]);
    let (content, _) = flott_state::snapshot_file::encode("f", &[run_of(200)]).expect("a file");
    write("state_file", "larger", &[&[0, 128], &content[64..]]);

    let plain = ChangeBatch::append(rows_of(ROWS[0].0, ROWS[0].1));
    let kinds = [RowKind::Insert, RowKind::Delete, RowKind::UpdateAfter].into_iter().collect();
    let changes = ChangeBatch::new(plain.rows.clone(), kinds).expect("changes");
    let framed = |messages: Vec<Vec<u8>>| -> Vec<u8> {
        messages.iter().flat_map(|m| [&(m.len() as u16).to_le_bytes()[..], m].concat()).collect()
    };
    write("wire", "rows", &[&framed(flott_runtime::fuzzing::write(&[plain.clone(), plain]).expect("messages"))]);
    write("wire", "changes", &[&framed(flott_runtime::fuzzing::write(&[changes]).expect("messages"))]);
    write("wire", "watermark", &[&framed(vec![flott_runtime::fuzzing::watermark(-5)])]);

    let mut builder = StageBuilder::default();
    for headers in [vec![], vec![("a", Some(&b"1"[..])), ("b", None)]] {
        let record = StagedRecord { topic: Some("t"), key: Some(b"k"), value: None, timestamp_ms: Some(-5), headers };
        builder.append(&record).expect("appended");
    }
    write("staged", "records", &[&[0], &builder.finish().expect("a file")]);

    let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flott-connector/tests/stores");
    let of = |name: &str| std::fs::read(PathBuf::from(&stores).join(name)).expect(name);
    for (name, first) in [
        ("ca.pem", 0),
        ("client.pem", 0),
        ("trust.jks", 1),
        ("client.jks", 3),
        ("trust.p12", 1),
        ("openssl.p12", 1),
        ("client.p12", 1),
        ("old.p12", 1),
    ] {
        let content = of(name);
        write("stores", &name.replace('.', "_"), &[&[first], &content]);
    }

    for (name, body) in [
        ("nothing", "(i32.const 0)"),
        ("error", "(i32.store (local.get $result) (i32.const 3)) (i32.const 1)"),
        ("endless", "(loop $l (br $l)) (i32.const 0)"),
        (
            "echo",
            "(memory.copy (local.get $result) (i32.add (local.get $arguments) (i32.const 64)) (i32.const 64)) (i32.const 0)",
        ),
    ] {
        let module = wat::parse_str(MODULE.replace("BODY", body)).expect("a module");
        write("wasm", name, &[&module]);
    }

    let bitmap = flott_core::bitmap::from_text("{1,2,3,70000,4294967295}").expect("a set");
    write("bitmap", "small", &[b"b", &flott_core::bitmap::write(&bitmap)]);
    let many: String = (0..5_000).map(|i| format!("{},", i * 3)).collect();
    let many = flott_core::bitmap::from_text(&format!("{{{}}}", many.trim_end_matches(','))).expect("a set");
    write("bitmap", "many", &[b"b", &flott_core::bitmap::write(&many)]);
    let json = "{\"a\":1,\"b\":[1.5,\"x\",null,true,12345678901234567890],\"c\":{\"d\":\"text\"}}";
    let variant = flott_function::variant::parse_json(json, false).expect("a value");
    write("variant", "bytes", &[b"b", &variant]);
}
