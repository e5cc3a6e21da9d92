//! What an ORC file says about itself: its end, its footer, and the footers of its stripes.
//!
//! Source: orc_proto.proto of the ORC specification, version 1.

use bytes::Bytes;

use super::stream::{CHUNK_BYTES_MAX, Codec, Compression, Stream};
use crate::protobuf::wire::{Input, Span, WireType, put_length_before, put_tag, put_varint};
use crate::wrong::{Read, wrong};

/// Bytes of a footer, unpacked.
pub const FOOTER_BYTES_MAX: usize = 64 << 20;
/// Types inside each other.
const DEPTH_MAX: usize = 128;
const MAGIC: &[u8] = b"ORC";
/// The size of chunks where a file does not say it.
const CHUNK_BYTES_DEFAULT: u64 = 256 << 10;
/// Readers know writers by numbers; those from 6 on are free.
const WRITER: u64 = 6;
const WRITER_VERSION: u64 = 6;

/// The kinds of types, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean = 0,
    Byte = 1,
    Short = 2,
    Int = 3,
    Long = 4,
    Float = 5,
    Double = 6,
    String = 7,
    Binary = 8,
    Timestamp = 9,
    List = 10,
    Map = 11,
    Struct = 12,
    Union = 13,
    Decimal = 14,
    Date = 15,
    Varchar = 16,
    Char = 17,
    TimestampInstant = 18,
}

const KINDS: [Kind; 19] = [
    Kind::Boolean,
    Kind::Byte,
    Kind::Short,
    Kind::Int,
    Kind::Long,
    Kind::Float,
    Kind::Double,
    Kind::String,
    Kind::Binary,
    Kind::Timestamp,
    Kind::List,
    Kind::Map,
    Kind::Struct,
    Kind::Union,
    Kind::Decimal,
    Kind::Date,
    Kind::Varchar,
    Kind::Char,
    Kind::TimestampInstant,
];

/// A type; its place in the list is the number of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) children: Vec<usize>,
    pub(super) names: Vec<String>,
    pub(super) length_max: Option<u64>,
    pub(super) precision: Option<u64>,
    pub(super) scale: Option<u64>,
}

impl Type {
    pub(super) fn new(kind: Kind) -> Type {
        Type { kind, children: vec![], names: vec![], length_max: None, precision: None, scale: None }
    }

    /// Its name in ORC.
    pub(super) fn name(&self) -> String {
        let name = format!("{:?}", self.kind).to_lowercase();
        match self.kind {
            Kind::Decimal => format!("decimal({},{})", self.precision.unwrap_or(38), self.scale.unwrap_or(0)),
            Kind::TimestampInstant => "timestamp with local time zone".to_string(),
            _ => name,
        }
    }
}

/// Where a stripe lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stripe {
    pub(super) offset: u64,
    pub(super) index_bytes: u64,
    pub(super) data_bytes: u64,
    pub(super) footer_bytes: u64,
    pub(super) rows: u64,
}

/// The end of a file.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) compression: Compression,
    pub(super) footer_bytes: u64,
    /// Of the postscript and the byte with its length.
    pub(super) postscript_bytes: u64,
}

/// What is in a file.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) types: Vec<Type>,
    pub(super) stripes: Vec<Stripe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamKind {
    Present = 0,
    Data = 1,
    Length = 2,
    DictionaryData = 3,
    Secondary = 5,
    /// Indexes, and what later versions add.
    Other = 100,
}

/// A stream in a stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamInfo {
    pub(super) kind: StreamKind,
    pub(super) column: usize,
    pub(super) bytes: u64,
}

/// How a column of a stripe is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) dictionary: bool,
    pub(super) version2: bool,
    pub(super) dictionary_size: u64,
}

