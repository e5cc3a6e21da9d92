//! The bytes of a piece of a file, in large blocks.
//!
//! What the kernel has of a local file in memory is read where it is decoded, into a buffer that the processor's cache
//! holds. From the first byte on that it has not, a thread of its own reads ahead (std's file calls block); an object
//! is read by several requests at once. Both end with an explicit end, so that a reader that died is never taken for a
//! file that is done.

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flott_connector::storage::{StorageLocation, storage_error};
use flott_core::{Error, Result};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::compression::Compression;
use crate::listing::{modified_ms, object_path};
use crate::split::FileSplit;

/// Bytes of a block that is read ahead.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes that are read at once of what is in memory: with what is made of them they fit the second cache of a core.
const IN_MEMORY_BYTES: usize = 384 << 10;
/// Free bytes in front of a block: what is left of the one before goes there, so that the block need not be copied.
pub(crate) const HEADROOM_BYTES: usize = 16 << 10;
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

/// The rest of a piece.
#[derive(Debug)]
pub(crate) enum Input {
    /// A local file that is being opened.
    Opening(JoinHandle<Result<File>>, Box<FileSplit>),
    /// A local file, as far as it is in memory.
    InMemory(Box<InMemory>),
    /// Read ahead.
    Ahead(Blocks),
}

/// What [`Input::next`] has found.
#[derive(Debug)]
pub(crate) enum Read {
    /// So many bytes more, behind those that were in the buffer.
    Appended(usize),
    /// A buffer of its own.
    Block(Block),
    End,
}

/// Blocks that somebody reads ahead.
#[derive(Debug)]
pub(crate) struct Blocks {
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

fn channel() -> (Output, Blocks) {
    let (to_reader, blocks) = mpsc::channel(QUEUE);
    let (spare, from_reader) = mpsc::channel(QUEUE + 1);
    (Output { blocks: to_reader, spare: from_reader }, Blocks { blocks, spare })
}

impl Input {
    /// Starts to read a piece from its position on.
    pub(crate) fn open(location: &StorageLocation, split: &FileSplit) -> Result<Input> {
        let split = split.clone();
        Ok(match (&location.local, Compression::of(&split.path)) {
            (Some(_), None) => {
                let piece = Box::new(split.clone());
                Input::Opening(tokio::task::spawn_blocking(move || open_local(&split)), piece)
            }
            (Some(_), Some(compression)) => Input::Ahead(in_thread(move |output| {
                let source = CheckedFile { file: open_local(&split)?, split: split.clone() };
                decompress(compression, source, &split, output)
            })),
            (None, None) => {
                let range = (split.offset, split.end);
                Input::Ahead(read_object(Arc::clone(&location.store), object_path(&split.path)?, split, range))
            }
            (None, Some(compression)) => {
                let range = (0, split.file_size);
                let compressed =
                    read_object(Arc::clone(&location.store), object_path(&split.path)?, split.clone(), range);
                Input::Ahead(in_thread(move |output| {
                    let source = BlocksReader { blocks: compressed, current: Bytes::new(), ended: false };
                    decompress(compression, source, &split, output)
                }))
            }
        })
    }

    /// The next bytes: behind `filled` bytes of the buffer, which is made longer for them, or in a block. Nothing is
    /// lost where the future is dropped.
    pub(crate) async fn next(&mut self, buffer: &mut Vec<u8>, filled: usize) -> Result<Read> {
        loop {
            *self = match self {
                Input::Opening(opening, split) => {
                    let file = opening.await.map_err(|_| gone())??;
                    let (at, split) = (split.offset, FileSplit::clone(split));
                    Input::InMemory(Box::new(InMemory { file, at, split }))
                }
                Input::InMemory(file) => match file.read(buffer, filled)? {
                    Some(read) => return Ok(read),
                    None => Input::Ahead(file.read_ahead()?),
                },
                Input::Ahead(blocks) => {
                    let block = blocks.blocks.recv().await.unwrap_or_else(|| Err(gone()))?;
                    return Ok(block.map_or(Read::End, Read::Block));
                }
            };
        }
    }

