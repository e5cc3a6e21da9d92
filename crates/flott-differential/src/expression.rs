//! Typed random expressions.

use flott_core::rng::Rng;

use Type::{BigInt, Boolean, Date, Decimal, Double, Int, String as Str, Timestamp};

/// The types that expressions have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    BigInt,
    Double,
    Decimal,
    String,
    Boolean,
    Date,
    Timestamp,
}

/// All of them.
pub(crate) const TYPES: &[Type] = &[Int, BigInt, Double, Decimal, Str, Boolean, Date, Timestamp];

impl Type {
    /// As it is declared.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Int => "INT",
            BigInt => "BIGINT",
            Double => "DOUBLE",
            Decimal => "DECIMAL(10, 2)",
            Str => "STRING",
            Boolean => "BOOLEAN",
            Date => "DATE",
            Timestamp => "TIMESTAMP(3)",
        }
    }

    fn literals(self) -> &'static [&'static str] {
        match self {
            Int => &["0", "1", "-1", "2", "3", "2147483647", "-2147483648", "CAST(NULL AS INT)"],
            BigInt => &["CAST(0 AS BIGINT)", "CAST(7 AS BIGINT)", "9223372036854775807", "CAST(NULL AS BIGINT)"],
            Double => &["CAST(0.5 AS DOUBLE)", "2.5E0", "-1.0E0", "CAST(NULL AS DOUBLE)"],
            Decimal => &["CAST(1.25 AS DECIMAL(10, 2))", "CAST(0 AS DECIMAL(10, 2))", "CAST(NULL AS DECIMAL(10, 2))"],
            Str => &["'a'", "''", "'Ä'", "'ab '", "CAST('b' AS STRING)", "CAST(NULL AS STRING)"],
            Boolean => &["TRUE", "FALSE", "CAST(NULL AS BOOLEAN)"],
            Date => &["DATE '2024-02-29'", "DATE '1969-12-31'", "CAST(NULL AS DATE)"],
            Timestamp => &["TIMESTAMP '2024-03-31 02:30:00.001'", "CAST(NULL AS TIMESTAMP(3))"],
        }
    }
}

/// Text with a hole, `{}`, for each argument, the arguments' types, and its own. A result of a wider type is cast back, so
/// that what is above it knows its type.
type Form = (&'static str, &'static [Type], Type);

