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
    /// The first that came.
    FirstValue,
    /// The last that came.
    LastValue,
    /// All texts, one behind another.
    ListAgg,
}

impl AggregateKind {
    /// All of them.
    pub const ALL: [AggregateKind; 9] = [
        AggregateKind::Count,
        AggregateKind::Sum,
        AggregateKind::Sum0,
        AggregateKind::Avg,
        AggregateKind::Min,
        AggregateKind::Max,
        AggregateKind::FirstValue,
        AggregateKind::LastValue,
        AggregateKind::ListAgg,
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
            AggregateKind::FirstValue => "FIRST_VALUE",
            AggregateKind::LastValue => "LAST_VALUE",
            AggregateKind::ListAgg => "LISTAGG",
        }
    }

    /// How it is written.
    pub fn syntax(self) -> &'static str {
        match self {
            AggregateKind::Count => "COUNT(*), COUNT([DISTINCT] value)",
            AggregateKind::Sum => "SUM([DISTINCT] number)",
            AggregateKind::Sum0 => "$SUM0(number)",
            AggregateKind::Avg => "AVG([DISTINCT] number)",
            AggregateKind::Min => "MIN(value)",
            AggregateKind::Max => "MAX(value)",
            AggregateKind::FirstValue => "FIRST_VALUE(value)",
            AggregateKind::LastValue => "LAST_VALUE(value)",
            AggregateKind::ListAgg => "LISTAGG([DISTINCT] text)",
        }
    }

    /// What it does, in a sentence.
    pub fn description(self) -> &'static str {
        match self {
            AggregateKind::Count => "The number of rows, or of those whose value is not NULL.",
            AggregateKind::Sum => "The sum of the values that are not NULL; NULL where there is none.",
            AggregateKind::Sum0 => "The sum of the values that are not NULL; 0 where there is none.",
            AggregateKind::Avg => "The mean of the values that are not NULL, in their type: that of integers is cut.",
            AggregateKind::Min => "The least value that is not NULL.",
            AggregateKind::Max => "The greatest value that is not NULL.",
            AggregateKind::FirstValue => "The value that is not NULL and came first.",
            AggregateKind::LastValue => "The value that is not NULL and came last.",
            AggregateKind::ListAgg => {
                "The texts that are not NULL, in the order in which they came, with commas between."
            }
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
