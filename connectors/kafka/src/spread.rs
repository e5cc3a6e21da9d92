//! Which partition a record goes to: with a key the one of Java's client, without one a run of bytes to one partition and the next run to
//! another (KIP-794).
//!
//! The client library asks for every record, which takes locks and the time of day. So the first record of a run is the only one
//! that it asks for, and the others are sent to where that one went.

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, Ordering};

use rdkafka::producer::Partitioner;

/// Bytes of a run: Java's `batch.size`, where it is not set.
const RUN_BYTES: usize = 16 << 10;

thread_local! {
    /// What the partitioner has answered in this thread last: the library asks in the thread that sends, unless it does not know the
    /// topic yet.
    static ANSWERED: Cell<Option<i32>> = const { Cell::new(None) };
}

/// The partitioner of a producer.
pub(crate) struct Spread {
    /// Where the last run went.
    last: AtomicI32,
}

impl Spread {
    /// Producers begin at different partitions.
    pub(crate) fn from(start: u32) -> Spread {
        Spread { last: AtomicI32::new((start >> 1).cast_signed()) }
    }
}

impl Partitioner for Spread {
    fn partition(&self, _topic: &str, key: Option<&[u8]>, count: i32, is_available: impl Fn(i32) -> bool) -> i32 {
        if let Some(key) = key {
            return (murmur2(key) & 0x7fff_ffff).cast_signed() % count.max(1);
        }
        let last = self.last.load(Ordering::Relaxed);
        let mut others = (1..=count).map(|step| (last % count + step) % count);
        // Where none has a leader any of them may have one first.
        let chosen = others.find(|p| is_available(*p)).unwrap_or((last % count.max(1) + 1) % count.max(1));
        self.last.store(chosen, Ordering::Relaxed);
        ANSWERED.set(Some(chosen));
        chosen
    }
}

/// Where the records without a key go for now, of one topic.
#[derive(Debug, Default)]
pub(crate) struct Run {
    partition: Option<i32>,
    left: usize,
}

impl Run {
    /// How many of the records, by their bytes, go on together, and to which partition; `None` is for the partitioner to say, and
    /// [`Run::begun`] has to follow.
    pub(crate) fn next(&mut self, bytes: impl Iterator<Item = usize>) -> (usize, Option<i32>) {
        let Some(partition) = self.partition.filter(|_| self.left > 0) else {
            ANSWERED.set(None);
            return (1, None);
        };
        let mut taken = 0;
        for bytes in bytes {
            if taken > 0 && bytes > self.left {
                break;
            }
            self.left = self.left.saturating_sub(bytes);
            taken += 1;
        }
        (taken, Some(partition))
    }

    /// A record of so many bytes went where the partitioner said.
    pub(crate) fn begun(&mut self, bytes: usize) {
        self.partition = ANSWERED.take();
        self.left = RUN_BYTES.saturating_sub(bytes);
    }

    /// The partition is not there.
    pub(crate) fn end(&mut self) {
        self.partition = None;
    }
}

/// The hash of Java's client (`Utils.murmur2`).
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ (key.len() as u32);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        h = (h ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hashed_as_in_java() {
        // From the tests of Java's `Utils`.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn runs_go_round_and_leave_out_what_has_no_leader() {
        let spread = Spread::from(u32::MAX);
        // The third record is the one that passes the end of a run.
        let mut run = Run::default();
        let mut went = vec![];
        while went.len() < 12 {
            let records = [RUN_BYTES / 2 - 100; 5];
            let (taken, partition) = run.next(records.into_iter());
            match partition {
                Some(partition) => went.push((partition, taken)),
                None => {
                    let partition = spread.partition("t", None, 4, |p| p != 2);
                    run.begun(records[0]);
                    went.push((partition, 1));
                }
            }
        }
        let partitions: Vec<i32> = went.iter().map(|w| w.0).collect();
        let first = partitions[0];
        assert!(partitions.chunks(3).all(|c| c[0] == c[1] && c[1] == c[2]), "a run stays where it began: {went:?}");
        assert!(!partitions.contains(&2), "{went:?}");
        let runs: Vec<i32> = partitions.iter().step_by(3).copied().collect();
        assert_eq!(runs[3], first, "three have a leader: {went:?}");
        assert!(runs[0] != runs[1] && runs[1] != runs[2] && runs[0] != runs[2], "{went:?}");
        assert!((0..4).contains(&spread.partition("t", None, 4, |_| false)));
    }

    #[test]
    fn a_run_that_no_partitioner_answered_is_asked_for_again() {
        let mut run = Run::default();
        assert_eq!(run.next([10].into_iter()), (1, None));
        run.begun(10);
        assert_eq!(run.next([10].into_iter()), (1, None));
    }

    #[test]
    fn a_record_larger_than_a_run_goes_alone() {
        let spread = Spread::from(0);
        let mut run = Run::default();
        run.next([10].into_iter());
        let partition = spread.partition("t", None, 3, |_| true);
        run.begun(10);
        assert_eq!(run.next([RUN_BYTES * 2, 10].into_iter()), (1, Some(partition)));
        assert_eq!(run.next([10].into_iter()), (1, None));
    }
}
