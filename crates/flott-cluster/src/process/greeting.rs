//! Two processes prove to each other that they belong together, before anything else is read.
//!
//! Each sends who it is with a nonce, then a proof: an HMAC-SHA256 with the shared secret over its role and both
//! greetings. So the secret never crosses, a proof is good for one connection and one direction, and what the greetings
//! say is proven with them.

use std::io;
use std::time::Duration;

use flott_core::{Error, Result, Secret, id};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::process::frame;

/// The longest that a caller waits for a greeting: whoever listens may be busy.
const CALLER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a listener waits for one: a process of the job greets as soon as it has connected.
const LISTENER_TIMEOUT: Duration = Duration::from_secs(3);
/// What SHA-256 works on at once.
const BLOCK: usize = 64;
const MAGIC: &str = "flott";

/// Who greets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Whoever listens.
    Listener,
    /// Whoever calls.
    Caller,
}

/// Who a process says that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its number among the processes of the job.
    pub(crate) number: usize,
    /// What it was built from.
    pub(crate) build: String,
    /// What the connection is for: control, or the rows of one generation of one graph.
    pub(crate) purpose: String,
}

impl Identity {
    /// For a control connection.
    pub(crate) fn control(number: usize, build: &str) -> Identity {
        Identity { number, build: build.to_string(), purpose: "control".to_string() }
    }

