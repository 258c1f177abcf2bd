//! `casemate exec`: a command in a user's sandbox, through the same channel as the tools, with the
//! same limits.

mod attached;
mod json;
mod signals;
mod streams;

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use casemate_protocol::{Finished, Outcome};

use super::identity_args::{GROUP_HINT, in_group};
use super::setup;
use super::user_args::{self, UserArgs, WorkspaceArgs};
use crate::config::{Config, Mode, SettingsArgs};
use crate::engine::Engine;
use crate::identity::{GroupName, Identity, Issuer, User};
use crate::ops::users::{self, UserError};
use crate::sandbox::Manager;

/// Below the flags in the long help.
const HELP: &str = "\
Both output streams of the command are passed on byte for byte, and standard input goes in up to its \
end, all at the pace of the slower side. There is no terminal: typed lines are passed on. In a shell \
loop that reads standard input, add </dev/null.

SIGINT, SIGTERM and SIGHUP are passed on to the command and its process group; a second one ends \
the command with all its processes. So does the end of this program, even by SIGKILL or because the \
reader of its output is gone, and stopping it for 90 seconds. Background processes of a command that \
ended by itself keep running; their output is discarded.

Exit code: the command's, or 128 + n if signal n ended it; 124 after --timeout; 125 if the \
command was lost with its sandbox, or its input or output failed; 141 if the reader of the output is \
gone; 1 if it could not be started.";

/// Flags of `exec`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    workspace: WorkspaceArgs,
    /// The group whose settings the sandbox has. By default that of the container that runs, else
    /// the one that the settings give.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Make a sandbox for a new user, or a new workspace.
    #[arg(long)]
    create: bool,
    /// Seconds after which the command is killed, 1 to 3600; with --json 120 unless given.
    #[arg(long)]
    timeout: Option<u32>,
    /// Print JSON when it has ended: the answer of `shell_exec`, with the beginning and the end of
    /// a long output.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// The command: one argument is a script for the shell, several are a program with
    /// its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// As timeout(1) reports it.
const TIMED_OUT: u8 = 124;

/// As docker(1) reports its own failure.
const FAILED: u8 = 125;

/// A shell reports an end by the signal n as 128 + n.
const SIGNALED: i32 = 128;

/// Runs the command and ends with its exit code.
///
/// # Errors
/// It could not be started; no user of this name, or several.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (config, engine) = setup::verb(args.settings.clone())?;
    let runtime = setup::runtime()?;
    if args.json {
        runtime.block_on(json::run(&args, config, engine))
    } else {
        runtime.block_on(attached::run(&args, config, engine))
    }
}

/// A known user's sandbox is made if necessary, but a new user needs `--create`; otherwise a
/// misspelled name would get an empty sandbox.
async fn user(args: &Args, engine: &Engine, config: &Config) -> anyhow::Result<User> {
    let (name, issuer) = (args.user.name(), args.user.issuer());
    let known = users::on_engine(engine, &config.instance, name).await?;
    let place = user_args::search_scope(&config.instance);
    match args.user.resolve_among(known, &place) {
        Err(UserError::Unknown { .. }) if args.create => Ok(User {
            issuer: issuer.cloned().unwrap_or_else(Issuer::local),
            subject: name.clone(),
        }),
        Err(error @ UserError::Unknown { .. }) => {
            Err(anyhow::Error::from(error).context("add --create to make a sandbox for a new user"))
        }
        resolved => Ok(resolved?),
    }
}

/// The workspace with the group of the container that runs, so that no operator takes it from its user.
/// One with a name must exist, except with `--create`: the name may be misspelled.
async fn identity(args: &Args, engine: &Engine, manager: &Manager) -> anyhow::Result<Identity> {
    let user = user(args, engine, manager.config()).await?;
    let workspace = args.workspace.of(user.clone());
    let identity = if let Some(group) = &args.group {
        in_group(manager.config(), user, group)?
    } else if let Some(running) = manager.running_identity(&workspace).await? {
        return Ok(running);
    } else {
        manager
            .config()
            .named_by_operator(user)
            .context(GROUP_HINT)?
    };
    let identity = identity.in_workspace(workspace.name.clone());
    let config = manager.config();
    // A directory of the host may be there without a volume.
    let is_bound = config.for_identity(&identity).mode == Mode::Bind;
    if workspace.name.is_some() && !args.create && !is_bound {
        ensure!(
            users::has_workspace(engine, &config.instance, &workspace).await?,
            "the workspace of {workspace} does not exist; add --create to make it"
        );
    }
    Ok(identity)
}

/// Several arguments are quoted, so that each is one word to the shell.
///
/// # Errors
/// An argument with a NUL character.
pub(super) fn script(command: &[String]) -> anyhow::Result<String> {
    if let [script] = command {
        return Ok(script.clone());
    }
    let words = command.iter().map(String::as_str);
    shlex::try_join(words).context("an argument cannot be quoted")
}

fn exit_code(finished: &Finished) -> ExitCode {
    match finished.outcome() {
        Outcome::TimedOut => ExitCode::from(TIMED_OUT),
        Outcome::Exited | Outcome::Signaled | Outcome::OutOfMemory => {
            ExitCode::from(u8::try_from(finished.exit_code).unwrap_or(FAILED))
        }
        _ => ExitCode::from(FAILED),
    }
}

fn signaled(number: i32) -> ExitCode {
    ExitCode::from(u8::try_from(SIGNALED + number).unwrap_or(FAILED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_argument_is_a_script_and_several_are_words() {
        let of = |words: &[&str]| {
            script(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(of(&["ls | wc -l"]), "ls | wc -l");
        assert_eq!(
            of(&["echo", "a b", "it's", "$x"]),
            r#"echo 'a b' "it's" '$x'"#
        );
    }
}
