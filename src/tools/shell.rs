//! `shell_exec`.

use std::collections::BTreeMap;

use casemate_protocol::{Captured, EnvVar, Finished, Outcome as Ended, StartRequest};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::note::SandboxNote;
use super::{Definition, ToolError, arguments, error, render};
use crate::config::limits::{self, MAX_ENV, MAX_SCRIPT, MAX_STDIN, TIMEOUT_SECONDS};
use crate::sandbox::{Answer, Command, Executed, Lost, Reason, Sandbox};

/// Its name.
pub const NAME: &str = "shell_exec";

const DESCRIPTION: &str = "Run a command in the user's private sandbox and return its output. \
    Each call is a new shell (bash, or sh where the image has no bash): `cd` and `export` do not \
    persist, files in /workspace do. There is no network and no terminal. At the timeout the \
    command is killed with everything it started. stdout and stderr together are shown up to \
    30,000 characters, beginning and end; redirect to a file to keep more.";

/// What every command finds in its environment: answers to programs that would
/// ask a person, wait for one, or page.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("CI", "1"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("PAGER", "cat"),
];

/// Longest `cwd`, in bytes (`PATH_MAX`, limits.h).
const MAX_CWD: usize = 4096;

/// Arguments of `shell_exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The command, for `bash -c`. At most 1 MiB; no NUL characters.
    command: String,
    /// Seconds after which the command is killed with everything it started. 1 to 3600.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: u32,
    /// Working directory: absolute, or relative to /workspace. It must exist.
    #[serde(default = "default_cwd")]
    cwd: String,
    /// Environment variables to add. Names without `=`; at most 128 KiB together.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Standard input, as text. At most 1 MiB; empty when not given.
    #[serde(default)]
    stdin: String,
}

fn default_timeout() -> u32 {
    TIMEOUT_SECONDS.default
}

fn default_cwd() -> String {
    casemate_protocol::WORKSPACE.to_owned()
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It ended by itself; exit_code says how.
    Exited,
    /// A signal ended it.
    Signaled,
    /// It was killed at its timeout, with everything it started.
    TimedOut,
    /// The call was cancelled, and it was killed with everything it started.
    Cancelled,
    /// The kernel killed it: the sandbox's memory limit was reached.
    OutOfMemory,
    /// The sandbox ended while it ran. It was not run again.
    SandboxLost,
}

/// Result of `shell_exec`.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
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
    /// Something was left out of stdout or stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    truncated: Option<bool>,
    /// Bytes the command wrote to stdout; present when truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    stdout_bytes: Option<u64>,
    /// Bytes the command wrote to stderr; present when truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    stderr_bytes: Option<u64>,
    /// Processes that the command left running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    survivors: Option<u32>,
    /// Processes that the kernel killed for memory in the sandbox meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    oom_kills: Option<u32>,
    /// Why, where the outcome alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    detail: Option<String>,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNote")]
    sandbox: Option<SandboxNote>,
}

/// As clients see it.
pub fn tool() -> Tool {
    Definition {
        name: NAME,
        title: "Run a command",
        description: DESCRIPTION,
        input: arguments::schema::<Args>(),
        output: Some(arguments::schema::<Output>()),
        read_only: false,
        destructive: true,
        idempotent: false,
    }
    .into()
}

/// Runs a command.
pub async fn call(
    sandbox: &Sandbox,
    arguments: JsonObject,
    cancel: &CancellationToken,
) -> Result<CallToolResult, ToolError> {
    let args: Args = arguments::parse(arguments)?;
    let timeout = args.timeout_seconds;
    let cwd = directory(&args.cwd)?;
    let command = Command {
        request: request(args, cwd.clone())?,
    };
    let answer = sandbox.exec(command, cancel).await;
    let answer = answer.map_err(|error| ToolError::sandbox(&error, &format!("{cwd:?}")))?;
    Ok(convert(answer, timeout))
}

