//! What targets of formats share: tables, decoders over pieces, and what is to be the same.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flott_connector::format::{
    Decoding, EncoderFactory, FormatContext, FormatFactory, MessageDecoder, MessageDecoderFactory, Messages,
    RecordPosition, StreamDecoder, StreamDecoderFactory,
};
use flott_core::types::{LogicalType, TypeKind, arrow_schema};
use flott_core::{ChangeBatch, Error, ErrorKind, Result};

/// A schema from `ROW<a INT, b STRING>`.
pub fn schema(row: &str) -> SchemaRef {
    let t: LogicalType = row.parse().unwrap_or_else(|e| panic!("{row}: {e}"));
    let TypeKind::Row(fields) = t.kind else { panic!("{row} is no row") };
    arrow_schema(fields.iter().map(|f| (f.name.as_str(), &f.data_type)))
}

/// What a format is asked for: these columns out of those.
pub fn context(declared: &str, wanted: &str, options: &[(&str, &str)]) -> FormatContext {
    FormatContext {
        schema: schema(wanted),
        declared: schema(declared),
        options: options.iter().copied().collect(),
        local_time_zone: "Europe/Berlin".into(),
    }
}

/// The decoders and encoders of a table.
pub struct Table {
    /// What it is asked for.
    pub context: FormatContext,
    /// Of files of records, where the format has any.
    pub stream: Option<Arc<dyn StreamDecoderFactory>>,
    /// Of messages.
    pub messages: Option<Arc<dyn MessageDecoderFactory>>,
    /// What writes the same, where the table is whole.
    pub encoding: Option<Arc<dyn EncoderFactory>>,
    /// Whether what is written is read as the same.
    pub exact: bool,
}

impl Table {
    /// All that a format has for a table.
    pub fn new(format: &dyn FormatFactory, context: FormatContext) -> Table {
        let stream = format.decoding(&context).ok().and_then(|d| match d {
            Decoding::Stream(factory) => Some(factory),
            Decoding::Bulk(_) => None,
        });
        let messages = format.message_decoding(&context).ok();
        assert!(stream.is_some() || messages.is_some(), "{}: no table of {:?}", format.identifier(), context.schema);
        Table { stream, messages, encoding: format.encoding(&context).ok(), exact: true, context }
    }

    /// Of a table that is written as it is, but not read as the same: by its options.
    pub fn inexact(self) -> Table {
        Table { exact: false, ..self }
    }

    /// Of a whole row type, and some options.
    pub fn of(format: &dyn FormatFactory, row: &str, options: &[(&str, &str)]) -> Table {
        Table::new(format, context(row, row, options))
    }
}

/// Which of several tables an input is for (its first byte says), and the rest of it.
pub fn choose<'a, 'b>(tables: &'a [Table], data: &'b [u8]) -> Option<(&'a Table, &'b [u8])> {
    let (first, rest) = data.split_first()?;
    // Printable, so that a corpus can be written by hand: 0 to 9, then letters.
    let at = match first {
        b'0'..=b'9' => first - b'0',
        b'a'..=b'z' => first - b'a' + 10,
        other => *other,
    };
    Some((tables.get(usize::from(at) % tables.len())?, rest))
}

/// Where an input stands.
pub fn position(offset: u64, row: u64) -> RecordPosition {
    RecordPosition { origin: Arc::from("f"), row, offset, row_is_exact: true }
}

/// An error that bad input may give: never one that means a bug.
///
/// # Panics
/// Where it means one.
pub fn refusal(error: &Error) -> (ErrorKind, String) {
    assert!(error.kind() != ErrorKind::Internal, "an internal error: {error}\n{error:?}");
    (error.kind(), error.to_string())
}

/// The value, or `None` for a refusal.
///
/// # Panics
/// Where the error means a bug.
pub fn given<T>(result: Result<T>) -> Option<T> {
    result.map_err(|e| refusal(&e)).ok()
}

/// What a whole file gave.
#[derive(Debug, Default)]
pub struct All {
    batches: Vec<ChangeBatch>,
    records: u64,
    skipped: u64,
}

