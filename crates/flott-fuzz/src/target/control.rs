//! The control socket: what it is asked, and what it answers.

use flott::fuzzing::{Frame, read};

use crate::rows;
use crate::target::block_on;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let is_request = first & 1 == 1;
    let framed = if *first < b'a' {
        rest.to_vec()
    } else {
        // With the length that fits.
        let mut framed = u32::try_from(rest.len()).unwrap_or(0).to_be_bytes().to_vec();
        framed.extend_from_slice(rest);
        framed
    };
    let said = block_on(read(&framed, is_request));
    // A connection that ends in the middle of a frame is gone, and no bug.
    if let Some(Frame::Said(text, again)) = rows::given(said) {
        match block_on(read(&again, is_request)) {
            Ok(Frame::Said(same, _)) => assert_eq!(same, text, "a frame that is sent again"),
            other => panic!("{text} arrives as {other:?}"),
        }
    }
}
