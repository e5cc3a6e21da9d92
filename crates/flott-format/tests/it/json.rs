//! json: values of every type, every option, every error.

use flott_connector::format::Splittable;
use flott_core::ErrorKind;
use flott_format::json::{DEPTH_MAX, JsonFormat};
use proptest::prelude::*;

use crate::random::{batch, kinds};
use crate::support::*;

fn table(row: &str, options: &[(&str, &str)], cases: &[(&str, &[&str])]) {
    let context = context(row, row, options);
    for (text, expected) in cases {
        let found = rows(&JsonFormat, &context, text.as_bytes()).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(found, *expected, "{row} {text:?}");
    }
}

fn values(kind: &str, cases: &[(&str, &str)]) {
    for (value, expected) in cases {
        table(&format!("ROW<a {kind}>"), &[], &[(&format!("{{\"a\":{value}}}"), &[expected])]);
    }
}

fn wrong(kind: &str, cases: &[&str]) {
    let row = format!("ROW<a {kind}>");
    for value in cases {
        let text = format!("{{\"a\":{value}}}");
        let e = error(&JsonFormat, &context(&row, &row, &[]), text.as_bytes());
        assert_eq!(e.kind(), ErrorKind::Data);
        assert!(e.to_string().contains("is not a valid"), "{kind} {value}: {e}");
        assert_eq!(e.context("row"), Some("1"));
        table(&row, &[("ignore-parse-errors", "true")], &[(&text, &["NULL"])]);
    }
}

#[test]
fn conversions_are_flinks() {
    values("BOOLEAN", &[("true", "true"), ("\"TRUE\"", "true"), ("1", "false"), ("\"x\"", "false"), ("null", "NULL")]);
    values("TINYINT", &[("-128", "-128"), ("\" 7 \"", "7")]);
    wrong("TINYINT", &["128", "1.0", "\"x\"", "true", "{}", "[]"]);
    values("SMALLINT", &[("32767", "32767")]);
    wrong("SMALLINT", &["32768"]);
    values("INT", &[("2147483647", "2147483647"), ("1.9", "1"), ("-1.9", "-1"), ("\"+5\"", "5"), ("1e3", "1000")]);
    wrong("INT", &["2147483648", "\"1.9\"", "true", "\"\"", "1e10"]);
    values(
        "BIGINT",
        &[("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808")],
    );
    wrong("BIGINT", &["9223372036854775808", "1e30", "\"abc\""]);
    values("FLOAT", &[("1.5", "1.5"), ("1", "1.0"), ("\"NaN\"", "NaN")]);
    values(
        "DOUBLE",
        &[("1e400", "inf"), ("\"-Infinity\"", "-inf"), ("0.1", "0.1"), ("123456789012345678", "1.2345678901234568e17")],
    );
    wrong("DOUBLE", &["true", "\"x\"", "[1]"]);
    values(
        "STRING",
        &[
            ("\"x\"", "x"),
            ("1.50", "1.50"),
            ("true", "true"),
            ("{ \"b\" : [ 1, 2 ] }", "{\"b\":[1,2]}"),
            ("\"\\u00e9\\ud83d\\ude00\"", "é😀"),
        ],
    );
    values("BYTES", &[("\"aGk=\"", "6869"), ("\"\"", "")]);
    wrong("BYTES", &["\"!\"", "1"]);
    values("DECIMAL(5, 2)", &[("1.005", "1.01"), ("\" 2 \"", "2.00"), ("1e2", "100.00"), ("1000", "NULL")]);
    wrong("DECIMAL(5, 2)", &["\"x\"", "true"]);
    values("DATE", &[("\"2020-02-29\"", "2020-02-29")]);
    wrong("DATE", &["\"2020-2-2\"", "\"2021-02-29\"", "18000"]);
    values("TIME(0)", &[("\"01:02:03\"", "01:02:03")]);
    values("TIME(3)", &[("\"01:02:03.456\"", "01:02:03.456")]);
    values("TIME(6)", &[("\"01:02:03.456789\"", "01:02:03.456")]);
    wrong("TIME(3)", &["\"01:02\"", "\"25:00:00\""]);
    values("TIMESTAMP(3)", &[("\"2020-01-02 03:04:05.678\"", "2020-01-02T03:04:05.678")]);
    values("TIMESTAMP(9)", &[("\"2020-01-02 03:04:05.123456789\"", "2020-01-02T03:04:05.123456789")]);
    wrong(
        "TIMESTAMP(3)",
        &["\"2020-01-02T03:04:05\"", "1577836800000", "\"2020-1-2 00:00:00\"", "\"2020-01-02 03:04:05Z\""],
    );
    values("TIMESTAMP_LTZ(3)", &[("\"2020-01-02 03:04:05Z\"", "2020-01-02T03:04:05Z")]);
    wrong("TIMESTAMP_LTZ(3)", &["\"2020-01-02 03:04:05\""]);
    values("INTERVAL MONTH", &[("14", "1 years 2 mons")]);
    values("ARRAY<INT>", &[("[1,null,\"3\"]", "[1, NULL, 3]"), ("[]", "[]")]);
    wrong("ARRAY<INT>", &["1", "{}", "\"[1]\""]);
    values("MAP<STRING, INT>", &[("{\"x\":1,\"y\":null,\"x\":2}", "{x: 2, y: NULL}"), ("{}", "{}")]);
    values("MULTISET<STRING>", &[("{\"x\":2}", "{x: 2}")]);
    wrong("MAP<STRING, INT>", &["[]"]);
    values(
        "ROW<x INT, y ROW<z STRING>>",
        &[("{\"y\":{\"z\":\"q\",\"w\":[{}]},\"x\":1}", "{x: 1, y: {z: q}}"), ("{}", "{x: NULL, y: NULL}")],
    );
    wrong("ROW<x INT>", &["1", "[]"]);
}

