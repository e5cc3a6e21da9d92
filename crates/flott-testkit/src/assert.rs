//! Assertions on change batches, with a diff that a person can read.

use std::fmt::Write;

use flott_connector::row_text::row_strings;
use flott_core::ChangeBatch;

/// The rows of one or several batches as Flink prints them.
#[track_caller]
pub fn rows_of<'a>(batches: impl IntoIterator<Item = &'a ChangeBatch>) -> Vec<String> {
    let mut rows = vec![];
    for batch in batches {
        match row_strings(batch) {
            Ok(more) => rows.extend(more),
            Err(e) => panic!("{e}"),
        }
    }
    rows
}

/// Asserts that a batch, or several (`&batches`), hold exactly these rows in this order; with `unordered` first, in any
/// order.
///
/// ```
/// # use flott_testkit::{assert_rows, batch};
/// let a = batch("a INT", &["+I[1]"]);
/// let b = batch("a INT", &["-D[1]"]);
/// assert_rows!(a, ["+I[1]"]);
/// assert_rows!(vec![a, b], ["+I[1]", "-D[1]"]);
/// ```
#[macro_export]
macro_rules! assert_rows {
    (unordered $batches:expr, $rows:expr $(,)?) => {{
        use $crate::RowsOf as _;
        $crate::assert_rows_equal((&$batches).text_rows(), &$rows, false)
    }};
    ($batches:expr, $rows:expr $(,)?) => {{
        use $crate::RowsOf as _;
        $crate::assert_rows_equal((&$batches).text_rows(), &$rows, true)
    }};
}

/// What [`assert_rows!`] takes: one batch or several.
pub trait RowsOf {
    /// The rows as Flink prints them.
    fn text_rows(&self) -> Vec<String>;
}

impl RowsOf for ChangeBatch {
    #[track_caller]
    fn text_rows(&self) -> Vec<String> {
        rows_of([self])
    }
}

impl RowsOf for [ChangeBatch] {
    #[track_caller]
    fn text_rows(&self) -> Vec<String> {
        rows_of(self)
    }
}

impl RowsOf for Vec<ChangeBatch> {
    #[track_caller]
    fn text_rows(&self) -> Vec<String> {
        rows_of(self)
    }
}

impl RowsOf for [String] {
    fn text_rows(&self) -> Vec<String> {
        self.to_vec()
    }
}

impl RowsOf for Vec<String> {
    fn text_rows(&self) -> Vec<String> {
        self.clone()
    }
}

impl<T: RowsOf + ?Sized> RowsOf for &T {
    #[track_caller]
    fn text_rows(&self) -> Vec<String> {
        (**self).text_rows()
    }
}

/// Asserts that two lists of text rows are equal, in order or as multisets. The message shows both sides line by line.
#[track_caller]
pub fn assert_rows_equal(mut actual: Vec<String>, expected: &[impl AsRef<str>], ordered: bool) {
    let mut expected: Vec<String> = expected.iter().map(|e| e.as_ref().to_string()).collect();
    if !ordered {
        actual.sort();
        expected.sort();
    }
    if actual != expected {
        panic!("rows differ ('-' expected and missing, '+' not expected):\n{}", diff(&expected, &actual));
    }
}

/// A line diff by longest common subsequence.
fn diff(expected: &[String], actual: &[String]) -> String {
    let (n, m) = (expected.len(), actual.len());
    let mut common = vec![vec![0u32; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            common[i][j] = if expected[i] == actual[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let mut out = String::new();
    let mut line = |mark: char, row: &str| {
        let done = writeln!(out, "{mark} {row}");
        debug_assert!(done.is_ok());
    };
    let (mut i, mut j) = (0, 0);
    while i < n || j < m {
        if i < n && j < m && expected[i] == actual[j] {
            line(' ', &expected[i]);
            i += 1;
            j += 1;
        } else if i < n && (j == m || common[i + 1][j] >= common[i][j + 1]) {
            line('-', &expected[i]);
            i += 1;
        } else {
            line('+', &actual[j]);
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::batch;

    #[test]
    fn text_comes_back_from_columns() {
        let rows = [
            "+I[true, -1, 0.5, 1.0E10, ab, [1, -1], 1.50, 2020-01-01, 12:00:01, 2020-01-01T00:00, \
             2020-01-01T00:00:00.001Z, P1Y2M, PT1.5S, [1, null], {k=1}, {e=2}, +I[1, null]]",
            "-D[null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null]",
        ];
        let b = batch(
            "a BOOLEAN, b INT, c FLOAT, d DOUBLE, e STRING, f BYTES, g DECIMAL(10, 2), h DATE, i TIME(0), j TIMESTAMP(3), \
             k TIMESTAMP_LTZ(6), l INTERVAL YEAR TO MONTH, m INTERVAL DAY TO SECOND(3), n ARRAY<INT>, o MAP<STRING, INT>, \
             p MULTISET<STRING>, q ROW<x INT NOT NULL, y ARRAY<STRING>>",
            &rows,
        );
        assert_rows!(b, rows);
        assert_rows!(b.slice(1, 1), rows[1..]);
    }

    #[test]
    fn the_cells_of_a_result_table() {
        let b = batch(
            "a BOOLEAN, b ROW<x INT, y STRING>, c ARRAY<INT>, d BYTES, e STRING, f TIMESTAMP(3)",
            &["+I[true, +I[1, null], [1, null], [1, -1], null, 2020-01-01T00:00]"],
        );
        let cells = flott_connector::row_text::result_strings(&b, &|_| 0).expect("text");
        assert_eq!(cells, [["TRUE", "(1, NULL)", "[1, NULL]", "x'01ff'", "<NULL>", "2020-01-01 00:00:00.000"]]);
    }

    #[test]
    fn order_counts_unless_told() {
        let b = vec![batch("a INT", &["+I[1]"]), batch("a INT", &["-U[1]", "+U[2]"])];
        assert_rows!(b, ["+I[1]", "-U[1]", "+U[2]"]);
        assert_rows!(unordered b, ["+U[2]", "+I[1]", "-U[1]"]);
    }

    #[test]
    #[should_panic(expected = "  +I[1]\n- +I[2]\n+ +I[3]\n")]
    fn a_difference_is_shown_by_line() {
        assert_rows!(batch("a INT", &["+I[1]", "+I[3]"]), ["+I[1]", "+I[2]"]);
    }

    #[test]
    fn varchar_without_length_is_long() {
        assert_rows!(batch("a VARCHAR, b varchar(2)", &["+I[abc, ab]"]), ["+I[abc, ab]"]);
        assert_eq!(crate::schema("a VARCHAR"), crate::schema("a STRING"));
    }
}
