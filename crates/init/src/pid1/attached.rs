//! Attached commands, whose streams are their caller's: `casemate exec`. They run under the same
//! supervisors as other commands and end in the same way, with these differences:
//!
//! | | with a result | attached |
//! |---|---|---|
//! | standard input | whole, in memory | a pipe, for as long as the command itself runs |
//! | output | beginning and end, and a file | sent as it is read, and not kept |
//! | no time-out given | not possible | never |
//! | its caller goes away | ends after a while | ends at once |
//! | notices for the user | told | left for the next result |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use casemate_protocol::run_output::Output;
use casemate_protocol::{
    Accepted, Failure, FailureExt as _, RunInput, RunOutput, StartRequest, failure::Code,
};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::bounds::check_attached;
use super::caller::{Caller, Outputs, message};
use super::command::{Command, outcome};
use super::commands::Commands;
use super::link::Link;
use crate::procfs::ExecState;
use crate::{procfs, tree};

/// Messages that wait for the connection: 128 KiB.
const OUTPUT_BUFFER: usize = 2;

/// How long a signal waits until the command's process has become the command, which may have a
/// handler for it.
const STARTING_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two checks whether it has.
const STARTING_INTERVAL: Duration = Duration::from_millis(2);

/// The signals that a caller may pass on.
const PASSED_ON: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];

impl Commands {
    /// Accepts a command whose standard input is the rest of `input`, and starts it.
    ///
    /// # Errors
    /// As [`Self::start`]; `INVALID` also for an id that is known.
    pub fn attach(
        self: &Arc<Self>,
        request: StartRequest,
        input: Streaming<RunInput>,
    ) -> Result<ReceiverStream<Result<RunOutput, Status>>, Failure> {
        check_attached(&request)?;
        if self.table().known(&request.id)?.is_some() {
            return Err(Failure::new(Code::Invalid, "the id is another command's"));
        }
        let (output, outputs) = mpsc::channel(OUTPUT_BUFFER);
        // The channel has room. If the command is not accepted, the message is dropped with it.
        let accepted = message(Output::Accepted(Accepted {}));
        let _ = output.try_send(Ok(accepted));
        let caller = Caller::new(input, output.clone());
        let command = Command::new(request.id.clone(), 0)
            .with_caller(caller)
            .running(&request.script);
        let command = self.accept(command, request)?;
        tokio::spawn(tell(command, output));
        Ok(ReceiverStream::new(outputs))
    }
}

/// Sends the outcome, or ends the command when the caller is gone.
async fn tell(command: Arc<Command>, output: Outputs) {
    // Ended below, whatever became of the connection.
    let mut finished = command.watch(&Link::default());
    let outcome = tokio::select! {
        biased;
        outcome = outcome(&mut finished) => outcome,
        () = output.closed() => return command.kill(),
    };
    let Some(outcome) = outcome else { return };
    let told = output.send(Ok(message(Output::Finished(outcome)))).await;
    if told.is_ok() {
        command.delivered.store(true, Ordering::Relaxed);
    }
}

/// Sends the signal to the command's own process and to its process group: the processes that a
/// terminal would send it to.
///
/// # Errors
/// `INVALID`: this signal may not be passed on.
pub async fn signal(command: &Command, number: i32) -> Result<(), Failure> {
    let signal = PASSED_ON.into_iter().find(|of| of.as_raw() == number);
    let signal =
        signal.ok_or_else(|| Failure::new(Code::Invalid, "this signal is not passed on"))?;
    let end = Instant::now() + STARTING_TIMEOUT;
    while !command.is_finished() && !has_become_itself(command) && Instant::now() < end {
        sleep(STARTING_INTERVAL).await;
    }
    let (Some(supervisor), Some(main)) = (command.supervisor(), command.main()) else {
        return Ok(());
    };
    // Only below its supervisor: the group's id may belong to another when the command is over.
    for process in tree::descendants(supervisor).iter().flatten() {
        if process.pid == main || process.group == Some(main) {
            tree::signal(process, signal);
        }
    }
    Ok(())
}

fn has_become_itself(command: &Command) -> bool {
    let process = command.main().and_then(procfs::process);
    process.is_some_and(|process| process.execed != ExecState::Never)
}
