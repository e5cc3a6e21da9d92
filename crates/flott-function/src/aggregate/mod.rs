//! The aggregate functions, by name. Each file has what the reference page says of a function; what computes it is an operator's.

mod approx_count_distinct;
mod array_agg;
mod avg;
mod bitmap_and_agg;
mod bitmap_build_agg;
mod bitmap_or_agg;
mod bitmap_xor_agg;
mod collect;
mod count;
mod first_last_value;
mod json_arrayagg;
mod json_objectagg;
mod listagg;
mod min_max;
mod percentile;
mod single_value;
mod stddev;
mod sum;
mod variance;

use std::fmt;

use crate::example::Documentation;

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
    /// All values, NULL too, as an array.
    ArrayAgg,
    /// All values but NULL, as an array.
    ArrayAggIgnoreNulls,
    /// A multiset of the values.
    Collect,
    /// A JSON object, NULL as null.
    JsonObjectAgg,
    /// A JSON object without what is NULL.
    JsonObjectAggAbsentOnNull,
    /// A JSON array without what is NULL.
    JsonArrayAgg,
    /// A JSON array, NULL as null.
    JsonArrayAggNullOnNull,
    /// The square root of [`AggregateKind::VarPop`]; a planner makes it of M2 and a count.
    StddevPop,
    /// The square root of [`AggregateKind::VarSamp`].
    StddevSamp,
    /// M2 divided by the count.
    VarPop,
    /// M2 divided by the count less one.
    VarSamp,
    /// What variances are made of: the sum of the squares of the distances to the mean.
    WelfordM2,
    /// The value at a place among the sorted values.
    Percentile,
    /// Distinct values, about.
    ApproxCountDistinct,
    /// The only one.
    SingleValue,
    /// The BITMAP of the numbers that are not NULL; NULL where there is none.
    BitmapBuildAgg,
    /// How many different numbers there are; NULL where there is none.
    BitmapBuildCardinalityAgg,
    /// The numbers that are in all bitmaps.
    BitmapAndAgg,
    /// How many numbers are in all bitmaps.
    BitmapAndCardinalityAgg,
    /// The numbers that are in one of the bitmaps.
    BitmapOrAgg,
    /// How many numbers are in one of the bitmaps.
    BitmapOrCardinalityAgg,
    /// The numbers that are in an odd number of the bitmaps.
    BitmapXorAgg,
    /// How many numbers are in an odd number of the bitmaps.
    BitmapXorCardinalityAgg,
}

impl AggregateKind {
    /// All of them.
    pub const ALL: [AggregateKind; 32] = [
        AggregateKind::Count,
        AggregateKind::Sum,
        AggregateKind::Sum0,
        AggregateKind::Avg,
        AggregateKind::Min,
        AggregateKind::Max,
        AggregateKind::FirstValue,
        AggregateKind::LastValue,
        AggregateKind::ListAgg,
        AggregateKind::ArrayAgg,
        AggregateKind::ArrayAggIgnoreNulls,
        AggregateKind::Collect,
        AggregateKind::JsonObjectAgg,
        AggregateKind::JsonObjectAggAbsentOnNull,
        AggregateKind::JsonArrayAgg,
        AggregateKind::JsonArrayAggNullOnNull,
        AggregateKind::StddevPop,
        AggregateKind::StddevSamp,
        AggregateKind::VarPop,
        AggregateKind::VarSamp,
        AggregateKind::WelfordM2,
        AggregateKind::Percentile,
        AggregateKind::ApproxCountDistinct,
        AggregateKind::SingleValue,
        AggregateKind::BitmapBuildAgg,
        AggregateKind::BitmapBuildCardinalityAgg,
        AggregateKind::BitmapAndAgg,
        AggregateKind::BitmapAndCardinalityAgg,
        AggregateKind::BitmapOrAgg,
        AggregateKind::BitmapOrCardinalityAgg,
        AggregateKind::BitmapXorAgg,
        AggregateKind::BitmapXorCardinalityAgg,
    ];

