//! From a column's type and options to what generates it.

use arrow_schema::Field;
use flott_core::types::{MAX_LENGTH, RowField, TypeKind, arrow_field};
use flott_core::{Error, LogicalType, Result, time_text};

use super::options::FieldOptions;
use super::random;

/// Length of random STRING and BYTES where none is given.
const TEXT_LENGTH_DEFAULT: u32 = 100;
/// Elements of random collections where no length is given.
const COLLECTION_LENGTH_DEFAULT: u32 = 3;
/// Largest number of random year-month intervals, in months.
const MONTHS_MAX: i64 = 120_000;
/// Largest count of an element in a random MULTISET.
const MULTISET_COUNT_MAX: i64 = 10;
/// A random row takes at most about so many bytes.
pub const ROW_BYTES_MAX: u64 = 256 << 20;

/// One column, or a nested field of one.
#[derive(Debug, Clone)]
pub(super) struct FieldPlan {
    pub(super) field: Field,
    pub(super) generator: Generator,
    /// Values whose 32 random bits lie below this are NULL.
    pub(super) null_below: u64,
    /// Tells the random numbers of this column from those of others.
    pub(super) salt: u64,
}

/// How values are made.
#[derive(Debug, Clone)]
pub(super) enum Generator {
    Boolean,
    /// Integers and intervals.
    Integer {
        min: i64,
        max: i64,
    },
    Float {
        min: f64,
        max: f64,
    },
    Decimal {
        min: i128,
        max: i128,
    },
    /// Hexadecimal digits.
    Text(Length),
    Bytes(Length),
    /// The current date.
    Date,
    /// The current time of day.
    Time,
    /// The current time, less something up to this.
    PastTimestamp {
        max_past_ms: u64,
    },
    Array {
        length: u32,
        element: Box<FieldPlan>,
    },
    Map {
        length: u32,
        key: Box<FieldPlan>,
        value: Box<FieldPlan>,
    },
    Row(Vec<FieldPlan>),
    /// `start` + the row's number, in the form of the column's type.
    Sequence {
        start: i64,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub(super) max: u32,
    /// From 1 to `max`.
    pub(super) variable: bool,
}

/// A column and the number of rows that its sequence has.
pub(super) fn column(name: &str, t: &LogicalType, options: &mut FieldOptions<'_>) -> Result<(FieldPlan, Option<u64>)> {
    let in_column = |e: Error| e.with("column", name);
    let kind = options.text(name, "kind").unwrap_or("random");
    let (plan, rows) = match kind.to_ascii_lowercase().as_str() {
        "random" => (random(name, name, t, options).map_err(in_column)?, None),
        "sequence" => {
            let (start, rows) = sequence(name, t, options).map_err(in_column)?;
            (new_plan(name, name, t, Generator::Sequence { start }), Some(rows))
        }
        other => {
            let near = flott_core::suggest::nearest(other, ["random", "sequence"]);
            return Err(in_column(Error::user(format!("Unsupported generator kind: {other}")).hint(match near {
                Some(near) => format!("Did you mean '{near}'?"),
                None => "Use 'random' or 'sequence'".to_string(),
            })));
        }
    };
    if plan.width() > ROW_BYTES_MAX {
        return Err(in_column(
            Error::user(format!("random values of column '{name}' would take {} MiB each", plan.width() >> 20))
                .hint(format!("Lower its 'fields.{name}.length' options")),
        ));
    }
    Ok((plan, rows))
}

fn new_plan(path: &str, name: &str, t: &LogicalType, generator: Generator) -> FieldPlan {
    FieldPlan { field: arrow_field(name, t), generator, null_below: 0, salt: random::salt(path) }
}

fn unsupported(path: &str, t: &LogicalType, kind: &str) -> Error {
    Error::user(format!("Unsupported type: {t}. The {kind} generator cannot make values of field '{path}'"))
}

fn random(path: &str, name: &str, t: &LogicalType, options: &mut FieldOptions<'_>) -> Result<FieldPlan> {
    let generator = match &t.kind {
        TypeKind::Boolean => Generator::Boolean,
        TypeKind::TinyInt => integer(path, i64::from(i8::MIN), i64::from(i8::MAX), None, options)?,
        TypeKind::SmallInt => integer(path, i64::from(i16::MIN), i64::from(i16::MAX), None, options)?,
        TypeKind::Int => integer(path, i64::from(i32::MIN), i64::from(i32::MAX), None, options)?,
        TypeKind::BigInt | TypeKind::IntervalDayTime(..) => integer(path, i64::MIN, i64::MAX, None, options)?,
        TypeKind::IntervalYearMonth(..) => {
            integer(path, i64::from(i32::MIN), i64::from(i32::MAX), Some((0, MONTHS_MAX)), options)?
        }
        // Java's MIN_VALUE, Flink's default, is the smallest positive number.
        TypeKind::Float => {
            float(path, f64::from(f32::from_bits(1)), f64::from(f32::MAX), f64::from(f32::MAX), options)?
        }
        TypeKind::Double => float(path, f64::from_bits(1), f64::MAX, f64::MAX, options)?,
        TypeKind::Decimal { precision, scale } => decimal(path, *precision, *scale, options)?,
        TypeKind::Char(n) => Generator::Text(fixed_length(path, *n, options)?),
        TypeKind::Binary(n) => Generator::Bytes(fixed_length(path, *n, options)?),
        TypeKind::VarChar(n) => Generator::Text(variable_length(path, *n, options)?),
        TypeKind::VarBinary(n) => Generator::Bytes(variable_length(path, *n, options)?),
        TypeKind::Date => Generator::Date,
        TypeKind::Time(_) => Generator::Time,
        TypeKind::Timestamp(..) | TypeKind::TimestampLtz(..) => {
            let past =
                options.value(path, "max-past", "a duration such as '5 s'", |v| time_text::parse_duration(v).ok())?;
            let ms = past.unwrap_or_default().as_millis();
            Generator::PastTimestamp { max_past_ms: u64::try_from(ms).unwrap_or(u64::MAX).min(i64::MAX as u64) }
        }
        TypeKind::Array(element) => {
            let length = collection_length(path, options)?;
            Generator::Array { length, element: Box::new(child(path, "element", "item", element, options)?) }
        }
        TypeKind::Map(key, value) => {
            let length = collection_length(path, options)?;
            let key = Box::new(map_key(path, "key", key, true, options)?);
            Generator::Map { length, key, value: Box::new(child(path, "value", "value", value, options)?) }
        }
        TypeKind::Multiset(element) => {
            let length = collection_length(path, options)?;
            let key = Box::new(map_key(path, "element", element, false, options)?);
            let count = Generator::Integer { min: 0, max: MULTISET_COUNT_MAX };
            let value = new_plan(&format!("{path}.count"), "value", &TypeKind::Int.not_null(), count);
            Generator::Map { length, key, value: Box::new(value) }
        }
        TypeKind::Row(fields) => {
            let fields =
                fields.iter().map(|RowField { name, data_type, .. }| child(path, name, name, data_type, options));
            Generator::Row(fields.collect::<Result<_>>()?)
        }
        TypeKind::Null | TypeKind::Variant | TypeKind::Bitmap | TypeKind::Structured(..) => {
            return Err(unsupported(path, t, "random"));
        }
    };
    check_variable(path, t, options)?;
    let rate = options.value(path, "null-rate", "a number from 0 to 1", |v| {
        v.parse::<f64>().ok().filter(|r| (0.0..=1.0).contains(r))
    })?;
    let rate = rate.unwrap_or(0.0);
    if rate > 0.0 && !t.nullable {
        return Err(Error::user(format!("'fields.{path}.null-rate' asks for NULLs in a NOT NULL field"))
            .with("option", format!("fields.{path}.null-rate"))
            .hint("Declare the field nullable or drop the option"));
    }
    Ok(FieldPlan { null_below: (rate * (1u64 << 32) as f64) as u64, ..new_plan(path, name, t, generator) })
}

fn child(path: &str, part: &str, name: &str, t: &LogicalType, options: &mut FieldOptions<'_>) -> Result<FieldPlan> {
    random(&format!("{path}.{part}"), name, t, options)
}

/// Keys of a MAP may be NULL, elements of a MULTISET are not.
fn map_key(
    path: &str,
    part: &str,
    t: &LogicalType,
    may_be_null: bool,
    options: &mut FieldOptions<'_>,
) -> Result<FieldPlan> {
    if matches!(t.kind, TypeKind::Map(..) | TypeKind::Multiset(_)) {
        return Err(Error::user(format!("Unsupported type: {t}. A map cannot be the key of field '{path}'")));
    }
    let mut key = child(path, part, "key", t, options)?;
    if may_be_null {
        return Ok(key);
    }
    if key.null_below > 0 {
        return Err(Error::user(format!("'fields.{path}.{part}.null-rate': NULL is no element of a MULTISET here"))
            .with("option", format!("fields.{path}.{part}.null-rate"))
            .hint("Drop the option"));
    }
    key.field = key.field.with_nullable(false);
    Ok(key)
}

/// `min` and `max` within the type's bounds; `default` where they differ from them.
fn integer(
    path: &str,
    least: i64,
    most: i64,
    default: Option<(i64, i64)>,
    options: &mut FieldOptions<'_>,
) -> Result<Generator> {
    let expected = format!("an integer from {least} to {most}");
    let parse = |v: &str| v.parse::<i64>().ok().filter(|n| (least..=most).contains(n));
    let (default_min, default_max) = default.unwrap_or((least, most));
    let min = options.value(path, "min", &expected, parse)?.unwrap_or(default_min);
    let max = options.value(path, "max", &expected, parse)?.unwrap_or(default_max);
    if min > max {
        return Err(min_above_max(path, min, max));
    }
    Ok(Generator::Integer { min, max })
}

fn min_above_max(path: &str, min: impl std::fmt::Display, max: impl std::fmt::Display) -> Error {
    Error::user(format!("'fields.{path}.min' ({min}) is above 'fields.{path}.max' ({max})"))
        .with("option", format!("fields.{path}.min"))
        .hint("Set both so that min <= max")
}

fn float(path: &str, min: f64, max: f64, most: f64, options: &mut FieldOptions<'_>) -> Result<Generator> {
    let parse = |v: &str| v.parse::<f64>().ok().filter(|n| n.abs() <= most);
    let min = options.value(path, "min", "a number that the type holds", parse)?.unwrap_or(min);
    let max = options.value(path, "max", "a number that the type holds", parse)?.unwrap_or(max);
    if min > max {
        return Err(min_above_max(path, min, max));
    }
    Ok(Generator::Float { min, max })
}

fn decimal(path: &str, precision: u8, scale: u8, options: &mut FieldOptions<'_>) -> Result<Generator> {
    let parse = |v: &str| v.parse::<f64>().ok().filter(|n| n.is_finite());
    let min = options.value(path, "min", "a number", parse)?;
    let max = options.value(path, "max", "a number", parse)?;
    let largest = 10i128.pow(u32::from(precision)) - 1;
    let unit = 10f64.powi(i32::from(scale));
    // Numbers beyond the type are cut to its bounds, as in Flink; the cast saturates.
    let unscaled = |v: f64, round: fn(f64) -> f64| (round(v * unit) as i128).clamp(-largest, largest);
    let (low, high) = (min.map_or(0, |v| unscaled(v, f64::ceil)), max.map_or(largest, |v| unscaled(v, f64::floor)));
    if low > high {
        return Err(min_above_max(path, min.unwrap_or(0.0), max.unwrap_or(f64::MAX)));
    }
    Ok(Generator::Decimal { min: low, max: high })
}

fn length_option(path: &str, options: &mut FieldOptions<'_>) -> Result<Option<u32>> {
    options.value(path, "length", "a length from 0", |v| v.parse::<u32>().ok().filter(|n| *n <= MAX_LENGTH))
}

fn fixed_length(path: &str, length: u32, options: &mut FieldOptions<'_>) -> Result<Length> {
    if length_option(path, options)?.is_some() {
        return Err(Error::user(format!(
            "Custom length for fixed-length type (CHAR/BINARY) field '{path}' is not supported."
        ))
        .with("option", format!("fields.{path}.length"))
        .hint("Drop the option: the type says the length"));
    }
    Ok(Length { max: length, variable: false })
}

fn variable_length(path: &str, declared: u32, options: &mut FieldOptions<'_>) -> Result<Length> {
    let default = if declared == MAX_LENGTH { TEXT_LENGTH_DEFAULT } else { declared };
    let max = length_option(path, options)?.unwrap_or(default);
    if max > declared {
        return Err(Error::user(format!(
            "Custom length '{max}' for variable-length type (VARCHAR/STRING/VARBINARY/BYTES) field '{path}' should be \
             shorter than '{declared}' defined in the schema."
        ))
        .with("option", format!("fields.{path}.length"))
        .hint("Lower the option or declare a longer type"));
    }
    let variable = options.value(path, "var-len", "'true' or 'false'", boolean)?.unwrap_or(false);
    Ok(Length { max, variable })
}

/// `var-len` is for strings and bytes of variable length only.
fn check_variable(path: &str, t: &LogicalType, options: &mut FieldOptions<'_>) -> Result<()> {
    if matches!(t.kind, TypeKind::VarChar(_) | TypeKind::VarBinary(_)) {
        return Ok(());
    }
    match options.value(path, "var-len", "'true' or 'false'", boolean)? {
        Some(true) => Err(Error::user(format!(
            "Only supports specifying 'fields.#.var-len' option for variable-length types \
             (VARCHAR/STRING/VARBINARY/BYTES). The type of field '{path}' is not within this range."
        ))
        .with("option", format!("fields.{path}.var-len"))
        .hint("Drop the option")),
        _ => Ok(()),
    }
}

fn boolean(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

fn collection_length(path: &str, options: &mut FieldOptions<'_>) -> Result<u32> {
    Ok(length_option(path, options)?.unwrap_or(COLLECTION_LENGTH_DEFAULT))
}

/// The first number of a sequence and how many there are.
fn sequence(path: &str, t: &LogicalType, options: &mut FieldOptions<'_>) -> Result<(i64, u64)> {
    let (least, most) = match &t.kind {
        TypeKind::TinyInt => (i64::from(i8::MIN), i64::from(i8::MAX)),
        TypeKind::SmallInt => (i64::from(i16::MIN), i64::from(i16::MAX)),
        // Flink reads the bounds of approximate and decimal sequences as INT.
        TypeKind::Int | TypeKind::Float | TypeKind::Double => (i64::from(i32::MIN), i64::from(i32::MAX)),
        TypeKind::Decimal { precision, scale } => {
            let whole = 10i128.pow(u32::from(precision - scale)) - 1;
            let whole = i64::try_from(whole.min(i128::from(i32::MAX))).unwrap_or(i64::from(i32::MAX));
            (-whole, whole)
        }
        TypeKind::BigInt | TypeKind::Char(_) | TypeKind::VarChar(_) | TypeKind::Binary(_) | TypeKind::VarBinary(_) => {
            (i64::MIN, i64::MAX)
        }
        _ => return Err(unsupported(path, t, "sequence")),
    };
    let mut bound = |name: &'static str| {
        let key = format!("fields.{path}.{name}");
        let expected = format!("an integer from {least} to {most}");
        let parse = |v: &str| v.parse::<i64>().ok().filter(|n| (least..=most).contains(n));
        options.value(path, name, &expected, parse)?.ok_or_else(|| {
            Error::user(format!("Could not find required property '{key}' for sequence generator."))
                .with("option", &key)
                .hint(format!("Add '{key}' = '…' to the WITH clause"))
        })
    };
    let (start, end) = (bound("start")?, bound("end")?);
    if start > end {
        return Err(Error::user(format!("'fields.{path}.start' ({start}) is above 'fields.{path}.end' ({end})"))
            .with("option", format!("fields.{path}.start"))
            .hint("Sequences count upwards: set both so that start <= end"));
    }
    Ok((start, (end.wrapping_sub(start) as u64).saturating_add(1)))
}

impl FieldPlan {
    /// About how many bytes a value takes.
    pub(super) fn width(&self) -> u64 {
        let many = |length: u32, width: u64| u64::from(length).saturating_mul(width).saturating_add(8);
        match &self.generator {
            Generator::Text(length) | Generator::Bytes(length) => u64::from(length.max) + 4,
            Generator::Array { length, element } => many(*length, element.width()),
            Generator::Map { length, key, value } => many(*length, key.width().saturating_add(value.width())),
            Generator::Row(fields) => fields.iter().fold(0, |sum, f| sum.saturating_add(f.width())),
            Generator::Decimal { .. } => 16,
            _ => 8,
        }
    }
}