    /// For a connection between workers.
    pub(crate) fn mesh(number: usize, build: &str, generation: u64, fingerprint: u64) -> Identity {
        let purpose = format!("rows of generation {generation}, graph {fingerprint:016x}");
        Identity { number, build: build.to_string(), purpose }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Greeting {
    magic: String,
    role: Role,
    identity: Identity,
    nonce: String,
}

/// A new secret: two random UUIDs.
pub(crate) fn new_secret() -> Secret {
    Secret::new(id::random_hex() + &id::random_hex())
}

/// HMAC of RFC 2104 with SHA-256.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|b| b ^ 0x36));
    parts.iter().for_each(|p| inner.update(p));
    Sha256::new_with_prefix(block.map(|b| b ^ 0x5c)).chain_update(inner.finalize()).finalize().into()
}

/// Compares in a time that says nothing of where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

fn proof(secret: &Secret, role: Role, listener: &[u8], caller: &[u8]) -> Vec<u8> {
    let role: &[u8] = match role {
        Role::Listener => b"listener",
        Role::Caller => b"caller",
    };
    let length = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
    let parts = [role, &length(listener), listener, &length(caller), caller];
    hmac(secret.reveal().as_bytes(), &parts).to_vec()
}

/// Greets and listens to the greeting; gives the peer's number. Nothing but the two small frames is read.
pub(crate) async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    secret: &Secret,
    role: Role,
    me: &Identity,
) -> Result<usize> {
    let longest = if role == Role::Listener { LISTENER_TIMEOUT } else { CALLER_TIMEOUT };
    let greeted = tokio::time::timeout(longest, exchange(stream, secret, role, me)).await;
    let peer = match greeted {
        Ok(Ok(peer)) => peer?,
        Ok(Err(e)) => return Err(Error::unavailable("the other process did not greet").caused_by(e)),
        Err(_) => {
            return Err(Error::unavailable(format!("the other process did not greet within {longest:?}")));
        }
    };
    if peer.build != me.build {
        return Err(Error::user(format!(
            "process {} is another build of flott: {}, this one is {}",
            peer.number, peer.build, me.build
        ))
        .hint("Run the same binary everywhere"));
    }
    if peer.purpose != me.purpose {
        return Err(Error::internal(format!(
            "process {} comes for '{}', not for '{}'",
            peer.number, peer.purpose, me.purpose
        )));
    }
    Ok(peer.number)
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    secret: &Secret,
    role: Role,
    me: &Identity,
) -> io::Result<Result<Identity>> {
    let greeting = Greeting { magic: MAGIC.to_string(), role, identity: me.clone(), nonce: id::random_hex() };
    let mine = frame::encode(&greeting)?;
    frame::write(stream, &mine).await?;
    let theirs = frame::read(stream, frame::GREETING_BYTES_MAX).await?;
    let peer: Greeting = frame::decode(&theirs)?;
    if peer.magic != MAGIC || peer.role == role {
        return Ok(Err(Error::unavailable("the other side of a connection is no process of this job")));
    }
    let (listener, caller) = if role == Role::Listener { (&mine, &theirs) } else { (&theirs, &mine) };
    frame::write(stream, &proof(secret, role, listener, caller)).await?;
    let proven = frame::read(stream, frame::GREETING_BYTES_MAX).await?;
    if !same(&proven, &proof(secret, peer.role, listener, caller)) {
        return Ok(Err(Error::unavailable("the other side of a connection does not know the job's secret")));
    }
    Ok(Ok(peer.identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn meet(
        (a, a_secret): (&Identity, &Secret),
        (b, b_secret): (&Identity, &Secret),
    ) -> (Result<usize>, Result<usize>) {
        let (mut left, mut right) = tokio::io::duplex(16 << 10);
        // Each closes its end once it is done, as a process does that refuses.
        let listener = async move { greet(&mut left, a_secret, Role::Listener, a).await };
        let caller = async move { greet(&mut right, b_secret, Role::Caller, b).await };
        tokio::join!(listener, caller)
    }

    #[test]
    fn the_digest_is_that_of_the_rfc() {
        let digest = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[tokio::test]
    async fn those_who_belong_together_meet() {
        let secret = new_secret();
        let (a, b) = (Identity::mesh(0, "1", 7, 3), Identity::mesh(4, "1", 7, 3));
        let (a, b) = meet((&a, &secret), (&b, &secret)).await;
        assert_eq!((a.expect("b"), b.expect("a")), (4, 0));
    }

    #[tokio::test]
    async fn another_secret_build_or_graph_is_refused_by_both() {
        let (secret, other) = (new_secret(), new_secret());
        let me = Identity::mesh(0, "1", 7, 3);
        for (peer, its_secret, what) in [
            (Identity::mesh(1, "1", 7, 3), &other, "secret"),
            (Identity::mesh(1, "2", 7, 3), &secret, "another build of flott"),
            (Identity::mesh(1, "1", 8, 3), &secret, "generation 8"),
            (Identity::mesh(1, "1", 7, 4), &secret, "graph 0000000000000004"),
            (Identity::control(1, "1"), &secret, "control"),
        ] {
            let (here, there) = meet((&me, &secret), (&peer, its_secret)).await;
            let text = here.expect_err("refused").to_string();
            assert!(text.contains(what), "{what}: {text}");
            assert!(there.is_err(), "{what}");
        }
    }

    #[tokio::test]
    async fn a_reflected_greeting_proves_nothing() {
        let (secret, me) = (new_secret(), Identity::control(0, "1"));
        let (mut left, mut right) = tokio::io::duplex(16 << 10);
        let echo = async move {
            while let Ok(frame) = frame::read(&mut right, 10_000).await {
                if frame::write(&mut right, &frame).await.is_err() {
                    return;
                }
            }
        };
        let greeted = async move { greet(&mut left, &secret, Role::Listener, &me).await };
        let (greeted, ()) = tokio::join!(greeted, echo);
        assert!(greeted.is_err());
    }

    #[tokio::test]
    async fn a_large_greeting_is_not_read() {
        let (mut left, mut right) = tokio::io::duplex(16 << 10);
        frame::write(&mut right, &vec![b' '; frame::GREETING_BYTES_MAX + 1]).await.expect("written");
        let e = greet(&mut left, &new_secret(), Role::Listener, &Identity::control(0, "1")).await.expect_err("refused");
        assert!(e.to_string().contains("larger than"), "{e}");
    }
}