const FORMS: &[Form] = &[
    ("{} + {}", &[Int, Int], Int),
    ("{} - {}", &[Int, Int], Int),
    ("{} * {}", &[Int, Int], Int),
    ("{} / NULLIF({}, 0)", &[Int, Int], Int),
    ("{} % NULLIF({}, 0)", &[Int, Int], Int),
    ("-{}", &[Int], Int),
    ("ABS({})", &[Int], Int),
    ("CHAR_LENGTH({})", &[Str], Int),
    ("POSITION({} IN {})", &[Str, Str], Int),
    ("SIGN({})", &[Int], Int),
    ("ASCII({})", &[Str], Int),
    ("CAST({} AS INT)", &[Boolean], Int),
    ("TRY_CAST({} AS INT)", &[Str], Int),
    ("CAST({} AS INT)", &[Double], Int),
    ("CAST({} AS INT)", &[BigInt], Int),
    ("TIMESTAMPDIFF(DAY, {}, {})", &[Timestamp, Timestamp], Int),
    ("CAST({} AS BIGINT)", &[Int], BigInt),
    ("{} + {}", &[BigInt, BigInt], BigInt),
    ("{} - {}", &[BigInt, Int], BigInt),
    ("{} * {}", &[BigInt, BigInt], BigInt),
    ("{} / NULLIF({}, 0)", &[BigInt, Int], BigInt),
    ("ABS({})", &[BigInt], BigInt),
    ("EXTRACT(YEAR FROM {})", &[Date], BigInt),
    ("EXTRACT(MONTH FROM {})", &[Date], BigInt),
    ("EXTRACT(DOW FROM {})", &[Date], BigInt),
    ("EXTRACT(WEEK FROM {})", &[Date], BigInt),
    ("QUARTER({})", &[Date], BigInt),
    ("CAST({} AS BIGINT)", &[Decimal], BigInt),
    ("CAST({} AS DOUBLE)", &[Int], Double),
    ("CAST({} AS DOUBLE)", &[Decimal], Double),
    ("{} + {}", &[Double, Double], Double),
    ("{} * {}", &[Double, Double], Double),
    ("{} - {}", &[Double, Int], Double),
    ("{} / {}", &[Double, Double], Double),
    ("FLOOR({})", &[Double], Double),
    ("CEIL({})", &[Double], Double),
    ("TRY_CAST(ROUND({}, 1) AS DECIMAL(10, 2))", &[Decimal], Decimal),
    ("ABS({})", &[Double], Double),
    ("TRY_CAST({} AS DOUBLE)", &[Str], Double),
    ("TRY_CAST({} + {} AS DECIMAL(10, 2))", &[Decimal, Decimal], Decimal),
    ("TRY_CAST({} - {} AS DECIMAL(10, 2))", &[Decimal, Decimal], Decimal),
    ("TRY_CAST({} * {} AS DECIMAL(10, 2))", &[Decimal, Decimal], Decimal),
    ("TRY_CAST({} / {} AS DECIMAL(10, 2))", &[Decimal, Int], Decimal),
    ("TRY_CAST({} AS DECIMAL(10, 2))", &[Int], Decimal),
    ("ABS({})", &[Decimal], Decimal),
    ("UPPER({})", &[Str], Str),
    ("LOWER({})", &[Str], Str),
    ("{} || {}", &[Str, Str], Str),
    ("SUBSTRING({}, 1, 2)", &[Str], Str),
    ("SUBSTRING({}, {})", &[Str, Int], Str),
    ("TRIM({})", &[Str], Str),
    ("REPLACE({}, {}, 'x')", &[Str, Str], Str),
    ("LPAD({}, 4, '*')", &[Str], Str),
    ("REVERSE({})", &[Str], Str),
    ("INITCAP({})", &[Str], Str),
    ("CONCAT_WS('-', {}, {})", &[Str, Str], Str),
    ("CAST({} AS STRING)", &[Int], Str),
    ("CAST({} AS STRING)", &[BigInt], Str),
    ("CAST({} AS STRING)", &[Double], Str),
    ("CAST({} AS STRING)", &[Decimal], Str),
    ("CAST({} AS STRING)", &[Boolean], Str),
    ("CAST({} AS STRING)", &[Date], Str),
    ("CAST({} AS STRING)", &[Timestamp], Str),
    ("DATE_FORMAT({}, 'yyyy-MM-dd HH:mm')", &[Timestamp], Str),
    ("MD5({})", &[Str], Str),
    ("{} AND {}", &[Boolean, Boolean], Boolean),
    ("{} OR {}", &[Boolean, Boolean], Boolean),
    ("NOT {}", &[Boolean], Boolean),
    ("{} IS TRUE", &[Boolean], Boolean),
    ("{} IS NOT FALSE", &[Boolean], Boolean),
    ("{} LIKE '%a%'", &[Str], Boolean),
    ("{} LIKE {}", &[Str, Str], Boolean),
    ("{} SIMILAR TO '[a-b]*'", &[Str], Boolean),
    ("{} IN ('a', 'b', {})", &[Str, Str], Boolean),
    ("{} NOT IN (1, 2, {})", &[Int, Int], Boolean),
    ("{} BETWEEN {} AND {}", &[Int, Int, Int], Boolean),
    ("{} NOT BETWEEN {} AND {}", &[Double, Double, Double], Boolean),
    ("CAST({} AS BOOLEAN)", &[Int], Boolean),
    ("{} = {}", &[Int, BigInt], Boolean),
    ("{} < {}", &[Int, Double], Boolean),
    ("{} >= {}", &[Decimal, Int], Boolean),
    ("{} <> {}", &[Decimal, Double], Boolean),
    ("CAST({} AS DATE)", &[Timestamp], Date),
    ("{} + INTERVAL '1' DAY", &[Date], Date),
    ("{} - INTERVAL '1' MONTH", &[Date], Date),
    ("TRY_CAST({} AS DATE)", &[Str], Date),
    ("CAST({} AS TIMESTAMP(3))", &[Date], Timestamp),
    ("{} + INTERVAL '1' HOUR", &[Timestamp], Timestamp),
    ("{} - INTERVAL '1' YEAR", &[Timestamp], Timestamp),
    ("TIMESTAMPADD(MINUTE, 90, {})", &[Timestamp], Timestamp),
    ("FLOOR({} TO DAY)", &[Timestamp], Timestamp),
    ("CEIL({} TO HOUR)", &[Timestamp], Timestamp),
];

