//! An attempt of a job in all of its processes, as the coordinator sees it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flott_core::{Error, Result};
use flott_graph::JobGraph;
use flott_runtime::api::{AttemptOptions, Restored, TaskCommand, TaskEvent};
use flott_runtime::metrics::JobMetrics;
use flott_runtime::{Attempt, BuildOperator, NewsSource, PeerNews, Place};
use flott_state::manifest::Manifest;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::process::connection::{Connection, Heard, Lost};
use crate::process::counters::Merged;
use crate::process::greeting::Identity;
use crate::process::mesh;
use crate::process::message::{Deploy, Event, FromWorker, ToWorker, WorkerEvent, concerns};
use crate::process::pool::{Process, SharedPool, give_up};

/// Events that this process's workers may be ahead of the coordinator.
const EVENT_QUEUE: usize = 1_024;
/// The longest that a process takes to end an attempt that is cancelled.
const END_TIMEOUT: Duration = Duration::from_secs(20);
/// The same where somebody waits who wants the job to end at once.
const END_AT_ONCE_TIMEOUT: Duration = Duration::from_secs(1);

/// So often processes may be lost before an attempt has begun.
const FORM_TRIES: u32 = 3;
/// After the first of these losses; after later ones longer.
const FORM_PAUSE: Duration = Duration::from_millis(100);

/// What is started.
pub(crate) struct Starting {
    pub(crate) graph: Arc<JobGraph>,
    pub(crate) build: BuildOperator,
    pub(crate) options: AttemptOptions,
    /// Of the subtasks of this process.
    pub(crate) restored: Restored,
    pub(crate) has_store: bool,
    /// What the other processes restore.
    pub(crate) manifest: Option<Manifest>,
    /// Where its files lie, where it is a savepoint.
    pub(crate) savepoint: Option<String>,
}

/// A running attempt.
pub(crate) struct Workers {
    local: Attempt,
    remote: Option<Remote>,
}

struct Remote {
    threads: usize,
    /// By number, from 1.
    connections: Vec<Connection<ToWorker>>,
    /// How long processes may take to end, once they are told to.
    cancelled: watch::Sender<Option<Duration>>,
    relays: Vec<JoinHandle<Option<Process>>>,
    news: JoinHandle<()>,
    pool: SharedPool,
}

/// Subtasks of this process, of so many in all.
pub(crate) fn subtasks(parallelism: usize, processes: usize, process: usize) -> Range<usize> {
    let threads = parallelism / processes.max(1);
    process * threads..(process + 1) * threads
}

impl Workers {
    /// Starts an attempt, in this process and in those of the pool.
    pub(crate) async fn start(
        pool: Option<&SharedPool>,
        starting: Starting,
        events: mpsc::Sender<WorkerEvent>,
    ) -> Result<Workers> {
        let Some(pool) = pool else {
            let local = start_local(None, starting, &events, Ends::of(1))?;
            return Ok(Workers { local, remote: None });
        };
        let (place, processes) = form_at_last(pool, &starting).await?;
        let all = place.sockets.len();
        let ends = Ends::of(all);
        let (cancelled, is_cancelled) = watch::channel(None);
        let connections: Vec<_> = processes.iter().map(|p| p.connection.clone()).collect();
        let (parallelism, nodes) = (starting.options.parallelism, starting.graph.nodes.len());
        let metrics = Arc::clone(&starting.options.metrics);
        let local = start_local(Some(place), starting, &events, Arc::clone(&ends))?;
        let news = tokio::spawn(tell(local.news(), connections.clone()));
        let relays = processes.into_iter().map(|process| {
            let relay = Relay {
                subtasks: subtasks(parallelism, all, process.number),
                nodes,
                connections: connections.clone(),
                peers: local.news(),
                metrics: Arc::clone(&metrics),
                merged: Merged::default(),
                events: events.clone(),
                ends: Arc::clone(&ends),
                cancelled: is_cancelled.clone(),
                pool: Arc::clone(pool),
            };
            tokio::spawn(relay.run(process))
        });
        let relays = relays.collect();
        let threads = parallelism / all;
        let remote = Remote { threads, connections, cancelled, relays, news, pool: Arc::clone(pool) };
        Ok(Workers { local, remote: Some(remote) })
    }

