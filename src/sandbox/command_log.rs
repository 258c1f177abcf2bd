//! The commands that this server ran, for the people whose sandboxes they ran in.
//!
//! In this server's memory alone, and no record: the audit is that. It ends with the server, and each
//! user has the newest [`COMMANDS_LIMIT`] of all workspaces, in [`USER_BYTES_LIMIT`] at most.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use casemate_protocol::Outcome;
use casemate_protocol::failure::Code;
use parking_lot::Mutex;

use super::command::{Command, ExecOutcome, ExecReport, LostCommand};
use crate::identity::{User, WorkspaceId, WorkspaceName};
use crate::provision::SandboxError;
use crate::workspace::shown;

/// Commands of one user: a day's work for a person to look back on.
const COMMANDS_LIMIT: usize = 200;

/// Bytes of a command's text: scripts are longer, and people recognize them by their beginning.
const TEXT_LIMIT: usize = 2048;

/// Bytes of all that is kept of one user: 50 of the longest commands, and an answer that a page can
/// ask for every few seconds.
const USER_BYTES_LIMIT: usize = 128 * 1024;

/// Users with commands. The one whose commands are oldest goes first: 32 MiB at most in all.
const USERS_LIMIT: usize = 256;

/// Bytes of a command besides its text.
const RECORD_BYTES: usize = 160;

/// A command that this server ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// As in the answer `running`.
    pub id: String,
    /// Its text, or the beginning of it.
    pub text: String,
    /// Bytes of the whole text.
    pub text_bytes: usize,
    /// When its call came.
    pub started: SystemTime,
    /// How far it is.
    pub state: CommandState,
    /// Where it ran.
    pub(super) workspace: Option<WorkspaceName>,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandState {
    /// A call waits for its end.
    Followed,
    /// Its call was answered `running`. It may have ended since.
    Detached,
    /// It ended.
    Ended(CommandEnd),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandEnd {
    /// `None`: its end was not seen.
    pub outcome: Option<Outcome>,
    /// `None`: it has none, or its end was not seen.
    pub exit_code: Option<i32>,
    /// How long it ran, if that is known.
    pub duration: Option<Duration>,
}

/// The commands of all users. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct CommandLog(Arc<Mutex<HashMap<User, UserCommands>>>);

/// Those of one user, oldest first.
#[derive(Debug, Default)]
struct UserCommands {
    commands: VecDeque<CommandRecord>,
    bytes: usize,
}

/// The part of the log that the commands of one workspace go to. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct WorkspaceCommands {
    log: CommandLog,
    workspace: WorkspaceId,
}

impl CommandLog {
    /// All commands of this user go.
    pub fn clear(&self, user: &User) {
        self.0.lock().remove(user);
    }

    /// For the commands of this workspace.
    pub fn of(&self, workspace: WorkspaceId) -> WorkspaceCommands {
        WorkspaceCommands {
            log: self.clone(),
            workspace,
        }
    }
}

impl WorkspaceCommands {
    /// Its commands, newest first.
    pub fn newest_first(&self) -> Vec<CommandRecord> {
        let users = self.log.0.lock();
        let theirs = users.get(&self.workspace.user);
        let commands = theirs
            .iter()
            .flat_map(|theirs| theirs.commands.iter().rev());
        let of_it = commands.filter(|command| command.workspace == self.workspace.name);
        of_it.cloned().collect()
    }

    /// A call runs this command, or goes on with it.
    pub fn call(&self, command: &Command) -> LoggedCall {
        let (id, is_start) = match command {
            Command::Start(request) => {
                self.add(CommandRecord {
                    id: request.id.clone(),
                    text: beginning(&request.script),
                    text_bytes: request.script.len(),
                    started: SystemTime::now(),
                    state: CommandState::Followed,
                    workspace: self.workspace.name.clone(),
                });
                (request.id.clone(), true)
            }
            Command::Resume { id, .. } => (id.clone(), false),
        };
        LoggedCall {
            commands: self.clone(),
            id,
            is_start,
            has_ended: false,
        }
    }

    fn add(&self, record: CommandRecord) {
        let mut users = self.log.0.lock();
        if users.len() >= USERS_LIMIT && !users.contains_key(&self.workspace.user) {
            let newest = |theirs: &UserCommands| theirs.commands.back().map(|one| one.started);
            let oldest = users.iter().min_by_key(|(_, theirs)| newest(theirs));
            if let Some(user) = oldest.map(|(user, _)| user.clone()) {
                users.remove(&user);
            }
        }
        let theirs = users.entry(self.workspace.user.clone()).or_default();
        theirs.bytes += bytes_of(&record);
        theirs.commands.push_back(record);
        while theirs.commands.len() > COMMANDS_LIMIT || theirs.bytes > USER_BYTES_LIMIT {
            let Some(oldest) = theirs.commands.pop_front() else {
                break;
            };
            theirs.bytes -= bytes_of(&oldest);
        }
    }

