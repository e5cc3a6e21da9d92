//! The metrics of a session's jobs over HTTP, for Prometheus. Opt-in, and only on this machine's loopback address.
//!
//! It answers `GET /metrics` (and `/`, as Flink's reporter does) and nothing else: a request has a limit of size and of
//! time, every connection takes one request, and a `Host` that is not this machine is refused, so that no web page can
//! read metrics through a name that it has pointed here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flott_core::options::Options;
use flott_core::{Error, Result};
use flott_sql::statement::config::option_of;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::control::after_failed_accept;
use crate::jobs::Jobs;
use crate::metrics::{RATE_INTERVAL, prometheus};

/// The most bytes of a request, its headers included.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// The longest that a request or an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 16;
/// Flink's first port.
const DEFAULT_PORT: u16 = 9_249;
const PORT: &str = "metrics.reporter.prom.port";
const REPORTERS: &str = "metrics.reporters";

/// The ports to try, where the endpoint is wanted: `metrics.reporter.prom.port`, or Flink's default where
/// `metrics.reporters` names `prom`.
pub(crate) fn ports(config: &Options) -> Result<Option<std::ops::RangeInclusive<u16>>> {
    let named = config.text(option_of(REPORTERS)?).unwrap_or_default().split(',').any(|r| r.trim() == "prom");
    let Some(text) = config.get(PORT) else {
        return Ok(named.then_some(DEFAULT_PORT..=DEFAULT_PORT));
    };
    let wrong = || {
        Error::user(format!("'{PORT}' is '{text}', which is no port")).hint("Write a port such as 9249, or 9249-9260")
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
    let range = port(first)?..=port(last)?;
    if range.is_empty() { Err(wrong()) } else { Ok(Some(range)) }
}

/// A running endpoint; it ends with this value.
pub(crate) struct MetricsEndpoint {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MetricsEndpoint {
    /// Listens on the first of the ports that is free.
    pub(crate) async fn open(ports: std::ops::RangeInclusive<u16>, jobs: Jobs) -> Result<MetricsEndpoint> {
        let mut failure = None;
        for port in ports.clone() {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    tracing::info!("metrics for Prometheus are at http://{address}/metrics");
                    let task = tokio::spawn(serve(listener, jobs)).abort_handle();
                    return Ok(MetricsEndpoint { address, task });
                }
                Err(e) => failure = Some(e),
            }
        }
        let places = match (ports.start(), ports.end()) {
            (one, other) if one == other => format!("port {one}"),
            (first, last) => format!("any of the ports {first}-{last}"),
        };
        let error = Error::user(format!("no metrics endpoint can be opened on {places}"))
            .hint("Another process listens there: choose another port, or a range such as 9249-9260");
        Err(match failure {
            Some(e) => error.caused_by(e),
            None => error,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, jobs: Jobs) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut samples = tokio::time::interval(RATE_INTERVAL);
    loop {
        tokio::select! {
            _ = samples.tick() => jobs.sample(),
            accepted = listener.accept() => {
                let mut stream = match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        after_failed_accept(&error).await;
                        continue;
                    }
                };
                let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
                let jobs = jobs.clone();
                tokio::spawn(async move {
                    drop(tokio::time::timeout(TIMEOUT * 2, answer(&mut stream, &jobs)).await);
                    drop(permit);
                });
            }
        }
    }
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), jobs: &Jobs) -> std::io::Result<()> {
    let (status, body) = match tokio::time::timeout(TIMEOUT, read_request(stream)).await {
        Err(_) => ("408 Request Timeout", "the request took too long\n".to_string()),
        Ok(Err(status)) => (status, format!("{status}\n")),
        Ok(Ok(())) => ("200 OK", prometheus(&jobs.reports())),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads the head of a request; whatever is behind it is not read.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), &'static str> {
    let mut head = Vec::new();
    let mut piece = [0u8; 1_024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return Err("400 Bad Request"),
            Ok(n) => head.extend_from_slice(&piece[..n]),
        }
        if head.len() > REQUEST_BYTES_MAX {
            return Err("431 Request Header Fields Too Large");
        }
    }
    check(std::str::from_utf8(&head).map_err(|_| "400 Bad Request")?)
}

fn check(head: &str) -> Result<(), &'static str> {
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Err("400 Bad Request") };
    if !version.starts_with("HTTP/1.") {
        return Err("505 HTTP Version Not Supported");
    }
    let host = lines.filter_map(|l| l.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !host.is_none_or(|(_, host)| is_this_machine(host.trim())) {
        return Err("403 Forbidden");
    }
    match (method, target.split('?').next().unwrap_or_default()) {
        ("GET", "/" | "/metrics") => Ok(()),
        ("GET", _) => Err("404 Not Found"),
        _ => Err("405 Method Not Allowed"),
    }
}

/// `localhost`, `127.0.0.1:9249`, `[::1]:9249`
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_get_of_the_metrics_is_answered() {
        let get = |target: &str, host: &str| check(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(get("/metrics", "127.0.0.1:9249"), Ok(()));
        assert_eq!(get("/", "localhost"), Ok(()));
        assert_eq!(get("/metrics?x=1", "[::1]:9249"), Ok(()));
        assert_eq!(get("/metrics", "evil.example"), Err("403 Forbidden"));
        assert_eq!(get("/metrics", "127.0.0.1.evil.example"), Err("403 Forbidden"));
        assert_eq!(get("/etc/passwd", "localhost"), Err("404 Not Found"));
        assert_eq!(check("POST /metrics HTTP/1.1\r\n\r\n"), Err("405 Method Not Allowed"));
        assert_eq!(check("GET /metrics\r\n\r\n"), Err("400 Bad Request"));
    }

    #[test]
    fn ports_are_one_or_a_range() {
        let of = |pairs: &[(&str, &str)]| {
            let mut config = Options::new();
            pairs.iter().for_each(|(k, v)| config.set(*k, *v));
            ports(&config)
        };
        assert_eq!(of(&[]).expect("nothing is said"), None);
        assert_eq!(of(&[(PORT, "9300")]).expect("a port"), Some(9_300..=9_300));
        assert_eq!(of(&[(PORT, "9250-9260")]).expect("a range"), Some(9_250..=9_260));
        assert_eq!(of(&[(REPORTERS, "a, prom")]).expect("a name"), Some(9_249..=9_249));
        for wrong in ["x", "70000", "9260-9250", "-"] {
            assert!(of(&[(PORT, wrong)]).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_request_without_an_end_is_refused() {
        let (mut there, mut here) = tokio::io::duplex(64 << 10);
        there
            .write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(REQUEST_BYTES_MAX)).as_bytes())
            .await
            .expect("sent");
        assert_eq!(read_request(&mut here).await, Err("431 Request Header Fields Too Large"));
    }
}
