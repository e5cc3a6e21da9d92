//! Which types go together: least common type, implicit casts, results of arithmetic (Flink's `LogicalTypeMerging`).

use flott_core::LogicalType;
use flott_core::types::{
    DayTimeResolution, MAX_DECIMAL_PRECISION, RowField, TimeAttribute, TypeKind, YearMonthResolution,
};

use TypeKind as K;

/// The type that an interval has in a query, whichever fields it was written with: `INTERVAL MONTH` or `INTERVAL SECOND(3)`.
pub fn interval_in_query(kind: TypeKind) -> TypeKind {
    match kind {
        K::IntervalYearMonth(..) => K::IntervalYearMonth(YearMonthResolution::Month, 2),
        K::IntervalDayTime(..) => K::IntervalDayTime(DayTimeResolution::Second, 2, 3),
        other => other,
    }
}

/// The decimal that holds every value of a numeric type exactly.
pub fn as_decimal(kind: &TypeKind) -> Option<(u8, u8)> {
    Some(match kind {
        K::TinyInt => (3, 0),
        K::SmallInt => (5, 0),
        K::Int => (10, 0),
        K::BigInt => (19, 0),
        K::Decimal { precision, scale } => (*precision, *scale),
        _ => return None,
    })
}

/// Cuts a decimal to 38 digits: the whole part is kept, of the fraction at least 6 digits.
pub fn adjust(precision: u32, scale: u32) -> TypeKind {
    const MAX: u32 = MAX_DECIMAL_PRECISION as u32;
    if precision <= MAX {
        return K::Decimal { precision: precision as u8, scale: scale as u8 };
    }
    let whole = precision - scale;
    let scale = scale.min(6).max(MAX.saturating_sub(whole));
    K::Decimal { precision: MAX as u8, scale: scale.min(MAX) as u8 }
}

