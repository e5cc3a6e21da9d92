//! Values of every type as text: what CAST to STRING gives, and what results are printed with.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use flott_core::SessionZone;
use flott_core::types::{TypeKind, map_keys};
use flott_core::{Error, LogicalType, Result};

use crate::cast::{to_local, to_nanos};
use crate::variant::{Variant, to_json};
use crate::{decimal, text};

use TypeKind as K;

/// How a byte string is written.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Bytes {
    /// `x'0a'`, for readers.
    Hex,
    /// As UTF-8, for CAST; other bytes are an error.
    Utf8,
    /// As UTF-8, for TRY_CAST; other bytes are NULL.
    TryUtf8,
}

/// How values are written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) bytes: Bytes,
    /// As casts of Flink 1.14: `true`, `null` inside of other values, `(a,b)` for a row.
    pub(crate) legacy: bool,
}

/// Every value of a column as Flink prints results.
pub fn format_column(array: &ArrayRef, t: &LogicalType, zone: SessionZone) -> Result<Vec<Option<String>>> {
    format_values(array, t, zone, Style { bytes: Bytes::Hex, legacy: false })
}

/// Every value of a column as text.
pub(crate) fn format_values(
    array: &ArrayRef,
    t: &LogicalType,
    zone: SessionZone,
    style: Style,
) -> Result<Vec<Option<String>>> {
    macro_rules! print {
        ($t:ty, $f:expr) => {
            array.as_primitive::<$t>().iter().map(|v| v.map($f)).collect()
        };
    }
    Ok(match &t.kind {
        K::Null => vec![None; array.len()],
        K::Boolean => {
            let [no, yes] = if style.legacy { ["false", "true"] } else { ["FALSE", "TRUE"] };
            array.as_boolean().iter().map(|b| b.map(|b| if b { yes } else { no }.to_string())).collect()
        }
        K::TinyInt => print!(Int8Type, |v| v.to_string()),
        K::SmallInt => print!(Int16Type, |v| v.to_string()),
        K::Int => print!(Int32Type, |v| v.to_string()),
        K::BigInt => print!(Int64Type, |v| v.to_string()),
        K::Float => print!(Float32Type, text::format_float),
        K::Double => print!(Float64Type, text::format_double),
        K::Decimal { scale, .. } => print!(Decimal128Type, |v| decimal::format(v, *scale)),
        K::Char(_) | K::VarChar(_) => array.as_string::<i32>().iter().map(|s| s.map(str::to_string)).collect(),
        K::Binary(_) | K::VarBinary(_) => {
            let show = |b: &[u8]| match style.bytes {
                Bytes::Hex => Ok(Some(format!("x'{}'", text::hex(b)))),
                Bytes::Utf8 | Bytes::TryUtf8 => match std::str::from_utf8(b) {
                    Ok(t) => Ok(Some(t.to_string())),
                    Err(_) if style.bytes == Bytes::TryUtf8 => Ok(None),
                    Err(_) => {
                        Err(Error::data(format!("the bytes x'{}' are not UTF-8", text::hex(&b[..b.len().min(50)])))
                            .hint("TRY_CAST gives NULL instead; DECODE(bytes, charset) reads other character sets"))
                    }
                },
            };
            array.as_binary::<i32>().iter().map(|b| b.map_or(Ok(None), show)).collect::<Result<Vec<_>>>()?
        }
        K::Variant => {
            let show = |v: &[u8]| Variant::read(v).and_then(|v| to_json(&v));
            array.as_binary::<i32>().iter().map(|v| v.map(show).transpose()).collect::<Result<Vec<_>>>()?
        }
        K::Bitmap => {
            let show = |b: &[u8]| crate::bitmap::read(b).map(|b| crate::bitmap::to_text(&b));
            array.as_binary::<i32>().iter().map(|v| v.map(show).transpose()).collect::<Result<Vec<_>>>()?
        }
        K::Date => print!(Date32Type, text::format_date),
        K::Time(p) => nanos(array, |n| text::format_time_of_day(n as i64, *p))?,
        K::Timestamp(p, _) => nanos(array, |n| text::format_timestamp(n, *p))?,
        K::TimestampLtz(p, _) => nanos(array, |n| text::format_timestamp(to_local(zone, n), *p))?,
        K::IntervalYearMonth(..) => {
            print!(IntervalYearMonthType, interval_months)
        }
        K::IntervalDayTime(..) => {
            print!(DurationMillisecondType, interval_millis)
        }
        K::Array(e) => {
            let list = array.as_list::<i32>();
            let inner = format_values(list.values(), e, zone, style)?;
            (0..list.len())
                .map(|i| {
                    list.is_valid(i).then(|| {
                        let range = list.value_offsets()[i] as usize..list.value_offsets()[i + 1] as usize;
                        let items: Vec<_> = inner[range].iter().map(|v| style.or_null(v)).collect();
                        format!("[{}]", items.join(", "))
                    })
                })
                .collect()
        }
        K::Map(k, v) => entries(array, k, v, zone, style)?,
        K::Multiset(e) => entries(array, e, &K::Int.not_null(), zone, style)?,
        K::Row(fields) | K::Structured(_, fields) => {
            let named = matches!(t.kind, K::Structured(..));
            let comma = if style.legacy && !named { "," } else { ", " };
            let row = array.as_struct();
            let mut columns = vec![];
            for (f, c) in fields.iter().zip(row.columns()) {
                columns.push(format_values(c, &f.data_type, zone, style)?);
            }
            (0..row.len())
                .map(|i| {
                    row.is_valid(i).then(|| {
                        let items = columns.iter().zip(fields).map(|(c, f)| match named {
                            true => format!("{}={}", f.name, style.or_null(&c[i])),
                            false => style.or_null(&c[i]).to_string(),
                        });
                        format!("({})", items.collect::<Vec<_>>().join(comma))
                    })
                })
                .collect()
        }
    })
}

impl Style {
    fn or_null(self, text: &Option<String>) -> &str {
        text.as_deref().unwrap_or(if self.legacy { "null" } else { "NULL" })
    }
}

fn nanos(array: &ArrayRef, show: impl Fn(i128) -> String) -> Result<Vec<Option<String>>> {
    Ok(to_nanos(array)?.into_iter().map(|n| n.map(&show)).collect())
}

fn entries(
    array: &ArrayRef,
    key: &LogicalType,
    value: &LogicalType,
    zone: SessionZone,
    style: Style,
) -> Result<Vec<Option<String>>> {
    let map = array.as_map();
    let keys = format_values(map_keys(map), key, zone, style)?;
    let values = format_values(map.values(), value, zone, style)?;
    Ok((0..map.len())
        .map(|i| {
            map.is_valid(i).then(|| {
                let range = map.value_offsets()[i] as usize..map.value_offsets()[i + 1] as usize;
                let items: Vec<_> =
                    range.map(|j| format!("{}={}", style.or_null(&keys[j]), style.or_null(&values[j]))).collect();
                format!("{{{}}}", items.join(", "))
            })
        })
        .collect())
}

/// `+1-03` for a year and three months.
fn interval_months(months: i32) -> String {
    let sign = if months < 0 { '-' } else { '+' };
    let m = months.unsigned_abs();
    format!("{sign}{}-{:02}", m / 12, m % 12)
}

/// `+1 02:03:04.005`
fn interval_millis(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    let m = ms.unsigned_abs();
    let (days, h, min, s, f) = (m / 86_400_000, m / 3_600_000 % 24, m / 60_000 % 60, m / 1_000 % 60, m % 1_000);
    format!("{sign}{days} {h:02}:{min:02}:{s:02}.{f:03}")
}
