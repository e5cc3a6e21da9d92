//! Short ways to decode and encode.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_schema::{DataType, SchemaRef};
use flott_connector::format::{
    Decoding, FormatContext, FormatFactory, MessageDecoder, RecordPosition, StreamDecoder, StreamDecoderFactory,
};
use flott_core::types::{LogicalType, TypeKind, arrow_schema};
use flott_core::{ChangeBatch, Error, Result};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

/// A schema from `ROW<a INT, b STRING>`.
pub(crate) fn schema(row: &str) -> SchemaRef {
    let t: LogicalType = row.parse().unwrap_or_else(|e| panic!("{row}: {e}"));
    let TypeKind::Row(fields) = t.kind else { panic!("{row} is no row") };
    arrow_schema(fields.iter().map(|f| (f.name.as_str(), &f.data_type)))
}

pub(crate) fn context(declared: &str, wanted: &str, options: &[(&str, &str)]) -> FormatContext {
    FormatContext {
        schema: schema(wanted),
        declared: schema(declared),
        options: options.iter().copied().collect(),
        local_time_zone: "UTC".into(),
    }
}

pub(crate) fn position(offset: u64, row: u64) -> RecordPosition {
    RecordPosition { origin: Arc::from("f.txt"), row, offset, row_is_exact: true }
}

pub(crate) fn stream(format: &dyn FormatFactory, context: &FormatContext) -> Result<Arc<dyn StreamDecoderFactory>> {
    match format.decoding(context)? {
        Decoding::Stream(factory) => Ok(factory),
        Decoding::Bulk(_) => panic!("not a stream"),
    }
}

/// Reads (a part of) a file of a format that needs whole files; also the positions behind each batch.
pub(crate) fn read_bulk(
    format: &dyn FormatFactory,
    context: &FormatContext,
    file: &[u8],
    range: Option<(u64, u64)>,
    skip: u64,
) -> Result<(RecordBatch, Vec<u64>)> {
    let Decoding::Bulk(factory) = format.decoding(context)? else { panic!("not bulk") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = InMemory::new();
        let path = Path::from(format!("t/part.{}", format.identifier()));
        store.put(&path, file.to_vec().into()).await.unwrap();
        let mut reader = factory.open(Arc::new(store), &path, file.len() as u64, range, skip).await?;
        let (mut batches, mut positions) = (vec![], vec![]);
        while let Some(b) = reader.next().await? {
            batches.push(ChangeBatch::append(b.rows));
            positions.push(b.next_row);
        }
        Ok((ChangeBatch::concat(&context.schema, &batches)?.rows, positions))
    })
}

/// Rows of JSON lines.
pub(crate) fn rows_of(text: &str, row: &str) -> RecordBatch {
    let c = context(row, row, &[]);
    let mut decoder = stream(&flott_format::json::JsonFormat, &c).unwrap().create(true).unwrap();
    decode_all(decoder.as_mut(), text.as_bytes(), 10_000, |_| 1 << 20).unwrap().one(&c.schema)
}

/// What a whole file gave.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct All {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) consumed: usize,
    pub(crate) records: u64,
    pub(crate) skipped: u64,
}

impl All {
    pub(crate) fn one(&self, schema: &SchemaRef) -> RecordBatch {
        let changes: Vec<ChangeBatch> = self.batches.iter().cloned().map(ChangeBatch::append).collect();
        ChangeBatch::concat(schema, &changes).unwrap().rows
    }
}

/// Decodes a file that arrives in pieces: `more(n)` says how many bytes arrive when n are there and not enough.
pub(crate) fn decode_all(
    decoder: &mut dyn StreamDecoder,
    file: &[u8],
    max_rows: usize,
    mut more: impl FnMut(usize) -> usize,
) -> Result<All> {
    let mut all = All::default();
    let mut there = 0;
    loop {
        let end = there == file.len();
        let input = &file[all.consumed..there];
        let decoded = decoder.decode(input, end, max_rows, &position(all.consumed as u64, all.records))?;
        assert!(decoded.consumed <= input.len());
        all.consumed += decoded.consumed;
        all.records += decoded.records;
        all.skipped += decoded.skipped;
        let got_rows = decoded.rows.is_some();
        all.batches.extend(decoded.rows);
        if decoded.consumed == 0 && !got_rows {
            if end {
                return Ok(all);
            }
            there = file.len().min(there + more(there).max(1));
        }
    }
}

/// A table for comparing: one text a row.
pub(crate) fn shown(batch: &RecordBatch) -> Vec<String> {
    let options = arrow_cast::display::FormatOptions::new().with_null("NULL");
    // Arrow prints named time zones only with a database of them.
    let fixed: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|c| match c.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
                make_array(c.to_data().into_builder().data_type(utc).build().unwrap())
            }
            _ => c.clone(),
        })
        .collect();
    let columns: Vec<_> =
        fixed.iter().map(|c| arrow_cast::display::ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    // Keys that may be NULL lie in rows of one field.
    let bare = |text: String| text.replace("{key: ", "").replace("}: ", ": ");
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|c| bare(c.value(row).to_string())).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Decodes text at once; rows as texts.
pub(crate) fn rows(format: &dyn FormatFactory, context: &FormatContext, text: &[u8]) -> Result<Vec<String>> {
    let mut decoder = stream(format, context)?.create(true)?;
    let all = decode_all(decoder.as_mut(), text, 1000, |_| usize::MAX / 2)?;
    assert_eq!(all.consumed, text.len());
    Ok(shown(&all.one(&context.schema)))
}

pub(crate) fn error(format: &dyn FormatFactory, context: &FormatContext, text: &[u8]) -> Error {
    rows(format, context, text).expect_err(&String::from_utf8_lossy(text))
}

pub(crate) fn messages(format: &dyn FormatFactory, context: &FormatContext) -> Box<dyn MessageDecoder> {
    format.message_decoding(context).unwrap().create().unwrap()
}

pub(crate) fn encode(format: &dyn FormatFactory, context: &FormatContext, batch: &RecordBatch) -> Vec<u8> {
    let mut encoder = format.encoding(context).unwrap().create().unwrap();
    let mut out = vec![];
    encoder.encode(&ChangeBatch::append(batch.clone()), &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    out
}
