//! One attempt: worker threads, their dataflow, and what ends them.

use std::collections::HashMap;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use flott_core::{Error, Result};
use flott_graph::{JobGraph, Node, NodeId, OperatorSpec};
use flott_operator::Operator;
use timely::WorkerConfig;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, initialize_from};
use timely::worker::Worker;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::{AttemptOptions, Restored, TaskCommand, TaskEvent};
use crate::dataflow::{self, Plan};
use crate::driver::panicked;
use crate::flow::Shared;
use crate::memory::Memory;
use crate::mesh::Mesh;
use crate::peers::{NewsQueue, PeerNews};
use crate::source::CommandQueue;

/// Builds the operator of a subtask: node, subtask, parallelism, number of key groups.
pub type BuildOperator = Arc<dyn Fn(&Node, usize, usize, u16) -> Result<Box<dyn Operator>> + Send + Sync>;

/// Where this process stands among those of an attempt, which have as many worker threads each.
#[derive(Debug)]
pub struct Place {
    /// Its number.
    pub process: usize,
    /// A connection to each other process; `None` at its own place.
    pub sockets: Vec<Option<TcpStream>>,
}

/// What an attempt tells the other processes, and hears from them.
#[derive(Clone)]
pub struct NewsSource(Arc<Shared>);

impl NewsSource {
    /// What another process has told. Of what it has taken only this process's rows are for this one.
    pub fn heard(&self, process: usize, news: &PeerNews) {
        news.announced.iter().for_each(|time| self.0.announced_elsewhere(*time));
        for taken in news.taken.iter().filter(|t| t.sender == process) {
            self.0.taken_elsewhere(taken.behind, taken.epoch, taken.bytes);
        }
    }

    /// Waits for news. Never any in a process that is alone.
    pub async fn next(&self) -> PeerNews {
        match self.0.news() {
            Some(news) => news.next().await,
            None => std::future::pending().await,
        }
    }
}

/// A running attempt. Dropping it before it has ended [cancels](Self::cancel) it: nothing runs on that nobody can end.
pub struct Attempt {
    shared: Arc<Shared>,
    mesh: Option<Arc<Mesh>>,
    commands: HashMap<(NodeId, usize), Arc<CommandQueue>>,
    ended: Option<JoinHandle<()>>,
}

impl Attempt {
    /// Hands a command to the subtasks that it is for. Never waits.
    pub fn send(&self, command: TaskCommand) {
        match &command {
            TaskCommand::AssignSplits { node, subtask, .. }
            | TaskCommand::NoMoreSplits { node, subtask }
            | TaskCommand::AlignWatermark { node, subtask, .. }
            | TaskCommand::SourceEvent { node, subtask, .. } => {
                let of = (*node, *subtask);
                if let Some(queue) = self.commands.get(&of) {
                    self.hand_over(of.0, queue, command);
                }
            }
            TaskCommand::TriggerCheckpoint(_)
            | TaskCommand::StopWithCheckpoint(_)
            | TaskCommand::Resume
            | TaskCommand::CheckpointComplete(_)
            | TaskCommand::Drain => {
                match &command {
                    TaskCommand::TriggerCheckpoint(checkpoint) => self.shared.trigger(*checkpoint),
                    TaskCommand::StopWithCheckpoint(checkpoint) => {
                        self.shared.stop_behind(*checkpoint);
                        self.shared.trigger(*checkpoint);
                    }
                    TaskCommand::Resume => self.shared.resume(),
                    _ => {}
                }
                for ((node, _), queue) in &self.commands {
                    self.hand_over(*node, queue, command.clone());
                }
            }
        }
    }

    fn hand_over(&self, node: NodeId, queue: &CommandQueue, command: TaskCommand) {
        if let Err(error) = queue.push(command) {
            self.shared.fail(Some(node), error);
        }
    }

    /// Commands that no subtask has taken so far.
    pub fn commands_waiting(&self) -> usize {
        self.commands.values().map(|queue| queue.len()).sum()
    }

    /// Ends all threads and tasks soon; [`TaskEvent::Ended`] follows. An attempt in several processes has to be cancelled
    /// also where it has failed: until then its peers are not told, so that they hear of the reason first.
    pub fn cancel(&self) {
        self.shared.cancel();
        if let Some(mesh) = &self.mesh {
            mesh.close();
        }
    }

    /// What the other processes are to hear, and say.
    pub fn news(&self) -> NewsSource {
        NewsSource(Arc::clone(&self.shared))
    }

