//! protobuf: messages of another encoder, what we write ourselves, definitions, what Flink makes of absent fields, damage.

use arrow_array::RecordBatch;
use flott_connector::format::{FormatContext, FormatFactory, Messages};
use flott_core::{ChangeBatch, Error, ErrorKind};
use flott_format::protobuf::ProtobufFormat;
use proptest::prelude::*;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use protox::file::File;

use crate::random::batch;
use crate::support::{context, messages, position, shown};

const PROTO2: &str = r#"
syntax = "proto2";
package shop;
option java_package = "com.example";
message Order {
  optional bool b = 1;
  optional int32 i = 2 [default = 7];
  optional uint32 u = 3;
  optional sint32 s = 4 [default = -5];
  optional fixed32 x = 5;
  optional sfixed32 sx = 6;
  optional int64 l = 7;
  optional uint64 ul = 8;
  optional sint64 sl = 9;
  optional fixed64 xl = 10;
  optional sfixed64 sxl = 11;
  optional float f = 12 [default = 1.5];
  optional double d = 13;
  optional string t = 14 [default = "no text"];
  optional bytes y = 15;
  optional State state = 16 [default = PAID];
  optional State number = 17;
  repeated int32 plain = 18;
  repeated int32 packed = 19 [packed = true];
  repeated string texts = 20;
  optional Inner inner = 21;
  repeated Inner inners = 22;
  map<string, int64> counts = 23;
  map<int32, Inner> by_id = 24;
  repeated State states = 25;
  optional group Old = 26 { optional int32 a = 1; repeated string c = 2; }
  oneof either { int32 left = 27; Inner right = 28; string other = 29; }
  map<string, State> state_of = 30;
  message Inner { optional int32 a = 1 [default = 3]; optional Inner deeper = 2; repeated string names = 3; }
  enum State { NEW = 1; PAID = 2; ALSO_PAID = 20; }
}
message Strict { required int32 id = 1; optional Strict inside = 2; repeated Strict list = 3; required string unread = 4; }
"#;

const PROTO3: &str = r#"
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Event {
  int32 i = 1;
  optional int32 maybe = 2;
  string t = 3;
  Level level = 4;
  repeated double numbers = 5;
  Point point = 6;
  map<bool, float> weights = 7;
  oneof which { string a = 8; int64 b = 9; Point c = 10; }
  google.protobuf.Timestamp at = 11;
  float f = 12;
  bytes y = 13;
  repeated Level levels = 14;
  repeated Point points = 15;
  message Point { int32 x = 1; optional int32 y = 2; }
}
enum Level { LOW = 0; HIGH = 5; }
"#;

/// All columns of an Order in the order of another table.
const ORDER: &str = "ROW<t STRING, b BOOLEAN, i INT, u INT, s INT, x INT, sx INT, l BIGINT, ul BIGINT, sl BIGINT, xl BIGINT, sxl BIGINT, f FLOAT, d DOUBLE, y BYTES, state STRING, number SMALLINT, plain ARRAY<INT>, packed ARRAY<INT>, texts ARRAY<STRING>, `inner` ROW<names ARRAY<STRING>, a INT, deeper ROW<a INT>>, inners ARRAY<ROW<a INT, names ARRAY<STRING>>>, counts MAP<STRING, BIGINT>, by_id MAP<INT, ROW<a INT>>, states ARRAY<STRING>, old ROW<a INT, c ARRAY<STRING>>>";

fn descriptor(text: &str, name: &str) -> MessageDescriptor {
    let mut pool = DescriptorPool::global();
    pool.add_file_descriptor_proto(File::from_source("test.proto", text).unwrap().into()).unwrap();
    pool.get_message_by_name(name).unwrap()
}

/// The bytes of a message in Protobuf's text format, by another encoder.
fn bytes(descriptor: &MessageDescriptor, text: &str) -> Vec<u8> {
    DynamicMessage::parse_text_format(descriptor.clone(), text).unwrap().encode_to_vec()
}

fn of(text: &str, message: &str, columns: &str, options: &[(&str, &str)]) -> FormatContext {
    let all = [&[("schema", text), ("message-class-name", message)], options].concat();
    context(columns, columns, &all)
}

fn read(context: &FormatContext, values: &[&[u8]]) -> flott_core::Result<RecordBatch> {
    let mut decoder = messages(&ProtobufFormat, context);
    for (row, value) in values.iter().enumerate() {
        decoder.decode(Some(value), &position(0, row as u64))?;
    }
    Ok(decoder.flush()?.rows)
}

fn rows(context: &FormatContext, values: &[&[u8]]) -> Vec<String> {
    shown(&read(context, values).unwrap())
}

fn refused(context: &FormatContext) -> Error {
    match ProtobufFormat.message_decoding(context) {
        Ok(_) => panic!("not refused"),
        Err(e) => e,
    }
}

fn write(context: &FormatContext, batch: &RecordBatch) -> flott_core::Result<Vec<Vec<u8>>> {
    let mut out = Messages::default();
    ProtobufFormat.encoding(context)?.create()?.encode_messages(&ChangeBatch::append(batch.clone()), &mut out)?;
    Ok((0..out.len()).map(|i| out.get(i).unwrap().to_vec()).collect())
}