fn request(args: Args, cwd: String) -> Result<StartRequest, ToolError> {
    if !TIMEOUT_SECONDS.contains(&args.timeout_seconds) {
        return Err(ToolError::argument(
            "timeout_seconds",
            error::bounds(&TIMEOUT_SECONDS),
        ));
    }
    text("command", &args.command, MAX_SCRIPT)?;
    if args.command.trim().is_empty() {
        return Err(ToolError::argument(
            "command",
            "is empty; give a command for the shell",
        ));
    }
    if args.stdin.len() > MAX_STDIN {
        return Err(too_long("stdin", args.stdin.len(), MAX_STDIN));
    }
    let fixed = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env: BTreeMap<String, String> = fixed.into_iter().chain(args.env).collect();
    Ok(StartRequest {
        id: new_id(),
        script: args.command.into(),
        cwd,
        env: environment(env)?,
        stdin: args.stdin.into(),
        timeout_ms: u64::from(args.timeout_seconds) * 1000,
        output_chars: limits::OUTPUT_CHARS,
    })
}

/// 128 random bits in hexadecimal: nobody can name another's command.
fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn directory(cwd: &str) -> Result<String, ToolError> {
    text("cwd", cwd, MAX_CWD)?;
    Ok(match cwd {
        "" => default_cwd(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{}/{relative}", casemate_protocol::WORKSPACE),
    })
}

fn environment(env: BTreeMap<String, String>) -> Result<Vec<EnvVar>, ToolError> {
    let size: usize = env
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    if size > MAX_ENV {
        return Err(too_long("env", size, MAX_ENV));
    }
    env.into_iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                let shown: String = name.escape_debug().take(60).collect();
                let problem = format!("the name \"{shown}\" is empty or contains `=` or NUL");
                return Err(ToolError::argument("env", problem));
            }
            if value.contains('\0') {
                return Err(ToolError::argument(
                    "env",
                    format!("the value of {name} contains NUL"),
                ));
            }
            Ok(EnvVar {
                name,
                value: value.into(),
            })
        })
        .collect()
}

fn text(name: &str, value: &str, most: usize) -> Result<(), ToolError> {
    if value.len() > most {
        return Err(too_long(name, value.len(), most));
    }
    if value.contains('\0') {
        return Err(ToolError::argument(name, "contains a NUL character"));
    }
    Ok(())
}

fn too_long(name: &str, bytes: usize, most: usize) -> ToolError {
    let problem = format!(
        "has {bytes} bytes; at most {most} are allowed. Put it into a file with write_file"
    );
    ToolError::argument(name, problem)
}

fn convert(answer: Answer<Executed>, timeout: u32) -> CallToolResult {
    let mut notices = Vec::new();
    let mut output = match answer.value {
        Executed::Finished(mut finished) => {
            notices = std::mem::take(&mut finished.notices);
            Output::from(*finished)
        }
        Executed::Lost(lost) => Output::lost(lost),
    };
    output.sandbox = SandboxNote::new(answer.note, notices);
    let is_error = !matches!(output.outcome, Outcome::Exited | Outcome::Signaled);
    let text = render::shell(&output.stdout, &output.stderr, &output.lines(timeout));
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = serde_json::to_value(&output).ok();
    result.is_error = Some(is_error);
    result
}

impl From<Finished> for Output {
    fn from(finished: Finished) -> Self {
        let (stdout, stderr) = (
            finished.stdout.clone().unwrap_or_default(),
            finished.stderr.clone().unwrap_or_default(),
        );
        let truncated = stdout.omitted + stderr.omitted > 0;
        let total = |captured: &Captured| truncated.then_some(captured.total);
        Self {
            outcome: outcome(finished.outcome()),
            exit_code: finished.exit_code,
            stdout_bytes: total(&stdout),
            stderr_bytes: total(&stderr),
            stdout: render::stream(&stdout),
            stderr: render::stream(&stderr),
            duration_ms: finished.duration_ms,
            signal: (finished.signal != 0).then(|| signal_name(finished.signal)),
            truncated: truncated.then_some(true),
            survivors: (finished.survivors > 0).then_some(finished.survivors),
            oom_kills: (finished.oom_kills > 0).then_some(finished.oom_kills),
            detail: detail(&finished),
            sandbox: None,
        }
    }
}

