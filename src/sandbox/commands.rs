//! The commands of one workspace, for its user: those that run in containers that this server has a
//! channel to, and those that this server ran.
//!
//! As [`Manager::look`], it makes no container and does not count as use.

use std::time::{Duration, SystemTime};

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, RunningCommand};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::cancel::ASKING_TIMEOUT;
use super::command::ExecOutcome;
use super::command_log::{CommandRecord, CommandState, WorkspaceCommands};
use super::handle::Containers;
use super::manager::Manager;
use crate::channel::{CallError, Channel};
use crate::engine::{State, labels};
use crate::identity::{Identity, WorkspaceId};
use crate::provision::{LiveSandbox, SandboxError};

/// Commands whose end is asked for at one look; the others wait for the next.
const ASKED_LIMIT: usize = 16;

/// A command as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCommand {
    /// As in the answer `running`.
    pub id: String,
    /// The beginning of its text, and the bytes of all of it; `None`: another server ran it.
    pub text: Option<(String, usize)>,
    /// When its call came, or when it began.
    pub started: SystemTime,
    /// How far it is.
    pub state: CommandState,
    /// It ended, and processes that it started still run.
    pub has_background: bool,
}

impl Manager {
    /// The commands of this user's workspace: those that run first, then the newest.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn commands(&self, identity: &Identity) -> Result<Vec<LoggedCommand>, SandboxError> {
        let workspace = identity.workspace_id();
        let log = self.command_log.of(workspace.clone());
        // Before the look: one that starts in between is not looked for.
        let detached = self.still_detached(identity, &log);
        let sandboxes = self.look(&workspace).await?;
        if sandboxes.is_empty() && self.is_removed(&workspace, &log).await? {
            log.clear();
        }
        learn_ends(&log, detached, &sandboxes).await;
        let stats = sandboxes.iter().filter_map(|one| one.stats.as_ref());
        let live: Vec<&RunningCommand> = stats.flat_map(|stats| &stats.commands).collect();
        Ok(merged(&log.newest_first(), &live, SystemTime::now()))
    }

    /// Ends a command of this workspace with all it started, as if its call was cancelled.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`; those of every call.
    pub async fn stop_command(
        &self,
        workspace: &WorkspaceId,
        id: &str,
    ) -> Result<(), SandboxError> {
        let turns = self.cancellations(&workspace.user).0;
        let _turn = turns.acquire().await.map_err(|_| SandboxError::Ending)?;
        let mut rows = self.containers(&workspace.user).await?;
        rows.retain(|row| {
            row.state == State::Running && labels::is_of_workspace(workspace, &row.labels)
        });
        let channels = join_all(rows.iter().map(|row| self.channel(row))).await;
        let channels: Vec<Channel> = channels.into_iter().flatten().collect();
        if has_left(&channels, id).await {
            let left = "it has ended; what it left in the background runs on";
            return Err(SandboxError::Failed(Failure::new(
                Code::UnknownCommand,
                left,
            )));
        }
        let ends = channels
            .iter()
            .map(|channel| timeout(ASKING_TIMEOUT, channel.kill(id)));
        let unknown = Failure::new(Code::UnknownCommand, "no such command is known");
        let mut problem = CallError::Failed(unknown);
        for ended in join_all(ends).await {
            match ended.unwrap_or(Err(CallError::Deadline(ASKING_TIMEOUT))) {
                Ok(()) => return Ok(()),
                Err(error) if is_unknown(&error) => {}
                Err(error) => problem = error,
            }
        }
        Err(SandboxError::from_call(problem, ASKING_TIMEOUT))
    }

    /// The files of this workspace are gone, or with `all` those of all of the user's: their
    /// commands are not shown any more.
    pub fn forget_commands(&self, workspace: &WorkspaceId, all: bool) {
        match all {
            true => self.command_log.clear(&workspace.user),
            false => self.command_log.of(workspace.clone()).clear(),
        }
    }

    /// The commands whose calls were answered `running`, without those whose outcome this server keeps.
    fn still_detached(&self, identity: &Identity, log: &WorkspaceCommands) -> Vec<CommandRecord> {
        let mut detached = log.newest_first();
        detached.retain(|one| one.state == CommandState::Detached);
        detached.retain(|one| match self.kept_outcome(identity, &one.id) {
            Some(kept) => {
                log.report(&one.id, &kept);
                false
            }
            None => true,
        });
        detached
    }

    /// Whether the workspace, which has no container, is gone with its files: a later one of the same
    /// name may be another person's.
    async fn is_removed(
        &self,
        workspace: &WorkspaceId,
        log: &WorkspaceCommands,
    ) -> Result<bool, SandboxError> {
        let records = log.newest_first();
        let have_ended = |one: &CommandRecord| matches!(one.state, CommandState::Ended(_));
        if records.is_empty()
            || !records.iter().all(have_ended)
            || self.snapshots(workspace).is_bound()
        {
            return Ok(false);
        }
        Ok(!self.has_volume(workspace).await?)
    }

    /// In ephemeral mode the server itself keeps the outcomes: the containers are gone.
    fn kept_outcome(&self, identity: &Identity, id: &str) -> Option<ExecOutcome> {
        match &self.known_sandbox(identity)?.containers {
            Containers::Fresh(pool) => pool.outcome(id),
            Containers::Lasting(_) => None,
        }
    }
}

