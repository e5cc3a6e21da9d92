//! Why a job is CANCELED: who wanted its end, and what is left of it.

use flott::{Ending, Job, JobState};

use crate::interrupts::Interrupt;

/// Whoever in this process wanted the end, for [`told`].
pub(crate) fn by(interrupt: Interrupt) -> &'static str {
    match interrupt {
        Interrupt::CtrlC => "Ctrl-C",
        Interrupt::Terminate => "SIGTERM",
        Interrupt::HangUp => "SIGHUP",
    }
}

/// `by` is who wanted it in this process; where nobody did, another one has asked over the job's socket.
pub(crate) fn told(job: &Job, state: &JobState, by: Option<&str>) -> String {
    let left = match (&job.checkpoints, state.last_checkpoint.map(|c| c.0).or(job.restored)) {
        (None, _) => Left::Nothing,
        (Some(_), None) => Left::NoCheckpoint,
        (Some(_), Some(last)) => Left::Checkpoint(last),
    };
    text(state.ending, by, left)
}

/// What the job leaves.
enum Left {
    /// It keeps no checkpoints.
    Nothing,
    /// It has not come to its first one.
    NoCheckpoint,
    Checkpoint(u64),
}

fn text(ending: Option<Ending>, by: Option<&str>, left: Left) -> String {
    let by = match (by, ending) {
        (Some(by), _) => by,
        (None, Some(Ending::Stop)) => "STOP JOB or flott stop",
        (None, _) => "flott cancel",
    };
    let left = match left {
        Left::Nothing => "it keeps no checkpoints, so that there is nothing to go on from".to_string(),
        Left::NoCheckpoint => "it had no checkpoint yet, so that there is nothing to go on from".to_string(),
        Left::Checkpoint(last) => {
            format!("--restore latest goes on from checkpoint {last}; what is not committed is gone")
        }
    };
    format!("CANCELED by {by}: {left}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_who_it_was_and_what_is_left() {
        assert!(
            text(Some(Ending::Stop), Some("QUIT"), Left::Nothing)
                .starts_with("CANCELED by QUIT: it keeps no checkpoints")
        );
        assert!(text(Some(Ending::Stop), None, Left::NoCheckpoint).contains("by STOP JOB or flott stop"));
        assert!(
            text(Some(Ending::Cancel), None, Left::Checkpoint(7))
                .contains("by flott cancel: --restore latest goes on from checkpoint 7")
        );
    }
}
