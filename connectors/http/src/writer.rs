//! The writer: rows become requests as they come, and a checkpoint waits until all are answered.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::Versioned;
use flott_connector::format::{Encoder, Messages};
use flott_connector::row_text::RowText;
use flott_connector::sink::{SinkWriter, WriterContext};
use flott_core::{ChangeBatch, CheckpointId, Error, Result, RowKind};
use reqwest::Method;
use tokio::task::JoinSet;

use crate::numbering::Numbering;
use crate::request::Outgoing;
use crate::target::{Layout, Target};

/// Bytes of a request with several rows at most (a larger row goes alone).
const BATCH_BYTES: usize = 4 << 20;

pub(crate) struct HttpWriter {
    target: Arc<Target>,
    encoder: Box<dyn Encoder>,
    numbering: Numbering,
    under_way: JoinSet<Result<()>>,
    bytes: u64,
}

impl HttpWriter {
    pub(crate) fn new(target: Arc<Target>, context: &WriterContext, restored: &[Versioned]) -> Result<HttpWriter> {
        let (encoder, numbering) = (target.value.create()?, Numbering::new(context, restored)?);
        Ok(HttpWriter { target, encoder, numbering, under_way: JoinSet::new(), bytes: 0 })
    }

    /// Waits until fewer requests than so many are under way. One that has failed is an error.
    async fn wait_below(&mut self, count: usize) -> Result<()> {
        while let Some(done) = self.under_way.try_join_next() {
            ended(done)?;
        }
        while self.under_way.len() >= count.max(1) {
            if let Some(done) = self.under_way.join_next().await {
                ended(done)?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, method: Method, url: reqwest::Url, rows: u64, body: Option<Bytes>) -> Result<()> {
        self.wait_below(self.target.in_flight).await?;
        self.bytes += body.as_ref().map_or(0, Bytes::len) as u64;
        let mut checksum = crc32fast::Hasher::new();
        for part in [method.as_str().as_bytes(), url.as_str().as_bytes(), body.as_deref().unwrap_or_default()] {
            checksum.update(part);
        }
        let request = Outgoing { method, url, id: self.numbering.next(rows, checksum.finalize()), body };
        self.under_way.spawn(Arc::clone(&self.target.service).send(request));
        Ok(())
    }

    /// Several rows in a body: all go to one place.
    async fn send_batches(&mut self, batch: &ChangeBatch, text: &RowText<'_>, values: &Messages) -> Result<()> {
        let mut begin = 0;
        while begin < values.len() {
            let (mut end, mut size) = (begin, 0);
            while end < values.len() && end - begin < self.target.batch_rows {
                size += values.get(end).map_or(0, <[u8]>::len) + 1;
                if size > BATCH_BYTES && end > begin {
                    break;
                }
                end += 1;
            }
            let body = put_together(self.target.layout, values, begin..end);
            let url = self.target.url.of(&batch.rows, text, begin)?;
            let method = self.target.method.clone();
            self.send(method, url, (end - begin) as u64, Some(body)).await?;
            begin = end;
        }
        Ok(())
    }
}

fn ended(done: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    done.map_err(|e| Error::internal("a request has ended early").caused_by(e))?
}

fn put_together(layout: Layout, values: &Messages, rows: std::ops::Range<usize>) -> Bytes {
    let (open, between, close): (&[u8], &[u8], &[u8]) = match layout {
        Layout::JsonArray => (b"[", b",", b"]"),
        Layout::Lines => (b"", b"\n", b"\n"),
        Layout::Single => (b"", b"", b""),
    };
    let mut body = open.to_vec();
    for (i, row) in rows.enumerate() {
        if i > 0 {
            body.extend_from_slice(between);
        }
        body.extend_from_slice(values.get(row).unwrap_or_default());
    }
    body.extend_from_slice(close);
    body.into()
}

#[async_trait]
impl SinkWriter for HttpWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        let target = Arc::clone(&self.target);
        if batch.kinds.is_some() && !target.changes && !target.upsert {
            return Err(Error::internal("the http sink takes only inserts here"));
        }
        let mut values = Messages::default();
        let kinds = if target.changes { batch.kinds.clone() } else { None };
        self.encoder.encode_messages(&ChangeBatch { rows: batch.rows.clone(), kinds }, &mut values)?;
        let text = RowText::new(&batch.rows)?;
        if target.layout != Layout::Single {
            return self.send_batches(&batch, &text, &values).await;
        }
        let kinds: Option<Vec<RowKind>> = batch.kinds.as_ref().filter(|_| target.upsert).map(|k| k.iter().collect());
        for row in 0..batch.rows.num_rows() {
            let kind = kinds.as_ref().map_or(RowKind::Insert, |k| k[row]);
            let url = target.url.of(&batch.rows, &text, row)?;
            match kind {
                // The new row follows, and takes its place.
                RowKind::UpdateBefore => {}
                RowKind::Delete => self.send(Method::DELETE, url, 1, None).await?,
                RowKind::Insert | RowKind::UpdateAfter => {
                    let body = Bytes::copy_from_slice(values.get(row).unwrap_or_default());
                    self.send(target.method.clone(), url, 1, Some(body)).await?;
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        self.wait_below(1).await
    }

    async fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Versioned>> {
        Ok(vec![self.numbering.snapshot()?])
    }

    fn bytes_written(&self) -> u64 {
        self.bytes
    }

    async fn close(&mut self) -> Result<()> {
        self.under_way.abort_all();
        Ok(())
    }
}