    /// Waits until everything has ended.
    pub async fn join(&mut self) {
        if let Some(ended) = self.ended.take() {
            // A supervisor that panicked has ended too.
            drop(ended.await);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Of one that was waited for nothing runs.
        if self.ended.is_some() {
            self.cancel();
        }
    }
}

/// Starts an attempt in this process alone.
pub fn start(
    graph: Arc<JobGraph>,
    build: BuildOperator,
    options: AttemptOptions,
    restored: Restored,
    tokio: tokio::runtime::Handle,
    events: mpsc::Sender<TaskEvent>,
) -> Result<Attempt> {
    start_among(None, graph, build, options, restored, tokio, events)
}

/// Starts this process's part of an attempt; `options` are those of the whole.
pub fn start_among(
    place: Option<Place>,
    graph: Arc<JobGraph>,
    build: BuildOperator,
    options: AttemptOptions,
    restored: Restored,
    tokio: tokio::runtime::Handle,
    events: mpsc::Sender<TaskEvent>,
) -> Result<Attempt> {
    let (process, processes) = place.as_ref().map_or((0, 1), |p| (p.process, p.sockets.len()));
    if processes == 0 || !options.parallelism.is_multiple_of(processes) {
        return Err(Error::internal(format!("{} workers in {processes} processes", options.parallelism)));
    }
    let threads = options.parallelism / processes;
    let news = place.as_ref().map(|_| NewsQueue::default());
    let shared = Shared::among(graph.nodes.len(), threads, Memory::new(options.memory_bytes_max), process, news);
    let mut commands = HashMap::new();
    for (id, node) in graph.iter() {
        if matches!(node.spec, OperatorSpec::Source(_)) {
            let here = process * threads..(process + 1) * threads;
            commands.extend(here.map(|s| ((id, s), CommandQueue::new())));
        }
    }
    let plan = Arc::new(Plan {
        graph,
        build,
        options,
        restored: Mutex::new(restored),
        shared: Arc::clone(&shared),
        commands: commands.clone(),
        tokio: tokio.clone(),
        tasks: Mutex::default(),
    });
    let (builders, others, mesh) = match place {
        None => {
            let (builders, others) = timely::CommunicationConfig::Process(threads)
                .try_build()
                .map_err(|e| Error::internal(format!("the workers cannot be connected: {e}")))?;
            (builders, others, None)
        }
        Some(place) => connect(place, threads, &shared)?,
    };
    let (worker_plan, worker_mesh) = (Arc::clone(&plan), mesh.clone());
    let guards = initialize_from(builders, others, move |allocator| {
        let shared = Arc::clone(&worker_plan.shared);
        shared.add_thread(std::thread::current());
        // An operator that panics is a failed job in a living process.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&worker_plan, allocator))) {
            shared.fail(None, panicked("a worker", panic.as_ref()));
        }
        if let Some(mesh) = &worker_mesh {
            mesh.worker_gone();
        }
    })
    .map_err(|e| Error::unavailable(format!("the worker threads cannot be started: {e}")))?;

    let forward = Arc::clone(&shared);
    let forwarder = tokio.spawn(async move {
        loop {
            let event = forward.events.next().await;
            let last = matches!(event, TaskEvent::Ended { .. });
            if events.send(event).await.is_err() || last {
                return;
            }
        }
    });
    let supervisor = tokio.clone().spawn(async move {
        let threads = tokio::task::spawn_blocking(move || {
            // Panics were caught inside; what remains here concerns timely's own threads.
            drop(catch_unwind(AssertUnwindSafe(move || drop(guards.join()))));
        });
        drop(threads.await);
        // Once the workers are gone readers and writers end by themselves: at the end of their input, or cancelled.
        let tasks = std::mem::take(&mut *plan.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(e) = task.await
                && e.is_panic()
            {
                plan.shared.fail(None, panicked("a task", e.into_panic().as_ref()));
            }
        }
        let finished = !plan.shared.is_cancelled() && !plan.shared.has_failed();
        plan.shared.events.push(TaskEvent::Ended { finished });
        drop(forwarder.await);
    });
    Ok(Attempt { shared, mesh, commands, ended: Some(supervisor) })
}

type Connected = (Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>, Option<Arc<Mesh>>);

/// Timely's channels to the worker threads of all processes.
fn connect(place: Place, threads: usize, shared: &Arc<Shared>) -> Result<Connected> {
    let hooks = Hooks::default();
    let local = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), None);
    let (mesh, streams) = Mesh::new(Arc::clone(shared), threads, place.process, place.sockets)?;
    let (builders, guard) = initialize_networking_from_sockets(local, streams, place.process, threads, hooks)
        .map_err(|e| Error::unavailable("the threads of the sockets cannot be started").caused_by(e))?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard), Some(mesh)))
}

#[expect(clippy::disallowed_methods, reason = "timely needs an Instant to measure its own delays")]
fn work(plan: &Plan, allocator: timely::communication::Allocator) {
    let mut worker = Worker::new(WorkerConfig::default(), allocator, Some(std::time::Instant::now()));
    worker.dataflow::<u64, _, _>(|scope| dataflow::build(plan, scope));
    while worker.has_dataflows() && !plan.shared.is_cancelled() {
        worker.step_or_park(None);
    }
}