/// The result type of `+ - * / %` over two decimals (Flink's `LogicalTypeMerging`).
pub fn decimal_result(op: char, (p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> TypeKind {
    let (p1, s1, p2, s2) = (u32::from(p1), u32::from(s1), u32::from(p2), u32::from(s2));
    match op {
        '*' => adjust(p1 + p2 + 1, s1 + s2),
        '/' => {
            let scale = (s1 + p2 + 1).max(6);
            adjust(p1 - s1 + s2 + scale, scale)
        }
        '%' => {
            let scale = s1.max(s2);
            // Of whole numbers the divisor's type.
            let digits = if scale == 0 { p2 } else { (p1 - s1).min(p2 - s2) };
            adjust(digits + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            adjust((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
    }
}

fn rank(kind: &TypeKind) -> u8 {
    match kind {
        K::TinyInt => 1,
        K::SmallInt => 2,
        K::Int => 3,
        K::BigInt => 4,
        K::Decimal { .. } => 5,
        K::Float => 6,
        K::Double => 7,
        _ => 0,
    }
}

/// What becomes of a DATE or a TIME beside a TIMESTAMP.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    /// A DATE becomes a TIMESTAMP, a TIME has nothing in common with one: so it is for operators.
    Timestamp,
    /// The TIMESTAMP becomes a DATE or a TIME.
    DateOrTime,
}

/// The type that all values can be brought to without loss, or `None`.
pub fn least_common_type(types: &[LogicalType]) -> Option<LogicalType> {
    common_type(types, Beside::Timestamp)
}

/// The type that the arguments of Flink's own functions, COALESCE and ARRAY_CONCAT among them, are brought to: of a DATE or
/// TIME and a TIMESTAMP it is the first one's, though digits are lost.
pub fn function_common_type(types: &[LogicalType]) -> Option<LogicalType> {
    common_type(types, Beside::DateOrTime)
}

fn common_type(types: &[LogicalType], beside: Beside) -> Option<LogicalType> {
    let nullable = types.iter().any(|t| t.nullable || t.kind == K::Null);
    let mut typed = types.iter().filter(|t| t.kind != K::Null);
    let Some(first) = typed.next() else { return types.first().cloned() };
    let mut kind = first.kind.clone();
    for t in typed {
        kind = common(&kind, &t.kind, beside)?;
    }
    Some(LogicalType { kind, nullable })
}

fn common(a: &TypeKind, b: &TypeKind, beside: Beside) -> Option<TypeKind> {
    if a == b {
        return Some(a.clone());
    }
    let both = |x: &LogicalType, y: &LogicalType| Some(Box::new(common_type(&[x.clone(), y.clone()], beside)?));
    Some(match (a, b) {
        (K::Char(x), K::Char(y)) if x == y => K::Char(*x),
        (K::Char(x) | K::VarChar(x), K::Char(y) | K::VarChar(y)) => K::VarChar(*x.max(y)),
        (K::Binary(x) | K::VarBinary(x), K::Binary(y) | K::VarBinary(y)) => K::VarBinary(*x.max(y)),
        (x, y) if x.is_numeric() && y.is_numeric() => {
            if x.is_approximate() || y.is_approximate() {
                // FLOAT stays FLOAT beside integers; a DECIMAL needs the digits of a DOUBLE.
                let wide = |k: &TypeKind| matches!(k, K::Double | K::Decimal { .. });
                if wide(x) || wide(y) { K::Double } else { K::Float }
            } else if matches!(x, K::Decimal { .. }) || matches!(y, K::Decimal { .. }) {
                let ((p1, s1), (p2, s2)) = (as_decimal(x)?, as_decimal(y)?);
                let whole = (p1 - s1).max(p2 - s2);
                let scale = s1.max(s2).min(MAX_DECIMAL_PRECISION - whole);
                K::Decimal { precision: whole + scale, scale }
            } else if rank(x) > rank(y) {
                x.clone()
            } else {
                y.clone()
            }
        }
        (K::Timestamp(p, a), K::Timestamp(q, b)) => K::Timestamp(*p.max(q), same_attribute(*a, *b)),
        (K::TimestampLtz(p, a), K::TimestampLtz(q, b)) => K::TimestampLtz(*p.max(q), same_attribute(*a, *b)),
        (K::Timestamp(p, _), K::TimestampLtz(q, _)) | (K::TimestampLtz(q, _), K::Timestamp(p, _)) => {
            K::timestamp_ltz(*p.max(q))
        }
        (short @ (K::Date | K::Time(_)), K::Timestamp(..)) | (K::Timestamp(..), short @ (K::Date | K::Time(_)))
            if beside == Beside::DateOrTime =>
        {
            short.clone()
        }
        (K::Date, K::TimestampLtz(..)) | (K::TimestampLtz(..), K::Date) if beside == Beside::DateOrTime => return None,
        (K::Date, K::Timestamp(p, _)) | (K::Timestamp(p, _), K::Date) => K::timestamp(*p),
        (K::Date, K::TimestampLtz(p, _)) | (K::TimestampLtz(p, _), K::Date) => K::timestamp_ltz(*p),
        (K::Time(p), K::Time(q)) => K::Time(*p.max(q)),
        (K::IntervalYearMonth(..), K::IntervalYearMonth(..)) | (K::IntervalDayTime(..), K::IntervalDayTime(..)) => {
            interval_in_query(a.clone())
        }
        (K::Array(x), K::Array(y)) => K::Array(both(x, y)?),
        (K::Multiset(x), K::Multiset(y)) => K::Multiset(both(x, y)?),
        (K::Map(k, v), K::Map(l, w)) => K::Map(both(k, l)?, both(v, w)?),
        (K::Row(x), K::Row(y)) if x.len() == y.len() => K::Row(common_fields(x, y, beside)?),
        (K::Structured(c, x), K::Structured(d, y))
            if c == d && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| x.name == y.name) =>
        {
            K::Structured(c.clone(), common_fields(x, y, beside)?)
        }
        _ => return None,
    })
}

fn common_fields(x: &[RowField], y: &[RowField], beside: Beside) -> Option<Vec<RowField>> {
    let common = |(a, b): (&RowField, &RowField)| {
        Some(RowField::new(&a.name, common_type(&[a.data_type.clone(), b.data_type.clone()], beside)?))
    };
    x.iter().zip(y).map(common).collect()
}

fn same_attribute(a: TimeAttribute, b: TimeAttribute) -> TimeAttribute {
    if a == b { a } else { TimeAttribute::None }
}

/// Whether a value may stand where another type is wanted without a word (Flink's `LogicalTypeCasts`).
pub fn implicit_cast(from: &LogicalType, to: &LogicalType) -> bool {
    match (&from.kind, &to.kind) {
        (K::Null, _) => to.nullable,
        (a, b) if a == b => true,
        // A text is never padded, nor a byte string, without being asked for.
        (K::Char(_), K::Char(_)) | (K::Binary(_), K::Binary(_)) => true,
        (K::Char(_) | K::VarChar(_), K::VarChar(_)) | (K::Binary(_) | K::VarBinary(_), K::VarBinary(_)) => true,
        (a, K::Double | K::Decimal { .. }) if a.is_numeric() => true,
        (a, K::Float) => a.is_numeric() && *a != K::Double,
        (a, b) if a.is_integer() && b.is_integer() => rank(a) <= rank(b),
        (K::Timestamp(..) | K::TimestampLtz(..), K::Timestamp(..) | K::TimestampLtz(..)) => true,
        (K::Timestamp(..), K::Date | K::Time(_)) | (K::Time(_), K::Time(_)) => true,
        (K::IntervalYearMonth(..), K::IntervalYearMonth(..)) | (K::IntervalDayTime(..), K::IntervalDayTime(..)) => true,
        (K::Array(a), K::Array(b)) | (K::Multiset(a), K::Multiset(b)) => implicit_cast(a, b),
        (K::Map(k, v), K::Map(l, w)) => implicit_cast(k, l) && implicit_cast(v, w),
        (K::Row(a) | K::Structured(_, a), K::Row(b) | K::Structured(_, b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| implicit_cast(&x.data_type, &y.data_type))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> LogicalType {
        text.parse().expect("a type")
    }

    #[test]
    fn least_common_types() {
        for (types, expected) in [
            (vec!["INT", "BIGINT"], Some("BIGINT")),
            (vec!["INT NOT NULL", "NULL"], Some("INT")),
            (vec!["DECIMAL(10, 2)", "INT"], Some("DECIMAL(12, 2)")),
            (vec!["INT", "FLOAT"], Some("FLOAT")),
            (vec!["FLOAT", "DOUBLE"], Some("DOUBLE")),
            (vec!["INT", "BIGINT", "DECIMAL(2, 2)"], Some("DECIMAL(21, 2)")),
            (vec!["DECIMAL(38, 10)", "DECIMAL(38, 2)"], Some("DECIMAL(38, 2)")),
            (vec!["CHAR(3) NOT NULL", "VARCHAR(5) NOT NULL"], Some("VARCHAR(5) NOT NULL")),
            (vec!["FLOAT", "DECIMAL(5, 2)"], Some("DOUBLE")),
            (vec!["DATE", "TIMESTAMP(3)"], Some("TIMESTAMP(3)")),
            (vec!["INT", "STRING"], None),
            (vec!["ARRAY<INT>", "ARRAY<DOUBLE>"], Some("ARRAY<DOUBLE>")),
        ] {
            let types: Vec<_> = types.iter().map(|x| t(x)).collect();
            assert_eq!(least_common_type(&types).map(|t| t.to_string()).as_deref(), expected, "{types:?}");
        }
    }

    #[test]
    fn common_types_of_functions() {
        for (types, operators, functions) in [
            (["DATE", "TIMESTAMP(3)"], Some("TIMESTAMP(3)"), Some("DATE")),
            (["TIMESTAMP(6)", "TIME(0)"], None, Some("TIME(0)")),
            (["DATE", "TIMESTAMP_LTZ(3)"], Some("TIMESTAMP_LTZ(3)"), None),
            (["TIME(3)", "TIMESTAMP_LTZ(3)"], None, None),
            (["DATE", "TIME(0)"], None, None),
            (["ARRAY<TIMESTAMP(3)>", "ARRAY<DATE>"], Some("ARRAY<TIMESTAMP(3)>"), Some("ARRAY<DATE>")),
            (["MAP<INT, TIME(3)>", "MAP<BIGINT, TIMESTAMP(0)>"], None, Some("MAP<BIGINT, TIME(3)>")),
            (["INT", "BIGINT"], Some("BIGINT"), Some("BIGINT")),
        ] {
            let types = types.map(t);
            let text = |t: Option<LogicalType>| t.map(|t| t.to_string());
            assert_eq!(text(least_common_type(&types)).as_deref(), operators, "{types:?}");
            assert_eq!(text(function_common_type(&types)).as_deref(), functions, "{types:?}");
        }
    }

    #[test]
    fn results_of_decimal_arithmetic() {
        let d = |p, s| K::Decimal { precision: p, scale: s };
        assert_eq!(decimal_result('+', (10, 2), (5, 4)), d(13, 4));
        assert_eq!(decimal_result('*', (10, 2), (5, 4)), d(16, 6));
        assert_eq!(decimal_result('*', (30, 10), (30, 10)), d(38, 6));
        assert_eq!(decimal_result('*', (30, 20), (30, 20)), d(38, 17));
        assert_eq!(decimal_result('/', (32, 8), (38, 8)), d(38, 6));
        assert_eq!(decimal_result('/', (30, 20), (30, 20)), d(38, 8));
        assert_eq!(decimal_result('/', (10, 2), (5, 4)), d(20, 8));
        assert_eq!(decimal_result('%', (10, 2), (5, 4)), d(5, 4));
        assert_eq!(decimal_result('%', (3, 0), (19, 0)), d(19, 0));
        assert_eq!(decimal_result('*', (38, 10), (38, 10)), d(38, 6));
    }

    #[test]
    fn implicit_casts() {
        for (from, to, fits) in [
            ("INT", "BIGINT", true),
            ("BIGINT", "INT", false),
            ("DOUBLE", "DECIMAL(10, 2)", true),
            ("DECIMAL(10, 2)", "FLOAT", true),
            ("DOUBLE", "FLOAT", false),
            ("CHAR(3)", "VARCHAR(2)", true),
            ("VARCHAR(3)", "CHAR(3)", false),
            ("STRING", "INT", false),
            ("TIMESTAMP(9)", "TIMESTAMP_LTZ(3)", true),
            ("TIMESTAMP(3)", "DATE", true),
            ("TIMESTAMP_LTZ(3)", "DATE", false),
            ("DATE", "TIMESTAMP(3)", false),
            ("ARRAY<INT>", "ARRAY<BIGINT>", true),
            ("ROW<a INT>", "ROW<b BIGINT>", true),
            ("ROW<a INT>", "ROW<b BIGINT, c INT>", false),
        ] {
            assert_eq!(implicit_cast(&t(from), &t(to)), fits, "{from} -> {to}");
        }
    }
}
