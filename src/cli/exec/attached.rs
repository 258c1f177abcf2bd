//! Connects the command to this program's streams and signals.
//!
//! ```text
//! stdin ─► thread ─► input ───► PID 1 ───► command
//! stdout, stderr ◄─ thread ◄─ output ◄─ PID 1 ◄─ command
//! a signal: the first is passed on, the second ends the command, the third this program
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use casemate_protocol::run_output::Output;
use casemate_protocol::{Finished, Outcome, StartRequest};
use tokio::time::timeout;

use super::signals::Signals;
use super::streams::{Target, Writer, read_stdin};
use super::{Args, FAILED, exit_code, identity, script, signaled};
use crate::api::{self, ToolError};
use crate::channel::CommandInput;
use crate::config::Config;
use crate::engine::Engine;
use crate::sandbox::{LostCommand, Manager, Reason, Run, RunControl, SandboxError};

/// How long a command may take to end: the grace after TERM, and killing.
const ENDING_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no outcome.
enum RelayError {
    /// Its output cannot be written.
    Writing(io::Error),
    /// Its standard input cannot be read.
    Reading(io::Error),
    /// It was lost with its sandbox.
    Lost(LostCommand),
}

/// Runs the command and ends with its exit code.
///
/// # Errors
/// It could not be started; the reader of the output is gone.
pub async fn run(args: &Args, config: Config, engine: Engine) -> anyhow::Result<ExitCode> {
    let request = api::start_attached(script(&args.command)?, args.timeout)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut signals = Signals::listen()?;
    let manager = Manager::new(config, engine.clone());
    let ended = async {
        let run = tokio::select! {
            run = begin(args, &engine, &manager, request) => run?,
            number = signals.next() => return Ok(signaled(number)),
        };
        follow(run, signals).await
    };
    let code = ended.await;
    manager.close().await;
    code
}

async fn begin(
    args: &Args,
    engine: &Engine,
    manager: &Manager,
    request: StartRequest,
) -> anyhow::Result<Run> {
    let identity = identity(args, engine, manager).await?;
    let run = manager.sandbox(&identity).run(request).await;
    run.map_err(not_started)
}

fn not_started(error: SandboxError) -> anyhow::Error {
    anyhow::anyhow!("{}", ToolError::sandbox(&error, "the command"))
}

async fn follow(mut run: Run, mut signals: Signals) -> anyhow::Result<ExitCode> {
    let control = run.control();
    let input = run.take_input();
    let mut writer = Writer::start().context("no thread to write the output")?;
    let mut heard = Vec::new();
    let ended = {
        let relayed = relay(&mut run, &mut writer);
        let fed = feed(input);
        tokio::pin!(relayed, fed);
        loop {
            tokio::select! {
                biased;
                number = signals.next() => {
                    heard.push(number);
                    match heard.len() {
                        1 => pass_on(&control, number),
                        2 => kill(&control),
                        _ => return Ok(signaled(number)),
                    }
                }
                ended = &mut relayed => break ended,
                failed = &mut fed => match failed {
                    Ok(never) => match never {},
                    Err(error) => break Err(RelayError::Reading(error)),
                },
            }
        }
    };
    match ended {
        Ok(finished) => {
            writer.end();
            tokio::select! {
                written = writer.ended() => if let Err(error) = written {
                    return report(RelayError::Writing(error));
                },
                // The command is over, so the signal is for this program.
                number = signals.next() => return Ok(signaled(number)),
            }
            conclude(finished, &heard)
        }
        Err(failed) => give_up(run, failed).await,
    }
}

/// Relays up to the outcome; by then the writer has all output.
async fn relay(run: &mut Run, writer: &mut Writer) -> Result<Finished, RelayError> {
    loop {
        let output = tokio::select! {
            output = run.next() => output.map_err(RelayError::Lost)?,
            // It ends early only if it failed.
            ended = writer.ended() => {
                let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
                return Err(RelayError::Writing(ended.err().unwrap_or_else(closed)));
            }
        };
        match output {
            Output::Accepted(_) => {}
            Output::Stdout(bytes) => writer.put(Target::Stdout, bytes).await,
            Output::Stderr(bytes) => writer.put(Target::Stderr, bytes).await,
            Output::Finished(finished) => return Ok(finished),
        }
    }
}

async fn feed(input: Option<CommandInput>) -> io::Result<Infallible> {
    let (Some(input), mut pieces) = (input, read_stdin()?) else {
        return pending().await;
    };
    while let Some(piece) = pieces.recv().await {
        if !input.send(piece?).await {
            return pending().await;
        }
    }
    input.end().await;
    pending().await
}

fn pass_on(control: &RunControl, number: i32) {
    let control = control.clone();
    tokio::spawn(async move {
        if let Err(error) = control.signal(number).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the signal could not be passed on");
        }
    });
}

fn kill(control: &RunControl) {
    let control = control.clone();
    tokio::spawn(async move {
        if let Err(error) = control.kill().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the command could not be ended");
        }
    });
}

/// The second signal is the one that ended the command.
fn conclude(finished: Finished, heard: &[i32]) -> anyhow::Result<ExitCode> {
    if let Some(failure) = finished.failure {
        return Err(not_started(SandboxError::Failed(failure)));
    }
    match (finished.outcome(), heard) {
        (Outcome::Exited | Outcome::Signaled, _) => {}
        (Outcome::Cancelled, [_, second, ..]) => return Ok(signaled(*second)),
        (Outcome::Cancelled, _) if finished.by_operator => {
            report_error("an operator stopped the command");
        }
        (other, _) => report_error(&other.as_str_name().to_lowercase()),
    }
    Ok(exit_code(&finished))
}

/// Ends the command, and waits until all its processes are gone.
async fn give_up(mut run: Run, failed: RelayError) -> anyhow::Result<ExitCode> {
    if !matches!(failed, RelayError::Lost(_)) {
        let end = async {
            run.control().kill().await.ok();
            while !matches!(run.next().await, Ok(Output::Finished(_)) | Err(_)) {}
        };
        // Otherwise PID 1 ends it, as its caller is gone.
        let _ = timeout(ENDING_TIMEOUT, end).await;
    }
    report(failed)
}

/// The exit code of a command whose output or input failed, or that was lost.
fn report(failed: RelayError) -> anyhow::Result<ExitCode> {
    match failed {
        // As with any program whose reader has left.
        RelayError::Writing(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Err(error.into());
        }
        RelayError::Writing(error) => {
            report_error(&format!("the output cannot be written: {error}"))
        }
        RelayError::Reading(error) => {
            report_error(&format!("standard input cannot be read: {error}"))
        }
        RelayError::Lost(lost) => {
            let reason = lost.reason.map(Reason::sentence);
            let why = reason.unwrap_or("the sandbox, or the connection to it, is gone");
            report_error(&format!(
                "the command was lost: {why}; it was not run again"
            ));
        }
    }
    Ok(ExitCode::from(FAILED))
}

/// For the person at the terminal, if there is one.
fn report_error(message: &str) {
    let _ = writeln!(io::stderr(), "casemate: {message}");
}
