//! Where records and fields begin and end.
//!
//! Two ways to the same answer. [`Index`] looks at 64 bytes at once; it knows plain records with the right number of
//! fields and quotes only around whole fields, and says so when it sees anything else. [`scan_record`] goes byte by byte
//! and knows everything: escapes, comments, quotes in odd places, lone carriage returns, too few and too many fields.

use super::options::CsvOptions;
use super::simd::{self, BLOCK_BYTES, Loop, Vector, prefix_xor};

/// Bytes for which there is room at once.
const CHUNK_BYTES: usize = 64 * BLOCK_BYTES;

/// Ends of fields in a window of regular records.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// What ends before the first record, then the ends of fields.
    ends: Vec<u32>,
    /// There is a carriage return outside quotes.
    returns: bool,
}

/// Goes through the blocks of a window.
struct Blocks<'a> {
    ends: &'a mut Vec<u32>,
    window: &'a [u8],
    from: usize,
    max_rows: usize,
    delimiter: u8,
    quote: Option<u8>,
}

/// What is in them.
struct Seen {
    /// Ends, with the one before the first record.
    ends: usize,
    /// Line breaks.
    lines: usize,
    /// The first byte that was not looked at.
    next: usize,
    /// A quote is open there.
    is_open: bool,
    returns: bool,
}

impl Loop for Blocks<'_> {
    /// `None` where something is not regular.
    type Output = Option<Seen>;

    #[inline(always)]
    fn run<V: Vector>(self, vector: V) -> Option<Seen> {
        let Blocks { ends, window, from, max_rows, delimiter, quote } = self;
        let needles = [delimiter, b'\n', b'\r', quote.unwrap_or(delimiter)];
        let (mut at, mut count, mut lines) = (from, 1, 0);
        let mut inside = 0u64;
        // Bits that the block before hands over: a quote may open here; a quote has just closed; a carriage return.
        let (mut may_open, mut closed, mut returned) = (1u64, 0u64, 0u64);
        let (mut odd, mut all_returns) = (0u64, 0u64);
        while at < window.len() && lines < max_rows {
            let chunk = &window[at..window.len().min(at + CHUNK_BYTES)];
            let (whole, rest) = chunk.as_chunks::<BLOCK_BYTES>();
            let needed = count + chunk.len() + BLOCK_BYTES;
            if ends.len() < needed {
                ends.resize(needed, 0);
            }
            let mut last = [0; BLOCK_BYTES];
            last[..rest.len()].copy_from_slice(rest);
            let last = (!rest.is_empty()).then_some((&last, (1 << rest.len()) - 1));
            for (block, valid) in whole.iter().map(|block| (block, u64::MAX)).chain(last) {
                let [s, n, c, q] = vector.masks(block, needles).map(|m| m & valid);
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
                    all_returns |= returns;
                }
                let places = separators | breaks;
                vector.places(places, at as u32, ends.get_mut(count..)?.first_chunk_mut()?);
                count += places.count_ones() as usize;
                lines += breaks.count_ones() as usize;
                at += BLOCK_BYTES;
                if lines >= max_rows {
                    break;
                }
            }
            if odd != 0 {
                return None;
            }
        }
        let next = at.min(window.len());
        Some(Seen { ends: count, lines, next, is_open: inside != 0, returns: all_returns != 0 })
    }
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
        let ends = &mut self.ends;
        if ends.is_empty() {
            ends.push(0);
        }
        ends[0] = (from as u32).wrapping_sub(1);
        let Seen { ends: mut count, lines, next, is_open, returns } =
            simd::run(Blocks { ends, window, from, max_rows, delimiter, quote })?;
        self.returns = returns;
        let mut rows = lines;
        if at_end && next >= window.len() && window.last() != Some(&b'\n') && window.len() > from {
            // The last record ends with the file.
            if is_open {
                return None;
            }
            if self.ends.len() <= count {
                self.ends.push(0);
            }
            self.ends[count] = window.len() as u32;
            count += 1;
            rows += 1;
        } else if is_open && at_end && next >= window.len() {
            return None;
        }
        if count < rows * columns + 1 {
            return None;
        }
        // As many line breaks as records, and one at the end of each: then none is anywhere else.
        for record in self.ends[1..=lines * columns].chunks_exact(columns) {
            if window[record[columns - 1] as usize] != b'\n' {
                return None;
            }
        }
        if rows > lines && (count != rows * columns + 1 || self.ends[count - 1] as usize != window.len()) {
            return None;
        }
        Some(rows)
    }

    /// The first `rows` records.
    pub(super) fn cells<'a>(&'a self, window: &'a [u8], rows: usize, columns: usize) -> RegularCells<'a> {
        RegularCells { window, ends: &self.ends[..=rows * columns], columns, rows, returns: self.returns }
    }
}