#[test]
fn fields_are_found_by_name() {
    let row = "ROW<a INT, b STRING>";
    table(
        row,
        &[],
        &[
            ("{\"b\":\"x\",\"c\":{\"a\":9},\"a\":1}\n{\"a\":2,\"b\":\"y\"}\n", &["1|x", "2|y"]),
            ("{\"a\":1,\"a\":2,\"b\":\"x\"}", &["2|x"]),
            ("{}\n\n  \r\n{\"a\":1}\r\n", &["NULL|NULL", "1|NULL"]),
            ("[{\"a\":1},null,{\"a\":2}]\n{\"a\":3}", &["1|NULL", "2|NULL", "3|NULL"]),
            ("\u{feff}{\"\\u0061\":1}", &["1|NULL"]),
            ("", &[]),
        ],
    );
    let projected = context("ROW<a INT, b STRING, c INT>", "ROW<c INT, a INT>", &[]);
    assert_eq!(rows(&JsonFormat, &projected, b"{\"a\":1,\"b\":2,\"c\":3}").unwrap(), ["3|1"]);
}

#[test]
fn options() {
    table(
        "ROW<a TIMESTAMP(3), b TIMESTAMP_LTZ(3)>",
        &[("timestamp-format.standard", "ISO-8601")],
        &[(
            "{\"a\":\"2020-01-02T03:04\",\"b\":\"2020-01-02T03:04:05.5Z\"}",
            &["2020-01-02T03:04:00|2020-01-02T03:04:05.500Z"],
        )],
    );
    table(
        "ROW<a INT, b ARRAY<INT>, c ROW<x INT>>",
        &[("ignore-parse-errors", "true")],
        &[
            ("{\"a\":\"x\",\"b\":[1,\"y\"],\"c\":{\"x\":[]}}", &["NULL|[1, NULL]|{x: NULL}"]),
            ("{\"a\":1\n{\"a\":2}\nnonsense\n[1]\n{\"a\":3} x\n", &["2|NULL|NULL"]),
        ],
    );
    table("ROW<a INT NOT NULL>", &[("ignore-parse-errors", "true")], &[("{\"a\":\"x\"}\n{}\n{\"a\":1}", &["1"])]);
    let row = "ROW<a INT, b INT>";
    let e =
        error(&JsonFormat, &context(row, row, &[("fail-on-missing-field", "true")]), b"{\"a\":1,\"b\":2}\n{\"a\":1}");
    assert!(e.to_string().contains("Could not find field with name 'b'") && e.context("row") == Some("2"), "{e}");
    let c = context("ROW<a MAP<INT, INT>>", "ROW<a MAP<INT, INT>>", &[]);
    let e = stream(&JsonFormat, &c).err().unwrap().to_string();
    assert!(e.contains("doesn't support non-string as key type of map. The type is: MAP<INT, INT>"), "{e}");
    let c = context(row, row, &[("decode.json-parser.enabled", "false"), ("map-null-key.mode", "LITERAL")]);
    assert_eq!(stream(&JsonFormat, &c).unwrap().splittable(), Splittable::AtLineBreak);
}

