//! Which commands there are: accepted once, kept for a while when finished, and
//! remembered by id for longer, so that none is run twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use casemate_protocol::{Failure, FailureExt as _, failure::Code};
use tokio::time::Instant;

use super::command::Command;

/// Commands that run at once. Each has a supervisor, and the container's limit
/// of processes is met before.
const MAX_RUNNING: usize = 128;

/// Results kept for a server that lost its connection.
const RESULT_LIMIT: usize = 64;

/// Results kept at most, when none of them reached anybody.
const UNDELIVERED_LIMIT: usize = 256;

/// How long a result is kept.
const RESULT_TTL: Duration = Duration::from_secs(600);

/// Ids remembered, so that none is run twice and `Ending` can name them: more
/// than can be unanswered at any server.
const ID_LIMIT: usize = 4096;

/// All commands that are known.
#[derive(Debug, Default)]
pub struct Table {
    commands: HashMap<String, Arc<Command>>,
    running: usize,
    /// In the order they finished.
    finished: VecDeque<(String, Instant)>,
    /// In the order they were accepted.
    accepted: VecDeque<String>,
    remembered: HashSet<String>,
}

impl Table {
    /// The command with this id; `None` for one that was never accepted.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`: it was run, and its result is no longer kept.
    pub fn known(&self, id: &str) -> Result<Option<Arc<Command>>, Failure> {
        match self.commands.get(id) {
            Some(known) => Ok(Some(known.clone())),
            // Never twice.
            None if self.remembered.contains(id) => {
                let detail = "it was run, and its result is no longer kept";
                Err(Failure::new(Code::UnknownCommand, detail))
            }
            None => Ok(None),
        }
    }

    /// The command with this id.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`: never accepted, or no longer kept.
    pub fn find(&mut self, id: &str) -> Result<Arc<Command>, Failure> {
        self.forget_old();
        let unknown = || Failure::new(Code::UnknownCommand, "no such command is known");
        self.commands.get(id).cloned().ok_or_else(unknown)
    }

    /// The ones that run.
    pub fn running(&self) -> impl Iterator<Item = &Arc<Command>> {
        self.commands
            .values()
            .filter(|command| !command.is_finished())
    }

    /// Ids of the commands that were accepted, as many as are remembered.
    pub fn accepted(&self) -> Vec<String> {
        self.accepted.iter().cloned().collect()
    }

    /// Accepts a command that is not known yet.
    ///
    /// # Errors
    /// `TOO_MANY_COMMANDS`.
    pub fn accept(&mut self, command: &Arc<Command>) -> Result<(), Failure> {
        if self.running >= MAX_RUNNING {
            let detail = format!("{MAX_RUNNING} commands run already");
            return Err(Failure::new(Code::TooManyCommands, detail));
        }
        self.running += 1;
        self.commands.insert(command.id.clone(), command.clone());
        self.accepted.push_back(command.id.clone());
        self.remembered.insert(command.id.clone());
        if self.accepted.len() > ID_LIMIT {
            self.forget_oldest_id();
        }
        Ok(())
    }

    /// Of the commands that are over and whose results went: a server may still ask for the others.
    fn forget_oldest_id(&mut self) {
        let is_over = |id: &String| !self.commands.contains_key(id);
        let oldest = self.accepted.iter().position(is_over);
        if let Some(oldest) = oldest.and_then(|at| self.accepted.remove(at)) {
            self.remembered.remove(&oldest);
        }
    }

    /// A command's outcome is known.
    pub fn finished(&mut self, id: &str) {
        self.running -= 1;
        self.finished.push_back((id.to_owned(), Instant::now()));
        self.forget_old();
    }

    /// Results beyond the bounds go, those first that reached somebody.
    fn forget_old(&mut self) {
        while let Some((id, _)) = self
            .finished
            .front()
            .filter(|(_, at)| at.elapsed() > RESULT_TTL)
        {
            self.commands.remove(id);
            self.finished.pop_front();
        }
        while self.finished.len() > RESULT_LIMIT {
            let delivered = self.finished.iter().position(|(id, _)| {
                let command = self.commands.get(id);
                command.is_none_or(|command| command.delivered.load(Ordering::Relaxed))
            });
            let oldest = (self.finished.len() > UNDELIVERED_LIMIT).then_some(0);
            let Some((id, _)) = delivered.or(oldest).and_then(|at| self.finished.remove(at)) else {
                break;
            };
            self.commands.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(id: String) -> Arc<Command> {
        Arc::new(Command::new(id, 1))
    }

    #[test]
    fn a_command_that_runs_is_remembered_however_many_come_after_it() {
        let mut table = Table::default();
        let long = command("long".to_owned());
        table.accept(&long).expect("accepted");
        for number in 0..=2 * ID_LIMIT {
            let id = number.to_string();
            table.accept(&command(id.clone())).expect("accepted");
            table.finished(&id);
        }
        assert!(table.accepted().contains(&long.id));
        assert!(table.known(&long.id).expect("known").is_some());
        assert!(table.known("0").expect("forgotten").is_none());
        assert_eq!(table.accepted().len(), ID_LIMIT);
    }
}