#[test]
fn every_type_of_proto2_is_read() {
    let order = descriptor(PROTO2, "shop.Order");
    let full = bytes(
        &order,
        r#"b: true i: -1 u: 4294967295 s: -2 x: 4294967295 sx: -3 l: -4 ul: 18446744073709551615 sl: -6 xl: 7 sxl: -8
           f: 0.5 d: -2.25 t: "é" y: "\x00\xff" state: NEW number: PAID plain: [1, -1] packed: [2, -2, 300] texts: ["", "a"]
           inner { a: 5 deeper { a: 6 } names: ["n", "m"] } inners { a: 1 names: "x" } inners {} counts { key: "k" value: 9 }
           by_id { key: 4 value { a: 8 } } states: [PAID, NEW] Old { a: 11 c: "g" }"#,
    );
    let c = of(PROTO2, "shop.Order", ORDER, &[]);
    let expected = "é|true|-1|-1|-2|-1|-3|-4|-1|-6|7|-8|0.5|-2.25|00ff|NEW|2|[1, -1]|[2, -2, 300]|[, a]|{names: [n, m], a: 5, deeper: {a: 6}}|[{a: 1, names: [x]}, {a: NULL, names: NULL}]|{k: 9}|{4: {a: 8}}|[PAID, NEW]|{a: 11, c: [g]}";
    assert_eq!(rows(&c, &[&full]), [expected]);
    // Nothing is set.
    assert_eq!(rows(&c, &[&[]]), [vec!["NULL"; 26].join("|")]);
    let c = of(PROTO2, "shop.Order", ORDER, &[("read-default-values", "true")]);
    assert_eq!(
        rows(&c, &[&[]]),
        [
            "no text|false|7|0|-5|0|0|0|0|0|0|0|1.5|0.0||PAID|1|[]|[]|[]|{names: [], a: 3, deeper: {a: 3}}|[]|{}|{}|[]|{a: 0, c: []}"
        ]
    );
}

#[test]
fn absent_fields_of_proto3() {
    let columns = "ROW<i INT, maybe INT, t STRING, level STRING, numbers ARRAY<DOUBLE>, point ROW<x INT, y INT>, weights MAP<BOOLEAN, FLOAT>, a STRING, b BIGINT, c ROW<x INT>, `at` ROW<seconds BIGINT, nanos INT>>";
    let event = descriptor(PROTO3, "Event");
    let c = of(PROTO3, "Event", columns, &[]);
    let some = bytes(
        &event,
        "i: 1 maybe: 0 level: HIGH numbers: [0.5, -1] point {} weights { key: true value: 2 } b: 3 at { seconds: 4 nanos: 5 }",
    );
    // As in Flink: simple fields are never NULL, all others may be.
    assert_eq!(
        rows(&c, &[&some, &[]]),
        [
            "1|0||HIGH|[0.5, -1.0]|{x: 0, y: 0}|{true: 2.0}||3|NULL|{seconds: 4, nanos: 5}",
            "0|0||LOW|NULL|NULL|NULL||0|NULL|NULL"
        ]
    );
    let c = of(PROTO3, "Event", columns, &[("read-default-values", "true")]);
    assert_eq!(rows(&c, &[&[]]), ["0|0||LOW|[]|{x: 0, y: 0}|{}||0|{x: 0}|{seconds: 0, nanos: 0}"]);
}

