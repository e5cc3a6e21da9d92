//! Rows as text, in the two ways in which Flink writes them.
//!
//! - [`RowText::write_row`]: `+I[1, a, null, 2020-01-01T00:00, {k=v}]`, what Java's `Row.toString` makes of a row's
//!   external values: the `print` connector, tests, changelog logs.
//! - [`RowText::write_result`]: a cell of a result table as the SQL client shows it: `2020-01-01 00:00:00.000`,
//!   `<NULL>`, `TRUE`, `x'01'`.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use flott_core::java_number::{write_double, write_float};
use flott_core::time_text::civil_from_days;
use flott_core::types::{TypeKind, YearMonthResolution, from_arrow_field, map_key_field, map_keys};
use flott_core::variant::{NumberText, Variant};
use flott_core::{ChangeBatch, Error, Result, RowKind, bitmap};

const SECONDS_PER_DAY: i64 = 86_400;

/// Each row of a batch in the style of `Row.toString`.
pub fn row_strings(batch: &ChangeBatch) -> Result<Vec<String>> {
    let text = RowText::new(&batch.rows)?;
    let row = |i| {
        let mut out = String::new();
        text.write_row(batch.kind(i), i, &mut out);
        out
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Each row of a batch as the cells of a result table. `zone_offset` gives the seconds east of UTC of the session's time
/// zone at an instant (seconds since the epoch).
pub fn result_strings(batch: &ChangeBatch, zone_offset: &dyn Fn(i64) -> i32) -> Result<Vec<Vec<String>>> {
    let text = RowText::new(&batch.rows)?;
    let cell = |row, column| {
        let mut out = String::new();
        text.write_result(column, row, zone_offset, &mut out);
        out
    };
    Ok((0..batch.num_rows()).map(|i| (0..batch.rows.num_columns()).map(|c| cell(i, c)).collect()).collect())
}

/// The columns of a batch, ready to be written row by row: types are looked at once a batch, not once a value.
pub struct RowText<'a> {
    columns: Vec<Cells<'a>>,
}

impl<'a> RowText<'a> {
    /// Fails for columns without a Flink type.
    pub fn new(rows: &'a RecordBatch) -> Result<RowText<'a>> {
        let schema = rows.schema_ref();
        let columns = schema.fields().iter().zip(rows.columns()).map(|(f, c)| Cells::new(f, c.as_ref()));
        Ok(RowText { columns: columns.collect::<Result<_>>()? })
    }

    /// `+I[1, a]`.
    pub fn write_row(&self, kind: RowKind, row: usize, out: &mut String) {
        out.push_str(kind.short_string());
        self.write_values(row, out);
    }

    /// `[1, a]`: the row without its kind.
    pub fn write_values(&self, row: usize, out: &mut String) {
        out.push('[');
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            column.write(row, &Style::Java, out);
        }
        out.push(']');
    }

    /// One value as it stands in [`write_row`](Self::write_row).
    pub fn write_value(&self, column: usize, row: usize, out: &mut String) {
        self.columns[column].write(row, &Style::Java, out);
    }

    /// One cell of a result table; NULL is `<NULL>`.
    pub fn write_result(&self, column: usize, row: usize, zone_offset: &dyn Fn(i64) -> i32, out: &mut String) {
        let column = &self.columns[column];
        if column.is_null(row) {
            out.push_str("<NULL>");
        } else {
            column.write(row, &Style::Result { zone_offset }, out);
        }
    }
}

enum Style<'s> {
    Java,
    Result { zone_offset: &'s dyn Fn(i64) -> i32 },
}

impl Style<'_> {
    fn is_java(&self) -> bool {
        matches!(self, Style::Java)
    }
}

/// A column (or the children of a nested one) under its concrete type.
struct Cells<'a> {
    array: &'a dyn Array,
    kind: CellKind<'a>,
}

