//! How the blocks of a file are compressed.

use std::io::{Read, Write};

use flott_core::{Error, Result};

/// Bytes of a block, compressed or not: a block is held in memory.
pub const BLOCK_BYTES_MAX: usize = 128 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Bzip2,
    Xz,
    Zstandard,
}

/// The names of all, as files have them.
pub(super) const NAMES: &[&str] = &["snappy", "null", "deflate", "bzip2", "xz", "zstandard"];

impl Codec {
    pub(super) fn of(name: &str) -> Option<Codec> {
        Some(match name {
            "null" => Codec::Null,
            "deflate" => Codec::Deflate,
            "snappy" => Codec::Snappy,
            "bzip2" => Codec::Bzip2,
            "xz" => Codec::Xz,
            "zstandard" => Codec::Zstandard,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Codec::Null => "null",
            Codec::Deflate => "deflate",
            Codec::Snappy => "snappy",
            Codec::Bzip2 => "bzip2",
            Codec::Xz => "xz",
            Codec::Zstandard => "zstandard",
        }
    }

    /// Unpacks a block.
    pub(super) fn unpack(self, block: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let fail = |e: std::io::Error| damaged().caused_by(e);
        match self {
            Codec::Null => out.extend_from_slice(block),
            Codec::Deflate => limited(flate2::read::DeflateDecoder::new(block), out)?,
            Codec::Bzip2 => limited(bzip2::read::BzDecoder::new(block), out)?,
            Codec::Xz => limited(xz2::read::XzDecoder::new(block), out)?,
            Codec::Zstandard => limited(zstd::stream::read::Decoder::new(block).map_err(fail)?, out)?,
            Codec::Snappy => {
                let Some(data) = block.len().checked_sub(4).map(|end| &block[..end]) else { return Err(damaged()) };
                let length = snap::raw::decompress_len(data).map_err(|e| damaged().caused_by(e))?;
                if length > BLOCK_BYTES_MAX {
                    return Err(too_large());
                }
                out.resize(length, 0);
                let length = snap::raw::Decoder::new().decompress(data, out).map_err(|e| damaged().caused_by(e))?;
                out.truncate(length);
                if crc32fast::hash(out).to_be_bytes() != block[data.len()..] {
                    return Err(Error::data("the checksum of a block is wrong"));
                }
            }
        }
        Ok(())
    }

    /// Packs a block.
    pub(super) fn pack(self, data: &[u8]) -> Result<Vec<u8>> {
        let fail = |e: std::io::Error| Error::internal("a block cannot be compressed").caused_by(e);
        let mut out = vec![];
        match self {
            Codec::Null => out.extend_from_slice(data),
            Codec::Deflate => {
                let mut encoder = flate2::write::DeflateEncoder::new(&mut out, flate2::Compression::default());
                encoder.write_all(data).and_then(|()| encoder.finish().map(drop)).map_err(fail)?;
            }
            Codec::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(&mut out, bzip2::Compression::best());
                encoder.write_all(data).and_then(|()| encoder.finish().map(drop)).map_err(fail)?;
            }
            Codec::Xz => {
                let mut encoder = xz2::write::XzEncoder::new(&mut out, 6);
                encoder.write_all(data).and_then(|()| encoder.finish().map(drop)).map_err(fail)?;
            }
            Codec::Zstandard => out = zstd::stream::encode_all(data, 3).map_err(fail)?,
            Codec::Snappy => {
                let packed = snap::raw::Encoder::new().compress_vec(data);
                out = packed.map_err(|e| Error::internal("a block cannot be compressed").caused_by(e))?;
                out.extend_from_slice(&crc32fast::hash(data).to_be_bytes());
            }
        }
        Ok(out)
    }
}

fn damaged() -> Error {
    Error::data("a block cannot be decompressed")
}

fn too_large() -> Error {
    Error::data(format!("a block is larger than {BLOCK_BYTES_MAX} bytes (BLOCK_BYTES_MAX)"))
}

fn limited(from: impl Read, out: &mut Vec<u8>) -> Result<()> {
    from.take(BLOCK_BYTES_MAX as u64 + 1).read_to_end(out).map_err(|e| damaged().caused_by(e))?;
    if out.len() > BLOCK_BYTES_MAX { Err(too_large()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_and_damaged_ones_do_not() {
        let data: Vec<u8> = (0..10_000u32).flat_map(|i| (i % 97).to_le_bytes()).collect();
        for name in NAMES {
            let codec = Codec::of(name).expect("a codec");
            assert_eq!(codec.name(), *name);
            let packed = codec.pack(&data).expect("packed");
            let mut out = vec![];
            codec.unpack(&packed, &mut out).expect("unpacked");
            assert_eq!(out, data, "{name}");
            if codec != Codec::Null {
                assert!(packed.len() < data.len(), "{name}");
                // A cut block gives less, or an error, and never panics.
                assert!(codec.unpack(&packed[..packed.len() / 2], &mut out).is_err() || out != data, "{name}");
            }
        }
    }

    #[test]
    fn a_block_that_grows_without_end_is_refused() {
        let zeros = vec![0u8; BLOCK_BYTES_MAX + 1];
        for codec in [Codec::Deflate, Codec::Zstandard, Codec::Snappy] {
            let packed = codec.pack(&zeros).expect("packed");
            let e = codec.unpack(&packed, &mut vec![]).expect_err("too large");
            assert!(e.to_string().contains("BLOCK_BYTES_MAX"), "{e}");
        }
    }
}
