//! A request, sent until the service has taken it or will never take it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flott_core::{Error, ErrorKind, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};

use crate::status::Codes;

/// Before a request is sent again; each pause is twice the one before.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// As long a service may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read, and that a message shows.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const ANSWER_SHOWN: usize = 300;

/// How requests are sent and answers understood, shared by all requests.
pub(crate) struct Service {
    pub(crate) client: reqwest::Client,
    pub(crate) headers: HeaderMap,
    pub(crate) id_header: Option<HeaderName>,
    pub(crate) success: Codes,
    pub(crate) retry: Codes,
    pub(crate) retries: u32,
    /// For messages.
    pub(crate) shown: String,
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) id: String,
    pub(crate) body: Option<Bytes>,
}

/// What came of one try.
enum Tried {
    Taken,
    Later(Error, Option<Duration>),
    Never(Error),
}

impl Service {
    pub(crate) async fn send(self: Arc<Self>, request: Outgoing) -> Result<()> {
        let (mut pause, mut tries) = (RETRY_MIN, 0);
        loop {
            let (error, asked) = match self.once(&request).await {
                Tried::Taken => return Ok(()),
                Tried::Never(error) => return Err(error),
                Tried::Later(error, asked) => (error, asked),
            };
            tries += 1;
            if tries > self.retries {
                return Err(error);
            }
            tracing::debug!(%error, tries, "a request is sent again");
            tokio::time::sleep(asked.unwrap_or(pause).min(RETRY_AFTER_MAX)).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn told(&self, kind: ErrorKind, message: String, hint: &str) -> Error {
        let error = match kind {
            ErrorKind::User => Error::user(message),
            ErrorKind::Data => Error::data(message),
            _ => Error::unavailable(message),
        };
        error.with("url", &self.shown).hint(hint).from_outside()
    }

    async fn once(&self, request: &Outgoing) -> Tried {
        let mut sent = self.client.request(request.method.clone(), request.url.clone()).headers(self.headers.clone());
        if let Some(name) = &self.id_header {
            sent = match HeaderValue::from_str(&request.id) {
                Ok(id) => sent.header(name, id),
                Err(e) => return Tried::Never(Error::internal("an id is no header's value").caused_by(e)),
            };
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        match sent.send().await {
            Ok(answer) => self.understand(request, answer).await,
            Err(error) => {
                let message = match (error.is_timeout(), error.is_connect()) {
                    (true, _) => "The HTTP service does not answer in time",
                    (_, true) => "The HTTP service cannot be reached",
                    _ => "A request to the HTTP service has failed",
                };
                let hint = "Check that it runs, its address, and its certificate ('tls.ca')";
                let told = self.told(ErrorKind::Unavailable, message.to_string(), hint);
                Tried::Later(told.caused_by(error.without_url()), None)
            }
        }
    }

    async fn understand(&self, request: &Outgoing, mut answer: Response) -> Tried {
        let status = answer.status();
        let code = status.as_u16();
        let is_gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) && request.method == Method::DELETE;
        let is_success = self.success.contains(code) || is_gone;
        let asked = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        // A connection whose answer was read can be used again.
        let mut content = vec![];
        while let Ok(Some(chunk)) = answer.chunk().await {
            content.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - content.len())]);
            if content.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        if is_success {
            return Tried::Taken;
        }
        let shown: String = String::from_utf8_lossy(&content).chars().take(ANSWER_SHOWN).collect();
        let message = format!("The HTTP service answers {} with {status}", request.method);
        if self.retry.contains(code) {
            let hint = "It is busy or ill; 'sink.request.max-retries' says how long it is waited for";
            let told = self.told(ErrorKind::Unavailable, message, hint).with("answer", shown);
            return Tried::Later(told, asked.map(Duration::from_secs));
        }
        let (kind, hint) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (ErrorKind::User, "Check 'username' and 'password', 'token' and the headers")
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => (ErrorKind::User, "Check 'url' and 'method'"),
            _ if status.is_redirection() => {
                (ErrorKind::User, "Give the address that it names: redirects are not followed")
            }
            _ => (
                ErrorKind::Data,
                "It does not take the row; where the answer means that it has it already, add it to 'sink.success-codes'",
            ),
        };
        Tried::Never(self.told(kind, message, hint).with("answer", shown).with("id", &request.id))
    }
}
