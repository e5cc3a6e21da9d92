//! Rows of `upsert-kafka` that are held back for a while, so that of several rows of a key only the last one is written.

use std::collections::HashMap;

use crate::record::Outgoing;

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    topic: Option<String>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp_ms: Option<i64>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Held {
    fn of(record: &Outgoing<'_>) -> Held {
        Held {
            topic: record.topic.map(str::to_string),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.iter().map(|(k, v)| (k.to_string(), v.map(<[u8]>::to_vec))).collect(),
        }
    }

    pub(crate) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            topic: self.topic.as_deref(),
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            timestamp_ms: self.timestamp_ms,
            headers: self.headers.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect(),
        }
    }
}

/// Bytes of records that are held at most (and of one more): rows may be large, and their number alone is no bound.
const HELD_BYTES_MAX: usize = 16 << 20;

/// The last record of each key, keys in the order in which they came first.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    rows_max: usize,
    bytes: usize,
    places: HashMap<(Option<String>, Option<Vec<u8>>), usize>,
    records: Vec<Held>,
}

impl Buffer {
    pub(crate) fn new(rows_max: usize) -> Buffer {
        Buffer { rows_max, ..Buffer::default() }
    }

    /// Holds a record; true where it is time to write.
    pub(crate) fn put(&mut self, record: &Outgoing<'_>) -> bool {
        let held = Held::of(record);
        self.bytes += record.bytes();
        match self.places.get(&(held.topic.clone(), held.key.clone())) {
            Some(place) => {
                let before = std::mem::replace(&mut self.records[*place], held);
                self.bytes -= before.outgoing().bytes();
            }
            None => {
                self.places.insert((held.topic.clone(), held.key.clone()), self.records.len());
                self.records.push(held);
            }
        }
        self.records.len() >= self.rows_max || self.bytes >= HELD_BYTES_MAX
    }

    pub(crate) fn take(&mut self) -> Vec<Held> {
        self.places.clear();
        self.bytes = 0;
        std::mem::take(&mut self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_the_last_row_counts() {
        let record = |key: &'static str, value: Option<&'static str>| Outgoing {
            topic: Some("t"),
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            ..Outgoing::default()
        };
        let mut buffer = Buffer::new(3);
        assert!(!buffer.put(&record("a", Some("1"))));
        assert!(!buffer.put(&record("b", Some("1"))));
        assert!(!buffer.put(&record("a", None)));
        assert!(buffer.put(&record("c", Some("1"))));
        let taken = buffer.take();
        let shown: Vec<_> = taken.iter().map(|h| (h.outgoing().key, h.outgoing().value)).collect();
        assert_eq!(shown, [(Some(&b"a"[..]), None), (Some(b"b"), Some(&b"1"[..])), (Some(b"c"), Some(b"1"))]);
        assert!(buffer.take().is_empty());
    }

    #[test]
    fn large_rows_are_not_held_until_there_are_many() {
        let value = vec![0; HELD_BYTES_MAX / 2];
        let of = |key: &'static str| Outgoing { key: Some(key.as_bytes()), value: Some(&value), ..Outgoing::default() };
        let mut buffer = Buffer::new(1_000);
        assert!(!buffer.put(&of("a")) && !buffer.put(&of("a")), "there is one of them");
        assert!(buffer.put(&of("b")));
        buffer.take();
        assert!(!buffer.put(&of("b")));
    }
}
