//! LAG over rows that come one after another: the last values of each group.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, cast::AsArray, new_empty_array, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

use super::running::Running;
use crate::window::accumulator::Step;

/// What a value weighs besides its bytes.
const ENTRY_BYTES: usize = 16;

#[derive(Default, Clone)]
struct Group {
    /// The last `offset + 1` values, packed.
    values: VecDeque<Box<[u8]>>,
    /// What the last row gives where there is no value so far before it.
    default: Option<Box<[u8]>>,
}

impl Group {
    fn size_bytes(&self) -> usize {
        self.values.iter().chain(&self.default).map(|v| v.len() + ENTRY_BYTES).sum()
    }
}

/// Flink's `LagAggFunction`: of rows that are equal in the order each sees what the last of them sees.
pub(super) struct Lag {
    converter: RowConverter,
    data_type: DataType,
    null: Box<[u8]>,
    column: usize,
    offset: usize,
    default: Option<usize>,
    groups: Vec<Group>,
    bytes: usize,
}

impl Lag {
    /// Of the values of a column of this type; `default`: a column of the same type.
    pub(super) fn new(data_type: &DataType, column: usize, offset: usize, default: Option<usize>) -> Result<Lag> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(|e| {
            Error::user(format!("LAG over a column of type {data_type}: {e}"))
                .hint("Cast the argument to a simple type")
        })?;
        let null = converter.convert_columns(&[new_null_array(data_type, 1)])?;
        let null = null.row(0).as_ref().into();
        let data_type = data_type.clone();
        Ok(Lag { converter, data_type, null, column, offset, default, groups: vec![], bytes: 0 })
    }

    fn shown(&self, group: u32) -> &[u8] {
        let group = &self.groups[group as usize];
        match group.values.front() {
            Some(value) if group.values.len() > self.offset => value,
            _ => group.default.as_deref().unwrap_or(&self.null),
        }
    }

    fn set(&mut self, group: u32, value: Group) {
        let old = &mut self.groups[group as usize];
        self.bytes = self.bytes + value.size_bytes() - old.size_bytes();
        *old = value;
    }

    fn decode<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let mut columns = self.converter.convert_rows(values.map(|v| parser.parse(v)))?;
        Ok(columns.pop().unwrap_or_else(|| new_empty_array(&self.data_type)))
    }
}

impl Running for Lag {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, Group::default);
    }

    fn run(&mut self, steps: &[Step], rows: &RecordBatch) -> Result<ArrayRef> {
        let values = self.converter.convert_columns(std::slice::from_ref(rows.column(self.column)))?;
        let defaults = match self.default {
            Some(column) => Some(self.converter.convert_columns(std::slice::from_ref(rows.column(column)))?),
            None => None,
        };
        let (mut shown, mut ends) = (vec![], vec![]);
        for step in steps {
            match *step {
                Step::Add { group, row } => {
                    let mut to = std::mem::take(&mut self.groups[group as usize]);
                    let before = to.size_bytes();
                    to.values.push_back(values.row(row as usize).as_ref().into());
                    if to.values.len() > self.offset.saturating_add(1) {
                        to.values.pop_front();
                    }
                    to.default = defaults.as_ref().map(|d| d.row(row as usize).as_ref().into());
                    self.bytes = self.bytes + to.size_bytes() - before;
                    self.groups[group as usize] = to;
                }
                Step::Remove { .. } => return Err(Error::internal("LAG over a frame that rows leave")),
                Step::Emit { group } => {
                    shown.extend_from_slice(self.shown(group));
                    ends.push(shown.len());
                }
                Step::Clear { group } => self.set(group, Group::default()),
                Step::Copy { from, to } => {
                    let copy = self.groups[from as usize].clone();
                    self.set(to, copy);
                }
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        self.decode(starts.zip(&ends).map(|(from, to)| &shown[from..*to]))
    }

    fn reset(&mut self, groups: &[u32]) {
        groups.iter().for_each(|g| self.set(*g, Group::default()));
    }

    /// The values, and the default (NULL: none, or NULL).
    fn stored(&self, of: &[u32]) -> Result<Vec<ArrayRef>> {
        let group = |g: &u32| &self.groups[*g as usize];
        let offsets = OffsetBuffer::from_lengths(of.iter().map(|g| group(g).values.len()));
        let values = self.decode(of.iter().flat_map(|g| group(g).values.iter().map(AsRef::as_ref)))?;
        let item = Arc::new(Field::new("item", self.data_type.clone(), true));
        let defaults = self.decode(of.iter().map(|g| group(g).default.as_deref().unwrap_or(&self.null)))?;
        Ok(vec![Arc::new(ListArray::new(item, offsets, values, None)), defaults])
    }

    fn restore(&mut self, groups: &[u32], stored: &[ArrayRef]) -> Result<()> {
        let [lists, defaults] = stored else { return Err(Error::internal("a stored LAG of another form")) };
        let lists = lists.as_list::<i32>();
        let values = self.converter.convert_columns(std::slice::from_ref(lists.values()))?;
        let packed = self.converter.convert_columns(std::slice::from_ref(defaults))?;
        for (place, (group, range)) in groups.iter().zip(lists.value_offsets().windows(2)).enumerate() {
            let values = (range[0]..range[1]).map(|i| values.row(i as usize).as_ref().into()).collect();
            let default = defaults.is_valid(place).then(|| packed.row(place).as_ref().into());
            self.set(*group, Group { values, default });
        }
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>() + self.bytes
    }
}