#[test]
fn the_last_of_a_field_counts_and_messages_are_merged() {
    let order = descriptor(PROTO2, "shop.Order");
    let columns = "ROW<i INT, plain ARRAY<INT>, `inner` ROW<a INT, deeper ROW<a INT, names ARRAY<STRING>>, names ARRAY<STRING>>, counts MAP<STRING, BIGINT>, by_id MAP<INT, ROW<a INT>>, left INT, right ROW<a INT, names ARRAY<STRING>>>";
    let c = of(PROTO2, "shop.Order", columns, &[]);
    let parts = [
        r#"i: 1 plain: 1 inner { a: 1 names: "p" deeper { a: 1 names: "x" } } counts { key: "k" value: 1 } counts { key: "l" value: 2 } by_id { key: 1 value { a: 1 } } right { a: 1 names: "gone" }"#,
        r#"i: 2 plain: 2 inner { names: "q" deeper { names: "y" } } counts { key: "k" value: 3 } by_id { key: 1 } left: 4"#,
        r#"right { names: "r" }"#,
        r#"right { a: 6 names: "s" }"#,
    ];
    let parts: Vec<Vec<u8>> = parts.iter().map(|p| bytes(&order, p)).collect();
    let merged = parts.concat();
    assert_eq!(
        rows(&c, &[&merged]),
        [
            "2|[1, 2]|{a: 1, deeper: {a: 1, names: [x, y]}, names: [p, q]}|{l: 2, k: 3}|{1: {a: NULL}}|NULL|{a: 6, names: [r, s]}"
        ]
    );
    // A column of a oneof is not set any more where another one follows, whether that is read or not.
    let other = [parts[0].clone(), bytes(&order, r#"other: "x""#)].concat();
    let c = of(PROTO2, "shop.Order", "ROW<right ROW<a INT>>", &[]);
    assert_eq!(rows(&c, &[&other]), ["NULL"]);
    // The same by the other decoder: what it understood is written anew.
    let again = DynamicMessage::decode(order, merged.as_slice()).unwrap().encode_to_vec();
    let c = of(
        PROTO2,
        "shop.Order",
        "ROW<`inner` ROW<a INT, deeper ROW<a INT, names ARRAY<STRING>>, names ARRAY<STRING>>, right ROW<a INT, names ARRAY<STRING>>>",
        &[],
    );
    assert_eq!(rows(&c, &[&merged]), rows(&c, &[&again]));
    // Many entries, most of them twice.
    let many: Vec<u8> = (0..200)
        .flat_map(|i| {
            bytes(&descriptor(PROTO2, "shop.Order"), &format!("counts {{ key: \"{}\" value: {i} }}", i % 150))
        })
        .collect();
    let c = of(PROTO2, "shop.Order", "ROW<counts MAP<STRING, BIGINT>>", &[]);
    let text = &rows(&c, &[&many])[0];
    assert_eq!(text.matches(':').count(), 150);
    assert!(text.contains(" 0: 150,") && text.contains(" 49: 199}") && text.contains("{50: 50,"), "{text}");
}

#[test]
fn arrays_are_packed_or_not_and_the_unknown_is_left_out() {
    let columns =
        "ROW<plain ARRAY<INT>, packed ARRAY<INT>, states ARRAY<STRING>, state STRING, state_of MAP<STRING, STRING>>";
    let c = of(PROTO2, "shop.Order", columns, &[]);
    // plain (18) packed: 1, 300; packed (19) plain: 1, and packed: 2, and nothing.
    let arrays = [0x92, 1, 3, 1, 0xac, 2, 0x98, 1, 1, 0x9a, 1, 1, 2, 0x9a, 1, 0];
    assert_eq!(rows(&c, &[&arrays]), ["[1, 300]|[1, 2]|NULL|NULL|NULL"]);
    // Fields 100 of every kind, a group in a group among them, around state (16) = 2; then one of another wire type.
    let unknown = [
        0xa0, 6, 1, 0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 6, 2, 9, 9, 0x80, 1, 2, 0xa3, 6, 0xab, 6, 0xac, 6, 0xa4, 6,
        0xa5, 6, 1, 2, 3, 4, 0x82, 1, 1, 1,
    ];
    assert_eq!(rows(&c, &[&unknown]), ["NULL|NULL|NULL|PAID|NULL"]);
    // 20 has two names in no enum here, 3 none: in proto2 it counts as unknown, in arrays and maps, too.
    let closed = [0x80, 1, 2, 0x80, 1, 3, 0xc8, 1, 3, 0xc8, 1, 1, 0xca, 1, 3, 2, 3, 20];
    let map = [0xf2, 1, 5, 0x0a, 1, b'a', 0x10, 3, 0xf2, 1, 5, 0x0a, 1, b'b', 0x10, 2, 0xf2, 1, 3, 0x0a, 1, b'c'];
    assert_eq!(
        rows(&c, &[&[closed.as_slice(), &map].concat()]),
        ["NULL|NULL|[NEW, PAID, ALSO_PAID]|PAID|{b: PAID, c: NEW}"]
    );
    // In proto3 it is a number without a name.
    let c = of(PROTO3, "Event", "ROW<level STRING, levels ARRAY<INT>>", &[]);
    assert_eq!(rows(&c, &[&[0x20, 9, 0x72, 2, 5, 9]]), ["UNRECOGNIZED|[5, 9]"]);
}

#[test]
fn columns_that_are_not_read_are_left_out() {
    let order = descriptor(PROTO2, "shop.Order");
    let full = bytes(&order, r#"i: 5 t: "a" inner { a: 1 deeper { a: 2 } } l: 6"#);
    let options = [("schema", PROTO2), ("message-class-name", "shop.Order")];
    let declared = "ROW<t STRING, i INT, `inner` ROW<a INT>, l BIGINT>";
    assert_eq!(rows(&context(declared, "ROW<l BIGINT, t STRING>", &options), &[&full]), ["6|a"]);
    let none = read(&context(declared, "ROW<l BIGINT>", &options), &[&full, &full]).unwrap();
    assert_eq!(none.num_rows(), 2);
    // Text that is not read may be broken; text that is read may not.
    let broken = [0x72, 1, 0xff, 0x38, 1];
    assert_eq!(rows(&context(declared, "ROW<l BIGINT>", &options), &[&broken]), ["1"]);
    let e = read(&context(declared, declared, &options), &[&broken]).expect_err("no text");
    assert!(e.to_string().contains("not valid UTF-8") && e.context("column") == Some("t"), "{e}");
    // A column that is not read has to fit, too.
    let e = refused(&context("ROW<l BIGINT, i STRING>", "ROW<l BIGINT>", &options));
    assert!(e.to_string().contains("INT(protobuf) is not compatible with STRING"), "{e}");
}

#[test]
fn columns_have_to_fit_the_message() {
    for (columns, column, part) in [
        ("ROW<nothing INT>", "nothing", "Column nothing does not exist in definition of proto class."),
        ("ROW<i BIGINT>", "i", "INT(protobuf) is not compatible with BIGINT"),
        ("ROW<u BIGINT>", "u", "INT(protobuf) is not compatible with BIGINT"),
        ("ROW<l INT>", "l", "LONG(protobuf) is not compatible with INT"),
        ("ROW<t BYTES>", "t", "STRING(protobuf) is not compatible with BYTES"),
        ("ROW<y STRING>", "y", "BYTE_STRING(protobuf) is not compatible with STRING"),
        ("ROW<state BOOLEAN>", "state", "ENUM(protobuf) is not compatible with BOOLEAN"),
        ("ROW<`inner` STRING>", "inner", "Unexpected LogicalType: STRING. It should be RowType"),
        ("ROW<`inner` ROW<deeper ROW<a STRING>>>", "inner.deeper.a", "is not compatible with STRING"),
        ("ROW<plain INT>", "plain", "It should be ArrayType"),
        ("ROW<inners ARRAY<INT>>", "inners", "It should be RowType"),
        ("ROW<inners ARRAY<ROW<b INT>>>", "inners[].b", "Column b does not exist"),
        ("ROW<counts ARRAY<INT>>", "counts", "It should be MapType"),
        ("ROW<counts MAP<STRING, INT>>", "counts.value", "LONG(protobuf) is not compatible with INT"),
    ] {
        for e in [
            refused(&of(PROTO2, "shop.Order", columns, &[])),
            ProtobufFormat.encoding(&of(PROTO2, "shop.Order", columns, &[])).err().expect(columns),
        ] {
            assert!(e.to_string().contains(part) && e.kind() == ErrorKind::User, "{e}");
            assert_eq!((e.context("column"), e.context("message")), (Some(column), Some("shop.Order")), "{e}");
            assert!(e.hint_text().is_some());
        }
    }
    let e = refused(&of(PROTO3, "Event", "ROW<`at` TIMESTAMP(3)>", &[]));
    assert!(e.to_string().contains("ROW<seconds BIGINT, nanos INT>"), "{e}");
}

#[test]
fn messages_that_cannot_be_read() {
    let c = of(
        PROTO2,
        "shop.Order",
        "ROW<i INT NOT NULL, t STRING, `inner` ROW<names ARRAY<STRING>>, plain ARRAY<INT>>",
        &[],
    );
    for (value, column, part) in [
        (&[0x10, 1, 0x72, 5, b'a'][..], Some("t"), "at byte 4 5 bytes are expected, and 1 are left"),
        (&[0x10, 0x80], Some("i"), "ends inside the number at byte 1"),
        (&[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Some("i"), "more than 10 bytes"),
        (&[0x10, 1, 0xaa, 1, 4, 0x1a, 2, b'a', 0xff], Some("inner.names"), "not valid UTF-8"),
        (&[0x10, 1, 0x0c], None, "the group 1 ends"),
        (&[0x72, 1, b'a'], Some("i"), "the message has no such field, but the column is declared INT NOT NULL"),
        (&[0x10, 1, 0x92, 1, 1, 0x80], Some("plain"), "ends inside the number"),
        (&[0, 0, 0, 0, 7, 0x10, 1], None, "0 is no tag"),
    ] {
        let e = read(&c, &[&[0x10, 2], value]).expect_err(part);
        assert!(e.to_string().contains(part) && e.kind() == ErrorKind::Data, "{e}");
        assert_eq!(
            (e.context("column"), e.context("row"), e.context("file")),
            (column, Some("2"), Some("f.txt")),
            "{e}"
        );
        assert_eq!(e.hint_text().unwrap().contains("registry"), value[0] == 0);
        // Of a message that is skipped nothing stays.
        let skip =
            FormatContext { options: c.options.iter().chain([("ignore-parse-errors", "true")]).collect(), ..c.clone() };
        let good = [0x10, 3, 0xaa, 1, 3, 0x1a, 1, b'z', 0x90, 1, 4];
        assert_eq!(rows(&skip, &[&good, value, &good]), ["3|NULL|{names: [z]}|[4]"; 2]);
        let mut decoder = messages(&ProtobufFormat, &skip);
        assert_eq!(decoder.decode(Some(value), &position(0, 0)).unwrap(), 0);
    }
    // NULL is no message; no bytes are one without fields.
    let mut decoder = messages(&ProtobufFormat, &of(PROTO3, "Event", "ROW<i INT>", &[]));
    assert_eq!(decoder.decode(None, &position(0, 0)).unwrap(), 0);
    assert_eq!(decoder.decode(Some(&[]), &position(0, 0)).unwrap(), 1);
    let e = decoder.decode(Some(&vec![0; (16 << 20) + 1]), &position(0, 0)).expect_err("too long");
    assert!(e.to_string().contains("RECORD_BYTES_MAX"), "{e}");
}

#[test]
fn required_fields_are_required() {
    let strict = descriptor(PROTO2, "shop.Strict");
    let c = of(PROTO2, "shop.Strict", "ROW<id INT, inside ROW<id INT>>", &[]);
    let good = bytes(&strict, r#"id: 1 unread: "" inside { id: 2 unread: "x" }"#);
    assert_eq!(rows(&c, &[&good]), ["1|{id: 2}"]);
    for (text, column, field) in [
        ("id: 1", None, "unread"),
        (r#"unread: """#, None, "id"),
        (r#"id: 1 unread: "" inside { id: 2 }"#, Some("inside"), "unread"),
    ] {
        let e = read(&c, &[&bytes(&strict, text)]).expect_err(text);
        assert!(e.to_string().contains(&format!("lacks the required field '{field}'")), "{e}");
        assert_eq!(e.context("column"), column);
    }
    // Two parts of a message have together what it needs.
    let parts =
        [bytes(&strict, r#"id: 1 unread: "" inside { id: 2 }"#), bytes(&strict, r#"inside { unread: "" }"#)].concat();
    assert_eq!(rows(&c, &[&parts]), ["1|{id: 2}"]);
    // Writing.
    let e = ProtobufFormat.encoding(&c).err().expect("no column for it");
    assert!(e.to_string().contains("has the required field 'unread', for which there is no column"), "{e}");
    let columns = "ROW<id INT, unread STRING, list ARRAY<ROW<id INT, unread STRING>>>";
    let c = of(PROTO2, "shop.Strict", columns, &[]);
    let loose = "syntax = \"proto2\"; message Loose { optional int32 id = 1; optional string unread = 4; repeated Loose list = 3; }";
    let null = read(&of(loose, "Loose", columns, &[]), &[&[0x22, 0]]).unwrap();
    let e = write(&c, &null).expect_err("NULL");
    assert!(e.to_string().contains("required") && e.context("column") == Some("id"), "{e}");
    let nested = read(&of(loose, "Loose", columns, &[]), &[&[0x08, 1, 0x22, 0, 0x1a, 2, 0x08, 1]]).unwrap();
    assert_eq!(write(&c, &nested).expect_err("NULL").context("column"), Some("list[].unread"));
}

#[test]
fn messages_are_found_by_class_and_by_name() {
    let files = [
        ("package a.b; message One { message Two {} }", "a.b.SchemaOuterClass", "SchemaOuterClass", false),
        ("package a.b; message Schema { message Two {} }", "a.b.SchemaOuterClass$Schema", "a.b.Schema$Two", true),
        (
            "package a.b; option java_package = \"c.d\"; message One { message Two {} }",
            "c.d.Schema$One$Two",
            "a.b.One.Two",
            true,
        ),
        (
            "option java_package = \"c\"; option java_multiple_files = true; message One { message Two {} }",
            "c.One$Two",
            "One",
            true,
        ),
        ("option java_outer_classname = \"Out\"; message One {}", "Out$One", "One", true),
        ("message One { message Schema {} }", "SchemaOuterClass$One", "SchemaOuterClass$One$Schema", true),
    ];
    for (text, first, second, there) in files {
        let text = format!("syntax = \"proto3\"; {text}");
        for name in [first, second] {
            let found = ProtobufFormat.message_decoding(&of(&text, name, "ROW<>", &[]));
            assert_eq!(found.is_ok(), there, "{name}: {:?}", found.err());
        }
    }
    let e = refused(&of(PROTO2, "com.example.Schema$Ordr", "ROW<i INT>", &[]));
    assert_eq!(e.hint_text(), Some("Did you mean 'com.example.Schema.Order'?"));
    let e = refused(&of(PROTO2, "nothing.like.it", "ROW<i INT>", &[]));
    assert_eq!(e.hint_text(), Some("These are defined: shop.Order, shop.Order.Inner, shop.Order.Old, shop.Strict"));
}

#[test]
fn definitions_come_from_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    std::fs::create_dir(path("types")).unwrap();
    std::fs::write(path("types/point.proto"), "syntax = \"proto3\"; package t; message Point { int32 x = 1; }")
        .unwrap();
    std::fs::write(
        path("main_file.proto"),
        "syntax = \"proto3\"; import \"types/point.proto\"; message Line { t.Point from = 1; repeated t.Point to = 2; }",
    )
    .unwrap();
    let line = "ROW<`from` ROW<x INT>, `to` ARRAY<ROW<x INT>>>";
    let value = [0x0a, 2, 8, 1, 0x12, 2, 8, 2, 0x12, 0];
    let with = |options: &[(&str, &str)]| context(line, line, options);
    let main = path("main_file.proto");
    let c = with(&[("proto-file", &main), ("message-class-name", "MainFile$Line")]);
    assert_eq!(rows(&c, &[&value]), ["{x: 1}|[{x: 2}, {x: 0}]"]);
    // What is imported lies elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("main_file.proto");
    std::fs::copy(&main, &moved).unwrap();
    let moved = moved.to_str().unwrap();
    let e = refused(&with(&[("proto-file", moved), ("message-class-name", "Line")]));
    assert!(e.to_string().contains("types/point.proto") && e.context("file") == Some(moved), "{e}");
    let folders = format!("{}; {}", elsewhere.path().display(), folder.path().display());
    let c = with(&[("proto-file", moved), ("message-class-name", "Line"), ("import-paths", &folders)]);
    assert_eq!(rows(&c, &[&value]), ["{x: 1}|[{x: 2}, {x: 0}]"]);
    // Neither above the folders nor anywhere else.
    std::fs::create_dir(path("inside")).unwrap();
    for import in ["../types/point.proto".to_string(), path("types/point.proto")] {
        let text = format!(
            "syntax = \"proto3\"; import \"{import}\"; message Line {{ t.Point from = 1; repeated t.Point to = 2; }}"
        );
        let e = refused(&with(&[("schema", &text), ("message-class-name", "Line"), ("import-paths", &path("inside"))]));
        assert!(e.to_string().contains("schema.proto:1:27"), "{e}");
    }
    // A file of descriptors.
    let set = protox::compile(["main_file.proto"], [folder.path()]).unwrap();
    std::fs::write(path("set.pb"), set.encode_to_vec()).unwrap();
    let set_path = path("set.pb");
    let c = with(&[("descriptor-file", &set_path), ("message-class-name", "MainFile$Line")]);
    assert_eq!(rows(&c, &[&value]), ["{x: 1}|[{x: 2}, {x: 0}]"]);
    let without: Vec<_> = set.file.into_iter().filter(|f| f.name() == "main_file.proto").collect();
    std::fs::write(&set_path, prost_reflect::prost_types::FileDescriptorSet { file: without }.encode_to_vec()).unwrap();
    let e = refused(&c);
    assert!(e.to_string().contains("types/point.proto") && e.hint_text().unwrap().contains("--include_imports"), "{e}");
    std::fs::write(&set_path, [0xff; 40]).unwrap();
    assert!(refused(&c).to_string().contains("cannot be used"));
    for (options, part) in [
        (&[("message-class-name", "M")][..], "What is in the message 'M' is not known"),
        (&[("message-class-name", "M"), ("schema", ""), ("proto-file", "x")], "Only one of"),
        (&[("message-class-name", "M"), ("descriptor-file", &set_path), ("import-paths", "x")], "has no use"),
        (&[("message-class-name", "M"), ("proto-file", "no/such.proto")], "cannot be read"),
        (
            &[("message-class-name", "M"), ("schema", "syntax = \"proto3\";\nmessage M {\n  int33 x = 1;\n}")],
            "schema.proto:3:3",
        ),
        (
            &[("message-class-name", "M"), ("schema", "syntax = \"proto3\";\nmessage M { int32 x = 1 }")],
            "schema.proto:2:25",
        ),
        (
            &[("message-class-name", "M"), ("schema", "syntax = \"proto3\"; import \"/etc/passwd\"; message M {}")],
            "schema.proto:1:27",
        ),
    ] {
        let e = refused(&with(options));
        assert!(e.to_string().contains(part) && e.hint_text().is_some(), "{part}: {e}");
    }
    let deep = format!("syntax = \"proto3\"; {}", "message M { ".repeat(100_000));
    assert!(
        refused(&with(&[("message-class-name", "M"), ("schema", &deep)]))
            .to_string()
            .contains("levels inside each other")
    );
}

#[test]
fn files_are_refused_as_in_flink() {
    let c = of(PROTO3, "Event", "ROW<i INT>", &[]);
    let Err(e) = ProtobufFormat.decoding(&c) else { panic!("files are read") };
    assert!(e.to_string().contains("not supported for the 'filesystem' connector"), "{e}");
    let rows = read(&c, &[&[8, 1]]).unwrap();
    let mut encoder = ProtobufFormat.encoding(&c).unwrap().create().unwrap();
    let e = encoder.encode(&ChangeBatch::append(rows), &mut vec![]).expect_err("files are written");
    assert!(e.to_string().contains("not supported for the 'filesystem' connector"), "{e}");
}

#[test]
fn what_is_written_is_what_the_other_encoder_writes() {
    // Maps have an order of their own there: one entry.
    let order = descriptor(PROTO2, "shop.Order");
    let texts = [
        r#"b: false i: -1 u: 4294967295 s: -2 x: 4294967295 sx: -3 l: -4 ul: 18446744073709551615 sl: -6 xl: 7 sxl: -8
           f: -0.0 d: 0 t: "" y: "\x00\xff" state: NEW number: PAID plain: [1, -1] packed: [2, -2, 300] texts: ["", "a"]
           inner { a: 5 deeper { a: 6 } names: ["n", "m"] } inners { a: 1 names: "x" } inners {} counts { key: "" value: 0 }
           by_id { key: 4 value { a: 8 } } states: [PAID, NEW] Old { a: 11 c: "g" }"#,
        "",
    ];
    let values: Vec<Vec<u8>> = texts.iter().map(|t| bytes(&order, t)).collect();
    let c = of(PROTO2, "shop.Order", ORDER, &[]);
    let read_rows = read(&c, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    assert_eq!(write(&c, &read_rows).unwrap(), values);
    // proto3: defaults without presence are not written; minus zero is none.
    let event = descriptor(PROTO3, "Event");
    let columns = "ROW<y BYTES, i INT, maybe INT, t STRING, level STRING, numbers ARRAY<DOUBLE>, point ROW<x INT, y INT>, weights MAP<BOOLEAN, FLOAT>, f FLOAT, levels ARRAY<INT>>";
    let c = of(PROTO3, "Event", columns, &[]);
    let texts = [
        "i: 0 maybe: 0 t: \"\" level: LOW numbers: [0, 1] point { y: 0 } weights { key: true value: 3 } f: 0.5 levels: [LOW, HIGH]",
        "i: -7 maybe: 1 t: \"a\\x00\" level: HIGH y: \"\\x00\" point { x: 1 y: 2 } weights { key: true value: 1 }",
    ];
    let values: Vec<Vec<u8>> = texts.iter().map(|t| bytes(&event, t)).collect();
    let read_rows = read(&c, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    assert_eq!(write(&c, &read_rows).unwrap(), values);
    // Java writes what the other encoder leaves out: minus zero, and both parts of a map's entry.
    let java = [0x65, 0, 0, 0, 0x80].as_slice();
    let entry = [0x3a, 7, 8, 0, 0x15, 0, 0, 0, 0].as_slice();
    let read_rows = read(&c, &[java, &[0x3a, 0]]).unwrap();
    // 'maybe' has presence, and was read as 0.
    assert_eq!(write(&c, &read_rows).unwrap(), [java, entry].map(|b| [&[16, 0], b].concat()));
}

#[test]
fn nulls_in_arrays_and_maps_are_defaults() {
    let text = "syntax = \"proto2\"; message M { repeated string t = 1; repeated E e = 2; repeated S s = 3; oneof o { int32 a = 4; int32 b = 5; } map<string, string> m = 6; message S { optional int32 x = 1; } enum E { FIRST = 3; SECOND = 0; } }";
    let columns = "ROW<b INT, t ARRAY<STRING>, a INT>";
    let c = of(text, "M", columns, &[("write-null-string-literal", "none")]);
    let json = |columns: &str, text: &str| {
        let mut decoder = messages(&flott_format::json::JsonFormat, &context(columns, columns, &[]));
        decoder.decode(Some(text.as_bytes()), &position(0, 0)).unwrap();
        decoder.flush().unwrap().rows
    };
    let written = write(&c, &json(columns, r#"{"b":1,"t":[null,"x"],"a":2}"#)).unwrap();
    // Of the oneof the last column counts, not the last number.
    assert_eq!(written, [b"\x0a\x04none\x0a\x01x\x20\x02".to_vec()]);
    let columns = "ROW<e ARRAY<STRING>, s ARRAY<ROW<x INT>>, m MAP<STRING, STRING>>";
    let rows = |text: &str| json(columns, text);
    let c = of(text, "M", columns, &[]);
    let written = write(&c, &rows(r#"{"e":[null,"SECOND"],"s":[null,{"x":1}],"m":{"k":null}}"#)).unwrap();
    assert_eq!(written, [b"\x10\x03\x10\x00\x1a\x00\x1a\x02\x08\x01\x32\x05\x0a\x01k\x12\x00".to_vec()]);
    let e = write(&c, &rows(r#"{"e":["THIRD"]}"#)).expect_err("no value");
    assert!(e.to_string().contains("'THIRD' is no value of the enum M.E") && e.context("column") == Some("e[]"), "{e}");
    let numbers = of(text, "M", "ROW<e ARRAY<BIGINT>>", &[]);
    let e = write(&numbers, &json("ROW<e ARRAY<BIGINT>>", r#"{"e":[9]}"#));
    assert!(e.expect_err("no value").to_string().contains("9 is no value of the enum M.E"));
}

const RANDOM: &str = "ROW<g DOUBLE, a BOOLEAN, b TINYINT, d INT, d2 INT, d3 INT, d4 INT, e BIGINT, e2 BIGINT, e3 BIGINT, f FLOAT, h STRING, i BYTES, p ARRAY<STRING>, q ARRAY<BIGINT>, r ROW<x INT, y ROW<z STRING, l ARRAY<INT>>>, s MAP<STRING, BIGINT>, v MAP<STRING, ROW<x INT>>>";
const RANDOM_PROTO: &str = r#"syntax = "proto2"; message R {
  optional bool a = 1; optional int32 d = 3; optional sint32 d2 = 4; optional fixed32 d3 = 5; optional uint32 d4 = 6;
  optional int64 e = 7; optional sint64 e2 = 8; optional sfixed64 e3 = 9; optional float f = 10; optional double g = 2;
  optional string h = 11; optional bytes i = 12; repeated string p = 13; repeated sint64 q = 14 [packed = true]; optional X r = 15;
  map<string, int64> s = 2000; map<string, X> v = 17; optional E b = 18;
  message X { optional int32 x = 1; optional Y y = 2; } message Y { optional string z = 1; repeated int32 l = 2; }
  enum E { E0 = 0; E1 = 1; E2 = 2; } }"#;

/// Numbers of the enum.
fn with_enum(batch: &RecordBatch) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    let numbers: arrow_array::Int8Array =
        arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int8Type>(columns[2].as_ref())
            .iter()
            .map(|v| v.map(|v| v.rem_euclid(3)))
            .collect();
    columns[2] = std::sync::Arc::new(numbers);
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read(batch in batch(RANDOM, 20)) {
        let batch = with_enum(&batch);
        let c = of(RANDOM_PROTO, "R", RANDOM, &[]);
        let values = write(&c, &batch).unwrap();
        let slices: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let once = read(&c, &slices).unwrap();
        // Simple values come back; NULLs in arrays have become defaults, which come back the next time.
        for i in 0..13 {
            prop_assert_eq!(once.column(i), batch.column(i), "{}", batch.schema().field(i).name());
        }
        prop_assert_eq!(write(&c, &once).unwrap(), values.clone());
        // The other decoder understands the same.
        let r = descriptor(RANDOM_PROTO, "R");
        let again: Vec<Vec<u8>> = values
            .iter()
            .map(|v| {
                let message = DynamicMessage::decode(r.clone(), v.as_slice()).unwrap();
                assert_eq!(message.unknown_fields().count(), 0);
                message.encode_to_vec()
            })
            .collect();
        let without_maps = RANDOM.split(", s MAP").next().unwrap().to_string() + ">";
        let c = of(RANDOM_PROTO, "R", &without_maps, &[]);
        let theirs = read(&c, &again.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(theirs.columns(), &once.columns()[..16]);
    }

    /// Anything can come in: it is read or refused, and the next message is read as always.
    #[test]
    fn damage_is_survived(batch in batch(RANDOM, 2), cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), noise in prop::collection::vec(any::<u8>(), 0..40)) {
        let c = of(RANDOM_PROTO, "R", RANDOM, &[]);
        let values = write(&c, &with_enum(&batch)).unwrap();
        let mut broken = [values[0].as_slice(), &noise].concat();
        for (at, byte) in flips {
            if !broken.is_empty() {
                let at = at.index(broken.len());
                broken[at] = byte;
            }
        }
        broken.truncate(cut.index(broken.len() + 1));
        let mut decoder = messages(&ProtobufFormat, &c);
        let read_broken = decoder.decode(Some(&broken), &position(0, 0));
        if let Err(e) = &read_broken {
            prop_assert_eq!(e.kind(), ErrorKind::Data);
        }
        decoder.decode(Some(&values[0]), &position(0, 1)).unwrap();
        let rows = decoder.flush().unwrap().rows;
        prop_assert_eq!(rows.num_rows(), 1 + usize::from(read_broken.is_ok()));
        let alone = read(&c, &[&values[0]]).unwrap();
        prop_assert_eq!(rows.slice(rows.num_rows() - 1, 1), alone);
    }
}

/// A number that a closed enum does not have is unknown, whether a column takes the field or not.
#[test]
fn an_unknown_number_leaves_its_oneof_alone() {
    let proto = "syntax = \"proto2\"; enum E { X = 0; } message M { oneof o { int32 a = 1; E e = 2; } }";
    let with = |row: &str| context(row, row, &[("schema", proto), ("message-class-name", "M")]);
    for (value, a, e) in [([8, 5, 16, 99], "5", "NULL"), ([8, 5, 16, 0], "NULL", "X")] {
        assert_eq!(rows(&with("ROW<a INT, e STRING>"), &[&value]), [format!("{a}|{e}")]);
        assert_eq!(rows(&with("ROW<a INT>"), &[&value]), [a]);
        assert_eq!(rows(&with("ROW<e STRING>"), &[&value]), [e]);
    }
}

/// A file of descriptors may call any message the entry of a map.
#[test]
fn an_entry_of_a_map_has_a_key_and_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.proto");
    std::fs::write(&path, "syntax = \"proto3\"; message M { map<string, int32> m = 1; }").unwrap();
    let whole = protox::compile(["m.proto"], [folder.path()]).unwrap();
    let set = folder.path().join("set.pb");
    let options = [("descriptor-file", set.to_str().unwrap()), ("message-class-name", "M")];
    let row = "ROW<m MAP<STRING, INT>>";
    for broken in 0..3 {
        let mut with = whole.clone();
        let entry = &mut with.file[0].message_type[0].nested_type[0];
        match broken {
            0 => drop(entry.field.remove(0)),
            1 => drop(entry.field.remove(1)),
            _ => entry.field[0].set_type(prost_reflect::prost_types::field_descriptor_proto::Type::Bytes),
        }
        std::fs::write(&set, with.encode_to_vec()).unwrap();
        let c = context(row, row, &options);
        for e in [refused(&c), ProtobufFormat.encoding(&c).err().expect("refused")] {
            assert!(e.to_string().contains("of a map has") && e.kind() == ErrorKind::User, "{broken}: {e}");
        }
    }
}