#[test]
fn errors_say_where_and_what_to_do() {
    let row = "ROW<id BIGINT, items ARRAY<ROW<price INT NOT NULL>>>";
    let c = context(row, row, &[]);
    let e = error(&JsonFormat, &c, b"{\"id\":1}\n{\"id\":\"abc\"}\n");
    assert_eq!(
        e.to_string(),
        "'\"abc\"' is not a valid BIGINT (column id, file f.txt, row 2). Set 'json.ignore-parse-errors' = 'true' to read wrong fields as NULL and to skip records that are no JSON"
    );
    let e = error(&JsonFormat, &c, b"{\"items\":[{\"price\":1},{\"price\":\"x\"}]}");
    assert_eq!(e.context("column"), Some("items[].price"));
    let e = error(&JsonFormat, &c, b"{\"items\":[{\"price\":null}]}");
    assert!(e.to_string().contains("NULL, but the column is declared INT NOT NULL"), "{e}");
    for (text, part) in [
        (&b"{\"id\":1"[..], "the text ends inside an object"),
        (b"{\"id\":1}}", "more text follows the value"),
        (b"{\"id\":01}", "this is not a number"),
        (b"{\"id\":tru}", "expected true, false or null"),
        (b"{\"id\":1,}", "behind the comma"),
        (b"{\"id\":\"\xff\"}", "is not valid UTF-8"),
        (b"{\"id\":\"a\tb\"}", "control character"),
        (b"[{\"id\":1}", "the text ends inside"),
        (b"null", "expected an object"),
        (b"5", "expected an object"),
    ] {
        let e = error(&JsonFormat, &c, text);
        assert!(e.to_string().contains(part), "{}: {e}", String::from_utf8_lossy(text));
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
    assert!(error(&JsonFormat, &c, deep.as_bytes()).to_string().contains("DEPTH_MAX"));
}

#[test]
fn encoding_is_jacksons() {
    for (row, options, json, text) in [
        (
            "ROW<a INT, b STRING>",
            &[][..],
            "{\"a\":1,\"b\":\"é\\n\\u0001\\\"\"}",
            "{\"a\":1,\"b\":\"é\\n\\u0001\\\"\"}\n",
        ),
        ("ROW<a INT, b STRING>", &[], "{}", "{\"a\":null,\"b\":null}\n"),
        ("ROW<a INT, b ROW<x INT>>", &[("encode.ignore-null-fields", "true")], "{\"b\":{}}", "{\"b\":{}}\n"),
        ("ROW<a DOUBLE, b DOUBLE>", &[], "{\"a\":1e10,\"b\":\"NaN\"}", "{\"a\":1.0E10,\"b\":\"NaN\"}\n"),
        ("ROW<a DECIMAL(20, 10)>", &[], "{\"a\":0.000000027}", "{\"a\":2.7E-8}\n"),
        (
            "ROW<a DECIMAL(20, 10)>",
            &[("encode.decimal-as-plain-number", "true")],
            "{\"a\":0.000000027}",
            "{\"a\":0.0000000270}\n",
        ),
        (
            "ROW<a TIMESTAMP(3), b TIMESTAMP_LTZ(3)>",
            &[],
            "{\"a\":\"2020-01-02 03:04:05.120\",\"b\":\"2020-01-02 03:04:05Z\"}",
            "{\"a\":\"2020-01-02 03:04:05.12\",\"b\":\"2020-01-02 03:04:05Z\"}\n",
        ),
        (
            "ROW<a TIMESTAMP(3)>",
            &[("timestamp-format.standard", "ISO-8601")],
            "{\"a\":\"2020-01-02 03:04:05\"}",
            "{\"a\":\"2020-01-02T03:04:05\"}\n",
        ),
        (
            "ROW<a DATE, b TIME(0), c BYTES>",
            &[],
            "{\"a\":\"2020-01-02\",\"b\":\"01:02:03\",\"c\":\"aGk=\"}",
            "{\"a\":\"2020-01-02\",\"b\":\"01:02:03\",\"c\":\"aGk=\"}\n",
        ),
        (
            "ROW<a ARRAY<INT>, b MAP<STRING, BOOLEAN>>",
            &[],
            "{\"a\":[1,null],\"b\":{\"x\":true,\"y\":null}}",
            "{\"a\":[1,null],\"b\":{\"x\":true,\"y\":null}}\n",
        ),
    ] {
        let plain = context(row, row, &[]);
        let mut decoder = stream(&JsonFormat, &plain).unwrap().create(true).unwrap();
        let batch = decode_all(decoder.as_mut(), json.as_bytes(), 100, |_| 1000).unwrap().one(&plain.schema);
        let written = encode(&JsonFormat, &context(row, row, options), &batch);
        assert_eq!(String::from_utf8_lossy(&written), text, "{row} {json}");
    }
}

#[test]
fn messages_are_values() {
    let c = context("ROW<a INT>", "ROW<a INT>", &[]);
    let mut decoder = messages(&JsonFormat, &c);
    assert_eq!(decoder.decode(Some(b"{\n \"a\" : 1\n}\n"), &position(0, 0)).unwrap(), 1);
    assert_eq!(decoder.decode(Some(b"[{\"a\":2},{\"a\":3}]"), &position(0, 0)).unwrap(), 2);
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 0);
    assert_eq!(decoder.decode(Some(b""), &position(0, 0)).unwrap(), 0);
    decoder.decode(Some(b"[{\"a\":4},{\"a\":\"x\"}]"), &position(0, 0)).expect_err("a wrong element");
    assert_eq!(shown(&decoder.flush().unwrap().rows), ["1", "2", "3"]);
    assert_eq!(decoder.flush().unwrap().num_rows(), 0);
}

