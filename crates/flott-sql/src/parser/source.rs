//! The text of a script, with its lines found once.

use flott_core::error::Position;

/// A script that texts are cut out of by line and column.
pub(crate) struct SourceText<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> SourceText<'a> {
    pub(crate) fn new(text: &'a str) -> SourceText<'a> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        SourceText { text, line_starts }
    }

    /// The text between two positions (the end is behind the last character), trimmed.
    pub(crate) fn cut(&self, start: Position, end: Position) -> &'a str {
        self.text.get(self.offset(start)..self.offset(end)).unwrap_or("").trim()
    }

    /// Where a position lies in the text, in bytes.
    pub(crate) fn offset(&self, p: Position) -> usize {
        let line = usize::try_from(p.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.line_starts.get(line).copied() else { return self.text.len() };
        let rest = &self.text[start..];
        let column = usize::try_from(p.column.saturating_sub(1)).unwrap_or(0);
        start + rest.char_indices().nth(column).map_or(rest.len(), |(i, _)| i)
    }
}
