//! Messages of JetStream, what servers answer, stored positions.

use std::sync::{Arc, OnceLock};

use flott_connector::Versioned;
use flott_connector::format::{FormatFactory, MessageDecoderFactory};
use flott_connector_nats::fuzzing;
use flott_core::types::TypeKind;
use flott_format::json::JsonFormat;

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    static JSON: OnceLock<Arc<dyn MessageDecoderFactory>> = OnceLock::new();
    let Some((first, rest)) = data.split_first() else { return };
    match first {
        b't' => {
            if let Ok(text) = std::str::from_utf8(rest) {
                let (a, b) = text.split_once('\n').unwrap_or((text, ""));
                fuzzing::texts(a, b);
            }
        }
        b'a' => fuzzing::answers(rest),
        b'p' => {
            if let Some(again) = rows::given(fuzzing::position(&Versioned::new(1, rest.to_vec()))) {
                assert_eq!(fuzzing::position(&again).ok(), Some(again), "a position that is stored again");
            }
        }
        _ => {
            let json = JSON.get_or_init(|| {
                let context = rows::context("ROW<v INT>", "ROW<v INT>", &[("ignore-parse-errors", "true")]);
                JsonFormat.message_decoding(&context).unwrap_or_else(|e| panic!("no decoder: {e}"))
            });
            let messages = rows::lines(rest);
            let read = |messages: &[&[u8]]| {
                let rows = fuzzing::rows(Arc::clone(json), &TypeKind::Int.nullable(), messages);
                rows.unwrap_or_else(|e| panic!("nothing is refused here: {e}"))
            };
            let (all, skipped) = read(&messages);
            let alone: Vec<_> = messages.iter().map(|m| read(&[m])).collect();
            assert_eq!(all.num_rows(), alone.iter().map(|(rows, _)| rows.num_rows()).sum::<usize>(), "rows");
            assert_eq!(skipped, alone.iter().map(|(_, skipped)| skipped).sum::<u64>(), "skipped messages");
        }
    }
}
