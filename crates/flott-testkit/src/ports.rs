//! Ports of 127.0.0.1 for servers that are started later, and again.
//!
//! A port that the system gives to `bind(0)` is one that it also gives to outgoing connections: between its choice and its
//! use, or while its server is down, any client of this machine may take it. These are below that range.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::TcpListener;

/// Below it are the ports of well-known servers.
const LOWEST: u16 = 16_384;
/// Where outgoing connections begin, if the system does not say: Linux's default; others begin higher.
const OUTGOING: u16 = 32_768;

/// So many ports that nobody listens on, all different.
///
/// # Errors
///
/// Where there are not as many.
pub(crate) fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let from_the_system = || (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>();
    let listeners = match outgoing() {
        // Held together until all are found, so that they differ.
        end if end > LOWEST => {
            let begin = RandomState::new().build_hasher().finish() % u64::from(end - LOWEST);
            let walk = (LOWEST..end).cycle().skip(begin as usize).take(usize::from(end - LOWEST));
            walk.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).take(count).collect()
        }
        _ => from_the_system()?,
    };
    if listeners.len() < count {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port"));
    }
    listeners.iter().map(|l| l.local_addr().map(|a| a.port())).collect()
}

/// The first port that an outgoing connection may have.
fn outgoing() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    range.and_then(|range| range.split_whitespace().next()?.parse().ok()).unwrap_or(OUTGOING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_are_free_and_are_nobodys_by_chance() {
        let mut ports = free_ports(40).expect("ports");
        assert!(outgoing() <= LOWEST || ports.iter().all(|&port| port < outgoing()));
        for &port in &ports {
            assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "{port}");
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 40);
    }
}
