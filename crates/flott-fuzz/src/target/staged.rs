//! Files of staged records, and markers.

use std::ops::ControlFlow;

use flott_connector::staged::{Marker, StageBuilder, StagedRecord, for_each};

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if *first == b'm' {
        if let Some(marker) = rows::given(Marker::decode(rest)) {
            let again = marker.encode().unwrap_or_else(|e| panic!("a marker cannot be written: {e}"));
            assert_eq!(Marker::decode(&again).ok(), Some(marker), "a marker that is stored again");
        }
        return;
    }
    let skip = u64::from(*first);
    let mut builder = StageBuilder::default();
    let mut seen = 0u64;
    let read = for_each(rest, skip, |some: &[StagedRecord<'_>]| {
        for record in some {
            seen += 1;
            builder.append(record)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    let Some(end) = rows::given(read) else { return };
    let ControlFlow::Continue(records) = end else { panic!("nobody has stopped it") };
    assert_eq!(seen, records.saturating_sub(skip.min(records)), "records behind those that were skipped");
    let again = builder.finish().unwrap_or_else(|e| panic!("a file cannot be written: {e}"));
    let mut count = 0u64;
    let read = for_each(&again, 0, |some| {
        count += some.len() as u64;
        Ok(ControlFlow::Continue(()))
    });
    let end = read.unwrap_or_else(|e| panic!("a file cannot be read again: {e}"));
    assert_eq!((count, end), (seen, ControlFlow::Continue(seen)), "records that were staged again");
}