    /// Hands a command to the subtasks that it is for. Never waits.
    pub(crate) fn send(&self, command: TaskCommand) {
        let Some(remote) = &self.remote else { return self.local.send(command) };
        let subtask = match &command {
            TaskCommand::AssignSplits { subtask, .. }
            | TaskCommand::NoMoreSplits { subtask, .. }
            | TaskCommand::AlignWatermark { subtask, .. }
            | TaskCommand::SourceEvent { subtask, .. } => Some(*subtask),
            TaskCommand::TriggerCheckpoint(_)
            | TaskCommand::StopWithCheckpoint(_)
            | TaskCommand::Resume
            | TaskCommand::CheckpointComplete(_)
            | TaskCommand::Drain => None,
        };
        match subtask.map(|s| s / remote.threads) {
            Some(0) => self.local.send(command),
            Some(process) => {
                if let Some(connection) = remote.connections.get(process - 1) {
                    connection.send(ToWorker::Command(command.into()));
                }
            }
            None => {
                remote.connections.iter().for_each(|c| c.send(ToWorker::Command(command.clone().into())));
                self.local.send(command);
            }
        }
    }

    /// Ends everything soon; [`TaskEvent::Ended`] follows.
    pub(crate) fn cancel(&self) {
        self.cancel_within(END_TIMEOUT);
    }

    /// The same for somebody who waits: a process that does not end, since it is stopped or waits for something, is killed.
    pub(crate) fn cancel_at_once(&self) {
        self.cancel_within(END_AT_ONCE_TIMEOUT);
    }

    fn cancel_within(&self, timeout: Duration) {
        if let Some(remote) = &self.remote {
            let mut before = None;
            remote.cancelled.send_if_modified(|within| {
                before = *within;
                let is_sooner = within.is_none_or(|w| timeout < w);
                if is_sooner {
                    *within = Some(timeout);
                }
                is_sooner
            });
            if before.is_none() {
                // Before their peers close the sockets between them.
                remote.connections.iter().for_each(|c| c.send(ToWorker::Cancel));
            }
        }
        self.local.cancel();
    }

    /// Waits until everything has ended.
    pub(crate) async fn join(&mut self) {
        if let Some(remote) = &mut self.remote {
            for relay in remote.relays.drain(..) {
                if let Ok(Some(process)) = relay.await {
                    remote.pool.lock().await.put(process);
                }
            }
            remote.news.abort();
        }
        self.local.join().await;
    }
}

impl Drop for Workers {
    /// A coordinator that is gone, by a panic for one, leaves nothing that runs on. A process that has ended its part is in
    /// the pool: a word to it would be heard by the next attempt.
    fn drop(&mut self) {
        if self.remote.as_ref().is_some_and(|remote| !remote.relays.is_empty()) {
            self.cancel();
        }
    }
}

/// Starts this process's part; what happens in it goes to `events`.
fn start_local(
    place: Option<Place>,
    starting: Starting,
    events: &mpsc::Sender<WorkerEvent>,
    ends: Arc<Ends>,
) -> Result<Attempt> {
    let (sender, mut receiver) = mpsc::channel(EVENT_QUEUE);
    let Starting { graph, build, options, restored, .. } = starting;
    let tokio = tokio::runtime::Handle::current();
    let attempt = flott_runtime::start_among(place, graph, build, options, restored, tokio, sender)?;
    let events = events.clone();
    tokio::spawn(async move {
        while let Some(event) = receiver.recv().await {
            if let TaskEvent::Ended { finished } = event {
                return ends.one(finished, &events).await;
            }
            if events.send(WorkerEvent::Task(event)).await.is_err() {
                return;
            }
        }
    });
    Ok(attempt)
}

/// Which processes have ended the attempt.
struct Ends {
    left: AtomicUsize,
    unfinished: AtomicBool,
}

impl Ends {
    fn of(processes: usize) -> Arc<Ends> {
        Arc::new(Ends { left: AtomicUsize::new(processes), unfinished: AtomicBool::new(false) })
    }

    /// One has, and all that it had to say is said. The last one ends the attempt.
    async fn one(&self, finished: bool, events: &mpsc::Sender<WorkerEvent>) {
        self.unfinished.fetch_or(!finished, Ordering::SeqCst);
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let finished = !self.unfinished.load(Ordering::SeqCst);
            // Nobody may be interested any more.
            drop(events.send(WorkerEvent::Task(TaskEvent::Ended { finished })).await);
        }
    }
}

/// Tells the others what this process has to tell.
async fn tell(news: NewsSource, connections: Vec<Connection<ToWorker>>) {
    loop {
        let news = news.next().await;
        connections.iter().for_each(|c| c.send(ToWorker::News { news: (&news).into() }));
    }
}

