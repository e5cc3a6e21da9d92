//! csv: values of every type, every option, every error.

use flott_connector::format::Splittable;
use flott_core::ErrorKind;
use flott_format::csv::CsvFormat;
use proptest::prelude::*;

use crate::random::{batch, kinds};
use crate::support::*;

fn table(row: &str, options: &[(&str, &str)], cases: &[(&str, &[&str])]) {
    let context = context(row, row, options);
    for (text, expected) in cases {
        let found = rows(&CsvFormat, &context, text.as_bytes()).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(found, *expected, "{row} {text:?}");
    }
}

fn fails(row: &str, options: &[(&str, &str)], cases: &[(&str, &str)]) {
    let context = context(row, row, options);
    for (text, part) in cases {
        let e = error(&CsvFormat, &context, text.as_bytes());
        assert_eq!(e.kind(), ErrorKind::Data, "{text:?}");
        assert!(e.to_string().contains(part), "{text:?}: {e}");
    }
}

#[test]
fn values_of_every_type() {
    table("ROW<a BIGINT>", &[], &[("1\n-2\n +3 \n\"4\"\n", &["1", "-2", "3", "4"])]);
    table("ROW<a TINYINT, b SMALLINT, c INT>", &[], &[("-128,32767,-2147483648", &["-128|32767|-2147483648"])]);
    table("ROW<a FLOAT, b DOUBLE>", &[], &[("1.5, 2.5e3 \nNaN,-Infinity", &["1.5|2500.0", "NaN|-inf"])]);
    table("ROW<a BOOLEAN>", &[], &[("true\nTRUE\nfalse\nyes\n", &["true", "true", "false", "false"])]);
    table(
        "ROW<a DECIMAL(5, 2)>",
        &[],
        &[("1.5\n1.005\n1E2\n99999\n -3 ", &["1.50", "1.01", "100.00", "NULL", "-3.00"])],
    );
    table("ROW<a STRING, b CHAR(2)>", &[], &[("x, y \n,\n\"a,b\",\"\"\"\"", &["x| y ", "|", "a,b|\""])]);
    table("ROW<a BYTES>", &[], &[("aGk=\naGk\n\"\"", &["6869", "6869", ""])]);
    table("ROW<a DATE>", &[], &[("2020-02-29\n2020-1-2", &["2020-02-29", "2020-01-02"])]);
    table("ROW<a TIME(0)>", &[], &[("01:02:03.9\n01:02", &["01:02:03", "01:02:00"])]);
    table("ROW<a TIME(3)>", &[], &[("01:02:03.987", &["01:02:03.987"])]);
    table(
        "ROW<a TIMESTAMP(3), b TIMESTAMP(9)>",
        &[],
        &[(
            "2020-01-02 03:04:05,2020-01-02 03:04:05.123456789",
            &["2020-01-02T03:04:05|2020-01-02T03:04:05.123456789"],
        )],
    );
    table("ROW<a TIMESTAMP_LTZ(3)>", &[], &[("2020-01-02 03:04:05.5Z", &["2020-01-02T03:04:05.500Z"])]);
    table("ROW<a ARRAY<INT>>", &[], &[("1;2;3\n\n5", &["[1, 2, 3]", "[]", "[5]"])]);
    table("ROW<a ROW<x INT, y STRING>, b INT>", &[], &[("1;z,7\n,8", &["{x: 1, y: z}|7", "NULL|8"])]);
}

#[test]
fn records_and_line_breaks() {
    let row = "ROW<a STRING, b STRING>";
    table(
        row,
        &[],
        &[
            ("a,b", &["a|b"]),
            ("a,b\r\nc,d\r\n", &["a|b", "c|d"]),
            ("a,b\rc,d", &["a|b", "c|d"]),
            ("\"x\ny\",\"1\r\n2\"\n", &["x\ny|1\r\n2"]),
            ("a,b,\n", &["a|b"]),
            ("a,b,  \n", &["a|b"]),
            ("a\"b,\"c\" \n", &["a\"b|c"]),
            ("\u{feff}a,b\n", &["a|b"]),
            ("", &[]),
            ("\u{feff}", &[]),
            ("é,😀\n", &["é|😀"]),
        ],
    );
    table("ROW<a STRING>", &[], &[("\n\nx\n", &["", "", "x"])]);
}

