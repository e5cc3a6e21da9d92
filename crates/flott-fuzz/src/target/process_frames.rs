//! Frames between the processes of a job.

use flott_cluster::fuzzing::{messages, read};

use crate::target::block_on;

pub(crate) fn run(data: &[u8]) {
    // A frame behind its length, or the content of one.
    let Some((first, rest)) = data.split_first() else { return };
    let content = if *first == b'f' { block_on(read(rest)).unwrap_or_default() } else { rest.to_vec() };
    for (kind, written) in messages(&content).into_iter().enumerate() {
        let Ok(written) = written else { continue };
        let again = messages(&written).swap_remove(kind);
        assert_eq!(again.ok(), Some(written), "a message that is sent again");
    }
}
