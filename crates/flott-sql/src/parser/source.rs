//! The text of a script, with its lines found once.

use flott_core::error::Position;

/// A script, or a part of one, that texts are cut out of by line and column.
pub(crate) struct SourceText<'a> {
    text: &'a str,
    /// Where the text begins in the whole.
    begin: Position,
    line_starts: Vec<usize>,
}

impl<'a> SourceText<'a> {
    pub(crate) fn new(text: &'a str) -> SourceText<'a> {
        SourceText::at(text, Position { line: 1, column: 1 })
    }

    /// A text that begins there in the whole.
    pub(crate) fn at(text: &'a str, begin: Position) -> SourceText<'a> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        SourceText { text, begin, line_starts }
    }

    /// The text between two positions (the end is behind the last character), trimmed.
    pub(crate) fn cut(&self, start: Position, end: Position) -> &'a str {
        self.text.get(self.offset(start)..self.offset(end)).unwrap_or("").trim()
    }

    /// Where a position lies in the text, in bytes.
    pub(crate) fn offset(&self, p: Position) -> usize {
        let line = usize::try_from(p.line.saturating_sub(self.begin.line)).unwrap_or(usize::MAX);
        let Some(start) = self.line_starts.get(line).copied() else { return self.text.len() };
        let rest = &self.text[start..];
        let first = if line == 0 { self.begin.column } else { 1 };
        let column = usize::try_from(p.column.saturating_sub(first)).unwrap_or(0);
        start + rest.char_indices().nth(column).map_or(rest.len(), |(i, _)| i)
    }
}
