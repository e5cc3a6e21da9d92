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
            AggregateKind::ListAgg => "LISTAGG([DISTINCT] text[, separator])",
            AggregateKind::ArrayAgg => "ARRAY_AGG([DISTINCT] value [RESPECT NULLS | IGNORE NULLS])",
            AggregateKind::ArrayAggIgnoreNulls => "ARRAY_AGG([DISTINCT] value IGNORE NULLS)",
            AggregateKind::Collect => "COLLECT([DISTINCT] value)",
            AggregateKind::JsonObjectAgg => "JSON_OBJECTAGG([KEY] key VALUE value [NULL ON NULL])",
            AggregateKind::JsonObjectAggAbsentOnNull => "JSON_OBJECTAGG([KEY] key VALUE value ABSENT ON NULL)",
            AggregateKind::JsonArrayAgg => "JSON_ARRAYAGG(value [ABSENT ON NULL])",
            AggregateKind::JsonArrayAggNullOnNull => "JSON_ARRAYAGG(value NULL ON NULL)",
            AggregateKind::StddevPop => "STDDEV_POP([DISTINCT] number)",
            AggregateKind::StddevSamp => "STDDEV_SAMP([DISTINCT] number), STDDEV([DISTINCT] number)",
            AggregateKind::VarPop => "VAR_POP([DISTINCT] number)",
            AggregateKind::VarSamp => "VAR_SAMP([DISTINCT] number), VARIANCE([DISTINCT] number)",
            AggregateKind::WelfordM2 => "$WELFORD_M2$1(number)",
            AggregateKind::Percentile => "PERCENTILE(number, percentage[, frequency])",
            AggregateKind::ApproxCountDistinct => "APPROX_COUNT_DISTINCT(value)",
            AggregateKind::SingleValue => "SINGLE_VALUE(value)",
            AggregateKind::BitmapBuildAgg => "BITMAP_BUILD_AGG(number)",
            AggregateKind::BitmapBuildCardinalityAgg => "BITMAP_BUILD_CARDINALITY_AGG(number)",
            AggregateKind::BitmapAndAgg => "BITMAP_AND_AGG(bitmap)",
            AggregateKind::BitmapAndCardinalityAgg => "BITMAP_AND_CARDINALITY_AGG(bitmap)",
            AggregateKind::BitmapOrAgg => "BITMAP_OR_AGG(bitmap)",
            AggregateKind::BitmapOrCardinalityAgg => "BITMAP_OR_CARDINALITY_AGG(bitmap)",
            AggregateKind::BitmapXorAgg => "BITMAP_XOR_AGG(bitmap)",
            AggregateKind::BitmapXorCardinalityAgg => "BITMAP_XOR_CARDINALITY_AGG(bitmap)",
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
                "The texts that are not NULL, in the order in which they came, with a separator (a comma) between."
            }
            AggregateKind::ArrayAgg => {
                "The values in the order in which they came, as an ARRAY; NULL where there is none."
            }
            AggregateKind::ArrayAggIgnoreNulls => {
                "The values that are not NULL in the order in which they came, as an ARRAY."
            }
            AggregateKind::Collect => "The values that are not NULL with how often each came, as a MULTISET.",
            AggregateKind::JsonObjectAgg => {
                "A JSON object of the keys and values, by keys; a key may come once. NULL is written as null."
            }
            AggregateKind::JsonObjectAggAbsentOnNull => "The same without the keys whose value is NULL.",
            AggregateKind::JsonArrayAgg => {
                "A JSON array of the values that are not NULL, in the order in which they came."
            }
            AggregateKind::JsonArrayAggNullOnNull => "The same with NULL as null.",
            AggregateKind::StddevPop => "The standard deviation of the values, in their type.",
            AggregateKind::StddevSamp => "The standard deviation of a sample; NULL for less than two values.",
            AggregateKind::VarPop => "The variance of the values, in their type.",
            AggregateKind::VarSamp => "The variance of a sample; NULL for less than two values.",
            AggregateKind::WelfordM2 => "The sum of the squares of the distances to the mean, as DOUBLE.",
            AggregateKind::Percentile => {
                "The value below which so large a part (0 to 1, or an ARRAY of such) of the values lies, between two of them in proportion; each counts as often as its frequency says."
            }
            AggregateKind::ApproxCountDistinct => "About how many values there are; in batch alone. Here it is exact.",
            AggregateKind::SingleValue => "The only value; more than one fails.",
            AggregateKind::BitmapBuildAgg => "The BITMAP of the numbers that are not NULL; NULL where there is none.",
            AggregateKind::BitmapBuildCardinalityAgg => {
                "How many different numbers there are; NULL where there is none."
            }
            AggregateKind::BitmapAndAgg => "The numbers that are in all bitmaps.",
            AggregateKind::BitmapAndCardinalityAgg => "How many numbers are in all bitmaps.",
            AggregateKind::BitmapOrAgg => "The numbers that are in one of the bitmaps.",
            AggregateKind::BitmapOrCardinalityAgg => "How many numbers are in one of the bitmaps.",
            AggregateKind::BitmapXorAgg => "The numbers that are in an odd number of the bitmaps.",
            AggregateKind::BitmapXorCardinalityAgg => "How many numbers are in an odd number of the bitmaps.",
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
