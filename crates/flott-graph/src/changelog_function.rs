//! TO_CHANGELOG and FROM_CHANGELOG, as data.

use flott_core::RowKind;

/// Changes as rows, or rows as changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangelogFunctionSpec {
    /// A row for each change. Output: the code (STRING), the input's columns, the time.
    To {
        /// What a kind is called, in the order of [`RowKind::ALL`]; changes of a kind without a name are left out.
        codes: [Option<String>; 4],
        /// The input's column that comes once more as the last.
        on_time: Option<usize>,
    },
    /// A change for each row, which only adds. Output: the input's columns without the code, the time.
    From {
        /// The column with the code (a text).
        op: usize,
        /// What each code means; any other fails the job.
        codes: Vec<(String, RowKind)>,
        /// The input's column that comes once more as the last.
        on_time: Option<usize>,
    },
}
