//! Frames of the control socket, for a fuzz target.

use flott_core::Result;

use super::protocol::{REPLY_BYTES_MAX, REQUEST_BYTES_MAX, Reply, Request, read as read_frame, write};

/// A frame that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Nothing came.
    None,
    /// Text of what was asked or answered, and the frame that would say the same.
    Said(String, Vec<u8>),
}

/// Reads what a connection brings, as a request or as a reply.
pub async fn read(mut stream: &[u8], is_request: bool) -> Result<Frame> {
    let mut again = vec![];
    let text = if is_request {
        let Some(request) = read_frame::<Request>(&mut stream, REQUEST_BYTES_MAX).await? else {
            return Ok(Frame::None);
        };
        write(&mut again, &request, REQUEST_BYTES_MAX).await?;
        format!("{request:?}")
    } else {
        let Some(reply) = read_frame::<Reply>(&mut stream, REPLY_BYTES_MAX).await? else { return Ok(Frame::None) };
        write(&mut again, &reply, REPLY_BYTES_MAX).await?;
        let text = format!("{reply:?}");
        drop(reply.into_result());
        text
    };
    Ok(Frame::Said(text, again))
}
