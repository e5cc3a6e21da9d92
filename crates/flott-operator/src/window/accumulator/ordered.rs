//! FIRST_VALUE, LAST_VALUE and LISTAGG: values in the order in which they came.
//!
//! Where rows may be taken away all values are kept, and the earliest one that equals a row's goes with it; else only
//! the one that counts, and of LISTAGG all.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StringArray, cast::AsArray, new_empty_array, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

use super::{Accumulator, Input, each_row};

/// What an entry of a group weighs besides its value.
const ENTRY_BYTES: usize = 16;
/// Between the values of LISTAGG.
const SEPARATOR: &str = ",";

/// Which of the values is the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Last,
    /// All, as one text.
    All,
}

/// Packed values of each group.
pub(super) struct Ordered {
    converter: RowConverter,
    null: Box<[u8]>,
    groups: Vec<VecDeque<Box<[u8]>>>,
    which: Which,
    retracts: bool,
    bytes: usize,
    data_type: DataType,
}

impl Ordered {
    pub(super) fn new(data_type: &DataType, which: Which, retracts: bool) -> Result<Ordered> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(|e| {
            Error::user(format!("FIRST_VALUE, LAST_VALUE or LISTAGG over a column of type {data_type}: {e}"))
                .hint("Cast the argument to a simple type")
        })?;
        let null = converter.convert_columns(&[new_null_array(data_type, 1)])?;
        let null = null.row(0).as_ref().into();
        Ok(Ordered { converter, null, groups: vec![], which, retracts, bytes: 0, data_type: data_type.clone() })
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
        }
    }

    fn decode<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let mut columns = self.converter.convert_rows(values.map(|v| parser.parse(v)))?;
        Ok(columns.pop().unwrap_or_else(|| new_empty_array(&self.data_type)))
    }
}

impl Accumulator for Ordered {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, VecDeque::new);
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
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let lists = state[0].as_list::<i32>();
        let rows = self.converter.convert_columns(std::slice::from_ref(lists.values()))?;
        for (g, range) in groups.iter().zip(lists.value_offsets().windows(2)) {
            for i in range[0]..range[1] {
                self.add(*g as usize, rows.row(i as usize).as_ref());
            }
        }
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let group = |i: usize| &self.groups[of.map_or(i, |g| g[i] as usize)];
        let offsets = OffsetBuffer::from_lengths((0..n).map(|i| group(i).len()));
        let values = self.decode((0..n).flat_map(|i| group(i).iter().map(|v| v.as_ref())))?;
        let item = Arc::new(Field::new("item", self.data_type.clone(), true));
        Ok(vec![Arc::new(ListArray::new(item, offsets, values, None))])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let group = |i: usize| &self.groups[of.map_or(i, |g| g[i] as usize)];
        let or_null = |v: Option<&'_ Box<[u8]>>| -> Box<[u8]> { v.unwrap_or(&self.null).clone() };
        if self.which != Which::All {
            let values: Vec<Box<[u8]>> = (0..n)
                .map(|i| or_null(if self.which == Which::First { group(i).front() } else { group(i).back() }))
                .collect();
            return self.decode(values.iter().map(|v| v.as_ref()));
        }
        let lists = self.state(of)?;
        let lists = lists[0].as_list::<i32>();
        let texts = lists.values().as_string::<i32>();
        let joined = lists.value_offsets().windows(2).map(|range| {
            let values: Vec<&str> = (range[0]..range[1]).map(|i| texts.value(i as usize)).collect();
            (!values.is_empty()).then(|| values.join(SEPARATOR))
        });
        Ok(Arc::new(joined.collect::<StringArray>()))
    }

    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            self.bytes -= self.groups[*g as usize].drain(..).map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.bytes = 0;
    }

    fn size_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<VecDeque<Box<[u8]>>>() + self.bytes
    }
}
