//! The outcome of a command, as `shell_exec` answers it.

mod text;

use std::time::Duration;

use casemate_protocol::{Captured, DetachReply, Finished, Outcome as Ended};
use schemars::JsonSchema;
use serde::Serialize;

use super::network::Network;
use super::notice::SandboxNotice;
use super::render;
use super::signals::signal_name;
use crate::config::limits::{OUTPUT_CHARS, RESULT_BYTES};
use crate::sandbox::{Answer, ExecOutcome, ExecReport, LostCommand, Reason};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ended by itself; exit_code says how.
    Exited,
    /// A signal ended it.
    Signaled,
    /// It still runs. Call again with its command_id.
    Running,
    /// It was killed at its timeout, with everything it started.
    TimedOut,
    /// The call was cancelled, or an operator stopped it: killed with everything it started.
    Cancelled,
    /// The kernel killed it: the sandbox's memory limit was reached.
    OutOfMemory,
    /// The sandbox ended while it ran. It was not run again.
    SandboxLost,
}

/// Resources that a command used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Usage {
    /// CPU time, in milliseconds.
    cpu_ms: u64,
    /// Largest memory of one process, in KiB.
    max_rss_kib: u64,
}

/// Result of `shell_exec`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CommandResult {
    /// How the command ended.
    outcome: Outcome,
    /// Its exit code; 128 + the signal's number when a signal ended it, -1 when it is not known.
    exit_code: i32,
    /// Standard output, or its beginning and end.
    stdout: String,
    /// Standard error, or its beginning and end.
    stderr: String,
    /// How long it ran, in milliseconds.
    duration_ms: u64,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    signal: Option<String>,
    /// A part of stdout or stderr was omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    truncated: Option<bool>,
    /// Bytes of progress bars that are omitted: of a line that carriage returns overwrite,
    /// only the last frame is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    overwritten_bytes: Option<u64>,
    /// Bytes the command wrote to stdout; present when truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    stdout_bytes: Option<u64>,
    /// Bytes the command wrote to stderr; present when truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    stderr_bytes: Option<u64>,
    /// The file with the raw bytes of both streams in the order of arrival, up to 16 MiB;
    /// relative to /workspace. Present when truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    output_path: Option<String>,
    /// The output was not all UTF-8; U+FFFD replaces invalid bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    lossy: Option<bool>,
    /// To resume a running command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    command_id: Option<String>,
    /// Processes that the command left running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    survivors: Option<u32>,
    /// Processes in the sandbox that the kernel killed for memory while the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    oom_kills: Option<u32>,
    /// Resources of the command and the processes it waited for. Present from 1 s of CPU time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Usage")]
    usage: Option<Usage>,
    /// The reason, if the outcome alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    detail: Option<String>,
    /// What the network refused while the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Network")]
    network: Option<Network>,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNotice")]
    sandbox: Option<SandboxNotice>,
}

/// Output of up to this many bytes fits into a result, however it is escaped.
const MANY_BYTES: usize = 80_000;

impl From<Answer<ExecReport>> for CommandResult {
    fn from(answer: Answer<ExecReport>) -> Self {
        let mut notices = Vec::new();
        let mut output = match answer.value.outcome {
            ExecOutcome::Finished(mut finished) => {
                notices = std::mem::take(&mut finished.notices);
                Self::from(*finished)
            }
            ExecOutcome::Running(id, reply) => Self::running(id, *reply),
            ExecOutcome::Silent { id, after } => Self::silent(id, after),
            ExecOutcome::Lost(lost) => Self::lost(lost),
        };
        output.sandbox = SandboxNotice::new(answer.notice, notices);
        output.network = answer.value.network.map(|network| Network::from(*network));
        if output.stdout.len() + output.stderr.len() > MANY_BYTES && output.is_too_long() {
            output.stdout = String::new();
            output.stderr = String::new();
            output.detail = Some("the output cannot be shown: it is too long as JSON".to_owned());
        }
        output
    }
}

