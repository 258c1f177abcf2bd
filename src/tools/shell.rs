//! `shell_exec`.

//! `shell_exec`.

use std::collections::BTreeMap;
use std::time::Duration;

use casemate_protocol::{EnvVar, StartRequest};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Call, Definition, ToolError, arguments, error, outcome};
use crate::config::limits::{self, MAX_ENV, MAX_SCRIPT, MAX_STDIN, TIMEOUT_SECONDS};
use crate::sandbox::{Command, Sandbox, WaitOptions};

/// Its name.
pub const NAME: &str = "shell_exec";

const DESCRIPTION: &str = "Run a command in the user's private sandbox and return its output. \
    Each call is a new shell (bash, or sh where the image has no bash): `cd` and `export` do not \
    persist, files in /workspace do. There is no network and no terminal. At the timeout the \
    command is killed with everything it started. A command that still runs after wait_seconds \
    is answered with outcome \"running\" and a command_id: call again with that id alone to go \
    on waiting, or with stop to end it. stdout and stderr together are shown up to 30,000 \
    characters, beginning and end; output_path then names the file with all of it.";

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
    /// The command, for `bash -c`. At most 1 MiB; no NUL characters. Leave it out to go on with
    /// `command_id`.
    #[serde(default)]
    command: String,
    /// Seconds after which the command is killed with everything it started. 1 to 3600.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: u32,
    /// Seconds after which a command that still runs is answered `running` with a `command_id`.
    /// 0 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 0, max = 3600))]
    wait_seconds: Option<u32>,
    /// Working directory: absolute, or relative to /workspace. It must exist.
    #[serde(default = "default_cwd")]
    cwd: String,
    /// Environment variables to add. Names without `=`; at most 128 KiB together.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Standard input, as text. At most 1 MiB; empty when not given.
    #[serde(default)]
    stdin: String,
    /// The `command_id` of a command that was answered `running`: waits for it again.
    #[serde(default)]
    command_id: String,
    /// With `command_id`: end the command now, with everything it started.
    #[serde(default)]
    stop: bool,
}

fn default_timeout() -> u32 {
    TIMEOUT_SECONDS.default
}

fn default_cwd() -> String {
    casemate_protocol::WORKSPACE.to_owned()
}

/// As clients see it. `wait`: what holds when a call does not say.
pub fn tool(wait: Duration) -> Tool {
    let mut input = arguments::schema::<Args>();
    input["properties"]["wait_seconds"]["default"] = wait.as_secs().into();
    Definition {
        name: NAME,
        title: "Run a command",
        description: DESCRIPTION,
        input,
        output: Some(arguments::schema::<outcome::Output>()),
        read_only: false,
        destructive: true,
        idempotent: false,
    }
    .into()
}

/// Runs a command, or goes on with one.
pub async fn call(
    sandbox: &Sandbox,
    arguments: JsonObject,
    call: &Call<'_>,
) -> Result<CallToolResult, ToolError> {
    let args: Args = arguments::parse(arguments)?;
    let timeout = args.timeout_seconds;
    let wait = args
        .wait_seconds
        .map(|seconds| Duration::from_secs(seconds.into()));
    let cwd = directory(&args.cwd)?;
    let mut command = command(args, cwd.clone())?;
    if let Command::Start(request) = &mut command {
        request.tag = call.tag.clone();
    }
    let subject = match &command {
        Command::Start(_) => format!("{cwd:?}"),
        Command::Resume { id, .. } => format!("`command_id` {id}"),
    };
    let follow = WaitOptions {
        wait: wait.unwrap_or(call.wait),
        cancel: &call.cancel,
        progress: call.progress,
    };
    let answer = sandbox.exec(command, follow).await;
    let answer = answer.map_err(|error| ToolError::sandbox(&error, &subject))?;
    Ok(outcome::convert(answer, timeout))
}

fn command(args: Args, cwd: String) -> Result<Command, ToolError> {
    match (args.command.is_empty(), args.command_id.is_empty()) {
        (false, false) => Err(ToolError::argument(
            "command_id",
            "goes without `command`: give one of the two",
        )),
        (true, false) => {
            let id = args.command_id;
            if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let problem = "is not a command_id: 32 hexadecimal digits from a `running` answer";
                return Err(ToolError::argument("command_id", problem));
            }
            Ok(Command::Resume {
                id,
                stop: args.stop,
            })
        }
        _ if args.stop => Err(ToolError::argument(
            "stop",
            "needs the `command_id` of a running command",
        )),
        _ => Ok(Command::Start(request(args, cwd)?)),
    }
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
            "is empty; give a command for the shell, or the `command_id` of a running one",
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
        ..StartRequest::default()
    })
}

/// The same for a caller that is no MCP client: a script with its standard input, in
/// /workspace.
///
/// # Errors
/// `invalid_argument`, as for the tool.
pub fn start(
    command: String,
    stdin: String,
    timeout_seconds: u32,
) -> Result<StartRequest, ToolError> {
    let args = Args {
        command,
        timeout_seconds,
        wait_seconds: None,
        cwd: default_cwd(),
        env: BTreeMap::new(),
        stdin,
        command_id: String::new(),
        stop: false,
    };
    request(args, default_cwd())
}

/// As [`start`], for a caller that passes the command's streams on: nothing is kept of its output,
/// and it has no time-out unless one is given.
///
/// # Errors
/// As there.
pub fn start_attached(
    command: String,
    timeout_seconds: Option<u32>,
) -> Result<StartRequest, ToolError> {
    let timeout = timeout_seconds.unwrap_or(TIMEOUT_SECONDS.default);
    let request = start(command, String::new(), timeout)?;
    Ok(StartRequest {
        timeout_ms: timeout_seconds.map_or(0, |_| request.timeout_ms),
        output_chars: 0,
        ..request
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

#[cfg(test)]
mod tests {
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
    fn a_command_or_an_id_is_given_and_stop_needs_the_id() {
        let id = "0123456789abcdef0123456789abcdef".to_owned();
        let check = |args: Args| {
            command(args, String::new())
                .map(|_| ())
                .map_err(|e| e.sentence)
        };
        let both = Args {
            command_id: id.clone(),
            ..args("true")
        };
        assert!(check(both).expect_err("refused").contains("`command_id`"));
        assert!(check(args("")).expect_err("refused").contains("`command`"));
        let stop = Args {
            stop: true,
            ..args("true")
        };
        assert!(check(stop).expect_err("refused").contains("`stop`"));
        let odd = Args {
            command_id: "../x".to_owned(),
            ..args("")
        };
        assert!(check(odd).expect_err("refused").contains("32 hexadecimal"));
        assert!(
            check(Args {
                command_id: id,
                stop: true,
                ..args("")
            })
            .is_ok()
        );
    }
}