/// Forms the attempt. A process that is lost on the way is no failure of the job, of which nothing runs yet.
async fn form_at_last(pool: &SharedPool, starting: &Starting) -> Result<(Place, Vec<Process>)> {
    let mut tries = 0;
    loop {
        let before = pool.lock().await.losses;
        // Whoever is dropped on the way out of here is killed, so that no half of an attempt stays.
        let processes = pool.lock().await.take_all().await;
        let formed = match processes {
            Ok(processes) => form(pool, starting, processes).await,
            Err(e) => Err(e),
        };
        tries += 1;
        match formed {
            Err(error) if tries < FORM_TRIES && pool.lock().await.losses > before => {
                tracing::warn!(%error, "the processes of the job are started again");
                // What has ended them may need a moment to pass.
                tokio::time::sleep(FORM_PAUSE * tries).await;
            }
            formed => return formed,
        }
    }
}

/// Brings all processes to the point where they have planned the same graph and are connected; those of the others run
/// their part then.
async fn form(pool: &SharedPool, starting: &Starting, processes: Vec<Process>) -> Result<(Place, Vec<Process>)> {
    let (secret, build, bundle) = {
        let pool = pool.lock().await;
        (pool.secret.clone(), pool.options.build.clone(), pool.options.bundle.clone())
    };
    let options = &starting.options;
    let all = processes.len() + 1;
    let fingerprint = starting.graph.fingerprint();
    let deploy = Deploy {
        generation: options.generation,
        lineage: options.lineage.clone(),
        processes: all,
        threads: options.parallelism / all,
        bundle,
        fingerprint,
        first_epoch: options.first_epoch,
        in_flight_bytes: options.in_flight_bytes,
        buffer_timeout_us: u64::try_from(options.buffer_timeout.as_micros()).unwrap_or(u64::MAX),
        memory_bytes_max: options.memory_bytes_max,
        has_store: starting.has_store,
        manifest: starting.manifest.clone(),
        savepoint: starting.savepoint.clone(),
    };
    for process in &processes {
        process.connection.send(ToWorker::Deploy(Box::new(deploy.clone())));
    }
    let mut forming = Forming { pool, processes: processes.into_iter().map(Some).collect() };
    let (listener, address) = mesh::listen().await?;
    let mut addresses = vec![Some(address.to_string())];
    addresses.resize(all, None);
    while let Some((number, message)) = forming.next(|number| addresses[number].is_none()).await? {
        match message {
            FromWorker::Planned { fingerprint: theirs, .. } if theirs != fingerprint => {
                return Err(Error::internal(format!(
                    "process {number} has planned another graph: {theirs:016x}, this one {fingerprint:016x}"
                )));
            }
            FromWorker::Planned { address, .. } => addresses[number] = Some(address),
            other => return Err(unexpected(number, &other)),
        }
    }
    let addresses: Vec<String> = addresses.into_iter().flatten().collect();
    for process in forming.processes.iter().flatten() {
        process.connection.send(ToWorker::Connect(addresses.clone()));
    }
    let me = Identity::mesh(0, &build, options.generation.0, fingerprint);
    let mut meeting = std::pin::pin!(mesh::meet(&listener, &addresses, &secret, &me));
    let (mut place, mut started) = (None, vec![true; 1]);
    started.resize(all, false);
    while place.is_none() || started.contains(&false) {
        tokio::select! {
            met = &mut meeting, if place.is_none() => place = Some(met?),
            heard = forming.next(|number| !started[number]), if started.contains(&false) => match heard? {
                Some((number, FromWorker::Started)) => started[number] = true,
                Some((number, other)) => return Err(unexpected(number, &other)),
                None => {}
            },
        }
    }
    let place = place.ok_or_else(|| Error::internal("the processes have not met"))?;
    Ok((place, forming.processes.into_iter().flatten().collect()))
}

fn unexpected(number: usize, message: &FromWorker) -> Error {
    let text: String = format!("{message:?}").chars().take(100).collect();
    Error::internal(format!("process {number} says what nobody has asked for: {text}"))
}

/// Processes on their way into an attempt.
struct Forming<'a> {
    pool: &'a SharedPool,
    processes: Vec<Option<Process>>,
}

