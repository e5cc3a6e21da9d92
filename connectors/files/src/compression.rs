//! Compressed files, known by their ending as in Flink (`StandardDeCompressors`), and zstd's.

use std::io::{BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 128 << 10;

/// A compression, by a file's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Deflate,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    pub(crate) fn of(path: &str) -> Option<Compression> {
        let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
        Some(match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Compression::Gzip,
            "deflate" => Compression::Deflate,
            "zst" | "zstd" => Compression::Zstd,
            "bz2" => Compression::Bzip2,
            "xz" => Compression::Xz,
            _ => return None,
        })
    }

    /// The decompressed content. All read several members in a row, and fail where the last one is cut off.
    pub(crate) fn decoder(self, input: impl Read + Send + 'static) -> std::io::Result<Box<dyn Read + Send>> {
        let input = BufReader::with_capacity(INPUT_BYTES, input);
        Ok(match self {
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Deflate => Box::new(Inflate::new(input)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Compression::Xz => Box::new(xz2::bufread::XzDecoder::new_multi_decoder(input)),
        })
    }
}

/// A zlib stream. Flate2's own reader takes a stream that is cut off for one that has ended; here the end must be seen.
struct Inflate<R> {
    input: R,
    state: Decompress,
    ended: bool,
}

impl<R: std::io::BufRead> Inflate<R> {
    fn new(input: R) -> Inflate<R> {
        Inflate { input, state: Decompress::new(true), ended: false }
    }
}

impl<R: std::io::BufRead> Read for Inflate<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while !self.ended && !out.is_empty() {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (consumed, produced) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, out, FlushDecompress::None).map_err(std::io::Error::other)?;
            let consumed = (self.state.total_in() - consumed) as usize;
            let produced = (self.state.total_out() - produced) as usize;
            self.input.consume(consumed);
            self.ended = status == Status::StreamEnd;
            if produced > 0 {
                return Ok(produced);
            }
            if at_end && !self.ended {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the stream is cut off"));
            }
            if consumed == 0 && !self.ended {
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the stream makes no progress"));
            }
        }
        Ok(0)
    }
}
