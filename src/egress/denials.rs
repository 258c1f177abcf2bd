//! What a sandbox was refused, and which of it while a command ran.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use casemate_egress::Reason;
use parking_lot::Mutex;

/// Refusals that are remembered of a sandbox. A command that is refused more sees the last ones.
const REFUSAL_LIMIT: usize = 1024;

/// Commands whose times are remembered.
const COMMAND_LIMIT: usize = 256;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The host; as it was asked for where it is no valid name.
    pub host: String,
    /// `None`: the name itself was refused, for all ports.
    pub port: Option<u16>,
    /// Why.
    pub reason: Reason,
}

/// A host that a sandbox was refused while a command ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedHost {
    /// Which, and why.
    pub refusal: Refusal,
    /// How often.
    pub count: u64,
}

/// What a sandbox was refused while a command ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    /// In the order of their first refusal.
    pub hosts: Vec<DeniedHost>,
    /// Another command ran at the same time: it may have been that one.
    pub is_shared: bool,
}

/// The refusals of one sandbox.
#[derive(Debug, Default)]
pub struct Denials(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    /// Refusals so far.
    total: u64,
    /// Names and connections that the sandbox asked for so far.
    asked: u64,
    /// The last of them.
    last: VecDeque<Refusal>,
    commands: VecDeque<CommandSpan>,
}

/// A command, and the refusals before and after it.
#[derive(Debug)]
struct CommandSpan {
    id: String,
    from: u64,
    /// What the sandbox had asked for before it.
    asked: u64,
    /// `None`: its outcome is not known yet.
    to: Option<u64>,
    /// When it has ended at the latest: a caller may never fetch its outcome.
    until: Instant,
    is_shared: bool,
}

impl CommandSpan {
    fn may_run(&self) -> bool {
        self.to.is_none() && Instant::now() < self.until
    }
}

impl Denials {
    /// A command is about to run, for `timeout` at most. Once for each id.
    pub fn begin(&self, id: &str, timeout: Duration) {
        let mut log = self.0.lock();
        if log.commands.iter().any(|command| command.id == id) {
            return;
        }
        let mut is_shared = false;
        for other in log.commands.iter_mut().filter(|other| other.may_run()) {
            other.is_shared = true;
            is_shared = true;
        }
        if log.commands.len() == COMMAND_LIMIT {
            log.commands.pop_front();
        }
        let (from, asked) = (log.total, log.asked);
        log.commands.push_back(CommandSpan {
            id: id.to_owned(),
            from,
            asked,
            to: None,
            until: Instant::now() + timeout,
            is_shared,
        });
    }

    /// Its outcome is known.
    pub fn end(&self, id: &str) {
        let mut log = self.0.lock();
        let total = log.total;
        if let Some(command) = log.commands.iter_mut().find(|command| command.id == id) {
            command.to.get_or_insert(total);
        }
    }

    /// The sandbox asks for a name or a connection.
    pub fn asked(&self) {
        self.0.lock().asked += 1;
    }

    /// Whether the sandbox asked for anything since the command began.
    pub fn has_asked(&self, id: &str) -> bool {
        let log = self.0.lock();
        let mut commands = log.commands.iter();
        commands.any(|command| command.id == id && command.asked != log.asked)
    }

    /// Something was refused.
    pub fn add(&self, refusal: Refusal) {
        let mut log = self.0.lock();
        log.total += 1;
        if log.last.len() == REFUSAL_LIMIT {
            log.last.pop_front();
        }
        log.last.push_back(refusal);
    }

    /// The refusals while the command ran, until now. Nothing for a command that another
    /// server started.
    pub fn during(&self, id: &str) -> Denied {
        let log = self.0.lock();
        let Some(command) = log.commands.iter().find(|command| command.id == id) else {
            return Denied::default();
        };
        let forgotten = log.total - log.last.len() as u64;
        let index = |at: u64| usize::try_from(at.saturating_sub(forgotten)).unwrap_or(usize::MAX);
        let (from, to) = (index(command.from), index(command.to.unwrap_or(log.total)));
        let mut hosts: Vec<DeniedHost> = Vec::new();
        for refusal in log.last.range(from..to.max(from)) {
            match hosts.iter_mut().find(|host| host.refusal == *refusal) {
                Some(host) => host.count += 1,
                None => hosts.push(DeniedHost {
                    refusal: refusal.clone(),
                    count: 1,
                }),
            }
        }
        Denied {
            hosts,
            is_shared: command.is_shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn refusal(host: &str) -> Refusal {
        Refusal {
            host: host.to_owned(),
            port: None,
            reason: Reason::NotAllowed,
        }
    }

    fn hosts(denied: &Denied) -> Vec<(&str, u64)> {
        let hosts = denied.hosts.iter();
        hosts
            .map(|host| (&*host.refusal.host, host.count))
            .collect()
    }

    #[test]
    fn a_command_is_told_what_was_refused_while_it_ran() {
        let denials = Denials::default();
        denials.add(refusal("before"));
        denials.begin("a", MINUTE);
        denials.begin("a", MINUTE);
        denials.add(refusal("b"));
        denials.add(refusal("c"));
        denials.add(refusal("b"));
        assert_eq!(hosts(&denials.during("a")), [("b", 2), ("c", 1)]);
        denials.end("a");
        denials.add(refusal("after"));
        denials.end("a");
        let denied = denials.during("a");
        assert_eq!(hosts(&denied), [("b", 2), ("c", 1)]);
        assert!(!denied.is_shared);
        assert_eq!(denials.during("unknown"), Denied::default());
        assert!(!denials.has_asked("a") && !denials.has_asked("unknown"));
        denials.asked();
        assert!(denials.has_asked("a"));
        denials.begin("d", MINUTE);
        assert!(!denials.has_asked("d"));
    }

    #[test]
    fn commands_beside_each_other_are_told_so() {
        let denials = Denials::default();
        denials.begin("a", MINUTE);
        denials.begin("b", MINUTE);
        denials.add(refusal("c"));
        denials.end("a");
        denials.end("b");
        denials.begin("alone", Duration::ZERO);
        assert!(denials.during("a").is_shared && denials.during("b").is_shared);
        assert!(!denials.during("alone").is_shared);
        // Its outcome was never fetched, and its time is over.
        denials.begin("next", MINUTE);
        assert!(!denials.during("alone").is_shared && !denials.during("next").is_shared);
    }

    #[test]
    fn of_a_flood_the_last_refusals_are_told() {
        let denials = Denials::default();
        denials.begin("a", MINUTE);
        for number in 0..10 * REFUSAL_LIMIT {
            denials.add(refusal(&format!("host-{}", number % 25)));
        }
        let denied = denials.during("a");
        assert_eq!(denied.hosts.len(), 25);
        let told: u64 = denied.hosts.iter().map(|host| host.count).sum();
        assert!(told <= REFUSAL_LIMIT as u64);
        denials.begin("b", MINUTE);
        denials.end("a");
        for number in 0..2 * REFUSAL_LIMIT {
            denials.add(refusal(&number.to_string()));
        }
        // Its refusals are forgotten.
        assert_eq!(hosts(&denials.during("a")), []);
        for number in 0..2 * COMMAND_LIMIT {
            denials.begin(&number.to_string(), MINUTE);
        }
        assert_eq!(denials.0.lock().commands.len(), COMMAND_LIMIT);
    }
}
