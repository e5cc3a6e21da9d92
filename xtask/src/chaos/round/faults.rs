//! What happens to the servers that a job talks to.

use std::process::ExitStatus;
use std::time::Duration;

use super::super::events::{Event, Fault};
use super::super::logs::{ABORT_PATIENCE, Logs};
use super::super::process::{pause, until};
use super::super::proxy::Network;
use super::super::servers::{Kind, Server};
use super::super::{Rng, Tally};
use super::{PATIENCE, Round};
use crate::Failure;

/// How often a broker's log is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What a job says that begins and finds no server. Behind a proxy it is let in and put out at once, as by a broker that wants a login.
const NOBODY_THERE: [&str; 2] = ["can be reached from here", "closes the connection at once"];

impl<'a> Round<'a> {
    /// Something happens to a server, or to the way to it; the job outlives it, or is killed then or afterwards.
    pub(super) fn server(
        &self,
        kind: Kind,
        fault: Fault,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> Result<(bool, bool), Failure> {
        let server = self.server_of(kind)?;
        let mut run = self.start(Event::Server(kind, fault), rng, tally)?;
        if let Some(status) = self.until(&mut run, Duration::from_millis(rng.below(600)), || false)? {
            self.expect_success(status)?;
            return Ok((false, true));
        }
        match fault {
            Fault::Stopped => server.pause()?,
            Fault::Killed => server.kill()?,
            Fault::Network(network) => server.network(network),
        }
        let longest = if fault == Fault::Stopped { 5_000 } else { 2_000 };
        let ended = self.until(&mut run, Duration::from_millis(rng.below(longest)), || false);
        let is_killed_now = rng.below(3) == 0;
        if is_killed_now && matches!(ended, Ok(None)) {
            run.child.kill().map_err(|e| e.to_string())?;
        }
        // Whatever has become of the job, the server comes back.
        match fault {
            Fault::Stopped => server.resume()?,
            Fault::Killed => server.restart()?,
            Fault::Network(_) => server.network(Network::Whole),
        }
        if let Some(status) = ended? {
            return self.ended_beside(status);
        }
        if !is_killed_now {
            let some_time = Duration::from_millis(rng.below(1_500));
            if let Some(status) = self.until(&mut run, some_time, || false)? {
                return self.ended_beside(status);
            }
        }
        self.kill_first(run, rng).map(|()| (true, false))
    }

    fn server_of(&self, kind: Kind) -> Result<&'a Server, Failure> {
        let servers = self.logs.as_ref().map(Logs::servers).unwrap_or_default();
        servers.into_iter().find(|server| server.kind == kind).ok_or_else(|| format!("no {} is used", kind.name()))
    }

    /// A process stands amid a commit until the broker has ended its transaction; then it goes on, or is killed.
    pub(super) fn timed_out(&self, rng: &mut Rng, tally: &mut Tally) -> Result<(bool, bool), Failure> {
        let broker = self.server_of(Kind::Kafka)?;
        let mut run = self.start(Event::TransactionTimedOut, rng, tally)?;
        let reached = self.folder.join("reached");
        if let Some(status) = self.until(&mut run, PATIENCE, || reached.exists())? {
            self.expect_success(status)?;
            return Ok((false, true));
        }
        if !reached.exists() {
            return Err(format!("the job hangs: {}", self.output()));
        }
        let before = broker.timed_out();
        let is_ended = until(ABORT_PATIENCE, || {
            pause(LOOK);
            broker.timed_out() > before
        });
        if rng.below(2) == 0 {
            self.let_go()?;
            if let Some(status) = self.until(&mut run, Duration::from_millis(rng.below(1_500)), || false)? {
                return self.expect_success(status).map(|()| (is_ended, true));
            }
        }
        self.kill_first(run, rng).map(|()| (is_ended, false))
    }

    /// A job that finds no server when it begins says so and ends: whoever has started it starts it again.
    fn ended_beside(&self, status: ExitStatus) -> Result<(bool, bool), Failure> {
        if !status.success() && NOBODY_THERE.iter().any(|said| self.output().contains(said)) {
            return self.check_panics().map(|()| (false, false));
        }
        self.expect_success(status).map(|()| (true, true))
    }
}
