//! `casemate stop`: ends a running command of a user, and leaves the sandbox as it is.

use std::io::Write as _;
use std::process::ExitCode;

use super::user_args::UserArgs;
use super::{json, setup};
use crate::config::SettingsArgs;
use crate::identity::{WorkspaceName, shown};
use crate::ops::command_stop::{CommandStop, CommandStopReport, StoppedCommand};

/// Flags of `stop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// The command, exactly as `casemate ps USER` shows its id.
    #[arg(
        value_name = "COMMAND_ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    command: Option<String>,
    /// Only in the workspace with this name; default: in all workspaces of the user.
    #[arg(long = "workspace", value_name = "NAME")]
    workspace_name: Option<WorkspaceName>,
    /// Everything that runs, also in the background.
    #[arg(long)]
    all: bool,
    /// Print JSON: an array with one object per command.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Ends the command, or all of them. Fails if one has processes that could not be ended.
///
/// # Errors
/// No user of this name, or several; no sandbox that runs; no such command; the Engine's.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    let report = setup::runtime()?.block_on(async {
        let user = args.user.resolve(&engine, &config.instance).await?;
        let stop = CommandStop {
            engine,
            audit: audit.clone(),
            instance: config.instance.clone(),
            user,
            workspace: args.workspace_name,
        };
        let report = match &args.command {
            Some(id) => stop.one(id).await.map(|one| CommandStopReport {
                stopped: vec![one],
                problems: Vec::new(),
            }),
            None => stop.all().await,
        };
        audit.close().await;
        anyhow::Ok(report?)
    })?;
    let CommandStopReport { stopped, problems } = report;
    let mut out = std::io::stdout().lock();
    if args.json {
        json::write(&mut out, &stopped)?;
    } else if stopped.is_empty() && problems.is_empty() {
        writeln!(out, "nothing runs")?;
    } else {
        for command in &stopped {
            writeln!(out, "{}", line(command))?;
        }
    }
    let have_all_ended = problems.is_empty() && stopped.iter().all(|command| command.ended);
    for problem in problems {
        let problem = anyhow::Error::from(problem);
        writeln!(std::io::stderr(), "error: {problem:#}")?;
    }
    Ok(match have_all_ended {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn line(command: &StoppedCommand) -> String {
    let (id, user) = (shown(&command.id), shown(&command.user));
    let workspace = command.workspace.as_deref();
    let workspace =
        workspace.map_or_else(String::new, |name| format!(", workspace {}", shown(name)));
    if command.background && !command.told {
        return format!(
            "not stopped: what the command {id} of {user}{workspace} left in the background; the sandbox is of an \
             older version, and only `casemate rm USER --force` ends it, with everything else in it"
        );
    }
    if !command.ended {
        return format!(
            "asked the command {id} of {user}{workspace} to end; its processes are not gone yet"
        );
    }
    let what = match command.background {
        true => "what was left in the background by the command",
        false => "the command",
    };
    let told = match command.told {
        true => "",
        false => {
            " (the sandbox is of an older version: its caller is told only that it was cancelled)"
        }
    };
    format!("stopped {what} {id} of {user}{workspace}{told}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped() -> StoppedCommand {
        StoppedCommand {
            id: "1".to_owned(),
            user: "ada".to_owned(),
            issuer: "local".to_owned(),
            workspace: None,
            container: "c".to_owned(),
            background: false,
            told: true,
            ended: true,
        }
    }

    #[test]
    fn a_line_says_what_was_ended_and_what_its_caller_is_told() {
        assert_eq!(line(&stopped()), "stopped the command 1 of ada");
        let older = StoppedCommand {
            told: false,
            workspace: Some("chat\u{1b}".to_owned()),
            ..stopped()
        };
        let told = line(&older);
        assert!(
            told.starts_with("stopped the command 1 of ada, workspace chat\\u{1b} ("),
            "{told}"
        );
        assert!(told.contains("older version"), "{told}");
        let background = StoppedCommand {
            background: true,
            ..stopped()
        };
        assert!(line(&background).contains("in the background"));
        let older = StoppedCommand {
            told: false,
            ended: false,
            ..background
        };
        assert!(line(&older).contains("only `casemate rm USER --force`"));
        let stuck = StoppedCommand {
            ended: false,
            ..stopped()
        };
        assert!(line(&stuck).starts_with("asked the command 1 of ada to end"));
    }
}
