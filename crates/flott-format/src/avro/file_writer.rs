//! Object container files that are written.

use std::sync::Arc;

use flott_connector::format::{Encoder, EncoderFactory, Messages};
use flott_core::rng::Rng;
use flott_core::{ChangeBatch, Error, Result};

use super::binary::{put_bytes, put_long};
use super::codec::{BLOCK_BYTES_MAX, Codec};
use super::file_reader::MARKER;
use super::message::{AvroEncoding, each, only_inserts};
use super::options::AvroOptions;
use super::schema::AvroSchema;

/// A block is written when it has so many bytes, as Java's library does.
const BLOCK_BYTES: usize = 64_000;

/// Writes files, and messages: who uses it calls for one of both.
pub(super) struct FileEncoding {
    schema: Arc<AvroSchema>,
    codec: Codec,
    messages: AvroEncoding,
}

impl FileEncoding {
    pub(super) fn new(schema: AvroSchema, options: AvroOptions) -> Result<FileEncoding> {
        // In files Flink's record may be NULL.
        let of_files = AvroSchema::parse(&format!(r#"["null",{}]"#, schema.text))?;
        let messages = AvroEncoding::new(Arc::new(schema), options.json);
        Ok(FileEncoding { schema: Arc::new(of_files), codec: options.codec, messages })
    }
}

impl EncoderFactory for FileEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        let mut rng = Rng::from_entropy();
        let mut marker = [0; MARKER];
        marker[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
        marker[8..].copy_from_slice(&rng.next_u64().to_le_bytes());
        Ok(Box::new(FileEncoder {
            schema: Arc::clone(&self.schema),
            codec: self.codec,
            marker,
            begun: false,
            block: vec![],
            rows: 0,
            messages: self.messages.create()?,
        }))
    }

    fn file_extension(&self) -> &str {
        "avro"
    }
}

struct FileEncoder {
    schema: Arc<AvroSchema>,
    codec: Codec,
    marker: [u8; MARKER],
    begun: bool,
    block: Vec<u8>,
    rows: u64,
    messages: Box<dyn Encoder>,
}

impl FileEncoder {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        out.extend_from_slice(b"Obj\x01");
        put_long(2, out);
        put_bytes(b"avro.schema", out);
        put_bytes(self.schema.text.as_bytes(), out);
        put_bytes(b"avro.codec", out);
        put_bytes(self.codec.name().as_bytes(), out);
        out.push(0);
        out.extend_from_slice(&self.marker);
    }
}

fn end_block(codec: Codec, marker: &[u8], block: &mut Vec<u8>, rows: &mut u64, out: &mut Vec<u8>) -> Result<()> {
    if *rows == 0 {
        return Ok(());
    }
    if block.len() > BLOCK_BYTES_MAX {
        return Err(Error::data(format!(
            "a record of {} bytes, and {BLOCK_BYTES_MAX} are allowed (BLOCK_BYTES_MAX)",
            block.len()
        )));
    }
    let packed = codec.pack(block)?;
    put_long(*rows as i64, out);
    put_bytes(&packed, out);
    out.extend_from_slice(marker);
    block.clear();
    *rows = 0;
    Ok(())
}

impl Encoder for FileEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        only_inserts(rows, "avro")?;
        self.begin(out);
        let FileEncoder { schema, codec, marker, block, rows: in_block, .. } = self;
        each(
            schema,
            rows,
            block,
            |_| {},
            |block| {
                *in_block += 1;
                if block.len() < BLOCK_BYTES {
                    return Ok(());
                }
                end_block(*codec, marker, block, in_block, out)
            },
        )
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        self.messages.encode_messages(rows, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.begin(out);
        end_block(self.codec, &self.marker, &mut self.block, &mut self.rows, out)
    }

    fn buffered_bytes(&self) -> usize {
        self.block.len()
    }
}
