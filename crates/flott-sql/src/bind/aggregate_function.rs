//! The arguments of aggregates, the types of their results, and those that are made of others.

use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use flott_core::types::{MAX_DECIMAL_PRECISION, TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;

use super::functions::Functions;
use super::scope::Typed;

/// The length of what JSON_OBJECTAGG and JSON_ARRAYAGG are declared to give; longer texts are not cut.
const JSON_LENGTH: u32 = 2_000;

/// The output's column of an aggregate over these arguments.
pub(crate) type Add<'a> = dyn FnMut(AggregateKind, Vec<Typed>) -> Result<Typed> + 'a;

/// Whether a text is JSON already.
fn is_json(value: &Typed) -> bool {
    matches!(&value.expr, datafusion_expr::Expr::ScalarFunction(f) if matches!(f.func.name(), "JSON_OBJECT" | "JSON_ARRAY"))
}

/// The type of values that are kept: no time attribute.
fn plain(t: &LogicalType) -> LogicalType {
    t.with_time_attribute(TimeAttribute::None)
}

/// The type of a mean or of a distance to it.
fn average(t: &LogicalType) -> TypeKind {
    match &t.kind {
        TypeKind::Decimal { scale, .. } => {
            TypeKind::Decimal { precision: MAX_DECIMAL_PRECISION, scale: (*scale).max(6) }
        }
        other => other.clone(),
    }
}

impl Functions {
    /// Checks the arguments of an aggregate and makes them what it reads.
    pub(crate) fn aggregate_arguments(&self, kind: AggregateKind, arguments: &mut [Typed]) -> Result<()> {
        match (kind, arguments) {
            (AggregateKind::ListAgg, [_, separator]) if separator.text().is_none() => {
                return Err(Error::user("Argument to function 'LISTAGG' must be a literal")
                    .hint("Write a text in quotes as the separator, as in LISTAGG(x, '-')"));
            }
            (AggregateKind::JsonObjectAgg | AggregateKind::JsonObjectAggAbsentOnNull, [key, value]) => {
                if !key.data_type.kind.is_character() {
                    return Err(Error::user(format!(
                        "Cannot apply '{kind}' to arguments of type '{kind}(<{}>, <{}>)'. Supported form(s): \
                         '{kind}(<CHARACTER>, <ANY>)'",
                        key.data_type.summary_without_nullability(),
                        value.data_type.summary_without_nullability()
                    ))
                    .hint("CAST the key to STRING"));
                }
                self.as_json(value)?;
            }
            (AggregateKind::JsonArrayAgg | AggregateKind::JsonArrayAggNullOnNull, [value]) => self.as_json(value)?,
            (AggregateKind::Percentile, [value, percentage, frequency @ ..]) => {
                let fits = |t: &LogicalType| t.kind.is_numeric();
                // A percentage is never NULL, neither is one of several.
                let many = match &percentage.data_type.kind {
                    _ if percentage.data_type.nullable => return Err(no_percentile()),
                    TypeKind::Array(element) if fits(element) && !element.nullable => true,
                    _ if fits(&percentage.data_type) => false,
                    _ => return Err(no_percentile()),
                };
                if !fits(&value.data_type) || !frequency.iter().all(|f| f.data_type.kind.is_integer()) {
                    return Err(no_percentile());
                }
                let double = TypeKind::Double.not_null();
                let wanted = if many { TypeKind::Array(Box::new(double)).not_null() } else { double };
                let cast = self.cast_if_needed(percentage.clone(), &wanted)?;
                *percentage = Typed { expr: super::fold::fold_casts(cast.expr)?, data_type: cast.data_type };
                if let Some(ScalarValue::Float64(Some(p))) = percentage.constant()
                    && !(0.0..=1.0).contains(p)
                {
                    return Err(no_percentile());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn as_json(&self, value: &mut Typed) -> Result<()> {
        if !is_json(value) {
            *value = self.call("JSON_STRING", vec![value.clone()])?;
        }
        Ok(())
    }

    /// The output's column of an aggregate, or an expression over those that it is made of.
    pub(crate) fn aggregate(&self, kind: AggregateKind, arguments: Vec<Typed>, add: &mut Add<'_>) -> Result<Typed> {
        match kind {
            AggregateKind::StddevPop | AggregateKind::StddevSamp | AggregateKind::VarPop | AggregateKind::VarSamp => {
                self.variance(kind, arguments, add)
            }
            AggregateKind::ApproxCountDistinct if !self.is_batch => {
                Err(Error::user("APPROX_COUNT_DISTINCT aggregate function does not support yet for streaming.")
                    .hint("Use COUNT(DISTINCT x)"))
            }
            // Zeroes are one value.
            AggregateKind::ApproxCountDistinct => {
                let plus_zero = |a: Typed| {
                    let zero = match a.data_type.kind {
                        TypeKind::Float => ScalarValue::Float32(Some(0.0)),
                        TypeKind::Double => ScalarValue::Float64(Some(0.0)),
                        _ => return Ok(a),
                    };
                    let zero = self.literal(zero, &a.data_type.clone().with_nullable(false))?;
                    self.binary(Operator::Plus, a, zero)
                };
                let arguments = arguments.into_iter().map(plus_zero).collect::<Result<_>>()?;
                add(kind, arguments)
            }
            _ => add(kind, arguments),
        }
    }

    /// M2 over a count, and perhaps the root of that, in the type of the argument.
    fn variance(&self, kind: AggregateKind, arguments: Vec<Typed>, add: &mut Add<'_>) -> Result<Typed> {
        use AggregateKind::{StddevPop, StddevSamp, VarSamp};
        let types: Vec<LogicalType> = arguments.iter().map(|a| a.data_type.clone()).collect();
        let result = self.aggregate_type(kind, &types, false)?;
        let m2 = add(AggregateKind::WelfordM2, arguments.clone())?;
        let mut count = add(AggregateKind::Count, arguments)?;
        if matches!(kind, StddevSamp | VarSamp) {
            let one = self.literal(ScalarValue::Int64(Some(1)), &TypeKind::BigInt.not_null())?;
            let none = self.literal(ScalarValue::Int64(None), &TypeKind::BigInt.nullable())?;
            let single = self.binary(Operator::Eq, count.clone(), one.clone())?;
            let less = self.binary(Operator::Minus, count, one)?;
            count = self.case(vec![(single, none)], less)?;
        }
        let mut value = self.binary(Operator::Divide, m2, count)?;
        if matches!(kind, StddevPop | StddevSamp) {
            let half = TypeKind::Decimal { precision: 2, scale: 1 }.not_null();
            let half = self.literal(ScalarValue::Decimal128(Some(5), 2, 1), &half)?;
            value = self.call("POWER", vec![value, half])?;
        }
        self.cast_if_needed(value, &result)
    }

    /// The type of an aggregate's result. `never_empty`: every group has a row that counts.
    pub(crate) fn aggregate_type(
        &self,
        kind: AggregateKind,
        args: &[LogicalType],
        never_empty: bool,
    ) -> Result<LogicalType> {
        let Some(argument) = args.first() else { return Ok(TypeKind::BigInt.not_null()) };
        let nullable = argument.nullable || !never_empty;
        let needs = |fits: bool, form: &str| {
            if fits {
                return Ok(());
            }
            Err(Error::user(format!(
                "Cannot apply '{kind}' to arguments of type '{kind}(<{}>)'. Supported form(s): '{kind}(<{form}>)'",
                argument.summary_without_nullability()
            ))
            .hint("CAST the argument"))
        };
        let data_type = match kind {
            AggregateKind::Count => return Ok(TypeKind::BigInt.not_null()),
            AggregateKind::Sum | AggregateKind::Sum0 => {
                needs(argument.kind.is_numeric(), "NUMERIC")?;
                match &argument.kind {
                    TypeKind::Decimal { scale, .. } => {
                        TypeKind::Decimal { precision: MAX_DECIMAL_PRECISION, scale: *scale }
                    }
                    other => other.clone(),
                }
            }
            AggregateKind::Avg => {
                needs(argument.kind.is_numeric(), "NUMERIC")?;
                average(argument)
            }
            AggregateKind::Min | AggregateKind::Max => {
                let comparable = !matches!(
                    argument.kind,
                    TypeKind::Array(_)
                        | TypeKind::Map(..)
                        | TypeKind::Multiset(_)
                        | TypeKind::Row(_)
                        | TypeKind::Structured(..)
                        | TypeKind::Variant
                        | TypeKind::Bitmap
                        | TypeKind::Null
                );
                needs(comparable, "COMPARABLE_TYPE")?;
                argument.kind.clone()
            }
            AggregateKind::FirstValue | AggregateKind::LastValue | AggregateKind::SingleValue => argument.kind.clone(),
            AggregateKind::ListAgg => {
                needs(argument.kind.is_character(), "CHARACTER")?;
                TypeKind::STRING
            }
            AggregateKind::ArrayAgg | AggregateKind::ArrayAggIgnoreNulls => {
                return Ok(TypeKind::Array(Box::new(plain(argument))).nullable().with_nullable(nullable));
            }
            AggregateKind::Collect => return Ok(TypeKind::Multiset(Box::new(plain(argument))).not_null()),
            AggregateKind::JsonObjectAgg
            | AggregateKind::JsonObjectAggAbsentOnNull
            | AggregateKind::JsonArrayAgg
            | AggregateKind::JsonArrayAggNullOnNull => return Ok(TypeKind::VarChar(JSON_LENGTH).not_null()),
            AggregateKind::Percentile => {
                let many = args.get(1).is_some_and(|p| matches!(p.kind, TypeKind::Array(_)));
                let double = TypeKind::Double.nullable();
                return Ok(if many { TypeKind::Array(Box::new(double)).nullable() } else { double });
            }
            AggregateKind::WelfordM2 => return Ok(TypeKind::Double.nullable()),
            AggregateKind::StddevPop | AggregateKind::StddevSamp | AggregateKind::VarPop | AggregateKind::VarSamp => {
                needs(argument.kind.is_numeric(), "NUMERIC")?;
                average(argument)
            }
            AggregateKind::ApproxCountDistinct => {
                let k = &argument.kind;
                if !(k.is_numeric() || k.is_character() || k.is_datetime() || *k == TypeKind::Null) {
                    let t = argument.summary_without_nullability();
                    let message = format!("APPROX_COUNT_DISTINCT aggregate function does not support type: '{t}'.");
                    return Err(Error::user(message).hint("Use COUNT(DISTINCT x)"));
                }
                return Ok(TypeKind::BigInt.not_null());
            }
            AggregateKind::BitmapBuildAgg | AggregateKind::BitmapBuildCardinalityAgg => {
                needs(argument.kind == TypeKind::Int, "INTEGER")?;
                bitmap_result(kind)
            }
            AggregateKind::BitmapAndAgg
            | AggregateKind::BitmapAndCardinalityAgg
            | AggregateKind::BitmapOrAgg
            | AggregateKind::BitmapOrCardinalityAgg
            | AggregateKind::BitmapXorAgg
            | AggregateKind::BitmapXorCardinalityAgg => {
                needs(argument.kind == TypeKind::Bitmap, "BITMAP")?;
                bitmap_result(kind)
            }
        };
        let result = data_type.nullable().with_time_attribute(TimeAttribute::None);
        Ok(result.with_nullable(nullable && kind != AggregateKind::Sum0))
    }
}

fn bitmap_result(kind: AggregateKind) -> TypeKind {
    if kind.name().contains("CARDINALITY") { TypeKind::BigInt } else { TypeKind::Bitmap }
}

fn no_percentile() -> Error {
    Error::user("Invalid input arguments of PERCENTILE").hint(
        "Expected signatures are: PERCENTILE(value NUMERIC, percentage NUMERIC NOT NULL [, frequency INTEGER_NUMERIC]), \
         PERCENTILE(value NUMERIC, percentage ARRAY<NUMERIC NOT NULL> NOT NULL [, frequency INTEGER_NUMERIC]); percentages are between 0 and 1",
    )
}