impl All {
    /// All rows in one batch.
    pub fn whole(&self, schema: &SchemaRef) -> ChangeBatch {
        ChangeBatch::concat(schema, &self.batches).unwrap_or_else(|e| panic!("batches of one decoder do not fit: {e}"))
    }
}

/// Decodes a file that arrives in pieces: `more(n)` says how many bytes arrive when n are there and are not enough.
pub fn decode_all(
    decoder: &mut dyn StreamDecoder,
    file: &[u8],
    max_rows: usize,
    mut more: impl FnMut(usize) -> usize,
) -> Result<All> {
    let mut all = All::default();
    let (mut there, mut consumed) = (0, 0);
    loop {
        let end = there == file.len();
        let input = &file[consumed..there];
        let decoded = decoder.decode(input, end, max_rows, &position(consumed as u64, all.records))?;
        assert!(decoded.consumed <= input.len(), "more was consumed than is there");
        consumed += decoded.consumed;
        all.records += decoded.records;
        all.skipped += decoded.skipped;
        let got_rows = decoded.rows.is_some();
        if let Some(rows) = decoded.rows {
            let batch = match decoded.kinds {
                None => ChangeBatch::append(rows),
                Some(kinds) => ChangeBatch::new(rows, kinds)?,
            };
            all.batches.push(batch);
        }
        if decoded.consumed == 0 && !got_rows {
            if end {
                assert_eq!(consumed, file.len(), "the end of the input is not consumed");
                return Ok(all);
            }
            there = file.len().min(there + more(there).max(1));
        }
    }
}

/// A file gives the same whether it comes as a whole or in pieces, a few rows or many at a time.
pub fn check_pieces(table: &Table, file: &[u8]) -> Option<RecordBatch> {
    let factory = table.stream.as_ref()?;
    let decode = |max_rows: usize, more: &mut dyn FnMut(usize) -> usize| {
        let mut decoder = factory.create(true).unwrap_or_else(|e| panic!("no decoder: {e}"));
        decode_all(decoder.as_mut(), file, max_rows, more)
    };
    let whole = decode(1_000, &mut |_| usize::MAX / 2);
    // Pieces of any length, as the input says.
    let mut state = crc32fast::hash(file) | 1;
    let pieces = decode(1 + state as usize % 5, &mut |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 16) as usize % 7
    });
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!((whole.records, whole.skipped), (pieces.records, pieces.skipped), "records and skipped ones");
            let schema = &table.context.schema;
            let (whole, pieces) = (whole.whole(schema), pieces.whole(schema));
            same(&whole, &pieces, "a file in pieces");
            Some(whole.rows)
        }
        (Err(whole), Err(pieces)) => {
            // Of several errors in one file another one may come first.
            assert_eq!(refusal(&whole).0, refusal(&pieces).0, "the error of a file in pieces");
            None
        }
        (whole, pieces) => panic!("a whole file gives {whole:?}, the same in pieces {pieces:?}"),
    }
}

/// Messages give the same whatever was decoded before, a refused one leaves nothing behind, and what each gives is
/// counted. Gives the rows.
pub fn check_messages(schema: &SchemaRef, factory: &dyn MessageDecoderFactory, messages: &[&[u8]]) -> ChangeBatch {
    let new = || factory.create().unwrap_or_else(|e| panic!("no decoder: {e}"));
    let mut used = new();
    let (mut alone, mut counted) = (vec![], 0);
    for message in messages {
        let decode =
            |decoder: &mut dyn MessageDecoder| decoder.decode(Some(message), &position(0, 0)).map_err(|e| refusal(&e));
        let mut fresh = new();
        let (first, again) = (decode(fresh.as_mut()), decode(used.as_mut()));
        assert_eq!(first, again, "what was decoded before changes the outcome");
        // What is wrong with a message is told with it, not when the batch is made.
        let rows = fresh.flush().unwrap_or_else(|e| panic!("a batch of one message cannot be made: {e}"));
        assert_eq!(rows.num_rows(), first.as_ref().copied().unwrap_or(0), "rows are not counted");
        counted += rows.num_rows();
        alone.push(rows);
    }
    let together = used.flush().unwrap_or_else(|e| panic!("a batch cannot be made: {e}"));
    assert_eq!(together.num_rows(), counted, "a refused message leaves rows behind");
    let alone = ChangeBatch::concat(schema, &alone).unwrap_or_else(|e| panic!("batches do not fit: {e}"));
    same(&alone, &together, "messages by one decoder");
    assert_eq!(used.flush().unwrap_or_else(|e| panic!("{e}")).num_rows(), 0, "rows come twice");
    together
}

