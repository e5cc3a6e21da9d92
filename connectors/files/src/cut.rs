//! Where a text file may be cut, so that several readers can share it.
//!
//! A border must be the beginning of a record. Where a record never contains a line break, any byte behind one will do,
//! and only the bytes around the wanted place are looked at.
//!
//! Where line breaks may stand inside quotes a border has to be proven. Counting quotes is no proof: in `5" disk,"a\nb"`
//! the first quote is text, and from there on the parity is wrong, so that a cut would fall into the quoted field. So the
//! file is followed from a proven border on: up to the first quote every line break ends a record, whatever the dialect.
//! Behind a quote the scan goes on only where the format tells its delimiter and everything is as RFC 4180 wants it (a
//! quote opens at the beginning of a field and closes at its end), because there all dialects agree. At the first byte
//! that is not regular the scan gives up, and the rest of the file stays in one piece: slower, never wrong.
//!
//! The scan runs at the speed of `memchr`, in front of the readers and only as far as they have asked for pieces. It
//! reads local files only: an object would have to be fetched twice, which costs more than one reader more gains.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use flott_core::{Error, Result};
use memchr::memchr;

/// Bytes read at a time: so few that they stay in the second cache of a core.
const BLOCK_BYTES: usize = 128 << 10;
/// The longest record that a border is looked for behind.
pub(crate) const PROBE_BYTES_MAX: u64 = 16 << 20;

/// How to look for a border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoting {
    pub(crate) quote: u8,
    /// Where it is known, and the format has no rule (escapes, comments, trimming) that changes what quotes mean.
    pub(crate) delimiter: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    /// Behind a quote inside quotes: it closes them, or another follows.
    Closing,
}

/// What a block gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A record begins at this index of the block, which may be its length.
    Border(usize),
    /// Nothing yet.
    More,
    /// Nothing that follows can be proven.
    Irregular,
}

/// Follows quotes from a border on, block by block.
#[derive(Debug)]
pub(crate) struct QuoteScan {
    quoting: Quoting,
    state: State,
    last: u8,
}

impl QuoteScan {
    pub(crate) fn new(quoting: Quoting) -> QuoteScan {
        QuoteScan { quoting, state: State::Outside, last: b'\n' }
    }

    /// Goes through a block up to the first border behind index `from` or later.
    pub(crate) fn scan(&mut self, block: &[u8], from: usize) -> Scanned {
        let Quoting { quote, delimiter } = self.quoting;
        let mut at = 0;
        while at < block.len() {
            match self.state {
                State::Outside => {
                    let end = memchr(quote, &block[at..]).map_or(block.len(), |i| at + i);
                    let start = at.max(from);
                    if start < end
                        && let Some(i) = memchr(b'\n', &block[start..end])
                    {
                        return Scanned::Border(start + i + 1);
                    }
                    if end < block.len() {
                        let before = if end > 0 { block[end - 1] } else { self.last };
                        if delimiter.is_none() || !(before == b'\n' || Some(before) == delimiter) {
                            return Scanned::Irregular;
                        }
                        self.state = State::Inside;
                    }
                    at = end + 1;
                }
                State::Inside => match memchr(quote, &block[at..]) {
                    Some(i) => {
                        self.state = State::Closing;
                        at += i + 1;
                    }
                    None => at = block.len(),
                },
                State::Closing => {
                    let byte = block[at];
                    if byte == quote {
                        self.state = State::Inside;
                        at += 1;
                    } else if Some(byte) == delimiter || matches!(byte, b'\n' | b'\r') {
                        self.state = State::Outside;
                    } else {
                        return Scanned::Irregular;
                    }
                }
            }
        }
        if let Some(byte) = block.last() {
            self.last = *byte;
        }
        Scanned::More
    }
}