/// Asks how the commands ended that run no more.
async fn learn_ends(
    log: &WorkspaceCommands,
    detached: Vec<CommandRecord>,
    sandboxes: &[LiveSandbox],
) {
    let running = sandboxes
        .iter()
        .filter(|one| one.row.state == State::Running);
    let running: Vec<&LiveSandbox> = running.collect();
    if running.iter().any(|one| one.stats.is_none()) {
        // It may have the command.
        return;
    }
    let runs = |id: &str| {
        let mut stats = running.iter().filter_map(|one| one.stats.as_ref());
        stats.any(|stats| stats.commands.iter().any(|live| live.id == id))
    };
    let over = detached.iter().filter(|one| !runs(&one.id));
    for command in over.take(ASKED_LIMIT) {
        let channels = running.iter().filter_map(|one| one.channel.as_ref());
        learn_end(log, &command.id, channels).await;
    }
}

/// Whether the command has ended, and processes that it left run.
async fn has_left(channels: &[Channel], id: &str) -> bool {
    let looks = channels
        .iter()
        .map(|channel| timeout(ASKING_TIMEOUT, channel.stats()));
    let looks = join_all(looks).await.into_iter().flatten().flatten();
    let mut commands = looks.flat_map(|stats| stats.commands);
    commands.any(|command| command.id == id && command.background)
}

async fn learn_end(log: &WorkspaceCommands, id: &str, channels: impl Iterator<Item = &Channel>) {
    for channel in channels {
        match channel.detach(id).await {
            Ok(reply) => {
                if let Some(finished) = reply.finished {
                    log.report(id, &ExecOutcome::Finished(Box::new(finished)));
                }
                return;
            }
            Err(error) if is_unknown(&error) => {}
            // It will be asked for again.
            Err(_) => return,
        }
    }
    log.forgotten(id);
}

fn is_unknown(error: &CallError) -> bool {
    matches!(error, CallError::Failed(failure) if failure.code() == Code::UnknownCommand)
}

fn merged(
    logged: &[CommandRecord],
    live: &[&RunningCommand],
    now: SystemTime,
) -> Vec<LoggedCommand> {
    let of_others = live
        .iter()
        .filter(|live| logged.iter().all(|one| one.id != live.id));
    let of_others = of_others.map(|live| LoggedCommand {
        id: live.id.clone(),
        text: None,
        started: now - Duration::from_millis(live.running_ms),
        state: match live.background {
            true => CommandState::UNSEEN,
            false => CommandState::Detached,
        },
        has_background: live.background,
    });
    // The sandbox knows better than a call that broke off.
    let runs = |id: &str| live.iter().any(|live| live.id == id && !live.background);
    let ours = logged.iter().map(|record| LoggedCommand {
        id: record.id.clone(),
        text: Some((record.text.clone(), record.text_bytes)),
        started: record.started,
        state: match record.state == CommandState::UNSEEN && runs(&record.id) {
            true => CommandState::Detached,
            false => record.state,
        },
        has_background: live
            .iter()
            .any(|live| live.background && live.id == record.id),
    });
    let mut commands: Vec<LoggedCommand> = of_others.chain(ours).collect();
    let is_over =
        |one: &LoggedCommand| matches!(one.state, CommandState::Ended(_)) && !one.has_background;
    commands.sort_by_key(|one| (is_over(one), std::cmp::Reverse(one.started)));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::CommandEnd;

    fn record(id: &str, started: u64, state: CommandState) -> CommandRecord {
        CommandRecord {
            id: id.to_owned(),
            text: format!("run {id}"),
            text_bytes: 10,
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(started),
            state,
            workspace: None,
        }
    }

    fn live(id: &str, running_ms: u64, background: bool) -> RunningCommand {
        RunningCommand {
            id: id.to_owned(),
            running_ms,
            background,
            ..RunningCommand::default()
        }
    }

    #[test]
    fn what_runs_comes_first_also_where_another_server_runs_it() {
        let ended = CommandState::Ended(CommandEnd {
            outcome: None,
            exit_code: Some(0),
            duration: None,
        });
        let logged = [
            record("newest", 40, ended),
            record("serves", 30, ended),
            record("runs", 20, CommandState::Detached),
        ];
        let live = [
            live("serves", 9000, true),
            live("runs", 8000, false),
            live("elsewhere", 25_000, false),
        ];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(50);
        let merged = merged(&logged, &live.iter().collect::<Vec<_>>(), now);
        let ids: Vec<&str> = merged.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["serves", "elsewhere", "runs", "newest"]);
        assert_eq!(merged[0].text, Some(("run serves".to_owned(), 10)));
        assert!(merged[0].has_background && !merged[2].has_background);
        assert_eq!(merged[1].text, None);
        assert_eq!(merged[1].started, now - Duration::from_secs(25));
    }
}
