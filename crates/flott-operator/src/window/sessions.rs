//! Which sessions there are: intervals of time by key, which grow and merge, and end in order of time.
//!
//! The sessions of a key lie apart from each other, so that their order by start is also that by end: a row finds those
//! that it touches by one look into an ordered map, however many are open.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use arrow_array::Array;
use arrow_schema::DataType;
use flott_core::Result;
use smallvec::SmallVec;

use super::group_table::GroupTable;

/// Below so many sessions the ended ones are not worth clearing away.
const CLEAR_MIN: usize = 1_024;
/// So many sessions of a key are looked through; more are put in order.
const LISTED_MAX: usize = 8;
/// Memory of a session beside its aggregates: the arrays, its places in the order and among those that are due.
const SESSION_BYTES: usize = 64;

/// The live sessions of one key.
enum OfKey {
    /// In no order.
    Listed(SmallVec<[u32; 1]>),
    /// By start.
    Ordered(BTreeMap<i64, u32>),
}

impl Default for OfKey {
    fn default() -> Self {
        OfKey::Listed(SmallVec::new())
    }
}

/// Sessions of all keys by number; a number is not used twice before [`Sessions::clear_ended`].
#[derive(Default)]
pub(crate) struct Sessions {
    pub(crate) starts: Vec<i64>,
    pub(crate) ends: Vec<i64>,
    pub(crate) keys: Vec<u32>,
    live: Vec<bool>,
    live_count: usize,
    /// How often each was added to: of two that merge the lighter one moves.
    weights: Vec<u32>,
    by_key: Vec<OfKey>,
    /// (end as it was when pushed, key, session)
    due: BinaryHeap<Reverse<(i64, u32, u32)>>,
    /// Sessions that became part of another since they were last taken: (from, into).
    pub(crate) merges: Vec<(u32, u32)>,
    /// Entries of the order that were looked at or moved so far. It grows with the number of rows and sessions, never
    /// with their product.
    steps: u64,
    /// Of those that merge the earliest one stays, whatever they weigh.
    in_order: bool,
}

