//! orc: files of another library, what we write ourselves read by us and by it, ranges, projections, damage.

use std::sync::Arc;

use arrow_array::RecordBatch;
use flott_connector::format::{Decoding, FormatContext, FormatFactory};
use flott_core::{ChangeBatch, ErrorKind, Result};
use flott_format::orc::OrcFormat;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use proptest::prelude::*;

use crate::random::batch;
use crate::support::{context, encode, read_bulk, rows_of, shown};

/// Written by pyarrow (the C++ library): `zlib` with dictionaries and 1400 rows, the others with 300; `none` in the older
/// version of the encodings.
const FILES: [(&str, &[u8]); 5] = [
    ("none", include_bytes!("../fixtures/pyarrow-none.orc")),
    ("zlib", include_bytes!("../fixtures/pyarrow-zlib.orc")),
    ("snappy", include_bytes!("../fixtures/pyarrow-snappy.orc")),
    ("lz4", include_bytes!("../fixtures/pyarrow-lz4.orc")),
    ("zstd", include_bytes!("../fixtures/pyarrow-zstd.orc")),
];
/// The first 300 rows of them all.
const ROWS: &str = include_str!("../fixtures/pyarrow-orc.json");
const COLUMNS: &str = "ROW<bo BOOLEAN, ti TINYINT, sm SMALLINT, i INT, bi BIGINT, f FLOAT, d DOUBLE, s STRING, y BYTES, de DECIMAL(20, 3), da DATE, ts TIMESTAMP(9), tz TIMESTAMP_LTZ(9), a ARRAY<INT>, m MAP<STRING, BIGINT>, r ROW<x INT, y ROW<z STRING>>>";

fn read(context: &FormatContext, file: &[u8], range: Option<(u64, u64)>, skip: u64) -> Result<(RecordBatch, Vec<u64>)> {
    read_bulk(&OrcFormat, context, file, range, skip)
}

#[test]
fn files_of_another_library_are_read() {
    let c = context(COLUMNS, COLUMNS, &[]);
    let expected = shown(&rows_of(ROWS, COLUMNS));
    assert_eq!(expected.len(), 300);
    for (name, file) in FILES {
        let (rows, _) = read(&c, file, None, 0).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (i, (read, expected)) in shown(&rows.slice(0, 300)).iter().zip(&expected).enumerate() {
            assert_eq!(read, expected, "{name}, row {i}");
        }
        assert_eq!(rows.num_rows(), if name == "zlib" { 1_400 } else { 300 }, "{name}");
    }
    let some = "ROW<s STRING, gone STRING, bi BIGINT, i BIGINT>";
    let (rows, positions) = read(&context(COLUMNS, some, &[]), FILES[1].1, None, 0).unwrap();
    let expected: Vec<String> = (0..1_400i64)
        .map(|i| match i % 7 {
            3 => "NULL|NULL|NULL|NULL".to_string(),
            _ => {
                let big = if i % 2 == 1 { (1i64 << 62) - i * 12_345_678_901 } else { i };
                format!("é{}|NULL|{big}|{}", i % 50, (i * i * 7919) % 4_000_000_000 - 2_000_000_000)
            }
        })
        .collect();
    assert_eq!(shown(&rows), expected);
    assert_eq!(positions, [1_400]);
    let (rest, positions) = read(&context(COLUMNS, some, &[]), FILES[1].1, None, 1_399).unwrap();
    assert_eq!((shown(&rest), positions), (expected[1_399..].to_vec(), vec![1_400]));
}

