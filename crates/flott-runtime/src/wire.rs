//! Messages between workers of different processes, as bytes.
//!
//! A message is a head of eight words, then row kinds (one byte a row, where there are any), then an Arrow IPC stream:
//! the schema comes with the first batch of a sender and edge, and again where it changes. Batches are encoded by the
//! operator in front of the edge and decoded by the one behind it, where an error can be told.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use flott_connector::ipc;
use flott_core::{ChangeBatch, Error, Result, RowKinds};
use flott_graph::NodeId;
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

use crate::container::{Control, Envelope, Payload};
use crate::flow::{Loan, Shared, Ticket};

/// A batch that is larger is cut by rows before it is sent.
const BATCH_BYTES: usize = 16 << 20;
/// The largest message: a single row can be large.
pub(crate) const MESSAGE_BYTES_MAX: usize = 512 << 20;
/// Room for what stands before and behind the rows' own bytes.
const HEAD_ROOM: usize = 1 << 20;
/// The decoder wants to see a byte behind a body, also behind an empty one.
const TAIL: [u8; 8] = [0xff; 8];

const WORDS: usize = 8;
const HEAD: usize = WORDS * 8;

const EMPTY: u64 = 0;
const CONTROL: u64 = 1;
const DATA: u64 = 2;
/// A batch that nobody has encoded: a bug of the sender.
const LOST: u64 = 3;

/// Rows on their way to another process.
#[derive(Debug, Clone)]
pub(crate) struct WireBatch {
    /// The sending worker.
    from: usize,
    rows: usize,
    /// Bytes of `content` that are row kinds.
    kinds: usize,
    /// The stream begins anew, with its schema.
    restart: bool,
    /// Counted by the sending process until they are taken.
    loan: Option<Loan>,
    content: Vec<u8>,
}

impl WireBatch {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// Encodes the rows of one edge for one worker.
#[derive(Default)]
pub(crate) struct Encoder {
    stream: Option<(SchemaRef, StreamWriter<Vec<u8>>)>,
}

impl Encoder {
    /// The messages of a batch; none where it is empty.
    pub(crate) fn encode(&mut self, from: usize, batch: &ChangeBatch, ticket: Option<&Ticket>) -> Result<Vec<Payload>> {
        let mut payloads = vec![];
        for part in cut(batch) {
            let loan = ticket.map(|t| t.part(part.size_bytes()).lend());
            payloads.push(Payload::Wire(self.encode_one(from, &part, loan)?));
        }
        Ok(payloads)
    }

    fn encode_one(&mut self, from: usize, batch: &ChangeBatch, loan: Option<Loan>) -> Result<WireBatch> {
        let bytes = batch.size_bytes();
        if bytes > MESSAGE_BYTES_MAX - HEAD_ROOM {
            return Err(Error::data(format!("a row of {bytes} bytes is too large to go to another process"))
                .hint("Run the job in one process, without --processes"));
        }
        let schema = batch.rows.schema();
        let mut content: Vec<u8> = vec![];
        if let Some(kinds) = &batch.kinds {
            content.extend(kinds.iter().map(|k| k.code() as u8));
        }
        let kinds = content.len();
        let known = self.stream.as_ref().is_some_and(|(s, _)| Arc::ptr_eq(s, &schema) || *s == schema);
        if !known {
            let writer = StreamWriter::try_new(vec![], &schema)?;
            self.stream = Some((Arc::clone(&schema), writer));
        }
        let Some((_, writer)) = &mut self.stream else { return Err(Error::internal("no stream to write to")) };
        writer.write(&batch.rows)?;
        content.append(writer.get_mut());
        content.extend(TAIL);
        Ok(WireBatch { from, rows: batch.num_rows(), kinds, restart: !known, loan, content })
    }
}

/// Parts of a batch that are small enough for one message, as far as rows can be parted.
fn cut(batch: &ChangeBatch) -> Vec<ChangeBatch> {
    let rows = batch.num_rows();
    if rows == 0 {
        return vec![];
    }
    if rows == 1 || batch.size_bytes() <= BATCH_BYTES {
        return vec![batch.clone()];
    }
    let half = rows / 2;
    let mut parts = cut(&batch.slice(0, half));
    parts.extend(cut(&batch.slice(half, rows - half)));
    parts
}

/// Decodes the rows of one edge, sender by sender.
#[derive(Default)]
pub(crate) struct Decoder {
    streams: HashMap<usize, StreamDecoder>,
}

impl Decoder {
    /// The payload as the operators know it.
    pub(crate) fn decode(&mut self, payload: Payload, shared: &Arc<Shared>) -> Result<Payload> {
        let Payload::Wire(wire) = payload else { return Ok(payload) };
        let ticket = wire.loan.map(|loan| Ticket::borrowed(shared, loan));
        let batch = self.decode_batch(wire)?;
        Ok(Payload::Data { port: 0, batch, ticket })
    }

