//! Arrays and maps: constructors, size, search, set operations, keys and values.
//!
//! All work on places: which elements of the columns that are there make up the result, so that elements of any type are
//! moved by one `take`. Elements are equal as in IS NOT DISTINCT FROM.

mod array;
mod array_append;
mod array_concat;
mod array_contains;
mod array_distinct;
mod array_except;
mod array_intersect;
mod array_join;
mod array_max_min;
mod array_position;
mod array_prepend;
mod array_remove;
mod array_reverse;
mod array_slice;
mod array_sort;
mod array_union;
mod cardinality;
mod element;
mod map;
mod map_entries;
mod map_from_arrays;
mod map_keys;
mod map_union;
mod map_values;
mod object_of;
mod object_update;
mod split;
mod str_to_map;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, UInt32Array, new_empty_array};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::{DataType, SortOptions};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flott_core::types::{RowField, TypeKind as K, arrow_field, arrow_type, map_array, map_keys};
use flott_core::{Error, LogicalType, Result};

use crate::same_map::entries_in_order;
use crate::scalar::{Arguments, ScalarFunction};
use crate::types::{function_common_type, implicit_cast, least_common_type};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    array::ARRAY,
    map::MAP,
    cardinality::CARDINALITY,
    element::ELEMENT,
    array_contains::ARRAY_CONTAINS,
    array_position::ARRAY_POSITION,
    array_distinct::ARRAY_DISTINCT,
    array_reverse::ARRAY_REVERSE,
    array_sort::ARRAY_SORT,
    array_slice::ARRAY_SLICE,
    array_append::ARRAY_APPEND,
    array_prepend::ARRAY_PREPEND,
    array_remove::ARRAY_REMOVE,
    array_concat::ARRAY_CONCAT,
    array_union::ARRAY_UNION,
    array_except::ARRAY_EXCEPT,
    array_intersect::ARRAY_INTERSECT,
    array_max_min::ARRAY_MAX,
    array_max_min::ARRAY_MIN,
    array_join::ARRAY_JOIN,
    map_keys::MAP_KEYS,
    map_values::MAP_VALUES,
    map_entries::MAP_ENTRIES,
    map_from_arrays::MAP_FROM_ARRAYS,
    split::SPLIT,
    str_to_map::STR_TO_MAP,
    map_union::MAP_UNION,
    object_of::OBJECT_OF,
    object_update::OBJECT_UPDATE,
];

fn element_type(t: &LogicalType) -> Option<LogicalType> {
    match &t.kind {
        K::Array(e) => Some((**e).clone()),
        _ => None,
    }
}

pub(super) fn compare_all(values: &ArrayRef, nulls_first: bool) -> Result<DynComparator> {
    let values = entries_in_order(values)?;
    make_comparator(&values, &values, SortOptions { descending: false, nulls_first }).map_err(|_| {
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

/// Brings values to their common type, which constructors find as operators do, and functions in their own way.
fn common(
    a: &mut Arguments,
    indices: impl Iterator<Item = usize> + Clone,
    of: fn(&[LogicalType]) -> Option<LogicalType>,
) -> Result<Option<LogicalType>> {
    let types: Vec<LogicalType> = indices.clone().map(|i| a.values[i].data_type.clone()).collect();
    let Some(t) = of(&types).filter(|t| t.kind != K::Null) else { return Ok(None) };
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

/// The type of elements that have an order: BOOLEAN, rows and collections have none here, as in Flink.
fn ordered_type(t: &LogicalType) -> Option<LogicalType> {
    let without = |k: &K| {
        matches!(k, K::Boolean | K::Row(_) | K::Array(_) | K::Map(..) | K::Multiset(_) | K::Variant | K::Bitmap)
    };
    element_type(t).filter(|e| !without(&e.kind))
}

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
        other if other.is_datetime() => implicit_cast(&value.clone().nullable(), &other.clone().nullable()),
        _ => false,
    }
}

/// An array and a value of its element type; both in one column, the values behind the elements.
///
/// The value goes by the elements: it is cast to their type and length, as in Flink, and 2.5 is looked for in no array of INT.
fn array_and_value(a: &mut Arguments) -> Result<Option<LogicalType>> {
    let Some(element) = element_type(&a.values[0].data_type) else { return Ok(None) };
    let value = a.values[1].data_type.clone();
    let has_common = || least_common_type(&[element.clone(), value.clone()]).is_some();
    if !goes_into(&value.kind, &element.kind) || !(element.kind.is_datetime() || has_common()) {
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
    let Some(t) = common(a, 0..count, function_common_type)? else { return Ok(None) };
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

/// The names at every second place from `first` on, each once; `None` where one is no text in quotes.
fn names(a: &Arguments, first: usize) -> Result<Option<Vec<String>>> {
    let mut names: Vec<String> = vec![];
    for (i, value) in a.values.iter().enumerate().skip(first).step_by(2) {
        let Some(name) = value.text() else { return Ok(None) };
        if names.iter().any(|n| n == name) {
            return Err(Error::user(format!("The field name '{name}' at position {} is repeated.", i + 1))
                .hint("Name each field once"));
        }
        names.push(name.to_string());
    }
    Ok(Some(names))
}
