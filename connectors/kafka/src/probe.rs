//! What is spoken at an address, asked directly. That a connection was closed says nothing of why: a proxy closes it where no
//! broker is behind it, as a broker does that is spoken to in another protocol. Who speaks a protocol answers a greeting in it.
//!
//! Blocks, for a few seconds at most. Nothing is told that is not public.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection, and an answer, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Whether somebody at `host:port` answers a greeting in TLS: with a handshake, or with an alert that this one does not suit.
pub(crate) fn speaks_tls(address: &str) -> bool {
    let answer: Option<[u8; 3]> = answer(address, &client_hello());
    matches!(answer, Some([ALERT | HANDSHAKE, 3, 0..=4]))
}

/// Whether somebody at `host:port` answers Kafka's question for versions without TLS.
pub(crate) fn speaks_kafka(address: &str) -> bool {
    const VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0x46, 0x4C, 0x4F, 0x54, 0xFF, 0xFF];
    /// Of the first broker on: an error code, and some versions.
    const BYTES: std::ops::RangeInclusive<u32> = 6..=1 << 20;
    let Some(answer) = answer::<8>(address, &VERSIONS) else { return false };
    let [a, b, c, d, id @ ..] = answer;
    BYTES.contains(&u32::from_be_bytes([a, b, c, d])) && id == VERSIONS[8..12]
}

/// The first bytes of the answer of the first address that takes a connection.
fn answer<const N: usize>(address: &str, greeting: &[u8]) -> Option<[u8; N]> {
    let addresses = address.to_socket_addrs().ok()?;
    let mut connection =
        addresses.take(ADDRESSES_MAX).find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok())?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    connection.set_write_timeout(Some(PATIENCE)).ok()?;
    connection.write_all(greeting).ok()?;
    let mut answer = [0; N];
    connection.read_exact(&mut answer).ok()?;
    Some(answer)
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// A greeting of TLS 1.2 with ciphers that most servers know. Whoever knows none of them answers, too: with an alert.
fn client_hello() -> Vec<u8> {
    const CIPHERS: [u8; 14] = [0xC0, 0x2F, 0xC0, 0x2B, 0xC0, 0x30, 0xC0, 0x2C, 0x00, 0x9C, 0x00, 0x2F, 0x00, 0x35];
    const GROUPS: [u8; 12] = [0, 10, 0, 8, 0, 6, 0, 29, 0, 23, 0, 24];
    const SIGNATURES: [u8; 14] = [0, 13, 0, 10, 0, 8, 4, 3, 8, 4, 4, 1, 5, 1];
    let extensions = [GROUPS.as_slice(), &SIGNATURES].concat();
    let mut body = vec![3, 3];
    // The random bytes protect a connection that goes on: this one does not.
    body.extend([0x46; 32]);
    body.push(0);
    put(&mut body, &CIPHERS);
    body.extend([1, 0]);
    put(&mut body, &extensions);
    // Its length has three bytes, the first of which is 0.
    let mut handshake = vec![1, 0];
    put(&mut handshake, &body);
    let mut record = vec![HANDSHAKE, 3, 1];
    put(&mut record, &handshake);
    record
}

/// Bytes behind their length in two bytes.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Somebody who takes a connection, reads what comes first, and says this.
    fn says(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.expect("a connection");
                let mut greeting = [0; 1024];
                let read = connection.read(&mut greeting).expect("a greeting");
                assert!(read > 0);
                connection.write_all(bytes).expect("said");
            }
        });
        address
    }

    #[test]
    fn only_an_answer_in_a_protocol_is_evidence_of_it() {
        // An alert, a handshake, nothing, and something else.
        let answers: [(&'static [u8], bool); 4] = [
            (&[21, 3, 3, 0, 2, 2, 40], true),
            (&[22, 3, 3, 0, 80, 2], true),
            (&[], false),
            (b"HTTP/1.1 400 Bad Request\r\n", false),
        ];
        for (bytes, tls) in answers {
            assert_eq!(speaks_tls(&says(bytes)), tls, "{bytes:?}");
            assert!(!speaks_kafka(&says(bytes)), "{bytes:?}");
        }
        let kafka = &[0, 0, 0, 10, 0x46, 0x4C, 0x4F, 0x54, 0, 0, 0, 0, 0, 0];
        assert!(speaks_kafka(&says(kafka)) && !speaks_tls(&says(kafka)));
        // Nobody at all.
        assert!(!speaks_tls("127.0.0.1:1") && !speaks_kafka("127.0.0.1:1") && !speaks_tls("nowhere.invalid:9"));
    }

    #[test]
    fn the_greeting_says_its_lengths() {
        let hello = client_hello();
        let length = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!((length(3), length(7)), (hello.len() - 5, hello.len() - 9));
        assert_eq!(hello[5], 1, "a client's hello");
        // Behind version, random bytes and an empty session: ciphers, one compression, extensions to the end.
        let ciphers = 9 + 2 + 32 + 1;
        let extensions = ciphers + 2 + length(ciphers) + 2;
        assert_eq!(extensions + 2 + length(extensions), hello.len());
    }
}
