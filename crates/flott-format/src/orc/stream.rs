//! Streams of bytes, compressed in chunks.
//!
//! Source: "Compression" in the ORC specification, version 1: each chunk has a head of three bytes with its length and
//! whether it is compressed at all.

use std::io::{Read as _, Write as _};

use bytes::Bytes;

use crate::wrong::{Read, wrong};

/// Bytes of a chunk, unpacked: the head of one has room for no more.
pub(super) const CHUNK_BYTES_MAX: usize = (1 << 23) - 1;

/// How chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None = 0,
    Zlib = 1,
    Snappy = 2,
    Lz4 = 4,
    Zstd = 5,
}

/// A codec with the size of the chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compression {
    pub(super) codec: Codec,
    pub(super) chunk_bytes: usize,
}

/// What is left of a stream.
#[derive(Debug)]
pub(super) struct Stream {
    compression: Compression,
    rest: Bytes,
    chunk: Bytes,
}

impl Stream {
    pub(super) fn new(bytes: Bytes, compression: Compression) -> Stream {
        if compression.codec == Codec::None {
            return Stream { compression, rest: Bytes::new(), chunk: bytes };
        }
        Stream { compression, rest: bytes, chunk: Bytes::new() }
    }

    #[cfg(test)]
    pub(super) fn plain(bytes: Bytes) -> Stream {
        Stream::new(bytes, Compression { codec: Codec::None, chunk_bytes: 0 })
    }

    /// Goes on to the next chunk; false at the end.
    fn advance(&mut self) -> Read<bool> {
        while self.chunk.is_empty() {
            if self.rest.is_empty() {
                return Ok(false);
            }
            if self.rest.len() < 3 {
                return wrong("a compressed stream ends inside the head of a chunk");
            }
            let head = self.rest.split_to(3);
            let head = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
            let length = head >> 1;
            if length > self.rest.len() {
                return wrong("a compressed stream ends inside a chunk");
            }
            let packed = self.rest.split_to(length);
            self.chunk = if head & 1 == 1 { packed } else { unpack(&packed, self.compression)?.into() };
        }
        Ok(true)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Read<u8> {
        if self.chunk.is_empty() && !self.advance()? {
            return wrong("a stream ends early");
        }
        let byte = self.chunk[0];
        bytes::Buf::advance(&mut self.chunk, 1);
        Ok(byte)
    }

    /// Appends the next bytes.
    pub(super) fn take(&mut self, length: usize, out: &mut Vec<u8>) -> Read<()> {
        let mut left = length;
        while left > 0 {
            if !self.advance()? {
                return wrong("a stream ends early");
            }
            let part = self.chunk.split_to(left.min(self.chunk.len()));
            out.extend_from_slice(&part);
            left -= part.len();
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut bytes = [0; N];
        if self.chunk.len() >= N {
            bytes.copy_from_slice(&self.chunk.split_to(N));
        } else {
            for byte in &mut bytes {
                *byte = self.byte()?;
            }
        }
        Ok(bytes)
    }

    pub(super) fn varint(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for i in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        wrong("a number has more than 10 bytes")
    }

    /// A number of up to 128 bits, of which the lowest is the sign.
    pub(super) fn wide_varint(&mut self) -> Read<i128> {
        let mut value = 0u128;
        for i in 0..19 {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i128 ^ -((value & 1) as i128));
            }
        }
        wrong("a decimal has more than 128 bits")
    }

    /// All that is left, which may not be more than this.
    pub(super) fn all(&mut self, bytes_max: usize) -> Read<Vec<u8>> {
        let mut out = vec![];
        while self.advance()? {
            if out.len() + self.chunk.len() > bytes_max {
                return wrong(format!("a part of the file has more than {bytes_max} bytes"));
            }
            out.extend_from_slice(&self.chunk);
            self.chunk.clear();
        }
        Ok(out)
    }
}

