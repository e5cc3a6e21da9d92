//! avro: files of Flink and of another library, what we write ourselves, messages in both encodings, damage.

use std::sync::Arc;

use arrow_array::RecordBatch;
use flott_connector::format::{FormatContext, FormatFactory, Messages};
use flott_core::{ChangeBatch, ErrorKind, Result};
use flott_format::avro::AvroFormat;
use proptest::prelude::*;

use crate::random::batch;
use crate::support::{context, encode, messages, position, read_bulk, shown};

const FLINK_DEFLATE: &[u8] = include_bytes!("../fixtures/flink-2.3-deflate.avro");
const FLINK_SNAPPY: &[u8] = include_bytes!("../fixtures/flink-2.3-snappy.avro");
const OTHERS: [&[u8]; 3] = [
    include_bytes!("../fixtures/fastavro-null.avro"),
    include_bytes!("../fixtures/fastavro-bzip2.avro"),
    include_bytes!("../fixtures/fastavro-xz.avro"),
];

/// The table of the files that Flink wrote.
const FLINK: &str = "ROW<b BOOLEAN, t TINYINT NOT NULL, s SMALLINT, i INT, l BIGINT, f FLOAT, d DOUBLE, c CHAR(3), v STRING NOT NULL, y BYTES, de DECIMAL(20,4), da DATE, ti TIME(3), ts TIMESTAMP(3), a ARRAY<INT>, m MAP<STRING, BIGINT>, r ROW<x INT, y ROW<z STRING NOT NULL>>>";
const FULL: &str = "true|-7|300|70000|-5000000000|1.5|-2.25|abc|é,x|00ff10|-123456.7891|1969-12-31|12:34:56|2024-02-29T12:34:56.789|[1, NULL, -3]|{k: 9}|{x: 1, y: {z: in}}";
const EMPTY: &str = "NULL|1|NULL|NULL|NULL|NULL|NULL|NULL||NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL";

fn read(context: &FormatContext, file: &[u8], range: Option<(u64, u64)>, skip: u64) -> Result<(RecordBatch, Vec<u64>)> {
    read_bulk(&AvroFormat, context, file, range, skip)
}

#[test]
fn files_of_flink_are_read_and_written_alike() {
    let c = context(FLINK, FLINK, &[]);
    let mut one = None;
    for (file, codec) in [(FLINK_DEFLATE, "deflate"), (FLINK_SNAPPY, "snappy")] {
        let (rows, _) = read(&c, file, None, 0).unwrap();
        let mut texts = shown(&rows);
        texts.sort_by_key(|t| t.starts_with("NULL"));
        assert_eq!(texts, [FULL, EMPTY]);
        // Ours has the same bytes up to the marker: schema, codec, and the order of both.
        let options = [("codec", codec)];
        let ours = encode(&AvroFormat, &context(FLINK, FLINK, &options), &rows);
        let text = |bytes: &[u8]| {
            let at = memchr::memmem::find(bytes, b"[\"null\",{\"type\":\"record\"").unwrap();
            let end = at + memchr::memmem::find(&bytes[at..], b"}]}]").unwrap() + 4;
            String::from_utf8(bytes[at..end].to_vec()).unwrap()
        };
        assert_eq!(text(&ours), text(file));
        assert_eq!(shown(&read(&c, &ours, None, 0).unwrap().0), shown(&rows));
        // The records themselves, which the same codec packs the same.
        if codec == "snappy" {
            let (a, b) = (ours.len() - 16, file.len() - 16);
            let block = |bytes: &[u8], end: usize| {
                bytes[bytes.windows(16).position(|w| w == &bytes[end..]).unwrap() + 16..end].to_vec()
            };
            one = Some((block(&ours, a), block(file, b)));
        }
    }
    let (ours, flinks) = one.unwrap();
    let unpacked = |block: &[u8]| {
        // Count and size are a byte and two; the checksum is four.
        snap::raw::Decoder::new().decompress_vec(&block[3..block.len() - 4]).unwrap()
    };
    assert_eq!(unpacked(&ours), unpacked(&flinks));
}

