//! Ctrl-C, and the word of a service manager or a terminal that the process is to end.

use std::sync::Arc;
use std::time::Duration;

use flott::Result;
use flott_core::clock::{Clock, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Ctrl-C
    CtrlC,
    /// SIGTERM
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

/// Two signals of a kind this close are one: whoever signals a process and its group sends both.
const TOGETHER: Duration = Duration::from_millis(100);

/// Signals that stop a job.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
    clock: Arc<dyn Clock>,
    last: Option<(Interrupt, Duration)>,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Interrupts> {
        // Under nohup the process outlives its terminal.
        let hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up,
            clock: SystemClock::shared(),
            last: None,
        })
    }

    /// The next signal; one that came before the call counts.
    pub(crate) async fn next(&mut self) -> Interrupt {
        loop {
            let hang_up = async {
                match &mut self.hang_up {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            let came = tokio::select! {
                _ = self.interrupt.recv() => Interrupt::CtrlC,
                _ = self.terminate.recv() => Interrupt::Terminate,
                _ = hang_up => Interrupt::HangUp,
            };
            let now = self.clock.monotonic();
            let again = self.last.is_some_and(|(last, at)| last == came && now.saturating_sub(at) < TOGETHER);
            self.last = Some((came, now));
            if !again {
                return came;
            }
        }
    }
}

/// Whether SIGHUP is ignored already; where the system does not tell, it is left as it is.
fn ignores_hang_up() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}