#[test]
fn options() {
    let row = "ROW<a STRING, b INT>";
    table(row, &[("field-delimiter", "\\t")], &[("x\t1\n", &["x|1"])]);
    table(row, &[("field-delimiter", "¦")], &[("x¦1\ny¦2", &["x|1", "y|2"])]);
    table(row, &[("quote-character", "'")], &[("'x,''y',1\n", &["x,'y|1"])]);
    table(row, &[("disable-quote-character", "true")], &[("\"x,1\n", &["\"x|1"])]);
    table(row, &[("allow-comments", "true")], &[("#c,1,2,3\n\n  \nx,1\n#end", &["x|1"])]);
    table(row, &[("null-literal", "n/a")], &[("n/a,n/a\n\"n/a\",1", &["NULL|NULL", "NULL|1"])]);
    table(row, &[("null-literal", "")], &[(",\nx,1", &["NULL|NULL", "x|1"])]);
    table(row, &[("null-literal", "0")], &[("0,0\n00,00", &["NULL|NULL", "00|0"])]);
    table(row, &[("escape-character", "\\")], &[("a\\,\\n\\\\\\\"b,1\n\"x\\\"y\",2", &["a,\n\\\"b|1", "x\"y|2"])]);
    table(row, &[("trim-spaces", "true")], &[("  x y , 1 \n \" z \" ,2", &["x y|1", " z |2"])]);
    table(row, &[("empty-string-as-null", "true")], &[(",\n\"\",1", &["NULL|NULL", "NULL|1"])]);
    table(
        row,
        &[("ignore-first-line", "true")],
        &[("a,b\nx,1\n", &["x|1"]), ("\u{feff}a,b\nx,1\n", &["x|1"]), ("a,b", &[])],
    );
    table(row, &[("ignore-trailing-unmappable", "true")], &[("x,1,2,3\n", &["x|1"])]);
    table("ROW<a ARRAY<STRING>>", &[("array-element-delimiter", "|")], &[("a|b;c", &["[a, b;c]"])]);
    table("ROW<a ARRAY<STRING>>", &[("null-literal", "-")], &[("a;-;b\n-", &["[a, NULL, b]", "[NULL]"])]);
    table(
        "ROW<a INT, b TIMESTAMP(3), c ARRAY<INT>>",
        &[("ignore-parse-errors", "true")],
        &[
            ("x,y,1;z\n1,2020-01-01 00:00:00,2", &["NULL|NULL|[1, NULL]", "1|2020-01-01T00:00:00|[2]"]),
            ("1\n\n1,2,3,4\n\"1\"x,2,3\n2,,\n\"3", &["1|NULL|NULL", "NULL|NULL|NULL", "2|NULL|[]"]),
        ],
    );
    table(
        "ROW<a INT, b INT>",
        &[("ignore-parse-errors", "true"), ("fail-on-missing-columns", "true")],
        &[("1\n2,3\n", &["2|3"])],
    );
    table("ROW<a INT NOT NULL, b INT>", &[("ignore-parse-errors", "true")], &[("x,1\n2,y\n", &["2|NULL"])]);
}

