//! The outcome of a command as text, for models and for people.

use super::{CommandResult, Outcome, Usage};
use crate::api::network::Network;
use crate::api::notice::SandboxNotice;
use crate::api::render;

impl CommandResult {
    /// As text: both streams, then a line for each other fact. `timeout` is the command's own, in
    /// seconds.
    pub fn text(&self, timeout: u32) -> String {
        render::shell(&self.stdout, &self.stderr, &self.lines(timeout))
    }

    /// The lines after the output in the text form.
    fn lines(&self, timeout: u32) -> Vec<String> {
        let mut lines: Vec<String> = self.sandbox.iter().flat_map(SandboxNotice::lines).collect();
        let frames = self.overwritten_bytes;
        lines.extend(frames.map(|bytes| render::overwritten(bytes, self.output_path.as_deref())));
        if let Some(Usage {
            cpu_ms,
            max_rss_kib,
        }) = self.usage
        {
            lines.push(format!(
                "[used {cpu_ms} ms of CPU time, {max_rss_kib} KiB of memory]"
            ));
        }
        if self.lossy.is_some() {
            lines.push("[not all UTF-8; \u{fffd} replaces invalid bytes]".to_owned());
        }
        lines.extend(self.survivors.map(|count| self.survived(count)));
        if let Some(kills) = self
            .oom_kills
            .filter(|_| self.outcome != Outcome::OutOfMemory)
        {
            lines.push(format!(
                "[processes killed for memory during the command: {kills}]"
            ));
        }
        lines.extend(self.network.iter().map(Network::line));
        lines.extend(self.detail.iter().map(|detail| format!("[{detail}]")));
        let signal = self.signal.as_deref().unwrap_or("a signal");
        let all = match self.survivors {
            None => " with everything it started",
            Some(_) => "",
        };
        lines.extend(match self.outcome {
            Outcome::Exited => None,
            Outcome::Signaled => Some(format!("[ended by {signal}]")),
            Outcome::Running => Some(format!(
                "[still running; to keep waiting, call shell_exec with only command_id={}; to end it, add stop=true]",
                self.command_id.as_deref().unwrap_or_default()
            )),
            Outcome::TimedOut => Some(format!("[timed out after {timeout} s: killed{all}]")),
            Outcome::Cancelled => Some(format!("[cancelled: killed{all}]")),
            Outcome::OutOfMemory => {
                Some("[out of memory: killed at the sandbox's memory limit]".to_owned())
            }
            Outcome::SandboxLost => Some("[sandbox lost]".to_owned()),
        });
        if self.exit_code != 0 && self.outcome != Outcome::Running {
            lines.push(format!("[exit code: {}]", self.exit_code));
        }
        lines
    }

    /// After a kill, the survivors are processes that the kernel cannot end.
    fn survived(&self, count: u32) -> String {
        let (process, runs) = match count {
            1 => ("process", "runs"),
            _ => ("processes", "run"),
        };
        match self.outcome {
            Outcome::TimedOut | Outcome::Cancelled => {
                format!("[{count} {process} could not be ended: the sandbox is replaced]")
            }
            _ => format!("[{count} {process} still {runs} in the background]"),
        }
    }
}