#[test]
fn columns_are_found_by_name_and_widened() {
    let declared = "ROW<id BIGINT NOT NULL, price DECIMAL(14, 4), state STRING, `at` TIMESTAMP(3), either BIGINT, gone STRING, tree ROW<id INT, tree ROW<id INT>>>";
    let wanted = "ROW<state STRING, gone STRING, id BIGINT NOT NULL, `at` TIMESTAMP(3), either BIGINT, price DECIMAL(14, 4), tree ROW<id INT, tree ROW<id INT>>>";
    for file in OTHERS {
        let (rows, positions) = read(&context(declared, wanted, &[]), file, None, 0).unwrap();
        assert_eq!(
            shown(&rows),
            [
                "PAID|NULL|7|2024-02-29T12:00:00.123|5|-12.5000|{id: 1, tree: NULL}",
                "NEW|NULL|8|1969-12-31T23:59:59.999|5000000000|NULL|NULL",
            ]
        );
        assert_eq!(positions, [2]);
        let (rest, positions) = read(&context(declared, wanted, &[]), file, None, 1).unwrap();
        assert_eq!((rest.num_rows(), positions), (1, vec![2]));
    }
    for (declared, column, part) in [
        ("ROW<gone INT NOT NULL>", "gone", "the data has no such field, but the column is declared INT NOT NULL"),
        ("ROW<state INT>", "state", "found shop.State, expecting INT"),
        ("ROW<tree ROW<id STRING>>", "tree.id", "found int, expecting STRING"),
    ] {
        let e = read(&context(declared, declared, &[]), OTHERS[0], None, 0).expect_err(declared);
        assert!(e.to_string().contains(part) && e.context("column") == Some(column), "{e}");
        assert!(e.context("file").is_some() && e.hint_text().is_some());
    }
    // A branch that does not fit matters where it occurs.
    let some = "ROW<either INT>";
    let e = read(&context(some, some, &[]), OTHERS[0], None, 0).expect_err("a long");
    assert!(e.to_string().contains("found long, expecting INT"), "{e}");
    assert_eq!((e.context("row"), e.context("column")), (Some("2"), Some("either")));
    let not_null = "ROW<price DECIMAL(12, 3) NOT NULL>";
    let e = read(&context(not_null, not_null, &[]), OTHERS[0], None, 0).expect_err("null");
    assert!(e.to_string().contains("declared DECIMAL(12, 3) NOT NULL"), "{e}");
    let short = "ROW<price DECIMAL(3, 3)>";
    let e = read(&context(short, short, &[]), OTHERS[0], None, 0).expect_err("too large");
    assert!(e.to_string().contains("too large for DECIMAL(3, 3)"), "{e}");
}