#[test]
fn errors_say_where_and_what_to_do() {
    let c = context("ROW<id BIGINT, price INT>", "ROW<id BIGINT, price INT>", &[]);
    let e = error(&CsvFormat, &c, b"1,2\n3,abc\n4,5\n");
    assert_eq!(
        e.to_string(),
        "'abc' is not a valid INT (column price, file f.txt, row 2). Set 'csv.ignore-parse-errors' = 'true' to read wrong fields as NULL and to skip malformed records"
    );
    // An empty field most often means NULL.
    let e = error(&CsvFormat, &c, b"1,2\n3,\n");
    assert!(
        e.to_string().contains("'' is not a valid INT") && e.to_string().contains("'csv.null-literal' = ''"),
        "{e}"
    );
    let advised = context("ROW<id BIGINT, price INT>", "ROW<id BIGINT, price INT>", &[("null-literal", "")]);
    assert_eq!(rows(&CsvFormat, &advised, b"3,\n").expect("rows"), ["3|NULL"]);
    // The first wrong record, whichever column it is in.
    let e = error(&CsvFormat, &c, b"1,2\n3,abc\nx,5\n");
    assert_eq!((e.context("row"), e.context("column")), (Some("2"), Some("price")));
    let e = error(&CsvFormat, &c, b"1,2\ny,abc\n");
    assert_eq!((e.context("row"), e.context("column")), (Some("2"), Some("id")));
    fails(
        "ROW<a INT, b STRING>",
        &[],
        &[
            (",x", "'' is not a valid INT"),
            ("1.0,x", "'1.0' is not a valid INT"),
            ("2147483648,x", "'2147483648' is not a valid INT"),
            ("1\n", "Row length mismatch. 2 fields expected but was 1"),
            ("1,x\n\n", "Row length mismatch. 2 fields expected but was 1"),
            ("1,x,y\n", "too many fields: 2 expected but there are 3"),
            ("1,x,,\n", "too many fields"),
            ("1,\"x\n", "the closing quote is missing"),
            ("1,\"x\"y\n", "text stands behind a closing quote"),
        ],
    );
    fails("ROW<a TIMESTAMP(3)>", &[], &[("2020-01-01T00:00:00", "expected yyyy-MM-dd HH:mm:ss[.fraction]")]);
    fails("ROW<a TIMESTAMP(9)>", &[], &[("9999-01-01 00:00:00", "not a valid TIMESTAMP(9)")]);
    fails("ROW<a TIMESTAMP_LTZ(3)>", &[], &[("2020-01-01 00:00:00", "[.fraction]Z")]);
    fails("ROW<a DATE>", &[], &[("2021-02-30", "expected yyyy-MM-dd")]);
    fails("ROW<a BYTES>", &[], &[("!", "expected base64")]);
    fails("ROW<a ROW<x INT, y INT>>", &[], &[("1", "not a valid ROW"), ("1;2;3", "not a valid ROW")]);
    fails(
        "ROW<a STRING NOT NULL>",
        &[("null-literal", "-")],
        &[("x\n-", "is NULL, but the column is declared STRING NOT NULL")],
    );
    fails("ROW<a ARRAY<INT NOT NULL>>", &[("null-literal", "-")], &[("1;-", "not a valid ARRAY")]);
    fails("ROW<a DECIMAL(4, 1)>", &[], &[("1,5", "too many fields"), ("abc", "not a valid DECIMAL(4, 1)")]);
    let long = "x".repeat(200);
    let e = error(&CsvFormat, &context("ROW<a INT>", "ROW<a INT>", &[]), long.as_bytes());
    assert!(e.to_string().starts_with(&format!("'{}…' is not", "x".repeat(100))));
}

