//! The tool `shell_exec`.

use std::collections::BTreeMap;
use std::time::Duration;

use rmcp::model::{CallToolResult, JsonObject};
use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Call;
use super::definition::{Definition, DefinitionContext};
use super::{arguments, result};
use crate::api::{CommandResult, CommandSpec, ToolError};
use crate::config::limits::TIMEOUT_SECONDS;
use crate::sandbox::{Command, Sandbox, WaitOptions};

pub const NAME: &str = "shell_exec";

/// Before the sentences about the image and the network.
const DESCRIPTION: &str = "Run a command in the user's private sandbox and return its output. \
    Each call is a new shell (bash, or sh where the image has no bash): `cd` and `export` do not \
    persist, files in /workspace do.";

/// After them.
const DESCRIPTION_END: &str = "There is no terminal. At the timeout the \
    command is killed with everything it started. A command that still runs after wait_seconds \
    gets the outcome \"running\" and a command_id: call again with only that id to keep waiting, or \
    with stop to end it. stdout and stderr together are shown up to 30,000 \
    characters, beginning and end; output_path then names the file with all of it.";

/// Arguments of `shell_exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The command, for `bash -c`. At most 1 MiB; no NUL characters. Omit it to resume a
    /// `command_id`.
    #[serde(default)]
    command: String,
    /// Seconds after which the command is killed with everything it started. 1 to 3600.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    timeout_seconds: u32,
    /// Seconds to wait for the command. If it still runs then, the answer is `running` with a
    /// `command_id`. 0 to 3600.
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
    /// The `command_id` from a `running` answer: waits for that command again.
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

/// As clients see it.
pub fn definition(context: &DefinitionContext) -> Definition {
    let mut input = arguments::schema::<Args>();
    input["properties"]["wait_seconds"]["default"] = context.wait.as_secs().into();
    Definition {
        title: "Run a command",
        description: description(context).into(),
        input,
        output: Some(arguments::schema::<CommandResult>()),
        read_only: false,
        destructive: true,
        idempotent: false,
        open_world: context.has_network,
    }
}

/// The image's words are quoted: they are not ours.
fn description(context: &DefinitionContext) -> String {
    let image = context.image.as_ref();
    let image = image.map(|text| format!("The image says of itself: \"{text}\""));
    let shared = context.shared_sentence();
    let network = Some(context.network.clone());
    let sentences = [
        Some(DESCRIPTION.to_owned()),
        image,
        shared,
        network,
        Some(DESCRIPTION_END.to_owned()),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    sentences.join(" ")
}

/// Starts a command or resumes one.
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
    let mut command = command(args)?;
    let subject = match &mut command {
        Command::Start(request) => {
            request.tag = call.tag.clone();
            format!("{:?}", request.cwd)
        }
        Command::Resume { id, .. } => format!("`command_id` {id}"),
    };
    let follow = WaitOptions {
        wait: wait.unwrap_or(call.wait),
        cancel: &call.cancel,
        progress: call.progress,
    };
    let answer = sandbox.exec(command, follow).await;
    let answer = answer.map_err(|error| ToolError::sandbox(&error, &subject))?;
    Ok(result::of_command(answer, timeout))
}

fn command(args: Args) -> Result<Command, ToolError> {
    match (args.command.is_empty(), args.command_id.is_empty()) {
        (false, false) => Err(ToolError::argument(
            "command_id",
            "cannot be used with `command`: give one of the two",
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
        _ => Ok(Command::Start(spec(args).start()?)),
    }
}

fn spec(args: Args) -> CommandSpec {
    CommandSpec {
        command: args.command,
        cwd: args.cwd,
        env: args.env,
        stdin: args.stdin,
        timeout_seconds: args.timeout_seconds,
    }
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
    fn a_command_or_an_id_is_given_and_stop_needs_the_id() {
        let id = "0123456789abcdef0123456789abcdef".to_owned();
        let check = |args: Args| command(args).map(|_| ()).map_err(|e| e.sentence);
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
