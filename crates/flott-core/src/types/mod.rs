//! Flink's logical types, how they are written, and how they lie in Arrow.

mod arrow;
mod map;
mod parse;

use std::fmt;

pub use arrow::{TYPE_METADATA_KEY, arrow_field, arrow_schema, arrow_type, from_arrow_field};
pub use map::{has_null_key, map_array, map_entries, map_entries_key, map_key_field, map_keys, with_nullable_keys};
pub use parse::{TYPE_DEPTH_MAX, is_class_name};

/// The length of `STRING` (`VARCHAR(2147483647)`) and `BYTES`.
pub const MAX_LENGTH: u32 = i32::MAX as u32;
/// Flink's largest decimal precision.
pub const MAX_DECIMAL_PRECISION: u8 = 38;

/// Whether a timestamp column drives time (Flink's `TimestampKind`). Lost by most expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimeAttribute {
    /// An ordinary column.
    #[default]
    None,
    /// Event time: a watermark is declared on it.
    Rowtime,
    /// Processing time.
    Proctime,
}

/// Fields of a year-month interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum YearMonthResolution {
    /// `YEAR`
    Year,
    /// `YEAR TO MONTH`
    YearToMonth,
    /// `MONTH`
    Month,
}

/// Fields of a day-time interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum DayTimeResolution {
    Day,
    DayToHour,
    DayToMinute,
    DayToSecond,
    Hour,
    HourToMinute,
    HourToSecond,
    Minute,
    MinuteToSecond,
    Second,
}

/// A field of a `ROW`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: LogicalType,
    /// Its comment.
    pub comment: Option<String>,
}

impl RowField {
    /// A field without comment.
    pub fn new(name: impl Into<String>, data_type: LogicalType) -> RowField {
        RowField { name: name.into(), data_type, comment: None }
    }
}

/// A type without its nullability (Flink's `LogicalTypeRoot` with parameters).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the SQL words")]
pub enum TypeKind {
    Null,
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    /// Length in characters.
    Char(u32),
    /// Length in characters; [`MAX_LENGTH`] is `STRING`.
    VarChar(u32),
    /// Length in bytes.
    Binary(u32),
    /// Length in bytes; [`MAX_LENGTH`] is `BYTES`.
    VarBinary(u32),
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    /// Fractional digits, 0 to 9.
    Time(u8),
    /// Fractional digits, 0 to 9, and whether it drives time.
    Timestamp(u8, TimeAttribute),
    /// `TIMESTAMP_LTZ`: an instant.
    TimestampLtz(u8, TimeAttribute),
    /// With the precision of the leading field.
    IntervalYearMonth(YearMonthResolution, u8),
    /// With the precisions of the leading field and of the seconds' fraction.
    IntervalDayTime(DayTimeResolution, u8, u8),
    Array(Box<LogicalType>),
    Map(Box<LogicalType>, Box<LogicalType>),
    Multiset(Box<LogicalType>),
    Row(Vec<RowField>),
    /// A row under the name of a class.
    Structured(String, Vec<RowField>),
    /// Data that says itself what it is, in Parquet's variant encoding: metadata and value, one behind the other.
    Variant,
    /// A set of 32-bit numbers: a serialised Roaring bitmap.
    Bitmap,
}

/// A Flink type with its nullability; nullable unless said otherwise, as in Flink.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogicalType {
    /// The type.
    pub kind: TypeKind,
    /// Whether NULL is a value of it.
    pub nullable: bool,
}

impl From<TypeKind> for LogicalType {
    fn from(kind: TypeKind) -> LogicalType {
        LogicalType { kind, nullable: true }
    }
}

impl TypeKind {
    /// `STRING`.
    pub const STRING: TypeKind = TypeKind::VarChar(MAX_LENGTH);
    /// `BYTES`.
    pub const BYTES: TypeKind = TypeKind::VarBinary(MAX_LENGTH);

    /// A plain timestamp.
    pub const fn timestamp(precision: u8) -> TypeKind {
        TypeKind::Timestamp(precision, TimeAttribute::None)
    }

