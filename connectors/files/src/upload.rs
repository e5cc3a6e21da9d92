//! A file in an object store that nobody sees before its commit: parts of an upload that the committer completes.
//!
//! The parts lie in the store when a checkpoint names them, and completing is one request, however large the file is;
//! nothing is copied. Beside the staged files lies a note of each upload, written before its first part, so that uploads
//! of dead attempts are found and aborted by their own ids: what others upload to the bucket is never looked at. A small
//! file takes no upload at all and goes with its committable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use flott_connector::storage::Multipart;
use flott_core::{Error, Result};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{PutPayload, Result as StoreResult};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::side_file::SideFile;
use crate::target::FileTarget;

/// Bytes of a part; all but the last have the same size, which some stores ask for.
pub(crate) const PART_BYTES: usize = 8 << 20;
/// Parts of one file that are on their way at the same time.
const PARTS_AT_ONCE: usize = 2;
/// Files up to this size travel in their committables.
pub(crate) const INLINE_BYTES_MAX: usize = 64 << 10;
/// What all such files of one writer and checkpoint may have together: they make the checkpoint's manifest larger.
pub(crate) const INLINED_BYTES_MAX: usize = 1 << 20;
/// What the name of an upload's note ends with.
pub(crate) const NOTE_SUFFIX: &str = ".upload";

/// Where a staged file's bytes are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Held {
    /// In a file or object of its own.
    #[default]
    Staged,
    /// In the parts of an upload to the final place.
    Upload {
        id: String,
        /// What the store called the parts, in their order.
        parts: Vec<String>,
    },
    /// Here, in Base64.
    Inline(String),
}

impl Held {
    pub(crate) fn is_staged(&self) -> bool {
        *self == Held::Staged
    }

    /// The bytes of a file that is held inline.
    pub(crate) fn decode(inline: &str) -> Result<Bytes> {
        BASE64.decode(inline).map(Bytes::from).map_err(|e| {
            Error::data("a committable of the filesystem connector is damaged")
                .hint("Restore an older checkpoint")
                .caused_by(e)
        })
    }
}

/// An upload as the next attempt finds it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The file's place, relative to the table's path.
    target: String,
    id: String,
}

/// A part on its way. It is given up with the file it belongs to: one whose writer was cut short would arrive after the
/// upload's abort.
struct Sent(JoinHandle<StoreResult<PartId>>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A file that is being written.
pub(crate) struct Upload {
    multipart: Multipart,
    path: Path,
    /// The final place and the note's, relative to the table's path.
    target: String,
    note: String,
    id: Option<String>,
    /// What is not a part yet.
    rest: BytesMut,
    sent: VecDeque<Sent>,
    parts: Vec<String>,
    next_part: usize,
}

impl Upload {
    pub(crate) fn new(multipart: Multipart, target: &FileTarget, place: &str, note: &str) -> Result<Upload> {
        Ok(Upload {
            multipart,
            path: target.object(place)?,
            target: place.to_string(),
            note: note.to_string(),
            id: None,
            rest: BytesMut::new(),
            sent: VecDeque::new(),
            parts: vec![],
            next_part: 0,
        })
    }

    /// Bytes in memory that are not on their way.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.rest.len()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8], target: &FileTarget) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        while self.rest.len() >= PART_BYTES {
            let part = self.rest.split_to(PART_BYTES).freeze();
            self.send(part, target).await?;
        }
        Ok(())
    }

    /// Begins the upload and notes it.
    async fn begin(&mut self, target: &FileTarget) -> Result<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let begun = self.multipart.0.create_multipart(&self.path).await;
        let id = begun.map_err(|e| target.object_error("write to", e))?;
        self.id = Some(id.clone());
        let note = Note { target: self.target.clone(), id: id.clone() };
        SideFile::UPLOAD.put(target, &self.note, &note).await?;
        Ok(id)
    }

    async fn send(&mut self, part: Bytes, target: &FileTarget) -> Result<()> {
        let id = self.begin(target).await?;
        while self.sent.len() >= PARTS_AT_ONCE {
            self.receive(target).await?;
        }
        let (multipart, path, number) = (Arc::clone(&self.multipart.0), self.path.clone(), self.next_part);
        self.next_part += 1;
        let sent = async move { multipart.put_part(&path, &id, number, PutPayload::from_bytes(part)).await };
        self.sent.push_back(Sent(tokio::spawn(sent)));
        Ok(())
    }

    /// Waits for the oldest part.
    async fn receive(&mut self, target: &FileTarget) -> Result<()> {
        let Some(sent) = self.sent.front_mut() else { return Ok(()) };
        let part = (&mut sent.0).await;
        self.sent.pop_front();
        let part = part.map_err(crate::listing::ended)?.map_err(|e| target.object_error("write to", e))?;
        self.parts.push(part.content_id);
        Ok(())
    }

    /// All bytes are in the store, or in what this returns. `inlined` counts the latter over files.
    pub(crate) async fn finish(&mut self, target: &FileTarget, inlined: &AtomicUsize) -> Result<Held> {
        let size = self.rest.len();
        if self.id.is_none() && size <= INLINE_BYTES_MAX {
            if inlined.fetch_add(size, Ordering::Relaxed) + size <= INLINED_BYTES_MAX {
                return Ok(Held::Inline(BASE64.encode(&self.rest)));
            }
            inlined.fetch_sub(size, Ordering::Relaxed);
        }
        if !self.rest.is_empty() || self.next_part == 0 {
            let last = std::mem::take(&mut self.rest).freeze();
            self.send(last, target).await?;
        }
        while !self.sent.is_empty() {
            self.receive(target).await?;
        }
        let id = self.begin(target).await?;
        Ok(Held::Upload { id, parts: std::mem::take(&mut self.parts) })
    }

    /// Nobody will ask for it. What stays is aborted by the next attempt.
    pub(crate) async fn discard(mut self, target: &FileTarget) {
        // A part that arrives after the abort would stay.
        for sent in &mut self.sent {
            (&mut sent.0).await.ok();
        }
        if let Some(id) = &self.id {
            target.abort_upload(&self.target, id, &self.note).await.ok();
        }
    }
}

impl FileTarget {
    /// Gives an upload up; one that is not there any more is given up already.
    pub(crate) async fn abort_upload(&self, place: &str, id: &str, note: &str) -> Result<()> {
        self.abort(place, id).await?;
        self.remove(note).await
    }

    async fn abort(&self, place: &str, id: &str) -> Result<()> {
        let Some(multipart) = &self.location.multipart else { return Ok(()) };
        match multipart.0.abort_multipart(&self.object(place)?, &id.to_string()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.object_error("abort an upload to", e)),
        }
    }

    /// Gives up the upload that a note is about.
    pub(crate) async fn abort_noted(&self, note: &str) -> Result<()> {
        let Some(Note { target, id }) = SideFile::UPLOAD.get(self, note).await? else { return Ok(()) };
        self.abort_upload(&target, &id, note).await
    }

    /// The same, of an upload whose parts may still arrive: the note stays, so that the next attempt aborts it again.
    pub(crate) async fn abort_cut_short(&self, note: &str) -> Result<()> {
        let Some(Note { target, id }) = SideFile::UPLOAD.get(self, note).await? else { return Ok(()) };
        self.abort(&target, &id).await
    }
}
