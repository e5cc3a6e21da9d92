//! JSON_OBJECTAGG: a JSON object of the keys and values of a group. A key comes once.
//!
//! Its arguments are one ROW: the key, and the value as JSON or NULL.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, StringArray, cast::AsArray};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};
use flott_function::scalar::json_object_text;

use super::{Accumulator, Input, each_row};

/// What an entry of a group weighs besides its texts.
const ENTRY_BYTES: usize = 64;

type Entries = BTreeMap<Box<str>, Option<Box<str>>>;

/// Keys and values of each group.
pub(super) struct JsonObject {
    groups: Vec<Entries>,
    /// What was taken away of each group that it did not have, where others may have it.
    owed: Option<Vec<Entries>>,
    /// What is NULL is left out.
    absent: bool,
    bytes: usize,
}

impl JsonObject {
    /// `owes`: it is of a local aggregate, whose state also has what is to be taken away from others.
    pub(super) fn new(absent: bool, owes: bool) -> JsonObject {
        JsonObject { groups: vec![], owed: owes.then(Vec::new), absent, bytes: 0 }
    }

    /// The arguments of a call as they are read here.
    pub(super) fn fits(argument: &DataType) -> bool {
        matches!(argument, DataType::Struct(f) if f.len() == 2 && f.iter().all(|f| f.data_type() == &DataType::Utf8))
    }

    fn add(&mut self, group: usize, key: &str, value: Option<&str>) -> Result<()> {
        let entries = &mut self.groups[group];
        if entries.contains_key(key) {
            return Err(Error::data(format!(
                "Key '{key}' is already present. Duplicate keys are not allowed in JSON_OBJECTAGG. Please ensure that \
                 keys are unique."
            ))
            .hint("Group by the key, too, or aggregate the values of a key first"));
        }
        if value.is_some() || !self.absent {
            self.bytes += key.len() + value.map_or(0, str::len) + ENTRY_BYTES;
            entries.insert(key.into(), value.map(Into::into));
        }
        Ok(())
    }

    fn take_away(&mut self, group: usize, key: &str, value: Option<&str>) {
        let entries = &mut self.groups[group];
        if entries.get(key).is_some_and(|v| v.as_deref() == value) {
            entries.remove(key);
            self.bytes -= key.len() + value.map_or(0, str::len) + ENTRY_BYTES;
        } else if let Some(owed) = &mut self.owed {
            self.bytes += key.len() + value.map_or(0, str::len) + ENTRY_BYTES;
            owed[group].insert(key.into(), value.map(Into::into));
        }
    }
}

impl Accumulator for JsonObject {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, BTreeMap::new);
        if let Some(owed) = &mut self.owed {
            owed.resize_with(groups, BTreeMap::new);
        }
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument.and_then(|a| a.as_struct_opt()) else {
            return Err(Error::internal("JSON_OBJECTAGG without its arguments"));
        };
        let (keys, values) = (argument.column(0).as_string::<i32>(), argument.column(1).as_string::<i32>());
        let mut failed = None;
        each_row(groups, input.include, |row, g| {
            if failed.is_some() {
                return;
            }
            let value = values.is_valid(row).then(|| values.value(row));
            if keys.is_null(row) {
                failed = Some(
                    Error::data("a key of JSON_OBJECTAGG is NULL").hint("Leave it out: FILTER (WHERE key IS NOT NULL)"),
                );
            } else if input.signs.map_or(1, |s| s[row]) > 0 {
                failed = self.add(g, keys.value(row), value).err();
            } else {
                self.take_away(g, keys.value(row), value);
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (keys, values) = (state[0].as_list::<i32>(), state[1].as_list::<i32>());
        for (place, g) in groups.iter().enumerate() {
            if let (Some(keys), Some(values)) = (state.get(2), state.get(3)) {
                let (keys, values) = (keys.as_list::<i32>().value(place), values.as_list::<i32>().value(place));
                for (key, value) in keys.as_string::<i32>().iter().zip(values.as_string::<i32>()) {
                    self.take_away(*g as usize, key.unwrap_or_default(), value);
                }
            }
            let (keys, values) = (keys.value(place), values.value(place));
            for (key, value) in keys.as_string::<i32>().iter().zip(values.as_string::<i32>()) {
                self.add(*g as usize, key.unwrap_or_default(), value)?;
            }
        }
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let texts = || {
            let item = Arc::new(Field::new("item", DataType::Utf8, true));
            ListBuilder::new(StringBuilder::new()).with_field(item)
        };
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let mut columns: Vec<ArrayRef> = vec![];
        for groups in [&self.groups].into_iter().chain(&self.owed) {
            let (mut keys, mut values) = (texts(), texts());
            for i in 0..n {
                for (key, value) in &groups[of.map_or(i, |g| g[i] as usize)] {
                    keys.values().append_value(key);
                    values.values().append_option(value.as_deref());
                }
                keys.append(true);
                values.append(true);
            }
            columns.push(Arc::new(keys.finish()));
            columns.push(Arc::new(values.finish()));
        }
        Ok(columns)
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let shown = (0..n).map(|i| {
            let entries = &self.groups[of.map_or(i, |g| g[i] as usize)];
            Some(json_object_text(entries.iter().map(|(k, v)| (k.as_ref(), v.as_deref()))))
        });
        Ok(Arc::new(shown.collect::<StringArray>()))
    }

    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            let entries = std::mem::take(&mut self.groups[*g as usize]);
            let owed = self.owed.as_mut().map(|owed| std::mem::take(&mut owed[*g as usize]));
            for (key, value) in entries.iter().chain(owed.iter().flatten()) {
                self.bytes -= key.len() + value.as_ref().map_or(0, |v| v.len()) + ENTRY_BYTES;
            }
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.owed.iter_mut().for_each(Vec::clear);
        self.bytes = 0;
    }

    fn size_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Entries>() + self.bytes
    }
}
