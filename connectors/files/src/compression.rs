//! Compressed files: read whole, decompressed in a thread of its own.

use std::io::Read;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flott_connector::storage::storage_error;
use flott_core::{Error, Result};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

/// Chunks between the threads.
const QUEUE: usize = 2;
/// Size of a decompressed chunk.
const CHUNK_BYTES: usize = 1 << 20;

/// A compression, by a file's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Deflate,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// Flink's endings.
    pub(crate) fn of(path: &str) -> Option<Compression> {
        let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
        Some(match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Compression::Gzip,
            "deflate" => Compression::Deflate,
            "zst" | "zstd" => Compression::Zstd,
            "bz2" => Compression::Bzip2,
            "xz" => Compression::Xz,
            _ => return None,
        })
    }

    fn decoder(self, input: impl Read + 'static) -> std::io::Result<Box<dyn Read>> {
        Ok(match self {
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Compression::Deflate => Box::new(flate2::read::ZlibDecoder::new(input)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(input)?),
            Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(input)),
            Compression::Xz => Box::new(xz2::read::XzDecoder::new_multi_decoder(input)),
        })
    }
}

/// The decompressed content of an object, chunk by chunk; the memory is bounded whatever the ratio is.
pub(crate) async fn open(
    compression: Compression,
    store: Arc<dyn ObjectStore>,
    path: Path,
) -> Result<mpsc::Receiver<Result<Bytes>>> {
    let display = format!("/{path}");
    let object = store.get(&path).await.map_err(|e| storage_error(format!("Cannot read '{display}'"), e))?;
    let (to_thread, compressed) = mpsc::channel::<std::io::Result<Bytes>>(QUEUE);
    let (out, chunks) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut stream = object.into_stream();
        while let Some(chunk) = stream.next().await {
            if to_thread.send(chunk.map_err(std::io::Error::other)).await.is_err() {
                return;
            }
        }
    });
    tokio::task::spawn_blocking(move || {
        let input = ChannelReader { chunks: compressed, current: Bytes::new() };
        let fail = |e: std::io::Error| {
            Err(Error::data("a compressed file is damaged or cut off").with("file", &display).caused_by(e))
        };
        let mut decoder = match compression.decoder(input) {
            Ok(d) => d,
            Err(e) => {
                drop(out.blocking_send(fail(e)));
                return;
            }
        };
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            match decoder.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk) {
                Ok(0) => return,
                Ok(_) => {
                    if out.blocking_send(Ok(chunk.into())).is_err() {
                        return;
                    }
                }
                Err(e) => {
                    drop(out.blocking_send(fail(e)));
                    return;
                }
            }
        }
    });
    Ok(chunks)
}

struct ChannelReader {
    chunks: mpsc::Receiver<std::io::Result<Bytes>>,
    current: Bytes,
}

impl Read for ChannelReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.current = chunk?,
            }
        }
        let n = out.len().min(self.current.len());
        out[..n].copy_from_slice(&self.current[..n]);
        self.current.advance(n);
        Ok(n)
    }
}
