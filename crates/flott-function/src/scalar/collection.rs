//! Arrays and maps: constructors, size, search, set operations, keys and values.
//!
//! All work on places: which elements of the columns that are there make up the result, so that elements of any type are
//! moved by one `take`. Elements are equal as in IS NOT DISTINCT FROM.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, ListArray, MapArray, StructArray, UInt32Array, new_empty_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::{DataType, SortOptions};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flott_core::types::{RowField, TypeKind as K, arrow_field, arrow_type, map_array, map_keys};
use flott_core::{Error, LogicalType, Result};

use super::shape::entry;
use super::{Arguments, Category, Resolve, ScalarFunction};
use crate::types::least_common_type;
use crate::udf::Resolved;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::Collection, name, syntax, description, arity, resolve)
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function("ARRAY", "ARRAY[value, ..]", "An array of these values.", (1, 65_535), array),
    function("MAP", "MAP[key, value, ..]", "A map of these entries; the last of equal keys wins.", (2, 65_534), map),
    function("CARDINALITY", "CARDINALITY(array or map)", "The number of elements or entries.", (1, 1), cardinality),
    function("ELEMENT", "ELEMENT(array)", "The only element; NULL of an empty array.", (1, 1), element),
    function("ARRAY_CONTAINS", "ARRAY_CONTAINS(array, value)", "Whether the value is in the array.", (2, 2), contains),
    function(
        "ARRAY_POSITION",
        "ARRAY_POSITION(array, value)",
        "Where the value is first, from 1; 0 for nowhere.",
        (2, 2),
        position,
    ),
    function("ARRAY_DISTINCT", "ARRAY_DISTINCT(array)", "Each value once.", (1, 1), |a| pick(a, distinct)),
    function("ARRAY_REVERSE", "ARRAY_REVERSE(array)", "From the end to the start.", (1, 1), |a| {
        pick(a, |range, _| range.rev().collect())
    }),
    function(
        "ARRAY_SORT",
        "ARRAY_SORT(array[, ascending[, nulls_first]])",
        "In order; NULL comes first where ascending.",
        (1, 3),
        sort,
    ),
    function(
        "ARRAY_SLICE",
        "ARRAY_SLICE(array, start[, end])",
        "From one place to another, from 1; negative ones count from the end.",
        (2, 3),
        slice,
    ),
    function("ARRAY_APPEND", "ARRAY_APPEND(array, value)", "With a value at the end.", (2, 2), |a| {
        with_value(a, false)
    }),
    function("ARRAY_PREPEND", "ARRAY_PREPEND(array, value)", "With a value at the start.", (2, 2), |a| {
        with_value(a, true)
    }),
    function("ARRAY_REMOVE", "ARRAY_REMOVE(array, value)", "Without this value.", (2, 2), remove),
    function("ARRAY_CONCAT", "ARRAY_CONCAT(array, ..)", "The elements of all arrays.", (1, 255), |a| {
        combine(a, |parts, _| parts.concat())
    }),
    function("ARRAY_UNION", "ARRAY_UNION(array, array)", "Each value of both once.", (2, 2), |a| {
        combine(a, |parts, compare| distinct_of(parts.concat(), compare))
    }),
    function(
        "ARRAY_EXCEPT",
        "ARRAY_EXCEPT(array, array)",
        "Each value of the first that is not in the second, once.",
        (2, 2),
        |a| {
            combine(a, |parts, compare| {
                let other = Sorted::new(&parts[1], compare);
                distinct_of(parts[0].iter().copied().filter(|i| !other.has(*i, compare)).collect(), compare)
            })
        },
    ),
    function("ARRAY_INTERSECT", "ARRAY_INTERSECT(array, array)", "Each value that both have, once.", (2, 2), |a| {
        combine(a, |parts, compare| {
            let other = Sorted::new(&parts[1], compare);
            distinct_of(parts[0].iter().copied().filter(|i| other.has(*i, compare)).collect(), compare)
        })
    }),
    function("ARRAY_MAX", "ARRAY_MAX(array)", "The greatest element that is not NULL.", (1, 1), |a| {
        extreme(a, Ordering::Greater)
    }),
    function("ARRAY_MIN", "ARRAY_MIN(array)", "The least element that is not NULL.", (1, 1), |a| {
        extreme(a, Ordering::Less)
    }),
    function(
        "ARRAY_JOIN",
        "ARRAY_JOIN(array, delimiter[, for_null])",
        "The texts of an array with a delimiter; NULL is left out or replaced.",
        (2, 3),
        join,
    ),
    function("MAP_KEYS", "MAP_KEYS(map)", "The keys as an array.", (1, 1), |a| parts_of_map(a, Part::Keys)),
    function("MAP_VALUES", "MAP_VALUES(map)", "The values as an array.", (1, 1), |a| parts_of_map(a, Part::Values)),
    function("MAP_ENTRIES", "MAP_ENTRIES(map)", "The entries as an array of rows `key`, `value`.", (1, 1), |a| {
        parts_of_map(a, Part::Entries)
    }),
    function(
        "MAP_FROM_ARRAYS",
        "MAP_FROM_ARRAYS(keys, values)",
        "A map of keys and values of the same number.",
        (2, 2),
        map_from_arrays,
    ),
    function(
        "SPLIT",
        "SPLIT(text, delimiter)",
        "The pieces of a text; without a delimiter its characters.",
        (2, 2),
        split,
    ),
    function(
        "STR_TO_MAP",
        "STR_TO_MAP(text[, list_delimiter, key_value_delimiter])",
        "Entries such as `a=1,b=2` as a map.",
        (1, 3),
        str_to_map,
    ),
];

