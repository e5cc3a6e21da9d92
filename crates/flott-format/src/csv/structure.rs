//! Where records and fields begin and end.
//!
//! Two ways to the same answer. [`Index`] looks at 64 bytes at once; it knows plain records with the right number of
//! fields and quotes only around whole fields, and says so when it sees anything else. [`scan_record`] goes byte by byte
//! and knows everything: escapes, comments, quotes in odd places, lone carriage returns, too few and too many fields.

use super::options::CsvOptions;
use super::simd::{BLOCK_BYTES, BlockMasks, block_masks, prefix_xor};

/// Bytes that are indexed in one go: the index of more than that would leave the first cache.
const CHUNK_BYTES: usize = 64 * BLOCK_BYTES;

/// Ends of fields in a window of regular records.
#[derive(Debug, Default)]
pub(super) struct Index {
    ends: Vec<u32>,
    masks: Vec<BlockMasks>,
}

impl Index {
    /// Indexes records of `columns` fields from `from` on, at most about `max_rows`. `None` where something is not
    /// regular; else the number of whole records.
    pub(super) fn build(
        &mut self,
        window: &[u8],
        from: usize,
        columns: usize,
        max_rows: usize,
        at_end: bool,
        delimiter: u8,
        quote: Option<u8>,
    ) -> Option<usize> {
        let needles = [delimiter, b'\n', b'\r', quote.unwrap_or(delimiter)];
        let mut at = from;
        let mut count = 0;
        let mut lines = 0;
        let mut inside = 0u64;
        // Bits that the block before hands over: a quote may open here; a quote has just closed; a carriage return.
        let (mut may_open, mut closed, mut returned) = (1u64, 0u64, 0u64);
        let mut odd = 0u64;
        while at < window.len() && lines < max_rows {
            let chunk = &window[at..window.len().min(at + CHUNK_BYTES)];
            self.masks.clear();
            block_masks(chunk, needles, &mut self.masks);
            let rest = chunk.as_chunks::<BLOCK_BYTES>().1;
            let mut valid_last = u64::MAX;
            if !rest.is_empty() {
                let mut block = [0; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                block_masks(&block, needles, &mut self.masks);
                valid_last = (1 << rest.len()) - 1;
            }
            let needed = count + self.masks.len() * BLOCK_BYTES + 8;
            if self.ends.len() < needed {
                self.ends.resize(needed, 0);
            }
            let last = self.masks.len() - 1;
            for (b, masks) in self.masks.iter().enumerate() {
                let valid = if b == last { valid_last } else { u64::MAX };
                let [s, n, c, q] = masks.map(|m| m & valid);
                let (mut separators, mut breaks, mut returns) = (s, n, c);
                if quote.is_some() && (q | inside | closed) != 0 {
                    let quoted = prefix_xor(q) ^ inside;
                    inside = (quoted.cast_signed() >> 63).cast_unsigned();
                    separators &= !quoted;
                    breaks &= !quoted;
                    returns &= !quoted;
                    let (opening, closing) = (q & quoted, q & !quoted);
                    let before = separators | breaks | closing;
                    odd |= opening & !(before << 1 | may_open);
                    odd |= (closing << 1 | closed) & !(s | n | c | q) & valid;
                    may_open = before >> 63;
                    closed = closing >> 63;
                } else {
                    may_open = (separators | breaks) >> 63;
                }
                if (returns | returned) != 0 {
                    odd |= (returns << 1 | returned) & !n & valid;
                    returned = returns >> 63;
                }
                lines += breaks.count_ones() as usize;
                let mut bits = separators | breaks;
                let found = bits.count_ones() as usize;
                let base = (at + b * BLOCK_BYTES) as u32;
                let slots = &mut self.ends[count..count + BLOCK_BYTES + 8];
                let mut k = 0;
                while k < found {
                    for slot in &mut slots[k..k + 8] {
                        *slot = base + bits.trailing_zeros();
                        bits &= bits.wrapping_sub(1);
                    }
                    k += 8;
                }
                count += found;
            }
            if odd != 0 {
                return None;
            }
            at += chunk.len();
        }
        let mut rows = lines;
        if at_end && at >= window.len() && window.last() != Some(&b'\n') && window.len() > from {
            // The last record ends with the file.
            if inside != 0 {
                return None;
            }
            if self.ends.len() <= count {
                self.ends.push(0);
            }
            self.ends[count] = window.len() as u32;
            count += 1;
            rows += 1;
        } else if inside != 0 && at_end && at >= window.len() {
            return None;
        }
        if count < rows * columns {
            return None;
        }
        // As many line breaks as records, and one at the end of each: then none is anywhere else.
        for record in self.ends[..lines * columns].chunks_exact(columns) {
            if window[record[columns - 1] as usize] != b'\n' {
                return None;
            }
        }
        if rows > lines && (count != rows * columns || self.ends[count - 1] as usize != window.len()) {
            return None;
        }
        Some(rows)
    }

    /// The ends of the fields of the first `rows` records.
    pub(super) fn ends(&self, rows: usize, columns: usize) -> &[u32] {
        &self.ends[..rows * columns]
    }
}

/// Gives the raw text of a field, with its quotes.
pub(super) trait Cells {
    /// Number of records.
    fn rows(&self) -> usize;
    /// A field; `None` where the record is too short.
    fn cell(&self, row: usize, column: usize) -> Option<&[u8]>;
    /// A field with the eight bytes that end with its last one, the last one in the highest byte. Those before the field
    /// may be anything.
    #[inline(always)]
    fn cell_with_tail(&self, row: usize, column: usize) -> Option<(&[u8], u64)> {
        let cell = self.cell(row, column)?;
        Some((cell, tail_of(cell)))
    }
}

fn tail_of(cell: &[u8]) -> u64 {
    cell.iter()
        .rev()
        .take(8)
        .zip([56, 48, 40, 32, 24, 16, 8, 0])
        .fold(0, |word, (byte, at)| word | u64::from(*byte) << at)
}

/// Regular records.
pub(super) struct RegularCells<'a> {
    pub(super) window: &'a [u8],
    /// Where the first record begins.
    pub(super) first: usize,
    pub(super) ends: &'a [u32],
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl RegularCells<'_> {
    /// Where a field begins and ends, without the carriage return of its line.
    #[inline(always)]
    fn span(&self, row: usize, column: usize) -> (usize, usize) {
        let at = row * self.columns + column;
        let start = if at == 0 { self.first } else { self.ends[at - 1] as usize + 1 };
        let end = self.ends[at] as usize;
        let returns = column + 1 == self.columns && end > start && self.window[end - 1] == b'\r';
        (start, end - usize::from(returns))
    }
}

