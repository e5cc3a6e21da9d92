//! The processes of an attempt, side by side in one: each has its own worker threads, and sockets to the others.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use flott_graph::JobGraph;
use flott_runtime::api::{AttemptOptions, Restored, TaskCommand, TaskEvent};
use flott_runtime::{Attempt, BuildOperator, Place, start_among};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Parts of one attempt, which share nothing but what they tell each other.
pub(crate) struct Attempts {
    parts: Vec<Attempt>,
    news: Vec<JoinHandle<()>>,
}

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    (here, listener.accept().expect("a connection").0)
}

/// A socket between each two.
fn places(processes: usize) -> Vec<Place> {
    let place = |process| Place { process, sockets: (0..processes).map(|_| None).collect() };
    let mut places: Vec<Place> = (0..processes).map(place).collect();
    for a in 0..processes {
        for b in a + 1..processes {
            let (here, there) = connection();
            places[a].sockets[b] = Some(here);
            places[b].sockets[a] = Some(there);
        }
    }
    places
}

impl Attempts {
    pub(crate) fn start(
        processes: usize,
        graph: &Arc<JobGraph>,
        build: &BuildOperator,
        options: &AttemptOptions,
        restored: &Restored,
        events: mpsc::Sender<TaskEvent>,
    ) -> Attempts {
        let tokio = tokio::runtime::Handle::current();
        let begin = |place, events| {
            let (graph, build, options) = (Arc::clone(graph), Arc::clone(build), options.clone());
            start_among(place, graph, build, options, restored.clone(), tokio.clone(), events).expect("starts")
        };
        if processes == 1 {
            return Attempts { parts: vec![begin(None, events)], news: vec![] };
        }
        let (ended, mut all) = mpsc::channel(processes);
        let mut parts = vec![];
        for place in places(processes) {
            let (sender, mut receiver) = mpsc::channel(16);
            parts.push(begin(Some(place), sender));
            let (events, ended) = (events.clone(), ended.clone());
            tokio.spawn(async move {
                while let Some(event) = receiver.recv().await {
                    if let TaskEvent::Ended { finished } = event {
                        ended.send(finished).await.ok();
                    } else if events.send(event).await.is_err() {
                        return;
                    }
                }
            });
        }
        // The attempt ends with the last of its parts.
        tokio.spawn(async move {
            let mut finished = true;
            for _ in 0..processes {
                finished &= all.recv().await.unwrap_or(false);
            }
            drop(events.send(TaskEvent::Ended { finished }).await);
        });
        let sources: Vec<_> = parts.iter().map(Attempt::news).collect();
        let tell = |process: usize| {
            let sources = sources.clone();
            tokio.spawn(async move {
                loop {
                    let news = sources[process].next().await;
                    let others = sources.iter().enumerate().filter(|(other, _)| *other != process);
                    others.for_each(|(other, source)| source.heard(other, &news));
                }
            })
        };
        let news = (0..processes).map(tell).collect();
        Attempts { parts, news }
    }

    pub(crate) fn send(&self, command: TaskCommand) {
        self.parts.iter().for_each(|part| part.send(command.clone()));
    }

    /// The command comes to this process only: on its way to the others it is late.
    pub(crate) fn send_to(&self, process: usize, command: TaskCommand) {
        self.parts[process].send(command);
    }

    pub(crate) fn commands_waiting(&self) -> usize {
        self.parts.iter().map(Attempt::commands_waiting).sum()
    }

    pub(crate) fn cancel(&self) {
        self.parts.iter().for_each(Attempt::cancel);
    }

    /// One process goes, without a word to the others.
    pub(crate) fn lose(&self, process: usize) {
        self.parts[process].cancel();
    }

    pub(crate) async fn join(&mut self) {
        for part in &mut self.parts {
            part.join().await;
        }
        self.news.iter().for_each(JoinHandle::abort);
    }
}
