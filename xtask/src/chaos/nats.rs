//! What the harness itself says to a NATS server, in the server's protocol.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// How long a server may be silent; one that is stopped is asked anew.
const PATIENCE: Duration = Duration::from_secs(4);
/// Messages of one question to a consumer.
const AT_ONCE: usize = 1_000;
/// The server forgets a reader who has not asked for so long.
const FORGOTTEN_NS: u64 = 60_000_000_000;

pub(super) struct Client {
    /// Answers come to subjects that begin so: each connection has its own.
    inbox: String,
    lines: BufReader<TcpStream>,
    stream: TcpStream,
}

struct Message {
    subject: String,
    reply: String,
    /// The first line of its headers.
    status: String,
    payload: Vec<u8>,
}

/// A message of a stream.
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) text: String,
}

impl Client {
    pub(super) fn connect(address: &str) -> io::Result<Client> {
        let stream = super::process::connect(address, PATIENCE)?;
        let inbox = format!("_INBOX.chaos-{}", stream.local_addr()?.port());
        let mut client = Client { inbox, lines: BufReader::new(stream.try_clone()?), stream };
        let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}";
        client.stream.write_all(format!("{hello}\r\nSUB {}.* 1\r\n", client.inbox).as_bytes())?;
        Ok(client)
    }

    fn next(&mut self) -> io::Result<Message> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
            let (subject, reply, head, all) = match words[..] {
                ["PING"] => {
                    self.stream.write_all(b"PONG\r\n")?;
                    continue;
                }
                ["-ERR", ..] => return Err(io::Error::other(line)),
                ["MSG", subject, _, all] => (subject, "", 0, number(all)?),
                ["MSG", subject, _, reply, all] => (subject, reply, 0, number(all)?),
                ["HMSG", subject, _, head, all] => (subject, "", number(head)?, number(all)?),
                ["HMSG", subject, _, reply, head, all] => (subject, reply, number(head)?, number(all)?),
                _ => continue,
            };
            let mut bytes = vec![0; all + 2];
            self.lines.read_exact(&mut bytes)?;
            bytes.truncate(all);
            let payload = bytes.split_off(head.min(all));
            let status = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_string();
            return Ok(Message { subject: subject.to_string(), reply: reply.to_string(), status, payload });
        }
    }

    fn send(&mut self, subject: &str, reply: &str, text: &str) -> io::Result<()> {
        let message = format!("PUB {subject} {}.{reply} {}\r\n{text}\r\n", self.inbox, text.len());
        self.stream.write_all(message.as_bytes())
    }

    /// One question, one answer, both in JSON.
    pub(super) fn ask(&mut self, subject: &str, question: &Value) -> io::Result<Value> {
        let text = question.to_string();
        self.send(subject, "ask", &text)?;
        let message = self.next()?;
        let answer: Value = serde_json::from_slice(&message.payload)
            .map_err(|_| io::Error::other(format!("no answer from {subject}: {}", message.status)))?;
        match answer.get("error") {
            Some(error) => Err(io::Error::other(error.to_string())),
            None => Ok(answer),
        }
    }

    /// Stores messages of a subject in a stream; gives the first one's sequence once the server has acknowledged all of them. A
    /// message with a name that the stream has already is not stored again.
    pub(super) fn publish(&mut self, subject: &str, messages: &[(String, &str)]) -> io::Result<u64> {
        let mut all = vec![];
        for (i, (name, text)) in messages.iter().enumerate() {
            let head = format!("NATS/1.0\r\nNats-Msg-Id: {name}\r\n\r\n");
            let (head_bytes, bytes) = (head.len(), head.len() + text.len());
            write!(all, "HPUB {subject} {}.{i} {head_bytes} {bytes}\r\n{head}{text}\r\n", self.inbox)?;
        }
        self.stream.write_all(&all)?;
        let mut first = 0;
        for i in 0..messages.len() {
            let message = self.next()?;
            let answer: Value = serde_json::from_slice(&message.payload).map_err(io::Error::other)?;
            let sequence = answer.get("seq").and_then(Value::as_u64);
            let (Some(sequence), true) = (sequence, message.subject == format!("{}.{i}", self.inbox)) else {
                return Err(io::Error::other(format!("not stored: {answer}")));
            };
            first = if i == 0 { sequence } else { first };
        }
        Ok(first)
    }

    /// Begins to read a stream at a sequence; gives the reader's name.
    pub(super) fn reader(&mut self, stream: &str, from: u64) -> io::Result<String> {
        let config = json!({ "ack_policy": "none", "deliver_policy": "by_start_sequence", "opt_start_seq": from.max(1),
            "inactive_threshold": FORGOTTEN_NS, "mem_storage": true });
        let question = json!({ "stream_name": stream, "config": config });
        let answer = self.ask(&format!("$JS.API.CONSUMER.CREATE.{stream}"), &question)?;
        let name = answer.get("name").and_then(Value::as_str);
        name.map(str::to_string).ok_or_else(|| io::Error::other(format!("no reader: {answer}")))
    }

    /// What there is now, up to a limit.
    pub(super) fn read(&mut self, stream: &str, reader: &str) -> io::Result<Vec<Stored>> {
        let text = json!({ "batch": AT_ONCE, "no_wait": true }).to_string();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{reader}");
        self.send(&subject, "read", &text)?;
        let mut all = vec![];
        while all.len() < AT_ONCE {
            let message = self.next()?;
            // The reply names stream, reader, deliveries, and then the sequence.
            let sequence = message.reply.strip_prefix("$JS.ACK.").and_then(|rest| rest.split('.').nth(3)?.parse().ok());
            match sequence {
                Some(sequence) => all.push(Stored {
                    sequence,
                    subject: message.subject,
                    text: String::from_utf8_lossy(&message.payload).trim_end().to_string(),
                }),
                None if message.status.contains(" 404") || message.status.contains(" 408") => break,
                None => return Err(io::Error::other(format!("not read: {}", message.status))),
            }
        }
        Ok(all)
    }

    /// The last sequence of a stream.
    pub(super) fn last(&mut self, stream: &str) -> io::Result<u64> {
        let answer = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))?;
        let last = answer.pointer("/state/last_seq").and_then(Value::as_u64);
        last.ok_or_else(|| io::Error::other(format!("no state: {answer}")))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn messages_are_acknowledged_in_their_order_or_not_at_all() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("an address").to_string();
        let client = std::thread::spawn(move || {
            let mut client = Client::connect(&address)?;
            let messages = [("a".to_string(), "1"), ("b".to_string(), "2")];
            let first = client.publish("s.0", &messages)?;
            let read = client.read("s", "r")?;
            let texts = read.iter().map(|m| format!("{}{}", m.sequence, m.text)).collect::<Vec<_>>();
            let lost = client.publish("s.0", &messages);
            Ok::<_, io::Error>((first, texts, lost.is_err()))
        });
        let (mut stream, client_address) = server.accept().expect("a client");
        let inbox = format!("_INBOX.chaos-{}", client_address.port());
        let mut say = |text: &str| stream.write_all(text.as_bytes()).expect("said");
        say("INFO {}\r\nPING\r\n");
        for (i, answer) in [(0, r#"{"seq":5}"#), (1, r#"{"seq":6,"duplicate":true}"#)] {
            say(&format!("MSG {inbox}.{i} 1 {}\r\n{answer}\r\n", answer.len()));
        }
        say("HMSG s.0 1 $JS.ACK.s.r.1.5.1.99.0 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
        say(&format!("HMSG {inbox}.read 1 30 30\r\nNATS/1.0 404 No Messages  \r\n\r\n\r\n"));
        say(&format!("HMSG {inbox}.0 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"));
        let said = client.join().expect("it ends").expect("answers");
        assert_eq!(said, (5, vec!["5x".to_string()], true));
    }
}