impl Cells for RegularCells<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        let (start, end) = self.span(row, column);
        Some(&self.window[start..end])
    }

    #[inline(always)]
    fn cell_with_tail(&self, row: usize, column: usize) -> Option<(&[u8], u64)> {
        let (start, end) = self.span(row, column);
        let cell = &self.window[start..end];
        let tail = match self.window[..end].last_chunk::<8>() {
            Some(tail) => u64::from_le_bytes(*tail),
            None => tail_of(cell),
        };
        Some((cell, tail))
    }
}

/// Start and end of a field; [`MISSING`] where the record is too short.
pub(super) type Span = (u32, u32);

/// A field that is not there.
pub(super) const MISSING: Span = (u32::MAX, u32::MAX);

/// Records of any kind, cut or filled up to the number of columns.
pub(super) struct ScannedCells<'a> {
    pub(super) window: &'a [u8],
    pub(super) spans: &'a [Span],
    pub(super) columns: usize,
}

impl Cells for ScannedCells<'_> {
    fn rows(&self) -> usize {
        self.spans.len() / self.columns
    }

    #[inline]
    fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        let span = self.spans[row * self.columns + column];
        (span != MISSING).then(|| &self.window[span.0 as usize..span.1 as usize])
    }
}

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A record; the next one begins at `next`.
    Record { next: usize },
    /// A comment or empty line that the options allow.
    Skip { next: usize },
    /// A record that breaks the rules, with the reason. It ends with its line.
    Malformed { next: usize, reason: &'static str },
    /// More bytes are needed.
    Incomplete,
}