    /// Sets the state of this command by what its call returned. The state of an ended one stays.
    pub fn report(&self, id: &str, outcome: &ExecOutcome) {
        self.set(id, CommandState::of(outcome));
    }

    /// Its files are gone, and so are its commands.
    pub fn clear(&self) {
        let mut users = self.log.0.lock();
        if let Some(theirs) = users.get_mut(&self.workspace.user) {
            theirs
                .commands
                .retain(|command| command.workspace != self.workspace.name);
            theirs.bytes = theirs.commands.iter().map(bytes_of).sum();
        }
    }

    /// The sandbox no longer knows this command.
    pub fn forgotten(&self, id: &str) {
        self.set(id, CommandState::UNSEEN);
    }

    /// A call can name a command of another workspace of the user.
    fn has(&self, command: &CommandRecord, id: &str) -> bool {
        command.id == id && command.workspace == self.workspace.name
    }

    fn set(&self, id: &str, state: CommandState) {
        let mut users = self.log.0.lock();
        let theirs = users.get_mut(&self.workspace.user);
        let mut commands = theirs.into_iter().flat_map(|theirs| &mut theirs.commands);
        let found = commands.find(|command| self.has(command, id));
        if let Some(command) = found.filter(|one| !matches!(one.state, CommandState::Ended(_))) {
            command.state = state;
        }
    }

    fn remove(&self, id: &str) {
        let mut users = self.log.0.lock();
        let Some(theirs) = users.get_mut(&self.workspace.user) else {
            return;
        };
        let mut commands = theirs.commands.iter();
        let at = commands.rposition(|command| self.has(command, id));
        if let Some(removed) = at.and_then(|at| theirs.commands.remove(at)) {
            theirs.bytes -= bytes_of(&removed);
        }
    }
}

impl CommandState {
    /// It ended unseen.
    pub(super) const UNSEEN: Self = Self::Ended(CommandEnd {
        outcome: None,
        exit_code: None,
        duration: None,
    });

    fn of(outcome: &ExecOutcome) -> Self {
        match outcome {
            ExecOutcome::Running(..) | ExecOutcome::Silent { .. } => Self::Detached,
            ExecOutcome::Finished(finished) => {
                let outcome = finished.outcome();
                let has_code = matches!(outcome, Outcome::Exited | Outcome::Signaled);
                Self::Ended(CommandEnd {
                    outcome: Some(outcome),
                    exit_code: has_code.then_some(finished.exit_code),
                    duration: Some(Duration::from_millis(finished.duration_ms)),
                })
            }
            ExecOutcome::Lost(LostCommand { after, .. }) => Self::Ended(CommandEnd {
                outcome: Some(Outcome::Lost),
                exit_code: None,
                duration: Some(*after),
            }),
        }
    }
}

/// A call for a command that is under way. Dropped before it ended, it leaves a command whose end
/// was not seen.
#[derive(Debug)]
pub(super) struct LoggedCall {
    commands: WorkspaceCommands,
    id: String,
    is_start: bool,
    has_ended: bool,
}

impl LoggedCall {
    /// How it ended.
    pub fn end(mut self, result: &Result<ExecReport, SandboxError>) {
        self.has_ended = true;
        match result {
            Ok(report) => self.commands.report(&self.id, &report.outcome),
            Err(SandboxError::Cancelled | SandboxError::Ending) if self.is_start => {
                let end = CommandEnd {
                    outcome: Some(Outcome::Cancelled),
                    exit_code: None,
                    duration: None,
                };
                self.commands.set(&self.id, CommandState::Ended(end));
            }
            // It was certainly not run.
            Err(_) if self.is_start => self.commands.remove(&self.id),
            Err(SandboxError::Failed(failure)) if failure.code() == Code::UnknownCommand => {
                self.commands.forgotten(&self.id);
            }
            Err(_) => {}
        }
    }
}

impl Drop for LoggedCall {
    fn drop(&mut self) {
        if self.is_start && !self.has_ended {
            self.commands.forgotten(&self.id);
        }
    }
}

fn bytes_of(record: &CommandRecord) -> usize {
    RECORD_BYTES + record.text.len()
}

/// As much of a text as is kept, whole characters.
fn beginning(script: &[u8]) -> String {
    let kept = &script[..script.len().min(TEXT_LIMIT)];
    shown::beginning(kept, script.len() > TEXT_LIMIT)
}