/// Forms that take any type `T`: `true` marks an argument of that type, `false` a condition; the result is of `T` or a
/// condition.
const GENERIC: &[(&str, &[bool], bool)] = &[
    ("COALESCE({}, {})", &[true, true], true),
    ("NULLIF({}, {})", &[true, true], true),
    ("CASE WHEN {} THEN {} ELSE {} END", &[false, true, true], true),
    ("CASE WHEN {} THEN {} END", &[false, true], true),
    ("IF({}, {}, {})", &[false, true, true], true),
    ("CASE {} WHEN {} THEN {} ELSE {} END", &[true, true, true, true], true),
    ("{} = {}", &[true, true], false),
    ("{} <> {}", &[true, true], false),
    ("{} < {}", &[true, true], false),
    ("{} >= {}", &[true, true], false),
    ("{} IS NULL", &[true], false),
    ("{} IS NOT NULL", &[true], false),
    ("{} IS NOT DISTINCT FROM {}", &[true, true], false),
    ("{} IS DISTINCT FROM {}", &[true, true], false),
];

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// A column or a literal.
    Leaf(String, Type),
    /// A form and its arguments.
    Call(&'static str, Vec<Expression>, Type),
}

/// Columns that can be used: as they are written, and their types.
pub(crate) type Scope = Vec<(String, Type)>;

impl Expression {
    pub(crate) fn kind(&self) -> Type {
        match self {
            Expression::Leaf(_, t) | Expression::Call(_, _, t) => *t,
        }
    }

    pub(crate) fn sql(&self) -> String {
        match self {
            Expression::Leaf(text, _) => text.clone(),
            Expression::Call(form, arguments, _) => fill(form, arguments),
        }
    }

    /// One of this type over these columns.
    pub(crate) fn random(rng: &mut Rng, scope: &Scope, kind: Type, depth: usize) -> Expression {
        if depth == 0 || rng.below(4) == 0 {
            return Expression::leaf(rng, scope, kind);
        }
        if rng.below(3) == 0 {
            let forms: Vec<_> = GENERIC.iter().filter(|(_, _, own)| *own || kind == Boolean).collect();
            let (form, arguments, own) = *pick(rng, &forms);
            // What is compared is mostly a column's type.
            let of = if *own { kind } else { scope.get(rng.below(scope.len() as u64) as usize).map_or(Int, |c| c.1) };
            let argument =
                |is_own: &bool| Expression::random(rng, scope, if *is_own { of } else { Boolean }, depth - 1);
            let arguments = arguments.iter().map(argument).collect();
            return Expression::Call(form, arguments, kind);
        }
        let forms: Vec<&Form> = FORMS.iter().filter(|(_, _, t)| *t == kind).collect();
        if forms.is_empty() {
            return Expression::leaf(rng, scope, kind);
        }
        let (form, arguments, _) = **pick(rng, &forms);
        let arguments = arguments.iter().map(|t| Expression::random(rng, scope, *t, depth - 1)).collect();
        Expression::Call(form, arguments, kind)
    }

    fn leaf(rng: &mut Rng, scope: &Scope, kind: Type) -> Expression {
        let columns: Vec<&(String, Type)> = scope.iter().filter(|(_, t)| *t == kind).collect();
        if !columns.is_empty() && rng.below(5) > 0 {
            return Expression::Leaf(pick(rng, &columns).0.clone(), kind);
        }
        Expression::Leaf((*pick(rng, kind.literals())).to_string(), kind)
    }

    /// Smaller ones of the same type, the smallest first.
    pub(crate) fn smaller(&self) -> Vec<Expression> {
        let Expression::Call(form, arguments, kind) = self else { return vec![] };
        let mut all: Vec<Expression> = arguments.iter().filter(|a| a.kind() == *kind).cloned().collect();
        all.extend(kind.literals().iter().map(|l| Expression::Leaf((*l).to_string(), *kind)));
        for (i, argument) in arguments.iter().enumerate() {
            let mut simple = argument.smaller();
            if !matches!(argument, Expression::Leaf(..)) || simple.is_empty() {
                simple.extend(
                    argument.kind().literals().first().map(|l| Expression::Leaf((*l).to_string(), argument.kind())),
                );
            }
            for smaller in simple.into_iter().filter(|s| s != argument) {
                let mut arguments = arguments.clone();
                arguments[i] = smaller;
                all.push(Expression::Call(form, arguments, *kind));
            }
        }
        all
    }
}

fn fill(form: &str, arguments: &[Expression]) -> String {
    let mut parts = form.split("{}");
    let mut text = parts.next().unwrap_or_default().to_string();
    for (argument, rest) in arguments.iter().zip(parts) {
        match argument {
            // Two signs make a comment.
            Expression::Leaf(leaf, _) if !leaf.starts_with('-') => text.push_str(leaf),
            _ => {
                text.push('(');
                text.push_str(&argument.sql());
                text.push(')');
            }
        }
        text.push_str(rest);
    }
    text
}

/// One of several, which are not none.
pub(crate) fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.below(of.len() as u64) as usize]
}