const ALL: &str = "ROW<a BOOLEAN, b TINYINT, c SMALLINT, d INT, e BIGINT, f FLOAT, g DOUBLE, h STRING, i BYTES, j DECIMAL(9, 2), k DATE, l TIME(3), m TIMESTAMP(3), n TIMESTAMP(6), o TIMESTAMP_LTZ(6), p ARRAY<STRING>, q ARRAY<TIMESTAMP(3)>, r ROW<x INT, y ROW<z TIMESTAMP(6)>>, s MAP<STRING, BIGINT>, t DECIMAL(38, 0)>";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_written_is_read(batch in batch(ALL, 40), codec in 0usize..6) {
        let codec = ["null", "snappy", "deflate", "bzip2", "xz", "zstandard"][codec];
        let c = context(ALL, ALL, &[("codec", codec), ("timestamp_mapping.legacy", "false")]);
        let file = encode(&AvroFormat, &c, &batch);
        prop_assert_eq!(shown(&read(&c, &file, None, 0).unwrap().0), shown(&batch));
        for encoding in ["binary", "json"] {
            let c = context(ALL, ALL, &[("encoding", encoding), ("timestamp_mapping.legacy", "false")]);
            let mut out = Messages::default();
            AvroFormat.encoding(&c).unwrap().create().unwrap().encode_messages(&ChangeBatch::append(batch.clone()), &mut out).unwrap();
            let mut decoder = messages(&AvroFormat, &c);
            for row in 0..out.len() {
                prop_assert_eq!(decoder.decode(out.get(row), &position(0, 0)).unwrap(), 1);
            }
            prop_assert_eq!(shown(&decoder.flush().unwrap().rows), shown(&batch));
        }
    }

    /// However a file is cut, each row is in one piece, and each piece can be continued anywhere.
    #[test]
    fn pieces_have_each_row_once(cuts in prop::collection::vec(0u64..400_000, 0..6), skip in 0u64..30_000) {
        let row = "ROW<a BIGINT>";
        let c = context(row, row, &[("codec", "null")]);
        let column = Arc::new(arrow_array::Int64Array::from_iter_values(0..30_000));
        let batch = RecordBatch::try_new(c.schema.clone(), vec![column]).unwrap();
        let file = encode(&AvroFormat, &c, &batch);
        let mut borders: Vec<u64> = cuts.into_iter().filter(|c| *c < file.len() as u64).collect();
        borders.extend([0, file.len() as u64]);
        borders.sort_unstable();
        borders.dedup();
        let mut all = vec![];
        for pair in borders.windows(2) {
            let (rows, _) = read(&c, &file, Some((pair[0], pair[1])), 0).unwrap();
            let skip = skip.min(rows.num_rows() as u64);
            let (rest, positions) = read(&c, &file, Some((pair[0], pair[1])), skip).unwrap();
            prop_assert_eq!(&shown(&rest)[..], &shown(&rows)[skip as usize..]);
            if let Some(end) = positions.last() {
                prop_assert_eq!(*end, rows.num_rows() as u64);
            }
            all.extend(shown(&rows));
        }
        prop_assert_eq!(all, shown(&batch));
    }

    #[test]
    fn damaged_files_never_panic(cut in 0usize..1600, flips in prop::collection::vec((0usize..1600, any::<u8>()), 0..6)) {
        let c = context(FLINK, FLINK, &[]);
        for file in [FLINK_DEFLATE, FLINK_SNAPPY] {
            let mut file = file.to_vec();
            for (at, byte) in &flips {
                let len = file.len();
                file[at % len] ^= byte;
            }
            file.truncate(file.len().saturating_sub(cut % 50));
            if let Err(e) = read(&c, &file, None, 0) {
                prop_assert!(e.kind() == ErrorKind::Data || e.kind() == ErrorKind::User, "{}", e);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(message in prop::collection::vec(any::<u8>(), 0..80)) {
        for encoding in ["binary", "json"] {
            let c = context(ALL, ALL, &[("encoding", encoding), ("timestamp_mapping.legacy", "false")]);
            let mut decoder = messages(&AvroFormat, &c);
            let read = decoder.decode(Some(&message), &position(0, 0));
            let rows = decoder.flush().unwrap().rows.num_rows();
            prop_assert_eq!(rows, read.unwrap_or(0));
        }
    }
}

/// Bytes and texts of another implementation; but a decimal has as few bytes as Java gives it.
#[test]
fn messages_in_both_encodings() {
    let row = "ROW<a INT, b STRING NOT NULL, c MAP<STRING, BIGINT>, d DECIMAL(9, 2)>";
    let bytes = hex("02d70404c3a90204026b0212026e0000020280");
    let texts = [
        r#"{"a":{"int":-300},"b":"é","c":{"map":{"k":{"long":9},"n":null}},"d":{"bytes":"\u0080"}}"#,
        r#"{"a": null, "c": null, "b": "", "d": null}"#,
    ];
    let binary = context(row, row, &[]);
    let mut decoder = messages(&AvroFormat, &binary);
    assert_eq!(decoder.decode(Some(&bytes), &position(0, 0)).unwrap(), 1);
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 0);
    let rows = decoder.flush().unwrap().rows;
    assert_eq!(shown(&rows), ["-300|é|{k: 9, n: NULL}|-1.28"]);
    let mut out = Messages::default();
    AvroFormat
        .encoding(&binary)
        .unwrap()
        .create()
        .unwrap()
        .encode_messages(&ChangeBatch::append(rows), &mut out)
        .unwrap();
    assert_eq!(out.get(0), Some(&bytes[..]));
    let json = context(row, row, &[("encoding", "json")]);
    let mut decoder = messages(&AvroFormat, &json);
    for text in texts {
        decoder.decode(Some(text.as_bytes()), &position(0, 0)).unwrap();
    }
    let rows = decoder.flush().unwrap().rows;
    assert_eq!(shown(&rows), ["-300|é|{k: 9, n: NULL}|-1.28", "NULL||NULL|NULL"]);
    let mut out = Messages::default();
    AvroFormat
        .encoding(&json)
        .unwrap()
        .create()
        .unwrap()
        .encode_messages(&ChangeBatch::append(rows), &mut out)
        .unwrap();
    let text = String::from_utf8(out.get(0).unwrap().to_vec()).unwrap();
    assert_eq!(
        text,
        "{\"a\":{\"int\":-300},\"b\":\"é\",\"c\":{\"map\":{\"k\":{\"long\":9},\"n\":null}},\"d\":{\"bytes\":\"\u{80}\"}}"
    );
    for (text, part) in [
        (r#"{"a":5,"b":"","c":null,"d":null}"#, "as a union has to be written"),
        (r#"{"a":{"long":5},"b":"","c":null,"d":null}"#, "'long' is no branch of the union"),
        (r#"{"a":null,"c":null,"d":null}"#, "the field is missing"),
        ("{", "not valid JSON"),
    ] {
        let e = decoder.decode(Some(text.as_bytes()), &position(7, 3)).expect_err(text);
        assert!(e.to_string().contains(part), "{e}");
        assert_eq!(e.context("row"), Some("4"));
    }
}

#[test]
fn wrong_messages_leave_nothing_behind() {
    let row = "ROW<a INT NOT NULL, b STRING>";
    let mut decoder = messages(&AvroFormat, &context(row, row, &[]));
    decoder.decode(Some(&[2, 2, 2, b'x']), &position(0, 0)).unwrap();
    for (message, column, part) in [
        (&[2u8][..], "b", "ends"),
        (&[2, 4], "b", "2 is no branch"),
        (&[2, 2, 2, 0xff], "b", "not valid UTF-8"),
        (&[2, 2, 1], "b", "-1 is no length"),
        (&[0xff, 0xff, 0xff, 0xff, 0x7f], "a", "no 32-bit number"),
        (&[], "a", "ends"),
    ] {
        let e = decoder.decode(Some(message), &position(0, 0)).expect_err(part);
        assert!(e.to_string().contains(part), "{e}");
        assert_eq!(e.context("column"), Some(column), "{e}");
    }
    let e = decoder.decode(Some(&[0, 0, 0, 0, 1, 2]), &position(0, 0));
    assert!(e.is_ok() || e.is_err_and(|e| e.hint_text().is_some_and(|h| h.contains("avro-confluent"))));
    let framed = "ROW<a INT NOT NULL, b STRING NOT NULL, c STRING NOT NULL, d STRING NOT NULL, e STRING NOT NULL, f STRING NOT NULL>";
    let e = messages(&AvroFormat, &context(framed, framed, &[])).decode(Some(&[0, 0, 0, 0, 1, 9]), &position(0, 0));
    assert!(e.expect_err("framed").hint_text().unwrap().contains("avro-confluent"));
}

#[test]
fn a_key_that_stands_twice_in_a_map_has_its_last_value() {
    let row = "ROW<m MAP<STRING, INT> NOT NULL>";
    let mut decoder = messages(&AvroFormat, &context(row, row, &[]));
    let mut bytes = vec![6];
    for (key, value) in [(b'a', 1u8), (b'b', 2), (b'a', 3)] {
        bytes.extend([2, key, 2, value * 2]);
    }
    bytes.push(0);
    decoder.decode(Some(&bytes), &position(0, 0)).unwrap();
    decoder.decode(Some(&bytes), &position(0, 0)).unwrap();
    assert_eq!(shown(&decoder.flush().unwrap().rows), ["{b: 2, a: 3}"; 2]);
}

#[test]
fn what_is_no_avro_file_is_said_to_be_none() {
    let c = context(FLINK, FLINK, &[]);
    for (file, part) in [
        (&b"{}"[..], "does not begin as one"),
        (b"Obj\x01", "its header does not end"),
        (b"", "its header does not end"),
        (&FLINK_SNAPPY[..FLINK_SNAPPY.len() - 1], "the file ends early"),
    ] {
        let e = read(&c, file, None, 0).expect_err(part);
        assert!(e.to_string().contains(part), "{e}");
        assert!(e.context("file").is_some() && e.hint_text().is_some(), "{e}");
    }
    let mut flipped = FLINK_SNAPPY.to_vec();
    let at = flipped.len() - 30;
    flipped[at] ^= 1;
    let e = read(&c, &flipped, None, 0).expect_err("damaged");
    assert!(e.to_string().contains("in the block behind byte"), "{e}");
}

/// A file of records without bytes: as many as its only block says.
fn of_empty_records(count: u64) -> Vec<u8> {
    let schema = r#"{"type":"record","name":"R","fields":[]}"#;
    let number = |mut rest: u64, out: &mut Vec<u8>| {
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    };
    let mut file = b"Obj\x01\x02\x16avro.schema".to_vec();
    number(schema.len() as u64 * 2, &mut file);
    file.extend(schema.bytes());
    file.push(0);
    file.extend([7; 16]);
    number(count * 2, &mut file);
    file.push(0);
    file.extend([7; 16]);
    file
}

#[test]
fn a_block_cannot_claim_records_without_end() {
    let c = context("ROW<a INT>", "ROW<a INT>", &[]);
    assert_eq!(read(&c, &of_empty_records(10_000), None, 0).unwrap().0.num_rows(), 10_000);
    for count in [1 << 60, (1 << 20) + 1] {
        let e = read(&c, &of_empty_records(count), None, 0).expect_err("too many");
        assert!(e.to_string().contains(&format!("{count} records are claimed of 0 bytes")), "{e}");
    }
}

/// Records in unions inside each other: two ways at each level.
#[test]
fn ways_through_unions_have_a_limit() {
    let (mut types, mut row) = (r#""int""#.to_string(), "INT".to_string());
    for level in 0..20 {
        let record = |name: &str, inner: &str| {
            format!(r#"{{"type":"record","name":"{name}{level}","fields":[{{"name":"f","type":{inner}}}]}}"#)
        };
        let again = if level == 0 { types.clone() } else { format!(r#"["A{0}","B{0}"]"#, level - 1) };
        types = format!("[{},{}]", record("A", &types), record("B", &again));
        row = format!("ROW<f {row}>");
    }
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{types}}}]}}"#);
    let file = [
        &b"Obj\x01\x02\x16avro.schema"[..],
        &{
            let mut length = vec![];
            let mut rest = schema.len() * 2;
            while rest >= 0x80 {
                length.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            length.push(rest as u8);
            length
        },
        schema.as_bytes(),
        &[0],
        &[7; 16],
    ]
    .concat();
    let row = format!("ROW<f {row}>");
    let e = read(&context(&row, &row, &[]), &file, None, 0).expect_err("too many");
    assert!(e.to_string().contains("PLANS_MAX") && e.hint_text().is_some(), "{e}");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}