    /// A plain instant.
    pub const fn timestamp_ltz(precision: u8) -> TypeKind {
        TypeKind::TimestampLtz(precision, TimeAttribute::None)
    }

    /// `TINYINT` to `BIGINT`.
    pub fn is_integer(&self) -> bool {
        matches!(self, TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt)
    }

    /// Integers, decimals and floating-point numbers.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || self.is_approximate() || matches!(self, TypeKind::Decimal { .. })
    }

    /// `FLOAT` and `DOUBLE`.
    pub fn is_approximate(&self) -> bool {
        matches!(self, TypeKind::Float | TypeKind::Double)
    }

    /// `CHAR` and `VARCHAR`.
    pub fn is_character(&self) -> bool {
        matches!(self, TypeKind::Char(_) | TypeKind::VarChar(_))
    }

    /// `BINARY` and `VARBINARY`.
    pub fn is_binary(&self) -> bool {
        matches!(self, TypeKind::Binary(_) | TypeKind::VarBinary(_))
    }

    /// `TIMESTAMP` and `TIMESTAMP_LTZ`.
    pub fn is_timestamp(&self) -> bool {
        matches!(self, TypeKind::Timestamp(..) | TypeKind::TimestampLtz(..))
    }

    /// Dates, times and timestamps.
    pub fn is_datetime(&self) -> bool {
        self.is_timestamp() || matches!(self, TypeKind::Date | TypeKind::Time(_))
    }

    /// The fields of a `ROW` or a structured type.
    pub fn fields(&self) -> Option<&[RowField]> {
        match self {
            TypeKind::Row(fields) | TypeKind::Structured(_, fields) => Some(fields),
            _ => None,
        }
    }

    /// Both kinds of interval.
    pub fn is_interval(&self) -> bool {
        matches!(self, TypeKind::IntervalYearMonth(..) | TypeKind::IntervalDayTime(..))
    }

    /// Whether it drives time.
    pub fn time_attribute(&self) -> TimeAttribute {
        match self {
            TypeKind::Timestamp(_, a) | TypeKind::TimestampLtz(_, a) => *a,
            _ => TimeAttribute::None,
        }
    }

    /// Nullable.
    pub fn nullable(self) -> LogicalType {
        LogicalType { kind: self, nullable: true }
    }

    /// Not null.
    pub fn not_null(self) -> LogicalType {
        LogicalType { kind: self, nullable: false }
    }
}

impl LogicalType {
    /// The same type with this nullability.
    pub fn with_nullable(&self, nullable: bool) -> LogicalType {
        LogicalType { kind: self.kind.clone(), nullable }
    }

    /// The same timestamp type with this time attribute; other types unchanged.
    pub fn with_time_attribute(&self, attribute: TimeAttribute) -> LogicalType {
        let kind = match &self.kind {
            TypeKind::Timestamp(p, _) => TypeKind::Timestamp(*p, attribute),
            TypeKind::TimestampLtz(p, _) => TypeKind::TimestampLtz(*p, attribute),
            other => other.clone(),
        };
        LogicalType { kind, nullable: self.nullable }
    }

    /// Flink's `asSerializableString`: without time attribute, `STRING` as `VARCHAR(2147483647)`.
    pub fn serializable_string(&self) -> String {
        write_type(self, Style::Serializable)
    }

    /// Without `NOT NULL`, as `DESCRIBE` prints it.
    pub fn summary_without_nullability(&self) -> String {
        self.with_nullable(true).to_string()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Summary,
    Serializable,
}

/// Flink's `asSummaryString`: `STRING`, `TIMESTAMP(3) *ROWTIME* NOT NULL`.
impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_type(self, Style::Summary))
    }
}

