//! The partitions of an OVER in the order of time, and the stored form of what is known of each.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, cast::AsArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};
use flott_graph::OverAggregateSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use crate::changelog::runs::{KeyInfo, Runs};
use crate::keyed::{BatchKeys, KeyCodec, KeyTable, TimeToLive};
use crate::rank::types_of;

/// The state table.
const TABLE: &str = "partitions";

/// What is known of a partition, besides its functions.
#[derive(Default)]
pub(super) struct Partition {
    /// Rows that its frame still sees, with their times, in order.
    pub(super) seen: VecDeque<(i64, u32)>,
    /// How many rows wait.
    pub(super) waiting: usize,
    /// The time of the last rows that have left.
    pub(super) last: Option<i64>,
    /// When it may be cleaned up, where nothing comes.
    pub(super) cleanup: Option<i64>,
    /// When it is looked at for that.
    pub(super) timers: Vec<i64>,
    /// When it was last written, in ms of processing time.
    pub(super) touched_ms: i64,
}

impl Partition {
    /// Whether it is to be forgotten.
    pub(super) fn is_over(&self, ttl: &TimeToLive, now_ms: i64) -> bool {
        self.waiting == 0 && ttl.is_over(self.touched_ms, now_ms)
    }
}

/// How a partition stands to what is stored.
#[derive(Clone, Copy, Default)]
struct Standing {
    there: bool,
    changed: bool,
    /// Some run tells of it.
    stored: bool,
}

/// Partitions by number.
pub(super) struct Partitions {
    keys: KeyCodec,
    columns: usize,
    table: KeyTable,
    partitions: Vec<Partition>,
    standings: Vec<Standing>,
    changed: Vec<u32>,
    /// Those that are not there any more, but in some run.
    ended: Vec<u32>,
    live: usize,
    runs: Runs,
    max_parallelism: u16,
}

impl Partitions {
    /// `stored`: the columns of the functions' state.
    pub(super) fn new(spec: &OverAggregateSpec, stored: &[Field], max_parallelism: u16) -> Result<Partitions> {
        let types = types_of(&spec.input_schema, &spec.partition_keys)?;
        let time = |name: &str| Field::new(name, DataType::Int64, true);
        let mut fields: Vec<Field> =
            spec.partition_keys.iter().map(|k| spec.input_schema.field(*k).clone().with_nullable(true)).collect();
        fields.extend([time("$last"), time("$cleanup"), Field::new("$timers", timers_type(), true)]);
        fields.extend(stored.iter().cloned());
        Ok(Partitions {
            keys: KeyCodec::new(&spec.partition_keys, &types, max_parallelism)?,
            columns: spec.partition_keys.len(),
            table: KeyTable::default(),
            partitions: vec![],
            standings: vec![],
            changed: vec![],
            ended: vec![],
            live: 0,
            runs: Runs::new(TABLE, fields),
            max_parallelism,
        })
    }

    pub(super) fn keys(&self) -> &KeyCodec {
        &self.keys
    }

