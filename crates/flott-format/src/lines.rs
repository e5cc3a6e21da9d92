//! Files of messages, one a line.

use std::sync::Arc;

use flott_connector::format::{
    Decoded, MessageDecoder, MessageDecoderFactory, RecordPosition, Splittable, StreamDecoder, StreamDecoderFactory,
};
use flott_core::{Error, Result};

use crate::json::RECORD_BYTES_MAX;

/// Reads each line as a message.
pub(crate) struct Lines(pub(crate) Arc<dyn MessageDecoderFactory>);

impl StreamDecoderFactory for Lines {
    fn create(&self, _first: bool) -> Result<Box<dyn StreamDecoder>> {
        Ok(Box::new(LineDecoder(self.0.create()?)))
    }

    fn splittable(&self) -> Splittable {
        // Changes of a key have an order, which pieces that are read side by side would not keep.
        Splittable::No
    }
}

struct LineDecoder(Box<dyn MessageDecoder>);

impl StreamDecoder for LineDecoder {
    fn decode(
        &mut self,
        input: &[u8],
        end_of_input: bool,
        max_rows: usize,
        position: &RecordPosition,
    ) -> Result<Decoded> {
        let mut decoded = Decoded { consumed: 0, rows: None, kinds: None, records: 0, skipped: 0 };
        let mut rows = 0;
        while rows < max_rows && decoded.consumed < input.len() {
            let rest = &input[decoded.consumed..];
            let (line, next) = match memchr::memchr(b'\n', rest) {
                Some(end) => (&rest[..end], end + 1),
                None if end_of_input => (rest, rest.len()),
                None if rest.len() > RECORD_BYTES_MAX => {
                    return Err(Error::data(format!(
                        "A line is longer than {RECORD_BYTES_MAX} bytes (RECORD_BYTES_MAX)"
                    ))
                    .with("file", &position.origin)
                    .hint("A file holds one message a line"));
                }
                None => break,
            };
            let here = RecordPosition {
                row: position.row + decoded.records,
                offset: position.offset + decoded.consumed as u64,
                ..position.clone()
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match self.0.decode(Some(line), &here) {
                Ok(of_line) => {
                    rows += of_line;
                    decoded.skipped += u64::from(of_line == 0 && !line.is_empty());
                }
                Err(e) => {
                    // What the lines before have given must not come with the next call.
                    self.0.flush()?;
                    return Err(e);
                }
            }
            decoded.records += 1;
            decoded.consumed += next;
        }
        if rows > 0 {
            let batch = self.0.flush()?;
            (decoded.rows, decoded.kinds) = (Some(batch.rows), batch.kinds);
        }
        Ok(decoded)
    }
}
