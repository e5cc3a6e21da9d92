//! What the fuzz target of frames between processes reaches: what coordinator and worker say to each other.

use std::io;

use flott_runtime::{PeerNews, TaskCommand};

use crate::process::frame;
use crate::process::greeting::Greeting;
use crate::process::message::{Command, Event, FromWorker, ToWorker, WorkerEvent, concerns};
use crate::process::worker::Invitation;

/// Reads one frame of a connection.
pub async fn read(mut stream: &[u8]) -> io::Result<Vec<u8>> {
    frame::read(&mut stream, frame::FRAME_BYTES_MAX).await
}

/// Reads a frame as each of the messages that there are, does with it what a receiver does first, and gives what would be sent
/// again.
pub fn messages(content: &[u8]) -> Vec<io::Result<Vec<u8>>> {
    let to: io::Result<ToWorker> = frame::decode(content);
    let from: io::Result<FromWorker> = frame::decode(content);
    let again = vec![to.and_then(|m| frame::encode(&m)), from.and_then(|m| frame::encode(&m))];
    match frame::decode(content) {
        Ok(ToWorker::Command(command)) => drop(Command::from(TaskCommand::from(command))),
        Ok(ToWorker::News { news }) => drop(PeerNews::from(news)),
        _ => {}
    }
    match frame::decode(content) {
        Ok(FromWorker::Event(event)) if concerns(&event, 4, &(0..8)) => drop(WorkerEvent::from(event)),
        Ok(FromWorker::Refused(error)) => drop(flott_core::Error::from(error)),
        Ok(FromWorker::Written { part: Err(error), .. }) => drop(flott_core::Error::from(error)),
        _ => {}
    }
    if let Ok(event) = frame::decode::<Event>(content) {
        drop(WorkerEvent::from(event));
    }
    drop(frame::decode::<Greeting>(content));
    if let Ok(line) = std::str::from_utf8(content) {
        drop(Invitation::parse(line));
    }
    again
}
