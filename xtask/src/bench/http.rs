//! Requests to servers on this machine: as much HTTP as they need.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::Failure;

const PATIENCE: Duration = Duration::from_secs(120);

/// The body of an answer.
pub(super) fn request(method: &str, port: u16, path: &str, body: &str) -> Result<String, Failure> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = vec![];
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|e| format!("{method} {path} at port {port}: {e}"))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or("");
    if !status.starts_with('2') {
        return Err(format!("{method} {path} at port {port}: {status} {}", body.trim()));
    }
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return unchunk(body).ok_or_else(|| format!("{method} {path} at port {port}: an answer that is cut"));
    }
    Ok(body.to_string())
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.push_str(after.get(..length)?);
        rest = after.get(length + 2..)?;
    }
}

/// The same in JSON.
pub(super) fn json(method: &str, port: u16, path: &str, body: &Value) -> Result<Value, Failure> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let text = request(method, port, path, &body)?;
    serde_json::from_str(&text).map_err(|e| format!("{method} {path} at port {port}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(unchunk("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").as_deref(), Some("abcd"));
        assert_eq!(unchunk("3\r\nab"), None);
    }
}
