//! Calls of functions of the user's own that are code. What such a function gives is not trusted: every value is one of the
//! type that the function declares, or the call fails.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, ListArray, MapArray, StructArray, UInt32Array, make_array};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions, TimeUnit};
use arrow_select::take::take;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_connector::function::{FunctionSignature, UserFunction};
use flott_core::types::{MAX_LENGTH, TypeKind, arrow_type, map_array, map_keys};
use flott_core::{Error, LogicalType, Result};

use crate::udf::{Resolved, TypedExpr, call_with_constants, columns};

/// What calls code, and how the code is told from other code of its name.
pub struct Code {
    /// What it takes and gives.
    pub signature: FunctionSignature,
    /// What it computes.
    pub function: Arc<dyn UserFunction>,
    /// Whether the same arguments always give the same result.
    pub is_deterministic: bool,
    /// Two calls are one where their arguments and this are equal.
    pub identity: String,
}

/// A call, with arguments that have the types of the parameters. That of a table function gives an ARRAY of rows.
pub fn call(name: &str, code: Code, arguments: Vec<TypedExpr>) -> TypedExpr {
    let Code { signature, function, is_deterministic, identity } = code;
    let data_type = signature.result_type();
    let result = data_type.clone();
    let evaluate = move |arguments: &[ArrayRef], rows: usize| {
        let given = function.evaluate(arguments, rows)?;
        checked(&given, &result, rows)
    };
    let resolved = match is_deterministic {
        true => Resolved::arrays(data_type, evaluate),
        // For each row anew, also where all arguments are constants.
        false => Resolved::new(data_type, move |arguments, rows| {
            evaluate(&columns(arguments, rows)?, rows).map(ColumnarValue::Array)
        })
        .volatile(),
    };
    call_with_constants(name, arguments, vec![ScalarValue::Utf8(Some(identity))], resolved)
}

/// The column that a function has given, if it is one of so many values of this type.
fn checked(given: &ArrayRef, t: &LogicalType, rows: usize) -> Result<ArrayRef> {
    if given.len() != rows {
        return Err(wrong(format!("it gave {} values for {rows} rows", given.len())));
    }
    conform(given, t, None)
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::user(format!("the function gave a wrong result: {what}"))
        .hint("Mend the function, or declare in RETURNS what it gives")
}

/// The values of `array` as those of a type, with the type's fields. `seen`: which of them anybody reads; the others stand
/// behind a NULL and may be anything.
fn conform(array: &ArrayRef, t: &LogicalType, seen: Option<&NullBuffer>) -> Result<ArrayRef> {
    let nulls = array.logical_nulls();
    let read = NullBuffer::union(nulls.as_ref(), seen);
    if !t.nullable && array.is_nullable() {
        let shown = array.len() - seen.map_or(0, NullBuffer::null_count);
        let valid = array.len() - read.as_ref().map_or(0, NullBuffer::null_count);
        if valid < shown {
            return Err(wrong(format!("NULL, which {t} is not")));
        }
    }
    let wanted = arrow_type(t);
    let other_type = || wrong(format!("it is of the Arrow type {}, and {t} is {wanted}", array.data_type()));
    match (&t.kind, array.data_type()) {
        (TypeKind::Array(element), DataType::List(_)) => {
            let list = array.as_list::<i32>();
            let (offsets, values) = elements(list.offsets(), list.values(), element, read.as_ref())?;
            let DataType::List(field) = wanted else { return Err(other_type()) };
            let list = ListArray::try_new(field, offsets, values, nulls)?;
            without_hidden_elements(Arc::new(list), array.nulls())
        }
        (TypeKind::Map(..) | TypeKind::Multiset(_), DataType::Map(..)) => map(array.as_map(), t, read.as_ref()),
        (TypeKind::Row(fields) | TypeKind::Structured(_, fields), DataType::Struct(given)) => {
            if fields.len() != given.len() {
                return Err(wrong(format!("a row of {} fields, and {t} has {}", given.len(), fields.len())));
            }
            let row = array.as_struct();
            let columns = row.columns().iter().zip(fields).map(|(column, field)| {
                let column =
                    conform(column, &field.data_type, read.as_ref()).map_err(|e| e.with("field", &field.name))?;
                without_hidden_nulls(column, &field.data_type)
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let DataType::Struct(fields) = wanted else { return Err(other_type()) };
            Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, array.len())?))
        }
        (_, given) if *given == wanted => {
            values(array, t, read.as_ref())?;
            Ok(Arc::clone(array))
        }
        _ => Err(other_type()),
    }
}

