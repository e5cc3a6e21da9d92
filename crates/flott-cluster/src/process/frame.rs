//! Frames on a control connection: a length, then so many bytes of JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame of a peer that has proven itself.
pub(crate) const FRAME_BYTES_MAX: usize = 256 << 20;
/// The largest frame of one that has not.
pub(crate) const GREETING_BYTES_MAX: usize = 4 << 10;

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The next frame; an error where it would be larger than `most`, before any of it is read.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
    let length = from.read_u32_le().await? as usize;
    if length > most {
        return Err(invalid(format!("a frame of {length} bytes is larger than {most}")));
    }
    // Grows as bytes arrive: a length alone reserves nothing.
    let mut bytes = vec![];
    let read = from.take(length as u64).read_to_end(&mut bytes).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// What a frame says.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(invalid)
}

/// A message as a frame's content.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message).map_err(invalid)?;
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(invalid(format!("a message of {} bytes is larger than {FRAME_BYTES_MAX}", bytes.len())));
    }
    Ok(bytes)
}

/// Sends one frame.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(invalid)?;
    to.write_u32_le(length).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_whole_and_not_beyond_their_limit() {
        let mut bytes = vec![];
        write(&mut bytes, &encode(&"hello").expect("JSON")).await.expect("written");
        let frame = read(&mut bytes.as_slice(), 100).await.expect("a frame");
        assert_eq!(decode::<String>(&frame).expect("JSON"), "hello");
        assert!(decode::<u32>(&frame).is_err());

        let large = read(&mut bytes.as_slice(), 6).await.expect_err("too large").to_string();
        assert!(large.contains("7 bytes"), "{large}");
        let cut = read(&mut &bytes[..bytes.len() - 1], 100).await.expect_err("cut");
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }
}