    pub(super) fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<BatchKeys> {
        self.keys.encode(columns, rows)
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// One more than the greatest number.
    pub(super) fn bound(&self) -> usize {
        self.partitions.len()
    }

    /// The numbers of all that are there.
    pub(super) fn all(&self) -> Vec<u32> {
        (0..self.partitions.len() as u32).filter(|n| self.standings[*n as usize].there).collect()
    }

    /// A partition that is there.
    pub(super) fn find(&self, keys: &BatchKeys, row: usize) -> Option<u32> {
        self.table.find(keys.hashes[row], keys.key(row)).filter(|n| self.standings[*n as usize].there)
    }

    pub(super) fn find_or_insert(&mut self, keys: &BatchKeys, row: usize) -> u32 {
        let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
        let place = number as usize;
        if self.partitions.len() <= place {
            self.partitions.resize_with(place + 1, Partition::default);
            self.standings.resize(place + 1, Standing::default());
        }
        if !std::mem::replace(&mut self.standings[place].there, true) {
            self.live += 1;
            self.partitions[place] = Partition::default();
        }
        number
    }

    pub(super) fn get(&self, number: u32) -> &Partition {
        &self.partitions[number as usize]
    }

    /// Whether a partition of this number asked for this time.
    pub(super) fn has_timer(&self, number: u32, time: i64) -> bool {
        self.partitions.get(number as usize).is_some_and(|p| p.timers.contains(&time))
    }

    /// To be changed.
    pub(super) fn change(&mut self, number: u32) -> &mut Partition {
        self.mark(number);
        &mut self.partitions[number as usize]
    }

    /// To be changed by rows.
    pub(super) fn touch(&mut self, number: u32, now_ms: i64) -> &mut Partition {
        let partition = self.change(number);
        partition.touched_ms = now_ms;
        partition
    }

    fn mark(&mut self, number: u32) {
        if !std::mem::replace(&mut self.standings[number as usize].changed, true) {
            self.changed.push(number);
        }
    }

    pub(super) fn key_group(&self, number: u32) -> u16 {
        self.keys.group(self.table.hash(number))
    }

    /// A partition is not there any more.
    pub(super) fn end(&mut self, number: u32) {
        let standing = &mut self.standings[number as usize];
        if !std::mem::replace(&mut standing.there, false) {
            return;
        }
        self.live -= 1;
        if standing.stored {
            // Its key is still needed, to say that it has gone.
            self.ended.push(number);
            self.mark(number);
        } else {
            self.table.remove(number);
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        let timers: usize = self.partitions.iter().map(|p| p.timers.capacity() * 8).sum();
        let own = size_of::<Partition>() + size_of::<Standing>();
        self.table.size_bytes() + self.partitions.capacity() * own + self.runs.size_bytes() + timers
    }

    /// What has changed, with the columns of the functions.
    pub(super) fn snapshot(
        &mut self,
        version: u32,
        functions: impl FnOnce(&[u32]) -> Result<Vec<ArrayRef>>,
    ) -> Result<OperatorSnapshot> {
        self.runs.resize(self.partitions.len());
        for number in std::mem::take(&mut self.changed) {
            let standing = &mut self.standings[number as usize];
            // A number may have been given to another partition since, or to none.
            if std::mem::take(&mut standing.changed) && (standing.there || standing.stored) {
                standing.stored = true;
                self.runs.mark(number);
            }
        }
        let Partitions { keys, table, partitions, standings, runs, live, .. } = self;
        let (keys, table, partitions, standings) = (&*keys, &*table, &*partitions, &*standings);
        let columns = |of: &[u32]| -> Result<Vec<ArrayRef>> {
            let of_all = |f: &dyn Fn(&Partition) -> Option<i64>| -> ArrayRef {
                Arc::new(of.iter().map(|n| f(&partitions[*n as usize])).collect::<Int64Array>())
            };
            let mut columns = keys.decode(of.iter().map(|n| table.key(*n)))?;
            columns.extend([of_all(&|p| p.last), of_all(&|p| p.cleanup), timers(of, partitions)]);
            columns.extend(functions(of)?);
            Ok(columns)
        };
        let info = KeyInfo {
            hash: &|n| table.hash(n),
            live: &|n| standings[n as usize].there,
            touched_ms: &|n| partitions[n as usize].touched_ms,
        };
        let there = || (0..partitions.len() as u32).filter(|n| standings[*n as usize].there).collect();
        let snapshot = runs.seal(version, self.max_parallelism, there, *live, &info, columns)?;
        for number in std::mem::take(&mut self.ended) {
            let standing = &mut self.standings[number as usize];
            // One that has come back and gone again is here twice.
            if !standing.there && standing.stored {
                *standing = Standing::default();
                self.table.remove(number);
            }
        }
        if self.live == 0 && self.table.len() == 0 {
            (self.partitions, self.standings) = Default::default();
        }
        Ok(snapshot)
    }

    /// Those of a checkpoint. Calls `functions(numbers, bound, stored columns)` for each run.
    pub(super) fn restore(
        &mut self,
        state: &RestoredState,
        name: &str,
        mut functions: impl FnMut(&[u32], usize, &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        let mut runs = std::mem::replace(&mut self.runs, Runs::new(TABLE, vec![]));
        let restored = runs.restore(state, name, |live, touched, columns| {
            let (keys, rest) = columns.split_at(self.columns);
            let [last, cleanup, timers, stored @ ..] = rest else {
                return Err(Error::internal("stored partitions of another form"));
            };
            let (last, cleanup) = (last.as_primitive::<Int64Type>(), cleanup.as_primitive::<Int64Type>());
            let timers = timers.as_list::<i32>();
            let keys = self.keys.encode_keys(keys, live.len())?;
            let mut numbers = vec![];
            for row in 0..live.len() {
                let number = self.find_or_insert(&keys, row);
                numbers.push(number);
                let at = |a: &Int64Array| a.is_valid(row).then(|| a.value(row));
                self.partitions[number as usize] = Partition {
                    last: at(last),
                    cleanup: at(cleanup),
                    timers: timers.value(row).as_primitive::<Int64Type>().values().to_vec(),
                    touched_ms: touched.value(row),
                    ..Partition::default()
                };
                self.standings[number as usize].stored = true;
                if !live.value(row) {
                    self.end(number);
                }
            }
            functions(&numbers, self.partitions.len(), stored)
        });
        self.runs = runs;
        restored
    }
}

fn timers_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Int64, true)))
}

fn timers(of: &[u32], partitions: &[Partition]) -> ArrayRef {
    let timers = |n: &u32| &partitions[*n as usize].timers;
    let offsets = OffsetBuffer::from_lengths(of.iter().map(|n| timers(n).len()));
    let values: Int64Array = of.iter().flat_map(|n| timers(n).iter().copied()).collect::<Vec<_>>().into();
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    Arc::new(ListArray::new(item, offsets, Arc::new(values), None))
}
