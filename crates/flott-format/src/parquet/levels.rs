//! Definition and repetition levels of one leaf of a column: the library keeps those that it computes to itself, and
//! cannot write INT96.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

/// Where a leaf is below its column: the child to take at each ROW, 0 (key) or 1 (value) at each MAP, nothing at an ARRAY.
pub(super) type LeafPath = Vec<usize>;

/// The leaves of a column, in the order in which Parquet has them.
pub(super) fn leaves<'a>(data_type: &'a DataType, found: &mut Vec<(LeafPath, &'a DataType)>) {
    fn go<'a>(data_type: &'a DataType, path: &mut LeafPath, found: &mut Vec<(LeafPath, &'a DataType)>) {
        match data_type {
            DataType::List(element) => go(element.data_type(), path, found),
            DataType::Map(entries, _) => go(entries.data_type(), path, found),
            DataType::Struct(fields) => {
                for (i, field) in fields.iter().enumerate() {
                    path.push(i);
                    go(field.data_type(), path, found);
                    path.pop();
                }
            }
            leaf => found.push((path.clone(), leaf)),
        }
    }
    go(data_type, &mut vec![], found);
}

/// An entry of a leaf: its levels, and the index of the value behind it where there is one.
#[derive(Debug, Clone, Copy)]
struct Slot {
    definition: i16,
    repetition: i16,
    index: Option<usize>,
}

/// What is written of a leaf besides its values.
#[derive(Debug, Default, Clone)]
pub(super) struct Levels {
    pub(super) definition: Vec<i16>,
    pub(super) repetition: Vec<i16>,
}

/// Adds the levels of one leaf of a column; gives the leaf's array, and which of its values are written.
pub(super) fn append(
    field: &Field,
    column: &ArrayRef,
    path: &[usize],
    levels: &mut Levels,
) -> Result<(ArrayRef, Vec<usize>)> {
    let start = |i| Slot { definition: 0, repetition: 0, index: Some(i) };
    let slots = (0..column.len()).map(start).collect();
    let (array, slots) = below(field, column, path, 0, slots)?;
    levels.definition.extend(slots.iter().map(|s| s.definition));
    levels.repetition.extend(slots.iter().map(|s| s.repetition));
    Ok((array, slots.into_iter().filter_map(|s| s.index).collect()))
}

fn below(
    field: &Field,
    array: &ArrayRef,
    path: &[usize],
    depth: i16,
    mut slots: Vec<Slot>,
) -> Result<(ArrayRef, Vec<Slot>)> {
    if field.is_nullable() {
        define(array, &mut slots);
    }
    let lost = || Error::internal("a path into a column leads nowhere");
    match array.data_type() {
        DataType::List(element) => {
            let list = array.as_list::<i32>();
            below(element, list.values(), path, depth + 1, repeat(list.value_offsets(), depth + 1, slots))
        }
        DataType::Map(entries, _) => {
            let map = array.as_map();
            let DataType::Struct(fields) = entries.data_type() else { return Err(lost()) };
            let (child, rest) = path.split_first().ok_or_else(lost)?;
            // The entries themselves are never NULL, whatever their field says.
            let slots = repeat(map.value_offsets(), depth + 1, slots);
            let of = fields.get(*child).ok_or_else(lost)?;
            below(of, map.entries().column(*child), rest, depth + 1, slots)
        }
        DataType::Struct(fields) => {
            let (child, rest) = path.split_first().ok_or_else(lost)?;
            let of = fields.get(*child).ok_or_else(lost)?;
            below(of, array.as_struct().column(*child), rest, depth, slots)
        }
        _ => Ok((array.clone(), slots)),
    }
}

/// One level more for what is there; nothing below what is NULL.
fn define(array: &ArrayRef, slots: &mut [Slot]) {
    for slot in slots {
        match slot.index {
            Some(i) if array.is_null(i) => slot.index = None,
            Some(_) => slot.definition += 1,
            None => {}
        }
    }
}

/// One entry for each element; an empty list keeps its own.
fn repeat(offsets: &[i32], depth: i16, slots: Vec<Slot>) -> Vec<Slot> {
    let mut out = Vec::with_capacity(slots.len());
    for slot in slots {
        let elements = slot.index.map_or(0..0, |i| offsets[i] as usize..offsets[i + 1] as usize);
        if elements.is_empty() {
            out.push(Slot { index: None, ..slot });
            continue;
        }
        let first = elements.start;
        out.extend(elements.map(|i| Slot {
            definition: slot.definition + 1,
            repetition: if i == first { slot.repetition } else { depth },
            index: Some(i),
        }));
    }
    out
}
