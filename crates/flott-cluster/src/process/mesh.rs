//! The connections between the workers of one generation: each process calls those with smaller numbers.

use std::net::SocketAddr;
use std::time::Duration;

use flott_core::{Error, ErrorKind, Result, Secret};
use flott_runtime::Place;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::process::greeting::{Identity, Role, greet};

/// The longest that the processes of a generation take to meet.
const MEETING_TIMEOUT: Duration = Duration::from_secs(30);
/// Callers that are greeted at a time; the others wait in the listener's backlog.
const GREETINGS_MAX: usize = 64;

/// Listens for one generation's connections, on this machine only.
pub(crate) async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let failed = |e| Error::unavailable("no port can be opened on the loopback interface").caused_by(e);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Greets all callers of a listener at once: one that is silent holds up nobody else.
pub(crate) struct Reception<'a> {
    listener: &'a TcpListener,
    secret: &'a Secret,
    me: &'a Identity,
    greetings: JoinSet<Result<(usize, TcpStream)>>,
}

impl<'a> Reception<'a> {
    pub(crate) fn new(listener: &'a TcpListener, secret: &'a Secret, me: &'a Identity) -> Reception<'a> {
        Reception { listener, secret, me, greetings: JoinSet::new() }
    }

    /// The next that has proven itself, with its number. Whoever is no process of the job is no reason to fail. Loses
    /// nobody where it is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<(usize, TcpStream)> {
        loop {
            tokio::select! {
                Some(greeted) = self.greetings.join_next() => {
                    match greeted.map_err(|e| Error::internal("a greeting ended early").caused_by(e))? {
                        Err(e) if e.kind() == ErrorKind::Unavailable => {
                            tracing::warn!(error = %e, "a connection is refused");
                        }
                        greeted => return greeted,
                    }
                }
                accepted = self.listener.accept(), if self.greetings.len() < GREETINGS_MAX => {
                    let (mut stream, _) =
                        accepted.map_err(|e| Error::unavailable("no process can connect").caused_by(e))?;
                    let (secret, me) = (self.secret.clone(), self.me.clone());
                    self.greetings.spawn(async move {
                        let number = greet(&mut stream, &secret, Role::Listener, &me).await?;
                        Ok((number, stream))
                    });
                }
            }
        }
    }
}

/// Meets all others. `addresses` are those where each process listens.
pub(crate) async fn meet(
    listener: &TcpListener,
    addresses: &[String],
    secret: &Secret,
    me: &Identity,
) -> Result<Place> {
    let met = tokio::time::timeout(MEETING_TIMEOUT, async {
        let mut sockets: Vec<Option<TcpStream>> = addresses.iter().map(|_| None).collect();
        for (number, address) in addresses.iter().enumerate().take(me.number) {
            sockets[number] = Some(call(number, address, secret, me).await?);
        }
        let mut reception = Reception::new(listener, secret, me);
        while sockets.iter().skip(me.number + 1).any(Option::is_none) {
            let (number, stream) = reception.next().await?;
            match sockets.get_mut(number) {
                Some(socket) if number > me.number && socket.is_none() => *socket = Some(stream),
                _ => return Err(Error::internal(format!("process {number} came where it is not expected"))),
            }
        }
        Ok(sockets)
    });
    let sockets = met.await.unwrap_or_else(|_| {
        Err(Error::unavailable(format!("the processes did not meet within {MEETING_TIMEOUT:?}")))
    })?;
    let mut place = Place { process: me.number, sockets: vec![] };
    for socket in sockets {
        let blocking = |s: TcpStream| {
            let s = s.into_std()?;
            s.set_nonblocking(false).map(|()| s)
        };
        let socket = socket.map(blocking).transpose();
        place.sockets.push(socket.map_err(|e| Error::unavailable("a socket cannot be used").caused_by(e))?);
    }
    Ok(place)
}

async fn call(number: usize, address: &str, secret: &Secret, me: &Identity) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|e| Error::unavailable(format!("process {number} cannot be reached at {address}")).caused_by(e))?;
    let there = greet(&mut stream, secret, Role::Caller, me).await?;
    if there != number {
        return Err(Error::internal(format!("process {there} answers at the address of process {number}")));
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::greeting::new_secret;

    #[tokio::test]
    async fn three_processes_meet_and_a_stranger_is_left_out() {
        let secret = new_secret();
        let mut listeners = vec![];
        let mut addresses = vec![];
        for _ in 0..3 {
            let (listener, address) = listen().await.expect("a port");
            listeners.push(listener);
            addresses.push(address.to_string());
        }
        let mut stranger = TcpStream::connect(&addresses[0]).await.expect("a connection");
        let guess = new_secret();
        let strange = Identity::mesh(1, "b", 1, 1);
        let refused = tokio::spawn(async move { greet(&mut stranger, &guess, Role::Caller, &strange).await });
        let meeting = listeners.iter().enumerate().map(|(number, listener)| {
            let (addresses, secret) = (&addresses, &secret);
            async move { meet(listener, addresses, secret, &Identity::mesh(number, "b", 1, 1)).await }
        });
        for (number, place) in futures::future::join_all(meeting).await.into_iter().enumerate() {
            let place = place.expect("met");
            let there: Vec<bool> = place.sockets.iter().map(Option::is_some).collect();
            assert_eq!(there, (0..3).map(|n| n != number).collect::<Vec<_>>());
        }
        assert!(refused.await.expect("no panic").is_err());
    }

    #[tokio::test]
    async fn silent_callers_hold_nobody_up() {
        let secret = new_secret();
        let (first, second) = (listen().await.expect("a port"), listen().await.expect("a port"));
        let addresses = [first.1.to_string(), second.1.to_string()];
        let mut silent = vec![];
        for _ in 0..3 {
            silent.push(TcpStream::connect(first.1).await.expect("a connection"));
        }
        let (zero, one) = (Identity::mesh(0, "b", 1, 1), Identity::mesh(1, "b", 1, 1));
        let meeting = async {
            tokio::join!(meet(&first.0, &addresses, &secret, &zero), meet(&second.0, &addresses, &secret, &one))
        };
        // Less than the time that one silent caller is given.
        let met = tokio::time::timeout(Duration::from_secs(2), meeting).await.expect("in time");
        assert!(met.0.is_ok() && met.1.is_ok(), "both have met");
    }
}