#[test]
fn columns_have_to_fit_the_file() {
    for (columns, column, part) in [
        ("ROW<gone INT NOT NULL>", "gone", "the file has no such column, which is declared INT NOT NULL"),
        ("ROW<s INT>", "s", "The file holds string, but the column is declared INT"),
        ("ROW<de BIGINT>", "de", "The file holds decimal(20,3)"),
        ("ROW<d FLOAT>", "d", "The file holds double"),
        ("ROW<r ROW<y ROW<z INT>>>", "r.y.z", "The file holds string"),
        ("ROW<a ARRAY<STRING>>", "a[]", "The file holds int"),
        ("ROW<m MAP<STRING, STRING>>", "m.value", "The file holds long"),
        ("ROW<tz INT>", "tz", "The file holds timestamp with local time zone"),
    ] {
        let e = read(&context(columns, columns, &[]), FILES[1].1, None, 0).expect_err(columns);
        assert!(e.to_string().contains(part) && e.kind() == ErrorKind::User, "{e}");
        assert_eq!(e.context("column"), Some(column));
        assert!(e.context("file").is_some() && e.hint_text().is_some());
    }
    // Values that do not fit, and NULL where none may be.
    for (columns, column, part) in [
        ("ROW<i SMALLINT>", "i", "does not fit in SMALLINT"),
        ("ROW<de DECIMAL(5, 3)>", "de", "does not fit DECIMAL(5, 3)"),
        ("ROW<r ROW<x INT NOT NULL> NOT NULL>", "r", "declared"),
        ("ROW<bi BIGINT NOT NULL>", "bi", "NULL in the file, but the column is declared BIGINT NOT NULL"),
    ] {
        let e = read(&context(columns, columns, &[]), FILES[1].1, None, 0).expect_err(columns);
        assert!(e.to_string().contains(part) && e.kind() == ErrorKind::Data, "{e}");
        assert_eq!(e.context("column"), Some(column), "{e}");
    }
    // Below a NULL row a field has no value.
    let c = "ROW<r ROW<x INT NOT NULL>, de DECIMAL(38, 10), i BIGINT, f DOUBLE>";
    assert_eq!(read(&context(c, c, &[]), FILES[1].1, None, 0).unwrap().0.num_rows(), 1_400);
}

const ALL: &str = "ROW<a BOOLEAN, b TINYINT, c SMALLINT, d INT, e BIGINT, f FLOAT, g DOUBLE, h STRING, i BYTES, j DECIMAL(9, 2), k DATE, m TIMESTAMP(3), n TIMESTAMP(6), o TIMESTAMP_LTZ(6), p ARRAY<STRING>, q ARRAY<TIMESTAMP(3)>, r ROW<x INT, y ROW<z TIMESTAMP(6)>>, s MAP<STRING, BIGINT>, t DECIMAL(38, 0), u VARCHAR(1000)>";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_written_is_read(batch in batch(ALL, 60), codec in 0usize..5, stripe in prop::sample::select(vec!["1", "67108864"])) {
        let codec = ["NONE", "ZLIB", "SNAPPY", "LZ4", "ZSTD"][codec];
        let c = context(ALL, ALL, &[("compress", codec), ("compress.size", "4096"), ("stripe.size", stripe)]);
        let file = encode(&OrcFormat, &c, &batch);
        let (rows, positions) = read(&c, &file, None, 0).unwrap();
        prop_assert_eq!(shown(&rows), shown(&batch));
        prop_assert_eq!(positions, vec![batch.num_rows() as u64]);
    }

    /// Whatever stands there, it is read or refused.
    #[test]
    fn damage_is_survived(which in 0usize..5, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), tail in any::<bool>(), cut in 0usize..30) {
        let mut file = FILES[which].1.to_vec();
        let at_the_end = 600.min(file.len());
        for (at, byte) in flips {
            let at = if tail { file.len() - 1 - at.index(at_the_end) } else { at.index(file.len()) };
            file[at] = byte;
        }
        if cut > 20 {
            file.truncate(file.len() - cut);
        }
        if let Err(e) = read(&context(COLUMNS, COLUMNS, &[]), &file, None, 0) {
            prop_assert!(matches!(e.kind(), ErrorKind::Data | ErrorKind::User), "{}", e);
            prop_assert!(e.context("file").is_some());
        }
    }
}

#[test]
fn stripes_are_split_and_resumed() {
    let row = "ROW<i INT, s STRING>";
    let c = context(row, row, &[("stripe.size", "1")]);
    let mut encoder = OrcFormat.encoding(&c).unwrap().create().unwrap();
    let mut file = vec![];
    let mut starts = vec![];
    for stripe in 0..4 {
        let text: String =
            (0..2_500).map(|i| format!("{{\"i\":{},\"s\":\"s{stripe}\"}}\n", stripe * 2_500 + i)).collect();
        starts.push(file.len().max(3) as u64);
        encoder.encode(&ChangeBatch::append(rows_of(&text, row)), &mut file).unwrap();
        assert_eq!(encoder.buffered_bytes(), 0);
    }
    encoder.finish(&mut file).unwrap();
    let (all, positions) = read(&c, &file, None, 0).unwrap();
    assert_eq!(positions, [2048, 2500, 4548, 5000, 7048, 7500, 9548, 10_000]);
    let texts = shown(&all);
    for skip in [0u64, 1, 2_048, 2_500, 2_501, 7_499, 10_000, 20_000] {
        let (rest, _) = read(&c, &file, None, skip).unwrap();
        assert_eq!(shown(&rest), texts[(skip as usize).min(10_000)..], "{skip}");
    }
    // Each stripe belongs to the part in which it begins.
    let cuts = [0, starts[1], starts[1] + 1, starts[3], file.len() as u64];
    let mut parts = vec![];
    for pair in cuts.windows(2) {
        parts.extend(shown(&read(&c, &file, Some((pair[0], pair[1])), 0).unwrap().0));
    }
    assert_eq!(parts, texts);
    let (rest, positions) = read(&c, &file, Some((starts[2], starts[3] + 1)), 2_600).unwrap();
    assert_eq!((shown(&rest), positions), (texts[7_600..].to_vec(), vec![4_648, 5_000]));
    // A file without rows.
    let mut empty = vec![];
    OrcFormat.encoding(&c).unwrap().create().unwrap().finish(&mut empty).unwrap();
    assert_eq!(read(&c, &empty, None, 0).unwrap().0.num_rows(), 0);
}