    /// Gives a buffer back.
    pub(crate) fn reuse(&self, buffer: Vec<u8>) {
        if let Input::Ahead(blocks) = self {
            // Where there are enough of them it is freed.
            drop(blocks.spare.try_send(buffer));
        }
    }
}

/// Runs what fills blocks, which may block.
fn in_thread(work: impl FnOnce(&mut Output) -> Result<()> + Send + 'static) -> Blocks {
    let (mut output, blocks) = channel();
    tokio::task::spawn_blocking(move || {
        let result = work(&mut output);
        output.finish(result);
    });
    blocks
}

/// A local file whose bytes are in memory so far.
#[derive(Debug)]
pub(crate) struct InMemory {
    file: File,
    at: u64,
    split: FileSplit,
}

impl InMemory {
    /// `None` where the kernel would have to wait for the next byte.
    fn read(&mut self, buffer: &mut Vec<u8>, filled: usize) -> Result<Option<Read>> {
        if self.at >= self.split.end {
            // A file that was appended to or overwritten while it was read is noticed too.
            check_local(&self.file, &self.split)?;
            return Ok(Some(Read::End));
        }
        let wanted = usize::try_from(self.split.end - self.at).unwrap_or(usize::MAX).min(IN_MEMORY_BYTES);
        if buffer.len() < filled + wanted {
            buffer.resize(filled + wanted, 0);
        }
        let Some(read) = read_in_memory(&self.file, &mut buffer[filled..filled + wanted], self.at) else {
            return Ok(None);
        };
        if read == 0 {
            return Err(self.split.changed("it has become shorter"));
        }
        self.at += read as u64;
        Ok(Some(Read::Appended(read)))
    }