/// What was decoded is the same once it is encoded and decoded again, as messages.
pub fn check_message_round(table: &Table, rows: &ChangeBatch) {
    let (Some(encoding), Some(decoding)) = (&table.encoding, &table.messages) else { return };
    let mut encoder = encoding.create().unwrap_or_else(|e| panic!("no encoder: {e}"));
    let mut out = Messages::default();
    if given(encoder.encode_messages(rows, &mut out)).is_none() {
        return;
    }
    assert_eq!(out.len(), rows.num_rows(), "a message a row");
    if !table.exact {
        return;
    }
    let mut decoder = decoding.create().unwrap_or_else(|e| panic!("no decoder: {e}"));
    for i in 0..out.len() {
        let message = out.get(i);
        decoder.decode(message, &position(0, i as u64)).unwrap_or_else(|e| {
            panic!(
                "what was encoded cannot be decoded: {e}\n{:?}",
                String::from_utf8_lossy(message.unwrap_or_default())
            )
        });
    }
    let back = decoder.flush().unwrap_or_else(|e| panic!("{e}"));
    same(rows, &back, "rows that were encoded");
}

/// What was decoded is the same once it is encoded and decoded again, as a file.
pub fn check_file_round(table: &Table, rows: &RecordBatch) {
    let (Some(encoding), Some(decoding)) = (&table.encoding, &table.stream) else { return };
    let mut encoder = encoding.create().unwrap_or_else(|e| panic!("no encoder: {e}"));
    let mut file = vec![];
    let written =
        encoder.encode(&ChangeBatch::append(rows.clone()), &mut file).and_then(|()| encoder.finish(&mut file));
    if given(written).is_none() || !table.exact {
        return;
    }
    let mut decoder = decoding.create(true).unwrap_or_else(|e| panic!("no decoder: {e}"));
    let back = decode_all(decoder.as_mut(), &file, 1_000, |_| usize::MAX / 2)
        .unwrap_or_else(|e| panic!("what was encoded cannot be decoded: {e}\n{:?}", String::from_utf8_lossy(&file)));
    let rows = ChangeBatch::append(rows.clone());
    same(&rows, &back.whole(&table.context.schema), "rows that were encoded");
}

/// # Panics
/// Where two batches differ.
pub fn same(a: &ChangeBatch, b: &ChangeBatch, what: &str) {
    let kinds = |batch: &ChangeBatch| (0..batch.num_rows()).map(|row| batch.kind(row)).collect::<Vec<_>>();
    assert_eq!(kinds(a), kinds(b), "kinds of {what}");
    // Floats that are no numbers are the same here, so it is texts that are compared where batches are not equal.
    assert!(
        a.rows == b.rows || format!("{:?}", a.rows) == format!("{:?}", b.rows),
        "{what}:\n{:?}\n{:?}",
        a.rows,
        b.rows
    );
}

/// Parts of an input: behind a length byte each, or by a line break where `lines`.
pub fn parts(data: &[u8]) -> Vec<&[u8]> {
    let mut parts = vec![];
    let mut rest = data;
    while let Some((length, behind)) = rest.split_first() {
        let (part, after) = behind.split_at(usize::from(*length).min(behind.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

/// Lines of an input.
pub fn lines(data: &[u8]) -> Vec<&[u8]> {
    data.split(|b| *b == b'\n').collect()
}