#[test]
fn what_orc_lacks_is_refused() {
    for (columns, part) in [
        ("ROW<a TIME(3)>", "Unsupported type: TIME(3)"),
        ("ROW<a ARRAY<INTERVAL DAY>>", "Unsupported type: INTERVAL DAY"),
        ("ROW<a MULTISET<INT>>", "Unsupported type: MULTISET<INT>"),
    ] {
        let e = OrcFormat.encoding(&context(columns, columns, &[])).err().expect(columns);
        assert!(e.to_string().contains(part), "{e}");
        assert!(e.context("column") == Some("a") && e.hint_text().is_some(), "{e}");
    }
    for (options, part) in [
        (&[("compress", "LZO")][..], "LZO"),
        (&[("compress.size", "8388608")], "from 1 to 8388607"),
        (&[("stripe.size", "0")], "stripe.size"),
    ] {
        let e = OrcFormat.encoding(&context("ROW<a INT>", "ROW<a INT>", options)).err().expect(part);
        assert!(e.to_string().contains(part), "{e}");
    }
    assert!(OrcFormat.message_decoding(&context("ROW<a INT>", "ROW<a INT>", &[])).is_err());
    let row = "ROW<t TIMESTAMP(3)>";
    let rows = rows_of("{\"t\":\"1969-12-31 23:59:59.5\"}\n", row);
    let mut encoder = OrcFormat.encoding(&context(row, row, &[])).unwrap().create().unwrap();
    let mut out = vec![];
    encoder.encode(&ChangeBatch::append(rows), &mut out).unwrap();
    let e = encoder.finish(&mut out).expect_err("the second before 1970");
    assert!(e.context("column") == Some("t") && e.hint_text().is_some(), "{e}");
}

/// The C++ library reads what we write.
#[test]
fn another_library_reads_what_is_written() {
    let script = r#"
import sys, pyarrow.orc as orc
f = orc.ORCFile(sys.argv[1])
print(f.schema.to_string().replace("\n", ";"))
for row in f.read().to_pylist():
    print(row)
"#;
    let python = std::env::var("FLOTT_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let there = std::process::Command::new(&python).args(["-c", "import pyarrow.orc"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        flott_testkit::skipped(&format!(
            "{python} has no pyarrow; `pip install pyarrow`, or set FLOTT_TEST_PYTHON to a Python that has it"
        ));
        return;
    }
    let row = "ROW<b BOOLEAN, t TINYINT, i INT, l BIGINT, f FLOAT, d DOUBLE, s STRING, v VARCHAR(9), y BYTES, de DECIMAL(20, 3), da DATE, ts TIMESTAMP(6), tz TIMESTAMP_LTZ(3), a ARRAY<INT>, m MAP<STRING, BIGINT>, r ROW<x INT, y STRING>>";
    let text = concat!(
        r#"{"b":true,"t":-3,"i":2000000000,"l":-5000000000,"f":0.5,"d":-0.25,"s":"é","v":"w","y":"AP8=","de":-12.345,"da":"1960-02-29","ts":"1965-03-04 05:06:07.891234","tz":"2024-02-29 12:00:00.5Z","a":[1,null,3],"m":{"k":7},"r":{"x":1,"y":null}}"#,
        "\n{}\n",
        r#"{"b":false,"t":1,"i":1,"l":1,"f":1,"d":1,"s":"","v":"","y":"","de":0,"da":"2024-01-01","ts":"1970-01-01 00:00:00","tz":"1970-01-01 00:00:00Z","a":[],"m":{},"r":{"x":null,"y":"z"}}"#,
        "\n"
    );
    let folder = tempfile::tempdir().unwrap();
    for codec in ["NONE", "ZLIB", "SNAPPY", "LZ4", "ZSTD"] {
        let c = context(row, row, &[("compress", codec)]);
        let path = folder.path().join(format!("{codec}.orc"));
        std::fs::write(&path, encode(&OrcFormat, &c, &rows_of(text, row))).unwrap();
        let read = std::process::Command::new(&python).arg("-c").arg(script).arg(&path).output().unwrap();
        let printed = String::from_utf8(read.stdout).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        assert!(read.status.success(), "{codec}: {}", String::from_utf8_lossy(&read.stderr));
        assert_eq!(lines.len(), 4, "{printed}");
        for part in [
            "'b': True, 't': -3, 'i': 2000000000, 'l': -5000000000, 'f': 0.5, 'd': -0.25, 's': 'é', 'v': 'w', 'y': b'\\x00\\xff', 'de': Decimal('-12.345'), 'da': datetime.date(1960, 2, 29)",
            "1965",
            "891234",
            "'a': [1, None, 3], 'm': [('k', 7)], 'r': {'x': 1, 'y': None}",
        ] {
            assert!(lines[1].contains(part), "{part}: {}", lines[1]);
        }
        assert_eq!(lines[2].matches("None").count(), 16, "{}", lines[2]);
        assert!(lines[3].contains("'a': [], 'm': [], 'r': {'x': None, 'y': 'z'}"), "{}", lines[3]);
    }
}

