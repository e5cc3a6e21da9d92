//! The sockets between the processes of an attempt, as timely reads and writes them.
//!
//! Timely's threads panic where a peer is lost, take any length that a frame names, and end together with both sides or
//! not at all. So they see streams that look at every frame's head before they hand it on, that tell of a lost peer
//! and then end as if it had closed in peace, once the workers that could take that for an end are gone.
//!
//! What waits in front of a socket that takes nothing has no bound of timely's. Rows are counted by their sender until the
//! peer has taken them, and hold whoever makes more; what workers say of their progress is small, follows from rows, and
//! ends with the peer's time-out.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use flott_core::{Error, Result};
use timely::communication::allocator::zero_copy::stream::Stream;

use crate::flow::Shared;
use crate::wire::MESSAGE_BYTES_MAX;

/// Bytes of a frame's head: channel, source, first and last target, length, number; each a big-endian word.
const HEAD: usize = 48;
/// The largest frame: a message of ours, or what timely has to say about progress.
const FRAME_BYTES_MAX: u64 = (MESSAGE_BYTES_MAX + (1 << 20)) as u64;
/// What is read from a socket at once.
const READ_BYTES: usize = 64 << 10;

/// All sockets of one process.
pub(crate) struct Mesh {
    shared: Arc<Shared>,
    /// Worker threads of each process.
    threads: usize,
    process: usize,
    sockets: Vec<TcpStream>,
    /// Worker threads that still run.
    running: Mutex<usize>,
    gone: Condvar,
}

impl Mesh {
    /// From a socket to each other process; `None` at this one's place. The streams are for timely.
    pub(crate) fn new(
        shared: Arc<Shared>,
        threads: usize,
        process: usize,
        sockets: Vec<Option<TcpStream>>,
    ) -> Result<(Arc<Mesh>, Vec<Option<MeshStream>>)> {
        let failed = |e: io::Error| Error::unavailable("a socket to another process cannot be used").caused_by(e);
        let mut kept = vec![];
        for socket in sockets.iter().flatten() {
            socket.set_nodelay(true).map_err(failed)?;
            kept.push(socket.try_clone().map_err(failed)?);
        }
        let mesh = Mesh { shared, threads, process, sockets: kept, running: Mutex::new(threads), gone: Condvar::new() };
        let mesh = Arc::new(mesh);
        let stream = |(peer, socket)| MeshStream::new(Arc::clone(&mesh), peer, socket);
        let streams = sockets.into_iter().enumerate().map(|(peer, s)| s.map(|s| stream((peer, s)))).collect();
        Ok((mesh, streams))
    }

