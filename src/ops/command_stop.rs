//! A running command of a user, ended by an operator as a cancelled call would end it: TERM, and KILL
//! 300 ms later, to all that it started. Its caller's outcome says so.

use std::time::Duration;

use casemate_protocol::failure::Code;
use serde::Serialize;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::audit::{Audit, AuditWriteError, AuditedRemoval};
use crate::engine::{Engine, EngineError, State};
use crate::identity::{Instance, User, WorkspaceId, WorkspaceName, shown};
use crate::provision::{LiveSandbox, SandboxError, owner, survey_of};

/// How long the processes of a command may take to be gone. PID 1 needs 1.5 s at most, on a machine
/// that has time for it.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks at whether they are.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A request to end commands.
#[derive(Debug)]
pub struct CommandStop {
    /// Where it is.
    pub engine: Engine,
    /// Where each end is recorded.
    pub audit: Audit,
    /// Of which servers.
    pub instance: Instance,
    /// Whose.
    pub user: User,
    /// Only in the workspace with this name.
    pub workspace: Option<WorkspaceName>,
}

/// A command that was ended.
#[derive(Debug, Serialize)]
pub struct StoppedCommand {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user: String,
    /// The issuer that vouches for the user.
    pub issuer: String,
    /// The name of the workspace, if it has one.
    pub workspace: Option<String>,
    /// The name of the container.
    pub container: String,
    /// It had exited, and what it had left in the background was ended.
    pub background: bool,
    /// The caller is told that an operator ended it. A casemate-init of an older version says only
    /// that it was cancelled.
    pub told: bool,
    /// All its processes are gone.
    pub ended: bool,
}

/// What became of a request to end everything.
#[derive(Debug, Default)]
pub struct CommandStopReport {
    /// The commands that were ended.
    pub stopped: Vec<StoppedCommand>,
    /// Why others may still run.
    pub problems: Vec<CommandStopError>,
}

