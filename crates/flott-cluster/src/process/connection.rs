//! A control connection: messages both ways, and a keep-alive.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flott_core::{Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::process::frame;
use crate::process::message::Message;

/// Messages that were read and not looked at.
const IN_QUEUE: usize = 1_024;

/// How a peer that does not answer is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Between two signs of life (`heartbeat.interval`).
    pub interval: Duration,
    /// Without any the peer is given up (`heartbeat.timeout`).
    pub timeout: Duration,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat { interval: Duration::from_secs(1), timeout: Duration::from_secs(10) }
    }
}

impl Heartbeat {
    /// Ticks without a message after which the peer is given up.
    fn missed_max(self) -> u64 {
        let ticks = self.timeout.as_nanos().div_ceil(self.interval.as_nanos().max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX).max(2)
    }
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Heard<In> {
    /// A message.
    Message(In),
    /// The peer is gone, or does not answer; nothing follows.
    Lost(Lost),
}

/// Why a peer is lost.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It has closed the connection, or says what makes no sense.
    Broken(io::Error),
    /// Nothing was heard for this long.
    Silent(Duration),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lost::Broken(e) if e.kind() == io::ErrorKind::UnexpectedEof => f.write_str("it closed the connection"),
            Lost::Broken(e) => write!(f, "the connection broke: {e}"),
            Lost::Silent(timeout) => write!(f, "it gave no sign of life for {timeout:?}"),
        }
    }
}

/// The sending end. Once all of its clones are dropped what waits is sent and the connection closes.
#[derive(Debug)]
pub(crate) struct Connection<Out> {
    out: mpsc::Sender<Out>,
    dead: Arc<watch::Sender<bool>>,
}

impl<Out> Clone for Connection<Out> {
    fn clone(&self) -> Connection<Out> {
        Connection { out: self.out.clone(), dead: Arc::clone(&self.dead) }
    }
}

impl<Out: Message> Connection<Out> {
    /// Sends without waiting. A peer that is gone is told of by what comes in; one that takes nothing is gone.
    pub(crate) fn send(&self, message: Out) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.out.try_send(message) {
            tracing::warn!("a process does not take what it is sent");
            self.dead.send_replace(true);
        }
    }

    /// Sends, and waits for room.
    pub(crate) async fn send_in_time(&self, message: Out) -> Result<()> {
        self.out.send(message).await.map_err(|_| Error::unavailable("the connection to the other process is closed"))
    }

    /// Closes at once.
    pub(crate) fn close(&self) {
        self.dead.send_replace(true);
    }
}

/// What the tasks of a connection share.
struct Line {
    dead: Arc<watch::Sender<bool>>,
    /// Messages so far.
    heard: AtomicU64,
    /// A message was read and waits to be looked at: that nothing more is read is our doing.
    delivering: AtomicBool,
}

/// Takes a connection into service.
pub(crate) fn open<In: Message, Out: Message>(
    stream: TcpStream,
    heartbeat: Heartbeat,
) -> (Connection<Out>, mpsc::Receiver<Heard<In>>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small messages may be delayed");
    }
    let (read, write) = stream.into_split();
    let (out, outgoing) = mpsc::channel(Out::WAITING_MAX);
    let (deliver, incoming) = mpsc::channel(IN_QUEUE);
    let dead = Arc::new(watch::Sender::new(false));
    let line = Line { dead: Arc::clone(&dead), heard: AtomicU64::new(0), delivering: AtomicBool::new(false) };
    let line = Arc::new(line);
    tokio::spawn(write_all(write, outgoing, dead.subscribe()));
    tokio::spawn(read_all(read, deliver, Arc::clone(&line), heartbeat));
    tokio::spawn(watch_over(line, out.downgrade(), heartbeat));
    (Connection { out, dead }, incoming)
}

async fn write_all<Out: Message>(
    mut to: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Out>,
    mut dead: watch::Receiver<bool>,
) {
    let write = async {
        while let Some(message) = outgoing.recv().await {
            frame::write(&mut to, &frame::encode(&message)?).await?;
        }
        to.shutdown().await
    };
    let written: io::Result<()> = tokio::select! {
        written = write => written,
        _ = dead.wait_for(|d| *d) => Ok(()),
    };
    if let Err(error) = written {
        // The reading end says so, too.
        tracing::debug!(%error, "a process cannot be reached");
    }
}