/// Scans one record from `start`; its fields are appended to `spans`.
pub(super) fn scan_record(
    window: &[u8],
    start: usize,
    at_end: bool,
    options: &CsvOptions,
    spans: &mut Vec<Span>,
) -> Scanned {
    if options.allow_comments {
        let content = start + window[start..].iter().take_while(|b| **b == b' ').count();
        match window.get(content) {
            Some(b'#') => {
                let line = window[content..].iter().position(|b| matches!(b, b'\n' | b'\r'));
                return match line.and_then(|l| after_break(window, content + l, at_end)) {
                    Some(next) => Scanned::Skip { next },
                    None if at_end => Scanned::Skip { next: window.len() },
                    None => Scanned::Incomplete,
                };
            }
            Some(b'\n' | b'\r') => {
                return match after_break(window, content, at_end) {
                    Some(next) => Scanned::Skip { next },
                    None => Scanned::Incomplete,
                };
            }
            None if at_end => return Scanned::Skip { next: window.len() },
            None => return Scanned::Incomplete,
            Some(_) => {}
        }
    }
    let first_span = spans.len();
    let mut at = start;
    loop {
        let field = at;
        let open = if options.trim_spaces { at + leading_spaces(&window[at..], options) } else { at };
        if options.quote.is_some() && window.get(open).copied() == options.quote {
            match quoted_end(window, open + 1, options) {
                None if at_end => {
                    spans.truncate(first_span);
                    return Scanned::Malformed { next: window.len(), reason: "the closing quote is missing" };
                }
                None => {
                    spans.truncate(first_span);
                    return Scanned::Incomplete;
                }
                Some(end) => at = end,
            }
            // Behind the quote only blanks may stand.
            loop {
                let rest = &window[at..];
                if rest.is_empty() || rest.starts_with(&options.delimiter) || matches!(rest[0], b'\n' | b'\r') {
                    break;
                }
                if rest[0] > b' ' {
                    spans.truncate(first_span);
                    let line = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
                    let reason = "text stands behind a closing quote";
                    return match line.and_then(|l| after_break(window, at + l, at_end)) {
                        Some(next) => Scanned::Malformed { next, reason },
                        None if at_end => Scanned::Malformed { next: window.len(), reason },
                        None => Scanned::Incomplete,
                    };
                }
                at += 1;
            }
        } else {
            while let Some(byte) = window.get(at) {
                if Some(*byte) == options.escape {
                    if at + 1 >= window.len() {
                        spans.truncate(first_span);
                        return if at_end {
                            Scanned::Malformed { next: window.len(), reason: "nothing follows the escape character" }
                        } else {
                            Scanned::Incomplete
                        };
                    }
                    at += 2;
                } else if matches!(byte, b'\n' | b'\r') || window[at..].starts_with(&options.delimiter) {
                    break;
                } else {
                    at += 1;
                }
            }
        }
        let end = at.min(window.len());
        spans.push((field as u32, end as u32));
        if end == window.len() {
            if at_end {
                return Scanned::Record { next: end };
            }
            spans.truncate(first_span);
            return Scanned::Incomplete;
        }
        if matches!(window[end], b'\n' | b'\r') {
            return match after_break(window, end, at_end) {
                Some(next) => Scanned::Record { next },
                None => {
                    spans.truncate(first_span);
                    Scanned::Incomplete
                }
            };
        }
        at = end + options.delimiter.len();
    }
}

fn leading_spaces(text: &[u8], options: &CsvOptions) -> usize {
    text.iter()
        .enumerate()
        .take_while(|(i, b)| **b <= b' ' && !matches!(b, b'\n' | b'\r') && !text[*i..].starts_with(&options.delimiter))
        .count()
}

/// Behind the quote that closes.
fn quoted_end(window: &[u8], mut at: usize, options: &CsvOptions) -> Option<usize> {
    loop {
        let byte = window.get(at)?;
        if Some(*byte) == options.quote {
            if window.get(at + 1).copied() != options.quote {
                return Some(at + 1);
            }
            at += 2;
        } else if Some(*byte) == options.escape {
            at += 2;
        } else {
            at += 1;
        }
    }
}