/// Gives the raw text of a field, with its quotes.
pub(super) trait Cells {
    /// Number of records.
    fn rows(&self) -> usize;
    /// A field; `None` where the record is too short.
    fn cell(&self, row: usize, column: usize) -> Option<&[u8]>;
    /// Regular records have more to offer.
    fn regular(&self) -> Option<&RegularCells<'_>> {
        None
    }
}

/// Regular records.
pub(super) struct RegularCells<'a> {
    window: &'a [u8],
    /// What ends before the first record, then the ends of all fields.
    ends: &'a [u32],
    columns: usize,
    rows: usize,
    /// Some lines may end with a carriage return.
    returns: bool,
}

/// Starts and ends of the fields of a column.
#[derive(Debug, Clone)]
pub(super) struct ColumnSpans<'a> {
    ends: &'a [u32],
    /// The end before the next field.
    at: usize,
    columns: usize,
}

impl Iterator for ColumnSpans<'_> {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let [before, end] = *self.ends.get(self.at..)?.first_chunk()?;
        self.at += self.columns;
        Some((before.wrapping_add(1) as usize, end as usize))
    }
}

impl<'a> RegularCells<'a> {
    /// Where a record ends: at its line break, or with the window.
    pub(super) fn record_end(&self, row: usize) -> usize {
        self.ends[(row + 1) * self.columns] as usize
    }

    /// Where a record begins.
    pub(super) fn record_start(&self, row: usize) -> usize {
        self.ends[row * self.columns].wrapping_add(1) as usize
    }

    /// Where a field begins and ends, without the carriage return of its line.
    #[inline(always)]
    fn span(&self, row: usize, column: usize) -> (usize, usize) {
        let at = row * self.columns + column;
        let start = self.ends[at].wrapping_add(1) as usize;
        let end = self.ends[at + 1] as usize;
        let returns = self.returns && column + 1 == self.columns && end > start && self.window[end - 1] == b'\r';
        (start, end - usize::from(returns))
    }

    /// The bytes that the spans are about.
    pub(super) fn window(&self) -> &'a [u8] {
        self.window
    }

    /// The spans of a column in the first `rows` records, unless there are carriage returns to leave out.
    pub(super) fn spans(&self, column: usize, rows: usize) -> Option<ColumnSpans<'a>> {
        let is_clean = !self.returns || column + 1 < self.columns;
        // Behind the last of them comes nothing that could be the start of another.
        let behind = if rows == 0 { 0 } else { (rows - 1) * self.columns + column + 2 };
        let ends = self.ends.get(..behind)?;
        is_clean.then_some(ColumnSpans { ends, at: column, columns: self.columns })
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

    fn regular(&self) -> Option<&RegularCells<'_>> {
        Some(self)
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
                let regular = index.cells(&text, rows, columns);
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
                        if let Some(mut spans) = regular.spans(column, rows) {
                            let span = spans.nth(row).map(|(start, end)| &text[start..end]);
                            prop_assert_eq!(span, regular.cell(row, column));
                            prop_assert_eq!(spans.count(), rows - row - 1);
                            prop_assert_eq!(regular.spans(column, row).map(Iterator::count), Some(row));
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
