//! Requests and replies: JSON behind its length in four bytes, big-endian. One of each for a connection.

use std::time::Duration;

use flott_core::{CheckpointId, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::metrics::MetricsReport;
use crate::watermarks::WatermarkReport;

/// Version of what is said; another one is refused.
pub(super) const VERSION: u32 = 1;
/// The most bytes of a request.
pub(super) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The most bytes of a reply.
pub(super) const REPLY_BYTES_MAX: usize = 16 << 20;
/// The longest that a frame may take once it has begun, and a request to come.
pub(super) const FRAME_TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub(super) enum Ask {
    Describe,
    Metrics,
    Watermarks,
    Savepoint {
        /// An absolute path or a URI; the job's own setting where it is not said.
        directory: Option<String>,
    },
    Stop {
        drain: bool,
        savepoint: bool,
        directory: Option<String>,
    },
    Cancel,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: u32,
    pub(super) ask: Ask,
}

/// A job as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDescription {
    /// 32 hexadecimal digits, new at every start.
    pub id: String,
    /// `pipeline.name`, or the script's.
    pub name: String,
    /// `RUNNING`, `RESTARTING`, ..
    pub status: String,
    /// When it was started, in ms since the epoch.
    pub started_ms: i64,
    /// The process that it runs in.
    pub pid: u32,
    /// Where its checkpoints lie, where it has any.
    pub checkpoints: Option<String>,
    /// The last one that is committed.
    pub last_checkpoint: Option<u64>,
    /// Attempts after the first.
    pub restarts: u64,
}

/// A savepoint as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredSavepoint {
    pub(super) checkpoint: CheckpointId,
    pub(super) location: String,
    pub(super) bytes: u64,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    Job(JobDescription),
    Metrics(MetricsReport),
    Watermarks(WatermarkReport),
    Savepoint(StoredSavepoint),
    /// The job has ended.
    Stopped {
        status: String,
        savepoint: Option<StoredSavepoint>,
    },
    /// It was asked to end.
    Cancelling,
    Failed {
        kind: String,
        message: String,
        hint: Option<String>,
    },
}

impl Reply {
    pub(super) fn failed(e: &Error) -> Reply {
        let details: String = e.contexts().iter().map(|(what, value)| format!(" ({what} {value})")).collect();
        Reply::Failed {
            kind: e.kind().code().to_string(),
            message: format!("{}{details}", e.message_and_cause()),
            hint: e.hint_text().map(str::to_string),
        }
    }

    /// An error of the job's process as one of this process.
    pub(super) fn into_result(self) -> Result<Reply> {
        let Reply::Failed { kind, message, hint } = self else { return Ok(self) };
        let kinds = [ErrorKind::User, ErrorKind::Data, ErrorKind::Unavailable, ErrorKind::Fenced, ErrorKind::Internal];
        let kind = kinds.into_iter().find(|k| k.code() == kind).unwrap_or(ErrorKind::Unavailable);
        let error = Error::new(kind, message);
        Err(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}

/// Writes one frame.
pub(super) async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), value: &T, most: usize) -> Result<()> {
    let json = serde_json::to_vec(value).map_err(|e| Error::internal("a frame cannot be written").caused_by(e))?;
    let length = u32::try_from(json.len()).ok().filter(|n| *n as usize <= most);
    let length = length.ok_or_else(|| Error::user(format!("more than {most} bytes cannot be sent to a job")))?;
    let send = async {
        to.write_all(&length.to_be_bytes()).await?;
        to.write_all(&json).await?;
        to.flush().await
    };
    match tokio::time::timeout(FRAME_TIMEOUT, send).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(Error::unavailable("the other process does not read")),
    }
}

/// Reads one frame; `None` where the other end has closed before.
pub(super) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), most: usize) -> Result<Option<T>> {
    let mut length = [0u8; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e.into()),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(Error::data(format!("a frame of {length} bytes; the most is {most}")));
    }
    let stopped = || Error::unavailable("the other process stopped in the middle of a frame");
    // Grows as bytes arrive: a length alone reserves nothing.
    let mut json = vec![];
    let mut frame = from.take(length as u64);
    let read = tokio::time::timeout(FRAME_TIMEOUT, frame.read_to_end(&mut json)).await;
    if read.map_err(|_| stopped())?? < length {
        return Err(stopped());
    }
    serde_json::from_slice(&json).map(Some).map_err(|e| Error::data("a frame that is none of ours").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_and_none_is_larger_than_it_may_be() {
        let (mut a, mut b) = tokio::io::duplex(1 << 20);
        let request = Request { version: VERSION, ask: Ask::Stop { drain: true, savepoint: true, directory: None } };
        write(&mut a, &request, REQUEST_BYTES_MAX).await.expect("written");
        assert_eq!(read::<Request>(&mut b, REQUEST_BYTES_MAX).await.expect("read"), Some(request));
        let long = Request { version: VERSION, ask: Ask::Savepoint { directory: Some("x".repeat(REQUEST_BYTES_MAX)) } };
        write(&mut a, &long, REQUEST_BYTES_MAX).await.expect_err("too large to send");
        a.write_all(&u32::MAX.to_be_bytes()).await.expect("written");
        read::<Request>(&mut b, REQUEST_BYTES_MAX).await.expect_err("too large to take");
        a.write_all(b"\0\0\0\x02{]").await.expect("written");
        read::<Request>(&mut b, REQUEST_BYTES_MAX).await.expect_err("no JSON");
        drop(a);
        assert!(read::<Request>(&mut b, REQUEST_BYTES_MAX).await.expect("an end").is_none());
        let cut = [&[0, 0xf0, 0, 0][..], b"{}"].concat();
        read::<Reply>(&mut &cut[..], REPLY_BYTES_MAX).await.expect_err("it ends in the middle");
    }

    #[test]
    fn an_error_keeps_its_kind_and_its_hint() {
        let error = Error::unavailable("it is away").with("table", "t").hint("Wait");
        let back = Reply::failed(&error).into_result().expect_err("an error");
        assert_eq!((back.kind(), back.hint_text()), (ErrorKind::Unavailable, Some("Wait")));
        assert!(back.message().contains("table t"), "{back}");
        // The reason is most often the operating system's.
        let error = Error::from(std::io::Error::from_raw_os_error(13)).with("file", "/sp");
        let back = Reply::failed(&error).into_result().expect_err("an error").to_string();
        assert!(back.contains("Permission denied") && back.contains("/sp"), "{back}");
    }
}