    /// The rest, read by a thread.
    fn read_ahead(&self) -> Result<Blocks> {
        let file = self.file.try_clone().map_err(|e| Error::from(e).with("file", &self.split.path))?;
        let (at, split) = (self.at, self.split.clone());
        Ok(in_thread(move |output| read_local(file, &split, at, output)))
    }
}

/// Reads without waiting for a device. `None` where that cannot be done, for whatever reason: who reads in the usual
/// way is told.
#[cfg(target_os = "linux")]
fn read_in_memory(file: &File, into: &mut [u8], at: u64) -> Option<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    loop {
        match preadv2(file, &mut [std::io::IoSliceMut::new(into)], at, ReadWriteFlags::NOWAIT) {
            Err(Errno::INTR) => {}
            result => return result.ok(),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn read_in_memory(_file: &File, _into: &mut [u8], _at: u64) -> Option<usize> {
    None
}

fn gone() -> Error {
    Error::internal("the task that reads a file ended without a word")
}

impl Output {
    /// The headroom, to append to.
    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(HEADROOM_BYTES + BLOCK_BYTES));
        buffer.resize(HEADROOM_BYTES, 0);
        buffer
    }

    /// The headroom and a block. What was in a buffer before may still be in it: to clear it takes as long as to read.
    fn full_buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.try_recv().unwrap_or_default();
        buffer.resize(HEADROOM_BYTES + BLOCK_BYTES, 0);
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

fn read_local(mut file: File, split: &FileSplit, from: u64, output: &mut Output) -> Result<()> {
    let fail = |e: std::io::Error| Error::from(e).with("file", &split.path);
    file.seek(SeekFrom::Start(from)).map_err(fail)?;
    let (mut at, to) = (from, split.end);
    while at < to {
        let mut buffer = output.full_buffer();
        let wanted = (to - at).min(BLOCK_BYTES as u64) as usize;
        let mut read = 0;
        while read < wanted {
            match file.read(&mut buffer[HEADROOM_BYTES + read..HEADROOM_BYTES + wanted]) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(fail(e)),
            }
        }
        if read == 0 {
            return Err(split.changed("it has become shorter"));
        }
        buffer.truncate(HEADROOM_BYTES + read);
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

impl std::io::Read for CheckedFile {
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
    source: impl std::io::Read + Send + 'static,
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
fn read_object(store: Arc<dyn ObjectStore>, path: Path, split: FileSplit, (from, to): (u64, u64)) -> Blocks {
    let (output, blocks) = channel();
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
    blocks
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
struct BlocksReader {
    blocks: Blocks,
    current: Bytes,
    ended: bool,
}

impl std::io::Read for BlocksReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.blocks.blocks.blocking_recv() {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn split(path: &std::path::Path, start: u64, end: u64) -> FileSplit {
        let meta = std::fs::metadata(path).expect("a file");
        let (file_size, modified_ms) = (meta.len(), modified_ms(&meta).expect("a time"));
        let path = path.to_str().expect("a name").to_string();
        FileSplit { path, start, end, file_size, modified_ms, etag: None, offset: start, row: 0 }
    }

    fn in_memory(split: &FileSplit) -> InMemory {
        InMemory { file: open_local(split).expect("open"), at: split.offset, split: split.clone() }
    }

    async fn read_all(mut input: Input) -> Result<Vec<u8>> {
        let (mut all, mut buffer) = (vec![], b"before".to_vec());
        loop {
            let filled = b"before".len();
            match input.next(&mut buffer, filled).await? {
                Read::Appended(bytes) => {
                    assert!(buffer.starts_with(b"before"));
                    all.extend_from_slice(&buffer[filled..filled + bytes]);
                }
                Read::Block(block) => all.extend_from_slice(&block.data[block.start..]),
                Read::End => return Ok(all),
            }
        }
    }

    #[tokio::test]
    async fn a_piece_is_the_same_from_memory_and_read_ahead_from_anywhere() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 77).map(|i| (i * 31 % 251) as u8).collect();
        File::create(&path).expect("made").write_all(&bytes).expect("written");
        for (start, end) in [(0, bytes.len()), (5, bytes.len() - 3), (BLOCK_BYTES, 2 * BLOCK_BYTES), (9, 10)] {
            let split = split(&path, start as u64, end as u64);
            let ahead = Input::Ahead(in_memory(&split).read_ahead().expect("a thread"));
            assert!(read_all(ahead).await.expect("read") == bytes[start..end], "{start}..{end} ahead");
            let memory = Input::InMemory(Box::new(in_memory(&split)));
            assert!(read_all(memory).await.expect("read") == bytes[start..end], "{start}..{end} from memory");
            // What is in memory ends in between.
            let (mut first, mut buffer) = (in_memory(&split), vec![]);
            let begun = match first.read(&mut buffer, 0).expect("read") {
                Some(Read::Appended(n)) => buffer[..n].to_vec(),
                None => vec![],
                other => panic!("{other:?}"),
            };
            let rest = Input::Ahead(first.read_ahead().expect("a thread"));
            let all = [begun, read_all(rest).await.expect("read")].concat();
            assert!(all == bytes[start..end], "{start}..{end} in turn");
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_from_memory_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        std::fs::write(&path, vec![b'x'; 2 * IN_MEMORY_BYTES]).expect("written");
        let split = split(&path, 0, 2 * IN_MEMORY_BYTES as u64);
        let longer = Input::InMemory(Box::new(in_memory(&split)));
        let shorter = Input::InMemory(Box::new(in_memory(&split)));
        std::fs::write(&path, vec![b'x'; 2 * IN_MEMORY_BYTES + 1]).expect("written");
        let e = read_all(longer).await.expect_err("it is longer");
        assert!(e.to_string().contains("changed"), "{e}");
        std::fs::write(&path, b"x").expect("written");
        let e = read_all(shorter).await.expect_err("it is shorter");
        assert!(e.to_string().contains("changed"), "{e}");
        std::fs::remove_file(&path).expect("removed");
        let e = open_local(&split).expect_err("it is gone");
        assert!(e.to_string().contains("gone"), "{e}");
    }
}
