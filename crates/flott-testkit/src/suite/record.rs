//! The records of the suite, and what may be said about those that arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use flott_core::{ChangeBatch, Error, Result};

use super::{Failed, Semantics};
use crate::build::try_schema;
use crate::rows_of;

/// The columns of every table of the suite, as DDL writes them.
pub const COLUMNS: &str = "part INT, num BIGINT, payload STRING";

/// A record: its split, its place in it, and a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The split that it was written to.
    pub split: u32,
    /// Its number in the split, from 0.
    pub num: u64,
    /// A text that follows from both.
    pub payload: String,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of split {}", self.num, self.split)
    }
}

/// Records of a split: always the same. Their texts hold what formats have to quote.
pub fn records(split: u32, numbers: Range<u64>) -> Vec<Record> {
    let record = |num: u64| {
        let hash = (num ^ (u64::from(split) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let odd = ["", "\"", ",", ";", "\\", "'", " é≈ ", "\n", "\t"][(hash >> 60) as usize % 9];
        Record { split, num, payload: format!("p{hash:x}{odd}{:x}", hash >> 40) }
    };
    numbers.map(record).collect()
}

/// Records as rows of [`COLUMNS`].
pub fn batch_of_records(records: &[Record]) -> Result<ChangeBatch> {
    let number = |n: u64| i64::try_from(n).map_err(|_| Error::user("a record's number is too large"));
    let numbers = records.iter().map(|r| number(r.num)).collect::<Result<Vec<i64>>>()?;
    let columns: [ArrayRef; 3] = [
        Arc::new(records.iter().map(|r| i32::try_from(r.split).ok()).collect::<Int32Array>()),
        Arc::new(Int64Array::from(numbers)),
        Arc::new(records.iter().map(|r| Some(r.payload.as_str())).collect::<StringArray>()),
    ];
    Ok(ChangeBatch::append(RecordBatch::try_new(try_schema(COLUMNS)?, columns.to_vec())?))
}

impl Record {
    /// From a row's texts.
    pub fn from_cells(cells: &[String]) -> Result<Record> {
        let wrong = || Error::user(format!("{cells:?} is no record of the suite"));
        let [split, num, payload] = cells else { return Err(wrong()) };
        Ok(Record {
            split: split.parse().map_err(|_| wrong())?,
            num: num.parse().map_err(|_| wrong())?,
            payload: payload.clone(),
        })
    }

    /// From rows of [`COLUMNS`].
    pub fn from_batch(batch: &ChangeBatch) -> Result<Vec<Record>> {
        let column = |i: usize| batch.rows.column(i).as_any();
        let columns = (column(0).downcast_ref(), column(1).downcast_ref(), column(2).downcast_ref());
        let (Some(splits), Some(numbers), Some(payloads)): (
            Option<&Int32Array>,
            Option<&Int64Array>,
            Option<&StringArray>,
        ) = columns
        else {
            return Err(Error::user(format!("rows of other types: {:?}", rows_of([batch]))));
        };
        let record = |row: usize| {
            Ok(Record {
                split: u32::try_from(splits.value(row)).map_err(|_| Error::user("a negative split"))?,
                num: u64::try_from(numbers.value(row)).map_err(|_| Error::user("a negative number"))?,
                payload: payloads.value(row).to_string(),
            })
        };
        (0..batch.num_rows()).map(record).collect()
    }
}

/// Records that arrived, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Seen(pub Vec<Record>);

impl Seen {
    /// How many of these have arrived, each counted once.
    pub fn count_of(&self, expected: &[Record]) -> usize {
        let seen: BTreeSet<&Record> = self.0.iter().collect();
        expected.iter().filter(|r| seen.contains(r)).count()
    }

    /// Exactly-once: each of `expected` once and nothing else. At-least-once: each of `expected`, perhaps several times;
    /// others only if they are among `allowed` (written before, and perhaps read again).
    pub fn check(
        &self,
        expected: &[Record],
        allowed: &[Record],
        semantics: Semantics,
    ) -> std::result::Result<(), Failed> {
        let mut counts: BTreeMap<&Record, usize> = BTreeMap::new();
        for record in &self.0 {
            *counts.entry(record).or_default() += 1;
        }
        for record in expected {
            match (counts.remove(record), semantics) {
                (None, _) => return Err(Failed(format!("{record} is missing"))),
                (Some(n), Semantics::ExactlyOnce) if n > 1 => {
                    return Err(Failed(format!("{record} is there {n} times")));
                }
                _ => {}
            }
        }
        let may_be = |r: &Record| semantics == Semantics::AtLeastOnce && allowed.contains(r);
        match counts.into_keys().find(|r| !may_be(r)) {
            Some(record) => Err(Failed(format!("{record} should not be there: {record:?}"))),
            None => Ok(()),
        }
    }

    /// Like [`check`](Self::check), and the records of each split are in their order: where one came several times, its
    /// first time counts.
    pub fn check_ordered(
        &self,
        expected: &[Record],
        allowed: &[Record],
        semantics: Semantics,
    ) -> std::result::Result<(), Failed> {
        self.check(expected, allowed, semantics)?;
        let expected: BTreeSet<&Record> = expected.iter().collect();
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for record in self.0.iter().filter(|r| expected.contains(r)) {
            if !seen.insert(record) {
                continue;
            }
            if let Some(before) = last.insert(record.split, record.num).filter(|before| *before > record.num) {
                return Err(Failed(format!("{record} came behind record {before}: out of order")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seen: &[Record], expected: &[Record], semantics: Semantics) -> String {
        let checked = Seen(seen.to_vec()).check_ordered(expected, &records(9, 0..1), semantics);
        checked.err().map(|f| f.0).unwrap_or_default()
    }

    #[test]
    fn losses_repetitions_and_order_are_told() {
        let all = [records(0, 0..4), records(1, 0..4)].concat();
        for semantics in [Semantics::ExactlyOnce, Semantics::AtLeastOnce] {
            assert_eq!(told(&all, &all, semantics), "");
            // Splits may mix.
            let mixed = [&all[4..6], &all[..4], &all[6..]].concat();
            assert_eq!(told(&mixed, &all, semantics), "");
            assert_eq!(told(&all[1..], &all, semantics), "record 0 of split 0 is missing");
            let mut swapped = all.clone();
            swapped.swap(1, 2);
            assert!(told(&swapped, &all, semantics).contains("out of order"));
            let mut changed = all.clone();
            changed[3].payload.push('x');
            assert_eq!(told(&changed, &all, semantics), "record 3 of split 0 is missing");
            let more = [all.clone(), records(2, 0..1)].concat();
            assert!(told(&more, &all, semantics).contains("should not be there"));
        }
        let twice = [all.clone(), all[2..3].to_vec()].concat();
        assert_eq!(told(&twice, &all, Semantics::ExactlyOnce), "record 2 of split 0 is there 2 times");
        assert_eq!(told(&twice, &all, Semantics::AtLeastOnce), "");
        let before = [all.clone(), records(9, 0..1)].concat();
        assert!(told(&before, &all, Semantics::ExactlyOnce).contains("should not be there"));
        assert_eq!(told(&before, &all, Semantics::AtLeastOnce), "");
    }

    #[test]
    fn records_make_the_way_through_rows() {
        let all = records(3, 0..100);
        let batch = batch_of_records(&all).expect("rows");
        assert_eq!(Record::from_batch(&batch).expect("records"), all);
    }
}