#[test]
fn the_first_record_with_something_wrong_is_named() {
    let row = |declared: &str, options: &[(&str, &str)], text: &str| {
        let e = error(&CsvFormat, &context(declared, declared, options), text.as_bytes());
        (e.context("row").map(str::to_string), e.to_string())
    };
    let good = "1,2\n".repeat(20);
    for later in ["1\n", "1,2,3\n", "1,\"2\n", "1,\"2\"x\n"] {
        // A wrong value, and a record that is none behind it.
        let (named, text) = row("ROW<a INT, b INT>", &[], &format!("{good}1,x\n{good}{later}{good}"));
        assert!(named.as_deref() == Some("21") && text.contains("'x' is not a valid INT"), "{later:?}: {text}");
        // The other way around.
        let (named, text) = row("ROW<a INT, b INT>", &[], &format!("{good}{later}{good}1,x\n{good}"));
        assert!(named.as_deref() == Some("21") && text.contains("Malformed"), "{later:?}: {text}");
    }
    let (named, text) = row("ROW<a INT NOT NULL, b INT>", &[("null-literal", "n")], "1,2\nn,2\n1\n");
    assert!(named.as_deref() == Some("2") && text.contains("declared INT NOT NULL"), "{text}");
    // Of wrong values that of the first record, whichever column it is in.
    let (named, _) = row("ROW<a INT, b INT>", &[], "1,2\n1,2\n1,x\nx,2\n");
    assert_eq!(named.as_deref(), Some("3"));
    // A record that is too long, without its end and with it, quoted or not.
    let long = "y".repeat(17 << 20);
    for long in [format!("1,{long}"), format!("1,{long}\n"), format!("1,\"{long}\"\n1\n"), format!("1,{long}\nx,2\n")] {
        let what = long.len();
        let (named, text) = row("ROW<a INT, b STRING>", &[], &format!("{good}{long}"));
        assert!(named.as_deref() == Some("21") && text.contains("longer than 16 MiB"), "{what}: {text}");
        let (named, text) = row("ROW<a INT, b STRING>", &[], &format!("{good}x,2\n{long}"));
        assert!(named.as_deref() == Some("21") && text.contains("'x' is not a valid INT"), "{what}: {text}");
    }
}

#[test]
fn text_that_is_not_utf8_is_an_error_or_null() {
    let strings = "ROW<a STRING, b STRING>";
    let e = error(&CsvFormat, &context(strings, strings, &[]), b"a,b\nc,\xff\n");
    assert!(e.to_string().contains("is not valid UTF-8") && e.context("row") == Some("2"), "{e}");
    // Two halves of a character in neighbouring rows.
    let one = "ROW<a STRING>";
    let e = error(&CsvFormat, &context(one, one, &[]), b"\xc3\n\xa9\n");
    assert_eq!(e.context("row"), Some("1"));
    let ignore = context(strings, strings, &[("ignore-parse-errors", "true")]);
    assert_eq!(rows(&CsvFormat, &ignore, b"a,b\nc,\xff\n").unwrap(), ["a|b", "c|NULL"]);
}