/// Why nothing was ended, or not everything.
#[derive(Debug, Error)]
pub enum CommandStopError {
    /// No container of the user runs.
    #[error("{0} has no running sandbox; casemate ps lists them")]
    NoSandbox(String),
    /// No command of this id runs.
    #[error("no command {id} of {user} runs; casemate ps USER lists those that do")]
    NoCommand {
        /// The id that was given.
        id: String,
        /// Whose.
        user: String,
    },
    /// The container of this name does not say what runs in it.
    #[error("the sandbox {0} does not answer; casemate rm USER --force ends it with all that runs")]
    Silent(String),
    /// An end that cannot be recorded is not made.
    #[error("not stopped, because it could not be recorded")]
    NotRecorded(#[from] AuditWriteError),
    /// The sandbox failed.
    #[error("the command could not be stopped")]
    Sandbox(#[from] SandboxError),
    /// The Engine's.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl CommandStop {
    /// Ends the command with this id.
    ///
    /// # Errors
    /// [`CommandStopError`]: nothing was ended.
    pub async fn one(&self, id: &str) -> Result<StoppedCommand, CommandStopError> {
        let sandboxes = self.sandboxes().await?;
        let found = sandboxes.iter().find_map(|(workspace, sandbox)| {
            let commands = &sandbox.stats.as_ref()?.commands;
            let command = commands.iter().find(|command| command.id == id)?;
            Some((workspace, sandbox, command.background))
        });
        if let Some((workspace, sandbox, background)) = found {
            let stopped = self.end(workspace, sandbox, id, background).await?;
            return stopped.ok_or_else(|| self.no_command(id));
        }
        Err(silent(&sandboxes).unwrap_or_else(|| self.no_command(id)))
    }

    /// Ends everything that runs. A command or a sandbox that fails keeps no other from it.
    ///
    /// # Errors
    /// [`CommandStopError`]: nothing was ended.
    pub async fn all(&self) -> Result<CommandStopReport, CommandStopError> {
        let sandboxes = self.sandboxes().await?;
        let mut report = CommandStopReport::default();
        for (workspace, sandbox) in &sandboxes {
            let commands = sandbox.stats.iter().flat_map(|stats| &stats.commands);
            // One after the other: the notice about the background is for the next result of the
            // sandbox, not for that of a command that ends with it.
            for command in commands {
                let end = self.end(workspace, sandbox, &command.id, command.background);
                match end.await {
                    Ok(stopped) => report.stopped.extend(stopped),
                    Err(problem) => report.problems.push(problem),
                }
            }
        }
        report.problems.extend(silent(&sandboxes));
        Ok(report)
    }

    /// The containers of the user that run, or would go on.
    async fn sandboxes(&self) -> Result<Vec<(WorkspaceId, LiveSandbox)>, CommandStopError> {
        let found = survey_of(&self.engine, &self.instance, &self.user).await?;
        let is_chosen =
            |workspace: &WorkspaceId| self.workspace.is_none() || workspace.name == self.workspace;
        let running = found.into_iter().filter_map(|sandbox| {
            let is_there = matches!(sandbox.row.state, State::Running | State::Paused)
                && sandbox.row.is_sandbox()
                && !sandbox.row.is_helper();
            let workspace = owner(&sandbox.row.labels).filter(is_chosen)?;
            is_there.then_some((workspace, sandbox))
        });
        let running: Vec<_> = running.collect();
        if running.is_empty() {
            let user = self.user.clone();
            let name = self.workspace.clone();
            let whose = WorkspaceId { user, name };
            return Err(CommandStopError::NoSandbox(whose.shown()));
        }
        Ok(running)
    }

    /// `None`: it ended by itself in the meantime.
    async fn end(
        &self,
        workspace: &WorkspaceId,
        sandbox: &LiveSandbox,
        id: &str,
        background: bool,
    ) -> Result<Option<StoppedCommand>, CommandStopError> {
        let reason = "casemate stop";
        let recorded =
            AuditedRemoval::begin(&self.audit, "command", id, Some(workspace), reason).await?;
        let told = match sandbox.stop(id).await {
            Ok(told) => told,
            Err(SandboxError::Failed(failure)) if failure.code() == Code::UnknownCommand => {
                recorded.end("it had ended by itself".to_owned()).await;
                return Ok(None);
            }
            Err(error) => {
                recorded.done(Err::<(), _>(&error)).await.ok();
                return Err(error.into());
            }
        };
        let cannot_end = background && !told;
        let ended = !cannot_end && self.has_ended(sandbox, id).await;
        let outcome = match (ended, cannot_end) {
            (true, _) => "done",
            (false, true) => "not possible: the sandbox is of an older version",
            (false, false) => "asked; it has processes still",
        };
        recorded.end(outcome.to_owned()).await;
        Ok(Some(StoppedCommand {
            id: id.to_owned(),
            user: workspace.user.subject.as_str().to_owned(),
            issuer: workspace.user.issuer.as_str().to_owned(),
            workspace: workspace.name_str().map(str::to_owned),
            container: sandbox.row.name.clone(),
            background,
            told,
            ended,
        }))
    }

    /// Whether all its processes are gone. A container that no longer answers may have ended with its
    /// last command, as in mode `ephemeral`, or be slow.
    async fn has_ended(&self, sandbox: &LiveSandbox, id: &str) -> bool {
        let end = Instant::now() + END_TIMEOUT;
        while Instant::now() < end {
            let runs = match sandbox.runs(id).await {
                Ok(runs) => runs,
                Err(_) => sandbox.may_work(&self.engine).await.unwrap_or(true),
            };
            if !runs {
                return true;
            }
            sleep(LOOK_INTERVAL).await;
        }
        false
    }

    fn no_command(&self, id: &str) -> CommandStopError {
        CommandStopError::NoCommand {
            id: shown(id),
            user: shown(self.user.subject.as_str()),
        }
    }
}

/// One that runs and does not say what runs in it.
fn silent(sandboxes: &[(WorkspaceId, LiveSandbox)]) -> Option<CommandStopError> {
    let mut silent = sandboxes.iter().filter(|(_, one)| one.stats.is_none());
    let (_, sandbox) = silent.next()?;
    Some(CommandStopError::Silent(sandbox.row.name.clone()))
}