async fn read_all<In: Message>(
    mut from: OwnedReadHalf,
    deliver: mpsc::Sender<Heard<In>>,
    line: Arc<Line>,
    heartbeat: Heartbeat,
) {
    let mut dead = line.dead.subscribe();
    let read = async {
        loop {
            let message: In = match frame::read(&mut from, frame::FRAME_BYTES_MAX).await.and_then(|f| frame::decode(&f))
            {
                Ok(message) => message,
                Err(e) => return Lost::Broken(e),
            };
            line.heard.fetch_add(1, Ordering::Relaxed);
            if message.is_ping() {
                continue;
            }
            line.delivering.store(true, Ordering::Relaxed);
            if deliver.send(Heard::Message(message)).await.is_err() {
                return Lost::Broken(io::ErrorKind::ConnectionAborted.into());
            }
            line.delivering.store(false, Ordering::Relaxed);
        }
    };
    let lost = tokio::select! {
        lost = read => lost,
        _ = dead.wait_for(|d| *d) => Lost::Silent(heartbeat.timeout),
    };
    line.dead.send_replace(true);
    // Nobody may listen any more.
    drop(deliver.send(Heard::Lost(lost)).await);
}

/// Sends signs of life, and counts own ticks without one from the peer: a process that was stopped itself finds the
/// peer as it left it.
async fn watch_over<Out: Message>(line: Arc<Line>, out: mpsc::WeakSender<Out>, heartbeat: Heartbeat) {
    let mut ticks = tokio::time::interval(heartbeat.interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut dead = line.dead.subscribe();
    let (mut seen, mut missed) = (0, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = dead.wait_for(|d| *d) => return,
        }
        let Some(out) = out.upgrade() else { return };
        // A full queue is a sign of life, if it can be sent.
        drop(out.try_send(Out::ping()));
        let heard = line.heard.load(Ordering::Relaxed);
        if heard != seen || line.delivering.load(Ordering::Relaxed) {
            (seen, missed) = (heard, 0);
            continue;
        }
        missed += 1;
        if missed >= heartbeat.missed_max() {
            line.dead.send_replace(true);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::process::message::{FromWorker, ToWorker};

    const QUICK: Heartbeat = Heartbeat { interval: Duration::from_millis(10), timeout: Duration::from_millis(200) };

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let caller = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        (caller, listener.accept().await.expect("a connection").0)
    }

    #[tokio::test]
    async fn messages_pass_and_an_idle_peer_is_alive() {
        let (a, b) = sockets().await;
        let (here, mut from_there) = open::<FromWorker, ToWorker>(a, QUICK);
        let (there, mut from_here) = open::<ToWorker, FromWorker>(b, QUICK);
        tokio::time::sleep(QUICK.timeout * 3).await;
        here.send(ToWorker::Cancel);
        assert!(matches!(from_here.recv().await, Some(Heard::Message(ToWorker::Cancel))));
        there.send_in_time(FromWorker::Ended { finished: true }).await.expect("sent");
        assert!(matches!(from_there.recv().await, Some(Heard::Message(FromWorker::Ended { finished: true }))));
        // What waits is sent before the end.
        there.send(FromWorker::Started);
        drop(there);
        assert!(matches!(from_there.recv().await, Some(Heard::Message(FromWorker::Started))));
        assert!(matches!(from_there.recv().await, Some(Heard::Lost(Lost::Broken(_)))));
    }

    #[tokio::test]
    async fn a_silent_peer_is_lost_and_one_whose_messages_wait_is_not() {
        let (a, b) = sockets().await;
        let (here, mut from_there) = open::<FromWorker, ToWorker>(a, QUICK);
        let heard = from_there.recv().await;
        assert!(matches!(heard, Some(Heard::Lost(Lost::Silent(t))) if t == QUICK.timeout), "{heard:?}");
        drop((here, b));

        let (a, b) = sockets().await;
        let (_here, mut from_there) = open::<FromWorker, ToWorker>(a, QUICK);
        let (there, _from_here) = open::<ToWorker, FromWorker>(b, QUICK);
        for _ in 0..IN_QUEUE * 2 {
            there.send_in_time(FromWorker::Started).await.expect("sent");
        }
        tokio::time::sleep(QUICK.timeout * 3).await;
        for i in 0..IN_QUEUE * 2 {
            let heard = from_there.recv().await;
            assert!(matches!(heard, Some(Heard::Message(FromWorker::Started))), "{i}: {heard:?}");
        }
    }
}