impl Output {
    fn lost(lost: Lost) -> Self {
        let why = lost
            .reason
            .map_or("the sandbox did not come back in time", Reason::sentence);
        let when = if lost.accepted {
            "while the command ran"
        } else {
            "before the command was known to run"
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

    /// What the text form says behind the output.
    fn lines(&self, timeout: u32) -> Vec<String> {
        let mut lines: Vec<String> = self.sandbox.iter().flat_map(SandboxNote::lines).collect();
        if let Some(survivors) = self.survivors {
            let processes = if survivors == 1 {
                "process runs"
            } else {
                "processes run"
            };
            lines.push(format!("[{survivors} {processes} on in the background]"));
        }
        if let Some(kills) = self
            .oom_kills
            .filter(|_| self.outcome != Outcome::OutOfMemory)
        {
            lines.push(format!("[killed for memory meanwhile: {kills}]"));
        }
        lines.extend(self.detail.iter().map(|detail| format!("[{detail}]")));
        let signal = self.signal.as_deref().unwrap_or("a signal");
        lines.extend(match self.outcome {
            Outcome::Exited => None,
            Outcome::Signaled => Some(format!("[ended by {signal}]")),
            Outcome::TimedOut => Some(format!(
                "[timed out after {timeout} s: killed with everything it started]"
            )),
            Outcome::Cancelled => Some("[cancelled: killed with everything it started]".to_owned()),
            Outcome::OutOfMemory => {
                Some("[out of memory: killed at the sandbox's memory limit]".to_owned())
            }
            Outcome::SandboxLost => Some("[sandbox lost]".to_owned()),
        });
        if self.exit_code != 0 {
            lines.push(format!("[exit code: {}]", self.exit_code));
        }
        lines
    }
}

fn outcome(outcome: Ended) -> Outcome {
    match outcome {
        Ended::Exited => Outcome::Exited,
        Ended::Signaled => Outcome::Signaled,
        Ended::TimedOut => Outcome::TimedOut,
        Ended::Cancelled => Outcome::Cancelled,
        Ended::OutOfMemory => Outcome::OutOfMemory,
        Ended::Lost | Ended::Unspecified => Outcome::SandboxLost,
    }
}

fn detail(finished: &Finished) -> Option<String> {
    match finished.outcome() {
        Ended::Lost => Some(
            "another command outran its end, so everything in the sandbox was killed".to_owned(),
        ),
        _ => None,
    }
}

/// Names of signal(7) in the order of x86 and ARM.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

fn signal_name(signal: i32) -> String {
    let name = usize::try_from(signal - 1)
        .ok()
        .and_then(|at| SIGNALS.get(at));
    name.map_or_else(|| format!("signal {signal}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn args(command: &str) -> Args {
        arguments::parse(
            serde_json::from_value(serde_json::json!({ "command": command })).expect("object"),
        )
        .expect("parses")
    }

    #[test]
    fn bounds_are_named_in_the_error() {
        let error = request(
            Args {
                timeout_seconds: 0,
                ..args("true")
            },
            String::new(),
        );
        assert!(error.expect_err("refused").sentence.contains("1 to 3600"));
        let long = request(args(&"x".repeat(2 << 20)), String::new());
        assert!(long.expect_err("refused").sentence.contains("1048576"));
        let nul = request(args("a\0b"), String::new());
        assert!(nul.expect_err("refused").sentence.contains("`command`"));
        let name = Args {
            env: BTreeMap::from([("A=B".into(), String::new())]),
            ..args("true")
        };
        assert!(
            request(name, String::new())
                .expect_err("refused")
                .sentence
                .contains("`env`")
        );
    }

    #[test]
    fn a_relative_cwd_is_beneath_the_workspace() {
        assert_eq!(directory("src").as_deref(), Ok("/workspace/src"));
        assert_eq!(directory("/tmp").as_deref(), Ok("/tmp"));
        assert_eq!(directory("").as_deref(), Ok("/workspace"));
    }

    #[test]
    fn a_command_cannot_forge_the_structured_fields() {
        let finished = Finished {
            outcome: Ended::Exited.into(),
            exit_code: 7,
            stdout: Some(Captured {
                head: Bytes::from_static(b"[exit code: 0]"),
                ..Captured::default()
            }),
            ..Finished::default()
        };
        let answer = Answer {
            value: Executed::Finished(Box::new(finished)),
            note: None,
        };
        let result = convert(answer, 30);
        let structured = result.structured_content.expect("structured");
        assert_eq!(structured["exit_code"], 7);
        assert_eq!(result.is_error, Some(false));
        let text = serde_json::to_string(&result.content).expect("json");
        assert!(
            text.ends_with("[exit code: 0]\\n[exit code: 7]\"}]"),
            "{text}"
        );
    }

    #[test]
    fn signals_have_their_names() {
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(31), "SIGSYS");
        assert_eq!(signal_name(40), "signal 40");
    }
}
