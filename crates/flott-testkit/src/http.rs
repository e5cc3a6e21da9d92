//! A small HTTP server for tests: it keeps what it is asked, and answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The content as text.
    pub body: String,
}

impl HttpRequest {
    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum HttpAnswer {
    /// This status, with these headers and this content.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Nothing: the connection ends.
    Nothing,
}

impl HttpAnswer {
    /// A status without anything.
    pub fn status(status: u16) -> HttpAnswer {
        HttpAnswer::Status(status, vec![], String::new())
    }
}

type Answers = dyn Fn(usize, &HttpRequest) -> HttpAnswer + Send + Sync;

/// A server on a port of its own, for as long as this lives.
pub struct HttpServer {
    port: u16,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    ends: Arc<AtomicBool>,
}

impl HttpServer {
    /// Starts one. `answers` gets how many requests came before, and the request.
    pub fn start(answers: impl Fn(usize, &HttpRequest) -> HttpAnswer + Send + Sync + 'static) -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let server = HttpServer { port, requests: Arc::default(), ends: Arc::default() };
        let (requests, ends) = (Arc::clone(&server.requests), Arc::clone(&server.ends));
        let answers: Arc<Answers> = Arc::new(answers);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let (requests, answers) = (Arc::clone(&requests), Arc::clone(&answers));
                // What breaks off here breaks off for the client, too.
                std::thread::spawn(move || serve(&client, &requests, &*answers).ok());
            }
        });
        server
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.requests.lock().clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

/// The requests of a connection.
fn serve(client: &TcpStream, requests: &Mutex<Vec<HttpRequest>>, answers: &Answers) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace().map(str::to_string);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = vec![];
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_string())),
                None => break,
            }
        }
        let mut request = HttpRequest { method, path, headers, body: String::new() };
        let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        let before = {
            let mut requests = requests.lock();
            requests.push(request.clone());
            requests.len() - 1
        };
        let HttpAnswer::Status(status, headers, content) = answers(before, &request) else { return Ok(()) };
        let mut answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", content.len());
        headers.iter().for_each(|(name, value)| answer.push_str(&format!("{name}: {value}\r\n")));
        (&*client).write_all(format!("{answer}\r\n{content}").as_bytes())?;
    }
}