fn element_type(t: &LogicalType) -> Option<LogicalType> {
    match &t.kind {
        K::Array(e) => Some((**e).clone()),
        _ => None,
    }
}

pub(super) fn compare_all(values: &ArrayRef, nulls_first: bool) -> Result<DynComparator> {
    make_comparator(values, values, SortOptions { descending: false, nulls_first }).map_err(|_| {
        Error::user(format!("elements of type {} cannot be compared", values.data_type()))
            .hint("Use arrays of numbers, texts, times or rows of them")
    })
}

/// An order in which elements are equal where `=` says so: 0.0 equals -0.0, and no NaN another one.
fn compare_elements(values: &ArrayRef) -> Result<DynComparator> {
    let numbers: Vec<Option<f64>> = match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().iter().map(|v| v.map(f64::from)).collect(),
        DataType::Float64 => values.as_primitive::<Float64Type>().iter().collect(),
        _ => return compare_all(values, true),
    };
    let key = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
    Ok(Box::new(move |i, j| match (numbers[i], numbers[j]) {
        (Some(a), Some(b)) if a.is_nan() && b.is_nan() => i.cmp(&j),
        (Some(a), Some(b)) => key(a).total_cmp(&key(b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }))
}

/// An array of the elements at these places.
fn list(element: &LogicalType, values: &ArrayRef, places: &Places) -> Result<ArrayRef> {
    let values = take(values.as_ref(), &UInt32Array::from(places.places.clone()), None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(places.offsets.clone()));
    let nulls = NullBuffer::from(places.valid.clone());
    Ok(Arc::new(ListArray::try_new(Arc::new(arrow_field("item", element)), offsets, values, Some(nulls))?))
}

/// Which elements each row has.
struct Places {
    places: Vec<u32>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Places {
    fn new(rows: usize) -> Places {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Places { places: vec![], offsets, valid: Vec::with_capacity(rows) }
    }

    fn push(&mut self, row: Option<Vec<u32>>) -> Result<()> {
        self.valid.push(row.is_some());
        self.places.extend(row.unwrap_or_default());
        let end = i32::try_from(self.places.len());
        self.offsets.push(end.map_err(|_| Error::data("arrays of one batch have more than 2147483647 elements"))?);
        Ok(())
    }
}

fn range(list: &ListArray, row: usize) -> std::ops::Range<u32> {
    let offsets = list.value_offsets();
    offsets[row] as u32..offsets[row + 1] as u32
}

fn lists(array: &ArrayRef) -> Result<&ListArray> {
    array.as_list_opt::<i32>().ok_or_else(|| Error::internal("an ARRAY that is no list"))
}

pub(super) fn maps(array: &ArrayRef) -> Result<&MapArray> {
    array.as_map_opt().ok_or_else(|| Error::internal("a MAP that is no map"))
}

// --- constructors ---

/// Brings values to their least common type.
pub(super) fn common(a: &mut Arguments, indices: impl Iterator<Item = usize> + Clone) -> Result<Option<LogicalType>> {
    let types: Vec<LogicalType> = indices.clone().map(|i| a.values[i].data_type.clone()).collect();
    let Some(t) = least_common_type(&types).filter(|t| t.kind != K::Null) else { return Ok(None) };
    let t = t.with_time_attribute(Default::default());
    for i in indices {
        a.coerce(i, &t)?;
    }
    Ok(Some(t))
}

/// The values of several columns side by side: row by row, column by column.
fn side_by_side(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let at: Vec<(usize, usize)> = (0..rows).flat_map(|row| (0..columns.len()).map(move |c| (c, row))).collect();
    if at.is_empty() {
        return Ok(new_empty_array(columns[0].data_type()));
    }
    let columns: Vec<&dyn Array> = columns.iter().map(|c| c.as_ref()).collect();
    Ok(interleave(&columns, &at)?)
}

fn array(a: &mut Arguments) -> Result<Option<Resolved>> {
    let count = a.values.len();
    let Some(t) = common(a, 0..count)? else { return Ok(None) };
    let element = t.clone();
    Ok(Some(Resolved::arrays(K::Array(Box::new(t)).not_null(), move |args, rows| {
        let values = side_by_side(args, rows)?;
        let offsets = OffsetBuffer::from_repeated_length(args.len(), rows);
        Ok(Arc::new(ListArray::try_new(Arc::new(arrow_field("item", &element)), offsets, values, None)?))
    })))
}

/// A map column of entries; the last of equal keys wins, at the place of the first.
pub(crate) fn build_map(
    t: &LogicalType,
    keys: &ArrayRef,
    values: &ArrayRef,
    rows: Vec<Option<std::ops::Range<u32>>>,
) -> Result<ArrayRef> {
    let compare = compare_all(keys, true)?;
    let (mut key_places, mut value_places) = (Places::new(rows.len()), vec![]);
    for row in rows {
        let Some(row) = row else {
            key_places.push(None)?;
            continue;
        };
        let all: Vec<u32> = row.collect();
        let kept = distinct_of(all.clone(), &compare);
        let last =
            |key: u32| all.iter().rev().find(|i| compare(**i as usize, key as usize).is_eq()).copied().unwrap_or(key);
        // Only where keys repeat is there anything to look for.
        let repeats = kept.len() < all.len();
        value_places.extend(kept.iter().map(|k| if repeats { last(*k) } else { *k }));
        key_places.push(Some(kept))?;
    }
    let keys = take(keys.as_ref(), &UInt32Array::from(key_places.places), None)?;
    let values = take(values.as_ref(), &UInt32Array::from(value_places), None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(key_places.offsets));
    let nulls = NullBuffer::from(key_places.valid);
    Ok(Arc::new(map_array(&arrow_type(t), offsets, keys, values, Some(nulls))?))
}

fn map(a: &mut Arguments) -> Result<Option<Resolved>> {
    let count = a.values.len();
    if !count.is_multiple_of(2) {
        return Ok(None);
    }
    let Some(key) = common(a, (0..count).step_by(2))? else { return Ok(None) };
    // Values that are all a bare NULL say no type: Flink takes that of the keys.
    let bare = (1..count).step_by(2).all(|i| a.values[i].data_type.kind == K::Null);
    for i in (1..count).step_by(2).filter(|_| bare) {
        a.coerce(i, &key.with_nullable(true))?;
    }
    let Some(value) = common(a, (1..count).step_by(2))? else { return Ok(None) };
    let t = K::Map(Box::new(key), Box::new(value)).not_null();
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let of = |first: usize| args.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
        let (keys, values) = (side_by_side(&of(0), rows)?, side_by_side(&of(1), rows)?);
        let entries = (args.len() / 2) as u32;
        build_map(&made, &keys, &values, (0..rows as u32).map(|r| Some(r * entries..(r + 1) * entries)).collect())
    })))
}

