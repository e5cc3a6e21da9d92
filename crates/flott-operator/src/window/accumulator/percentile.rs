//! PERCENTILE: the value at a place among the sorted values of a group, between two of them in proportion.
//!
//! Its arguments are one ROW: the value, the percentage or an array of them, and perhaps how often the value counts.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, cast::AsArray};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

use super::multiset::Multiset;
use super::welford::{doubles, integers};
use super::{Accumulator, Input, each_row};

/// The percentages that a group is asked for: those of its first row.
type Percentages = Option<Box<[f64]>>;

/// Sorted values of each group.
pub(super) struct Percentile {
    values: Multiset,
    percentages: Vec<Percentages>,
    /// The result is an array.
    many: bool,
    result: DataType,
}

impl Percentile {
    pub(super) fn new(result: &DataType) -> Result<Percentile> {
        Ok(Percentile {
            values: Multiset::new(&DataType::Float64, "PERCENTILE")?,
            percentages: vec![],
            many: matches!(result, DataType::List(_)),
            result: result.clone(),
        })
    }

    /// The percentages of a row, if they are between 0 and 1.
    fn read(&self, column: &ArrayRef, row: usize) -> Result<Box<[f64]>> {
        let read: Box<[f64]> = match self.many {
            true => column.as_list::<i32>().value(row).as_primitive::<Float64Type>().values().iter().copied().collect(),
            false => [column.as_primitive::<Float64Type>().value(row)].into(),
        };
        match read.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            None => Ok(read),
            Some(p) => {
                Err(Error::data(format!("Percentage of PERCENTILE should be between [0.0, 1.0], but was '{p:?}'.")))
            }
        }
    }
}

/// The values at these parts of the way from the first to the last of sorted values, each of which counts so often.
fn percentiles(values: &[f64], counts: &[i64], percentages: &[f64]) -> Option<Vec<f64>> {
    // Counts wrap around, as in Flink: of more values than there are numbers nothing is said.
    let total = counts.iter().fold(0i64, |total, count| total.wrapping_add(*count));
    if total <= 0 {
        return None;
    }
    // From the least percentage to the greatest, so that the values are passed once.
    let mut places: Vec<(f64, usize)> =
        percentages.iter().enumerate().map(|(i, p)| (p * (total - 1) as f64 + 1.0, i)).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut found = vec![0.0; percentages.len()];
    let (mut at, mut passed) = (0, counts[0]);
    for (place, index) in places {
        let (lower, higher) = (place.floor(), place.ceil());
        while passed < lower as i64 && at + 1 < values.len() {
            at += 1;
            passed = passed.wrapping_add(counts[at]);
        }
        found[index] = match values.get(at + 1) {
            Some(next) if passed < higher as i64 => (higher - place) * values[at] + (place - lower) * next,
            _ => values[at],
        };
    }
    Some(found)
}