/// Behind the line break at `at`. `None` where a carriage return is the last byte and a line feed may follow.
fn after_break(window: &[u8], at: usize, at_end: bool) -> Option<usize> {
    if window[at] == b'\n' {
        return Some(at + 1);
    }
    match window.get(at + 1) {
        Some(b'\n') => Some(at + 2),
        Some(_) => Some(at + 1),
        None => at_end.then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flott_core::options::Options;
    use proptest::prelude::*;

    fn options(pairs: &[(&str, &str)]) -> CsvOptions {
        CsvOptions::parse(&pairs.iter().copied().collect::<Options>()).expect("valid options")
    }

    fn scan(text: &[u8], options: &CsvOptions) -> Vec<Vec<String>> {
        let mut at = 0;
        let mut out = vec![];
        while at < text.len() {
            let mut spans = vec![];
            let next = match scan_record(text, at, true, options, &mut spans) {
                Scanned::Record { next } => {
                    let cell = |s: &Span| String::from_utf8_lossy(&text[s.0 as usize..s.1 as usize]).into_owned();
                    out.push(spans.iter().map(cell).collect());
                    next
                }
                Scanned::Malformed { next, reason } => {
                    out.push(vec![format!("! {reason}")]);
                    next
                }
                Scanned::Skip { next } => next,
                Scanned::Incomplete => panic!("incomplete at the end"),
            };
            assert!(next > at);
            at = next;
        }
        out
    }

    #[test]
    fn records_of_every_kind() {
        let plain = options(&[]);
        let cases: &[(&CsvOptions, &str, &[&[&str]])] = &[
            (&plain, "a,b\nc,d", &[&["a", "b"], &["c", "d"]]),
            (&plain, "a,b\r\nc,d\r\n", &[&["a", "b"], &["c", "d"]]),
            (&plain, "a,b\rc,d\r", &[&["a", "b"], &["c", "d"]]),
            (&plain, "\"a\nb\",\"c,\"\"d\"\n", &[&["\"a\nb\"", "\"c,\"\"d\""]]),
            (&plain, "a\"b,c\"d\n", &[&["a\"b", "c\"d"]]),
            (&plain, "\"a\" ,b\n", &[&["\"a\" ", "b"]]),
            (&plain, "\"a\"x,b\nc,d", &[&["! text stands behind a closing quote"], &["c", "d"]]),
            (&plain, "a,\"b\nc", &[&["! the closing quote is missing"]]),
            (&plain, "\n,\n", &[&[""], &["", ""]]),
            (&plain, "#a\n", &[&["#a"]]),
        ];
        for (options, text, records) in cases {
            assert_eq!(scan(text.as_bytes(), options), *records, "{text:?}");
        }
        let escaped = options(&[("escape-character", "\\")]);
        assert_eq!(scan(b"a\\,b,\"c\\\"d\"\nx\\", &escaped)[0], ["a\\,b", "\"c\\\"d\""]);
        let comments = options(&[("allow-comments", "true")]);
        assert_eq!(scan(b"#x\n\n  \na,b\n #y", &comments), [["a", "b"]]);
        let trimmed = options(&[("trim-spaces", "true")]);
        assert_eq!(scan(b"a, \"b,c\"\n", &trimmed), [["a", " \"b,c\""]]);
        let wide = options(&[("field-delimiter", "¦")]);
        assert_eq!(scan("a¦b\n".as_bytes(), &wide), [["a", "b"]]);
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_the_scanner(
            text in prop::collection::vec(
                prop_oneof![4 => Just(b'a'), 3 => Just(b','), 2 => Just(b'\n'), 1 => Just(b'"'), 1 => Just(b'\r'), 1 => Just(b' ')],
                1..300,
            ),
            columns in 1usize..4,
            at_end in any::<bool>(),
            quoted in any::<bool>(),
        ) {
            let options = options(if quoted { &[] } else { &[("disable-quote-character", "true")] });
            let mut index = Index::default();
            if let Some(rows) = index.build(&text, 0, columns, usize::MAX, at_end, b',', options.quote) {
                let ends = index.ends(rows, columns);
                let regular = RegularCells { window: &text, first: 0, ends, columns, rows };
                let mut at = 0;
                for row in 0..rows {
                    let mut spans = vec![];
                    match scan_record(&text, at, at_end, &options, &mut spans) {
                        Scanned::Record { next } => at = next,
                        other => prop_assert!(false, "row {} is {:?}", row, other),
                    }
                    prop_assert_eq!(spans.len(), columns);
                    let scanned = ScannedCells { window: &text, spans: &spans, columns };
                    for column in 0..columns {
                        prop_assert_eq!(regular.cell(row, column), scanned.cell(0, column));
                        for found in [regular.cell_with_tail(row, column), scanned.cell_with_tail(0, column)] {
                            let (cell, tail) = found.expect("a cell");
                            prop_assert_eq!(Some(cell), regular.cell(row, column));
                            let tail = tail.to_le_bytes();
                            let n = cell.len().min(8);
                            prop_assert_eq!(&tail[8 - n..], &cell[cell.len() - n..]);
                        }
                    }
                }
                let mut spans = vec![];
                if at < text.len() {
                    prop_assert_eq!(scan_record(&text, at, at_end, &options, &mut spans), Scanned::Incomplete);
                }
            }
        }
    }
}