fn map_from_arrays(a: &mut Arguments) -> Result<Option<Resolved>> {
    let (Some(key), Some(value)) = (element_type(&a.values[0].data_type), element_type(&a.values[1].data_type)) else {
        return Ok(None);
    };
    let t = K::Map(Box::new(key), Box::new(value)).nullable().with_nullable(a.nullable());
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let (keys, values) = (lists(&args[0])?, lists(&args[1])?);
        let mut pairs: Vec<Option<std::ops::Range<u32>>> = vec![];
        let (mut key_at, mut value_at) = (vec![], vec![]);
        for row in 0..rows {
            if keys.is_null(row) || values.is_null(row) {
                pairs.push(None);
                continue;
            }
            let (k, v) = (range(keys, row), range(values, row));
            if k.len() != v.len() {
                return Err(Error::data(format!(
                    "Invalid function MAP_FROM_ARRAYS call: The length of the keys array {} is not equal to the length of the values array {}",
                    k.len(),
                    v.len()
                )));
            }
            let first = key_at.len() as u32;
            key_at.extend(k);
            value_at.extend(v);
            pairs.push(Some(first..key_at.len() as u32));
        }
        let k = take(keys.values().as_ref(), &UInt32Array::from(key_at), None)?;
        let v = take(values.values().as_ref(), &UInt32Array::from(value_at), None)?;
        build_map(&made, &k, &v, pairs)
    })))
}

// --- size and single elements ---

fn cardinality(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !matches!(a.values[0].data_type.kind, K::Array(_) | K::Map(..) | K::Multiset(_)) {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, |args, rows| {
        let offsets = match args[0].as_list_opt::<i32>() {
            Some(l) => l.value_offsets(),
            None => maps(&args[0])?.value_offsets(),
        };
        Ok(Arc::new(
            (0..rows).map(|i| args[0].is_valid(i).then(|| offsets[i + 1] - offsets[i])).collect::<Int32Array>(),
        ))
    });
    Ok(Some(resolved.infallible()))
}

fn element(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(t) = element_type(&a.values[0].data_type) else { return Ok(None) };
    Ok(Some(Resolved::arrays(t.with_nullable(true), |args, rows| {
        let l = lists(&args[0])?;
        let mut at = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut places = range(l, row);
            at.push(match (l.is_valid(row), places.len()) {
                (false, _) | (_, 0) => None,
                (_, 1) => places.next(),
                _ => return Err(Error::data("Array has more than one element.").hint("Use array[1] for the first")),
            });
        }
        Ok(take(l.values().as_ref(), &UInt32Array::from(at), None)?)
    })))
}

