//! FIRST_VALUE, LAST_VALUE, LISTAGG, ARRAY_AGG, JSON_ARRAYAGG and SINGLE_VALUE: values in the order in which they came.
//!
//! Where rows may be taken away all values are kept, and the earliest one that equals a row's goes with it; else only
//! the one that counts, and all of those that show all.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, StringArray, cast::AsArray, new_empty_array, new_null_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

use super::{Accumulator, Input, each_row};
use crate::held::list_bytes;

/// What an entry of a group weighs besides its value.
const ENTRY_BYTES: usize = 16;
/// Between the values of LISTAGG, where the call gives nothing else.
const SEPARATOR: &str = ",";

/// Which of the values is the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Last,
    /// All, as one text. They are texts, or rows of a text and what stands before it unless it is the first.
    Text,
    /// All, as an array.
    Array,
    /// All, which are JSON, as a JSON array.
    JsonArray,
    /// The only one.
    Single,
}

/// Packed values of each group.
pub(super) struct Ordered {
    converter: RowConverter,
    null: Box<[u8]>,
    groups: Vec<VecDeque<Box<[u8]>>>,
    /// What was taken away of each group that it did not have, where others may have it.
    owed: Option<Vec<Vec<Box<[u8]>>>>,
    which: Which,
    retracts: bool,
    bytes: usize,
    data_type: DataType,
    result: DataType,
}

impl Ordered {
    pub(super) fn new(data_type: &DataType, which: Which, retracts: bool, result: &DataType) -> Result<Ordered> {
        // Those that show all keep all.
        let retracts = retracts || !matches!(which, Which::First | Which::Last);
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(|e| {
            Error::user(format!("values of type {data_type} cannot be kept in their order: {e}"))
                .hint("Cast the argument to a simple type")
        })?;
        let null = converter.convert_columns(&[new_null_array(data_type, 1)])?;
        let null = null.row(0).as_ref().into();
        let (data_type, result) = (data_type.clone(), result.clone());
        Ok(Ordered { converter, null, groups: vec![], owed: None, which, retracts, bytes: 0, data_type, result })
    }

    /// The same for a local aggregate: its state has a second list, of what is to be taken away from others.
    pub(super) fn local(self) -> Ordered {
        Ordered { owed: Some(vec![]), ..self }
    }

    fn add(&mut self, group: usize, value: &[u8]) {
        let values = &mut self.groups[group];
        match self.which {
            Which::First if !self.retracts && !values.is_empty() => return,
            Which::Last if !self.retracts => {
                self.bytes -= values.drain(..).map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
            }
            _ => {}
        }
        values.push_back(value.into());
        self.bytes += value.len() + ENTRY_BYTES;
    }

    fn take_away(&mut self, group: usize, value: &[u8]) {
        let values = &mut self.groups[group];
        if let Some(at) = values.iter().position(|v| v.as_ref() == value) {
            values.remove(at);
            self.bytes -= value.len() + ENTRY_BYTES;
        } else if let Some(owed) = &mut self.owed {
            owed[group].push(value.into());
            self.bytes += value.len() + ENTRY_BYTES;
        }
    }

    fn decode<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let mut columns = self.converter.convert_rows(values.map(|v| parser.parse(v)))?;
        Ok(columns.pop().unwrap_or_else(|| new_empty_array(&self.data_type)))
    }

    fn check_single(&self, groups: &[u32]) -> Result<()> {
        if self.which == Which::Single && groups.iter().any(|g| self.groups[*g as usize].len() > 1) {
            return Err(Error::data("SINGLE_VALUE received more than one element.")
                .hint("Group by what tells the values apart, or use FIRST_VALUE"));
        }
        Ok(())
    }
}

