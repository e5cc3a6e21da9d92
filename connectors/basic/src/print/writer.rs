//! Writes rows as lines.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::row_text::RowText;
use flott_connector::sink::SinkWriter;
use flott_core::{ChangeBatch, Error, Result};

use super::{Output, Stream};

/// Lines are handed over in pieces of about this size, so that a large batch is not held twice in memory.
const CHUNK_BYTES: usize = 256 * 1024;

pub(super) struct PrintWriter {
    output: Arc<dyn Output>,
    stream: Stream,
    prefix: String,
    lines: String,
    bytes_written: u64,
}

impl PrintWriter {
    pub(super) fn new(output: Arc<dyn Output>, stream: Stream, prefix: String) -> PrintWriter {
        PrintWriter { output, stream, prefix, lines: String::new(), bytes_written: 0 }
    }

    async fn hand_over(&mut self) -> Result<()> {
        if !self.lines.is_empty() {
            let (lines, stream) = (std::mem::take(&mut self.lines), self.stream);
            let bytes = lines.len() as u64;
            self.lines = self
                .blocking(move |output| {
                    output.write(stream, lines.as_bytes())?;
                    // The memory comes back for the next lines.
                    let mut lines = lines;
                    lines.clear();
                    Ok(lines)
                })
                .await?;
            self.bytes_written += bytes;
        }
        Ok(())
    }

    /// Whoever reads the stream may be slow (`| less`), and must not hold what else runs on the runtime's threads. The
    /// next call waits for this one, so lines stay in order.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Output) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let output = Arc::clone(&self.output);
        let done = tokio::task::spawn_blocking(move || call(output.as_ref())).await;
        let stream = self.stream;
        done.map_err(|e| Error::internal(format!("printing ended early: {e}")))?.map_err(|e| failed(e, stream))
    }
}

/// A closed pipe (`flott run job.sql | head`) ends the job, but is nobody's fault: the cause and the stream tell whoever
/// runs it.
fn failed(e: io::Error, stream: Stream) -> Error {
    if e.kind() == io::ErrorKind::BrokenPipe {
        return Error::user("nobody reads the printed rows any more: the pipe is closed")
            .with("connector", "print")
            .with("stream", stream.name())
            .caused_by(e)
            .hint("Write the output to a file, or read it to its end");
    }
    Error::from(e).with("connector", "print")
}

#[async_trait]
impl SinkWriter for PrintWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        let text = RowText::new(&batch.rows)?;
        for row in 0..batch.num_rows() {
            self.lines.push_str(&self.prefix);
            text.write_row(batch.kind(row), row, &mut self.lines);
            self.lines.push('\n');
            if self.lines.len() >= CHUNK_BYTES {
                self.hand_over().await?;
            }
        }
        self.hand_over().await
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        let stream = self.stream;
        self.blocking(move |output| output.flush(stream)).await
    }

    fn bytes_written(&self) -> u64 {
        self.bytes_written
    }
}