/// The type of elements that have an order: BOOLEAN, rows and collections have none here, as in Flink.
fn ordered_type(t: &LogicalType) -> Option<LogicalType> {
    let without = |k: &K| {
        matches!(k, K::Boolean | K::Row(_) | K::Array(_) | K::Map(..) | K::Multiset(_) | K::Variant | K::Bitmap)
    };
    element_type(t).filter(|e| !without(&e.kind))
}

fn extreme(a: &mut Arguments, wanted: Ordering) -> Result<Option<Resolved>> {
    let Some(t) = ordered_type(&a.values[0].data_type) else { return Ok(None) };
    Ok(Some(Resolved::arrays(t.with_nullable(true), move |args, rows| {
        let l = lists(&args[0])?;
        let compare = compare_all(l.values(), true)?;
        let best = |row: usize| {
            let mut best: Option<u32> = None;
            for i in range(l, row).filter(|i| l.values().is_valid(*i as usize)) {
                if best.is_none_or(|b| compare(i as usize, b as usize) == wanted) {
                    best = Some(i);
                }
            }
            best.filter(|_| l.is_valid(row))
        };
        Ok(take(l.values().as_ref(), &(0..rows).map(best).collect::<UInt32Array>(), None)?)
    })))
}

// --- search ---

/// Whether a value becomes an element of such an array without a CAST.
fn goes_into(value: &K, element: &K) -> bool {
    let rank = |k: &K| [K::TinyInt, K::SmallInt, K::Int, K::BigInt].iter().position(|i| i == k);
    match element {
        _ if *value == K::Null || std::mem::discriminant(value) == std::mem::discriminant(element) => true,
        K::Decimal { .. } | K::Double => value.is_numeric(),
        K::Float => value.is_numeric() && *value != K::Double,
        K::TinyInt | K::SmallInt | K::Int | K::BigInt => rank(value).is_some_and(|v| Some(v) <= rank(element)),
        K::VarChar(_) => value.is_character(),
        K::VarBinary(_) => value.is_binary(),
        other => other.is_datetime() && value.is_datetime(),
    }
}

/// An array and a value of its element type; both in one column, the values behind the elements.
///
/// The value goes by the elements: it is cast to their type and length, as in Flink, and 2.5 is looked for in no array of INT.
fn array_and_value(a: &mut Arguments) -> Result<Option<LogicalType>> {
    let Some(element) = element_type(&a.values[0].data_type) else { return Ok(None) };
    let value = a.values[1].data_type.clone();
    if !goes_into(&value.kind, &element.kind) || least_common_type(&[element.clone(), value.clone()]).is_none() {
        return Ok(None);
    }
    let nullable = element.nullable || value.nullable;
    let t = element.with_nullable(nullable);
    let nullable = a.values[0].data_type.nullable;
    a.coerce(0, &K::Array(Box::new(t.clone())).nullable().with_nullable(nullable))?;
    a.cast(1, &t)?;
    Ok(Some(t))
}

fn joined(args: &[ArrayRef]) -> Result<(&ListArray, ArrayRef, usize)> {
    let l = lists(&args[0])?;
    let all = concat(&[l.values().as_ref(), args[1].as_ref()])?;
    Ok((l, all, l.values().len()))
}

fn contains(a: &mut Arguments) -> Result<Option<Resolved>> {
    if array_and_value(a)?.is_none() {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.values[0].data_type.nullable);
    Ok(Some(Resolved::arrays(t, |args, rows| {
        let (l, all, values) = joined(args)?;
        let compare = compare_elements(&all)?;
        let has = |row: usize| range(l, row).any(|i| compare(i as usize, values + row).is_eq());
        Ok(Arc::new((0..rows).map(|row| l.is_valid(row).then(|| has(row))).collect::<BooleanArray>()))
    })))
}

fn position(a: &mut Arguments) -> Result<Option<Resolved>> {
    if array_and_value(a)?.is_none() {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(t, |args, rows| {
        let (l, all, values) = joined(args)?;
        let compare = compare_elements(&all)?;
        let place = |row: usize| {
            range(l, row).position(|i| compare(i as usize, values + row).is_eq()).map_or(0, |p| p as i32 + 1)
        };
        let known = |row: usize| l.is_valid(row) && args[1].is_valid(row);
        Ok(Arc::new((0..rows).map(|row| known(row).then(|| place(row))).collect::<Int32Array>()))
    })))
}

fn remove(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(element) = element_type(&a.values[0].data_type) else { return Ok(None) };
    let Some(t) = array_and_value(a)? else { return Ok(None) };
    // The value becomes no element: what it may be says nothing of them.
    let t = t.with_nullable(element.nullable);
    let result = K::Array(Box::new(t.clone())).nullable().with_nullable(a.values[0].data_type.nullable);
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let (l, all, values) = joined(args)?;
        let compare = compare_elements(&all)?;
        let mut places = Places::new(rows);
        for row in 0..rows {
            let kept = || range(l, row).filter(|i| compare(*i as usize, values + row).is_ne()).collect();
            places.push(l.is_valid(row).then(kept))?;
        }
        list(&t, l.values(), &places)
    })))
}

