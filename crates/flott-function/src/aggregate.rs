//! The aggregate functions, by name.

use std::fmt;

/// An aggregate function. What it computes with is decided by whoever runs it; what it returns by Flink's type rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateKind {
    /// `COUNT(*)` without an argument, else the rows whose argument is not NULL.
    Count,
    /// NULL where nothing was added.
    Sum,
    /// Zero where nothing was added (what splitting a COUNT needs).
    Sum0,
    /// The mean; integers truncate.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl AggregateKind {
    /// All of them.
    pub const ALL: [AggregateKind; 6] = [
        AggregateKind::Count,
        AggregateKind::Sum,
        AggregateKind::Sum0,
        AggregateKind::Avg,
        AggregateKind::Min,
        AggregateKind::Max,
    ];

    /// The SQL name.
    pub fn name(self) -> &'static str {
        match self {
            AggregateKind::Count => "COUNT",
            AggregateKind::Sum => "SUM",
            AggregateKind::Sum0 => "$SUM0",
            AggregateKind::Avg => "AVG",
            AggregateKind::Min => "MIN",
            AggregateKind::Max => "MAX",
        }
    }

    /// The function of this name; names are not case-sensitive.
    pub fn from_name(name: &str) -> Option<AggregateKind> {
        AggregateKind::ALL.into_iter().find(|k| k.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for AggregateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