fn unpack(packed: &[u8], compression: Compression) -> Read<Vec<u8>> {
    let max = compression.chunk_bytes;
    let mut out = vec![];
    let limited = |reader: &mut dyn std::io::Read, out: &mut Vec<u8>| reader.take(max as u64 + 1).read_to_end(out);
    let unpacked = match compression.codec {
        Codec::Zlib => {
            limited(&mut flate2::read::DeflateDecoder::new(packed), &mut out).map(drop).map_err(|e| e.to_string())
        }
        Codec::Zstd => zstd::Decoder::new(packed)
            .and_then(|mut decoder| limited(&mut decoder, &mut out))
            .map(drop)
            .map_err(|e| e.to_string()),
        Codec::Snappy => match snap::raw::decompress_len(packed) {
            Ok(length) if length <= max => snap::raw::Decoder::new()
                .decompress_vec(packed)
                .map(|unpacked| out = unpacked)
                .map_err(|e| e.to_string()),
            Ok(length) => Err(format!("{length} bytes")),
            Err(e) => Err(e.to_string()),
        },
        Codec::Lz4 => {
            lz4_flex::block::decompress(packed, max).map(|unpacked| out = unpacked).map_err(|e| e.to_string())
        }
        Codec::None => Err("it cannot be compressed like this".to_string()),
    };
    match unpacked {
        Ok(()) if out.len() <= max => Ok(out),
        Ok(()) => wrong(format!("a chunk has more than {max} bytes")),
        Err(e) => wrong(format!("a chunk cannot be unpacked: {e}")),
    }
}

/// Appends bytes as a compressed stream.
pub(super) fn put(bytes: &[u8], compression: Compression, out: &mut Vec<u8>) -> std::io::Result<()> {
    if compression.codec == Codec::None {
        out.extend_from_slice(bytes);
        return Ok(());
    }
    for chunk in bytes.chunks(compression.chunk_bytes) {
        let packed = match compression.codec {
            Codec::Zlib => {
                let mut encoder = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::default());
                encoder.write_all(chunk)?;
                encoder.finish()?
            }
            Codec::Zstd => zstd::bulk::compress(chunk, 3)?,
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(chunk).map_err(std::io::Error::other)?,
            Codec::Lz4 => lz4_flex::block::compress(chunk),
            Codec::None => return Err(std::io::Error::other("no codec")),
        };
        let (body, original) = if packed.len() < chunk.len() { (&packed[..], 0) } else { (chunk, 1) };
        let head = body.len() << 1 | original;
        out.extend_from_slice(&[head as u8, (head >> 8) as u8, (head >> 16) as u8]);
        out.extend_from_slice(body);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_comes_back() {
        let bytes: Vec<u8> =
            (0..50_000u32).flat_map(|i| (i % 700).to_le_bytes()).chain((0..999).map(|i| (i * i) as u8)).collect();
        for codec in [Codec::None, Codec::Zlib, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let compression = Compression { codec, chunk_bytes: 4_096 };
            let mut out = vec![];
            put(&bytes, compression, &mut out).expect("written");
            assert_eq!(out.len() < bytes.len(), codec != Codec::None);
            let all = Stream::new(out.clone().into(), compression).all(bytes.len());
            assert_eq!(all.expect("read"), bytes);
            let mut stream = Stream::new(out.clone().into(), compression);
            let mut read = vec![];
            stream.take(4_095, &mut read).expect("read");
            read.extend(stream.array::<8>().expect("read"));
            assert_eq!(read, bytes[..4_103]);
            assert!(Stream::new(out.clone().into(), compression).all(bytes.len() - 1).is_err());
            if codec != Codec::None {
                // A chunk that holds more than it may.
                let small = Compression { codec, chunk_bytes: 4_000 };
                assert!(Stream::new(out.clone().into(), small).all(bytes.len()).is_err());
                let cut = out[..out.len() - 1].to_vec();
                assert!(Stream::new(cut.into(), compression).all(bytes.len()).is_err());
            }
        }
    }
}