/// A column whose field says NOT NULL has no NULL at all, not even where nobody reads it.
fn without_hidden_nulls(column: ArrayRef, t: &LogicalType) -> Result<ArrayRef> {
    if t.nullable || column.null_count() == 0 {
        return Ok(column);
    }
    Ok(make_array(column.to_data().into_builder().nulls(None).build()?))
}

/// Lists, or maps, of which those that are NULL have no elements: whoever reads offsets alone sees none either.
fn without_hidden_elements(lists: ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let offsets = match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().value_offsets(),
        _ => lists.as_map().value_offsets(),
    };
    let hides = |nulls: &NullBuffer| (0..lists.len()).any(|i| nulls.is_null(i) && offsets[i] < offsets[i + 1]);
    match nulls.is_some_and(hides) {
        // What is taken of a NULL is nothing.
        true => Ok(take(lists.as_ref(), &UInt32Array::from_iter_values(0..lists.len() as u32), None)?),
        false => Ok(lists),
    }
}

/// The elements of lists; of those that are NULL they are not looked at.
fn elements(
    offsets: &OffsetBuffer<i32>,
    values: &ArrayRef,
    t: &LogicalType,
    read: Option<&NullBuffer>,
) -> Result<(OffsetBuffer<i32>, ArrayRef)> {
    let seen = read_elements(offsets, values.len(), read);
    let values = conform(values, t, seen.as_ref()).map_err(|e| e.with("place", "an element"))?;
    Ok((offsets.clone(), without_hidden_nulls(values, t)?))
}

/// Which elements are in a list that anybody reads; `None` where all are.
fn read_elements(offsets: &OffsetBuffer<i32>, len: usize, read: Option<&NullBuffer>) -> Option<NullBuffer> {
    let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
    let hidden = read.is_some_and(|r| r.null_count() > 0);
    if !hidden && first == 0 && last == len {
        return None;
    }
    let mut seen = BooleanBufferBuilder::new(len);
    seen.append_n(first, false);
    for (i, ends) in offsets.windows(2).enumerate() {
        seen.append_n((ends[1] - ends[0]) as usize, read.is_none_or(|r| r.is_valid(i)));
    }
    seen.append_n(len - last, false);
    Some(NullBuffer::new(seen.finish()))
}

fn map(map: &MapArray, t: &LogicalType, read: Option<&NullBuffer>) -> Result<ArrayRef> {
    let (key, value) = match &t.kind {
        TypeKind::Map(key, value) => (key.as_ref().clone(), value.as_ref().clone()),
        TypeKind::Multiset(element) => (element.with_nullable(false), TypeKind::Int.not_null()),
        _ => return Err(Error::internal("a map that is none")),
    };
    let (offsets, keys) = elements(map.offsets(), map_keys(map), &key, read)?;
    let (_, counted) = elements(map.offsets(), map.values(), &value, read)?;
    let order = make_comparator(&keys, &keys, SortOptions::default())?;
    let mut of_row = vec![];
    for i in (0..map.len()).filter(|i| read.is_none_or(|r| r.is_valid(*i))) {
        let entries = offsets[i] as usize..offsets[i + 1] as usize;
        if matches!(t.kind, TypeKind::Multiset(_)) {
            let counts = counted.as_primitive::<Int32Type>();
            if let Some(n) = entries.clone().find(|n| counts.value(*n) < 1) {
                return Err(wrong(format!("an element that a {t} has {} times", counts.value(n))));
            }
        }
        of_row.clear();
        of_row.extend(entries);
        of_row.sort_unstable_by(|a, b| order(*a, *b));
        if of_row.windows(2).any(|pair| order(pair[0], pair[1]).is_eq()) {
            return Err(wrong(format!("a {t} with one key twice")));
        }
    }
    let maps = map_array(&arrow_type(t), offsets, keys, counted, map.nulls().cloned())?;
    without_hidden_elements(Arc::new(maps), map.nulls())
}

