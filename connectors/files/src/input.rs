//! The bytes of a piece of a file, read ahead in large blocks.
//!
//! A local file is read by a thread of its own (std's file calls block), an object by several requests at once. Both end
//! with an explicit end, so that a reader that died is never taken for a file that is done.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flott_connector::storage::{StorageLocation, storage_error};
use flott_core::{Error, Result};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::sync::mpsc;

use crate::compression::Compression;
use crate::listing::{modified_ms, object_path};
use crate::split::FileSplit;

/// Bytes of a block.
const BLOCK_BYTES: usize = 1 << 20;
/// Free bytes in front of a block: what is left of the one before goes there, so that the block need not be copied.
const HEADROOM_BYTES: usize = 16 << 10;
/// Blocks between the threads.
const QUEUE: usize = 2;
/// Bytes of one request to an object store, and how many are under way.
const REQUEST_BYTES: u64 = 8 << 20;
const REQUESTS: usize = 3;

/// Bytes of a file in `data[start ..]`.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) data: Vec<u8>,
    pub(crate) start: usize,
}

/// The rest of a piece, block by block.
#[derive(Debug)]
pub(crate) struct Input {
    /// `None` is the explicit end.
    blocks: mpsc::Receiver<Result<Option<Block>>>,
    /// Buffers that can be filled again: fresh memory costs more than reading.
    spare: mpsc::Sender<Vec<u8>>,
}

/// The other end.
struct Output {
    blocks: mpsc::Sender<Result<Option<Block>>>,
    spare: mpsc::Receiver<Vec<u8>>,
}

fn channel() -> (Output, Input) {
    let (to_reader, blocks) = mpsc::channel(QUEUE);
    let (spare, from_reader) = mpsc::channel(QUEUE + 1);
    (Output { blocks: to_reader, spare: from_reader }, Input { blocks, spare })
}

impl Input {
    /// Starts to read a piece from its position on.
    pub(crate) fn open(location: &StorageLocation, split: &FileSplit) -> Result<Input> {
        let split = split.clone();
        match (&location.local, Compression::of(&split.path)) {
            (Some(_), None) => {
                let (mut output, input) = channel();
                tokio::task::spawn_blocking(move || {
                    let result = read_local(&split, split.offset, split.end, &mut output);
                    output.finish(result);
                });
                Ok(input)
            }
            (Some(_), Some(compression)) => {
                let (mut output, input) = channel();
                tokio::task::spawn_blocking(move || {
                    let result = open_local(&split).and_then(|file| {
                        decompress(compression, CheckedFile { file, split: split.clone() }, &split, &mut output)
                    });
                    output.finish(result);
                });
                Ok(input)
            }
            (None, None) => {
                let range = (split.offset, split.end);
                read_object(Arc::clone(&location.store), object_path(&split.path)?, split, range)
            }
            (None, Some(compression)) => {
                let range = (0, split.file_size);
                let compressed =
                    read_object(Arc::clone(&location.store), object_path(&split.path)?, split.clone(), range)?;
                let (mut output, input) = channel();
                tokio::task::spawn_blocking(move || {
                    let source = InputReader { input: compressed, current: Bytes::new(), ended: false };
                    let result = decompress(compression, source, &split, &mut output);
                    output.finish(result);
                });
                Ok(input)
            }
        }
    }

    /// The next block; `None` at the end. Nothing is lost where the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Block>> {
        self.blocks.recv().await.unwrap_or_else(|| Err(gone()))
    }

    /// Gives a buffer back.
    pub(crate) fn reuse(&self, buffer: Vec<u8>) {
        // Where there are enough of them it is freed.
        drop(self.spare.try_send(buffer));
    }
}

fn gone() -> Error {
    Error::internal("the task that reads a file ended without a word")
}

impl Output {
    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(HEADROOM_BYTES + BLOCK_BYTES));
        buffer.resize(HEADROOM_BYTES, 0);
        buffer
    }

    /// False where nobody reads any more.
    fn send(&self, data: Vec<u8>) -> bool {
        self.blocks.blocking_send(Ok(Some(Block { data, start: HEADROOM_BYTES }))).is_ok()
    }

    fn finish(&self, result: Result<()>) {
        // Nobody listens any more where the reader was dropped.
        drop(self.blocks.blocking_send(result.map(|()| None)));
    }
}

/// Opens a local file and looks whether it is what was listed.
fn open_local(split: &FileSplit) -> Result<File> {
    let file = File::open(&split.path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            return Error::user("the file is gone since it was listed")
                .with("file", &split.path)
                .hint("Put it back, or start over with --fresh");
        }
        Error::from(e).with("file", &split.path)
    })?;
    check_local(&file, split)?;
    Ok(file)
}

fn check_local(file: &File, split: &FileSplit) -> Result<()> {
    let fail = |e: std::io::Error| Error::from(e).with("file", &split.path);
    let meta = file.metadata().map_err(fail)?;
    if meta.len() != split.file_size {
        return Err(split.changed(&format!("{} bytes instead of {}", meta.len(), split.file_size)));
    }
    if modified_ms(&meta).map_err(fail)? != split.modified_ms {
        return Err(split.changed("another modification time"));
    }
    Ok(())
}