enum CellKind<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Variant(&'a BinaryArray),
    Bitmap(&'a BinaryArray),
    Date(&'a [i32]),
    Time32(&'a [i32], u8),
    Time64(&'a [i64], i64, u8),
    Timestamp {
        values: &'a [i64],
        units: i64,
        precision: u8,
        instant: bool,
    },
    Months(&'a [i32], YearMonthResolution),
    Millis(&'a [i64]),
    List(&'a ListArray, Box<Cells<'a>>),
    Map(&'a MapArray, Box<Cells<'a>>, Box<Cells<'a>>),
    Row(Vec<Cells<'a>>),
    /// With the fields' names.
    Structured(Vec<(String, Cells<'a>)>),
}

fn units_per_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

impl<'a> Cells<'a> {
    fn new(field: &Field, array: &'a dyn Array) -> Result<Cells<'a>> {
        let unknown = || {
            Error::internal(format!("Arrow type {} has no text form", array.data_type())).with("column", field.name())
        };
        let logical = from_arrow_field(field).ok_or_else(unknown)?;
        let precision = match logical.kind {
            TypeKind::Time(p) | TypeKind::Timestamp(p, _) | TypeKind::TimestampLtz(p, _) => p,
            _ => 0,
        };
        let kind = match array.data_type() {
            DataType::Null => CellKind::Null,
            DataType::Boolean => CellKind::Boolean(array.as_boolean()),
            DataType::Int8 => CellKind::Int8(array.as_primitive()),
            DataType::Int16 => CellKind::Int16(array.as_primitive()),
            DataType::Int32 => CellKind::Int32(array.as_primitive()),
            DataType::Int64 => CellKind::Int64(array.as_primitive()),
            DataType::Float32 => CellKind::Float32(array.as_primitive()),
            DataType::Float64 => CellKind::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => CellKind::Decimal(array.as_primitive(), (*scale).max(0) as u8),
            DataType::Utf8 => CellKind::Text(array.as_string()),
            DataType::Binary => match logical.kind {
                TypeKind::Variant => CellKind::Variant(array.as_binary()),
                TypeKind::Bitmap => CellKind::Bitmap(array.as_binary()),
                _ => CellKind::Bytes(array.as_binary()),
            },
            DataType::Date32 => CellKind::Date(array.as_primitive::<Date32Type>().values()),
            DataType::Time32(TimeUnit::Millisecond) => {
                CellKind::Time32(array.as_primitive::<Time32MillisecondType>().values(), precision)
            }
            DataType::Time64(unit) => {
                let values = match unit {
                    TimeUnit::Microsecond => array.as_primitive::<Time64MicrosecondType>().values(),
                    _ => array.as_primitive::<Time64NanosecondType>().values(),
                };
                CellKind::Time64(values, units_per_second(unit), precision)
            }
            DataType::Timestamp(unit, zone) => {
                let values = match unit {
                    TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                    TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
                    TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
                    TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
                };
                CellKind::Timestamp { values, units: units_per_second(unit), precision, instant: zone.is_some() }
            }
            DataType::Interval(IntervalUnit::YearMonth) => {
                let resolution = match logical.kind {
                    TypeKind::IntervalYearMonth(r, _) => r,
                    _ => YearMonthResolution::YearToMonth,
                };
                CellKind::Months(array.as_primitive::<IntervalYearMonthType>().values(), resolution)
            }
            DataType::Duration(TimeUnit::Millisecond) => {
                CellKind::Millis(array.as_primitive::<DurationMillisecondType>().values())
            }
            DataType::List(element) => {
                let list: &ListArray = array.as_list();
                CellKind::List(list, Box::new(Cells::new(element, list.values().as_ref())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let (_, value) = map.entries_fields();
                let keys = Cells::new(map_key_field(map.entries().fields()), map_keys(map).as_ref())?;
                CellKind::Map(map, Box::new(keys), Box::new(Cells::new(value, map.values().as_ref())?))
            }
            DataType::Struct(fields) => {
                let row: &StructArray = array.as_struct();
                let cells = fields.iter().zip(row.columns()).map(|(f, c)| Cells::new(f, c.as_ref()));
                let cells: Vec<Cells<'_>> = cells.collect::<Result<_>>()?;
                match &logical.kind {
                    TypeKind::Structured(_, fields) => {
                        CellKind::Structured(fields.iter().map(|f| f.name.clone()).zip(cells).collect())
                    }
                    _ => CellKind::Row(cells),
                }
            }
            _ => return Err(unknown()),
        };
        Ok(Cells { array, kind })
    }

    fn is_null(&self, row: usize) -> bool {
        matches!(self.kind, CellKind::Null) || self.array.is_null(row)
    }

    fn write(&self, row: usize, style: &Style<'_>, out: &mut String) {
        if self.is_null(row) {
            out.push_str(if style.is_java() { "null" } else { "NULL" });
            return;
        }
        match &self.kind {
            CellKind::Null => {}
            CellKind::Boolean(a) => out.push_str(match (a.value(row), style.is_java()) {
                (true, true) => "true",
                (false, true) => "false",
                (true, false) => "TRUE",
                (false, false) => "FALSE",
            }),
            CellKind::Int8(a) => put(out, format_args!("{}", a.value(row))),
            CellKind::Int16(a) => put(out, format_args!("{}", a.value(row))),
            CellKind::Int32(a) => put(out, format_args!("{}", a.value(row))),
            CellKind::Int64(a) => put(out, format_args!("{}", a.value(row))),
            CellKind::Float32(a) => write_float(a.value(row), out),
            CellKind::Float64(a) => write_double(a.value(row), out),
            CellKind::Decimal(a, scale) => write_decimal(a.value(row), *scale, out),
            CellKind::Text(a) => out.push_str(a.value(row)),
            CellKind::Bytes(a) => write_bytes(a.value(row), style, out),
            CellKind::Variant(a) => write_variant(a.value(row), style, out),
            CellKind::Bitmap(a) => match bitmap::read(a.value(row)) {
                Ok(set) => out.push_str(&bitmap::to_text(&set)),
                Err(_) => write_bytes(a.value(row), style, out),
            },
            CellKind::Date(a) => write_date(i64::from(a[row]), style, out),
            CellKind::Time32(a, precision) => {
                write_time(i64::from(a[row]) * 1_000_000, style, *precision, out);
            }
            CellKind::Time64(a, units, precision) => {
                write_time(a[row] * (1_000_000_000 / units), style, *precision, out)
            }
            CellKind::Timestamp { values, units, precision, instant } => {
                write_timestamp(values[row], *units, *precision, *instant, style, out);
            }
            CellKind::Months(a, resolution) => write_months(a[row], *resolution, style, out),
            CellKind::Millis(a) => match style {
                Style::Java => write_duration(a[row], out),
                Style::Result { .. } => write_day_time(a[row], out),
            },
            CellKind::List(list, elements) => {
                out.push('[');
                let offsets = list.value_offsets();
                for (n, i) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    elements.write(i as usize, style, out);
                }
                out.push(']');
            }
            CellKind::Map(map, keys, values) => {
                out.push('{');
                let offsets = map.value_offsets();
                for (n, i) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    keys.write(i as usize, style, out);
                    out.push('=');
                    values.write(i as usize, style, out);
                }
                out.push('}');
            }
            CellKind::Structured(fields) => {
                out.push('(');
                for (n, (name, field)) in fields.iter().enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    out.push_str(name);
                    out.push('=');
                    field.write(row, style, out);
                }
                out.push(')');
            }
            CellKind::Row(fields) => {
                out.push_str(if style.is_java() { "+I[" } else { "(" });
                for (n, field) in fields.iter().enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    field.write(row, style, out);
                }
                out.push(if style.is_java() { ']' } else { ')' });
            }
        }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let done = out.write_fmt(text);
    debug_assert!(done.is_ok());
}

/// A decimal without exponent, with all digits of its scale: `1.50`.
pub fn write_decimal(unscaled: i128, scale: u8, out: &mut String) {
    if scale == 0 {
        return put(out, format_args!("{unscaled}"));
    }
    if unscaled < 0 {
        out.push('-');
    }
    let (digits, scale) = (unscaled.unsigned_abs().to_string(), usize::from(scale));
    if digits.len() <= scale {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', scale - digits.len()));
        out.push_str(&digits);
    } else {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        put(out, format_args!("{whole}.{fraction}"));
    }
}

/// A VARIANT as JSON; bytes that are none are shown as they are.
fn write_variant(bytes: &[u8], style: &Style<'_>, out: &mut String) {
    let before = out.len();
    let numbers = NumberText { double: write_double, float: write_float };
    if Variant::read(bytes).and_then(|v| v.write_json(numbers, out)).is_err() {
        out.truncate(before);
        write_bytes(bytes, style, out);
    }
}

fn write_bytes(bytes: &[u8], style: &Style<'_>, out: &mut String) {
    if style.is_java() {
        out.push('[');
        for (i, b) in bytes.iter().enumerate() {
            put(out, format_args!("{}{}", if i > 0 { ", " } else { "" }, *b as i8));
        }
        out.push(']');
    } else {
        out.push_str("x'");
        for b in bytes {
            put(out, format_args!("{b:02x}"));
        }
        out.push('\'');
    }
}

fn write_date(days: i64, style: &Style<'_>, out: &mut String) {
    let (year, month, day) = civil_from_days(days);
    // ISO 8601 wants a sign on years of five digits.
    if style.is_java() && year > 9_999 {
        out.push('+');
    }
    if year < 0 {
        out.push('-');
    }
    put(out, format_args!("{:04}-{month:02}-{day:02}", year.unsigned_abs()));
}

/// `.5` as Java prints fractions: three, six or nine digits.
fn write_java_fraction(nanos: i64, out: &mut String) {
    if nanos == 0 {
    } else if nanos % 1_000_000 == 0 {
        put(out, format_args!(".{:03}", nanos / 1_000_000));
    } else if nanos % 1_000 == 0 {
        put(out, format_args!(".{:06}", nanos / 1_000));
    } else {
        put(out, format_args!(".{nanos:09}"));
    }
}

fn write_time(nanos_of_day: i64, style: &Style<'_>, precision: u8, out: &mut String) {
    let (seconds, nanos) = (nanos_of_day / 1_000_000_000, nanos_of_day % 1_000_000_000);
    let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    put(out, format_args!("{h:02}:{m:02}"));
    if style.is_java() {
        if s != 0 || nanos != 0 {
            put(out, format_args!(":{s:02}"));
            write_java_fraction(nanos, out);
        }
        return;
    }
    put(out, format_args!(":{s:02}"));
    if precision > 0 {
        // Flink stops at the last digit that is not zero, but writes at least one.
        let digits = format!("{nanos:09}");
        let digits = digits[..usize::from(precision.min(9))].trim_end_matches('0');
        put(out, format_args!(".{}", if digits.is_empty() { "0" } else { digits }));
    }
}

fn write_timestamp(value: i64, units: i64, precision: u8, instant: bool, style: &Style<'_>, out: &mut String) {
    let mut seconds = value.div_euclid(units);
    let nanos = value.rem_euclid(units) * (1_000_000_000 / units);
    if let (Style::Result { zone_offset }, true) = (style, instant) {
        seconds += i64::from(zone_offset(seconds));
    }
    write_date(seconds.div_euclid(SECONDS_PER_DAY), style, out);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (h, m, s) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    match style {
        Style::Java => {
            put(out, format_args!("T{h:02}:{m:02}"));
            // An instant always shows its seconds.
            if instant || s != 0 || nanos != 0 {
                put(out, format_args!(":{s:02}"));
                write_java_fraction(nanos, out);
            }
            if instant {
                out.push('Z');
            }
        }
        Style::Result { .. } => {
            put(out, format_args!(" {h:02}:{m:02}:{s:02}"));
            let digits = format!("{nanos:09}");
            let kept = digits.trim_end_matches('0').len().max(usize::from(precision.min(9)));
            if kept > 0 {
                put(out, format_args!(".{}", &digits[..kept]));
            }
        }
    }
}

fn write_months(months: i32, resolution: YearMonthResolution, style: &Style<'_>, out: &mut String) {
    if !style.is_java() {
        let sign = if months < 0 { '-' } else { '+' };
        let months = months.unsigned_abs();
        return put(out, format_args!("{sign}{}-{:02}", months / 12, months % 12));
    }
    let (years, months) = match resolution {
        YearMonthResolution::Month => (0, months),
        YearMonthResolution::Year => (months / 12, 0),
        YearMonthResolution::YearToMonth => (months / 12, months % 12),
    };
    out.push('P');
    if years != 0 {
        put(out, format_args!("{years}Y"));
    }
    if months != 0 {
        put(out, format_args!("{months}M"));
    }
    if years == 0 && months == 0 {
        out.push_str("0D");
    }
}

/// `Duration.toString`: `PT1H30M`, `PT-0.5S`.
fn write_duration(ms: i64, out: &mut String) {
    if ms == 0 {
        return out.push_str("PT0S");
    }
    let (seconds, fraction) = (ms / 1_000, ms % 1_000);
    let (h, m, s) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    out.push_str("PT");
    if h != 0 {
        put(out, format_args!("{h}H"));
    }
    if m != 0 {
        put(out, format_args!("{m}M"));
    }
    if s != 0 || fraction != 0 {
        if s == 0 && fraction < 0 {
            out.push('-');
        }
        put(out, format_args!("{s}"));
        if fraction != 0 {
            let digits = format!("{:03}", fraction.unsigned_abs());
            put(out, format_args!(".{}", digits.trim_end_matches('0')));
        }
        out.push('S');
    }
}

/// `+1 02:03:04.005`.
fn write_day_time(ms: i64, out: &mut String) {
    let sign = if ms < 0 { '-' } else { '+' };
    let ms = ms.unsigned_abs();
    let (d, t) = (ms / 86_400_000, ms % 86_400_000);
    let (h, m, s, f) = (t / 3_600_000, t / 60_000 % 60, t / 1_000 % 60, t % 1_000);
    put(out, format_args!("{sign}{d} {h:02}:{m:02}:{s:02}.{f:03}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(v: f64) -> String {
        let mut out = String::new();
        write_double(v, &mut out);
        out
    }

    #[test]
    fn doubles_as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (42.1, "42.1"),
            (-100.02, "-100.02"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.001, "0.001"),
            (0.0123, "0.0123"),
            (0.000_999, "9.99E-4"),
            (1.5e300, "1.5E300"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
            (123_456.789, "123456.789"),
            (100.0, "100.0"),
        ] {
            assert_eq!(double(value), text);
        }
        let mut out = String::new();
        write_float(0.1, &mut out);
        out.push(' ');
        write_float(3.4028235e38, &mut out);
        assert_eq!(out, "0.1 3.4028235E38");
    }

    #[test]
    fn decimals_are_plain() {
        for (unscaled, scale, text) in
            [(150, 2, "1.50"), (-5, 3, "-0.005"), (0, 2, "0.00"), (7, 0, "7"), (-123_456, 3, "-123.456")]
        {
            let mut out = String::new();
            write_decimal(unscaled, scale, &mut out);
            assert_eq!(out, text);
        }
    }

    fn both(write: impl Fn(&Style<'_>, &mut String)) -> (String, String) {
        let (mut java, mut result) = (String::new(), String::new());
        write(&Style::Java, &mut java);
        write(&Style::Result { zone_offset: &|_| 3_600 }, &mut result);
        (java, result)
    }

    fn pair(java: &str, result: &str) -> (String, String) {
        (java.to_string(), result.to_string())
    }

    #[test]
    fn dates_and_times() {
        let ts = |v, units, p, instant| both(|style, out| write_timestamp(v, units, p, instant, style, out));
        assert_eq!(ts(0, 1_000, 3, false), pair("1970-01-01T00:00", "1970-01-01 00:00:00.000"));
        assert_eq!(ts(0, 1_000, 0, false), pair("1970-01-01T00:00", "1970-01-01 00:00:00"));
        assert_eq!(ts(0, 1_000, 3, true), pair("1970-01-01T00:00:00Z", "1970-01-01 01:00:00.000"));
        assert_eq!(ts(-1, 1_000, 3, true), pair("1969-12-31T23:59:59.999Z", "1970-01-01 00:59:59.999"));
        assert_eq!(
            ts(60_000_100, 1_000_000, 6, false),
            pair("1970-01-01T00:01:00.000100", "1970-01-01 00:01:00.000100")
        );
        assert_eq!(
            ts(1, 1_000_000_000, 9, false),
            pair("1970-01-01T00:00:00.000000001", "1970-01-01 00:00:00.000000001")
        );
        let time = |v, p| both(|style, out| write_time(v, style, p, out));
        assert_eq!(time(0, 0), pair("00:00", "00:00:00"));
        assert_eq!(time(61_000_000_000, 3), pair("00:01:01", "00:01:01.0"));
        assert_eq!(time(1_500_000_000, 3), pair("00:00:01.500", "00:00:01.5"));
        let date = |v| both(|style, out| write_date(v, style, out));
        assert_eq!(date(0), pair("1970-01-01", "1970-01-01"));
        assert_eq!(date(2_932_897).0, "+10000-01-01");
    }

    #[test]
    fn intervals() {
        let months = |v, r| both(|style, out| write_months(v, r, style, out));
        assert_eq!(months(14, YearMonthResolution::YearToMonth), pair("P1Y2M", "+1-02"));
        assert_eq!(months(14, YearMonthResolution::Month), pair("P14M", "+1-02"));
        assert_eq!(months(-14, YearMonthResolution::YearToMonth), pair("P-1Y-2M", "-1-02"));
        assert_eq!(months(0, YearMonthResolution::Year), pair("P0D", "+0-00"));
        let ms = |v| both(|style, out| if style.is_java() { write_duration(v, out) } else { write_day_time(v, out) });
        assert_eq!(ms(0), pair("PT0S", "+0 00:00:00.000"));
        assert_eq!(ms(5_400_000), pair("PT1H30M", "+0 01:30:00.000"));
        assert_eq!(ms(-500), pair("PT-0.5S", "-0 00:00:00.500"));
        assert_eq!(ms(90_061_001), pair("PT25H1M1.001S", "+1 01:01:01.001"));
    }

    #[test]
    fn bytes() {
        assert_eq!(both(|style, out| write_bytes(&[1, 255], style, out)), pair("[1, -1]", "x'01ff'"));
        assert_eq!(both(|style, out| write_bytes(&[], style, out)), pair("[]", "x''"));
    }
}
