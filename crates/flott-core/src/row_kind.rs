//! Flink's `RowKind`: what a row says about the table it belongs to.

use std::fmt;

use arrow_array::{Array, BooleanArray, Int8Array, UInt32Array};
use arrow_buffer::ScalarBuffer;

/// One change of a changelog, with Flink's short names `+I -U +U -D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i8)]
pub enum RowKind {
    /// `+I`: a new row.
    Insert = 0,
    /// `-U`: the row before an update; an `+U` follows.
    UpdateBefore = 1,
    /// `+U`: the row after an update.
    UpdateAfter = 2,
    /// `-D`: the row is gone.
    Delete = 3,
}

impl RowKind {
    /// All four, in Flink's order.
    pub const ALL: [RowKind; 4] = [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete];

    /// `+I`, `-U`, `+U` or `-D`.
    pub fn short_string(self) -> &'static str {
        match self {
            RowKind::Insert => "+I",
            RowKind::UpdateBefore => "-U",
            RowKind::UpdateAfter => "+U",
            RowKind::Delete => "-D",
        }
    }

    /// The kind with this short string.
    pub fn from_short_string(text: &str) -> Option<RowKind> {
        RowKind::ALL.into_iter().find(|k| k.short_string() == text)
    }

    /// `+I` and `+U` add a row to the table, `-U` and `-D` take one away.
    pub fn is_addition(self) -> bool {
        matches!(self, RowKind::Insert | RowKind::UpdateAfter)
    }

    /// The kind with this code (0 to 3, Flink's byte values).
    pub fn from_code(code: i8) -> Option<RowKind> {
        RowKind::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// Flink's byte value.
    pub fn code(self) -> i8 {
        self as i8
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_string())
    }
}

/// The kinds of the rows of a batch, one byte a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKinds(ScalarBuffer<i8>);

impl RowKinds {
    /// The same kind for `rows` rows.
    pub fn repeat(kind: RowKind, rows: usize) -> RowKinds {
        RowKinds(vec![kind.code(); rows].into())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The kind of one row. Panics past the end, as a slice does.
    pub fn get(&self, row: usize) -> RowKind {
        RowKind::ALL[self.0[row] as usize & 3]
    }

    /// The kinds in row order.
    pub fn iter(&self) -> impl Iterator<Item = RowKind> + '_ {
        self.0.iter().map(|c| RowKind::ALL[*c as usize & 3])
    }

    /// Rows `offset .. offset + len` without copying.
    pub fn slice(&self, offset: usize, len: usize) -> RowKinds {
        RowKinds(self.0.slice(offset, len))
    }

    /// The kinds of the rows where `keep` is true.
    pub fn filter(&self, keep: &BooleanArray) -> RowKinds {
        self.0.iter().enumerate().filter(|(i, _)| keep.is_valid(*i) && keep.value(*i)).map(|(_, c)| *c).collect()
    }

    /// The kinds at these row numbers.
    pub fn take(&self, rows: &UInt32Array) -> RowKinds {
        rows.values().iter().map(|i| self.0[*i as usize]).collect()
    }

    /// True where every row is `+I`.
    pub fn all_insert(&self) -> bool {
        self.0.iter().all(|c| *c == 0)
    }

    /// The codes as an Arrow column (for storage and exchange).
    pub fn to_array(&self) -> Int8Array {
        Int8Array::new(self.0.clone(), None)
    }

    /// The reverse of [`to_array`](Self::to_array); codes outside 0 to 3 are refused.
    pub fn from_array(codes: &Int8Array) -> Option<RowKinds> {
        (codes.null_count() == 0 && codes.values().iter().all(|c| (0..4).contains(c)))
            .then(|| RowKinds(codes.values().clone()))
    }
}

impl FromIterator<i8> for RowKinds {
    fn from_iter<T: IntoIterator<Item = i8>>(codes: T) -> Self {
        RowKinds(codes.into_iter().map(|c| c & 3).collect::<Vec<_>>().into())
    }
}

impl FromIterator<RowKind> for RowKinds {
    fn from_iter<T: IntoIterator<Item = RowKind>>(kinds: T) -> Self {
        RowKinds(kinds.into_iter().map(RowKind::code).collect::<Vec<_>>().into())
    }
}