/// Refuses a value that is read and not one of its type: the Arrow type says less than Flink's.
fn values(array: &ArrayRef, t: &LogicalType, read: Option<&NullBuffer>) -> Result<()> {
    let rows = || (0..array.len()).filter(|i| read.is_none_or(|r| r.is_valid(*i)));
    let length = |is: usize, n: u32, exact: bool| {
        let n = n as usize;
        if is > n || (exact && is != n) {
            Err(wrong(format!("a value of length {is}, and the type is {t}")))
        } else {
            Ok(())
        }
    };
    match &t.kind {
        TypeKind::Char(n) => {
            let texts = array.as_string::<i32>();
            rows().try_for_each(|i| length(texts.value(i).chars().count(), *n, true))
        }
        TypeKind::VarChar(n) if *n < MAX_LENGTH => {
            let texts = array.as_string::<i32>();
            // Most texts are shorter in bytes already.
            let long = |i: &usize| texts.value_length(*i) as usize > *n as usize;
            rows().filter(long).try_for_each(|i| length(texts.value(i).chars().count(), *n, false))
        }
        TypeKind::Binary(n) => {
            let bytes = array.as_binary::<i32>();
            rows().try_for_each(|i| length(bytes.value(i).len(), *n, true))
        }
        TypeKind::VarBinary(n) if *n < MAX_LENGTH => {
            let bytes = array.as_binary::<i32>();
            rows().try_for_each(|i| length(bytes.value(i).len(), *n, false))
        }
        TypeKind::Decimal { precision, .. } => {
            let limit = 10i128.checked_pow(u32::from(*precision)).unwrap_or(i128::MAX);
            each::<Decimal128Type>(array, read, t, |v| v > -limit && v < limit)
        }
        TypeKind::Date => each::<Date32Type>(array, read, t, |v| (FIRST_DAY..=LAST_DAY).contains(&i64::from(v))),
        TypeKind::Time(p) => {
            let fits = |v: i64, unit: &TimeUnit| (0..DAY_S * per_second(unit)).contains(&v) && v % step(*p, unit) == 0;
            match array.data_type() {
                DataType::Time32(unit) => each::<Time32MillisecondType>(array, read, t, |v| fits(i64::from(v), unit)),
                DataType::Time64(unit @ TimeUnit::Microsecond) => {
                    each::<Time64MicrosecondType>(array, read, t, |v| fits(v, unit))
                }
                DataType::Time64(unit) => each::<Time64NanosecondType>(array, read, t, |v| fits(v, unit)),
                other => Err(Error::internal(format!("a TIME in {other}"))),
            }
        }
        TypeKind::Timestamp(p, _) | TypeKind::TimestampLtz(p, _) => {
            let fits = |v: i64, unit: &TimeUnit| {
                let day = v.div_euclid(DAY_S * per_second(unit));
                (FIRST_DAY..=LAST_DAY).contains(&day) && v % step(*p, unit) == 0
            };
            match array.data_type() {
                DataType::Timestamp(unit @ TimeUnit::Millisecond, _) => {
                    each::<TimestampMillisecondType>(array, read, t, |v| fits(v, unit))
                }
                DataType::Timestamp(unit @ TimeUnit::Microsecond, _) => {
                    each::<TimestampMicrosecondType>(array, read, t, |v| fits(v, unit))
                }
                DataType::Timestamp(unit, _) => each::<TimestampNanosecondType>(array, read, t, |v| fits(v, unit)),
                other => Err(Error::internal(format!("a TIMESTAMP in {other}"))),
            }
        }
        // The years and days of Flink's longest intervals; those of the type itself say how one is written.
        TypeKind::IntervalYearMonth(..) => {
            each::<IntervalYearMonthType>(array, read, t, |v| v.unsigned_abs() < INTERVAL_YEARS * 12)
        }
        TypeKind::IntervalDayTime(..) => {
            each::<DurationMillisecondType>(array, read, t, |v| v.unsigned_abs() < INTERVAL_DAYS * DAY_S as u64 * 1_000)
        }
        TypeKind::Variant | TypeKind::Bitmap | TypeKind::Null => {
            Err(wrong(format!("a {t}, which no function in code can give")))
        }
        _ => Ok(()),
    }
}

