//! A TCP proxy between a job and a server that can delay, throttle, swallow and cut what goes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::process::pause;
use crate::Failure;

/// What happens to bytes that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Network {
    /// They go through.
    #[default]
    Whole,
    /// They go through after so many milliseconds.
    Delayed(u64),
    /// So many go through in a second.
    Throttled(u64),
    /// They vanish, and both ends believe to be connected.
    HalfOpen,
    /// Connections end, and new ones do too.
    Cut,
}

#[derive(Default)]
struct Shared {
    network: Network,
    /// Both ends of each connection.
    connections: Vec<(TcpStream, TcpStream)>,
    ended: bool,
}

impl Shared {
    fn end_connections(&mut self) {
        for (client, server) in self.connections.drain(..) {
            drop(client.shutdown(Shutdown::Both));
            drop(server.shutdown(Shutdown::Both));
        }
    }
}

/// Listens until it is dropped: the next one may have its address.
pub(super) struct Proxy {
    shared: Arc<Mutex<Shared>>,
    pub(super) address: String,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on `address`, whose port may be 0, and connects to `server`.
    pub(super) fn start(address: &str, server: &str) -> Result<Proxy, Failure> {
        let server: SocketAddr = server.parse().map_err(|e| format!("{server}: {e}"))?;
        let listener = TcpListener::bind(address).map_err(|e| format!("a proxy cannot listen on {address}: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?.to_string();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let of_thread = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&of_thread).ended {
                    return;
                }
                connect(&of_thread, client, server);
            }
        });
        Ok(Proxy { shared, address, accepting: Some(accepting) })
    }

    /// From now on. What was cut, or swallowed, is not to be had again: those connections end.
    pub(super) fn set(&self, network: Network) {
        let mut shared = lock(&self.shared);
        let ends = [Network::Cut, Network::HalfOpen];
        if network == Network::Cut || (ends.contains(&shared.network) && network != shared.network) {
            shared.end_connections();
        }
        shared.network = network;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.ended = true;
        shared.end_connections();
        drop(shared);
        // The thread that waits for a client wakes.
        drop(TcpStream::connect(&self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client that finds no server loses its connection.
fn connect(shared: &Arc<Mutex<Shared>>, client: TcpStream, server: SocketAddr) {
    if lock(shared).network == Network::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect_timeout(&server, Duration::from_secs(5)) else { return };
    // What arrives goes on at once: both ends send small questions one after another.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let clones = || Some([client.try_clone().ok()?, server.try_clone().ok()?, client.try_clone().ok()?]);
    let (Some([a, b, c]), Ok(d)) = (clones(), server.try_clone()) else { return };
    lock(shared).connections.push((a, b));
    for (from, to) in [(client, server), (d, c)] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || pass(&shared, from, to));
    }
}

/// One direction of a connection, until one end closes.
fn pass(shared: &Mutex<Shared>, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    loop {
        // What arrives slowly is asked for slowly.
        let most = match lock(shared).network {
            Network::Throttled(bytes) => (bytes as usize / 20).clamp(1, buffer.len()),
            _ => buffer.len(),
        };
        let Ok(n @ 1..) = from.read(&mut buffer[..most]) else { break };
        let network = lock(shared).network;
        match network {
            Network::Whole | Network::Cut => {}
            Network::Delayed(ms) => pause(Duration::from_millis(ms)),
            Network::Throttled(bytes) => pause(Duration::from_micros(n as u64 * 1_000_000 / bytes.max(1))),
            Network::HalfOpen => continue,
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_proxy_may_have_the_address() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = server.local_addr().expect("an address").to_string();
        let first = Proxy::start("127.0.0.1:0", &server).expect("a proxy");
        let address = first.address.clone();
        let client = TcpStream::connect(&address).expect("it listens");
        Proxy::start(&address, &server).map(drop).expect_err("two at once");
        drop(first);
        Proxy::start(&address, &server).expect("the address is free");
        drop(client);
    }

    #[test]
    fn bytes_pass_vanish_and_are_cut() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for mut stream in server.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
        let proxy = Proxy::start("127.0.0.1:0", &address).expect("a proxy");
        let connect = || {
            let stream = TcpStream::connect(&proxy.address).expect("connected");
            stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
            stream
        };
        let echo = |stream: &mut TcpStream| {
            let mut byte = [0];
            stream.write_all(b"x").and_then(|()| stream.read_exact(&mut byte)).map_err(|e| e.kind()).map(|()| byte[0])
        };
        let mut stream = connect();
        assert_eq!(echo(&mut stream), Ok(b'x'));
        proxy.set(Network::Delayed(20));
        assert_eq!(echo(&mut stream), Ok(b'x'));
        proxy.set(Network::HalfOpen);
        assert_eq!(echo(&mut stream), Err(std::io::ErrorKind::WouldBlock));
        proxy.set(Network::Whole);
        assert!(echo(&mut stream).is_err(), "what was swallowed never comes");
        let mut stream = connect();
        assert_eq!(echo(&mut stream), Ok(b'x'));
        proxy.set(Network::Cut);
        assert!(echo(&mut stream).is_err());
        assert!(echo(&mut connect()).is_err());
        proxy.set(Network::Throttled(1_000));
        assert_eq!(echo(&mut connect()), Ok(b'x'));
    }
}