fn write_type(t: &LogicalType, style: Style) -> String {
    use DayTimeResolution as D;
    let attribute = |a: TimeAttribute| match (style, a) {
        (Style::Summary, TimeAttribute::Rowtime) => " *ROWTIME*",
        (Style::Summary, TimeAttribute::Proctime) => " *PROCTIME*",
        _ => "",
    };
    let text = match &t.kind {
        TypeKind::Null => "NULL".to_string(),
        TypeKind::Boolean => "BOOLEAN".to_string(),
        TypeKind::Variant => "VARIANT".to_string(),
        TypeKind::Bitmap => "BITMAP".to_string(),
        TypeKind::TinyInt => "TINYINT".to_string(),
        TypeKind::SmallInt => "SMALLINT".to_string(),
        TypeKind::Int => "INT".to_string(),
        TypeKind::BigInt => "BIGINT".to_string(),
        TypeKind::Float => "FLOAT".to_string(),
        TypeKind::Double => "DOUBLE".to_string(),
        TypeKind::Char(n) => format!("CHAR({n})"),
        TypeKind::VarChar(MAX_LENGTH) if style == Style::Summary => "STRING".to_string(),
        TypeKind::VarChar(n) => format!("VARCHAR({n})"),
        TypeKind::Binary(n) => format!("BINARY({n})"),
        TypeKind::VarBinary(MAX_LENGTH) if style == Style::Summary => "BYTES".to_string(),
        TypeKind::VarBinary(n) => format!("VARBINARY({n})"),
        TypeKind::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        TypeKind::Date => "DATE".to_string(),
        TypeKind::Time(p) => format!("TIME({p})"),
        TypeKind::Timestamp(p, a) => format!("TIMESTAMP({p}){}", attribute(*a)),
        TypeKind::TimestampLtz(p, a) if style == Style::Summary => format!("TIMESTAMP_LTZ({p}){}", attribute(*a)),
        TypeKind::TimestampLtz(p, _) => format!("TIMESTAMP({p}) WITH LOCAL TIME ZONE"),
        TypeKind::IntervalYearMonth(r, p) => match r {
            YearMonthResolution::Year => format!("INTERVAL YEAR({p})"),
            YearMonthResolution::YearToMonth => format!("INTERVAL YEAR({p}) TO MONTH"),
            YearMonthResolution::Month => "INTERVAL MONTH".to_string(),
        },
        TypeKind::IntervalDayTime(r, p, s) => match r {
            D::Day => format!("INTERVAL DAY({p})"),
            D::DayToHour => format!("INTERVAL DAY({p}) TO HOUR"),
            D::DayToMinute => format!("INTERVAL DAY({p}) TO MINUTE"),
            D::DayToSecond => format!("INTERVAL DAY({p}) TO SECOND({s})"),
            D::Hour => "INTERVAL HOUR".to_string(),
            D::HourToMinute => "INTERVAL HOUR TO MINUTE".to_string(),
            D::HourToSecond => format!("INTERVAL HOUR TO SECOND({s})"),
            D::Minute => "INTERVAL MINUTE".to_string(),
            D::MinuteToSecond => format!("INTERVAL MINUTE TO SECOND({s})"),
            D::Second => format!("INTERVAL SECOND({s})"),
        },
        TypeKind::Array(e) => format!("ARRAY<{}>", write_type(e, style)),
        TypeKind::Map(k, v) => format!("MAP<{}, {}>", write_type(k, style), write_type(v, style)),
        TypeKind::Multiset(e) => format!("MULTISET<{}>", write_type(e, style)),
        TypeKind::Structured(class, fields) => {
            let fields =
                fields.iter().map(|f| format!(", `{}` {}", f.name.replace('`', "``"), write_type(&f.data_type, style)));
            format!("STRUCTURED<'{}'{}>", class.replace('\'', "''"), fields.collect::<String>())
        }
        TypeKind::Row(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|f| {
                    let comment = match &f.comment {
                        Some(c) => format!(" '{}'", c.replace('\'', "''")),
                        None => String::new(),
                    };
                    format!("`{}` {}{comment}", f.name.replace('`', "``"), write_type(&f.data_type, style))
                })
                .collect();
            format!("ROW<{}>", fields.join(", "))
        }
    };
    if t.nullable || t.kind == TypeKind::Null { text } else { format!("{text} NOT NULL") }
}
