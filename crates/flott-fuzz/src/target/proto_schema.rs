//! The definition of messages: the text of a .proto file, or a file of descriptors.

use flott_connector::format::FormatFactory;
use flott_format::protobuf::ProtobufFormat;

use crate::rows;
use crate::target::scratch;

const ROW: &str = "ROW<a INT, b STRING, c ARRAY<BIGINT>>";

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if *first == b'1' {
        let path = scratch::file("descriptors");
        std::fs::write(&path, rest).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        open(&[("message-class-name", "M"), ("descriptor-file", &path.display().to_string())]);
    } else if let Ok(text) = std::str::from_utf8(rest) {
        open(&[("message-class-name", "M"), ("schema", text)]);
    }
}

fn open(options: &[(&str, &str)]) {
    let context = rows::context(ROW, ROW, options);
    if let Some(factory) = rows::given(ProtobufFormat.message_decoding(&context)) {
        let messages = [&b"\x08\x07"[..], b"\x12\x01x", b""];
        rows::check_messages(&context.schema, factory.as_ref(), &messages);
    }
    rows::given(ProtobufFormat.encoding(&context).map(drop));
}