impl From<Finished> for CommandResult {
    fn from(finished: Finished) -> Self {
        let stdout = bounded(finished.stdout.as_ref());
        let stderr = bounded(finished.stderr.as_ref());
        let overwritten = stdout.overwritten.saturating_add(stderr.overwritten);
        let truncated = stdout.omitted > 0 || stderr.omitted > 0 || overwritten > 0;
        let total = |captured: &Captured| truncated.then_some(captured.total);
        let path = truncated && !finished.output_path.is_empty();
        let path = path.then(|| finished.output_path.clone());
        let usage = finished.usage.filter(|usage| usage.cpu_ms >= USAGE_FROM_MS);
        Self {
            outcome: finished.outcome().into(),
            exit_code: finished.exit_code,
            stdout_bytes: total(&stdout),
            stderr_bytes: total(&stderr),
            lossy: (render::is_lossy(&stdout) || render::is_lossy(&stderr)).then_some(true),
            stdout: render::stream(&stdout, path.as_deref()),
            stderr: render::stream(&stderr, path.as_deref()),
            output_path: path,
            duration_ms: finished.duration_ms,
            signal: (finished.signal != 0).then(|| signal_name(finished.signal)),
            truncated: truncated.then_some(true),
            overwritten_bytes: (overwritten > 0).then_some(overwritten),
            command_id: None,
            survivors: (finished.survivors > 0).then_some(finished.survivors),
            oom_kills: (finished.oom_kills > 0).then_some(finished.oom_kills),
            usage: usage.map(|usage| Usage {
                cpu_ms: usage.cpu_ms,
                max_rss_kib: usage.max_rss_kib,
            }),
            detail: detail(&finished),
            network: None,
            sandbox: None,
        }
    }
}

/// PID 1 cuts what it sends, but the server does not rely on a container.
fn bounded(stream: Option<&Captured>) -> Captured {
    let captured = stream.cloned().unwrap_or_default();
    if captured.head.len() + captured.tail.len() <= STREAM_BYTES {
        return captured;
    }
    Captured {
        omitted: captured.total,
        total: captured.total,
        ..Captured::default()
    }
}

/// Bytes of a result besides the output: paths, notices and lines of our own.
const RESULT_ROOM: usize = 20_000;

/// Bytes of a stream that are shown: those of 30,000 of the longest characters.
const STREAM_BYTES: usize = 4 * OUTPUT_CHARS as usize;

/// Less CPU time than this is not worth a line.
const USAGE_FROM_MS: u64 = 1000;

impl CommandResult {
    /// How the command ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the command was kept from ending by itself.
    pub fn is_error(&self) -> bool {
        !matches!(
            self.outcome,
            Outcome::Exited | Outcome::Signaled | Outcome::Running
        )
    }

    fn running(id: String, reply: DetachReply) -> Self {
        let finished = Finished {
            exit_code: -1,
            stdout: reply.stdout,
            stderr: reply.stderr,
            duration_ms: reply.duration_ms,
            output_path: reply.output_path,
            ..Finished::default()
        };
        Self {
            outcome: Outcome::Running,
            command_id: Some(id),
            ..Self::from(finished)
        }
    }

    fn silent(id: String, after: Duration) -> Self {
        let reply = DetachReply {
            duration_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            ..DetachReply::default()
        };
        let detail = "the sandbox is not answering now, so it is not certain that the command still \
                      runs, and there is no output yet; it was not run again";
        Self {
            detail: Some(detail.to_owned()),
            ..Self::running(id, reply)
        }
    }

    fn lost(lost: LostCommand) -> Self {
        let why = lost
            .reason
            .map_or("the sandbox did not come back in time", Reason::sentence);
        let when = if lost.accepted {
            "while the command ran"
        } else {
            "before it was known whether the command ran"
        };
        let finished = Finished {
            outcome: Ended::Lost.into(),
            exit_code: -1,
            duration_ms: u64::try_from(lost.after.as_millis()).unwrap_or(u64::MAX),
            ..Finished::default()
        };
        Self {
            detail: Some(format!("{why} {when}; it was not run again")),
            ..Self::from(finished)
        }
    }

    /// Whether the result would exceed its limit: it has the output twice.
    fn is_too_long(&self) -> bool {
        let bytes = serde_json::to_vec(&(&self.stdout, &self.stderr));
        bytes.map_or(true, |bytes| 2 * bytes.len() + RESULT_ROOM > RESULT_BYTES)
    }
}

impl From<Ended> for Outcome {
    fn from(outcome: Ended) -> Self {
        match outcome {
            Ended::Exited => Self::Exited,
            Ended::Signaled => Self::Signaled,
            Ended::TimedOut => Self::TimedOut,
            Ended::Cancelled => Self::Cancelled,
            Ended::OutOfMemory => Self::OutOfMemory,
            Ended::Lost | Ended::Unspecified => Self::SandboxLost,
        }
    }
}

fn detail(finished: &Finished) -> Option<String> {
    match finished.outcome() {
        Ended::Cancelled if finished.by_operator => {
            Some("an operator stopped the command".to_owned())
        }
        Ended::Lost => Some(
            "another command's processes could not be killed one by one, so everything in the \
             sandbox was killed"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