#[test]
fn projection_parses_only_what_is_wanted() {
    let declared = "ROW<a INT, b STRING, c TIMESTAMP(3)>";
    let wanted = context(declared, "ROW<b STRING, a INT>", &[]);
    assert_eq!(rows(&CsvFormat, &wanted, b"1,x,not a time\n2,\"y,z\",\n").unwrap(), ["x|1", "y,z|2"]);
    let none = context(declared, "ROW<>", &[]);
    let mut decoder = stream(&CsvFormat, &none).unwrap().create(true).unwrap();
    let all = decode_all(decoder.as_mut(), b"1,x,\n2,y,\n", 100, |_| 1000).unwrap();
    assert_eq!(all.batches.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
}

#[test]
fn unsupported_types_and_splits() {
    for (row, part) in [
        ("ROW<a MAP<STRING, INT>>", "Unsupported type 'MAP<STRING, INT>' for field 'a'"),
        ("ROW<a ARRAY<ARRAY<INT>>>", "Unsupported type"),
        ("ROW<a INTERVAL MONTH>", "Unsupported type"),
        ("ROW<a TIME(6)>", "precision of 0 to 3"),
        ("ROW<>", "1 to 4096 columns"),
    ] {
        let c = context(row, row, &[]);
        let e = stream(&CsvFormat, &c).err().expect(row).to_string();
        assert!(e.contains(part), "{e}");
    }
    let splittable = |options: &[(&str, &str)]| {
        stream(&CsvFormat, &context("ROW<a INT>", "ROW<a INT>", options)).unwrap().splittable()
    };
    assert_eq!(splittable(&[]), Splittable::OutsideQuotes(b'"'));
    assert_eq!(splittable(&[("quote-character", "'")]), Splittable::OutsideQuotes(b'\''));
    assert_eq!(splittable(&[("disable-quote-character", "true")]), Splittable::AtLineBreak);
    assert_eq!(splittable(&[("escape-character", "\\")]), Splittable::No);
}

#[test]
fn a_record_without_end_is_refused() {
    let mut text = b"1,\"".to_vec();
    text.resize(flott_format::csv::RECORD_BYTES_MAX + 100, b'x');
    let c = context("ROW<a INT, b STRING>", "ROW<a INT, b STRING>", &[]);
    let mut decoder = stream(&CsvFormat, &c).unwrap().create(true).unwrap();
    let e = decoder.decode(&text, false, 10, &position(0, 0)).expect_err("too long");
    assert!(e.to_string().contains("RECORD_BYTES_MAX"), "{e}");
}

#[test]
fn a_long_input_of_short_records_is_fine() {
    let row = "1,abc\n";
    let text = row.repeat(flott_format::csv::RECORD_BYTES_MAX / row.len() + 1000);
    let c = context("ROW<a INT, b STRING>", "ROW<a INT, b STRING>", &[]);
    let mut decoder = stream(&CsvFormat, &c).unwrap().create(true).unwrap();
    let decoded = decoder.decode(text.as_bytes(), false, 10, &position(0, 0)).unwrap();
    assert_eq!((decoded.records, decoded.consumed), (10, 10 * row.len()));
}

#[test]
fn encoding_is_jacksons() {
    for (row, options, json, text) in [
        ("ROW<a INT, b STRING>", &[][..], "{\"a\":1,\"b\":\"x\"}\n{}", "1,x\n,\n"),
        (
            "ROW<a STRING>",
            &[],
            "{\"a\":\"a b\"}\n{\"a\":\"a-b\"}\n{\"a\":\"\"}\n{\"a\":\"x\\\"y\"}",
            "\"a b\"\na-b\n\n\"x\"\"y\"\n",
        ),
        ("ROW<a STRING>", &[], "{\"a\":\"abcdefghijklmnopqrstuvwxy\"}", "\"abcdefghijklmnopqrstuvwxy\"\n"),
        ("ROW<a TIMESTAMP(3)>", &[], "{\"a\":\"2020-01-02 03:04:05.120\"}", "\"2020-01-02 03:04:05.12\"\n"),
        ("ROW<a TIMESTAMP_LTZ(3)>", &[], "{\"a\":\"2020-01-02 03:04:05Z\"}", "\"2020-01-02 03:04:05Z\"\n"),
        ("ROW<a DATE, b TIME(3)>", &[], "{\"a\":\"2020-01-02\",\"b\":\"01:02:03.5\"}", "2020-01-02,01:02:03.5\n"),
        ("ROW<a DOUBLE, b FLOAT>", &[], "{\"a\":1e10,\"b\":0.5}", "1.0E10,0.5\n"),
        ("ROW<a DECIMAL(10, 2)>", &[], "{\"a\":100000}\n{\"a\":1.50}", "1E+5\n1.5\n"),
        (
            "ROW<a DECIMAL(10, 2)>",
            &[("write-bigdecimal-in-scientific-notation", "false")],
            "{\"a\":100000}",
            "100000\n",
        ),
        ("ROW<a BYTES, b BOOLEAN>", &[], "{\"a\":\"aGk=\",\"b\":true}", "aGk=,true\n"),
        ("ROW<a ARRAY<INT>, b ROW<x INT, y STRING>>", &[], "{\"a\":[1,null,2],\"b\":{\"x\":1}}", "1;;2,1;\n"),
        ("ROW<a STRING, b INT>", &[("null-literal", "NULL")], "{}", "NULL,NULL\n"),
        ("ROW<a STRING>", &[("field-delimiter", "\\t")], "{\"a\":\"x,y\"}\n{\"a\":\"x\\ty\"}", "x,y\n\"x\ty\"\n"),
        ("ROW<a STRING>", &[("disable-quote-character", "true")], "{\"a\":\"x,y\"}", "x,y\n"),
        ("ROW<a STRING>", &[("escape-character", "\\")], "{\"a\":\"x\\\\\\\"y\"}", "\"x\\\\\"\"y\"\n"),
    ] {
        let plain = context(row, row, &[]);
        let mut decoder = stream(&flott_format::json::JsonFormat, &plain).unwrap().create(true).unwrap();
        let batch = decode_all(decoder.as_mut(), json.as_bytes(), 100, |_| 1000).unwrap().one(&plain.schema);
        let written = encode(&CsvFormat, &context(row, row, options), &batch);
        assert_eq!(String::from_utf8_lossy(&written), text, "{row} {json}");
    }
}

#[test]
fn messages_are_records() {
    let c = context("ROW<a INT, b STRING>", "ROW<a INT, b STRING>", &[]);
    let mut decoder = messages(&CsvFormat, &c);
    assert_eq!(decoder.decode(Some(b"1,x"), &position(0, 0)).unwrap(), 1);
    assert_eq!(decoder.decode(Some(b"2,\"y\nz\"\n"), &position(0, 0)).unwrap(), 1);
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 0);
    assert_eq!(decoder.decode(Some(b""), &position(0, 0)).unwrap(), 0);
    let e = decoder.decode(Some(b"3,x,y"), &position(0, 7)).expect_err("too many");
    assert!(e.to_string().contains("too many fields") && e.context("row") == Some("8"), "{e}");
    decoder.decode(Some(b"x,y"), &position(0, 0)).expect_err("no number");
    assert_eq!(shown(&decoder.flush().unwrap().rows), ["1|x", "2|y\nz"]);
    assert_eq!(decoder.flush().unwrap().num_rows(), 0);
}