impl Accumulator for Percentile {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
        self.percentages.resize(groups, None);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument.and_then(|a| a.as_struct_opt()) else {
            return Err(Error::internal("PERCENTILE without its arguments"));
        };
        let mut first = vec![];
        each_row(groups, input.include, |row, g| {
            if self.percentages[g].is_none() {
                first.push((row, g));
            }
        });
        for (row, g) in first {
            if self.percentages[g].is_none() {
                self.percentages[g] = Some(self.read(argument.column(1), row)?);
            }
        }
        let values: ArrayRef = Arc::new(doubles(argument.column(0))?);
        let frequencies = match argument.columns().get(2) {
            Some(column) => Some(integers(column)?),
            None => None,
        };
        let often = |row: usize| match &frequencies {
            None => 1,
            Some(f) if f.is_null(row) => 0,
            Some(f) => f.value(row).max(0),
        };
        self.values.update(groups, &values, input.include, |row| often(row) * input.signs.map_or(1, |s| s[row]))
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let lists = state[0].as_list::<i32>();
        for (place, g) in groups.iter().enumerate() {
            let own = &mut self.percentages[*g as usize];
            if own.is_none() && lists.is_valid(place) {
                *own = Some(lists.value(place).as_primitive::<Float64Type>().values().iter().copied().collect());
            }
        }
        self.values.merge(groups, &state[1], &state[2])
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let item = Arc::new(Field::new("item", DataType::Float64, true));
        let mut percentages = ListBuilder::new(Float64Builder::new()).with_field(item);
        let n = of.map_or(self.percentages.len(), <[u32]>::len);
        for i in 0..n {
            let own = &self.percentages[of.map_or(i, |g| g[i] as usize)];
            own.iter().for_each(|p| percentages.values().append_slice(p));
            percentages.append(own.is_some());
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(percentages.finish())];
        columns.extend(self.values.state(of)?);
        Ok(columns)
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let (values, counts, offsets) = self.values.entries(of, |_| true)?;
        let values = values.as_primitive::<Float64Type>().values();
        let results = offsets.windows(2).enumerate().map(|(i, range)| {
            let range = range[0] as usize..range[1] as usize;
            let percentages = self.percentages[of.map_or(i, |g| g[i] as usize)].as_ref().filter(|p| !p.is_empty())?;
            percentiles(&values[range.clone()], &counts[range], percentages)
        });
        if !self.many {
            return Ok(Arc::new(results.map(|r| r.map(|r| r[0])).collect::<Float64Array>()));
        }
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(
            results.map(|r| r.map(|r| r.into_iter().map(Some).collect::<Vec<_>>())),
        );
        let DataType::List(item) = &self.result else {
            return Err(Error::internal(format!("PERCENTILE with a result of type {}", self.result)));
        };
        let (_, offsets, values, nulls) = lists.into_parts();
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
    }

    fn reset(&mut self, groups: &[u32]) {
        groups.iter().for_each(|g| self.percentages[*g as usize] = None);
        self.values.reset(groups);
    }

    fn clear(&mut self) {
        self.percentages.clear();
        self.values.clear();
    }

    fn size_bytes(&self) -> usize {
        self.percentages.capacity() * size_of::<Percentages>() + self.values.size_bytes()
    }
}

/// The arguments of a call as PERCENTILE reads them.
pub(super) fn fits(argument: &DataType) -> bool {
    let DataType::Struct(fields) = argument else { return false };
    fields.len() >= 2
        && match fields[1].data_type() {
            DataType::Float64 => true,
            DataType::List(item) => item.data_type() == &DataType::Float64,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StructArray};

    use super::*;

    #[test]
    fn between_two_values_in_proportion() {
        let of = |p: &[f64]| percentiles(&[1.0, 2.5, 7.25], &[1, 1, 1], p).expect("values");
        assert_eq!(of(&[0.1, 0.5, 1.0, 0.0]), [1.2999999999999998, 2.5, 7.25, 1.0]);
        // Each value as often as it counts.
        assert_eq!(percentiles(&[1.0, 2.5, 7.25], &[2, 1, 4], &[0.5, 0.1]), Some(vec![7.25, 1.0]));
        assert_eq!(percentiles(&[], &[], &[0.5]), None);
        assert_eq!(percentiles(&[1.0, 2.5], &[i64::MAX, 5], &[0.5]), None);
        // What is owed: no value is left.
        assert_eq!(percentiles(&[1.0], &[-1], &[0.5]), None);
    }

    /// Frequencies are whole numbers of any width.
    #[test]
    fn rows_of_arguments() {
        let row: ArrayRef = Arc::new(StructArray::from(vec![
            (
                Arc::new(Field::new("v", DataType::Float64, true)),
                Arc::new(Float64Array::from(vec![1.0, 3.0])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("p", DataType::Float64, true)),
                Arc::new(Float64Array::from(vec![0.5, 0.5])) as ArrayRef,
            ),
            (Arc::new(Field::new("f", DataType::Int64, true)), Arc::new(Int64Array::from(vec![3, 1])) as ArrayRef),
        ]));
        assert!(fits(row.data_type()));
        let mut all = Percentile::new(&DataType::Float64).expect("built");
        all.resize(2);
        all.update(&[0, 0], &Input { argument: Some(&row), include: None, signs: None }).expect("added");
        all.update(&[0, 0], &Input { argument: Some(&row), include: None, signs: Some(&[-1, 1]) }).expect("taken away");
        let state = all.state(None).expect("a state");
        all.merge(&[1, 0], &state).expect("merged");
        let shown = all.finish(None).expect("results");
        assert_eq!(shown.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(3.0), Some(3.0)]);
    }
}