impl Sessions {
    /// `in_order`: sessions become part of the earliest one, in the order of time.
    pub(crate) fn new(in_order: bool) -> Sessions {
        Sessions { in_order, ..Sessions::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live_count
    }

    /// Estimated memory.
    pub(crate) fn size_bytes(&self) -> usize {
        self.starts.capacity() * SESSION_BYTES + self.by_key.capacity() * size_of::<OfKey>()
    }

    /// Numbers of the live sessions.
    pub(crate) fn live(&self) -> Vec<u32> {
        (0..self.len() as u32).filter(|s| self.live[*s as usize]).collect()
    }

    /// The sessions of a key that `start .. end` overlaps or touches.
    fn touching(&mut self, key: u32, start: i64, end: i64) -> SmallVec<[u32; 4]> {
        let (starts, ends) = (&self.starts, &self.ends);
        let mut found = SmallVec::new();
        match &self.by_key[key as usize] {
            OfKey::Listed(own) => {
                self.steps += own.len() as u64;
                found.extend(own.iter().copied().filter(|s| starts[*s as usize] <= end && ends[*s as usize] >= start));
            }
            OfKey::Ordered(own) => {
                for (_, session) in own.range(..=end).rev() {
                    self.steps += 1;
                    if ends[*session as usize] < start {
                        break;
                    }
                    found.push(*session);
                }
            }
        }
        found
    }

    fn insert(&mut self, key: u32, session: u32) {
        self.steps += 1;
        let own = &mut self.by_key[key as usize];
        match own {
            OfKey::Listed(list) if list.len() < LISTED_MAX => list.push(session),
            OfKey::Listed(list) => {
                self.steps += list.len() as u64;
                list.push(session);
                *own = OfKey::Ordered(list.iter().map(|s| (self.starts[*s as usize], *s)).collect());
            }
            OfKey::Ordered(order) => {
                order.insert(self.starts[session as usize], session);
            }
        }
    }

    /// Takes a session out of its key's; its start must be the one that it has there.
    fn remove(&mut self, session: u32) {
        let own = &mut self.by_key[self.keys[session as usize] as usize];
        match own {
            OfKey::Listed(list) => {
                self.steps += list.len() as u64;
                list.retain(|s| *s != session);
            }
            OfKey::Ordered(order) => {
                self.steps += 1;
                order.remove(&self.starts[session as usize]);
                if order.is_empty() {
                    *own = OfKey::default();
                }
            }
        }
    }

    /// Adds `start .. end` to the sessions of a key: the number of the session that it is in now, or `None` where even
    /// that is over. Windows that touch are one.
    pub(crate) fn add(&mut self, key: u32, start: i64, end: i64, over: impl Fn(i64) -> bool) -> Option<u32> {
        if self.by_key.len() <= key as usize {
            self.by_key.resize_with(key as usize + 1, OfKey::default);
        }
        let mut touching = self.touching(key, start, end);
        let stays = if self.in_order {
            touching.sort_unstable_by_key(|s| self.starts[*s as usize]);
            touching.first().copied()
        } else {
            touching.iter().copied().max_by_key(|s| (self.weights[*s as usize], Reverse(*s)))
        };
        let Some(target) = stays else {
            if over(end) {
                return None;
            }
            let session = self.starts.len() as u32;
            self.starts.push(start);
            self.ends.push(end);
            self.keys.push(key);
            self.live.push(true);
            self.weights.push(1);
            self.live_count += 1;
            self.insert(key, session);
            self.due.push(Reverse((end, key, session)));
            return Some(session);
        };
        let t = target as usize;
        let (mut least, mut greatest) = (start.min(self.starts[t]), end.max(self.ends[t]));
        let mut weight = self.weights[t].saturating_add(1);
        for other in touching.into_iter().filter(|s| *s != target) {
            let o = other as usize;
            least = least.min(self.starts[o]);
            greatest = greatest.max(self.ends[o]);
            weight = weight.saturating_add(self.weights[o]);
            self.remove(other);
            self.live[o] = false;
            self.live_count -= 1;
            self.merges.push((other, target));
        }
        if least < self.starts[t] {
            self.remove(target);
            self.starts[t] = least;
            self.insert(key, target);
        }
        if greatest > self.ends[t] {
            self.ends[t] = greatest;
        }
        self.weights[t] = weight;
        Some(target)
    }

    /// Sessions that became part of others, and the ones that they are part of now: each moves once, whatever its new
    /// one became part of later.
    pub(crate) fn take_merges(&mut self) -> (Vec<u32>, Vec<u32>) {
        let merges = std::mem::take(&mut self.merges);
        let mut last = HashMap::with_capacity(merges.len());
        for (from, into) in merges.iter().rev() {
            let into = last.get(into).copied().unwrap_or(*into);
            last.insert(*from, into);
        }
        merges.iter().filter_map(|(from, _)| Some((*from, *last.get(from)?))).unzip()
    }

    /// The live sessions that are over, by end and key; they are live no more.
    pub(crate) fn take_due(&mut self, over: impl Fn(i64) -> bool) -> Vec<u32> {
        let mut due = vec![];
        while let Some(Reverse((end, key, session))) = self.due.peek().copied() {
            if !over(end) {
                break;
            }
            self.due.pop();
            self.steps += 1;
            let s = session as usize;
            if !self.live[s] {
                continue;
            }
            if self.ends[s] > end {
                // It has grown since.
                self.due.push(Reverse((self.ends[s], key, session)));
                continue;
            }
            self.live[s] = false;
            self.live_count -= 1;
            self.remove(session);
            due.push(session);
        }
        due
    }

    /// The earliest end that may be due.
    pub(crate) fn next_due(&mut self) -> Option<i64> {
        while let Some(Reverse((end, key, session))) = self.due.peek().copied() {
            let s = session as usize;
            if self.live[s] && self.ends[s] == end {
                return Some(end);
            }
            self.due.pop();
            self.steps += 1;
            if self.live[s] {
                self.due.push(Reverse((self.ends[s], key, session)));
            }
        }
        None
    }

    /// Whether more numbers, of sessions or of keys (of which there are `keys`), are without a live session than with
    /// one. Late rows number keys without any session.
    pub(crate) fn wants_clearing(&self, keys: usize) -> bool {
        let numbers = self.len().max(keys);
        numbers > CLEAR_MIN && self.live_count * 2 < numbers
    }

    /// A table of only those keys that have a live session, and the new numbers of these by their old ones.
    pub(crate) fn live_keys(&self, table: &GroupTable) -> Result<(GroupTable, Vec<u32>)> {
        let mut keys: Vec<u32> = self.live().iter().map(|s| self.keys[*s as usize]).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut renumbered = vec![0u32; table.len()];
        for (new, old) in keys.iter().enumerate() {
            renumbered[*old as usize] = new as u32;
        }
        let columns = table.key_columns(Some(&keys))?;
        let hashes: Vec<u64> = keys.iter().map(|k| table.hashes()[*k as usize]).collect();
        let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
        let mut kept = GroupTable::new(&types)?;
        kept.groups_of(&columns, &hashes, &mut vec![])?;
        Ok((kept, renumbered))
    }

    /// Numbers the live sessions anew, in their order; `key` gives the new number of a key.
    pub(crate) fn clear_ended(&mut self, key: impl Fn(u32) -> u32) {
        let old = std::mem::replace(self, Sessions::new(self.in_order));
        self.steps = old.steps;
        for s in old.live() {
            let s = s as usize;
            if let Some(session) = self.add(key(old.keys[s]), old.starts[s], old.ends[s], |_| false) {
                self.weights[session as usize] = old.weights[s];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries looked at or moved while `n` sessions of one key open, join and end, given the order of their rows.
    fn steps(n: i64, order: impl Fn(i64) -> i64) -> u64 {
        let mut sessions = Sessions::default();
        let never = |_| false;
        // Windows of 10 with a gap of 10 between any two, added to once more at their front.
        for i in 0..n {
            let start = order(i) * 20;
            sessions.add(0, start, start + 10, never);
            sessions.add(0, start - 1, start + 9, never);
        }
        assert_eq!(sessions.live_count() as i64, n);
        // The left half becomes one, by rows that each join two.
        for i in 0..n / 2 {
            sessions.add(0, i * 20 + 10, i * 20 + 20, never);
        }
        assert_eq!(sessions.merges.len() as i64, n / 2);
        assert_eq!(sessions.live_count() as i64, n - n / 2);
        sessions.merges.clear();
        // They end one after another, and once more than half have, the rest are numbered anew.
        let mut ended = 0;
        for time in (0..=n * 20).step_by(20) {
            ended += sessions.take_due(|end| end <= time).len() as i64;
            if sessions.wants_clearing(1) {
                sessions.clear_ended(|k| k);
            }
        }
        assert_eq!((ended, sessions.live_count()), (n - n / 2, 0));
        sessions.steps
    }

    #[test]
    fn work_grows_with_the_rows_and_not_with_the_open_sessions() {
        let n = 4_000;
        let orders: [(&str, fn(i64, i64) -> i64); 3] = [
            ("ascending", |_, i| i),
            ("descending", |n, i| n - 1 - i),
            // 1,597 and the numbers of sessions have no common factor.
            ("scattered", |n, i| i * 1_597 % n),
        ];
        for (name, order) in orders {
            let (few, many) = (steps(n, |i| order(n, i)), steps(8 * n, |i| order(8 * n, i)));
            assert!(few < 12 * n as u64, "{name}: {few} steps for {n} sessions");
            assert!(many < few * 10, "{name}: {few} steps for {n} sessions, {many} for eight times as many");
        }
    }

    #[test]
    fn of_two_that_merge_the_lighter_one_moves() {
        let mut sessions = Sessions::default();
        let never = |_| false;
        assert_eq!(sessions.add(0, 0, 10, never), Some(0));
        for start in 100..105 {
            assert_eq!(sessions.add(0, start, start + 10, never), Some(1));
        }
        assert_eq!(sessions.add(0, 10, 100, never), Some(1));
        assert_eq!(sessions.merges, [(0, 1)]);
        assert_eq!((sessions.starts[1], sessions.ends[1]), (0, 114));
        assert_eq!(sessions.take_due(|end| end <= 114), [1]);
    }

    #[test]
    fn in_order_the_later_ones_move() {
        let mut sessions = Sessions::new(true);
        let never = |_| false;
        for start in [200, 100, 101, 102, 0] {
            sessions.add(0, start, start + 10, never);
        }
        assert_eq!(sessions.add(0, 10, 200, never), Some(2));
        assert_eq!(sessions.merges, [(1, 2), (0, 2)]);
        sessions.merges.clear();
        sessions.clear_ended(|key| key);
        sessions.add(0, 300, 310, never);
        for start in [301, 302] {
            sessions.add(0, start, start + 10, never);
        }
        assert_eq!(sessions.add(0, 210, 300, never), Some(0));
    }

    #[test]
    fn a_session_moves_once_to_where_it_ends_up() {
        let mut sessions = Sessions::default();
        let never = |_| false;
        sessions.add(0, 0, 10, never);
        for start in [100, 101, 200, 201, 202] {
            sessions.add(0, start, start + 10, never);
        }
        sessions.add(0, 10, 100, never);
        sessions.add(0, 111, 200, never);
        assert_eq!(sessions.merges, [(0, 1), (2, 1)]);
        for start in [300, 301, 302, 303, 304, 305, 306, 307, 308] {
            sessions.add(0, start, start + 10, never);
        }
        sessions.add(0, 212, 300, never);
        assert_eq!(sessions.take_merges(), (vec![0, 2, 1], vec![3, 3, 3]));
        assert!(sessions.merges.is_empty());
    }

    #[test]
    fn the_sessions_are_those_of_a_search_through_all() {
        let mut seed = 7u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for _ in 0..200 {
            let mut sessions = Sessions::default();
            let mut all: Vec<(u32, i64, i64)> = vec![];
            let mut time = i64::MIN;
            for _ in 0..120 {
                let (key, start) = (random(2) as u32, random(600) as i64);
                let end = start + 5;
                let over = |e: i64| e <= time;
                let touches = |w: &(u32, i64, i64)| w.0 == key && w.1 <= end && w.2 >= start;
                let joined: Vec<_> = all.iter().copied().filter(touches).collect();
                let added = sessions.add(key, start, end, over);
                assert_eq!(added.is_none(), joined.is_empty() && over(end));
                if let Some(session) = added {
                    all.retain(|w| !touches(w));
                    let s = session as usize;
                    let least = joined.iter().map(|w| w.1).fold(start, i64::min);
                    let greatest = joined.iter().map(|w| w.2).fold(end, i64::max);
                    assert_eq!((sessions.starts[s], sessions.ends[s]), (least, greatest));
                    all.push((key, least, greatest));
                }
                if random(10) == 0 {
                    time = time.max(random(600) as i64);
                    let due = sessions.take_due(|e| e <= time);
                    let mut of: Vec<_> = due
                        .iter()
                        .map(|s| *s as usize)
                        .map(|s| (sessions.keys[s], sessions.starts[s], sessions.ends[s]))
                        .collect();
                    let mut expected: Vec<_> = all.iter().copied().filter(|w| w.2 <= time).collect();
                    all.retain(|w| w.2 > time);
                    of.sort_unstable();
                    expected.sort_unstable();
                    assert_eq!(of, expected);
                }
                assert_eq!(sessions.live_count(), all.len());
                assert_eq!(sessions.next_due(), all.iter().map(|w| w.2).min());
            }
        }
    }
}
