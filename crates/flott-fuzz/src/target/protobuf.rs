//! protobuf: messages of two definitions, with every kind of field.

use std::sync::OnceLock;

use flott_format::protobuf::ProtobufFormat;

use crate::rows::{self, Table};

/// Every kind of field.
pub(crate) const PROTO2: &str = r#"syntax = "proto2"; package p;
message Order {
  optional bool b = 1; optional int32 i = 2 [default = 7]; optional uint32 u = 3; optional sint32 s = 4;
  optional fixed32 x = 5; optional int64 l = 7; optional uint64 ul = 8; optional sint64 sl = 9; optional sfixed64 sx = 11;
  optional float f = 12; optional double d = 13; optional string t = 14 [default = "none"]; optional bytes y = 15;
  optional State state = 16 [default = PAID]; repeated int32 plain = 18; repeated int32 packed = 19 [packed = true];
  repeated string texts = 20; optional Inner inner = 21; repeated Inner inners = 22; map<string, int64> counts = 23;
  map<int32, Inner> by_id = 24; repeated State states = 25; optional group Old = 26 { optional int32 a = 1; }
  message Inner { optional int32 a = 1 [default = 3]; optional Inner deeper = 2; repeated string names = 3; }
  enum State { NEW = 1; PAID = 2; }
}
message Strict { required int32 id = 1; optional Strict inside = 2; repeated Strict list = 3; }"#;

const PROTO3: &str = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
message Event {
  int32 i = 1; optional int32 maybe = 2; string t = 3; google.protobuf.Timestamp at = 4; repeated double values = 5;
  map<string, string> tags = 6; oneof one { int64 left = 7; string right = 8; } Kind kind = 9; bytes raw = 10;
  enum Kind { UNKNOWN = 0; A = 1; }
}"#;

fn of(message: &str, text: &str, row: &str, more: &[(&str, &str)]) -> Table {
    let mut options = vec![("message-class-name", message), ("schema", text)];
    options.extend(more);
    Table::of(&ProtobufFormat, row, &options)
}

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let numbers = "ROW<b BOOLEAN, i INT, u INT, s INT, x INT, l BIGINT, ul BIGINT, sl BIGINT, sx BIGINT, f FLOAT, d DOUBLE>";
        let nested = "ROW<inner ROW<a INT, deeper ROW<a INT, names ARRAY<STRING>>>, inners ARRAY<ROW<a INT>>, counts MAP<STRING, BIGINT>, by_id MAP<INT, ROW<names ARRAY<STRING>>>>";
        let event = "ROW<i INT, maybe INT, t STRING, at ROW<seconds BIGINT, nanos INT>, `values` ARRAY<DOUBLE>, tags MAP<STRING, STRING>, kind STRING, raw BYTES>";
        vec![
            of("p.Order", PROTO2, numbers, &[]),
            of("p.Order", PROTO2, "ROW<t STRING, y BYTES, state STRING, plain ARRAY<INT>, packed ARRAY<INT>, texts ARRAY<STRING>, states ARRAY<STRING>>", &[]),
            of("p.Order", PROTO2, nested, &[]),
            of("p.Order", PROTO2, numbers, &[("read-default-values", "true"), ("ignore-parse-errors", "true")]),
            of("p.Strict", PROTO2, "ROW<id INT, `inside` ROW<id INT, `inside` ROW<id INT>>, list ARRAY<ROW<id INT>>>", &[]),
            // A field without presence is never NULL when it is read.
            of("Event", PROTO3, event, &[]),
            // So both of these have a value, of which the message keeps the last.
            of("Event", PROTO3, "ROW<`left` BIGINT, `right` STRING>", &[]).inexact(),
        ]
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables(), data) else { return };
    let Some(factory) = &table.messages else { return };
    let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::parts(rest));
    rows::check_message_round(table, &batch);
}
