//! The worker processes of a job: started when they are needed, kept from one attempt to the next, never left behind.

use std::io::Write;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flott_core::{Error, Result, Secret};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

use crate::process::connection::{self, Connection, Heard, Lost};
use crate::process::greeting::{Identity, new_secret};
use crate::process::message::{FromWorker, ToWorker};
use crate::process::worker::Invitation;
use crate::process::{ProcessOptions, mesh};

/// The longest that a process takes to start and to connect.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks whether it has ended instead.
const LOOK: Duration = Duration::from_millis(20);
/// The longest that a process takes to end by itself.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool that attempts take processes from.
pub(crate) type SharedPool = Arc<Mutex<Pool>>;

/// A process that is killed with this handle, if it has not ended.
#[derive(Debug)]
pub(crate) struct Started(Child);

impl Started {
    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    fn kill(&mut self) {
        // Who has ended is not there to be killed.
        drop(self.0.kill());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Also one that is stopped. Whoever has ended is only waited for, so that nothing of it stays.
        self.kill();
        drop(self.0.wait());
    }
}

/// A worker process that has proven itself.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) connection: Connection<ToWorker>,
    pub(crate) incoming: mpsc::Receiver<Heard<FromWorker>>,
    child: Started,
}

impl Process {
    /// What has become of a process whose connection is lost.
    async fn fate(&mut self, lost: &Lost) -> Error {
        let Process { number, child, .. } = self;
        let pid = child.0.id();
        if let Lost::Broken(_) = lost {
            // Its sockets close before its end can be seen.
            for _ in 0..20 {
                if let Some(status) = child.ended() {
                    return Error::unavailable(format!("process {number} (pid {pid}) has ended: {status}"))
                        .hint("See whether it was ended from outside, or for want of memory");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Error::unavailable(format!("process {number} (pid {pid}) is lost: {lost}"))
            .hint("Raise 'heartbeat.timeout' if the machine is that busy")
    }
}

/// The processes of one job, but for this one.
pub(crate) struct Pool {
    pub(crate) options: ProcessOptions,
    pub(crate) secret: Secret,
    listener: TcpListener,
    address: String,
    /// By number, from 1. Those that an attempt has are not here.
    idle: Vec<Option<Process>>,
    /// Processes that were lost so far.
    pub(crate) losses: u64,
}

impl Pool {
    pub(crate) async fn new(options: ProcessOptions) -> Result<Pool> {
        let (listener, address) = mesh::listen().await?;
        let places = options.processes.saturating_sub(1);
        Ok(Pool {
            options,
            secret: new_secret(),
            listener,
            address: address.to_string(),
            idle: (0..places).map(|_| None).collect(),
            losses: 0,
        })
    }

    /// All processes, in the order of their numbers. Those that are missing are started.
    pub(crate) async fn take_all(&mut self) -> Result<Vec<Process>> {
        let taken = self.try_take_all().await;
        self.losses += u64::from(taken.is_err());
        taken
    }

    async fn try_take_all(&mut self) -> Result<Vec<Process>> {
        let mut processes: Vec<Option<Process>> = self.idle.iter_mut().map(Option::take).collect();
        let mut launched: Vec<Option<Started>> = processes.iter().map(|_| None).collect();
        for (place, process) in processes.iter_mut().enumerate() {
            // One that has ended between two attempts has left its last word.
            if let Some(p) = process
                && !matches!(p.incoming.try_recv(), Err(mpsc::error::TryRecvError::Empty))
            {
                *process = None;
            }
            if process.is_none() {
                launched[place] = Some(self.launch(place + 1).await?);
            }
        }
        let me = Identity::control(0, &self.options.build);
        let mut reception = mesh::Reception::new(&self.listener, &self.secret, &me);
        let connected = tokio::time::timeout(LAUNCH_TIMEOUT, async {
            while launched.iter().any(Option::is_some) {
                tokio::select! {
                    greeted = reception.next() => {
                        let (number, stream) = greeted?;
                        if let Some(process) = self.welcome(number, stream, &mut launched) {
                            let place = process.number - 1;
                            processes[place] = Some(process);
                        }
                    }
                    () = tokio::time::sleep(LOOK) => look_after(&mut launched)?,
                }
            }
            Ok(())
        });
        connected.await.unwrap_or_else(|_| {
            Err(Error::unavailable(format!("a worker process did not connect within {LAUNCH_TIMEOUT:?}")))
        })?;
        Ok(processes.into_iter().flatten().collect())
    }

    /// Starts a process and invites it. Off the loop: a child that is stopped before it has become the program holds
    /// whoever starts it.
    async fn launch(&self, number: usize) -> Result<Started> {
        let failed = |e| Error::unavailable(format!("process {number} cannot be started")).caused_by(e);
        let mut command = (self.options.command)();
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let invitation = Invitation {
            address: self.address.clone(),
            number,
            secret: self.secret.reveal().to_string(),
            heartbeat_us: us(self.options.heartbeat.interval),
            heartbeat_timeout_us: us(self.options.heartbeat.timeout),
        };
        let starting = tokio::task::spawn_blocking(move || -> std::io::Result<Started> {
            let mut started = Started(command.stdin(Stdio::piped()).spawn()?);
            // The pipe stays open as long as this process lives.
            let stdin = started.0.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
            stdin.write_all(invitation.line().as_bytes())?;
            Ok(started)
        });
        match tokio::time::timeout(LAUNCH_TIMEOUT, starting).await {
            Ok(Ok(started)) => started.map_err(failed),
            Ok(Err(e)) => Err(Error::internal("starting a process ended early").caused_by(e)),
            Err(_) => Err(Error::unavailable(format!("process {number} did not start within {LAUNCH_TIMEOUT:?}"))),
        }
    }

    /// A process, or `None` for one that has no place here.
    fn welcome(&self, number: usize, stream: TcpStream, launched: &mut [Option<Started>]) -> Option<Process> {
        let place = number.checked_sub(1).and_then(|place| launched.get_mut(place));
        let Some(child) = place.and_then(Option::take) else {
            tracing::warn!(number, "a process connects that nobody has started");
            return None;
        };
        let (connection, incoming) = connection::open(stream, self.options.heartbeat);
        Some(Process { number, connection, incoming, child })
    }

    /// A process that has nothing to do waits here for the next attempt.
    pub(crate) fn put(&mut self, process: Process) {
        let place = process.number - 1;
        self.idle[place] = Some(process);
    }

    /// Ends what is left, once the job has.
    pub(crate) async fn quit(&mut self) {
        let idle: Vec<Process> = self.idle.iter_mut().filter_map(Option::take).collect();
        for process in &idle {
            process.connection.send(ToWorker::Quit);
        }
        let gone = idle.into_iter().map(|mut process| async move {
            while let Some(Heard::Message(_)) = process.incoming.recv().await {}
            while process.child.ended().is_none() {
                tokio::time::sleep(LOOK).await;
            }
        });
        if tokio::time::timeout(QUIT_TIMEOUT, futures::future::join_all(gone)).await.is_err() {
            tracing::warn!("a worker process did not end by itself and was killed");
        }
    }
}

/// What has become of a process whose connection is lost, which is given up: killed at once, also where it is stopped. One
/// that woke later could do nothing that counts, but it would hold memory, files and sockets until then.
pub(crate) async fn give_up(pool: &SharedPool, mut process: Process, lost: &Lost) -> Error {
    let fate = process.fate(lost).await;
    process.connection.close();
    process.child.kill();
    // Its end may take a moment: of one that hangs in a read of a dead disk, long.
    drop(tokio::task::spawn_blocking(move || drop(process)));
    pool.lock().await.losses += 1;
    fate
}

fn look_after(launched: &mut [Option<Started>]) -> Result<()> {
    for (place, started) in launched.iter_mut().enumerate() {
        if let Some(status) = started.as_mut().and_then(Started::ended) {
            return Err(Error::unavailable(format!("process {} ended before it connected: {status}", place + 1)));
        }
    }
    Ok(())
}