/// The first border at or behind `target` in a local file, where `from` is one; `None` where there is none that can be
/// proven. Blocks.
pub(crate) fn local_border(
    path: &str,
    from: u64,
    target: u64,
    size: u64,
    quoting: Option<Quoting>,
) -> Result<Option<u64>> {
    let fail = |e: std::io::Error| Error::from(e).with("file", path);
    // Without quotes it is enough to look at the byte in front of the target and what follows.
    let begin = if quoting.is_some() { from } else { from.max(target.saturating_sub(1)) };
    let mut scan = quoting.map(QuoteScan::new);
    let mut file = File::open(path).map_err(fail)?;
    file.seek(SeekFrom::Start(begin)).map_err(fail)?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut at = begin;
    // Without an end a file of one record would be read once for each piece that it might have.
    let end = size.min(target.saturating_add(PROBE_BYTES_MAX));
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let block = match file.read(&mut buffer[..wanted]) {
            // Shorter than it was: whoever reads it will say so.
            Ok(0) => return Ok(None),
            Ok(read) => &buffer[..read],
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(fail(e)),
        };
        let skip = usize::try_from(target.saturating_sub(1).saturating_sub(at)).unwrap_or(usize::MAX);
        match scan_block(&mut scan, block, skip) {
            Scanned::Border(i) => return Ok(Some(at + i as u64).filter(|b| *b < size)),
            Scanned::More => at += block.len() as u64,
            Scanned::Irregular => return Ok(None),
        }
    }
    Ok(None)
}

/// One step of [`local_border`]; `skip` is the index of the first line break that would do.
pub(crate) fn scan_block(scan: &mut Option<QuoteScan>, block: &[u8], skip: usize) -> Scanned {
    match scan {
        Some(scan) => scan.scan(block, skip),
        None => match block.get(skip..).and_then(|rest| memchr(b'\n', rest)) {
            Some(i) => Scanned::Border(skip + i + 1),
            None => Scanned::More,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// All borders, looked for block by block of `size` bytes.
    fn borders(text: &[u8], size: usize, delimiter: Option<u8>) -> (Vec<usize>, bool) {
        let mut found = vec![];
        let mut from = 0;
        loop {
            let mut scan = Some(QuoteScan::new(Quoting { quote: b'"', delimiter }));
            let mut at = from;
            let border = loop {
                if at >= text.len() {
                    return (found, true);
                }
                let block = &text[at..(at + size).min(text.len())];
                match scan_block(&mut scan, block, from.saturating_sub(at)) {
                    Scanned::Border(i) => break at + i,
                    Scanned::More => at += block.len(),
                    Scanned::Irregular => return (found, false),
                }
            };
            found.push(border);
            from = border;
        }
    }

    #[test]
    fn quotes_hide_line_breaks_and_irregular_ones_end_the_proof() {
        for size in 1..20 {
            let all = |text: &str| borders(text.as_bytes(), size, Some(b','));
            assert_eq!(all("a,b\nc\n"), (vec![4, 6], true));
            assert_eq!(all("a,\"x\ny\",b\nc"), (vec![10], true));
            assert_eq!(all("\"x\"\"\n\"\"y\"\n\"\"\nz\n"), (vec![10, 13, 15], true));
            assert_eq!(all("\"a\"\r\n\"b\"\r\n"), (vec![5, 10], true));
            // The quote of 5" is text: parity would put the border into the field behind it.
            assert_eq!(all("1\n5\" disk,\"a\nb\"\n"), (vec![2], false));
            assert_eq!(all("\"a\"b,c\nd\n"), (vec![], false));
            assert_eq!(all("a, \"x\ny\"\n"), (vec![], false));
            assert_eq!(all("\"open\nx\n"), (vec![], true));
            // A lone carriage return is no place where a quote opens for sure.
            assert_eq!(all("a\r\"x\ny\"\n"), (vec![], false));
            // Without the delimiter the proof ends at the first quote.
            assert_eq!(borders(b"a\nb\n\"c\"\n", size, None), (vec![2, 4], false));
        }
    }

    #[test]
    fn a_border_is_looked_for_within_bounds() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        let (target, size) = (3 << 20, 64 << 20);
        let rfc = Quoting { quote: b'"', delimiter: Some(b',') };
        for (line_break, found) in [(target + PROBE_BYTES_MAX - 1, true), (target + PROBE_BYTES_MAX, false)] {
            let mut file = File::create(&path).expect("made");
            file.set_len(size).expect("sized");
            file.seek(SeekFrom::Start(line_break)).expect("there");
            file.write_all(b"\n").expect("written");
            for quoting in [None, Some(rfc)] {
                let border = local_border(path.to_str().expect("UTF-8"), 0, target, size, quoting).expect("read");
                assert_eq!(border, found.then_some(line_break + 1), "{quoting:?}");
            }
        }
    }
}