    fn decode_batch(&mut self, wire: WireBatch) -> Result<ChangeBatch> {
        let wrong = |why: &str| Error::internal(format!("rows from worker {} cannot be read: {why}", wire.from));
        if wire.content.is_empty() {
            return Err(wrong("the message is not whole"));
        }
        if wire.restart {
            self.streams.insert(wire.from, StreamDecoder::new());
        }
        let stream = self.streams.get_mut(&wire.from).ok_or_else(|| wrong("the schema did not come first"))?;
        let content = Buffer::from_vec(wire.content);
        if wire.kinds > content.len() {
            return Err(wrong("the message is not whole"));
        }
        let kinds = content.slice_with_length(0, wire.kinds);
        // Columns are aligned as they were written, which a slice behind the kinds would not be.
        let mut rest = if wire.kinds == 0 { content } else { Buffer::from_slice_ref(&content[wire.kinds..]) };
        let messages = rest.strip_suffix(&TAIL).ok_or_else(|| wrong("the message is not whole"))?;
        ipc::check(messages).map_err(|why| wrong(&why))?;
        let rows: Option<RecordBatch> = ipc::guarded(|| stream.decode(&mut rest)).map_err(|why| wrong(&why))?;
        let rows = rows.ok_or_else(|| wrong("the batch is not whole"))?;
        if rows.num_rows() != wire.rows {
            return Err(wrong("another number of rows was announced"));
        }
        if wire.kinds == 0 {
            return Ok(ChangeBatch::append(rows));
        }
        ChangeBatch::new(rows, kinds.iter().map(|k| *k as i8).collect::<RowKinds>())
    }
}

fn word(n: usize) -> u64 {
    n as u64
}

/// The head's words, and what follows.
impl Envelope {
    fn head(&self) -> ([u64; WORDS], &[u8]) {
        let target = word(self.target);
        match &self.payload {
            Payload::Empty => ([EMPTY, target, 0, 0, 0, 0, 0, 0], &[]),
            Payload::Data { .. } => ([LOST, target, 0, 0, 0, 0, 0, 0], &[]),
            Payload::Control { from, control } => {
                let (code, ms) = match control {
                    Control::Watermark(ms) => (0, *ms),
                    Control::Idle => (1, 0),
                    Control::Active => (2, 0),
                    Control::End => (3, 0),
                };
                ([CONTROL, target, word(*from), code, ms.cast_unsigned(), 0, 0, 0], &[])
            }
            Payload::Wire(wire) => {
                let flags = u64::from(wire.restart) | (u64::from(wire.loan.is_some()) << 1);
                let loan = wire.loan.unwrap_or_default();
                let from = word(wire.from) | (word(loan.process) << 32);
                let sizes = word(wire.rows);
                let behind = word(loan.behind.0);
                (
                    [DATA | (flags << 8), target, from, sizes, word(wire.kinds), behind, loan.epoch, word(loan.bytes)],
                    &wire.content,
                )
            }
        }
    }
}

fn size(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// Timely's view: it asks for the length, then for exactly so many bytes.
impl ContainerBytes for Envelope {
    fn from_bytes(bytes: Bytes) -> Self {
        let mut words = [0u64; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        let [tag, target, a, b, c, d, e, f] = words;
        let payload = match tag & 0xff {
            _ if bytes.len() < HEAD => Payload::broken(),
            EMPTY => Payload::Empty,
            CONTROL => {
                let control = match b {
                    0 => Some(Control::Watermark(c.cast_signed())),
                    1 => Some(Control::Idle),
                    2 => Some(Control::Active),
                    3 => Some(Control::End),
                    _ => None,
                };
                control.map_or_else(Payload::broken, |control| Payload::Control { from: size(a), control })
            }
            DATA if size(c) <= bytes.len() - HEAD => {
                let loan = Loan { process: size(a >> 32), behind: NodeId(size(d)), epoch: e, bytes: size(f) };
                Payload::Wire(WireBatch {
                    from: size(a & u64::from(u32::MAX)),
                    rows: size(b),
                    kinds: size(c),
                    restart: tag >> 8 & 1 == 1,
                    loan: (tag >> 9 & 1 == 1).then_some(loan),
                    // A copy: what arrives lies in slabs of a mebibyte, which must not be held for a few rows.
                    content: bytes[HEAD..].to_vec(),
                })
            }
            _ => Payload::broken(),
        };
        Envelope { target: size(target), payload }
    }

    fn length_in_bytes(&self) -> usize {
        HEAD + self.head().1.len()
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let (words, content) = self.head();
        let mut head = [0u8; HEAD];
        for (bytes, word) in head.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        // Timely hands over a buffer of the length that it was told.
        let written = writer.write_all(&head).and_then(|()| writer.write_all(content));
        debug_assert!(written.is_ok());
    }
}

impl Payload {
    /// Stands for a message that could not be read: decoding it fails.
    fn broken() -> Payload {
        Payload::Wire(WireBatch { from: 0, rows: 0, kinds: 0, restart: false, loan: None, content: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, NullArray, RecordBatchOptions, StringArray};
    use arrow_schema::{DataType, Field, Schema};
    use flott_core::RowKind;

    use super::*;

    fn shared() -> Arc<Shared> {
        Shared::new(3, 2, crate::memory::Memory::new(None))
    }

    fn batch(rows: usize) -> ChangeBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("nothing", DataType::Null, true),
        ]);
        let names: StringArray = (0..rows).map(|i| (i % 3 != 0).then(|| format!("name {i}"))).collect();
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..rows as i64)),
            Arc::new(names),
            Arc::new(NullArray::new(rows)),
        ];
        ChangeBatch::append(RecordBatch::try_new(Arc::new(schema), columns).expect("a batch"))
    }

    fn over_the_wire(envelope: &Envelope) -> Envelope {
        let mut bytes = vec![];
        envelope.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), envelope.length_in_bytes());
        Envelope::from_bytes(timely::bytes::arc::BytesMut::from(bytes).freeze())
    }

    fn pass(encoder: &mut Encoder, decoder: &mut Decoder, batch: &ChangeBatch) -> Vec<ChangeBatch> {
        let payloads = encoder.encode(5, batch, None).expect("encoded");
        let pass = |payload: Payload| {
            let sent = Envelope { target: 7, payload };
            let envelope = over_the_wire(&sent);
            assert_eq!(envelope.target, 7);
            match decoder.decode(envelope.payload, &shared()).expect("decoded") {
                Payload::Data { port: 0, batch, ticket: None } => batch,
                other => panic!("{other:?}"),
            }
        };
        payloads.into_iter().map(pass).collect()
    }

    #[test]
    fn batches_of_one_edge_come_out_as_they_went_in() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for rows in [1, 3, 1_000] {
            let sent = batch(rows);
            assert_eq!(pass(&mut encoder, &mut decoder, &sent), [sent]);
        }
        let kinds: RowKinds = (0..7).map(|i| RowKind::ALL[i % 4]).collect();
        let changes = ChangeBatch::new(batch(9).rows.slice(2, 7), kinds).expect("changes");
        assert_eq!(pass(&mut encoder, &mut decoder, &changes), [changes]);
        // Another schema, even one without columns or without bytes, begins the stream anew.
        let options = RecordBatchOptions::new().with_row_count(Some(4));
        let bare = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).expect("rows");
        let bare = ChangeBatch::append(bare);
        assert_eq!(pass(&mut encoder, &mut decoder, &bare), [bare]);
        let nulls = ChangeBatch::append(batch(5).rows.project(&[2]).expect("one column"));
        assert_eq!(pass(&mut encoder, &mut decoder, &nulls), [nulls]);
        assert_eq!(pass(&mut encoder, &mut decoder, &batch(2)), [batch(2)]);
        assert_eq!(pass(&mut encoder, &mut decoder, &batch(0)), []);
    }

    #[test]
    fn a_large_batch_is_cut_by_rows() {
        let text = "x".repeat(5 << 20);
        let column: StringArray = (0..9).map(|_| Some(text.as_str())).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
        let sent = ChangeBatch::append(RecordBatch::try_new(schema, vec![Arc::new(column)]).expect("a batch"));
        let parts = pass(&mut Encoder::default(), &mut Decoder::default(), &sent);
        assert!(parts.len() > 1 && parts.iter().all(|p| p.size_bytes() <= BATCH_BYTES));
        assert_eq!(ChangeBatch::concat(&sent.schema(), &parts).expect("whole"), sent);
    }

    #[test]
    fn controls_cross() {
        for control in
            [Control::Watermark(-5), Control::Watermark(i64::MAX), Control::Idle, Control::Active, Control::End]
        {
            match over_the_wire(&Envelope::control(3, control).to(1)) {
                Envelope { target: 1, payload: Payload::Control { from: 3, control: c } } => assert_eq!(c, control),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_panic() {
        let payloads = Encoder::default().encode(1, &batch(20), None).expect("encoded");
        let Some(payload) = payloads.into_iter().next() else { panic!("no message") };
        let mut whole = vec![];
        Envelope { target: 0, payload }.into_bytes(&mut whole);
        let decode = |bytes: Vec<u8>| {
            let envelope = Envelope::from_bytes(timely::bytes::arc::BytesMut::from(bytes).freeze());
            Decoder::default().decode(envelope.payload, &shared())
        };
        assert!(decode(whole.clone()).is_ok());
        for length in (0..whole.len() - TAIL.len()).step_by(16) {
            let decoded = decode(whole[..length].to_vec());
            assert!(decoded.is_err(), "{length} bytes of {}", whole.len());
        }
        // A part that lies a terabyte behind its batch, and more kinds than there are bytes, are among them.
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                drop(decode(bytes));
            }
        }
        let unread = Decoder::default().decode(over_the_wire(&Envelope::data(0, batch(1))).payload, &shared());
        assert!(unread.is_err(), "rows that nobody has encoded");
    }
}