const ROUND_TRIP: &str = "ROW<a BOOLEAN, b TINYINT, c SMALLINT, d INT, e BIGINT, f FLOAT, g DOUBLE, h STRING, i BYTES, j DECIMAL(20, 5), k DATE, l TIME(3), m TIMESTAMP(3), n TIMESTAMP(9), o TIMESTAMP_LTZ(6), p DECIMAL(38, 0)>";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(batch in batch(ROUND_TRIP, 40), style in 0usize..5) {
        let options: &[(&str, &str)] = [
            &[("null-literal", "\u{1}nix")][..],
            &[("null-literal", "\u{1}nix"), ("field-delimiter", "\\t"), ("quote-character", "'")],
            &[("null-literal", "\u{1}nix"), ("escape-character", "\\")],
            &[("null-literal", "\u{1}nix"), ("field-delimiter", "¦")],
            &[("null-literal", "\u{1}nix"), ("write-bigdecimal-in-scientific-notation", "false")],
        ][style];
        let c = context(ROUND_TRIP, ROUND_TRIP, options);
        let text = encode(&CsvFormat, &c, &batch);
        let mut decoder = stream(&CsvFormat, &c).unwrap().create(true).unwrap();
        let back = decode_all(decoder.as_mut(), &text, 7, |_| 100).unwrap();
        prop_assert_eq!(back.consumed, text.len());
        prop_assert_eq!(shown(&back.one(&c.schema)), shown(&batch));
        // Messages give the same.
        let mut decoder = messages(&CsvFormat, &c);
        for row in 0..batch.num_rows() {
            let message = encode(&CsvFormat, &c, &batch.slice(row, 1));
            prop_assert_eq!(decoder.decode(Some(&message), &position(0, 0)).unwrap(), 1);
        }
        prop_assert_eq!(shown(&decoder.flush().unwrap().rows), shown(&batch));
    }

    #[test]
    fn pieces_do_not_matter(
        text in prop::collection::vec(
            prop_oneof![6 => Just(b'1'), 4 => Just(b','), 4 => Just(b'\n'), 1 => Just(b'"'), 1 => Just(b'\r'), 1 => Just(b' '), 1 => Just(b'x'), 1 => Just(b'\\')],
            0..400,
        ),
        pieces in prop::collection::vec(1usize..90, 1..8),
        max_rows in 1usize..20,
        style in 0usize..4,
    ) {
        let options: &[(&str, &str)] = [
            &[("ignore-parse-errors", "true")][..],
            &[("ignore-parse-errors", "true"), ("escape-character", "\\")],
            &[("ignore-parse-errors", "true"), ("disable-quote-character", "true"), ("ignore-first-line", "true")],
            &[("ignore-parse-errors", "true"), ("allow-comments", "true"), ("trim-spaces", "true")],
        ][style];
        let row = "ROW<a INT, b STRING>";
        let c = context(row, row, options);
        let factory = stream(&CsvFormat, &c).unwrap();
        let whole = decode_all(factory.create(true).unwrap().as_mut(), &text, usize::MAX, |_| usize::MAX / 2).unwrap();
        let mut turn = 0;
        let cut = decode_all(factory.create(true).unwrap().as_mut(), &text, max_rows, |_| {
            turn += 1;
            pieces[turn % pieces.len()]
        })
        .unwrap();
        prop_assert_eq!(shown(&whole.one(&c.schema)), shown(&cut.one(&c.schema)));
        prop_assert_eq!((whole.consumed, whole.records, whole.skipped), (cut.consumed, cut.records, cut.skipped));
        prop_assert_eq!(whole.consumed, text.len());
    }

    /// With an escape character, which nothing has, all is scanned byte by byte and parsed one by one.
    #[test]
    fn many_at_a_time_is_as_one_by_one(
        cells in prop::collection::vec(
            prop_oneof![
                20 => "-?[0-9]{1,3}",
                6 => "[-+]?[0-9]{1,19}",
                20 => "2024-02-2[89] [01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?",
                1 => "\"[-0-9 ]{0,3}\"",
                1 => " ?[0-9]{0,3} ?",
                1 => "[0-9é\"]{0,4}",
                1 => "nix",
            ],
            1..700,
        ),
        records in 1usize..150,
        crlf in any::<bool>(),
        last_break in any::<bool>(),
        pieces in prop::collection::vec(1usize..4_000, 1..8),
        max_rows in prop_oneof![1usize..200, Just(usize::MAX)],
    ) {
        const COLUMNS: [&str; 6] = ["a BIGINT", "b INT", "c TINYINT", "d TIMESTAMP(3)", "e TIMESTAMP(6)", "f TIMESTAMP(9)"];
        let row = format!("ROW<{}>", COLUMNS.join(", "));
        let is_time = |cell: &str| cell.contains(':');
        let (times, numbers): (Vec<&String>, Vec<&String>) = cells.iter().partition(|cell| is_time(cell));
        let mut text = String::new();
        for record in 0..records {
            for column in 0..COLUMNS.len() {
                // Mostly what belongs there.
                let from = if column < 3 || times.is_empty() { &numbers } else { &times };
                text.push_str(if column == 0 { "" } else { "," });
                text.push_str(from.get((record * COLUMNS.len() + column) % from.len().max(1)).map_or("7", |cell| cell));
            }
            text.push_str(if record + 1 == records && !last_break { "" } else if crlf { "\r\n" } else { "\n" });
        }
        for more in [&[][..], &[("ignore-parse-errors", "true")], &[("null-literal", "nix")]] {
            let with = |option: &[(&'static str, &'static str)]| {
                let c = context(&row, &row, &[more, option].concat());
                let factory = stream(&CsvFormat, &c).unwrap();
                let mut turn = 0;
                decode_all(factory.create(true).unwrap().as_mut(), text.as_bytes(), max_rows, |_| {
                    turn += 1;
                    pieces[turn % pieces.len()]
                })
                .map(|all| (shown(&all.one(&c.schema)), all.consumed, all.records, all.skipped))
                .map_err(|e| e.to_string())
            };
            prop_assert_eq!(with(&[]), with(&[("escape-character", "~")]));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..300), kind in kinds(), ignore in any::<bool>()) {
        let row = format!("ROW<a STRING, b {kind}>");
        let Ok(factory) = stream(&CsvFormat, &context(&row, &row, &[("ignore-parse-errors", if ignore { "true" } else { "false" })])) else { return Ok(()) };
        let result = decode_all(factory.create(true).unwrap().as_mut(), &text, 10, |_| 50);
        prop_assert!(result.is_ok() || !ignore);
    }
}