    /// Ends all reading and writing. The peers notice.
    pub(crate) fn close(&self) {
        for socket in &self.sockets {
            // One that is closed already is as good.
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    /// A worker thread has let go of its channels.
    pub(crate) fn worker_gone(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.gone.notify_all();
    }

    fn wait_for_workers(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running > 0 {
            running = self.gone.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_over(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// A peer is gone or says what makes no sense: the attempt has failed.
    fn lost(&self, peer: usize, why: &dyn std::fmt::Display) {
        if !self.is_over() {
            self.shared.fail(
                None,
                Error::unavailable(format!("the connection to process {peer} broke: {why}"))
                    .hint("See whether the process was ended from outside, or for want of memory"),
            );
        }
    }

    /// Whether a frame can be for this process and of this peer.
    fn check(&self, peer: usize, head: &Head) -> io::Result<()> {
        let workers = |process: usize| -> Range<u64> {
            let first = (process * self.threads) as u64;
            first..first + self.threads as u64
        };
        let (here, there) = (workers(self.process), workers(peer));
        let targets = head.targets.start >= here.start && head.targets.end <= here.end && !head.targets.is_empty();
        if !targets || !there.contains(&head.source) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is for nobody here"));
        }
        if head.length > FRAME_BYTES_MAX {
            let text = format!("a frame of {} bytes is larger than {FRAME_BYTES_MAX}", head.length);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }
}

struct Head {
    source: u64,
    targets: Range<u64>,
    length: u64,
}

impl Head {
    fn parse(bytes: &[u8; HEAD]) -> Head {
        let word = |i: usize| u64::from_be_bytes(bytes[i * 8..i * 8 + 8].try_into().unwrap_or_default());
        Head { source: word(1), targets: word(2)..word(3), length: word(4) }
    }
}

/// Where the reader is.
enum Reading {
    /// Between frames.
    Boundary,
    /// A head that was looked at; so much of it is handed on.
    Head([u8; HEAD], usize, u64),
    /// So much of the body is missing.
    Body(u64),
    /// The peer is lost inside a frame: what is missing is made up.
    Filling(u64),
    /// The head of length zero with which a stream ends.
    End(usize),
    Ended,
}

/// One direction of one socket.
pub(crate) struct MeshStream {
    mesh: Arc<Mesh>,
    peer: usize,
    socket: BufReader<TcpStream>,
    reading: Reading,
    /// Writing failed: the rest goes nowhere.
    deaf: bool,
}

impl MeshStream {
    fn new(mesh: Arc<Mesh>, peer: usize, socket: TcpStream) -> MeshStream {
        let socket = BufReader::with_capacity(READ_BYTES, socket);
        MeshStream { mesh, peer, socket, reading: Reading::Boundary, deaf: false }
    }

    fn read_head(&mut self) -> io::Result<Reading> {
        let mut bytes = [0u8; HEAD];
        self.socket.read_exact(&mut bytes)?;
        let head = Head::parse(&bytes);
        if head.length == 0 {
            return Ok(Reading::End(0));
        }
        self.mesh.check(self.peer, &head)?;
        Ok(Reading::Head(bytes, 0, head.length))
    }

    fn lost(&self, why: &io::Error) {
        match why.kind() {
            io::ErrorKind::UnexpectedEof => self.mesh.lost(self.peer, &"it was closed"),
            _ => self.mesh.lost(self.peer, why),
        }
        // A worker that sees the end of a stream takes its progress for final.
        self.mesh.wait_for_workers();
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    to[..n].copy_from_slice(&from[..n]);
    n
}

fn least(left: u64, buffer: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len())
}

impl Read for MeshStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reading {
                Reading::Boundary => {
                    self.reading = self.read_head().unwrap_or_else(|e| {
                        self.lost(&e);
                        Reading::End(0)
                    });
                }
                Reading::Head(bytes, at, length) => {
                    let n = copy(&bytes[at..], buffer);
                    let done = at + n == HEAD;
                    self.reading = if done { Reading::Body(length) } else { Reading::Head(bytes, at + n, length) };
                    return Ok(n);
                }
                Reading::Body(0) => self.reading = Reading::Boundary,
                Reading::Body(left) => {
                    let most = least(left, buffer);
                    match self.socket.read(&mut buffer[..most]) {
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Ok(n) if n > 0 => {
                            self.reading = Reading::Body(left - n as u64);
                            return Ok(n);
                        }
                        other => {
                            self.lost(&other.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
                            self.reading = Reading::Filling(left);
                        }
                    }
                }
                Reading::Filling(0) => self.reading = Reading::End(0),
                Reading::Filling(left) => {
                    let n = least(left, buffer);
                    buffer[..n].fill(0);
                    self.reading = Reading::Filling(left - n as u64);
                    return Ok(n);
                }
                Reading::End(at) => {
                    let n = copy(&[0; HEAD][at..], buffer);
                    self.reading = if at + n == HEAD { Reading::Ended } else { Reading::End(at + n) };
                    return Ok(n);
                }
                Reading::Ended => return Ok(0),
            }
        }
    }
}

impl Write for MeshStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is sent after the end, above all timely's word that all is well, must not arrive.
        if self.deaf || self.mesh.is_over() {
            return Ok(bytes.len());
        }
        match self.socket.get_mut().write(bytes) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                self.mesh.lost(self.peer, &e);
                self.deaf = true;
                Ok(bytes.len())
            }
            done => done,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for MeshStream {
    fn try_clone(&self) -> io::Result<MeshStream> {
        Ok(MeshStream::new(Arc::clone(&self.mesh), self.peer, self.socket.get_ref().try_clone()?))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.get_ref().set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if !self.deaf && !self.mesh.is_over() {
            // The peer may have closed its end.
            drop(self.socket.get_ref().shutdown(how));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use flott_core::ErrorKind;

    use super::*;
    use crate::api::TaskEvent;
    use crate::memory::Memory;

    /// A stream of process 0 from process 1, two threads each, and the other end of its socket.
    fn stream() -> (Arc<Shared>, Arc<Mesh>, MeshStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let other = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (here, _) = listener.accept().expect("a connection");
        let shared = Shared::new(1, 2, Memory::new(None));
        let (mesh, mut streams) = Mesh::new(Arc::clone(&shared), 2, 0, vec![None, Some(here)]).expect("a mesh");
        let stream = streams.remove(1).expect("a stream");
        (shared, mesh, stream, other)
    }

    fn frame(source: u64, targets: Range<u64>, length: u64, body: &[u8]) -> Vec<u8> {
        let words = [9, source, targets.start, targets.end, length, 0];
        words.iter().flat_map(|w: &u64| w.to_be_bytes()).chain(body.iter().copied()).collect()
    }

    fn failure(shared: &Shared) -> Option<Error> {
        assert!(shared.is_cancelled());
        let mut next = std::pin::pin!(shared.events.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match next.as_mut().poll(&mut context) {
            std::task::Poll::Ready(TaskEvent::Failed { error, .. }) => Some(error),
            _ => None,
        }
    }

    /// What timely's thread would get, up to the end.
    fn read_all(stream: &mut MeshStream) -> Vec<u8> {
        let mut all = vec![];
        stream.read_to_end(&mut all).expect("no error reaches timely");
        all
    }

    #[test]
    fn whole_frames_pass_and_a_good_end_is_one() {
        let (shared, _mesh, mut stream, mut other) = stream();
        let mut sent = frame(2, 0..1, 5, b"hello");
        sent.extend(frame(3, 0..2, 100_000, &vec![7; 100_000]));
        sent.extend([0; HEAD]);
        let written = sent.clone();
        let writing = std::thread::spawn(move || other.write_all(&written).map(|()| other));
        assert!(read_all(&mut stream) == sent, "the bytes as they were sent");
        writing.join().expect("no panic").expect("written");
        assert!(!shared.is_cancelled());
    }

    #[test]
    fn a_lost_peer_is_told_and_ends_in_whole_frames() {
        let (shared, mesh, mut stream, mut other) = stream();
        other.write_all(&frame(2, 0..1, 5, b"hel")).expect("written");
        drop(other);
        let reading = std::thread::spawn(move || read_all(&mut stream));
        while !shared.is_cancelled() {
            std::thread::yield_now();
        }
        assert!(!reading.is_finished(), "the workers are still there");
        (0..2).for_each(|_| mesh.worker_gone());
        let read = reading.join().expect("no panic");
        assert_eq!(read, [frame(2, 0..1, 5, b"hel\0\0"), vec![0; HEAD]].concat());
        let error = failure(&shared).expect("a failure");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("process 1"), "{error}");
    }

    #[test]
    fn frames_that_are_too_large_or_for_others_are_not_read() {
        for wrong in [
            frame(2, 0..1, FRAME_BYTES_MAX + 1, &[]),
            frame(2, 0..3, 5, b"hello"),
            frame(2, 2..3, 5, b"hello"),
            frame(2, 1..1, 5, b"hello"),
            frame(0, 0..1, 5, b"hello"),
            frame(4, 0..1, 5, b"hello"),
        ] {
            let (shared, mesh, mut stream, mut other) = stream();
            (0..2).for_each(|_| mesh.worker_gone());
            other.write_all(&wrong).expect("written");
            assert_eq!(read_all(&mut stream), [0; HEAD]);
            assert!(failure(&shared).expect("a failure").to_string().contains("a frame"));
        }
    }

    #[test]
    fn nothing_is_sent_once_the_attempt_is_over() {
        let (shared, _mesh, mut stream, mut other) = stream();
        stream.write_all(b"before").expect("written");
        shared.cancel();
        stream.write_all(b"after").expect("swallowed");
        Stream::shutdown(&stream, Shutdown::Write).expect("not done");
        drop((stream, _mesh));
        let mut read = vec![];
        other.read_to_end(&mut read).expect("read");
        assert_eq!(read, b"before");
    }
}