const DAY_S: i64 = 86_400;
/// An interval has at most four digits of years, and six of days.
const INTERVAL_YEARS: u32 = 10_000;
const INTERVAL_DAYS: u64 = 1_000_000;
/// 0000-01-01 and 9999-12-31, the first and last day of Flink's types, in days from 1970-01-01.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

fn per_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Values of so many digits of fraction are multiples of this.
fn step(digits: u8, unit: &TimeUnit) -> i64 {
    (per_second(unit) / 10i64.pow(u32::from(digits.min(9)))).max(1)
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    read: Option<&NullBuffer>,
    t: &LogicalType,
    fits: impl Fn(T::Native) -> bool,
) -> Result<()>
where
    T::Native: std::fmt::Display,
{
    let values = array.as_primitive::<T>();
    let outside = (0..values.len()).find(|i| read.is_none_or(|r| r.is_valid(*i)) && !fits(values.value(*i)));
    match outside {
        Some(i) => {
            Err(wrong(format!("the value {} (as Arrow stores it), which no {t} has", values.value(i))).with("row", i))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder};
    use arrow_array::{Date32Array, Decimal128Array, Int32Array, Int64Array, StringArray, Time32MillisecondArray};
    use arrow_array::{
        DurationMillisecondArray, IntervalYearMonthArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    };
    use arrow_schema::Field;

    use super::*;
    use crate::testing::{column, logical, one_row, table, values as evaluated};

    fn check(t: &str, array: impl Array + 'static) -> Result<ArrayRef> {
        let rows = array.len();
        checked(&(Arc::new(array) as ArrayRef), &logical(t), rows)
    }

    fn refused(t: &str, array: impl Array + 'static) -> String {
        check(t, array).expect_err(t).to_string()
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused() {
        for (t, array, why) in [
            ("INT", Arc::new(Int64Array::from(vec![1])) as ArrayRef, "Arrow type Int64, and INT is Int32"),
            ("INT NOT NULL", Arc::new(Int32Array::from(vec![Some(1), None])), "NULL, which INT NOT NULL is not"),
            ("CHAR(2)", Arc::new(StringArray::from(vec!["ab", "a"])), "length 1"),
            ("VARCHAR(2)", Arc::new(StringArray::from(vec!["äö", "äöü"])), "length 3"),
            ("DECIMAL(3, 1)", Arc::new(decimals(&[999, 1000], 3, 1)), "value 1000"),
            ("DECIMAL(3, 1)", Arc::new(decimals(&[1], 3, 2)), "Decimal128(3, 2)"),
            ("DATE", Arc::new(Date32Array::from(vec![i32::MAX])), "value 2147483647"),
            ("TIME(3)", Arc::new(Time32MillisecondArray::from(vec![86_400_000])), "value 86400000"),
            ("TIME(0)", Arc::new(Time32MillisecondArray::from(vec![1_500])), "value 1500"),
            ("TIMESTAMP(3)", Arc::new(TimestampMillisecondArray::from(vec![i64::MIN])), "no TIMESTAMP(3) has"),
            ("TIMESTAMP(4)", Arc::new(TimestampMicrosecondArray::from(vec![1])), "no TIMESTAMP(4) has"),
            ("TIMESTAMP_LTZ(3)", Arc::new(TimestampMillisecondArray::from(vec![1])), "Arrow type"),
            ("INTERVAL YEAR TO MONTH", Arc::new(IntervalYearMonthArray::from(vec![120_000])), "value 120000"),
            ("INTERVAL DAY TO SECOND", Arc::new(DurationMillisecondArray::from(vec![i64::MIN])), "no INTERVAL DAY"),
        ] {
            let message = checked(&array, &logical(t), array.len()).expect_err(t).to_string();
            assert!(message.contains(why), "{t}: {message}");
        }
        let few = checked(&(Arc::new(Int32Array::from(vec![1])) as ArrayRef), &logical("INT"), 2).expect_err("too few");
        assert!(few.to_string().contains("1 values for 2 rows"), "{few}");
    }

    fn decimals(values: &[i128], precision: u8, scale: i8) -> Decimal128Array {
        Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).expect("a type")
    }

    #[test]
    fn what_stands_behind_a_null_is_not_looked_at() {
        let nulls = Some(NullBuffer::from(vec![true, false]));
        let times = Time32MillisecondArray::new(vec![1, -1].into(), nulls.clone());
        assert_eq!(check("TIME(3)", times).expect("a column").null_count(), 1);
        // A NULL list over an element that is NULL, and a list whose elements start behind others.
        let item = Arc::new(Field::new("x", DataType::Int32, true));
        let values: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(1), None, Some(2)]));
        let offsets = OffsetBuffer::new(vec![1, 2, 3].into());
        let lists = ListArray::try_new(Arc::clone(&item), offsets.clone(), Arc::clone(&values), nulls).expect("lists");
        let lists = check("ARRAY<INT NOT NULL>", lists).expect("a column");
        // The NULL list has no elements any more.
        assert_eq!(lists.as_list::<i32>().value_offsets(), [0, 1, 1]);
        assert_eq!(lists.as_list::<i32>().values().len(), 1);
        assert_eq!(*lists.data_type(), arrow_type(&logical("ARRAY<INT NOT NULL>")));
        let lists = ListArray::try_new(item, offsets, values, None).expect("lists");
        assert!(refused("ARRAY<INT NOT NULL>", lists).contains("NULL, which INT NOT NULL is not"));
    }

    #[test]
    fn rows_have_their_fields_and_say_which_is_wrong() {
        let fields = vec![Field::new("c0", DataType::Int32, true), Field::new("c1", DataType::Utf8, true)];
        let columns = |text: &str| -> Vec<ArrayRef> {
            vec![Arc::new(Int32Array::from(vec![1])), Arc::new(StringArray::from(vec![text]))]
        };
        let row = StructArray::new(fields.clone().into(), columns("ab"), None);
        let row = check("ROW<a INT NOT NULL, b CHAR(2)>", row).expect("a row");
        assert_eq!(*row.data_type(), arrow_type(&logical("ROW<a INT NOT NULL, b CHAR(2)>")));
        let row = StructArray::new(fields.into(), columns("abc"), None);
        let message = refused("ROW<a INT NOT NULL, b CHAR(2)>", row.clone());
        assert!(message.contains("length 3") && message.contains("field b"), "{message}");
        assert!(refused("ROW<a INT>", row).contains("a row of 2 fields"));
    }

    #[test]
    fn maps_have_each_key_once() {
        let map = |keys: &[&str]| {
            let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
            for key in keys {
                map.keys().append_value(key);
                map.values().append_value(0);
            }
            map.append(true).expect("an entry");
            map.finish()
        };
        assert!(check("MAP<STRING, INT>", map(&["b", "a"])).is_ok());
        assert!(refused("MAP<STRING, INT>", map(&["b", "a", "b"])).contains("one key twice"));
        assert!(refused("MULTISET<STRING>", map(&["a"])).contains("0 times"));
    }

    #[test]
    fn constants_are_computed_once_and_changing_results_for_each_row() -> Result<()> {
        let counted = |is_deterministic| Code {
            signature: FunctionSignature::scalar(&[("a", "INT")], "INT").expect("a signature"),
            function: Arc::new(|_: &[ArrayRef], rows: usize| {
                Ok(Arc::new(Int32Array::from(vec![rows as i32; rows])) as ArrayRef)
            }),
            is_deterministic,
            identity: String::new(),
        };
        let three: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let rows = table(&[("n", "INT", three)]);
        let given = |is_deterministic, argument| {
            let result = evaluated(&call("f", counted(is_deterministic), vec![argument]), &rows)?;
            Ok::<_, Error>(result.as_primitive::<Int32Type>().values().to_vec())
        };
        assert_eq!(given(true, crate::testing::int(1))?, [1, 1, 1]);
        assert_eq!(given(false, crate::testing::int(1))?, [3, 3, 3]);
        assert_eq!(given(true, column("n", "INT"))?, [3, 3, 3]);
        assert!(call("f", counted(false), vec![]).expr.is_volatile());
        assert_eq!(evaluated(&call("f", counted(true), vec![crate::testing::int(1)]), &one_row())?.len(), 1);
        Ok(())
    }
}
