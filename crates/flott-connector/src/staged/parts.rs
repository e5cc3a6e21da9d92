//! What one part of a commit writes of the staged files, and where the next one goes on.
//!
//! A log takes only so much in one step: a broker aborts a transaction that takes too long, a batch has a number of messages at
//! most, and what does not fit could then never be written. So an epoch, or several that an outage has piled up, is
//! written in as many parts as it takes, each with a marker that says how far it came. Records are counted, not parts: the limits may be others when it goes on.

use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::file::StagedFile;
use super::marker::Marker;

/// How far an epoch is committed that is not committed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The checkpoint that the file belongs to.
    pub epoch: u64,
    /// The file. Those before it are committed.
    pub file: String,
    /// Records of it that are.
    pub records: u64,
}

/// A place among the files of a commit, sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the file.
    pub file: usize,
    /// Records of it that lie before.
    pub records: u64,
}

/// By checkpoint, and each writer's as it wrote them: the same in every attempt, and rows of a key keep their order.
pub fn sort(files: &mut [StagedFile]) {
    files.sort_by_cached_key(|f| {
        let stem = f.name.strip_suffix(".arrows").unwrap_or(&f.name);
        match stem.rsplit_once('-').and_then(|(writer, n)| Some((writer, n.parse::<u64>().ok()?))) {
            Some((writer, number)) => (f.epoch, writer.to_string(), number),
            None => (f.epoch, stem.to_string(), 0),
        }
    });
}

/// Where to go on, by the marker; the end where all is committed. `place` is where the marker is, for messages.
pub fn start(files: &[StagedFile], marker: &Marker, place: &str) -> Result<Place> {
    let first = files.iter().position(|f| f.epoch > marker.epoch).unwrap_or(files.len());
    let Some(progress) = marker.progress.as_ref().filter(|p| p.epoch > marker.epoch) else {
        return Ok(Place { file: first, records: 0 });
    };
    if first == files.len() {
        return Ok(Place { file: first, records: 0 });
    }
    match files.iter().position(|f| f.name == progress.file && f.epoch == progress.epoch) {
        Some(file) if progress.records >= files[file].records => Ok(Place { file: file + 1, records: 0 }),
        Some(file) => Ok(Place { file, records: progress.records }),
        None => Err(Error::user(format!(
            "The marker says that checkpoint {} is committed up to the file '{}', which is not among what is to be committed",
            progress.epoch, progress.file
        ))
        .with("marker", place)
        .hint("A part of that checkpoint's rows can be read already. Restore that checkpoint with --restore latest, or start over with --fresh")
        .from_outside()),
    }
}

/// What a marker has to say once everything before a place is committed: the last checkpoint of which all is, and
/// what is committed of the next one.
pub fn reached(files: &[StagedFile], place: Place, before: u64, all: u64) -> (u64, Option<Progress>) {
    let Some(next) = files.get(place.file) else { return (all, None) };
    let complete = files[..place.file].iter().map(|f| f.epoch).filter(|e| *e < next.epoch).fold(before, u64::max);
    let progress = if place.records > 0 {
        Some((next, place.records))
    } else {
        place.file.checked_sub(1).map(|i| &files[i]).filter(|f| f.epoch == next.epoch).map(|f| (f, f.records))
    };
    (complete, progress.map(|(file, records)| Progress { epoch: file.epoch, file: file.name.clone(), records }))
}

/// How much a part takes.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    rows_max: u64,
    bytes_max: u64,
    rows: u64,
    bytes: u64,
}

impl Limit {
    /// So many rows and bytes of keys and values; a larger row goes alone.
    pub fn of(rows_max: u64, bytes_max: u64) -> Limit {
        Limit { rows_max: rows_max.max(1), bytes_max, rows: 0, bytes: 0 }
    }

    /// Takes a record, unless the part is full: one goes in always.
    pub fn takes(&mut self, bytes: usize) -> bool {
        let bytes = self.bytes + bytes as u64;
        if self.rows > 0 && (self.rows >= self.rows_max || bytes > self.bytes_max) {
            return false;
        }
        (self.rows, self.bytes) = (self.rows + 1, bytes);
        true
    }

    /// How many it has taken.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(epoch: u64, writer: &str, number: u64, records: u64) -> StagedFile {
        StagedFile {
            name: format!("l/op/1/{writer}-{number}.arrows"),
            size: 1,
            crc32: 0,
            records,
            transactional_id: "id".into(),
            lineage: "l".into(),
            epoch,
            subtask: 0,
        }
    }

    fn marker(epoch: u64, progress: Option<Progress>) -> Marker {
        Marker { lineage: "l".into(), generation: 1, epoch, progress }
    }

    #[test]
    fn files_are_in_the_order_in_which_each_writer_wrote_them() {
        let mut files = vec![file(2, "0-a", 11, 1), file(2, "0-a", 9, 1), file(2, "1-b", 0, 1), file(1, "1-b", 7, 1)];
        sort(&mut files);
        let names: Vec<&str> = files.iter().map(|f| f.name.strip_prefix("l/op/1/").unwrap_or_default()).collect();
        assert_eq!(names, ["1-b-7.arrows", "0-a-9.arrows", "0-a-11.arrows", "1-b-0.arrows"]);
    }

    /// At every place: what the marker says leads back to the place.
    #[test]
    fn a_marker_leads_back_to_where_it_was_written() {
        let files = [file(3, "0-a", 0, 2), file(3, "0-a", 1, 1), file(5, "0-a", 2, 3)];
        for (i, of) in files.iter().enumerate() {
            for records in 0..of.records {
                let place = Place { file: i, records };
                let (epoch, progress) = reached(&files, place, 2, 5);
                assert_eq!(epoch, if i == 2 { 3 } else { 2 });
                assert_eq!(start(&files, &marker(epoch, progress), "t").expect("a place"), place);
            }
        }
        let end = Place { file: 3, records: 0 };
        assert_eq!(reached(&files, end, 2, 6), (6, None));
        assert_eq!(start(&files, &marker(6, None), "t").expect("the end"), end);
        // Committed, and of a later commit that was cut short.
        let later = Some(Progress { epoch: 8, file: "other".into(), records: 1 });
        assert_eq!(start(&files, &marker(6, later.clone()), "t").expect("the end"), end);
        let error = start(&files, &marker(4, later), "t").expect_err("a file that is not there").to_string();
        assert!(error.contains("'other'"), "{error}");
    }

    #[test]
    fn a_part_takes_one_record_at_least() {
        let mut limit = Limit::of(2, 1 << 30);
        assert!(limit.takes(usize::MAX >> 1) && !limit.takes(0));
        let mut limit = Limit::of(2, 1 << 30);
        assert!(limit.takes(5) && limit.takes(5) && !limit.takes(5));
        assert_eq!(limit.rows(), 2);
    }
}
