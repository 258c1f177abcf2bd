//! The stream of one command's events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{CommandEvent, Finished, Progress, command_event::Event};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::pid1::command::{Command, outcome};
use crate::pid1::link::Link;

/// The newest output that one progress event carries, in bytes.
const PROGRESS_OUTPUT_LIMIT: usize = 1024;

/// At most four progress events a second: a person reads no faster.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

pub fn event(event: Event) -> CommandEvent {
    CommandEvent { event: Some(event) }
}

/// Progress from `offset` on, then the outcome. While the stream lives, the
/// command is watched.
pub fn follow(
    command: Arc<Command>,
    offset: u64,
    link: &Link,
) -> ReceiverStream<Result<CommandEvent, Status>> {
    let (events, stream) = mpsc::channel(1);
    // Here and not in the task: a command must be watched from the first moment.
    let finished = command.watch(link);
    tokio::spawn(tell(command, offset, finished, events));
    ReceiverStream::new(stream)
}

async fn tell(
    command: Arc<Command>,
    mut offset: u64,
    mut finished: watch::Receiver<Option<Arc<Finished>>>,
    events: mpsc::Sender<Result<CommandEvent, Status>>,
) {
    loop {
        let next = tokio::select! {
            biased;
            outcome = outcome(&mut finished) => {
                let Some(outcome) = outcome else { return };
                let outcome = event(Event::Finished(outcome));
                if events.send(Ok(outcome)).await.is_ok() {
                    command.delivered.store(true, Ordering::Relaxed);
                }
                return;
            }
            () = events.closed() => return,
            () = tokio::time::sleep(PROGRESS_INTERVAL) => {
                if command.total() <= offset {
                    continue;
                }
                let (total, newest) = command.newest(PROGRESS_OUTPUT_LIMIT);
                offset = total;
                event(Event::Progress(Progress {
                    offset,
                    newest: Bytes::from(newest),
                }))
            }
        };
        if events.send(Ok(next)).await.is_err() {
            return;
        }
    }
}
