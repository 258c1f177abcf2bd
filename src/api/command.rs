//! A command to run, checked: the request for the container.

use std::collections::BTreeMap;

use casemate_protocol::{EnvVar, StartRequest, WORKSPACE};

use super::error::{ToolError, bounds};
use crate::config::limits::{self, MAX_ENV, MAX_SCRIPT, MAX_STDIN, TIMEOUT_SECONDS};

/// In the environment of every command, so that programs do not ask a person, wait for one, or
/// page.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("CI", "1"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("PAGER", "cat"),
];

/// Longest `cwd`, in bytes (`PATH_MAX`, limits.h).
const MAX_CWD: usize = 4096;

/// A command as a caller describes it.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// The script for the shell. At most 1 MiB.
    pub command: String,
    /// Absolute, or relative to /workspace; empty means /workspace.
    pub cwd: String,
    /// Added to the environment. At most 128 KiB together.
    pub env: BTreeMap<String, String>,
    /// Standard input. At most 1 MiB.
    pub stdin: String,
    /// Seconds after which it is killed, 1 to 3600.
    pub timeout_seconds: u32,
}

impl CommandSpec {
    /// A script with the default timeout, in /workspace.
    pub fn new(command: String) -> Self {
        Self {
            command,
            cwd: WORKSPACE.to_owned(),
            env: BTreeMap::new(),
            stdin: String::new(),
            timeout_seconds: TIMEOUT_SECONDS.default,
        }
    }

    /// The request that starts the command, with a new random id.
    ///
    /// # Errors
    /// `invalid_argument`, naming the field.
    pub fn start(self) -> Result<StartRequest, ToolError> {
        let cwd = directory(&self.cwd)?;
        if !TIMEOUT_SECONDS.contains(&self.timeout_seconds) {
            let problem = bounds(&TIMEOUT_SECONDS);
            return Err(ToolError::argument("timeout_seconds", problem));
        }
        text("command", &self.command, MAX_SCRIPT)?;
        if self.command.trim().is_empty() {
            return Err(ToolError::argument(
                "command",
                "is empty; give a command for the shell, or the `command_id` of a running one",
            ));
        }
        if self.stdin.len() > MAX_STDIN {
            return Err(too_long("stdin", self.stdin.len(), MAX_STDIN));
        }
        let fixed = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env: BTreeMap<String, String> = fixed.into_iter().chain(self.env).collect();
        Ok(StartRequest {
            id: new_id(),
            script: self.command.into(),
            cwd,
            env: environment(env)?,
            stdin: self.stdin.into(),
            timeout_ms: u64::from(self.timeout_seconds) * 1000,
            output_chars: limits::OUTPUT_CHARS,
            ..StartRequest::default()
        })
    }
}

/// The request for a caller that passes the command's streams on: none of its output is kept, and
/// it has no timeout unless one is given.
///
/// # Errors
/// As for [`CommandSpec::start`].
pub fn start_attached(
    command: String,
    timeout_seconds: Option<u32>,
) -> Result<StartRequest, ToolError> {
    let request = CommandSpec {
        timeout_seconds: timeout_seconds.unwrap_or(TIMEOUT_SECONDS.default),
        ..CommandSpec::new(command)
    }
    .start()?;
    Ok(StartRequest {
        timeout_ms: timeout_seconds.map_or(0, |_| request.timeout_ms),
        output_chars: 0,
        ..request
    })
}

/// 128 random bits in hexadecimal: no caller can guess the id of another user's command.
fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn directory(cwd: &str) -> Result<String, ToolError> {
    text("cwd", cwd, MAX_CWD)?;
    Ok(match cwd {
        "" => WORKSPACE.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{WORKSPACE}/{relative}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(spec: CommandSpec) -> String {
        spec.start().expect_err("refused").sentence
    }

    #[test]
    fn bounds_are_named_in_the_error() {
        let spec = |command: &str| CommandSpec::new(command.to_owned());
        let timeout = CommandSpec {
            timeout_seconds: 0,
            ..spec("true")
        };
        assert!(problem(timeout).contains("1 to 3600"));
        assert!(problem(spec(&"x".repeat(2 << 20))).contains("1048576"));
        assert!(problem(spec("a\0b")).contains("`command`"));
        assert!(problem(spec("")).contains("`command`"));
        let name = CommandSpec {
            env: BTreeMap::from([("A=B".to_owned(), String::new())]),
            ..spec("true")
        };
        assert!(problem(name).contains("`env`"));
    }

    #[test]
    fn a_relative_cwd_is_beneath_the_workspace() {
        assert_eq!(directory("src").as_deref(), Ok("/workspace/src"));
        assert_eq!(directory("/tmp").as_deref(), Ok("/tmp"));
        assert_eq!(directory("").as_deref(), Ok("/workspace"));
    }
}
