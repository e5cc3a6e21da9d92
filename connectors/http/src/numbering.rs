//! The ids of requests: a number in the order in which a writer has sent rows, and the writer's name.
//!
//! A checksum of the request is part of its id: where rows come again in another order, an id is none of another row. How far it has come is in the checkpoint, so that rows that come again after a failure have the ids that they had: where the
//! order is the same, which is so for one reader that reads one split. A writer without a state has a name that nobody had
//! before, since an id must never be that of another row. The lineage is part of the id: a job that was forked from a
//! savepoint sends other rows.

use flott_connector::Versioned;
use flott_connector::sink::WriterContext;
use flott_connector::stored::{check_version, from_json, to_json};
use flott_core::{Result, id};
use serde::{Deserialize, Serialize};

/// Version of the stored form.
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    writer: String,
    sent: u64,
}

/// Names requests.
#[derive(Debug)]
pub(crate) struct Numbering {
    lineage: String,
    state: State,
}

impl Numbering {
    /// After a restore with another parallelism a writer goes on with one of the states that it gets, or with none.
    pub(crate) fn new(context: &WriterContext, restored: &[Versioned]) -> Result<Numbering> {
        let mut states = restored.iter().map(decode).collect::<Result<Vec<_>>>()?;
        let state = states.drain(..).next().unwrap_or_else(|| State { writer: id::random_hex(), sent: 0 });
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
        Ok(Numbering { lineage: context.lineage.chars().filter(plain).collect(), state })
    }

    /// The id of a request with so many rows, and with this checksum of all that it says.
    pub(crate) fn next(&mut self, rows: u64, checksum: u32) -> String {
        let first = self.state.sent;
        self.state.sent += rows;
        let of = format!("{}-{}-{first}-{checksum:08x}", self.lineage, self.state.writer);
        if rows == 1 { of } else { format!("{of}+{rows}") }
    }

    pub(crate) fn snapshot(&self) -> Result<Versioned> {
        Ok(Versioned::new(VERSION, to_json(&self.state)?))
    }
}

fn decode(stored: &Versioned) -> Result<State> {
    check_version(stored, VERSION, "state of an HTTP writer")?;
    from_json(&stored.bytes, "state of an HTTP writer")
}

#[cfg(test)]
mod tests {
    use flott_testkit::writer_context;

    use super::*;

    #[test]
    fn rows_that_come_again_have_the_ids_that_they_had() {
        let context = writer_context(0, 1);
        let mut first = Numbering::new(&context, &[]).expect("it");
        let before = first.next(1, 7);
        let checkpoint = first.snapshot().expect("a state");
        let after = [first.next(1, 7), first.next(3, 7), first.next(1, 7)];
        let mut second = Numbering::new(&context, std::slice::from_ref(&checkpoint)).expect("restored");
        assert_eq!([second.next(1, 7), second.next(3, 7), second.next(1, 7)], after);
        let mut all = [&[before][..], &after].concat();
        all.dedup();
        assert_eq!(all.len(), 4);
        let mut third = Numbering::new(&context, std::slice::from_ref(&checkpoint)).expect("restored");
        assert_ne!(third.next(1, 8), after[0], "another row comes at its place");
        // Without a state nothing is sent again that anybody could know.
        assert_ne!(
            Numbering::new(&context, &[]).expect("it").next(1, 7),
            Numbering::new(&context, &[]).expect("it").next(1, 7)
        );
        // The layout of version 1, for ever.
        let stored = Versioned::new(VERSION, r#"{"writer":"w","sent":7}"#);
        assert!(Numbering::new(&context, &[stored]).expect("read").next(2, 7).ends_with("-w-7-00000007+2"));
        Numbering::new(&context, &[Versioned::new(2, checkpoint.bytes.clone())]).expect_err("newer");
        Numbering::new(&context, &[Versioned::new(VERSION, checkpoint.bytes.slice(..5))]).expect_err("damaged");
    }
}
