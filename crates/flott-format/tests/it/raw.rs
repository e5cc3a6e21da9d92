//! raw: one column as it is.

use flott_connector::format::FormatFactory;
use flott_format::raw::RawFormat;

use crate::support::*;

#[test]
fn lines_and_messages() {
    let text = context("ROW<a STRING>", "ROW<a STRING>", &[]);
    assert_eq!(rows(&RawFormat, &text, "x,y\n\né".as_bytes()).unwrap(), ["x,y", "", "é"]);
    let e = error(&RawFormat, &text, b"ok\n\xff\n");
    assert!(e.to_string().contains("not valid UTF-8") && e.context("row") == Some("2"), "{e}");
    let latin = context("ROW<a STRING>", "ROW<a STRING>", &[("charset", "ISO-8859-1")]);
    assert_eq!(rows(&RawFormat, &latin, b"\xe9").unwrap(), ["é"]);
    let gbk = context("ROW<a STRING>", "ROW<a STRING>", &[("charset", "gbk")]);
    assert_eq!(rows(&RawFormat, &gbk, b"\xd6\xd0\n\xce\xc4").unwrap(), ["中", "文"]);
    let e = error(&RawFormat, &gbk, b"\xd6");
    assert!(e.to_string().contains("not valid GBK"), "{e}");
    let mut decoder = messages(&RawFormat, &text);
    assert_eq!(decoder.decode(Some(b"a\nb"), &position(0, 0)).unwrap(), 1);
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 1);
    assert_eq!(shown(&decoder.flush().unwrap().rows), ["a\nb", "NULL"]);
}

#[test]
fn numbers_of_both_orders() {
    for (kind, order, bytes, value) in [
        ("INT", "big-endian", &[0, 0, 1, 2][..], "258"),
        ("INT", "little-endian", &[2, 1, 0, 0], "258"),
        ("BIGINT", "big-endian", &[255; 8], "-1"),
        ("SMALLINT", "little-endian", &[1, 0], "1"),
        ("TINYINT", "big-endian", &[128], "-128"),
        ("BOOLEAN", "big-endian", &[2], "true"),
        ("FLOAT", "big-endian", &[0x3f, 0x80, 0, 0], "1.0"),
        ("DOUBLE", "little-endian", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f], "1.0"),
        ("BYTES", "big-endian", &[1, 255], "01ff"),
    ] {
        let row = format!("ROW<a {kind}>");
        let c = context(&row, &row, &[("endianness", order)]);
        let mut decoder = messages(&RawFormat, &c);
        decoder.decode(Some(bytes), &position(0, 0)).unwrap();
        let batch = decoder.flush().unwrap().rows;
        assert_eq!(shown(&batch), [value], "{kind}");
        let mut expected = if kind == "BOOLEAN" { vec![1] } else { bytes.to_vec() };
        expected.push(b'\n');
        assert_eq!(encode(&RawFormat, &c, &batch), expected, "{kind}");
        if kind != "BYTES" {
            let e = decoder.decode(Some(&[0; 9]), &position(0, 0)).expect_err(kind);
            assert!(e.to_string().contains("9 bytes cannot be a"), "{e}");
        }
    }
}

#[test]
fn one_column_of_a_simple_type() {
    for (row, part) in [
        ("ROW<a INT, b INT>", "only supports single physical column"),
        ("ROW<a DATE>", "doesn't supports 'DATE' as column type"),
    ] {
        let e = stream(&RawFormat, &context(row, row, &[])).err().expect(row).to_string();
        assert!(e.contains(part), "{e}");
    }
}

/// Of UTF-16 a byte that looks like a line break is one half of a character.
#[test]
fn charsets_of_messages() {
    let wide = context("ROW<a STRING>", "ROW<a STRING>", &[("charset", "UTF-16")]);
    let mut decoder = messages(&RawFormat, &wide);
    decoder.decode(Some(&[0xff, 0xfe, 0x0a, 0x01]), &position(0, 0)).unwrap();
    decoder.decode(Some(&[0x01, 0x0a]), &position(0, 0)).unwrap();
    let batch = decoder.flush().unwrap().rows;
    assert_eq!(shown(&batch), ["\u{10a}", "\u{10a}"]);
    let mut written = flott_connector::format::Messages::default();
    let mut encoder = RawFormat.encoding(&wide).unwrap().create().unwrap();
    encoder.encode_messages(&flott_core::ChangeBatch::append(batch.clone()), &mut written).unwrap();
    assert_eq!(written.get(0), Some(&[0xfe, 0xff, 0x01, 0x0a][..]));
    let e = encoder.encode(&flott_core::ChangeBatch::append(batch), &mut vec![]).expect_err("no lines");
    assert!(e.to_string().contains("raw.charset"), "{e}");
    let e = stream(&RawFormat, &wide).err().expect("no lines").to_string();
    assert!(e.contains("raw.charset"), "{e}");
    let unknown = context("ROW<a STRING>", "ROW<a STRING>", &[("charset", "UTF-7")]);
    let e = RawFormat.message_decoding(&unknown).err().expect("unknown").to_string();
    assert!(e.contains("Unsupported 'raw.charset' name: UTF-7."), "{e}");
}