impl Forming<'_> {
    /// The next message of the processes that something is expected of; `None` where there are none. A refusal is an error,
    /// and so is a lost process.
    async fn next(&mut self, expected: impl Fn(usize) -> bool) -> Result<Option<(usize, FromWorker)>> {
        let waiting = self.processes.iter_mut().flatten().filter(|p| expected(p.number));
        let heard: Vec<_> = waiting
            .map(|p| {
                let number = p.number;
                let incoming = &mut p.incoming;
                Box::pin(async move { (number, incoming.recv().await) })
            })
            .collect();
        if heard.is_empty() {
            return Ok(None);
        }
        let ((number, heard), _, _) = futures::future::select_all(heard).await;
        match heard {
            Some(Heard::Message(FromWorker::Refused(error))) => Err(error.into()),
            Some(Heard::Message(message)) => Ok(Some((number, message))),
            Some(Heard::Lost(lost)) => Err(self.lost(number, lost).await),
            None => Err(self.lost(number, Lost::Broken(std::io::ErrorKind::UnexpectedEof.into())).await),
        }
    }

    async fn lost(&mut self, number: usize, lost: Lost) -> Error {
        match self.processes.get_mut(number - 1).and_then(Option::take) {
            Some(process) => give_up(self.pool, process, &lost).await,
            None => Error::internal(format!("process {number} is lost twice")),
        }
    }
}

/// Comes when a process that was told to end has had its time.
async fn overdue(mut cancelled: watch::Receiver<Option<Duration>>) -> Duration {
    loop {
        let within = *cancelled.borrow_and_update();
        let time = async {
            match within {
                Some(within) => tokio::time::sleep(within).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = cancelled.changed() => if changed.is_err() {
                // A job that is gone: the process is not needed either.
                tokio::time::sleep(END_TIMEOUT).await;
                return END_TIMEOUT;
            },
            () = time => return within.unwrap_or(END_TIMEOUT),
        }
    }
}

/// Hands on what one process says, until it has ended the attempt.
struct Relay {
    subtasks: Range<usize>,
    nodes: usize,
    connections: Vec<Connection<ToWorker>>,
    peers: NewsSource,
    metrics: Arc<JobMetrics>,
    merged: Merged,
    events: mpsc::Sender<WorkerEvent>,
    ends: Arc<Ends>,
    cancelled: watch::Receiver<Option<Duration>>,
    pool: SharedPool,
}

impl Relay {
    async fn run(mut self, mut process: Process) -> Option<Process> {
        let mut overdue = std::pin::pin!(overdue(self.cancelled.clone()));
        let lost = loop {
            tokio::select! {
                heard = process.incoming.recv() => match heard {
                    Some(Heard::Message(FromWorker::Ended { finished })) => {
                        self.ends.one(finished, &self.events).await;
                        return Some(process);
                    }
                    Some(Heard::Message(message)) => self.on_message(process.number, message).await,
                    Some(Heard::Lost(lost)) => break lost,
                    None => break Lost::Broken(std::io::ErrorKind::UnexpectedEof.into()),
                },
                timeout = &mut overdue => break Lost::Silent(timeout),
            }
        };
        let error = give_up(&self.pool, process, &lost).await;
        self.fail(error).await;
        self.ends.one(false, &self.events).await;
        None
    }

    async fn say(&self, event: WorkerEvent) {
        // The coordinator may have gone.
        drop(self.events.send(event).await);
    }

    /// Of an attempt that is cancelled no failure is news: its parts fall apart one after another.
    async fn fail(&self, error: Error) {
        if self.cancelled.borrow().is_some() {
            tracing::debug!(%error, "after the end");
        } else {
            self.say(WorkerEvent::Task(TaskEvent::Failed { node: None, error })).await;
        }
    }

    async fn on_message(&mut self, number: usize, message: FromWorker) {
        match message {
            FromWorker::Event(event) if !concerns(&event, self.nodes, &self.subtasks) => {
                self.fail(Error::internal(format!("process {number} reports of a subtask that it does not have")))
                    .await;
            }
            FromWorker::Event(Event::Failed { error, .. }) if self.cancelled.borrow().is_some() => {
                tracing::debug!(?error, "after the end");
            }
            FromWorker::Event(event) => self.say(event.into()).await,
            FromWorker::Written { checkpoint, node, subtask, part } => {
                let (node, part) = (flott_graph::NodeId(node), part.map(Into::into).map_err(Into::into));
                self.say(WorkerEvent::Written { checkpoint, node, subtask, part }).await;
            }
            FromWorker::News { news } => {
                let others = self.connections.iter().enumerate().filter(|(place, _)| place + 1 != number);
                others.for_each(|(_, c)| c.send(ToWorker::News { news: news.clone() }));
                self.peers.heard(0, &PeerNews::from(news));
            }
            FromWorker::Metrics(values) => self.merged.apply(&self.metrics, values),
            FromWorker::Ping => {}
            other => self.fail(unexpected(number, &other)).await,
        }
    }
}