fn read_local(split: &FileSplit, from: u64, to: u64, output: &mut Output) -> Result<()> {
    let fail = |e: std::io::Error| Error::from(e).with("file", &split.path);
    let mut file = open_local(split)?;
    file.seek(SeekFrom::Start(from)).map_err(fail)?;
    let mut at = from;
    while at < to {
        let mut buffer = output.buffer();
        let wanted = (to - at).min(BLOCK_BYTES as u64);
        let read = file.by_ref().take(wanted).read_to_end(&mut buffer).map_err(fail)?;
        if read == 0 {
            return Err(split.changed("it has become shorter"));
        }
        at += read as u64;
        if !output.send(buffer) {
            return Ok(());
        }
    }
    // A file that was appended to or overwritten while it was read is noticed too.
    check_local(&file, split)
}

/// A local file that is looked at once more at its end.
struct CheckedFile {
    file: File,
    split: FileSplit,
}

impl Read for CheckedFile {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(out)?;
        if n == 0 && !out.is_empty() {
            check_local(&self.file, &self.split).map_err(std::io::Error::other)?;
        }
        Ok(n)
    }
}

/// Decompresses, and throws away what lies before the position. Memory is bounded whatever the ratio is.
fn decompress(
    compression: Compression,
    source: impl Read + Send + 'static,
    split: &FileSplit,
    output: &mut Output,
) -> Result<()> {
    let fail = |e: std::io::Error| match e.downcast::<Error>() {
        Ok(inner) => inner,
        Err(e) => {
            use std::io::ErrorKind as K;
            let error = match e.kind() {
                K::UnexpectedEof | K::InvalidData | K::InvalidInput | K::Other => {
                    Error::data("the compressed file is damaged or cut off")
                        .hint("Check it with the tool that wrote it, and write it anew")
                }
                _ => Error::unavailable("the compressed file cannot be read").hint("Try again"),
            };
            error.with("file", &split.path).caused_by(e)
        }
    };
    let mut decoder = compression.decoder(source).map_err(fail)?;
    let skipped = std::io::copy(&mut decoder.by_ref().take(split.offset), &mut std::io::sink()).map_err(fail)?;
    if skipped < split.offset {
        return Err(split.changed("less content than was read before"));
    }
    loop {
        let mut buffer = output.buffer();
        let read = decoder.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut buffer);
        // What came before the damage is whole: its rows come first, then the error.
        if buffer.len() > HEADROOM_BYTES && !output.send(buffer) {
            return Ok(());
        }
        if read.map_err(fail)? == 0 {
            return Ok(());
        }
    }
}

/// An object's range, by several requests at once. Its tag makes sure that all see the same content.
fn read_object(store: Arc<dyn ObjectStore>, path: Path, split: FileSplit, (from, to): (u64, u64)) -> Result<Input> {
    let (output, input) = channel();
    tokio::spawn(async move {
        let ranges = (from..to).step_by(REQUEST_BYTES as usize).map(|at| at..(at + REQUEST_BYTES).min(to));
        let mut requests = futures::stream::iter(ranges)
            .map(|range| {
                let (store, path, split) = (Arc::clone(&store), path.clone(), split.clone());
                async move { get(store.as_ref(), &path, &split, range).await }
            })
            .buffered(REQUESTS);
        while let Some(bytes) = requests.next().await {
            let failed = bytes.is_err();
            let item = bytes.map(|b| Some(Block { data: b.into(), start: 0 }));
            if output.blocks.send(item).await.is_err() || failed {
                return;
            }
        }
        // Nobody listens any more where the reader was dropped.
        drop(output.blocks.send(Ok(None)).await);
    });
    Ok(input)
}

async fn get(store: &dyn ObjectStore, path: &Path, split: &FileSplit, range: std::ops::Range<u64>) -> Result<Bytes> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        if_match: split.etag.clone(),
        ..GetOptions::default()
    };
    let fail = |e: object_store::Error| match e {
        object_store::Error::Precondition { .. } => split.changed("another tag"),
        e => storage_error(format!("Cannot read '{}'", split.path), e).with("file", &split.path),
    };
    let object = store.get_opts(path, options).await.map_err(fail)?;
    if object.meta.size != split.file_size {
        return Err(split.changed(&format!("{} bytes instead of {}", object.meta.size, split.file_size)));
    }
    let bytes = object.bytes().await.map_err(fail)?;
    if bytes.len() as u64 != range.end - range.start {
        return Err(Error::unavailable("an object's answer was cut off").with("file", &split.path).hint("Try again"));
    }
    Ok(bytes)
}

/// Blocks as something to read from, in a thread that may block.
struct InputReader {
    input: Input,
    current: Bytes,
    ended: bool,
}

impl Read for InputReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.input.blocks.blocking_recv() {
                Some(Ok(Some(block))) => {
                    self.current = Bytes::from(block.data);
                    self.current.advance(block.start);
                }
                Some(Ok(None)) => self.ended = true,
                Some(Err(e)) => return Err(std::io::Error::other(e)),
                None => return Err(std::io::Error::other(gone())),
            }
        }
        let n = out.len().min(self.current.len());
        self.current.copy_to_slice(&mut out[..n]);
        Ok(n)
    }
}