fn with_value(a: &mut Arguments, at_start: bool) -> Result<Option<Resolved>> {
    let Some(t) = array_and_value(a)? else { return Ok(None) };
    // Flink declares the array as nullable as its arguments, though a value that is NULL becomes an element.
    let result = K::Array(Box::new(t.clone())).nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let (l, all, values) = joined(args)?;
        let mut places = Places::new(rows);
        for row in 0..rows {
            let value = (values + row) as u32;
            let with = || {
                if at_start {
                    std::iter::once(value).chain(range(l, row)).collect()
                } else {
                    range(l, row).chain([value]).collect()
                }
            };
            places.push(l.is_valid(row).then(with))?;
        }
        list(&t, &all, &places)
    })))
}

// --- whole arrays ---

/// Elements in order, to look values up.
struct Sorted(Vec<u32>);

impl Sorted {
    fn new(places: &[u32], compare: &DynComparator) -> Sorted {
        let mut sorted = places.to_vec();
        sorted.sort_by(|x, y| compare(*x as usize, *y as usize));
        Sorted(sorted)
    }

    fn has(&self, place: u32, compare: &DynComparator) -> bool {
        self.0.binary_search_by(|p| compare(*p as usize, place as usize)).is_ok()
    }
}

/// The first of equal elements, in their order.
pub(super) fn distinct_of(places: Vec<u32>, compare: &DynComparator) -> Vec<u32> {
    let mut sorted: Vec<usize> = (0..places.len()).collect();
    let order = |x: &usize, y: &usize| compare(places[*x] as usize, places[*y] as usize);
    sorted.sort_by(|x, y| order(x, y).then(x.cmp(y)));
    let mut first = vec![true; places.len()];
    for two in sorted.windows(2) {
        if order(&two[0], &two[1]).is_eq() {
            first[two[1]] = false;
        }
    }
    places.into_iter().zip(first).filter_map(|(p, first)| first.then_some(p)).collect()
}

fn distinct(range: std::ops::Range<u32>, compare: &DynComparator) -> Vec<u32> {
    distinct_of(range.collect(), compare)
}

/// Some elements of one array, in some order.
fn pick(a: &mut Arguments, f: fn(std::ops::Range<u32>, &DynComparator) -> Vec<u32>) -> Result<Option<Resolved>> {
    let Some(t) = element_type(&a.values[0].data_type) else { return Ok(None) };
    Ok(Some(Resolved::arrays(a.values[0].data_type.clone(), move |args, rows| {
        let l = lists(&args[0])?;
        let compare = compare_elements(l.values())?;
        let mut places = Places::new(rows);
        for row in 0..rows {
            places.push(l.is_valid(row).then(|| f(range(l, row), &compare)))?;
        }
        list(&t, l.values(), &places)
    })))
}

/// Elements of several arrays of one type.
fn combine(a: &mut Arguments, f: fn(&[Vec<u32>], &DynComparator) -> Vec<u32>) -> Result<Option<Resolved>> {
    let count = a.values.len();
    if !a.values.iter().all(|v| matches!(v.data_type.kind, K::Array(_))) {
        return Ok(None);
    }
    let Some(t) = common(a, 0..count)? else { return Ok(None) };
    let Some(element) = element_type(&t) else { return Ok(None) };
    Ok(Some(Resolved::arrays(t.with_nullable(a.nullable()), move |args, rows| {
        let columns = args.iter().map(lists).collect::<Result<Vec<_>>>()?;
        let values: Vec<&dyn Array> = columns.iter().map(|l| l.values().as_ref()).collect();
        let all = concat(&values)?;
        let compare = compare_elements(&all)?;
        let mut places = Places::new(rows);
        for row in 0..rows {
            if columns.iter().any(|l| l.is_null(row)) {
                places.push(None)?;
                continue;
            }
            let mut first = 0u32;
            let mut parts = Vec::with_capacity(columns.len());
            for l in &columns {
                parts.push(range(l, row).map(|i| first + i).collect());
                first += l.values().len() as u32;
            }
            places.push(Some(f(&parts, &compare)))?;
        }
        list(&element, &all, &places)
    })))
}

fn sort(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(t) = ordered_type(&a.values[0].data_type) else { return Ok(None) };
    for i in 1..a.values.len() {
        if !matches!(a.values[i].data_type.kind, K::Boolean | K::Null) {
            return Ok(None);
        }
        a.coerce(i, &K::Boolean.nullable())?;
    }
    let result = a.values[0].data_type.with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let l = lists(&args[0])?;
        let (first, last) = (compare_all(l.values(), true)?, compare_all(l.values(), false)?);
        let flag =
            |i: usize, row: usize| args.get(i).map(|f| f.as_boolean()).map(|f| f.is_valid(row).then(|| f.value(row)));
        let mut places = Places::new(rows);
        for row in 0..rows {
            let ascending = flag(1, row).unwrap_or(Some(true));
            let nulls_first = flag(2, row).unwrap_or(ascending);
            let (Some(ascending), Some(nulls_first), true) = (ascending, nulls_first, l.is_valid(row)) else {
                places.push(None)?;
                continue;
            };
            let mut sorted: Vec<u32> = range(l, row).collect();
            // Turned round where descending, NULL included.
            let compare = if nulls_first == ascending { &first } else { &last };
            sorted.sort_by(|x, y| {
                let order = compare(*x as usize, *y as usize);
                if ascending { order } else { order.reverse() }
            });
            places.push(Some(sorted))?;
        }
        list(&t, l.values(), &places)
    })))
}