    /// The name that tells it apart: that of SQL, where SQL has one.
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
            AggregateKind::ArrayAgg => "ARRAY_AGG",
            AggregateKind::ArrayAggIgnoreNulls => "$ARRAY_AGG_IGNORE_NULLS",
            AggregateKind::Collect => "COLLECT",
            AggregateKind::JsonObjectAgg => "JSON_OBJECTAGG_NULL_ON_NULL",
            AggregateKind::JsonObjectAggAbsentOnNull => "JSON_OBJECTAGG_ABSENT_ON_NULL",
            AggregateKind::JsonArrayAgg => "JSON_ARRAYAGG_ABSENT_ON_NULL",
            AggregateKind::JsonArrayAggNullOnNull => "JSON_ARRAYAGG_NULL_ON_NULL",
            AggregateKind::StddevPop => "STDDEV_POP",
            AggregateKind::StddevSamp => "STDDEV_SAMP",
            AggregateKind::VarPop => "VAR_POP",
            AggregateKind::VarSamp => "VAR_SAMP",
            AggregateKind::WelfordM2 => "$WELFORD_M2$1",
            AggregateKind::Percentile => "PERCENTILE",
            AggregateKind::ApproxCountDistinct => "APPROX_COUNT_DISTINCT",
            AggregateKind::SingleValue => "SINGLE_VALUE",
            AggregateKind::BitmapBuildAgg => "BITMAP_BUILD_AGG",
            AggregateKind::BitmapBuildCardinalityAgg => "BITMAP_BUILD_CARDINALITY_AGG",
            AggregateKind::BitmapAndAgg => "BITMAP_AND_AGG",
            AggregateKind::BitmapAndCardinalityAgg => "BITMAP_AND_CARDINALITY_AGG",
            AggregateKind::BitmapOrAgg => "BITMAP_OR_AGG",
            AggregateKind::BitmapOrCardinalityAgg => "BITMAP_OR_CARDINALITY_AGG",
            AggregateKind::BitmapXorAgg => "BITMAP_XOR_AGG",
            AggregateKind::BitmapXorCardinalityAgg => "BITMAP_XOR_CARDINALITY_AGG",
        }
    }

    /// What the reference page says of it.
    pub fn documentation(self) -> &'static Documentation {
        match self {
            AggregateKind::Count => &count::COUNT,
            AggregateKind::Sum => &sum::SUM,
            AggregateKind::Sum0 => &sum::SUM0,
            AggregateKind::Avg => &avg::AVG,
            AggregateKind::Min => &min_max::MIN,
            AggregateKind::Max => &min_max::MAX,
            AggregateKind::FirstValue => &first_last_value::FIRST_VALUE,
            AggregateKind::LastValue => &first_last_value::LAST_VALUE,
            AggregateKind::ListAgg => &listagg::LIST_AGG,
            AggregateKind::ArrayAgg => &array_agg::ARRAY_AGG,
            AggregateKind::ArrayAggIgnoreNulls => &array_agg::ARRAY_AGG_IGNORE_NULLS,
            AggregateKind::Collect => &collect::COLLECT,
            AggregateKind::JsonObjectAgg => &json_objectagg::JSON_OBJECT_AGG,
            AggregateKind::JsonObjectAggAbsentOnNull => &json_objectagg::JSON_OBJECT_AGG_ABSENT_ON_NULL,
            AggregateKind::JsonArrayAgg => &json_arrayagg::JSON_ARRAY_AGG,
            AggregateKind::JsonArrayAggNullOnNull => &json_arrayagg::JSON_ARRAY_AGG_NULL_ON_NULL,
            AggregateKind::StddevPop => &stddev::STDDEV_POP,
            AggregateKind::StddevSamp => &stddev::STDDEV_SAMP,
            AggregateKind::VarPop => &variance::VAR_POP,
            AggregateKind::VarSamp => &variance::VAR_SAMP,
            AggregateKind::WelfordM2 => &variance::WELFORD_M2,
            AggregateKind::Percentile => &percentile::PERCENTILE,
            AggregateKind::ApproxCountDistinct => &approx_count_distinct::APPROX_COUNT_DISTINCT,
            AggregateKind::SingleValue => &single_value::SINGLE_VALUE,
            AggregateKind::BitmapBuildAgg => &bitmap_build_agg::BITMAP_BUILD_AGG,
            AggregateKind::BitmapBuildCardinalityAgg => &bitmap_build_agg::BITMAP_BUILD_CARDINALITY_AGG,
            AggregateKind::BitmapAndAgg => &bitmap_and_agg::BITMAP_AND_AGG,
            AggregateKind::BitmapAndCardinalityAgg => &bitmap_and_agg::BITMAP_AND_CARDINALITY_AGG,
            AggregateKind::BitmapOrAgg => &bitmap_or_agg::BITMAP_OR_AGG,
            AggregateKind::BitmapOrCardinalityAgg => &bitmap_or_agg::BITMAP_OR_CARDINALITY_AGG,
            AggregateKind::BitmapXorAgg => &bitmap_xor_agg::BITMAP_XOR_AGG,
            AggregateKind::BitmapXorCardinalityAgg => &bitmap_xor_agg::BITMAP_XOR_CARDINALITY_AGG,
        }
    }

    /// The function of this name; names are not case-sensitive.
    pub fn from_name(name: &str) -> Option<AggregateKind> {
        let upper = name.to_ascii_uppercase();
        let name = match upper.as_str() {
            "STDDEV" => "STDDEV_SAMP",
            "VARIANCE" => "VAR_SAMP",
            other => other,
        };
        AggregateKind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// The fewest and the most arguments (of COUNT besides `*`).
    pub fn arity(self) -> (usize, usize) {
        use AggregateKind as A;
        match self {
            A::ListAgg => (1, 2),
            A::Percentile => (2, 3),
            A::JsonObjectAgg | A::JsonObjectAggAbsentOnNull => (2, 2),
            _ => (1, 1),
        }
    }

    /// Whether rows do not count whose (first) argument is NULL.
    pub fn skips_null(self) -> bool {
        use AggregateKind as A;
        !matches!(
            self,
            A::ArrayAgg | A::JsonObjectAgg | A::JsonObjectAggAbsentOnNull | A::JsonArrayAggNullOnNull | A::SingleValue
        )
    }

    /// Whether it needs nothing more to take rows away again than to add them.
    pub fn takes_back(self) -> bool {
        use AggregateKind as A;
        !matches!(self, A::Min | A::Max | A::FirstValue | A::LastValue)
    }

    /// Whether its result depends on the order in which rows come.
    pub fn follows_order(self) -> bool {
        use AggregateKind as A;
        matches!(
            self,
            A::FirstValue
                | A::LastValue
                | A::ListAgg
                | A::ArrayAgg
                | A::ArrayAggIgnoreNulls
                | A::JsonArrayAgg
                | A::JsonArrayAggNullOnNull
        )
    }

    /// Whether what is taken away has to be taken from what it came to: states of parts of the rows do not add up.
    pub fn takes_from_the_whole(self) -> bool {
        use AggregateKind as A;
        self.follows_order()
            || matches!(self, A::SingleValue | A::JsonObjectAgg | A::JsonObjectAggAbsentOnNull | A::WelfordM2)
    }

    /// Whether an empty group has a result: zero, an empty collection or an empty text.
    pub fn is_never_null(self) -> bool {
        use AggregateKind as A;
        matches!(
            self,
            A::Count
                | A::Sum0
                | A::Collect
                | A::JsonObjectAgg
                | A::JsonObjectAggAbsentOnNull
                | A::JsonArrayAgg
                | A::JsonArrayAggNullOnNull
                | A::ApproxCountDistinct
        )
    }
}

/// As plans show it.
impl fmt::Display for AggregateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AggregateKind::ArrayAggIgnoreNulls => f.write_str("ARRAY_AGG"),
            other => f.write_str(other.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_described_with_an_example() {
        for kind in AggregateKind::ALL {
            let d = kind.documentation();
            assert!(!d.syntax.is_empty() && !d.description.is_empty() && !d.documentation.is_empty(), "{kind:?}");
            let has_name = !kind.name().starts_with('$');
            assert_eq!(has_name, !d.examples.is_empty(), "{kind:?}");
        }
    }
}