impl Accumulator for Ordered {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, VecDeque::new);
        if let Some(owed) = &mut self.owed {
            owed.resize_with(groups, Vec::new);
        }
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        if input.signs.is_some() && !self.retracts {
            return Err(Error::internal("values are taken away that were not kept"));
        }
        let rows = self.converter.convert_columns(std::slice::from_ref(argument))?;
        each_row(groups, input.include, |row, g| {
            let value = rows.row(row);
            match input.signs.map_or(1, |s| s[row]) {
                1.. => self.add(g, value.as_ref()),
                _ => self.take_away(g, value.as_ref()),
            }
        });
        self.check_single(groups)
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let added = state[0].as_list::<i32>();
        let rows = self.converter.convert_columns(std::slice::from_ref(added.values()))?;
        // What a local aggregate was owed goes first: it was there before what it has.
        let owed = match state.get(1).map(|c| c.as_list::<i32>()) {
            Some(lists) => Some((lists, self.converter.convert_columns(std::slice::from_ref(lists.values()))?)),
            None => None,
        };
        for (place, g) in groups.iter().enumerate() {
            if let Some((lists, rows)) = &owed {
                for i in lists.value_offsets()[place]..lists.value_offsets()[place + 1] {
                    self.take_away(*g as usize, rows.row(i as usize).as_ref());
                }
            }
            for i in added.value_offsets()[place]..added.value_offsets()[place + 1] {
                self.add(*g as usize, rows.row(i as usize).as_ref());
            }
        }
        self.check_single(groups)
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let number = |i: usize| of.map_or(i, |g| g[i] as usize);
        let item = Arc::new(Field::new("item", self.data_type.clone(), true));
        let group = |i: usize| &self.groups[number(i)];
        let offsets = OffsetBuffer::from_lengths((0..n).map(|i| group(i).len()));
        let values = self.decode((0..n).flat_map(|i| group(i).iter().map(|v| v.as_ref())))?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(ListArray::new(Arc::clone(&item), offsets, values, None))];
        if let Some(owed) = &self.owed {
            let offsets = OffsetBuffer::from_lengths((0..n).map(|i| owed[number(i)].len()));
            let values = self.decode((0..n).flat_map(|i| owed[number(i)].iter().map(|v| v.as_ref())))?;
            columns.push(Arc::new(ListArray::new(item, offsets, values, None)));
        }
        Ok(columns)
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let group = |i: usize| &self.groups[of.map_or(i, |g| g[i] as usize)];
        let or_null = |v: Option<&'_ Box<[u8]>>| -> Box<[u8]> { v.unwrap_or(&self.null).clone() };
        if matches!(self.which, Which::First | Which::Last | Which::Single) {
            let values: Vec<Box<[u8]>> = (0..n)
                .map(|i| or_null(if self.which == Which::Last { group(i).back() } else { group(i).front() }))
                .collect();
            return self.decode(values.iter().map(|v| v.as_ref()));
        }
        let lists = self.state(of)?;
        let lists = lists[0].as_list::<i32>();
        match self.which {
            Which::Array => as_array(lists, &self.result),
            Which::JsonArray => Ok(as_json(lists)),
            _ => Ok(as_text(lists)),
        }
    }

    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            self.bytes -= self.groups[*g as usize].drain(..).map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
            if let Some(owed) = &mut self.owed {
                self.bytes -= owed[*g as usize].drain(..).map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
            }
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.owed.iter_mut().for_each(Vec::clear);
        self.bytes = 0;
    }

    fn size_bytes(&self) -> usize {
        list_bytes(&self.groups) + self.bytes
    }
}

/// Texts one behind another; NULL where there is none. The last separator counts for all.
fn as_text(lists: &ListArray) -> ArrayRef {
    let (texts, separators) = match lists.values().as_struct_opt() {
        Some(row) => (row.column(0).as_string::<i32>(), Some(row.column(1).as_string::<i32>())),
        None => (lists.values().as_string::<i32>(), None),
    };
    let joined = lists.value_offsets().windows(2).map(|range| {
        let values: Vec<&str> = (range[0]..range[1]).map(|i| texts.value(i as usize)).collect();
        let separator = |s: &StringArray| s.value(range[1] as usize - 1).to_string();
        (!values.is_empty()).then(|| match separators {
            Some(separators) => values.join(&separator(separators)),
            None => values.join(SEPARATOR),
        })
    });
    Arc::new(joined.collect::<StringArray>())
}

/// The lists themselves; NULL where they are empty.
fn as_array(lists: &ListArray, result: &DataType) -> Result<ArrayRef> {
    let DataType::List(item) = result else {
        return Err(Error::internal(format!("ARRAY_AGG with a result of type {result}")));
    };
    let filled: NullBuffer = lists.value_offsets().windows(2).map(|range| range[0] < range[1]).collect();
    let lists = ListArray::try_new(Arc::clone(item), lists.offsets().clone(), lists.values().clone(), Some(filled))?;
    Ok(Arc::new(lists))
}

/// A JSON array of values that are JSON or NULL.
fn as_json(lists: &ListArray) -> ArrayRef {
    let texts = lists.values().as_string::<i32>();
    let shown = lists.value_offsets().windows(2).map(|range| {
        let values =
            (range[0] as usize..range[1] as usize).map(|i| if texts.is_valid(i) { texts.value(i) } else { "null" });
        Some(format!("[{}]", values.collect::<Vec<_>>().join(",")))
    });
    Arc::new(shown.collect::<StringArray>())
}