fn slice(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(t) = element_type(&a.values[0].data_type) else { return Ok(None) };
    for i in 1..a.values.len() {
        if !a.values[i].data_type.kind.is_integer() && a.values[i].data_type.kind != K::Null {
            return Ok(None);
        }
        a.coerce(i, &K::Int.nullable())?;
    }
    let result = a.values[0].data_type.with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let l = lists(&args[0])?;
        let number = |i: usize, row: usize| {
            args.get(i).map(|n| n.as_primitive::<Int32Type>()).map(|n| n.is_valid(row).then(|| i64::from(n.value(row))))
        };
        let mut places = Places::new(rows);
        for row in 0..rows {
            let all = range(l, row);
            let count = all.len() as i64;
            let (start, end) = (number(1, row).unwrap_or(Some(1)), number(2, row).unwrap_or(Some(count)));
            let (Some(start), Some(end), true) = (start, end, l.is_valid(row)) else {
                places.push(None)?;
                continue;
            };
            // 0 is the first place, as 1 is. What starts before it starts there; what ends before it has nothing.
            let from_end = |n: i64| if n < 0 { n + count + 1 } else { n };
            let (start, end) = (from_end(start).max(1), from_end(end));
            let end = if end == 0 { 1 } else { end.min(count) };
            let kept = if start > end {
                vec![]
            } else {
                all.skip((start - 1) as usize).take((end - start + 1) as usize).collect()
            };
            places.push(Some(kept))?;
        }
        list(&t, l.values(), &places)
    })))
}

fn join(a: &mut Arguments) -> Result<Option<Resolved>> {
    let texts = element_type(&a.values[0].data_type).is_some_and(|e| e.kind.is_character());
    if !texts || !a.values[1..].iter().all(|v| v.data_type.kind.is_character() || v.data_type.kind == K::Null) {
        return Ok(None);
    }
    for i in 1..a.values.len() {
        if a.values[i].data_type.kind == K::Null {
            a.coerce(i, &K::STRING.nullable())?;
        }
    }
    Ok(Some(Resolved::arrays(K::STRING.nullable().with_nullable(a.nullable()), |args, rows| {
        let l = lists(&args[0])?;
        let texts = l.values().as_string::<i32>();
        let others: Vec<_> = args[1..].iter().map(|t| t.as_string::<i32>()).collect();
        let mut out = arrow_array::builder::StringBuilder::new();
        for row in 0..rows {
            if l.is_null(row) || others.iter().any(|o| o.is_null(row)) {
                out.append_null();
                continue;
            }
            let for_null = others.get(1).map(|o| o.value(row));
            let parts: Vec<&str> = range(l, row)
                .filter_map(|i| if texts.is_valid(i as usize) { Some(texts.value(i as usize)) } else { for_null })
                .collect();
            out.append_value(parts.join(others[0].value(row)));
        }
        Ok(Arc::new(out.finish()))
    })))
}

// --- maps ---

#[derive(Clone, Copy)]
enum Part {
    Keys,
    Values,
    Entries,
}

fn parts_of_map(a: &mut Arguments, part: Part) -> Result<Option<Resolved>> {
    let K::Map(key, value) = &a.values[0].data_type.kind else { return Ok(None) };
    let element = match part {
        Part::Keys => (**key).clone(),
        Part::Values => (**value).clone(),
        Part::Entries => {
            K::Row(vec![RowField::new("key", (**key).clone()), RowField::new("value", (**value).clone())]).nullable()
        }
    };
    let t = K::Array(Box::new(element.clone())).nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, move |args, _| {
        let m = maps(&args[0])?;
        let values: ArrayRef = match part {
            Part::Keys => Arc::clone(map_keys(m)),
            Part::Values => Arc::clone(m.values()),
            Part::Entries => {
                let DataType::Struct(fields) = arrow_type(&element) else {
                    return Err(Error::internal("a ROW that is no struct"));
                };
                Arc::new(StructArray::try_new(fields, vec![Arc::clone(map_keys(m)), Arc::clone(m.values())], None)?)
            }
        };
        let field = Arc::new(arrow_field("item", &element));
        Ok(Arc::new(ListArray::try_new(field, m.offsets().clone(), values, m.nulls().cloned())?))
    });
    Ok(Some(resolved.infallible()))
}

// --- texts ---