/// What is in a stripe.
#[derive(Debug)]
pub(super) struct StripeFooter {
    pub(super) streams: Vec<StreamInfo>,
    pub(super) encodings: Vec<Encoding>,
    pub(super) time_zone: Option<String>,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other; those of other wire types are left out.
fn fields<'a>(bytes: &'a [u8], mut each: impl FnMut(u32, Value<'a>) -> Read<()>) -> Read<()> {
    let end = u32::try_from(bytes.len()).or_else(|_| wrong("a footer is too long"))?;
    let mut input = Input::new(bytes, Span { start: 0, end });
    while !input.is_at_end() {
        match input.tag()? {
            (number, WireType::Varint) => each(number, Value::Number(input.varint()?))?,
            (number, WireType::Length) => each(number, Value::Bytes(input.length_delimited()?.of(bytes)))?,
            (number, wire) => input.skip(number, wire)?,
        }
    }
    Ok(())
}

/// A repeated number, packed or not.
fn numbers(value: &Value<'_>, mut each: impl FnMut(u64)) -> Read<()> {
    match value {
        Value::Number(n) => each(*n),
        Value::Bytes(bytes) => {
            let mut input = Input::new(bytes, Span { start: 0, end: bytes.len() as u32 });
            while !input.is_at_end() {
                each(input.varint()?);
            }
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Read<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(_) => wrong("a name is not valid UTF-8"),
    }
}

impl Tail {
    /// Reads the end of a file; `bytes` are its last ones.
    pub(super) fn parse(bytes: &[u8]) -> Read<Tail> {
        let Some((length, before)) = bytes.split_last() else { return wrong("the file is empty") };
        let length = usize::from(*length);
        let Some(start) = before.len().checked_sub(length) else { return wrong("the file ends early") };
        let (mut footer, mut codec, mut chunk, mut magic) = (0, 0, CHUNK_BYTES_DEFAULT, false);
        fields(&before[start..], |number, value| {
            match (number, value) {
                (1, Value::Number(n)) => footer = n,
                (2, Value::Number(n)) => codec = n,
                (3, Value::Number(n)) => chunk = n,
                (8000, Value::Bytes(b)) => magic = b == MAGIC,
                _ => {}
            }
            Ok(())
        })?;
        if !magic {
            return wrong("the file does not end as an ORC file");
        }
        let codec = match codec {
            0 => Codec::None,
            1 => Codec::Zlib,
            2 => Codec::Snappy,
            4 => Codec::Lz4,
            5 => Codec::Zstd,
            3 => return wrong("the file is compressed with LZO, which is not supported"),
            other => return wrong(format!("the file has the unknown compression {other}")),
        };
        let chunk_bytes = usize::try_from(chunk).unwrap_or(usize::MAX);
        if chunk_bytes > CHUNK_BYTES_MAX + 1 {
            return wrong(format!("the file has chunks of {chunk} bytes"));
        }
        Ok(Tail {
            compression: Compression { codec, chunk_bytes },
            footer_bytes: footer,
            postscript_bytes: length as u64 + 1,
        })
    }
}

impl Footer {
    pub(super) fn parse(bytes: Bytes, compression: Compression) -> Read<Footer> {
        let bytes = Stream::new(bytes, compression).all(FOOTER_BYTES_MAX)?;
        let (mut types, mut stripes, mut parts) = (vec![], vec![], 0);
        fields(&bytes, |number, value| {
            match (number, value) {
                (3, Value::Bytes(b)) => {
                    room(stripes.len(), "stripes")?;
                    let stripe = stripe(b)?;
                    // One without rows has nothing to read.
                    if stripe.rows > 0 {
                        stripes.push(stripe);
                    }
                }
                (4, Value::Bytes(b)) => {
                    parts += 1;
                    let of = type_of(b)?;
                    parts += of.children.len().max(of.names.len());
                    room(parts, "types")?;
                    types.push(of);
                }
                (10, Value::Bytes(_)) => return wrong("the file is encrypted, which is not supported"),
                _ => {}
            }
            Ok(())
        })?;
        let footer = Footer { types, stripes };
        footer.check()?;
        Ok(footer)
    }

    /// Types inside others come behind them, so that there is an end, and not too far inside each other.
    fn check(&self) -> Read<()> {
        if !self.types.first().is_some_and(|t| t.kind == Kind::Struct) {
            return wrong("the file has no columns");
        }
        let mut depths = vec![0usize; self.types.len()];
        for (id, t) in self.types.iter().enumerate() {
            let children = match t.kind {
                Kind::List => 1,
                Kind::Map => 2,
                Kind::Struct => t.names.len(),
                Kind::Union => t.children.len(),
                _ => 0,
            };
            if t.children.len() != children {
                return wrong(format!("the type {} of column {id} has {} parts", t.name(), t.children.len()));
            }
            for child in &t.children {
                if *child <= id || *child >= self.types.len() || depths[*child] > 0 {
                    return wrong(format!("the type of column {id} has a part that is none: {child}"));
                }
                depths[*child] = depths[id] + 1;
                if depths[*child] > DEPTH_MAX {
                    return wrong(format!("types lie more than {DEPTH_MAX} levels inside each other"));
                }
            }
        }
        Ok(())
    }
}

/// Stripes of a file, types with their parts, streams and encodings of a stripe: a few compressed bytes can name very many.
const ENTRIES_MAX: usize = 1 << 20;

fn room(entries: usize, what: &str) -> Read<()> {
    if entries < ENTRIES_MAX { Ok(()) } else { wrong(format!("there are more than {ENTRIES_MAX} {what}")) }
}

fn stripe(bytes: &[u8]) -> Read<Stripe> {
    let mut stripe = Stripe { offset: 0, index_bytes: 0, data_bytes: 0, footer_bytes: 0, rows: 0 };
    fields(bytes, |number, value| {
        if let Value::Number(n) = value {
            match number {
                1 => stripe.offset = n,
                2 => stripe.index_bytes = n,
                3 => stripe.data_bytes = n,
                4 => stripe.footer_bytes = n,
                5 => stripe.rows = n,
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(stripe)
}

fn type_of(bytes: &[u8]) -> Read<Type> {
    let mut of = Type::new(Kind::Boolean);
    fields(bytes, |number, value| {
        match (number, value) {
            (1, Value::Number(n)) => match usize::try_from(n).ok().and_then(|n| KINDS.get(n)) {
                Some(kind) => of.kind = *kind,
                None => return wrong(format!("the file has a column of the unknown type {n}")),
            },
            (2, value) => {
                numbers(&value, |n| {
                    // One more than there may be: the file is refused then.
                    if of.children.len() <= ENTRIES_MAX {
                        of.children.push(usize::try_from(n).unwrap_or(usize::MAX));
                    }
                })?;
            }
            (3, Value::Bytes(b)) => {
                room(of.names.len(), "names of columns")?;
                of.names.push(text(b)?);
            }
            (4, Value::Number(n)) => of.length_max = Some(n),
            (5, Value::Number(n)) => of.precision = Some(n),
            (6, Value::Number(n)) => of.scale = Some(n),
            _ => {}
        }
        Ok(())
    })?;
    Ok(of)
}

impl StripeFooter {
    pub(super) fn parse(bytes: Bytes, compression: Compression) -> Read<StripeFooter> {
        let bytes = Stream::new(bytes, compression).all(FOOTER_BYTES_MAX)?;
        let mut footer = StripeFooter { streams: vec![], encodings: vec![], time_zone: None };
        fields(&bytes, |number, value| {
            match (number, value) {
                (1, Value::Bytes(b)) => {
                    room(footer.streams.len(), "streams")?;
                    let mut info = StreamInfo { kind: StreamKind::Present, column: 0, bytes: 0 };
                    fields(b, |number, value| {
                        match (number, value) {
                            (1, Value::Number(n)) => {
                                info.kind = match n {
                                    0 => StreamKind::Present,
                                    1 => StreamKind::Data,
                                    2 => StreamKind::Length,
                                    3 => StreamKind::DictionaryData,
                                    5 => StreamKind::Secondary,
                                    _ => StreamKind::Other,
                                }
                            }
                            (2, Value::Number(n)) => info.column = usize::try_from(n).unwrap_or(usize::MAX),
                            (3, Value::Number(n)) => info.bytes = n,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    footer.streams.push(info);
                }
                (2, Value::Bytes(b)) => {
                    room(footer.encodings.len(), "encodings")?;
                    let mut encoding = Encoding::default();
                    fields(b, |number, value| {
                        match (number, value) {
                            (1, Value::Number(n)) => {
                                (encoding.dictionary, encoding.version2) = (n & 1 == 1, n & 2 == 2);
                                if n > 3 {
                                    return wrong(format!("a column has the unknown encoding {n}"));
                                }
                            }
                            (2, Value::Number(n)) => encoding.dictionary_size = n,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    footer.encodings.push(encoding);
                }
                (3, Value::Bytes(b)) => footer.time_zone = Some(text(b)?).filter(|z| !z.is_empty()),
                _ => {}
            }
            Ok(())
        })?;
        Ok(footer)
    }
}

fn put_number(number: u32, value: u64, out: &mut Vec<u8>) {
    put_tag(number, WireType::Varint, out);
    put_varint(value, out);
}

fn put_message(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    put_tag(number, WireType::Length, out);
    let start = out.len();
    write(out);
    put_length_before(start, out);
}

/// The bytes of a stripe's footer.
pub(super) fn stripe_footer(streams: &[StreamInfo], types: &[Type]) -> Vec<u8> {
    let mut out = vec![];
    for stream in streams {
        put_message(1, &mut out, |out| {
            put_number(1, stream.kind as u64, out);
            put_number(2, stream.column as u64, out);
            put_number(3, stream.bytes, out);
        });
    }
    for t in types {
        // DIRECT where there are no integers, DIRECT_V2 else.
        let plain = matches!(t.kind, Kind::Boolean | Kind::Byte | Kind::Float | Kind::Double | Kind::Struct);
        put_message(2, &mut out, |out| put_number(1, if plain { 0 } else { 2 }, out));
    }
    put_message(3, &mut out, |out| out.extend_from_slice(b"UTC"));
    out
}

/// The bytes of a file's footer.
pub(super) fn footer(types: &[Type], stripes: &[Stripe], content_bytes: u64) -> Vec<u8> {
    let mut out = vec![];
    put_number(1, MAGIC.len() as u64, &mut out);
    put_number(2, content_bytes, &mut out);
    for stripe in stripes {
        put_message(3, &mut out, |out| {
            put_number(1, stripe.offset, out);
            put_number(2, stripe.index_bytes, out);
            put_number(3, stripe.data_bytes, out);
            put_number(4, stripe.footer_bytes, out);
            put_number(5, stripe.rows, out);
        });
    }
    for t in types {
        put_message(4, &mut out, |out| {
            put_number(1, t.kind as u64, out);
            if !t.children.is_empty() {
                put_message(2, out, |out| t.children.iter().for_each(|c| put_varint(*c as u64, out)));
            }
            t.names.iter().for_each(|name| put_message(3, out, |out| out.extend_from_slice(name.as_bytes())));
            for (number, value) in [(4, t.length_max), (5, t.precision), (6, t.scale)] {
                if let Some(value) = value {
                    put_number(number, value, out);
                }
            }
        });
    }
    put_number(6, stripes.iter().map(|s| s.rows).sum(), &mut out);
    // No rows have an index.
    put_number(8, 0, &mut out);
    put_number(9, WRITER, &mut out);
    out
}

/// The end of a file: its postscript, and the byte with its length.
pub(super) fn tail(footer_bytes: u64, compression: Compression) -> Vec<u8> {
    let mut out = vec![];
    put_number(1, footer_bytes, &mut out);
    put_number(2, compression.codec as u64, &mut out);
    if compression.codec != Codec::None {
        put_number(3, compression.chunk_bytes as u64, &mut out);
    }
    put_message(4, &mut out, |out| out.extend_from_slice(&[0, 12]));
    put_number(5, 0, &mut out);
    put_number(6, WRITER_VERSION, &mut out);
    put_message(8000, &mut out, |out| out.extend_from_slice(MAGIC));
    let length = out.len() as u8;
    out.push(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(footer: Vec<u8>) -> Read<Footer> {
        Footer::parse(footer.into(), Compression { codec: Codec::None, chunk_bytes: CHUNK_BYTES_DEFAULT as usize })
    }

    /// Two bytes name a type, which takes a hundred.
    #[test]
    fn a_footer_of_very_many_entries_is_refused() {
        let of_struct = [0x22, 0x02, 0x08, 0x0c];
        let entries = |entry: &[u8], n: usize| [&of_struct[..], &entry.repeat(n)].concat();
        assert_eq!(parsed(entries(&[0x22, 0x00], 100)).expect("types").types.len(), 101);
        let names = [0x22, 0x82, 0x80, 0x80, 0x01].into_iter().chain([0x1a, 0x00].repeat(ENTRIES_MAX + 1)).collect();
        for footer in [entries(&[0x22, 0x00], ENTRIES_MAX), entries(&[0x1a, 0x02, 0x28, 0x01], ENTRIES_MAX + 1), names]
        {
            let reason = parsed(footer).expect_err("too many").reason;
            assert!(reason.contains("there are more than"), "{reason}");
        }
        assert!(parsed(entries(&[0x1a, 0x00], 100)).expect("stripes").stripes.is_empty(), "none of them has rows");
    }
}