/// A stripe that could not be opened is the next one still.
#[test]
fn nothing_is_missed_after_an_error() {
    let row = "ROW<i INT>";
    let c = context(row, row, &[]);
    let file = encode(&OrcFormat, &c, &rows_of("{\"i\":1}\n{\"i\":2}\n", row));
    let Decoding::Bulk(factory) = OrcFormat.decoding(&c).unwrap() else { panic!("not bulk") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (store, path) = (Arc::new(InMemory::new()), Path::from("t/part.orc"));
        store.put(&path, file.clone().into()).await.unwrap();
        let mut reader = factory.open(store.clone(), &path, file.len() as u64, None, 0).await.unwrap();
        store.delete(&path).await.unwrap();
        let gone = reader.next().await.map(drop).expect_err("the file is gone");
        assert!(gone.to_string().contains("The file is gone"), "{gone}");
        store.put(&path, file.into()).await.unwrap();
        let rows = reader.next().await.unwrap().expect("rows");
        assert_eq!((rows.rows.num_rows(), rows.next_row), (2, 2));
        assert!(reader.next().await.unwrap().is_none());
    });
}

#[test]
fn a_file_that_has_become_shorter_is_told() {
    let (_, file) = FILES[0];
    let c = context(COLUMNS, COLUMNS, &[]);
    let Decoding::Bulk(factory) = OrcFormat.decoding(&c).unwrap() else { panic!("not bulk") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (store, path) = (Arc::new(InMemory::new()), Path::from("t/part.orc"));
        store.put(&path, file.to_vec().into()).await.unwrap();
        let e = factory.open(store, &path, file.len() as u64 + 1_000, None, 0).await.map(drop).expect_err("shorter");
        assert_eq!(e.kind(), ErrorKind::Data, "{e}");
        assert!(e.to_string().contains("has become shorter"), "{e}");
    });
}

#[test]
fn two_columns_may_read_one_and_nested_nulls_are_told() {
    let file = encode(&OrcFormat, &context("ROW<a INT>", "ROW<a INT>", &[]), &rows_of("{\"a\":7}\n", "ROW<a INT>"));
    let twice = context("ROW<a INT, A INT>", "ROW<a INT, A INT>", &[]);
    assert_eq!(shown(&read(&twice, &file, None, 0).unwrap().0), ["7|7"]);

    let (inner, strict) = ("ROW<r ROW<y ROW<z INT>>>", "ROW<r ROW<y ROW<z INT> NOT NULL>>");
    let text = "{\"r\":null}\n{\"r\":{\"y\":null}}\n";
    let file = encode(&OrcFormat, &context(inner, inner, &[]), &rows_of(text, inner));
    let e = read(&context(strict, strict, &[]), &file, None, 0).expect_err("a NULL");
    assert_eq!(e.kind(), ErrorKind::Data, "{e}");
    assert!(e.to_string().contains("NULL"), "{e}");
}