fn split(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !super::shape::fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    let element = K::STRING.nullable();
    let t = K::Array(Box::new(element.clone())).nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, move |args, rows| {
        let (texts, delimiters) = (args[0].as_string::<i32>(), args[1].as_string::<i32>());
        let mut out = arrow_array::builder::StringBuilder::new();
        let mut places = Places::new(rows);
        let mut count = 0u32;
        for row in 0..rows {
            if texts.is_null(row) || delimiters.is_null(row) {
                places.push(None)?;
                continue;
            }
            let first = count;
            let (t, d) = (texts.value(row), delimiters.value(row));
            let mut add = |piece: &str| {
                out.append_value(piece);
                count += 1;
            };
            if d.is_empty() {
                t.chars().for_each(|c| add(c.encode_utf8(&mut [0; 4])));
            } else {
                t.split(d).for_each(&mut add);
            }
            places.push(Some((first..count).collect()))?;
        }
        list(&element, &(Arc::new(out.finish()) as ArrayRef), &places)
    });
    Ok(Some(resolved))
}

fn str_to_map(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values.len() == 2 || !super::shape::fit(a, &[K::STRING, K::STRING, K::STRING])? {
        return Ok(None);
    }
    let t = K::Map(Box::new(K::STRING.nullable()), Box::new(K::STRING.nullable())).nullable();
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let columns: Vec<_> = args.iter().map(|c| c.as_string::<i32>()).collect();
        let (mut keys, mut values) =
            (arrow_array::builder::StringBuilder::new(), arrow_array::builder::StringBuilder::new());
        let (mut all, mut count) = (vec![], 0u32);
        for row in 0..rows {
            if columns.iter().any(|c| c.is_null(row)) {
                all.push(None);
                continue;
            }
            let delimiter = |i: usize, default: &'static str| columns.get(i).map_or(default, |c| c.value(row));
            let (pairs, between) =
                (super::regex::splitter(delimiter(1, ","))?, super::regex::splitter(delimiter(2, "="))?);
            let first = count;
            let text = columns[0].value(row);
            if !text.is_empty() {
                for pair in pairs.split(text) {
                    match between.split_once(pair) {
                        Some((key, value)) => {
                            keys.append_value(key);
                            values.append_value(value);
                        }
                        None => {
                            keys.append_value(pair);
                            values.append_null();
                        }
                    }
                    count += 1;
                }
            }
            all.push(Some(first..count));
        }
        build_map(&made, &(Arc::new(keys.finish()) as ArrayRef), &(Arc::new(values.finish()) as ArrayRef), all)
    })))
}

#[cfg(test)]
mod tests {
    use crate::context::FunctionEnv;
    use crate::scalar;
    use crate::testing::{call, constant, show, text};
    use crate::udf::TypedExpr;

    fn ints(values: &[Option<i32>]) -> TypedExpr {
        let items = values.iter().map(|v| match v {
            Some(v) => constant(&v.to_string(), "INT"),
            None => constant("NULL", "INT"),
        });
        let items = items.collect();
        fold(scalar::call("ARRAY", items, &FunctionEnv::default()).expect("ARRAY").expect("an array"))
    }

    /// A constant, as arguments are in tests.
    fn fold(e: TypedExpr) -> TypedExpr {
        let row = crate::testing::values(&e, &crate::testing::one_row()).expect("a row");
        TypedExpr::literal(crate::udf::scalar_of(&row).expect("a row"), e.data_type)
    }

    fn run(name: &str, args: Vec<TypedExpr>) -> String {
        call(name, args).unwrap_or_else(|e| format!("ERROR {e}"))
    }

    #[test]
    fn constructors() {
        assert_eq!(show(&ints(&[Some(1), None])).expect("a value"), "[1, NULL]");
        assert_eq!(ints(&[Some(1)]).data_type.to_string(), "ARRAY<INT NOT NULL> NOT NULL");
        assert_eq!(run("ARRAY", vec![constant("1", "INT"), constant("2.5", "DOUBLE")]), "[1.0, 2.5]");
        assert_eq!(run("MAP", vec![text("a"), constant("1", "INT"), text("b"), constant("2", "INT")]), "{a=1, b=2}");
        assert_eq!(run("MAP", vec![text("a"), constant("1", "INT"), text("a"), constant("2", "INT")]), "{a=2}");
        let bare =
            TypedExpr::literal(datafusion_common::ScalarValue::Null, flott_core::types::TypeKind::Null.nullable());
        assert_eq!(run("MAP", vec![text("a"), bare]), "{a=NULL}");
        assert_eq!(run("MAP", vec![constant("NULL", "STRING"), text("x")]), "{NULL=x}");
        assert!(run("ARRAY", vec![constant("1", "INT"), text("x")]).starts_with("ERROR No match found"));
        let keys = fold(
            scalar::call("ARRAY", vec![text("a"), text("b")], &FunctionEnv::default()).expect("ARRAY").expect("one"),
        );
        assert_eq!(run("MAP_FROM_ARRAYS", vec![keys.clone(), ints(&[Some(1), None])]), "{a=1, b=NULL}");
        assert!(run("MAP_FROM_ARRAYS", vec![keys, ints(&[Some(1)])]).contains("not equal to the length"));
    }