const ROUND_TRIP: &str = "ROW<a BOOLEAN, b TINYINT, c SMALLINT, d INT, e BIGINT, f FLOAT, g DOUBLE, h STRING, i BYTES, j DECIMAL(20, 5), k DATE, l TIME(3), m TIMESTAMP(3), n TIMESTAMP(9), o TIMESTAMP_LTZ(6), `p \"q\"` ARRAY<STRING>, r ROW<x INT, y ARRAY<DOUBLE>>, s MAP<STRING, BIGINT>, t DECIMAL(38, 0)>";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(batch in batch(ROUND_TRIP, 20), style in 0usize..3) {
        let options: &[(&str, &str)] = [
            &[][..],
            &[("timestamp-format.standard", "ISO-8601"), ("encode.decimal-as-plain-number", "true")],
            &[("encode.ignore-null-fields", "true")],
        ][style];
        let c = context(ROUND_TRIP, ROUND_TRIP, options);
        let text = encode(&JsonFormat, &c, &batch);
        for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok());
        }
        let mut decoder = stream(&JsonFormat, &c).unwrap().create(true).unwrap();
        let back = decode_all(decoder.as_mut(), &text, 7, |_| 100).unwrap();
        prop_assert_eq!(back.consumed, text.len());
        prop_assert_eq!(shown(&back.one(&c.schema)), shown(&batch));
    }

    #[test]
    fn pieces_do_not_matter(
        lines in prop::collection::vec(prop_oneof![
            Just("{\"a\":1,\"b\":\"x\"}"), Just("{}"), Just(""), Just("{\"a\":"), Just("[{\"a\":1},{\"a\":2}]"), Just("{\"b\":\"\u{e9}\"}\r"),
        ], 0..30),
        pieces in prop::collection::vec(1usize..60, 1..8),
        max_rows in 1usize..9,
    ) {
        let text = lines.join("\n");
        let row = "ROW<a INT, b STRING>";
        let c = context(row, row, &[("ignore-parse-errors", "true")]);
        let factory = stream(&JsonFormat, &c).unwrap();
        let whole = decode_all(factory.create(true).unwrap().as_mut(), text.as_bytes(), usize::MAX, |_| usize::MAX / 2).unwrap();
        let mut turn = 0;
        let cut = decode_all(factory.create(true).unwrap().as_mut(), text.as_bytes(), max_rows, |_| {
            turn += 1;
            pieces[turn % pieces.len()]
        })
        .unwrap();
        prop_assert_eq!(shown(&whole.one(&c.schema)), shown(&cut.one(&c.schema)));
        prop_assert_eq!((whole.consumed, whole.records, whole.skipped), (cut.consumed, cut.records, cut.skipped));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\",:ab 1.e\\\\u-]{0,60}".prop_map(String::into_bytes),
            "\\{\"b\":[\\[\\]{}\",:ab 1.e\\\\u-]{0,30}\\}".prop_map(String::into_bytes),
        ],
        kind in kinds(),
        ignore in any::<bool>(),
    ) {
        let row = format!("ROW<a STRING, b {kind}>");
        let c = context(&row, &row, &[("ignore-parse-errors", if ignore { "true" } else { "false" })]);
        let factory = stream(&JsonFormat, &c).unwrap();
        let result = decode_all(factory.create(true).unwrap().as_mut(), &text, 10, |_| 50);
        prop_assert!(result.is_ok() || !ignore);
        let mut decoder = messages(&JsonFormat, &c);
        let before = decoder.decode(Some(&text), &position(0, 0)).unwrap_or(0);
        prop_assert_eq!(decoder.flush().unwrap().num_rows(), before);
    }
}