    #[test]
    fn arrays() {
        let a = || ints(&[Some(3), None, Some(1), Some(3)]);
        let n = |v: &str| constant(v, "INT");
        for (name, args, expected) in [
            ("CARDINALITY", vec![a()], "4"),
            ("ELEMENT", vec![ints(&[Some(7)])], "7"),
            ("ARRAY_CONTAINS", vec![a(), n("1")], "TRUE"),
            ("ARRAY_CONTAINS", vec![a(), n("2")], "FALSE"),
            ("ARRAY_CONTAINS", vec![a(), n("NULL")], "TRUE"),
            ("ARRAY_POSITION", vec![a(), n("1")], "3"),
            ("ARRAY_POSITION", vec![a(), n("9")], "0"),
            ("ARRAY_POSITION", vec![a(), n("NULL")], "NULL"),
            ("ARRAY_DISTINCT", vec![a()], "[3, NULL, 1]"),
            ("ARRAY_REVERSE", vec![a()], "[3, 1, NULL, 3]"),
            ("ARRAY_SORT", vec![a()], "[NULL, 1, 3, 3]"),
            ("ARRAY_SORT", vec![a(), constant("false", "BOOLEAN")], "[3, 3, 1, NULL]"),
            ("ARRAY_SORT", vec![a(), constant("true", "BOOLEAN"), constant("false", "BOOLEAN")], "[1, 3, 3, NULL]"),
            ("ARRAY_SORT", vec![a(), constant("false", "BOOLEAN"), constant("true", "BOOLEAN")], "[NULL, 3, 3, 1]"),
            ("ARRAY_SLICE", vec![a(), n("2"), n("3")], "[NULL, 1]"),
            ("ARRAY_SLICE", vec![a(), n("-2"), n("-1")], "[1, 3]"),
            ("ARRAY_SLICE", vec![a(), n("3")], "[1, 3]"),
            ("ARRAY_SLICE", vec![a(), n("3"), n("2")], "[]"),
            ("ARRAY_APPEND", vec![a(), n("9")], "[3, NULL, 1, 3, 9]"),
            ("ARRAY_PREPEND", vec![a(), n("NULL")], "[NULL, 3, NULL, 1, 3]"),
            ("ARRAY_REMOVE", vec![a(), n("3")], "[NULL, 1]"),
            ("ARRAY_REMOVE", vec![a(), n("NULL")], "[3, 1, 3]"),
            ("ARRAY_CONCAT", vec![a(), ints(&[Some(5)])], "[3, NULL, 1, 3, 5]"),
            ("ARRAY_UNION", vec![a(), ints(&[Some(5), Some(1)])], "[3, NULL, 1, 5]"),
            ("ARRAY_EXCEPT", vec![a(), ints(&[Some(1)])], "[3, NULL]"),
            ("ARRAY_INTERSECT", vec![a(), ints(&[Some(3), None])], "[3, NULL]"),
            ("ARRAY_MAX", vec![a()], "3"),
            ("ARRAY_MIN", vec![a()], "1"),
            ("ARRAY_MIN", vec![ints(&[None])], "NULL"),
        ] {
            assert_eq!(run(name, args), expected, "{name}");
        }
        assert!(run("ELEMENT", vec![a()]).contains("more than one element"));
        assert!(run("CARDINALITY", vec![n("1")]).starts_with("ERROR No match found"));
    }

    #[test]
    fn texts_and_maps() {
        let m = || {
            fold(
                scalar::call(
                    "MAP",
                    vec![text("a"), constant("1", "INT"), text("b"), constant("NULL", "INT")],
                    &FunctionEnv::default(),
                )
                .expect("MAP")
                .expect("a map"),
            )
        };
        for (name, args, expected) in [
            ("MAP_KEYS", vec![m()], "[a, b]"),
            ("MAP_VALUES", vec![m()], "[1, NULL]"),
            ("MAP_ENTRIES", vec![m()], "[(a, 1), (b, NULL)]"),
            ("CARDINALITY", vec![m()], "2"),
            ("SPLIT", vec![text("a,b,,c"), text(",")], "[a, b, , c]"),
            ("SPLIT", vec![text("aß"), constant("", "STRING")], "[a, ß]"),
            ("STR_TO_MAP", vec![text("k1=v1,k2=v=2,k3")], "{k1=v1, k2=v=2, k3=NULL}"),
            ("STR_TO_MAP", vec![text("k1:v1;k2: v2"), text(";"), text(":")], "{k1=v1, k2= v2}"),
            ("STR_TO_MAP", vec![text("k1$$v1|k2$$ v2"), text("\\|"), text("\\$\\$")], "{k1=v1, k2= v2}"),
            ("STR_TO_MAP", vec![constant("", "STRING")], "{}"),
        ] {
            assert_eq!(run(name, args), expected, "{name}");
        }
        let words = fold(
            scalar::call("SPLIT", vec![text("a-b"), text("-")], &FunctionEnv::default())
                .expect("SPLIT")
                .expect("an array"),
        );
        assert_eq!(run("ARRAY_JOIN", vec![words, text("+")]), "a+b");
    }
}
